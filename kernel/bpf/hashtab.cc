// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash maps: creation, the end, and the tables of operations. hashtab.h explains the structure.
#include "kernel/bpf/hashtab.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/bpf/hashtab_make.h"
#include "kernel/bpf/hashtab_of_maps.h"
#include "kernel/bpf/hashtab_walk.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace hashtab {
namespace {

using host::AllocContext;

constexpr u32 kCreateFlags =
    BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | kMapAccessFlags | BPF_F_ZERO_SEED;
// Linux's limit on key and value together: what its kmalloc() gives, less its own element header.
constexpr u64 kElementLimit = kKmallocMaxSize - 48;
// What Linux's allocator of per-CPU memory gives.
constexpr u64 kCpuValueLimit = 32768;
constexpr u32 kNoNode = ~0u;
}  // namespace

Result<void> check_attr(const bpf_attr& attr) {
    const bool lru =
        attr.map_type == BPF_MAP_TYPE_LRU_HASH || attr.map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    if (lru && !host::capable(host::Capability::Bpf)) return Errno::Perm;
    if (attr.map_type == BPF_MAP_TYPE_HASH_OF_MAPS && attr.value_size != sizeof(u32)) {
        return Errno::Inval;  // a descriptor
    }
    if ((attr.map_flags & BPF_F_ZERO_SEED) && !host::capable(host::Capability::SysAdmin)) {
        return Errno::Perm;
    }
    if ((attr.map_flags & ~kCreateFlags) || !map_access_flags_ok(attr.map_flags)) {
        return Errno::Inval;
    }
    const bool cpu_lists = attr.map_flags & BPF_F_NO_COMMON_LRU;
    if (cpu_lists && !lru) return Errno::Inval;  // only LRU maps have lists
    if (lru && (attr.map_flags & BPF_F_NO_PREALLOC)) return Errno::NotSupp;
    const bool percpu = is_percpu_map(attr.map_type);
    const bool on_node = attr.map_flags & BPF_F_NUMA_NODE && attr.numa_node != kNoNode;
    if ((percpu || cpu_lists) && on_node) return Errno::Inval;
    if (attr.max_entries == 0 || attr.key_size == 0 || attr.value_size == 0) return Errno::Inval;
    if (u64{attr.key_size} + attr.value_size >= kElementLimit) return Errno::TooBig;
    if (percpu && align_up(attr.value_size, 8) > kCpuValueLimit) return Errno::TooBig;
    return {};
}

namespace {

// At most 4.5 elements a bucket, so that up to one element of 66 is chained, and more than 2.25: who asks for a power of two
// and some slack does not pay for twice as many lines. A small one has a bucket for each, as on Linux: a batch takes
// whole buckets, and of four most elements of ten are too often in one.
u64 bucket_count_for(u32 max_entries) {
    constexpr u64 kSmall = 16;
    const u64 one_for_each = round_up_to_power_of_two(u64{max_entries});
    const u64 count = round_up_to_power_of_two((u64{max_entries} * 2 + 8) / 9);
    return one_for_each < kSmall ? one_for_each : count < kSmall ? kSmall : count;
}

}  // namespace

bool make_buckets(HashMap* map, u32 max_entries) {
    const u64 count = bucket_count_for(max_entries);
    map->buckets = static_cast<HashBucket*>(
        host::alloc(count * sizeof(HashBucket), AllocContext::MaySleep, map->memory));
    map->bucket_mask = static_cast<u32>(count - 1);
    map->bucket_offset_mask = (count - 1) * sizeof(HashBucket);
    return map->buckets != nullptr;
}

namespace {

// cpu_value_size bytes for each element and CPU, each CPU's apart from the others'.
bool make_cpu_values(HashMap* map, u64 elements) {
    constexpr u64 kLine = 64;
    u64 one_cpu, all;
    if (__builtin_mul_overflow(elements, u64{map->cpu_value_size}, &one_cpu)) return false;
    map->cpu_values_stride = align_up(one_cpu, kLine);
    if (__builtin_mul_overflow(map->cpu_values_stride, u64{host::possible_cpus()}, &all))
        return false;
    void* memory = host::alloc(all, AllocContext::MaySleep, map->memory);
    if (!memory) return false;
    map->cpu_values = static_cast<u8*>(memory) - map->cpu_value_size;  // there is no element 0
    return true;
}

// The last elements are the CPUs' spares.
bool make_spares(HashMap* map, u32 first) {
    if (!map->cpus.create(map->memory)) return false;
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
        for (host::Atomic<u32>& spare : map->cpus.cpu(cpu)->spare) {
            spare.store(first++, Order::Relaxed);
        }
    }
    return true;
}

}  // namespace

