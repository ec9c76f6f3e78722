// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Keyed hashing for tables: 128 bits of secret, 64 bits of result in which every bit is fit for use
// (tables take a position from the low bits and a tag from the high ones).
//
// The step is a 64 x 64 -> 128 bit multiplication whose halves are xored, as in the multiply-fold
// family of hashes. Without the secret nobody can construct keys that collide; it is not a MAC.
// Not for data that leaves the machine: the result depends on byte order and on the version.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf {

struct HashSeed {
    u64 a;
    u64 b;
};

namespace detail {

ALWAYS_INLINE constexpr u64 multiply_fold(u64 x, u64 y) {
    const unsigned __int128 product = static_cast<unsigned __int128>(x) * y;
    return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

template <class T>
ALWAYS_INLINE T load_unaligned(const void* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

}  // namespace detail

// From any 64 random bits, or from 0 where a caller asked for repeatable hashes. The second word is
// odd and dense, so that no seed makes the multiplication degenerate.
constexpr HashSeed make_hash_seed(u64 random) {
    constexpr u64 kOne = 0x9fb21c651e98df25;
    constexpr u64 kTwo = 0xc2b2ae3d27d4eb4f;
    const u64 a = detail::multiply_fold(random ^ kOne, kTwo);
    const u64 b = detail::multiply_fold(random + kTwo, kOne);
    return {a ^ kTwo, b | 0x8000000000000001};
}

// One word is multiplied twice: after a single multiplication, keys in arithmetic progression would
// lie on a lattice.
ALWAYS_INLINE u64 hash_u64(u64 key, HashSeed seed) {
    const u64 first = detail::multiply_fold(key ^ seed.a, seed.b);
    return detail::multiply_fold(first ^ seed.b, 0xa0761d6478bd642f);
}
ALWAYS_INLINE u64 hash_u32(u32 key, HashSeed seed) {
    return hash_u64(key, seed);
}
// Of these only the upper half is fit for use, for some instructions less: the last step is half a multiplication, by
// kUpperFactor, which may be the caller's copy of it: an operand in memory saves a register.
constexpr u64 kUpperFactor = 0xa0761d6478bd642f;
ALWAYS_INLINE u64 upper_hash_u64(u64 key, HashSeed seed, u64 factor = kUpperFactor) {
    return detail::multiply_fold(key ^ seed.a, seed.b) * factor;
}
ALWAYS_INLINE u64 upper_hash_2xu64(u64 first, u64 second, HashSeed seed,
                                   u64 factor = kUpperFactor) {
    return detail::multiply_fold(first ^ seed.a, second ^ seed.b) * factor;
}
ALWAYS_INLINE u64 hash_2xu64(u64 first, u64 second, HashSeed seed) {
    const u64 folded = detail::multiply_fold(first ^ seed.a, second ^ seed.b);
    return detail::multiply_fold(folded ^ seed.a, 0xe7037ed1a0b428db);
}

// Any length.
inline u64 hash_bytes(const void* data, size_t size, HashSeed seed) {
    const u8* at = static_cast<const u8*>(data);
    u64 state = seed.a ^ size;
    size_t left = size;
    for (; left > 16; left -= 16, at += 16) {
        state = detail::multiply_fold(detail::load_unaligned<u64>(at) ^ state,
                                      detail::load_unaligned<u64>(at + 8) ^ seed.b);
    }
    u64 first = 0;
    u64 second = 0;
    if (left > 8) {
        first = detail::load_unaligned<u64>(at);
        second = detail::load_unaligned<u64>(at + left - 8);  // overlaps; the length tells apart
    } else if (left >= 4) {
        first = detail::load_unaligned<u32>(at);
        second = detail::load_unaligned<u32>(at + left - 4);
    } else if (left != 0) {
        first = at[0] | u64{at[left / 2]} << 8 | u64{at[left - 1]} << 16;
    }
    state = detail::multiply_fold(first ^ state, second ^ seed.b);
    return detail::multiply_fold(state ^ seed.a, 0xe7037ed1a0b428db);
}

// The form for a key size that the compiler knows; 0: any size, given at run time.
template <u32 kSize>
ALWAYS_INLINE u64 hash_key(const void* key, u32 size, HashSeed seed) {
    if constexpr (kSize == 4) {
        return hash_u32(detail::load_unaligned<u32>(key), seed);
    } else if constexpr (kSize == 8) {
        return hash_u64(detail::load_unaligned<u64>(key), seed);
    } else if constexpr (kSize == 16) {
        return hash_2xu64(detail::load_unaligned<u64>(key),
                          detail::load_unaligned<u64>(static_cast<const u8*>(key) + 8), seed);
    } else {
        return hash_bytes(key, size, seed);
    }
}

// The same where the upper half is enough.
template <u32 kSize>
ALWAYS_INLINE u64 upper_hash_key(const void* key, u32 size, HashSeed seed,
                                 u64 factor = kUpperFactor) {
    if constexpr (kSize == 4) {
        return upper_hash_u64(detail::load_unaligned<u32>(key), seed, factor);
    } else if constexpr (kSize == 8) {
        return upper_hash_u64(detail::load_unaligned<u64>(key), seed, factor);
    } else if constexpr (kSize == 16) {
        return upper_hash_2xu64(detail::load_unaligned<u64>(key),
                                detail::load_unaligned<u64>(static_cast<const u8*>(key) + 8), seed,
                                factor);
    } else {
        return hash_key<kSize>(key, size, seed);
    }
}

}  // namespace barebpf
