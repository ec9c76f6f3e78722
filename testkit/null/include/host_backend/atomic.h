// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: atomics are the one thing that is not a call into the host, but the compiler's.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::backend {

enum class Order : int {
    Relaxed = __ATOMIC_RELAXED,
    Acquire = __ATOMIC_ACQUIRE,
    Release = __ATOMIC_RELEASE,
    AcqRel = __ATOMIC_ACQ_REL,
    SeqCst = __ATOMIC_SEQ_CST,
};

template <class T>
class Atomic {
public:
    constexpr Atomic() = default;
    constexpr explicit Atomic(T value) : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    ALWAYS_INLINE T load(Order order) const {
        return __atomic_load_n(&value_, static_cast<int>(order));
    }
    ALWAYS_INLINE void store(T value, Order order) {
        __atomic_store_n(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE T exchange(T value, Order order) {
        return __atomic_exchange_n(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE bool compare_exchange(T& expected, T desired, Order success, Order failure) {
        return __atomic_compare_exchange_n(&value_, &expected, desired, false,
                                           static_cast<int>(success), static_cast<int>(failure));
    }
    ALWAYS_INLINE T fetch_add(T value, Order order) {
        return __atomic_fetch_add(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE T fetch_sub(T value, Order order) {
        return __atomic_fetch_sub(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE T fetch_and(T value, Order order) {
        return __atomic_fetch_and(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE T fetch_or(T value, Order order) {
        return __atomic_fetch_or(&value_, value, static_cast<int>(order));
    }
    ALWAYS_INLINE T fetch_xor(T value, Order order) {
        return __atomic_fetch_xor(&value_, value, static_cast<int>(order));
    }

private:
    alignas(sizeof(T)) T value_{};
};

ALWAYS_INLINE void fence(Order order) {
    __atomic_thread_fence(static_cast<int>(order));
}
ALWAYS_INLINE void light_fence() {
    fence(Order::SeqCst);
}
ALWAYS_INLINE void heavy_fence() {
    fence(Order::SeqCst);
}
inline constexpr u32 kBiasAfter = 0;
ALWAYS_INLINE void spin_hint() {}

}  // namespace barebpf::backend
