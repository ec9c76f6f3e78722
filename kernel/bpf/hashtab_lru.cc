// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// LRU maps: creation, the end, and the tables of operations. hashtab_lru.h explains the structure.
#include "kernel/bpf/hashtab_lru.h"

#include "kernel/bpf/hashtab_make.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace hashtab {
namespace {

// Each CPU's lists get the same number of elements: as many as it takes to have enough.
u32 entries_for(const bpf_attr& attr) {
    if (!(attr.map_flags & BPF_F_NO_COMMON_LRU)) return attr.max_entries;
    const u64 cpus = host::possible_cpus();
    const u64 rounded = (u64{attr.max_entries} + cpus - 1) / cpus * cpus;
    return static_cast<u32>(rounded >> 32 ? attr.max_entries / cpus * cpus : rounded);
}

const MapOps* lru_ops_for(const bpf_attr& attr);

bool make_lru_parts(LruHashMap* map, const bpf_attr& attr, u32 entries) {
    const bool in_place = attr.map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    const auto flavour = attr.map_flags & BPF_F_NO_COMMON_LRU ? BpfLruList::Flavour::PerCpu
                                                              : BpfLruList::Flavour::Common;
    return make_buckets(map, entries) && make_elements(map, entries, in_place) &&
           map->lru.create(entries, map->element_count, flavour, map->memory);
}

void free_lru(Map* generic) {
    auto* map = static_cast<LruHashMap*>(generic);
    map->lru.destroy();
    free_parts(map);  // nothing waits for a grace period
    delete_map(map);
}

Result<Map*> create_lru(const bpf_attr& attr) {
    const u32 entries = entries_for(attr);
    if (entries > kMaxEntries) return Errno::TooBig;
    auto* map = new_map<LruHashMap>();
    if (!map) return Errno::NoMem;
    choose_layout(map, attr);
    if (!make_lru_parts(map, attr, entries)) {
        free_lru(map);
        return Errno::NoMem;
    }
    map->ops = lru_ops_for(attr);
    map->max_entries = entries;
    return static_cast<Map*>(map);
}

// What programs call is specialised by key size.
template <u32 kKey, class Value>
consteval MapOps make_lru_ops() {
    MapOps ops{};
    ops.check_attr = check_attr;
    ops.create = create_lru;
    ops.free = free_lru;
    ops.lookup = lookup<kKey, Lru, Value>;
    ops.update = update_lru<kKey, Value>;
    ops.erase = erase<kKey, Lru, Value>;
    ops.for_each = for_each<Lru, Value>;
    ops.next_key = next_key<Lru>;
    ops.copy_value = copy_value<Lru, Value>;
    ops.lookup_and_erase = lookup_and_erase<Lru, Value>;
    ops.batch_commands = kBatchLookup | kBatchLookupAndDelete | kBatchUpdate | kBatchDelete;
    ops.collect_bucket = collect_bucket<Lru, Value>;
    ops.meta_equal = map_meta_equal;
    if constexpr (SameAs<Value, PerCpuValues>) {
        ops.lookup_percpu = lookup_percpu<Lru>;
        ops.update_from_user = update_lru_from_user<PerCpuValuesOfUser>;
    }
    return ops;
}
template <u32 kKey, class Value>
constexpr MapOps kLruOps = make_lru_ops<kKey, Value>();

// The same with values of the most common size.
template <u32 kKey>
consteval MapOps make_usual_lru_ops() {
    MapOps ops = make_lru_ops<kKey, Plain>();
    ops.lookup = lookup<kKey, Lru, Plain, true>;
    return ops;
}
template <u32 kKey>
constexpr MapOps kUsualLruOps = make_usual_lru_ops<kKey>();

template <u32 kKey, class Value>
const MapOps* lru_ops_for_value(const bpf_attr& attr) {
    if constexpr (SameAs<Value, Plain>) {
        if (has_usual_value(attr.value_size)) return &kUsualLruOps<kKey>;
    }
    return &kLruOps<kKey, Value>;
}

template <class Value>
const MapOps* lru_ops_for_key(const bpf_attr& attr) {
    switch (attr.key_size) {
        case 4:
            return lru_ops_for_value<4, Value>(attr);
        case 8:
            return lru_ops_for_value<8, Value>(attr);
        case 16:
            return lru_ops_for_value<16, Value>(attr);
        default:
            return &kLruOps<0, Value>;
    }
}

const MapOps* lru_ops_for(const bpf_attr& attr) {
    return attr.map_type == BPF_MAP_TYPE_LRU_HASH ? lru_ops_for_key<Plain>(attr)
                                                  : lru_ops_for_key<PerCpuValues>(attr);
}

}  // namespace
}  // namespace hashtab

// create() gives a map the table for its key size.
constinit const MapOps kLruHashMapOps = hashtab::kLruOps<0, hashtab::Plain>;
constinit const MapOps kLruPerCpuHashMapOps = hashtab::kLruOps<0, hashtab::PerCpuValues>;

}  // namespace barebpf
