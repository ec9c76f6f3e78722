// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/arraymap.h"

#include "kernel/bpf/array_common.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/map_value.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::AllocContext;

constexpr u64 kMaxValueSize = 0x7fffffff;

Result<void> check_attr(const bpf_attr& attr) {
    return check_array_attr(attr, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
}

// Bytes of all values.
bool values_size(const bpf_attr& attr, u32 entries, u64* size) {
    return !__builtin_mul_overflow(align_up(attr.value_size, 8), u64{entries}, size);
}

bool make_values(ArrayMap* map, u64 size, bool mmapable) {
    if (mmapable) {
        const u64 pages = (size + host::kPageSize - 1) / host::kPageSize;
        if (pages > ~u32{0} || !map->pages.create(static_cast<u32>(pages), map->memory)) {
            return false;
        }
        map->values = static_cast<u8*>(map->pages.address());
        return true;
    }
    map->values = static_cast<u8*>(host::alloc(size, AllocContext::MaySleep, map->memory));
    map->heap_size = size;
    return map->values != nullptr;
}

Result<Map*> create(const bpf_attr& attr) {
    const ArrayLayout layout = TRY(array_layout(attr.max_entries));
    u64 size;
    if (!values_size(attr, layout.slots, &size)) return Errno::NoMem;
    auto* map = new_map<ArrayMap>();
    if (!map) return Errno::NoMem;
    map->element_size = static_cast<u32>(align_up(attr.value_size, 8));
    map->bypass_spec_v1 = layout.bypass_spec_v1;
    map->index_mask = layout.index_mask;
    if (!make_values(map, size, attr.map_flags & BPF_F_MMAPABLE)) {
        delete_map(map);
        return Errno::NoMem;
    }
    return static_cast<Map*>(map);
}

void free_array(Map* generic) {
    auto* map = static_cast<ArrayMap*>(generic);
    if (map->heap_size) host::free(map->values, map->heap_size, map->memory);
    delete_map(map);
}

void* lookup(Map* generic, const void* key) {
    const auto* map = static_cast<ArrayMap*>(generic);
    const u32 index = array_index(key);
    if (UNLIKELY(index >= map->max_entries)) return nullptr;
    return map->at(index & map->index_mask);
}

s64 copy_value(Map* map, const void* key, void* value, u64 flags) {
    const void* from = lookup(map, key);
    if (!from) return -to_int(Errno::NoEnt);
    if (flags & BPF_F_LOCK) {
        load_value_locked(map, value, from);
    } else {
        load_value(map, value, from);
    }
    return 0;
}

s64 update(Map* generic, const void* key, const void* value, u64 flags) {
    const auto* map = static_cast<ArrayMap*>(generic);
    if (UNLIKELY((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST)) return -to_int(Errno::Inval);
    const u32 index = array_index(key);
    if (UNLIKELY(index >= map->max_entries)) return -to_int(Errno::TooBig);
    if (UNLIKELY(flags & BPF_NOEXIST)) return -to_int(Errno::Exist);
    if (UNLIKELY(!lock_flag_ok(map, flags))) return -to_int(Errno::Inval);
    u8* to = map->at(index & map->index_mask);
    if (flags & BPF_F_LOCK) {
        store_value_locked(map, to, value);
    } else {
        store_value(map, to, value);
    }
    return 0;
}

s64 erase(Map*, const void*) {
    return -to_int(Errno::Inval);
}

s64 for_each(Map* map, ElementVisitor* visitor) {
    for (u32 index = 0; index < map->max_entries; ++index) {
        if (!visitor->visit(visitor, &index, static_cast<ArrayMap*>(map)->at(index))) {
            return index + 1;
        }
    }
    return map->max_entries;
}

Result<u64> direct_value(const Map* generic, u32 offset) {
    const auto* map = static_cast<const ArrayMap*>(generic);
    if (map->max_entries != 1) return Errno::NotSupp;
    if (offset >= map->value_size) return Errno::Inval;
    return reinterpret_cast<u64>(map->values) + offset;
}

// R0 = R1's element number *(u32*)R2, or 0.
//
//     r0 = *(u32*)(r2 + 0)
//     if r0 >= max_entries goto none    r3, read from R1, for an inner map of any length
//     w0 &= index_mask                  only for maps of the unprivileged; likewise
//     r0 *= element_size                a shift where it can be
//     r1 = values ll                    an inner map: r1 = *(u64*)(r1 + values)
//     r0 += r1
//     goto end
//     none: r0 = 0
//     end:
//
// `map` may be a meta copy of an inner map (map_in_map.h): then only what it has in common with every
// map that takes its place is a constant.
u32 emit_lookup(const Map* map, bpf_insn* out, u32 capacity) {
    using namespace insn;
    constexpr u32 kLength = 11;
    const u64 element_size = align_up(map->value_size, 8);
    if (capacity < kLength) return 0;
    // The comparison's immediate is sign-extended; a larger bound is the ordinary call's affair.
    if (map->max_entries > 0x7fffffff || element_size > 0x7fffffff) return 0;
    const bool any_length = map->is_meta && (map->flags & BPF_F_INNER_MAP);
    u32 n = 0;
    out[n++] = load(BPF_W, R0, R2, 0);
    if (any_length) out[n++] = load(BPF_W, R3, R1, kArrayMaxEntriesOffset);
    const u32 branch = n++;
    if (!map->bypass_spec_v1) {
        if (any_length) out[n++] = load(BPF_W, R3, R1, kArrayIndexMaskOffset);
        const s32 mask = static_cast<s32>(index_mask_for(map->max_entries));
        out[n++] = any_length ? alu32(BPF_AND, R0, R3) : alu32_imm(BPF_AND, R0, mask);
    }
    if (is_power_of_two(element_size)) {
        out[n++] = alu_imm(BPF_LSH, R0, static_cast<s32>(lowest_bit(element_size)));
    } else {
        out[n++] = alu_imm(BPF_MUL, R0, static_cast<s32>(element_size));
    }
    if (map->is_meta) {
        out[n++] = load(BPF_DW, R1, R1, kArrayValuesOffset);
    } else {
        const u64 values = reinterpret_cast<u64>(static_cast<const ArrayMap*>(map)->values);
        out[n++] = ld_low(R1, 0, static_cast<s32>(values));
        out[n++] = ld_high(static_cast<s32>(values >> 32));
    }
    out[n++] = alu(BPF_ADD, R0, R1);
    out[n++] = go(1);
    const s16 to_none = static_cast<s16>(n - branch - 1);
    out[branch] = any_length ? jump(BPF_JGE, R0, R3, to_none)
                             : jump_imm(BPF_JGE, R0, static_cast<s32>(map->max_entries), to_none);
    out[n++] = mov_imm(R0, 0);
    return n;
}

Result<host::MmapPages> mmap(Map* generic, const host::MmapRequest& request) {
    auto* map = static_cast<ArrayMap*>(generic);
    if (!(map->flags & BPF_F_MMAPABLE)) return Errno::Inval;
    // Without what the array is rounded up by: that is nobody's to see.
    const u64 size = align_up(u64{map->max_entries} * map->element_size, host::kPageSize);
    u64 end;
    if (__builtin_add_overflow(request.offset, request.length, &end) || end > size ||
        request.offset % host::kPageSize != 0) {
        return Errno::Inval;
    }
    const u32 first = static_cast<u32>(request.offset / host::kPageSize);
    const u32 count = static_cast<u32>((request.length + host::kPageSize - 1) / host::kPageSize);
    return host::MmapPages{map->pages.pages() + first, count, request.writable};
}

bool meta_equal(const Map* meta, const Map* inner) {
    return map_meta_equal(meta, inner) &&
           ((meta->flags & BPF_F_INNER_MAP) || meta->max_entries == inner->max_entries);
}

}  // namespace

u32 index_mask_for(u32 max_entries) {
    return static_cast<u32>(round_up_to_power_of_two(max_entries) - 1);
}

Result<ArrayLayout> array_layout(u32 max_entries) {
    const bool bypass = host::capable(host::Capability::Perfmon);
    const u32 mask = index_mask_for(max_entries);
    if (!bypass && mask == ~u32{0}) return Errno::TooBig;
    return ArrayLayout{bypass, mask, bypass ? max_entries : mask + 1};
}

Result<void> check_array_attr(const bpf_attr& attr, u32 own_flags) {
    const u32 known = BPF_F_NUMA_NODE | kMapAccessFlags | own_flags;
    if (attr.max_entries == 0 || attr.key_size != 4 || attr.value_size == 0 ||
        (attr.map_flags & ~known) || !map_access_flags_ok(attr.map_flags)) {
        return Errno::Inval;
    }
    if (attr.value_size > kMaxValueSize) return Errno::TooBig;
    return {};
}

s64 array_next_key(Map* map, const void* key, void* next_key) {
    const u32 index = key ? array_index(key) : ~u32{0};
    if (index == map->max_entries - 1) return -to_int(Errno::NoEnt);
    const u32 next = index >= map->max_entries ? 0 : index + 1;
    __builtin_memcpy(next_key, &next, sizeof next);
    return 0;
}

constinit const MapOps kArrayMapOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free_array,
    .lookup = lookup,
    .update = update,
    .erase = erase,
    .for_each = for_each,
    .next_key = array_next_key,
    .copy_value = copy_value,
    .batch_commands = kBatchLookup | kBatchUpdate,
    .emit_lookup = emit_lookup,
    .null_by_jump = true,
    .direct_value = direct_value,
    .meta_equal = meta_equal,
    .mmap = mmap,
};

}  // namespace barebpf