bool make_elements(HashMap* map, u32 max_entries, bool in_place) {
    const u64 spares = in_place ? 0 : u64{HashMap::kLevels} * host::possible_cpus();
    const u64 count = max_entries + spares;
    u64 size;
    if (__builtin_mul_overflow(count, u64{map->stride}, &size)) return false;
    u8* memory = static_cast<u8*>(host::alloc(size, AllocContext::MaySleep, map->memory));
    if (!memory) return false;
    map->elements = memory - map->stride;  // there is no element 0
    map->values = map->elements + map->value_offset;
    map->element_count = static_cast<u32>(count);
    if (map->cpu_value_size && !make_cpu_values(map, count)) return false;
    return in_place || make_spares(map, max_entries + 1);
}

bool free_parts(HashMap* map) {
    if (map->on_demand_made && !map->on_demand.try_destroy()) return false;
    map->free_elements.destroy();
    map->limit.destroy();
    map->cpus.destroy();
    if (map->cpu_values) {
        free_in_steps(map->cpu_values + map->cpu_value_size,
                      map->cpu_values_stride * host::possible_cpus(), map->memory);
    }
    if (map->elements) {
        free_in_steps(map->elements + map->stride, size_t{map->element_count} * map->stride,
                      map->memory);
    }
    free_in_steps(map->buckets, (size_t{map->bucket_mask} + 1) * sizeof(HashBucket), map->memory);
    return true;
}

namespace {

// Bytes of the value that stand in the element itself.
u32 inline_value_size(const bpf_attr& attr) {
    if (attr.map_type == BPF_MAP_TYPE_HASH_OF_MAPS) return sizeof(Map*);
    return is_percpu_map(attr.map_type) ? 0 : attr.value_size;
}

bool make_parts(HashMap* map, const bpf_attr& attr) {
    if (!make_buckets(map, attr.max_entries)) return false;
    if (!(attr.map_flags & BPF_F_NO_PREALLOC)) {
        const bool in_place = attr.map_type != BPF_MAP_TYPE_HASH;
        if (!make_elements(map, attr.max_entries, in_place)) return false;
        if (!map->free_elements.create(map->memory)) return false;
        map->free_elements.populate(1, attr.max_entries, Preallocated::links(map));
        return true;
    }
    if (!map->limit.create(attr.max_entries, map->memory)) return false;
    map->on_demand_made =
        map->on_demand.create(map->stride, attr.max_entries, map->memory, map->cpu_value_size);
    return map->on_demand_made;
}

const MapOps* ops_for(const bpf_attr& attr);

}  // namespace

void choose_layout(HashMap* map, const bpf_attr& attr) {
    map->value_offset = static_cast<u32>(value_offset(attr.key_size));
    map->stride = static_cast<u32>(align_up(u64{map->value_offset} + inline_value_size(attr), 8));
    if (is_percpu_map(attr.map_type)) {
        map->cpu_value_size = static_cast<u32>(align_up(attr.value_size, 8));
    }
    map->seed = make_hash_seed(attr.map_flags & BPF_F_ZERO_SEED ? 0 : host::random_u64());
}

