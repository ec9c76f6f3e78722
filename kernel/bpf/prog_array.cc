// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Program array: what tail calls jump to. User space puts programs in by descriptor and reads their
// ids; programs only jump. A slot holds a reference.
//
// When the last descriptor (or pin) goes, the slots are emptied: a program that uses the array
// keeps it alive, and an array that kept that program alive too would stay for ever.
//
// Locking: none. A slot changes by one exchange (release: pairs with prog_array_get()), and the old
// program is given back, which frees it after a grace period: whoever jumped into it returns first.
#include "kernel/bpf/prog_array.h"

#include "kernel/bpf/array_common.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/prog.h"
#include "kernel/lib/text.h"

namespace barebpf {
namespace {

using host::Order;

constexpr u64 kOwned = u64{1} << 63;
constexpr u64 kJited = u64{1} << 62;
constexpr u64 kFrags = u64{1} << 61;

u64 owner_word(const Prog* prog) {
    return kOwned | (prog->jited ? kJited : 0) | (prog->flags & BPF_F_XDP_HAS_FRAGS ? kFrags : 0) |
           prog->type;
}

ProgArray* array_of(Map* map) {
    return static_cast<ProgArray*>(map);
}

// Null: no such slot.
host::Atomic<Prog*>* slot_of(Map* map, const void* key) {
    u32 index;
    __builtin_memcpy(&index, key, sizeof index);
    if (index >= map->max_entries) return nullptr;
    return &array_of(map)->slots()[index & array_of(map)->index_mask];
}

Result<void> check_attr(const bpf_attr& attr) {
    if (attr.value_size != sizeof(u32)) return Errno::Inval;
    if (attr.map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return Errno::Inval;
    return check_array_attr(attr, 0);
}

Result<Map*> create(const bpf_attr& attr) {
    const ArrayLayout layout = TRY(array_layout(attr.max_entries));
    const size_t bytes = ProgArray::bytes(layout.slots);
    void* memory = alloc_map_struct(bytes);
    if (!memory) return Errno::NoMem;
    auto* map = construct_at<ProgArray>(memory);
    map->memory.charge(bytes);
    map->max_entries = attr.max_entries;  // free() needs it even if nothing else was filled
    map->bypass_spec_v1 = layout.bypass_spec_v1;
    map->index_mask = layout.index_mask;
    map->slot_count = layout.slots;
    return static_cast<Map*>(map);
}

void empty_slots(Map* map) {
    for (u32 i = 0; i < map->max_entries; ++i) {
        if (Prog* prog = array_of(map)->slots()[i].exchange(nullptr, Order::AcqRel)) prog_put(prog);
    }
}

void free_array(Map* map) {
    empty_slots(map);
    const size_t bytes = ProgArray::bytes(array_of(map)->slot_count);
    array_of(map)->~ProgArray();
    free_map_struct(map, bytes);
}

s64 copy_value(Map* map, const void* key, void* value, u64) {
    const host::Atomic<Prog*>* slot = slot_of(map, key);
    const Prog* prog = slot ? slot->load(Order::Acquire) : nullptr;
    if (!prog) return -to_int(Errno::NoEnt);
    __builtin_memcpy(value, &prog->id, sizeof prog->id);
    return 0;
}

s64 update_from_user(Map* map, const void* key, const void* value, u64 flags) {
    if (flags != BPF_ANY) return -to_int(Errno::Inval);
    host::Atomic<Prog*>* slot = slot_of(map, key);
    if (!slot) return -to_int(Errno::TooBig);
    s32 fd;
    __builtin_memcpy(&fd, value, sizeof fd);
    const Result<Prog*> prog = prog_get_by_fd(fd);
    if (!prog) return -to_int(prog.error());
    if (!prog_array_accepts(map, prog.value())) {
        prog_put(prog.value());
        return -to_int(Errno::Inval);
    }
    if (Prog* old = slot->exchange(prog.value(), Order::AcqRel)) prog_put(old);
    return 0;
}

s64 erase(Map* map, const void* key) {
    host::Atomic<Prog*>* slot = slot_of(map, key);
    if (!slot) return -to_int(Errno::TooBig);
    Prog* old = slot->exchange(nullptr, Order::AcqRel);
    if (!old) return -to_int(Errno::NoEnt);
    prog_put(old);
    return 0;
}

void show_fdinfo(const Map* map, TextBuffer* out) {
    const u64 owner = static_cast<const ProgArray*>(map)->owner.load(Order::Relaxed);
    if (!owner) return;
    out->print("owner_prog_type:\t", static_cast<u32>(owner), "\nowner_jited:\t",
               (owner & kJited) != 0, "\n");
}

}  // namespace

bool prog_array_accepts(Map* map, const Prog* prog) {
    u64 owner = 0;
    const u64 wanted = owner_word(prog);
    return array_of(map)->owner.compare_exchange(owner, wanted, Order::Relaxed, Order::Relaxed) ||
           owner == wanted;
}

constinit const MapOps kProgArrayMapOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free_array,
    .erase = erase,
    .next_key = array_next_key,
    .copy_value = copy_value,
    .update_from_user = update_from_user,
    .release_uref = empty_slots,
    .show_fdinfo = show_fdinfo,
};

}  // namespace barebpf
