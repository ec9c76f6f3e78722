// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Maps of maps: what their element types share.
//
//     outer (ARRAY_OF_MAPS, HASH_OF_MAPS)
//       inner_meta ──> a plain Map: the fields of the map that MAP_CREATE named in inner_map_fd
//       elements   ──> inner maps, each counted, each like inner_meta
//
// User space writes descriptors and reads ids. A program that looks up an element gets the inner map
// itself, and the verifier checks what it does with it against inner_meta.
//
// The meta copy is never in use itself: it has no values, no id and no descriptor, and is a plain Map
// whatever its type (is_meta). What looks at a map before it runs (emit_lookup, the fix-ups) must take
// from it what is in Map, and read the rest at run time from the map in R1. Its `ops` are those of every
// inner map: a type chooses a special table only by what meta_equal compares.
//
// Lifetime. An element holds a reference (not a user reference, as on Linux). Who drops one need not
// wait: at zero references map_put() frees after a grace period, and a program that found the inner map
// is inside an RCU read section.
#pragma once

#include "kernel/bpf/map.h"

namespace barebpf {

constexpr bool is_map_of_maps(u32 map_type) {
    return map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map_type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

// The meta copy of the map behind a descriptor. BadF; Inval: not a map, or a map of maps itself;
// NotSupp: its type cannot be inside; NoMem. Process context.
Result<Map*> map_meta_alloc(int fd);
void map_meta_free(Map* meta);  // null is fine

// MapOps::meta_equal of types that need no more than Linux's generic rule: type, sizes, flags.
bool map_meta_equal(const Map* meta, const Map* inner);

// MapOps::fd_get, fd_put, fd_id of maps of maps. A map that differs from inner_meta: Inval.
Result<void*> map_in_map_get(Map* outer, int fd);
void map_in_map_put(void* inner);
u32 map_in_map_id(void* inner);

}  // namespace barebpf
