// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the part of the core that the explorer compiles names and no scenario uses.
#include "kernel/bpf/map_table.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {

constinit const MapOps kCgroupArrayMapOps = {};
constinit const MapOps kPerfEventArrayMapOps = {};
constinit const MapOps kProgArrayMapOps = {};

void map_detach_btf(Map*) {}

}  // namespace barebpf
