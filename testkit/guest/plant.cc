// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Deeds done on purpose (argument plant=KIND): each must be found out, or the detector is broken.
#include "kernel/lib/bits.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

host::MemoryOwner owner;

// Optimisers know what is undefined; what they cannot see they leave alone.
template <class T>
NOINLINE T opaque(T value) {
    asm volatile("" : "+r"(value));
    return value;
}

u8* allocate(size_t size) {
    return static_cast<u8*>(host::alloc(size, host::AllocContext::MaySleep, owner));
}

NOINLINE void overflow() {
    u8* block = allocate(100);
    opaque(block)[opaque(size_t{100})] = 1;
    host::free(block, 100, owner);
}

NOINLINE void use_after_free() {
    u8* block = allocate(100);
    host::free(block, 100, owner);
    opaque(block)[50] = 1;
    heap_check();
}

NOINLINE void use_after_free_large() {
    u8* block = allocate(100000);
    host::free(block, 100000, owner);
    opaque(block)[50000] = 1;
}

NOINLINE void double_free() {
    u8* block = allocate(100);
    host::free(block, 100, owner);
    host::free(opaque(block), 100, owner);
}

NOINLINE void ubsan() {
    int number = opaque(0x7fffffff);
    number += opaque(1);
    opaque(number);
}

NOINLINE void deadlock() {
    static backend::RawSpinLock first;
    static backend::RawSpinLock second;
    if (cpu_count == 1) {
        first.lock();
        first.lock();
    }
    static Atomic<u32> ready;
    start_on_cpu(
        1,
        [](void*, u32) {
            second.lock();
            ready.store(1, Order::Release);
            first.lock();
        },
        nullptr);
    first.lock();
    while (!ready.load(Order::Acquire)) backend::spin_hint();
    second.lock();
}

NOINLINE void wild_pointer() {
    *opaque(reinterpret_cast<u64*>(0x1234567890)) = 1;
}

NOINLINE u64 recurse(u64 depth) {
    volatile u8 room[256];
    room[depth % 256] = static_cast<u8>(depth);
    if (depth == opaque(~u64{0})) return 0;
    const u64 below = opaque(recurse(depth + 1));
    return below + room[depth % 256];
}

void stack_overflow() {
    opaque(recurse(opaque(u64{0})));
}

// Endless, with interrupts on: what only a watchdog outside can tell.
NOINLINE void hang() {
    for (;;) backend::spin_hint();
}

// The message itself cannot be read: a failure while one is reported.
NOINLINE void nested_failure() {
    fail(opaque(reinterpret_cast<const char*>(0x1234567890)));
}

struct Plant {
    const char* kind;
    void (*deed)();
};
constexpr Plant kPlants[] = {
    {"overflow", overflow},
    {"use-after-free", use_after_free},
    {"use-after-free-large", use_after_free_large},
    {"double-free", double_free},
    {"ubsan", ubsan},
    {"deadlock", deadlock},
    {"wild-pointer", wild_pointer},
    {"stack-overflow", stack_overflow},
    {"hang", hang},
    {"nested-failure", nested_failure},
};

}  // namespace

void plant(const char* kind) {
    for (const Plant& plant : kPlants) {
        if (__builtin_strcmp(plant.kind, kind) != 0) continue;
        host::Cpu::Entry inside;
        plant.deed();
        fail_with("planted ", kind, " was not found out");
    }
    refuse("argument plant=", kind, ": no such deed");
}

}  // namespace barebpf::guest
