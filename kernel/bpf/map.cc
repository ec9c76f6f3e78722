// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of a map, whatever its type: references, id, descriptor, freezing. map.h has the rules.
#include "kernel/bpf/map.h"

#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_table.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/refcount.h"
#include "kernel/host/fd.h"
#include "kernel/lib/bits.h"
#include "kernel/lib/id_table.h"
#include "kernel/lib/list.h"
#include "kernel/lib/text.h"

namespace barebpf {
namespace {

using host::Order;

constinit IdTable<Map> map_ids;
// Structs of maps; each map's figure contains its own.
constinit host::MemoryOwner map_structs;

Map* map_of(host::FileObject* object) {
    return static_cast<Map*>(object);
}

// ── As a descriptor ───────────────────────────────────────────────────────────────────────────

void show_fdinfo(host::FileObject* object, TextBuffer* out) {
    const Map* map = map_of(object);
    out->print("map_type:\t", map->type, "\nkey_size:\t", map->key_size, "\nvalue_size:\t",
               map->value_size, "\nmax_entries:\t", map->max_entries, "\nmap_flags:\t",
               hex(map->flags), "\nmap_extra:\t", hex(map->extra), "\nmemlock:\t",
               map->memory.bytes(), "\nmap_id:\t", map->id, "\nfrozen:\t", map->refs.is_frozen(),
               "\n");
    if (map->ops->show_fdinfo) map->ops->show_fdinfo(map, out);
}

// The generic conditions of a mapping, before the type's own; the order is Linux's.
Result<host::MmapPages> mmap_map(host::FileObject* object, const host::MmapRequest& request) {
    Map* map = map_of(object);
    if (request.executable) return Errno::Perm;  // anonymous inodes live on a noexec mount
    if (!map->ops->mmap || map->spin_lock_offset >= 0 || map->timer_offset >= 0) {
        return Errno::NotSupp;
    }
    if (!request.shared) return Errno::Inval;
    if (request.writable) {
        if (map->refs.is_frozen()) return Errno::Perm;
        // What programs must find constant may not change behind the verifier's back.
        if (map->flags & BPF_F_RDONLY_PROG) return Errno::Acces;
        if (!map->refs.start_writing()) return Errno::Perm;
    }
    auto pages = map->ops->mmap(map, request);
    if (!pages) {
        if (request.writable) map->refs.stop_writing();
        return pages.error();
    }
    map_get(map);  // until munmapped()
    return pages;
}

void munmapped_map(host::FileObject* object, const host::MmapRequest& request) {
    if (request.writable) map_of(object)->refs.stop_writing();
    map_put(map_of(object));
}

u32 poll_map(host::FileObject* object) {
    Map* map = map_of(object);
    constexpr u32 kPollError = 0x8;  // POLLERR, as Linux answers where there is nothing to poll
    return map->ops->poll ? map->ops->poll(map) : kPollError;
}

host::WaitQueue* wait_queue_of_map(host::FileObject* object) {
    Map* map = map_of(object);
    return map->ops->wait_queue ? map->ops->wait_queue(map) : nullptr;
}

constexpr host::FileOps kMapFileOps = {
    .kind = host::FileKind::Map,
    .name = "bpf-map",
    .release = [](host::FileObject* object) { map_put_with_uref(map_of(object)); },
    .show_fdinfo = show_fdinfo,
    .mmap = mmap_map,
    .munmapped = munmapped_map,
    .poll = poll_map,
    .wait_queue = wait_queue_of_map,
};

}  // namespace

// ── References ────────────────────────────────────────────────────────────────────────────────

namespace {

void last_reference_gone(Map* map) {
    map_ids.erase(map->id);
    host::call_rcu_process(&map->rcu, [](host::RcuHead* head) { map_free(map_of_rcu_head(head)); });
}

}  // namespace

void map_get(Map* map) {
    map->refs.get();
}

void map_put(Map* map) {
    if (map->refs.put()) last_reference_gone(map);
}

void map_put_writing(Map* map) {
    if (map->refs.put_writing()) last_reference_gone(map);
}

void map_free(Map* map) {
    map_meta_free(map->inner_meta);
    map_detach_btf(map);
    map->ops->free(map);
}

void map_get_with_uref(Map* map) {
    map_get(map);
    ref_get(map->user_refs);
}

void map_put_with_uref(Map* map) {
    if (ref_put(map->user_refs) && map->ops->release_uref) map->ops->release_uref(map);
    map_put(map);
}

Result<MapRef> map_get_by_fd(int fd) {
    constexpr auto kTake = [](Map* map) { map->refs.get(); };
    const host::FileRef ref = TRY((object_from_fd<Map, host::FileKind::Map, kTake>(fd)));
    return MapRef{map_of(ref.object), ref.mode};
}

Result<MapRef> map_get_by_fd_to_write(int fd, bool* writing) {
    constexpr auto kTake = [](Map* map) { map->refs.get_writing(); };
    const host::FileRef ref = TRY((object_from_fd<Map, host::FileKind::Map, kTake>(fd)));
    Map* map = map_of(ref.object);
    *writing = !map->refs.is_frozen();
    if (!*writing) map->refs.stop_writing();
    return MapRef{map, ref.mode};
}

Result<Map*> map_get_by_id(u32 id) {
    Map* map = map_ids.find(id, [](Map* found) { return found->refs.get_unless_zero(); });
    if (!map) return Errno::NoEnt;
    return map;
}

// ── Ids ───────────────────────────────────────────────────────────────────────────────────────

Result<void> map_publish(Map* map) {
    return map_ids.insert(map);
}

Result<u32> map_next_id(u32 after) {
    return map_ids.next_id(after);
}

void map_ids_reset() {
    map_ids.reset();
}
void map_ids_forget() {
    map_ids.forget();
}

// ── Making ────────────────────────────────────────────────────────────────────────────────────

void* alloc_map_struct(size_t size) {
    return host::alloc(size, host::AllocContext::MaySleep, map_structs);
}

void free_map_struct(void* map, size_t size) {
    host::free(map, size, map_structs);
}

Map* map_of_rcu_head(host::RcuHead* head) {
    return detail::container<Map, host::RcuHead, &Map::rcu>(head);
}

void map_init_from_attr(Map* map, const MapOps* ops, const bpf_attr& attr) {
    map->file_ops = &kMapFileOps;
    if (!map->ops) map->ops = ops;
    map->type = attr.map_type;
    map->key_size = attr.key_size;
    map->value_size = attr.value_size;
    if (!map->max_entries) map->max_entries = attr.max_entries;  // unless create() rounded it
    // The access mode is the descriptor's, not the map's.
    map->flags = attr.map_flags & ~u32{BPF_F_RDONLY | BPF_F_WRONLY};
    map->extra = attr.map_extra;
    map->refs.start();
    map->user_refs.store(1, Order::Relaxed);
}

const MapOps* map_ops(u32 map_type) {
    switch (map_type) {
        case BPF_MAP_TYPE_HASH:
            return &kHashMapOps;
        case BPF_MAP_TYPE_PERCPU_HASH:
            return &kPerCpuHashMapOps;
        case BPF_MAP_TYPE_HASH_OF_MAPS:
            return &kHashOfMapsMapOps;
        case BPF_MAP_TYPE_LRU_HASH:
            return &kLruHashMapOps;
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
            return &kLruPerCpuHashMapOps;
        case BPF_MAP_TYPE_ARRAY:
            return &kArrayMapOps;
        case BPF_MAP_TYPE_PROG_ARRAY:
            return &kProgArrayMapOps;
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
            return &kArrayOfMapsOps;
        case BPF_MAP_TYPE_PERCPU_ARRAY:
            return &kPercpuArrayMapOps;
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
            return &kPerfEventArrayMapOps;
        case BPF_MAP_TYPE_CGROUP_ARRAY:
            return &kCgroupArrayMapOps;
        case BPF_MAP_TYPE_LPM_TRIE:
            return &kLpmTrieMapOps;
        case BPF_MAP_TYPE_QUEUE:
            return &kQueueMapOps;
        case BPF_MAP_TYPE_STACK:
            return &kStackMapOps;
        case BPF_MAP_TYPE_BLOOM_FILTER:
            return &kBloomFilterMapOps;
        case BPF_MAP_TYPE_STACK_TRACE:
            return &kStackTraceMapOps;
        case BPF_MAP_TYPE_RINGBUF:
            return &kRingbufMapOps;
        case BPF_MAP_TYPE_USER_RINGBUF:
            return &kUserRingbufMapOps;
        default:
            return nullptr;
    }
}

// ── Facts ─────────────────────────────────────────────────────────────────────────────────────

bool is_percpu_map(u32 map_type) {
    switch (map_type) {
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
            return true;
        default:
            return false;
    }
}

u32 value_size_for_user(const Map* map) {
    if (!is_percpu_map(map->type)) return map->value_size;
    return static_cast<u32>(align_up(map->value_size, 8)) * host::possible_cpus();
}

}  // namespace barebpf