namespace {

Result<Map*> create(const bpf_attr& attr) {
    if (attr.max_entries > kMaxEntries) return Errno::TooBig;
    auto* map = new_map<HashMap>();
    if (!map) return Errno::NoMem;
    choose_layout(map, attr);
    if (!make_parts(map, attr)) {
        free_parts(map);  // nothing was freed through on_demand: it cannot say "later"
        delete_map(map);
        return Errno::NoMem;
    }
    map->ops = ops_for(attr);
    return static_cast<Map*>(map);
}

void free(Map* generic) {
    auto* map = static_cast<HashMap*>(generic);
    if (!free_parts(map)) {
        host::call_rcu_process(&map->rcu,
                               [](host::RcuHead* head) { hashtab::free(map_of_rcu_head(head)); });
        return;
    }
    delete_map(map);
}

template <class Storage>
void free_of_maps(Map* generic) {
    drop_inner_maps<Storage>(static_cast<HashMap*>(generic));
    hashtab::free(generic);
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

// What programs call is specialised by key size.
template <u32 kKey, class Storage, class Value>
consteval MapOps common_ops() {
    MapOps ops{};
    ops.check_attr = check_attr;
    ops.create = create;
    ops.free = hashtab::free;
    ops.erase = erase<kKey, Storage, Value>;
    ops.next_key = next_key<Storage>;
    ops.copy_value = copy_value<Storage, Value>;
    ops.batch_commands = kBatchLookup | kBatchLookupAndDelete | kBatchUpdate | kBatchDelete;
    ops.collect_bucket = collect_bucket<Storage, Value>;
    return ops;
}

template <u32 kKey, class Storage>
consteval MapOps of_maps_ops() {
    MapOps ops = common_ops<kAnyKey, Storage, InnerMaps>();  // programs only look up
    ops.free = free_of_maps<Storage>;
    ops.lookup = lookup_inner<kKey, Storage>;
    ops.update_from_user = update_inner<Storage>;
    ops.fd_get = map_in_map_get;
    ops.fd_put = map_in_map_put;
    ops.fd_id = map_in_map_id;
    return ops;
}

template <u32 kKey, class Storage, class Value>
consteval MapOps make_ops() {
    MapOps ops = common_ops<kKey, Storage, Value>();
    ops.lookup = lookup<kKey, Storage, Value>;
    ops.update = update<kKey, Storage, Value>;
    ops.for_each = for_each<Storage, Value>;
    ops.lookup_and_erase = lookup_and_erase<Storage, Value>;
    ops.meta_equal = map_meta_equal;
    if constexpr (SameAs<Value, PerCpuValues>) {
        ops.lookup_percpu = lookup_percpu<Storage>;
        ops.update_from_user = update_from_user<Storage, PerCpuValuesOfUser>;
    }
    return ops;
}
template <u32 kKey, class Storage, class Value>
constexpr MapOps kOps = make_ops<kKey, Storage, Value>();
template <u32 kKey, class Storage>
constexpr MapOps kOps<kKey, Storage, InnerMaps> = of_maps_ops<kKey, Storage>();

// The same for elements in one array, with values of the most common size.
template <u32 kKey, class Storage>
consteval MapOps make_usual_ops() {
    MapOps ops = make_ops<kKey, Storage, Plain>();
    ops.lookup = lookup<kKey, Storage, Plain, true>;
    ops.lookup_shape = kKey == 4   ? LookupShape::Hash4
                       : kKey == 8 ? LookupShape::Hash8
                                   : LookupShape::Hash16;
    return ops;
}
template <u32 kKey>
constexpr MapOps kUsualOps = make_usual_ops<kKey, Preallocated>();

template <u32 kKey, class Storage, class Value>
const MapOps* ops_for_value(const bpf_attr& attr) {
    if constexpr (SameAs<Storage, Preallocated> && SameAs<Value, Plain>) {
        if (has_usual_value(attr.value_size)) return &kUsualOps<kKey>;
    }
    return &kOps<kKey, Storage, Value>;
}

template <class Storage, class Value>
const MapOps* ops_for_key(const bpf_attr& attr) {
    switch (attr.key_size) {
        case 4:
            return ops_for_value<4, Storage, Value>(attr);
        case 8:
            return ops_for_value<8, Storage, Value>(attr);
        case 16:
            return ops_for_value<16, Storage, Value>(attr);
        default:
            return &kOps<0, Storage, Value>;
    }
}

template <class Value>
const MapOps* ops_for_storage(const bpf_attr& attr) {
    return attr.map_flags & BPF_F_NO_PREALLOC ? ops_for_key<OnDemand, Value>(attr)
                                              : ops_for_key<Preallocated, Value>(attr);
}

const MapOps* ops_for(const bpf_attr& attr) {
    switch (attr.map_type) {
        case BPF_MAP_TYPE_PERCPU_HASH:
            return ops_for_storage<PerCpuValues>(attr);
        case BPF_MAP_TYPE_HASH_OF_MAPS:
            return ops_for_storage<InnerMaps>(attr);
        default:
            return ops_for_storage<Plain>(attr);
    }
}

}  // namespace
}  // namespace hashtab

// create() gives a map the table for its key size and storage.
constinit const MapOps kHashMapOps = hashtab::kOps<0, hashtab::Preallocated, hashtab::Plain>;
constinit const MapOps kPerCpuHashMapOps =
    hashtab::kOps<0, hashtab::Preallocated, hashtab::PerCpuValues>;
constinit const MapOps kHashOfMapsMapOps =
    hashtab::kOps<0, hashtab::Preallocated, hashtab::InnerMaps>;

}  // namespace barebpf
