// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: memory of any size.
//
// Every allocation may fail, and is accounted to an owner (a map's memlock figure is its owner's
// bytes). Memory comes zeroed and at least 16-byte aligned; 64-byte aligned from 64 bytes up,
// page-aligned from a page up. The size is given again at free(), so that neither side stores it
// twice.
//
// A backend whose free() of a large block takes long may have discard(), too: the bytes, whole pages of
// a large block that is about to be freed, are not read or written any more; what is given back then
// need not be at free(). kernel/bpf/free_in_steps.h calls it, process context.
//
// Context: MaySleep only in process context with no lock held; Atomic anywhere but in NMI. What
// must be allocated in an NMI comes from memalloc's caches, never from here.
#pragma once

#include <host_backend/alloc.h>

#include "kernel/host/atomic.h"
#include "kernel/lib/concepts.h"
#include "kernel/lib/new.h"

namespace barebpf::host {

enum class AllocContext : u8 { MaySleep, Atomic };

template <class H>
concept IsHeap = requires(size_t size, void* memory) {
    { H::alloc_zeroed(size, true) } -> SameAs<void*>;  // (size, may_sleep); null when it fails
    H::free(memory, size);                             // any context but NMI
};
static_assert(IsHeap<backend::Heap>);

// Whom memory is accounted to. The bytes are exact: the sum of the sizes asked for.
class MemoryOwner {
public:
    u64 bytes() const { return bytes_.load(Order::Relaxed); }
    void charge(size_t size) { bytes_.fetch_add(size, Order::Relaxed); }
    void uncharge(size_t size) { bytes_.fetch_sub(size, Order::Relaxed); }

private:
    Atomic<u64> bytes_{};
};

[[nodiscard]] inline void* alloc(size_t size, AllocContext context, MemoryOwner& owner) {
    void* memory = backend::Heap::alloc_zeroed(size, context == AllocContext::MaySleep);
    if (memory) owner.charge(size);
    return memory;
}

// Of a block that is about to be freed; page-aligned.
template <class H = backend::Heap>
inline void discard(void* part, size_t size) {
    if constexpr (requires { H::discard(part, size); }) H::discard(part, size);
}

inline void free(void* memory, size_t size, MemoryOwner& owner) {
    if (!memory) return;
    owner.uncharge(size);
    backend::Heap::free(memory, size);
}

// An array of plain data or of types whose all-zero state is a valid object, freed by its owner's
// scope. The everyday way to hold temporary memory on a path with many error exits.
template <class T>
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) : data_(other.data_), count_(other.count_), owner_(other.owner_) {
        other.data_ = nullptr;
        other.count_ = 0;
    }
    Buffer& operator=(Buffer&& other) {
        if (this != &other) {
            reset();
            data_ = other.data_;
            count_ = other.count_;
            owner_ = other.owner_;
            other.data_ = nullptr;
            other.count_ = 0;
        }
        return *this;
    }
    ~Buffer() { reset(); }

    // Replaces the content by count zeroed elements. False: no memory, or count * sizeof(T)
    // overflows; the buffer is then empty.
    [[nodiscard]] bool allocate(size_t count, AllocContext context, MemoryOwner& owner) {
        reset();
        size_t size;
        if (__builtin_mul_overflow(count, sizeof(T), &size)) return false;
        if (count == 0) return true;
        data_ = static_cast<T*>(alloc(size, context, owner));
        if (!data_) return false;
        count_ = count;
        owner_ = &owner;
        return true;
    }
    void reset() {
        if (data_) host::free(data_, count_ * sizeof(T), *owner_);
        data_ = nullptr;
        count_ = 0;
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return count_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }
    T* begin() { return data_; }
    T* end() { return data_ + count_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + count_; }

private:
    T* data_ = nullptr;
    size_t count_ = 0;
    MemoryOwner* owner_ = nullptr;
};

}  // namespace barebpf::host
