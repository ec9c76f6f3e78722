// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/explore/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "testkit/explore/asan.h"

#if defined(EXPLORE_ASAN)
// Fake stacks would be made anew for each fiber of each execution; and what stands on the stack of an execution that
// ended in the middle is not destroyed.
extern "C" const char* __asan_default_options() {
    return "detect_stack_use_after_return=0:detect_leaks=0";
}
#endif

extern "C" {
// fiber_ARCH.S. Saves what a call preserves on this stack and its address in *save, then goes on at `load`.
void barebpf_fiber_switch(void** save, void* load);
// Where a new stack begins: calls the function in its first saved register with the second as its argument.
void barebpf_fiber_start();
// Saved registers below the stack's top: how many words, and which of them are the function, the argument and
// the address to go on at.
extern const barebpf::u32 barebpf_fiber_frame[4];
}

namespace barebpf::explore {

namespace {
Fiber* coming_from;
}

Fiber::~Fiber() {
    if (stack_) munmap(stack_, kStackSize);
}

void Fiber::arrived() {
#if defined(EXPLORE_ASAN)
    const void* bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
    if (!coming_from->stack_) {  // what the thread's own stack is, only this tells
        coming_from->stack_bottom_ = bottom;
        coming_from->stack_size_ = size;
    }
#endif
}

void Fiber::entry(void* self) {
    auto* fiber = static_cast<Fiber*>(self);
    fiber->arrived();
    fiber->function_(fiber->argument_);
    abort();
}

void Fiber::start(void (*function)(void*), void* argument) {
    if (!stack_) {
        stack_ =
            mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack_ == MAP_FAILED) abort();
        stack_bottom_ = stack_;
        stack_size_ = kStackSize;
    }
#if defined(EXPLORE_ASAN)
    __asan_unpoison_memory_region(stack_, kStackSize);
    fake_stack_ = nullptr;
#endif
    function_ = function;
    argument_ = argument;
    const u32 words = barebpf_fiber_frame[0];
    auto** frame = reinterpret_cast<void**>(static_cast<char*>(stack_) + kStackSize) - words;
    for (u32 i = 0; i < words; ++i) frame[i] = nullptr;
    frame[barebpf_fiber_frame[1]] = reinterpret_cast<void*>(&Fiber::entry);
    frame[barebpf_fiber_frame[2]] = this;
    frame[barebpf_fiber_frame[3]] = reinterpret_cast<void*>(&barebpf_fiber_start);
    sp_ = frame;
}

void Fiber::switch_to(Fiber& to) {
    coming_from = this;
#if defined(EXPLORE_ASAN)
    __sanitizer_start_switch_fiber(&fake_stack_, to.stack_bottom_, to.stack_size_);
#endif
    barebpf_fiber_switch(&sp_, to.sp_);
    arrived();
}

}  // namespace barebpf::explore
