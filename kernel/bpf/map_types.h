// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the map types share, and where each one's operations are. map.h is for everybody else.
#pragma once

#include "kernel/bpf/map.h"

namespace barebpf {

// One table for each type that is built; create() may give a map a more special one.
extern const MapOps kArrayMapOps;
extern const MapOps kArrayOfMapsOps;
extern const MapOps kCgroupArrayMapOps;
extern const MapOps kPercpuArrayMapOps;
extern const MapOps kPerfEventArrayMapOps;
extern const MapOps kProgArrayMapOps;
extern const MapOps kHashMapOps;
extern const MapOps kPerCpuHashMapOps;
extern const MapOps kHashOfMapsMapOps;
extern const MapOps kLruHashMapOps;
extern const MapOps kLruPerCpuHashMapOps;
extern const MapOps kLpmTrieMapOps;
extern const MapOps kQueueMapOps;
extern const MapOps kStackMapOps;
extern const MapOps kBloomFilterMapOps;
extern const MapOps kStackTraceMapOps;
extern const MapOps kRingbufMapOps;
extern const MapOps kUserRingbufMapOps;

// The largest block that Linux's kmalloc() gives: the limit behind several E2BIG.
inline constexpr u64 kKmallocMaxSize = u64{1} << 22;

inline constexpr u32 kMapAccessFlags =
    BPF_F_RDONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY | BPF_F_WRONLY_PROG;

constexpr bool map_access_flags_ok(u32 flags) {
    constexpr u32 kBoth = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
    return (flags & kBoth) != kBoth;
}

// The memory of a map's own struct. It cannot have that map for its owner, which is part of it; the
// figure in Map::memory contains it all the same.
void* alloc_map_struct(size_t size);
void free_map_struct(void* map, size_t size);

template <class T>
T* new_map() {
    void* memory = alloc_map_struct(sizeof(T));
    if (!memory) return nullptr;
    T* map = construct_at<T>(memory);
    map->memory.charge(sizeof(T));
    return map;
}
template <class T>
void delete_map(T* map) {
    map->~T();
    free_map_struct(map, sizeof(T));
}

Map* map_of_rcu_head(host::RcuHead* head);

}  // namespace barebpf
