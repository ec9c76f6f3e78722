// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Freeing much without holding a CPU for long. Process context, nothing held, no read section: others
// may have this CPU after every step.
//
// A step is kFreeStep bytes of a large block, or kFreeObjects small things (references dropped, nodes
// of a tree): well below a millisecond on a slow machine.
#pragma once

#include "kernel/host/contract.h"

namespace barebpf {

inline constexpr size_t kFreeStep = size_t{2} << 20;
inline constexpr u32 kFreeObjects = 512;

// A block of any size from host::alloc(); null is fine.
inline void free_in_steps(void* memory, size_t size, host::MemoryOwner& owner) {
    if (!memory) return;
    for (size_t done = 0; size - done > kFreeStep; done += kFreeStep) {
        host::discard(static_cast<u8*>(memory) + done, kFreeStep);
        host::Cpu::yield_point();
    }
    host::free(memory, size, owner);
}

// For a walk over many small things: one_more() after each.
class FreeSteps {
public:
    void one_more() {
        if (--left_) return;
        left_ = kFreeObjects;
        host::Cpu::yield_point();
    }

private:
    u32 left_ = kFreeObjects;
};

}  // namespace barebpf
