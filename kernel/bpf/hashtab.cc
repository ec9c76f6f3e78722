// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash map: creation, iteration, the end, and the operations by key size. hashtab.h explains the
// structure.
#include "kernel/bpf/hashtab.h"

#include "kernel/bpf/hashtab_lookup.h"
#include "kernel/bpf/hashtab_update.h"
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
// Beyond this Linux's bucket array passes 2^32 bytes.
constexpr u32 kMaxEntries = 1u << 27;

Result<void> check_attr(const bpf_attr& attr) {
    if ((attr.map_flags & BPF_F_ZERO_SEED) && !host::capable(host::Capability::SysAdmin)) {
        return Errno::Perm;
    }
    if ((attr.map_flags & ~kCreateFlags) || !map_access_flags_ok(attr.map_flags)) {
        return Errno::Inval;
    }
    if (attr.map_flags & BPF_F_NO_COMMON_LRU) return Errno::Inval;  // only LRU maps have lists
    if (attr.max_entries == 0 || attr.key_size == 0 || attr.value_size == 0) return Errno::Inval;
    if (u64{attr.key_size} + attr.value_size >= kElementLimit) return Errno::TooBig;
    return {};
}

// An eighth of the slots of a half-full table: between two and four elements a bucket.
u64 bucket_count_for(u32 max_entries) {
    return round_up_to_power_of_two((u64{max_entries} + 3) / 4);
}

bool make_buckets(HashMap* map, u64 count) {
    map->buckets = static_cast<HashBucket*>(
        host::alloc(count * sizeof(HashBucket), AllocContext::MaySleep, map->memory));
    map->bucket_mask = static_cast<u32>(count - 1);
    return map->buckets != nullptr;
}

// Elements 1..max_entries are free; the rest are the CPUs' spares.
bool make_elements(HashMap* map, u32 max_entries) {
    const u32 cpus = host::possible_cpus();
    const u64 count = u64{max_entries} + u64{HashMap::kLevels} * cpus;
    u64 size;
    if (__builtin_mul_overflow(count, u64{map->stride}, &size)) return false;
    u8* memory = static_cast<u8*>(host::alloc(size, AllocContext::MaySleep, map->memory));
    if (!memory) return false;
    map->elements = memory - map->stride;  // there is no element 0
    map->element_count = static_cast<u32>(count);
    if (!map->free_elements.create(map->memory) || !map->cpus.create(map->memory)) return false;
    map->free_elements.populate(1, max_entries, Preallocated::links(map));
    for (u32 cpu = 0; cpu < cpus; ++cpu) {
        for (u32 level = 0; level < HashMap::kLevels; ++level) {
            map->cpus.cpu(cpu)->spare[level].store(max_entries + 1 + cpu * HashMap::kLevels + level,
                                                   Order::Relaxed);
        }
    }
    return true;
}

const MapOps* ops_for(u32 key_size, bool on_demand);

bool make_parts(HashMap* map, const bpf_attr& attr) {
    if (!make_buckets(map, bucket_count_for(attr.max_entries))) return false;
    if (!(attr.map_flags & BPF_F_NO_PREALLOC)) return make_elements(map, attr.max_entries);
    map->on_demand_made = map->on_demand.create(map->stride, attr.max_entries, map->memory);
    return map->on_demand_made;
}

// Whether all is freed; false while a batch of freed elements waits for its grace period.
bool free_parts(HashMap* map) {
    if (map->on_demand_made && !map->on_demand.try_destroy()) return false;
    map->free_elements.destroy();
    map->cpus.destroy();
    if (map->elements) {
        host::free(map->elements + map->stride, size_t{map->element_count} * map->stride,
                   map->memory);
    }
    host::free(map->buckets, (size_t{map->bucket_mask} + 1) * sizeof(HashBucket), map->memory);
    return true;
}

