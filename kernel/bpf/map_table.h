// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What bpf(2)'s commands on maps need from map.cc and nobody else does.
#pragma once

#include "kernel/bpf/map.h"

namespace barebpf {

// Gives the map its id; from here on others may find it. NoMem, NoSpc.
Result<void> map_publish(Map* map);
Result<u32> map_next_id(u32 after);  // NoEnt
// Ids start at 1 again, when a world has ended; no map is left.
void map_ids_reset();
void map_ids_forget();  // see forget_world()

// The map, its meta copy and its BTF; no reader and no reference is left.
void map_free(Map* map);

// map_btf.cc: what MAP_CREATE's btf fields ask for, checked and kept; and given back.
Result<void> map_attach_btf(Map* map, const bpf_attr& attr);
void map_detach_btf(Map* map);
void map_info_btf(const Map* map, bpf_map_info* info);

}  // namespace barebpf
