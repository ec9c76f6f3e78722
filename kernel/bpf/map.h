// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What every map is, and what a map type provides.
//
// Lifetime. A map is counted twice, as on Linux:
//   refs        anything that needs the memory: descriptors, programs, a running command, pins
//   user_refs   what user space holds (descriptors, pins): when the last goes, release_uref()
//               empties a program array, which breaks the cycle program -> array -> program
// At zero refs the map leaves the id table and is freed from process context after a grace period,
// so that lookups need no reference: programs hold the RCU read side while they run.
//
// Contexts. lookup, update, erase, push, pop, peek are called by programs: any context, NMI
// included, inside an RCU read section, pinned to a CPU. They return 64-bit values because compiled
// programs call them directly and read the whole register. Everything else is called from process
// context.
#pragma once

#include "kernel/bpf/map_refs.h"
#include "kernel/host/contract.h"
#include "kernel/lib/result.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

struct Map;
struct Btf;
class TextBuffer;

// Whom for_each() shows the elements of a map to. A value may be written through.
struct ElementVisitor {
    // False: no more.
    bool (*visit)(ElementVisitor* self, const void* key, void* value);
};

// Room for the elements of one bucket, and what collect_bucket() put there: keys and values side by
// side in arrays, key_size and value_size_for_user() bytes each.
struct CollectedBucket {
    u8* keys;
    u8* values;
    u32 capacity;  // elements
    u32 count;     // set: found; more than capacity: nothing was copied or erased
};

// Which batch commands a map type has, and how: element by element through the operations below,
// or, where it has collect_bucket(), bucket by bucket for both kinds of look-up.
enum BatchCommands : u8 {
    kBatchNone = 0,
    kBatchLookup = 1,
    kBatchLookupAndDelete = 2,
    kBatchUpdate = 4,
    kBatchDelete = 8,
};

// How a type's lookup() goes for most keys, where compilers may write that out in place of a call (lookup_layout.h); it is
// called for the others.
enum class LookupShape : u8 {
    Call,  // always called
    Hash4,
    Hash8,
    Hash16,  // preallocated hash: bytes of the key; values of at most eight bytes
    Lpm4,    // LPM trie with keys of four bytes, values of at most eight
};

struct MapOps {
    // Refuses a MAP_CREATE that this type cannot serve, in Linux's order of checks; allocates
    // nothing.
    Result<void> (*check_attr)(const bpf_attr& attr);
    // The generic fields are filled by the caller from attr afterwards (map_init_from_attr()). It
    // may set map->ops to a table made for this key size; what programs call is map->ops->lookup
    // and so on, never the table of the type.
    Result<Map*> (*create)(const bpf_attr& attr);
    // No reader is left. Frees in steps when there is much to free.
    void (*free)(Map* map);

    // -- called by programs; s64 results are 0 or -errno --
    void* (*lookup)(Map* map, const void* key);  // null: no such element
    LookupShape lookup_shape;
    s64 (*update)(Map* map, const void* key, const void* value, u64 flags);
    s64 (*erase)(Map* map, const void* key);
    s64 (*push)(Map* map, const void* value, u64 flags);
    s64 (*pop)(Map* map, void* value);
    s64 (*peek)(Map* map, void* value);
    // The value of that CPU, any of the possible ones. Null: no such element, or no such CPU.
    void* (*lookup_percpu)(Map* map, const void* key, u32 cpu);
    // Shows elements until the visitor has enough; their number. Each that is there from the beginning
    // to the end is shown once, whatever others (or the visitor) insert and delete meanwhile.
    s64 (*for_each)(Map* map, ElementVisitor* visitor);

    // -- called by bpf(2) --
    // key may be null: the first key. -ENOENT after the last one.
    s64 (*next_key)(Map* map, const void* key, void* next_key);
    // Null: bpf(2) copies from lookup(). Otherwise the type's own way (per-CPU values, program
    // ids). value has value_size_for_user(map) bytes.
    s64 (*copy_value)(Map* map, const void* key, void* value, u64 flags);
    // Null: update() under a pin and a read section does.
    s64 (*update_from_user)(Map* map, const void* key, const void* value, u64 flags);
    s64 (*lookup_and_erase)(Map* map, const void* key, void* value, u64 flags);
    u8 batch_commands;  // BatchCommands, or-ed
    // Buckets are numbered from 0; -ENOENT behind the last. Copies all elements of one, and erases
    // them if told to, in one step: nobody sees the bucket half emptied.
    s64 (*collect_bucket)(Map* map, u32 bucket, bool erase, u64 flags, CollectedBucket* out);