Result<Map*> create(const bpf_attr& attr) {
    if (attr.max_entries > kMaxEntries) return Errno::TooBig;
    auto* map = new_map<HashMap>();
    if (!map) return Errno::NoMem;
    map->stride = static_cast<u32>(align_up(value_offset(attr.key_size) + attr.value_size, 8));
    map->value_offset = static_cast<u32>(value_offset(attr.key_size));
    map->seed = make_hash_seed(attr.map_flags & BPF_F_ZERO_SEED ? 0 : host::random_u64());
    if (!make_parts(map, attr)) {
        free_parts(map);  // nothing was freed through on_demand: it cannot say "later"
        delete_map(map);
        return Errno::NoMem;
    }
    map->ops = ops_for(attr.key_size, attr.map_flags & BPF_F_NO_PREALLOC);
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

// ── Iteration ─────────────────────────────────────────────────────────────────────────────────

template <class Storage>
bool first_in_bucket(const HashMap* map, HashBucket* bucket, void* key) REQUIRES(bucket->lock) {
    const u64 used = bucket->tags.load(Order::Relaxed) & kTagUsed;
    const u32 index = used ? bucket->slots[first_byte(used)].load(Order::Relaxed)
                           : bucket->overflow.load(Order::Relaxed);
    if (index == 0) return false;
    load_key(map, key, Storage::at(map, index));
    return true;
}

template <class Storage>
s64 first_key_from(HashMap* map, u64 number, void* key) {
    for (; number <= map->bucket_mask; ++number) {
        HashBucket* bucket = &map->buckets[number];
        if (bucket->tags.load(Order::Relaxed) == 0 && bucket->overflow.load(Order::Relaxed) == 0) {
            continue;
        }
        host::Guard<HashBucket::Lock, host::IrqSave> guard(bucket->lock);
        if (first_in_bucket<Storage>(map, bucket, key)) return 0;
    }
    return -to_int(Errno::NoEnt);
}

// What comes after a place in its bucket; 0 when nothing does.
template <class Storage>
u32 successor(const HashMap* map, HashBucket* bucket, const Place& place) REQUIRES(bucket->lock) {
    if (place.slot == HashBucket::kSlots) {
        return link_of(Storage::at(map, place.index)).load(Order::Relaxed);
    }
    const u64 used = bucket->tags.load(Order::Relaxed) & kTagUsed;
    const u64 after = place.slot == HashBucket::kSlots - 1 ? 0 : ~u64{0} << (place.slot + 1) * 8;
    if (used & after) return bucket->slots[first_byte(used & after)].load(Order::Relaxed);
    return bucket->overflow.load(Order::Relaxed);
}

// MapOps::next_key. Elements stay in their place until they are deleted or replaced, so a walk
// meets every key that is there from its beginning to its end, whatever else comes and goes. A key
// that has gone starts the walk again, as on Linux.
template <u32 kKey, class Storage>
s64 next_key(Map* generic, const void* key, void* next) {
    auto* map = static_cast<HashMap*>(generic);
    if (!key) return first_key_from<Storage>(map, 0, next);
    const Hashed where = hash_to_bucket<kKey>(map, key);
    u64 from = 0;
    {
        host::Guard<HashBucket::Lock, host::IrqSave> guard(where.bucket->lock);
        const Place place = find_locked<kKey, Storage>(map, where.bucket, where.tag, key);
        if (place.name) {
            const u32 index = successor<Storage>(map, where.bucket, place);
            if (index) {
                load_key(map, next, Storage::at(map, index));
                return 0;
            }
            from = static_cast<u64>(where.bucket - map->buckets) + 1;
        }
    }
    return first_key_from<Storage>(map, from, next);
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

template <u32 kKey, class Storage>
constexpr MapOps kOps = {
    .check_attr = check_attr,
    .create = create,
    .free = hashtab::free,
    .lookup = lookup<kKey, Storage>,
    .update = update<kKey, Storage>,
    .erase = erase<kKey, Storage>,
    .next_key = next_key<kKey, Storage>,
    .copy_value = copy_value<kKey, Storage>,
    .lookup_and_erase = lookup_and_erase<kKey, Storage>,
    .meta_equal = map_meta_equal,
};

template <class Storage>
const MapOps* ops_for_key(u32 key_size) {
    switch (key_size) {
        case 4:
            return &kOps<4, Storage>;
        case 8:
            return &kOps<8, Storage>;
        case 16:
            return &kOps<16, Storage>;
        default:
            return &kOps<0, Storage>;
    }
}

const MapOps* ops_for(u32 key_size, bool on_demand) {
    return on_demand ? ops_for_key<OnDemand>(key_size) : ops_for_key<Preallocated>(key_size);
}

}  // namespace
}  // namespace hashtab

constinit const MapOps kHashMapOps = hashtab::kOps<0, hashtab::Preallocated>;

}  // namespace barebpf
