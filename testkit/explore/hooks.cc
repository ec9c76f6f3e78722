// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host contract as steps of the explorer: atomics, locks, CPUs, memory.
#include <host_backend/alloc.h>
#include <host_backend/atomic.h>
#include <host_backend/cpu.h>
#include <host_backend/page.h>
#include <host_backend/percpu.h>
#include <host_backend/spinlock.h>

#include "testkit/explore/memory_model.h"

namespace barebpf::explore {

// ── Atomics ───────────────────────────────────────────────────────────────────────────────────

u64 on_load(const void* at, u32 size, Order order, Site site) {
    engine.step(at, false);
    engine.check_access(at, size, "a load");
    const u64 value =
        engine.relaxed() ? memory_model.load({at, size, site}, order) : load_plain(at, size);
    engine.trace(Op::Load, at, size, value, 0, order, site);
    return value;
}

void on_store(void* at, u32 size, u64 value, Order order, Site site) {
    engine.step(at, true);
    engine.check_access(at, size, "a store");
    if (engine.relaxed()) memory_model.before_store({at, size, site});
    store_plain(at, size, value);
    if (engine.relaxed()) memory_model.after_store({at, size, site}, order);
    engine.wrote();
    engine.trace(Op::Store, at, size, value, 0, order, site);
}

namespace {

u64 apply(Rmw operation, u64 old, u64 operand) {
    switch (operation) {
        case Rmw::Exchange:
            return operand;
        case Rmw::Add:
            return old + operand;
        case Rmw::Sub:
            return old - operand;
        case Rmw::And:
            return old & operand;
        case Rmw::Or:
            return old | operand;
        case Rmw::Xor:
            return old ^ operand;
    }
    return old;
}

u64 replace(void* at, u32 size, u64 value, Order order, Site site) {
    if (engine.relaxed()) memory_model.before_rmw({at, size, site}, order);
    const u64 old = load_plain(at, size);
    store_plain(at, size, value);
    if (engine.relaxed()) memory_model.after_rmw({at, size, site}, order);
    engine.wrote();
    return old;
}

}  // namespace

u64 on_rmw(void* at, u32 size, Rmw operation, u64 operand, Order order, Site site) {
    engine.step(at, true);
    engine.check_access(at, size, "a read-modify-write");
    const u64 value = apply(operation, load_plain(at, size), operand);
    const u64 old = replace(at, size, value, order, site);
    engine.trace(Op::Rmw, at, size, load_plain(at, size), old, order, site);
    return old;
}

u64 on_compare_exchange(void* at, u32 size, u64 expected, u64 desired, Order success, Order failure,
                        Site site, bool* done) {
    engine.step(at, true);
    engine.check_access(at, size, "a compare-and-exchange");
    u64 found =
        engine.relaxed() ? memory_model.load({at, size, site}, failure) : load_plain(at, size);
    // What it exchanges is always the newest value; if that is another one, that is what it has seen.
    const u64 newest = load_plain(at, size);
    *done = newest == expected && found == expected;
    if (found == expected && !*done) {
        found = newest;
        if (engine.relaxed()) memory_model.before_rmw({at, size, site}, failure);
    }
    if (*done) replace(at, size, desired, success, site);
    engine.trace(Op::CompareExchange, at, size, *done ? desired : found, found, success, site,
                 *done ? "done" : "failed");
    return found;
}

void on_fence(Order order, Site site) {
    engine.step(nullptr, false);
    if (engine.relaxed()) memory_model.fence(order);
    engine.trace(Op::Fence, nullptr, 0, 0, 0, order, site);
}

// Nothing that another CPU could tell.
void on_light_fence(Site site) {
    engine.step(nullptr, false);
    engine.trace(Op::Fence, nullptr, 0, 0, 0, Order::Relaxed, site, "light");
}

void on_heavy_fence(Site site) {
    engine.step(nullptr, false);
    if (engine.relaxed()) memory_model.heavy_fence();
    engine.trace(Op::Fence, nullptr, 0, 0, 0, Order::SeqCst, site, "heavy");
}

void on_spin(Site site) {
    engine.trace(Op::Spin, nullptr, 0, 0, 0, Order::Relaxed, site);
    engine.spin();
}

namespace {

// ── Locks: the word is the owner's CPU + 1 ────────────────────────────────────────────────────

u32 this_owner() {
    return engine.current().number + 1;
}

void took(u32* word, Op op) {
    *word = this_owner();
    engine.current().stalled = false;
    if (engine.relaxed()) memory_model.acquire(word);
    engine.trace(op, word, 4, 1, 0, Order::Acquire, {});
}

void lock(u32* word) {
    engine.step(word, true);
    engine.check_access(word, 4, "a lock");
    if (engine.current().nmi) engine.stop(Finding::Contract, "a lock that waits in an NMI");
    if (*word == this_owner()) engine.stop(Finding::Deadlock, "this CPU has the lock already");
    while (*word) engine.block(Wait::Lock, word);
    took(word, Op::Lock);
}

bool try_lock(u32* word) {
    engine.step(word, true);
    engine.check_access(word, 4, "a lock");
    if (*word) {
        engine.trace(Op::TryLock, word, 4, 0, *word, Order::Relaxed, {}, "failed");
        return false;
    }
    took(word, Op::TryLock);
    return true;
}

void unlock(u32* word) {
    engine.step(word, true);
    engine.check_access(word, 4, "a lock");
    if (*word != this_owner()) engine.stop(Finding::Contract, "unlocks what it has not locked");
    if (engine.relaxed()) memory_model.release(word);
    *word = 0;
    engine.wrote();
    engine.trace(Op::Unlock, word, 4, 0, 0, Order::Release, {});
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────────

void expect_may_sleep(const char* what) {
    const Cpu& me = engine.current();
    if (me.irq_off || me.readers || me.nmi)
        engine.stop(Finding::Contract, std::string(what) + " where it may not sleep");
}

void* alloc(size_t size, size_t align) {
    engine.step(nullptr, false);
    if (engine.current().nmi) engine.stop(Finding::Contract, "allocates in an NMI");
    if (engine.choose_failed_allocation()) {
        engine.trace(Op::Alloc, nullptr, static_cast<u32>(size), 0, 0, Order::Relaxed, {}, "fails");
        return nullptr;
    }
    void* memory = engine.heap.alloc(size, align);
    engine.trace(Op::Alloc, memory, static_cast<u32>(size), 0, 0, Order::Relaxed, {});
    return memory;
}

void release(void* memory, size_t size) {
    engine.step(memory, true);
    for (size_t at = 8; engine.running() && at < size; at += 8)
        engine.mark_access(static_cast<u8*>(memory) + at, true);
    if (engine.current().nmi) engine.stop(Finding::Contract, "frees in an NMI");
    engine.trace(Op::Free, memory, static_cast<u32>(size), 0, 0, Order::Relaxed, {});
    if (!engine.heap.free(memory, size)) {
        engine.stop(Finding::Memory,
                    "frees what is not allocated: " + engine.heap.describe(memory));
    }
}

constexpr size_t kLine = 64;

size_t stride_of(size_t size) {
    return (size + kLine - 1) & ~(kLine - 1);
}

}  // namespace
}  // namespace barebpf::explore

using namespace barebpf;
using explore::engine;

extern "C" {

void host_spin_lock(u32* word) {
    explore::lock(word);
}
bool host_spin_try_lock(u32* word) {
    return explore::try_lock(word);
}
bool host_spin_held_by_this_cpu(const u32* word) {
    return *word == explore::this_owner();
}
bool host_spin_is_locked(const u32* word) {
    return *word != 0;
}
void host_spin_unlock(u32* word) {
    explore::unlock(word);
}
void host_spin_relax(u32) {
    explore::on_spin({});
}

// ── CPUs ──────────────────────────────────────────────────────────────────────────────────────

u32 host_cpu_id() {
    return engine.current().number;
}
u32 host_possible_cpus() {
    return engine.cpus();
}
bool host_in_nmi() {
    return engine.current().nmi != 0;
}
bool host_enter() {
    return false;
}
void host_leave(bool) {}
void host_pin() {}
void host_unpin() {}

unsigned long host_irq_save() {
    engine.step(nullptr, false);
    const u32 old = engine.current().irq_off;
    engine.current().irq_off = 1;
    return old;
}
void host_irq_restore(unsigned long state) {
    engine.step(nullptr, false);
    engine.current().irq_off = static_cast<u32>(state);
}
void host_yield_point() {
    engine.step(nullptr, false);
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────────

void* host_alloc_zeroed(size_t size, bool may_sleep) {
    if (may_sleep) explore::expect_may_sleep("allocates");
    return explore::alloc(size, size >= 4096 ? 4096 : size >= 64 ? 64 : 16);
}
void host_free(void* memory, size_t size) {
    explore::release(memory, size);
}

void* host_percpu_alloc_zeroed(size_t size) {
    explore::expect_may_sleep("allocates per-CPU memory");
    return explore::alloc(explore::stride_of(size) * engine.cpus(), explore::kLine);
}
void host_percpu_free(void* base, size_t size) {
    explore::release(base, explore::stride_of(size) * engine.cpus());
}
void* host_percpu_at(void* base, size_t size, u32 cpu) {
    return static_cast<u8*>(base) + explore::stride_of(size) * cpu;
}
void* host_percpu_this_cpu(void* base, size_t size) {
    return host_percpu_at(base, size, engine.current().number);
}

bool host_pages_alloc_zeroed(backend::Page* pages, u32 count) {
    explore::expect_may_sleep("allocates pages");
    for (u32 i = 0; i < count; ++i) {
        pages[i].handle = explore::alloc(backend::kPageSize, backend::kPageSize);
        if (pages[i].handle) continue;
        host_pages_free(pages, i);
        return false;
    }
    return true;
}
void host_pages_free(backend::Page* pages, u32 count) {
    for (u32 i = 0; i < count; ++i) explore::release(pages[i].handle, backend::kPageSize);
}
void* host_pages_map(const backend::Page* pages, u32 count) {
    explore::expect_may_sleep("maps pages");
    if (engine.choose_failed_allocation()) return nullptr;
    return engine.heap.map(pages, count);
}
void host_pages_unmap(void* address, u32 count) {
    if (!engine.heap.unmap(address, count)) {
        engine.stop(explore::Finding::Memory, "unmaps what is not mapped");
    }
}

}  // extern "C"