    // -- for types whose values are descriptors (program arrays, maps of maps) --
    Result<void*> (*fd_get)(Map* map, int fd);  // the object, counted, or why not
    void (*fd_put)(void* object);
    u32 (*fd_id)(void* object);
    void (*release_uref)(Map* map);

    // -- for the verifier and the compilers --
    // Instructions that look up (R1 map, R2 key -> R0 value or null) without a call; their number,
    // or 0.
    u32 (*emit_lookup)(const Map* map, bpf_insn* out, u32 capacity);
    // They give null only by a jump behind their last one, or to "r0 = 0" behind "goto +1" at their end.
    bool null_by_jump;
    // The address of value bytes [offset, ...) of a map usable by BPF_PSEUDO_MAP_VALUE (.rodata,
    // .data).
    Result<u64> (*direct_value)(const Map* map, u32 offset);
    // Whether inner may stand in for the template of a map of maps.
    bool (*meta_equal)(const Map* meta, const Map* inner);

    Result<host::MmapPages> (*mmap)(Map* map, const host::MmapRequest& request);
    u32 (*poll)(Map* map);
    // What poll() changes are announced on; null where they never are.
    host::WaitQueue* (*wait_queue)(Map* map);
    // Lines that only this type has, after the common ones.
    void (*show_fdinfo)(const Map* map, TextBuffer* out);
};

inline constexpr u32 kObjectNameLength = BPF_OBJ_NAME_LEN;

// The generic head of each map; a type derives from it (struct HashMap : Map).
struct Map : host::FileObject {
    const MapOps* ops = nullptr;
    u32 type = 0;  // enum bpf_map_type
    u32 key_size = 0;
    u32 value_size = 0;
    u32 max_entries = 0;
    u32 flags = 0;  // BPF_F_*
    u32 id =
        0;  // 0: never in the table; stays when the map has left it, for those who still look at it
    u64 extra = 0;
    char name[kObjectNameLength] = {};

    u32 btf_key_type_id = 0;
    u32 btf_value_type_id = 0;
    Btf* btf = nullptr;         // counted; null without BTF
    s32 spin_lock_offset = -1;  // of a bpf_spin_lock in the value
    s32 timer_offset = -1;
    Map* inner_meta = nullptr;  // maps of maps: what every inner map is like (map_in_map.h)
    bool is_meta = false;       // is such a copy itself: no values, no id, a plain Map

    bool bypass_spec_v1 = true;  // arrays: the creator has CAP_PERFMON, indices need no mask
    MapRefs refs;
    host::Atomic<u32> user_refs{};

    host::MemoryOwner memory;  // what memlock reports, this struct included
    host::RcuHead rcu;
};

// The operations for a map type, or null when it is not built: bpf(2) then fails as an older kernel
// does.
const MapOps* map_ops(u32 map_type);

void map_get(Map* map);  // refs
void map_put(Map* map);
void map_get_with_uref(Map* map);  // refs and user_refs
void map_put_with_uref(Map* map);
// A counted reference from a descriptor. mode tells what bpf(2) may do through it.
struct MapRef {
    Map* map;
    host::FileMode mode;
};
Result<MapRef> map_get_by_fd(int fd);
// The same to write through it: *writing: it is not frozen and stays so until map_put_writing(), in place of map_put().
Result<MapRef> map_get_by_fd_to_write(int fd, bool* writing);
void map_put_writing(Map* map);
Result<Map*> map_get_by_id(u32 id);  // counted; NoEnt

// Copies the generic fields of a MAP_CREATE into a fresh map.
void map_init_from_attr(Map* map, const MapOps* ops, const bpf_attr& attr);

// Bytes of a value as bpf(2) passes it: per-CPU types carry one 8-byte-aligned value for each CPU.
u32 value_size_for_user(const Map* map);
bool is_percpu_map(u32 map_type);

}  // namespace barebpf
