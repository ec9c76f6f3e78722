// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/bloom_filter.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/host/cred.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::Order;

constexpr u32 kCreateFlags = BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | kMapAccessFlags;
constexpr u64 kFunctionBits = 15;  // of map_extra
constexpr u32 kDefaultFunctions = 5;

Result<void> check_attr(const bpf_attr& attr) {
    if (attr.value_size > kKmallocMaxSize) return Errno::TooBig;
    if (!host::capable(host::Capability::Bpf)) return Errno::Perm;
    const bool ok = attr.key_size == 0 && attr.value_size != 0 && attr.max_entries != 0 &&
                    !(attr.map_flags & ~kCreateFlags) && map_access_flags_ok(attr.map_flags) &&
                    !(attr.map_extra & ~kFunctionBits);
    return ok ? Result<void>{} : Errno::Inval;
}

// 1 / ln 2 is about 7 / 5: half of the bits are set when the filter is full. Beyond 32 bits of bit numbers
// it stays at those.
u64 bit_count(u32 entries, u32 functions) {
    constexpr u64 kMost = u64{1} << 32;
    const u64 wanted = u64{entries} * functions;
    if (wanted > ~u32{0} || wanted * 7 / 5 > ~u32{0} / 2 + 1) return kMost;
    return wanted * 7 / 5 <= 64 ? 64 : round_up_to_power_of_two(wanted * 7 / 5);
}

size_t byte_count(const BloomFilter* map) {
    return (size_t{map->mask} + 1) / 8;
}

void free(Map* generic) {
    auto* map = static_cast<BloomFilter*>(generic);
    free_in_steps(map->words, byte_count(map), map->memory);
    delete_map(map);
}

Result<Map*> create(const bpf_attr& attr) {
    auto* map = new_map<BloomFilter>();
    if (!map) return Errno::NoMem;
    map->functions = attr.map_extra ? static_cast<u32>(attr.map_extra) : kDefaultFunctions;
    map->mask = static_cast<u32>(bit_count(attr.max_entries, map->functions) - 1);
    map->seed = make_hash_seed(attr.map_flags & BPF_F_ZERO_SEED ? 0 : host::random_u64());
    map->words = static_cast<host::Atomic<u64>*>(
        host::alloc(byte_count(map), host::AllocContext::MaySleep, map->memory));
    if (!map->words) {
        delete_map(map);
        return Errno::NoMem;
    }
    return static_cast<Map*>(map);
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

ALWAYS_INLINE u64 hash_of(const BloomFilter* map, const void* value) {
    switch (map->value_size) {
        case 4:
            return hash_key<4>(value, 4, map->seed);
        case 8:
            return hash_key<8>(value, 8, map->seed);
        case 16:
            return hash_key<16>(value, 16, map->seed);
        default:
            return hash_key<0>(value, map->value_size, map->seed);
    }
}

// place(word, bit) for each place of the value, as long as it says true.
template <class Place>
ALWAYS_INLINE bool all_places(const BloomFilter* map, const void* value, Place place) {
    const u64 hash = hash_of(map, value);
    u32 at = static_cast<u32>(hash);
    const u32 step = static_cast<u32>(hash >> 32) | 1;
    for (u32 i = map->functions; i; --i, at += step) {
        const u32 bit = at & map->mask;
        if (!place(map->words[bit / 64], u64{1} << bit % 64)) return false;
    }
    return true;
}

s64 push(Map* map, const void* value, u64 flags) {
    if (flags != BPF_ANY) return -to_int(Errno::Inval);
    all_places(static_cast<BloomFilter*>(map), value, [](host::Atomic<u64>& word, u64 bit) {
        if (!(word.load(Order::Relaxed) & bit)) word.fetch_or(bit, Order::Relaxed);
        return true;
    });
    return 0;
}

s64 peek(Map* map, void* value) {
    const bool there = all_places(
        static_cast<BloomFilter*>(map), value,
        [](host::Atomic<u64>& word, u64 bit) { return (word.load(Order::Relaxed) & bit) != 0; });
    return there ? 0 : -to_int(Errno::NoEnt);
}

}  // namespace

constinit const MapOps kBloomFilterMapOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free,
    .erase = [](Map*, const void*) -> s64 { return -to_int(Errno::OpNotSupp); },
    .push = push,
    .pop = [](Map*, void*) -> s64 { return -to_int(Errno::OpNotSupp); },
    .peek = peek,
    .next_key = [](Map*, const void*, void*) -> s64 { return -to_int(Errno::OpNotSupp); },
    .copy_value = [](Map* map, const void*, void* value, u64) -> s64 { return peek(map, value); },
    .update_from_user = [](Map* map, const void*, const void* value, u64 flags) -> s64 {
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        return push(map, value, flags);
    },
    .meta_equal = map_meta_equal,
};

}  // namespace barebpf
