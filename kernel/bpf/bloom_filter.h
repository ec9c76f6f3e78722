// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bloom filter map: a set of values that is asked "surely not, or perhaps?".
//
//     bits   ...0 0 1 0 0 1 0 0 0 0 1 0 ...      a power of two of them, 64 at least
//                   ^     ^         ^
//                   |     |         |            value -> one keyed hash of 64 bits: a, b
//                   a    a + b    a + 2b ...     its places: a + i * b, b odd, for each of the
//                                                map_extra hash functions (0: five)
//
// push sets a value's bits, peek finds them all set (0) or not (ENOENT). Nothing is ever taken out; there
// is no key, no walk. The number of bits is Linux's: entries * functions * 7 / 5 rounded up, so that the
// share of false answers is, too; which values are falsely there differs.
//
// Locking: none. A bit goes from 0 to 1 once, by an atomic or; any context. What one CPU has pushed is
// seen by whoever learned of the push. (The map hands nothing over, so no order is needed among bits.)
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"
#include "kernel/lib/hash.h"

namespace barebpf {

struct BloomFilter : Map {
    host::Atomic<u64>* words = nullptr;
    u32 mask = 0;       // of bit numbers
    u32 functions = 0;  // places of a value
    HashSeed seed{};
};

}  // namespace barebpf
