// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: atomics with mandatory memory order.
//
// Every access to memory that another CPU, an interrupt or an NMI may touch at the same time goes
// through Atomic<T> (or atomic_at() for memory that is not declared so: map values, mapped pages),
// so that a backend can own each step: the schedule explorer makes each call a scheduling point.
//
// Context: any, NMI included. Never fails. T is an integer, enum or pointer of 1, 2, 4 or 8 bytes.
#pragma once

#include <host_backend/atomic.h>

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

// The backend defines: enum class Order { Relaxed, Acquire, Release, AcqRel, SeqCst }.
using backend::Order;

template <class A, class T>
concept IsAtomic = sizeof(A) == sizeof(T) && requires(A a, const A c, T v) {
    T(c.load(Order::Relaxed));
    a.store(v, Order::Release);
    T(a.exchange(v, Order::AcqRel));
    // Writes the value found to its first argument when it fails, as std::atomic does.
    bool(a.compare_exchange(v, v, Order::AcqRel, Order::Acquire));
};

template <class A, class T>
concept IsAtomicInteger = IsAtomic<A, T> && requires(A a, T v) {
    T(a.fetch_add(v, Order::Relaxed));
    T(a.fetch_sub(v, Order::Relaxed));
    T(a.fetch_and(v, Order::Relaxed));
    T(a.fetch_or(v, Order::Relaxed));
    T(a.fetch_xor(v, Order::Relaxed));
};

template <class T>
using Atomic = backend::Atomic<T>;

static_assert(IsAtomicInteger<Atomic<u8>, u8> && IsAtomicInteger<Atomic<u16>, u16> &&
              IsAtomicInteger<Atomic<u32>, u32> && IsAtomicInteger<Atomic<u64>, u64>);
static_assert(IsAtomic<Atomic<void*>, void*>);

// Plain memory seen as an atomic: for map values and pages shared with user space.
template <class T>
ALWAYS_INLINE Atomic<T>& atomic_at(void* where) {
    return *static_cast<Atomic<T>*>(where);
}
template <class T>
ALWAYS_INLINE const Atomic<T>& atomic_at(const void* where) {
    return *static_cast<const Atomic<T>*>(where);
}

// A fence between this CPU's accesses; its comment names its partner.
// Used by name, not wrapped: Order belongs to the backend, and lookup by argument finds it there.
using backend::fence;

// Two unequal halves of a pair of fence(Order::SeqCst), for where two sides each store one word and then read the other's,
// at least one must see what the other stored, and one of them comes by far more often. light_fence() costs that side
// little or nothing; heavy_fence() makes up for it, and may take microseconds. Two light ones order nothing.
// light_fence(): any context. heavy_fence(): process context, no lock, no read section, not pinned; any context where
// kBiasAfter is not 0.
using backend::heavy_fence;
using backend::light_fence;

// After how many acquisitions in a row by one CPU a lock becomes that CPU's own (biased_lock.h): so many that the heavy fence
// by which another CPU gets it back is a small part of them. 0: never, where the light half costs as much as a lock does, or
// the heavy one may not be had in any context.
inline constexpr u32 kBiasAfter = backend::kBiasAfter;

// One step of a busy-wait loop: lets a sibling hyperthread, or the explorer, go on.
using backend::spin_hint;

// Orders this CPU's accesses as seen by what interrupts it; nothing to do for the hardware.
ALWAYS_INLINE void interrupt_fence() {
    asm volatile("" ::: "memory");
}

}  // namespace barebpf::host
