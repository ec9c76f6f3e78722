// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Array of perf events: fd_array.h is its layout, perf_event.h what is inside. User space puts events in by
// descriptor; nobody can read a slot; programs write records to the events.
//
// The slots are emptied when the last descriptor of the map goes, unless BPF_F_PRESERVE_ELEMS was asked for.
//
// Locking: none. A writer's acquire in get() pairs with the exchange that put the event in. Who takes one out, be it
// while programs write, drops its reference: the event is freed after a grace period, and a writer is inside an RCU
// read section. How writers on one event nest: perf_event.h.
//
// Tests: perf_event_test.cc, perf_event_torture_test.cc; what can be made, against Linux: map_create_kernel_test.cc.
#include "kernel/bpf/array_common.h"
#include "kernel/bpf/fd_array.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/perf_event.h"

namespace barebpf {
namespace {

Result<void> check_attr(const bpf_attr& attr) {
    return fd_array_check_attr(attr, BPF_F_PRESERVE_ELEMS);
}

Result<void*> get_event(Map*, int fd) {
    return static_cast<void*>(TRY(perf_event_get_by_fd(fd)));
}

void put_event(void* event) {
    perf_event_put(static_cast<PerfEvent*>(event));
}

void release_uref(Map* map) {
    if (!(map->flags & BPF_F_PRESERVE_ELEMS)) fd_array_empty(map);
}

}  // namespace

s64 perf_event_array_output(Map* map, u32 index, const PerfPayload& payload) {
    if (index == static_cast<u32>(BPF_F_CURRENT_CPU)) index = host::cpu_id();
    if (UNLIKELY(index >= map->max_entries)) return -to_int(Errno::TooBig);
    auto* event = static_cast<PerfEvent*>(static_cast<FdArray*>(map)->get(index));
    return event ? perf_event_output(event, payload) : -to_int(Errno::NoEnt);
}

constinit const MapOps kPerfEventArrayMapOps = {
    .check_attr = check_attr,
    .create = fd_array_create,
    .free = fd_array_free,
    .erase = fd_array_erase,
    .next_key = array_next_key,
    .copy_value = fd_array_copy_value,
    .update_from_user = fd_array_update,
    .fd_get = get_event,
    .fd_put = put_event,
    .release_uref = release_uref,
    .meta_equal = map_meta_equal,
};

}  // namespace barebpf
