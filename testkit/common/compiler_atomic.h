// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Atomics by the compiler, for backends that need no more: their host_backend/atomic.h includes this.
#pragma once

#include "kernel/lib/annotations.h"

namespace barebpf::backend {

enum class Order : int {
    Relaxed = __ATOMIC_RELAXED,
    Acquire = __ATOMIC_ACQUIRE,
    Release = __ATOMIC_RELEASE,
    AcqRel = __ATOMIC_ACQ_REL,
    SeqCst = __ATOMIC_SEQ_CST,
};

// The order is always a constant after inlining.
#define BAREBPF_ORDER(order) static_cast<int>(order)

template <class T>
class Atomic {
public:
    constexpr Atomic() = default;
    constexpr explicit Atomic(T value) : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    ALWAYS_INLINE T load(Order order) const {
        T value;
        __atomic_load(&value_, &value, BAREBPF_ORDER(order));
        return value;
    }
    ALWAYS_INLINE void store(T value, Order order) {
        __atomic_store(&value_, &value, BAREBPF_ORDER(order));
    }
    ALWAYS_INLINE T exchange(T value, Order order) {
        T old;
        __atomic_exchange(&value_, &value, &old, BAREBPF_ORDER(order));
        return old;
    }
    ALWAYS_INLINE bool compare_exchange(T& expected, T desired, Order success, Order failure) {
        return __atomic_compare_exchange(&value_, &expected, &desired, false,
                                         BAREBPF_ORDER(success), BAREBPF_ORDER(failure));
    }
    ALWAYS_INLINE T fetch_add(T value, Order order) {
        return __atomic_fetch_add(&value_, value, BAREBPF_ORDER(order));
    }
    ALWAYS_INLINE T fetch_sub(T value, Order order) {
        return __atomic_fetch_sub(&value_, value, BAREBPF_ORDER(order));
    }
    ALWAYS_INLINE T fetch_and(T value, Order order) {
        return __atomic_fetch_and(&value_, value, BAREBPF_ORDER(order));
    }
    ALWAYS_INLINE T fetch_or(T value, Order order) {
        return __atomic_fetch_or(&value_, value, BAREBPF_ORDER(order));
    }
    ALWAYS_INLINE T fetch_xor(T value, Order order) {
        return __atomic_fetch_xor(&value_, value, BAREBPF_ORDER(order));
    }

private:
    // Aligned to its size, so that the 8-byte forms are lock-free on every target.
    alignas(sizeof(T)) T value_{};
};

#undef BAREBPF_ORDER

#pragma GCC diagnostic push
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
// GCC's TSan does not model fences; what depends on one is checked without TSan.
#pragma GCC diagnostic ignored "-Wtsan"
#endif
ALWAYS_INLINE void fence(Order order) {
    __atomic_thread_fence(static_cast<int>(order));
}
#pragma GCC diagnostic pop

}  // namespace barebpf::backend
