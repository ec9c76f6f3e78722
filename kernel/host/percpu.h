// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: per-CPU memory.
//
// One copy of an object for each possible CPU, zeroed, each on cache lines of its own. The handle
// is an opaque base; where CPU n's copy is follows from it and the size, which the holder knows.
// Context: create and destroy may sleep; access anywhere. this_cpu() is stable only while pinned.
#pragma once

#include <host_backend/percpu.h>

#include "kernel/host/alloc.h"
#include "kernel/host/cpu.h"

namespace barebpf::host {

template <class P>
concept IsPerCpu = requires(size_t size, void* base, u32 cpu) {
    { P::alloc_zeroed(size) } -> SameAs<void*>;  // null when it fails
    P::free(base, size);
    { P::at(base, size, cpu) } -> SameAs<void*>;   // any context
    { P::this_cpu(base, size) } -> SameAs<void*>;  // any context, pinned
};
static_assert(IsPerCpu<backend::PerCpu>);

// Untyped: for map values whose size is known at run time.
class PerCpuMemory {
public:
    PerCpuMemory() = default;
    PerCpuMemory(const PerCpuMemory&) = delete;
    PerCpuMemory& operator=(const PerCpuMemory&) = delete;
    ~PerCpuMemory() { destroy(); }

    [[nodiscard]] bool create(size_t size, MemoryOwner& owner) {
        base_ = backend::PerCpu::alloc_zeroed(size);
        if (!base_) return false;
        size_ = size;
        owner_ = &owner;
        owner.charge(size * possible_cpus());
        return true;
    }
    void destroy() {
        if (!base_) return;
        owner_->uncharge(size_ * possible_cpus());
        backend::PerCpu::free(base_, size_);
        base_ = nullptr;
    }
    void* this_cpu() const { return backend::PerCpu::this_cpu(base_, size_); }
    void* cpu(u32 n) const { return backend::PerCpu::at(base_, size_, n); }
    explicit operator bool() const { return base_ != nullptr; }

private:
    template <class T>
    friend class PerCpu;

    void* base_ = nullptr;
    size_t size_ = 0;
    MemoryOwner* owner_ = nullptr;
};

// Typed; T's all-zero state must be a valid object (it is neither constructed nor destroyed).
template <class T>
class PerCpu {
public:
    [[nodiscard]] bool create(MemoryOwner& owner) { return memory_.create(sizeof(T), owner); }
    void destroy() { memory_.destroy(); }
    // With the size as a constant: it makes most of the address one.
    ALWAYS_INLINE T* this_cpu() const {
        return static_cast<T*>(backend::PerCpu::this_cpu(memory_.base_, sizeof(T)));
    }
    ALWAYS_INLINE T* cpu(u32 n) const {
        return static_cast<T*>(backend::PerCpu::at(memory_.base_, sizeof(T), n));
    }
    explicit operator bool() const { return bool(memory_); }

private:
    PerCpuMemory memory_;
};

}  // namespace barebpf::host
