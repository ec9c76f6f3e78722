// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers on maps: what stands behind the prototypes in helpers.cc.
//
// Where the verifier knows the map, the fix-ups call its operation directly, or write instructions
// instead; these are for call sites that meet several maps, and for maps inside maps.
//
// Contexts: any in which a program runs. The lock of a value is held with interrupts off, never
// across another helper call (the verifier sees to it), and never waited for in an NMI that
// interrupted its holder, because no program type that runs there is offered it.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

u64 map_lookup_elem(u64 map, u64 key, u64, u64, u64);
u64 map_update_elem(u64 map, u64 key, u64 value, u64 flags, u64);
u64 map_delete_elem(u64 map, u64 key, u64, u64, u64);
u64 map_push_elem(u64 map, u64 value, u64 flags, u64, u64);
u64 map_pop_elem(u64 map, u64 value, u64, u64, u64);
u64 map_peek_elem(u64 map, u64 value, u64, u64, u64);
u64 map_lookup_percpu_elem(u64 map, u64 key, u64 cpu, u64, u64);

u64 spin_lock(u64 lock, u64, u64, u64, u64);
u64 spin_unlock(u64 lock, u64, u64, u64, u64);

// callback(map, key, value, context) for each element until it returns 1; how many times.
u64 for_each_map_elem(u64 map, u64 callback, u64 context, u64 flags, u64);
// callback(index, context) for 0..count-1 until it returns 1; how many times.
u64 loop(u64 count, u64 callback, u64 context, u64 flags, u64);

}  // namespace barebpf
