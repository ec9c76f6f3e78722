// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fibers: stacks of one thread that take turns. A fiber that is given up in the middle is started anew on
// the same stack; what stood on it is not destroyed.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::explore {

class Fiber {
public:
    static constexpr size_t kStackSize = 256 * 1024;

    Fiber() = default;
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;
    ~Fiber();

    // The first switch to it calls function(argument), which never returns.
    void start(void (*function)(void* argument), void* argument);
    // From this fiber (or thread, whose Fiber was never started) to that one.
    void switch_to(Fiber& to);

private:
    static void entry(void* self);
    void arrived();

    void* sp_ = nullptr;
    void* stack_ = nullptr;  // null: the thread's own
    void (*function_)(void*) = nullptr;
    void* argument_ = nullptr;
    // For AddressSanitizer.
    void* fake_stack_ = nullptr;
    const void* stack_bottom_ = nullptr;
    size_t stack_size_ = 0;
};

}  // namespace barebpf::explore
