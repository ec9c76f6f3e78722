// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Explore backend: every operation on an atomic is a step of the explorer (testkit/explore/explore.h), which decides
// who runs next, and in relaxed mode which of the values a load may see. It is told where the operation
// stands in the source. The rest of this backend is the null backend's declarations, with
// definitions in testkit/explore.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::backend {

enum class Order : int { Relaxed, Acquire, Release, AcqRel, SeqCst };

}  // namespace barebpf::backend

namespace barebpf::explore {

using backend::Order;

struct Site {
    const char* file;
    u32 line;
};
enum class Rmw : u8 { Exchange, Add, Sub, And, Or, Xor };

u64 on_load(const void* at, u32 size, Order order, Site site);
void on_store(void* at, u32 size, u64 value, Order order, Site site);
u64 on_rmw(void* at, u32 size, Rmw operation, u64 operand, Order order, Site site);
// The value found; it was exchanged if and only if *done.
u64 on_compare_exchange(void* at, u32 size, u64 expected, u64 desired, Order success, Order failure,
                        Site site, bool* done);
void on_fence(Order order, Site site);
void on_light_fence(Site site);
void on_heavy_fence(Site site);
void on_spin(Site site);

}  // namespace barebpf::explore

#define BAREBPF_SITE const char *file = __builtin_FILE(), u32 line = __builtin_LINE()

namespace barebpf::backend {

template <class T>
class Atomic {
public:
    constexpr Atomic() = default;
    constexpr explicit Atomic(T value) : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    ALWAYS_INLINE T load(Order order, BAREBPF_SITE) const {
        return from_word(explore::on_load(&value_, sizeof(T), order, {file, line}));
    }
    ALWAYS_INLINE void store(T value, Order order, BAREBPF_SITE) {
        explore::on_store(&value_, sizeof(T), to_word(value), order, {file, line});
    }
    ALWAYS_INLINE T exchange(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::Exchange, value, order, {file, line});
    }
    ALWAYS_INLINE bool compare_exchange(T& expected, T desired, Order success, Order failure,
                                        BAREBPF_SITE) {
        bool done;
        const u64 found =
            explore::on_compare_exchange(&value_, sizeof(T), to_word(expected), to_word(desired),
                                         success, failure, {file, line}, &done);
        if (!done) expected = from_word(found);
        return done;
    }
    ALWAYS_INLINE T fetch_add(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::Add, value, order, {file, line});
    }
    ALWAYS_INLINE T fetch_sub(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::Sub, value, order, {file, line});
    }
    ALWAYS_INLINE T fetch_and(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::And, value, order, {file, line});
    }
    ALWAYS_INLINE T fetch_or(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::Or, value, order, {file, line});
    }
    ALWAYS_INLINE T fetch_xor(T value, Order order, BAREBPF_SITE) {
        return rmw(explore::Rmw::Xor, value, order, {file, line});
    }

private:
    static_assert(sizeof(T) <= 8);
    // Little-endian machines only: the value is the low bytes of the word.
    static ALWAYS_INLINE u64 to_word(T value) {
        u64 word = 0;
        __builtin_memcpy(&word, &value, sizeof(T));
        return word;
    }
    static ALWAYS_INLINE T from_word(u64 word) {
        T value;
        __builtin_memcpy(&value, &word, sizeof(T));
        return value;
    }
    ALWAYS_INLINE T rmw(explore::Rmw operation, T operand, Order order, explore::Site site) {
        return from_word(
            explore::on_rmw(&value_, sizeof(T), operation, to_word(operand), order, site));
    }

    alignas(sizeof(T)) T value_{};
};

ALWAYS_INLINE void fence(Order order, BAREBPF_SITE) {
    explore::on_fence(order, {file, line});
}
ALWAYS_INLINE void light_fence(BAREBPF_SITE) {
    explore::on_light_fence({file, line});
}
ALWAYS_INLINE void heavy_fence(BAREBPF_SITE) {
    explore::on_heavy_fence({file, line});
}
// Few, so that a scenario gets there.
inline constexpr u32 kBiasAfter = 2;
ALWAYS_INLINE void spin_hint(BAREBPF_SITE) {
    explore::on_spin({file, line});
}

}  // namespace barebpf::backend

#undef BAREBPF_SITE
