// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/percpu_array.h"

#include "kernel/bpf/array_common.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/map_value.h"
#include "kernel/bpf/prog.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

constexpr u32 kNoNumaNode = ~u32{0};
// The largest object of Linux's per-CPU allocator.
constexpr u32 kMaxPercpuValue = 32 * 1024;

PercpuArrayMap* array_of(Map* map) {
    return static_cast<PercpuArrayMap*>(map);
}

Result<void> check_attr(const bpf_attr& attr) {
    // Per-CPU memory is where its CPU is.
    if ((attr.map_flags & BPF_F_NUMA_NODE) && attr.numa_node != kNoNumaNode) return Errno::Inval;
    TRY(check_array_attr(attr, 0));
    if (attr.value_size > kMaxPercpuValue) return Errno::TooBig;
    return {};
}

Result<Map*> create(const bpf_attr& attr) {
    const ArrayLayout layout = TRY(array_layout(attr.max_entries));
    auto* map = new_map<PercpuArrayMap>();
    if (!map) return Errno::NoMem;
    map->element_size = static_cast<u32>(align_up(attr.value_size, 8));
    map->bypass_spec_v1 = layout.bypass_spec_v1;
    map->index_mask = layout.index_mask;
    if (!map->values.create(u64{map->element_size} * layout.slots, map->memory)) {
        delete_map(map);
        return Errno::NoMem;
    }
    return static_cast<Map*>(map);
}

void free_array(Map* map) {
    delete_map(array_of(map));
}

void* lookup(Map* map, const void* key) {
    const u32 index = array_index(key);
    if (UNLIKELY(index >= map->max_entries)) return nullptr;
    return array_of(map)->at_this_cpu(index & array_of(map)->index_mask);
}

void* lookup_percpu(Map* map, const void* key, u32 cpu) {
    const u32 index = array_index(key);
    if (UNLIKELY(index >= map->max_entries || cpu >= host::possible_cpus())) return nullptr;
    return array_of(map)->at(index & array_of(map)->index_mask, cpu);
}

s64 update(Map* map, const void* key, const void* value, u64 flags) {
    if (UNLIKELY((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST)) return -to_int(Errno::Inval);
    const u32 index = array_index(key);
    if (UNLIKELY(index >= map->max_entries)) return -to_int(Errno::TooBig);
    if (UNLIKELY(flags & BPF_NOEXIST)) return -to_int(Errno::Exist);
    if (UNLIKELY(flags & BPF_F_LOCK)) return -to_int(Errno::Inval);
    store_value(map, array_of(map)->at_this_cpu(index & array_of(map)->index_mask), value);
    return 0;
}

s64 erase(Map*, const void*) {
    return -to_int(Errno::Inval);
}

s64 for_each(Map* map, ElementVisitor* visitor) {
    for (u32 index = 0; index < map->max_entries; ++index) {
        if (!visitor->visit(visitor, &index, array_of(map)->at_this_cpu(index))) return index + 1;
    }
    return map->max_entries;
}

s64 copy_value(Map* map, const void* key, void* value, u64) {
    const u32 index = array_index(key);
    if (index >= map->max_entries) return -to_int(Errno::NoEnt);
    const PercpuArrayMap* array = array_of(map);
    const u32 masked = index & array->index_mask;
    u8* to = static_cast<u8*>(value);
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu, to += array->element_size) {
        load_bytes(to, array->at(masked, cpu), array->element_size);
    }
    return 0;
}

s64 update_from_user(Map* map, const void* key, const void* value, u64 flags) {
    if (flags > BPF_EXIST) return -to_int(Errno::Inval);
    const u32 index = array_index(key);
    if (index >= map->max_entries) return -to_int(Errno::TooBig);
    if (flags == BPF_NOEXIST) return -to_int(Errno::Exist);
    const PercpuArrayMap* array = array_of(map);
    const u32 masked = index & array->index_mask;
    const u8* from = static_cast<const u8*>(value);
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu, from += array->element_size) {
        store_bytes(array->at(masked, cpu), from, array->element_size);
    }
    return 0;
}

// Bytes from one CPU's values to the next one's, if that is the same for all and an instruction can
// hold it; otherwise 0.
u32 distance_of_cpus(const PercpuArrayMap* map) {
    const u8* first = map->at(0, 0);
    const u32 cpus = host::possible_cpus();
    const u64 distance = cpus > 1 ? static_cast<u64>(map->at(0, 1) - first) : 8;
    for (u32 cpu = 2; cpu < cpus; ++cpu)
        if (map->at(0, cpu) != first + distance * cpu) return 0;
    return distance <= 0x7fffffff ? static_cast<u32>(distance) : 0;
}

// dst *= factor
bpf_insn multiply(u8 dst, u32 factor) {
    if (is_power_of_two(factor))
        return insn::alu_imm(BPF_LSH, dst, static_cast<s32>(lowest_bit(factor)));
    return insn::alu_imm(BPF_MUL, dst, static_cast<s32>(factor));
}

// R0 = this CPU's element number *(u32*)R2, or 0.
//
//     r3 = *(u32*)(r2 + 0)
//     r0 = 0
//     if r3 >= max_entries goto end
//     w3 &= index_mask                  only for maps of the unprivileged
//     r0 = this CPU's number
//     r0 *= distance of CPUs            shifts where they can be
//     r3 *= element_size
//     r0 += r3
//     r1 = CPU 0's values ll
//     r0 += r1
//     end:
u32 emit_lookup(const Map* map, bpf_insn* out, u32 capacity) {
    using namespace insn;
    constexpr u32 kLength = 12;
    if (capacity < kLength || map->is_meta || map->max_entries > 0x7fffffff) return 0;
    if (host::cpu_id_place().base == host::CpuIdBase::None) return 0;
    const auto* array = static_cast<const PercpuArrayMap*>(map);
    const u32 distance = distance_of_cpus(array);
    if (!distance) return 0;
    const u64 values = reinterpret_cast<u64>(array->at(0, 0));
    u32 n = 0;
    out[n++] = load(BPF_W, R3, R2, 0);
    out[n++] = mov_imm(R0, 0);
    const u32 branch = n++;
    if (!map->bypass_spec_v1)
        out[n++] = alu32_imm(BPF_AND, R3, static_cast<s32>(array->index_mask));
    out[n++] = raw(BPF_CPU_ID, R0, 0, 0, 0);
    out[n++] = multiply(R0, distance);
    out[n++] = multiply(R3, array->element_size);
    out[n++] = alu(BPF_ADD, R0, R3);
    out[n++] = ld_low(R1, 0, static_cast<s32>(values));
    out[n++] = ld_high(static_cast<s32>(values >> 32));
    out[n++] = alu(BPF_ADD, R0, R1);
    out[branch] =
        jump_imm(BPF_JGE, R3, static_cast<s32>(map->max_entries), static_cast<s16>(n - branch - 1));
    return n;
}

}  // namespace

constinit const MapOps kPercpuArrayMapOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free_array,
    .lookup = lookup,
    .update = update,
    .erase = erase,
    .lookup_percpu = lookup_percpu,
    .for_each = for_each,
    .next_key = array_next_key,
    .copy_value = copy_value,
    .update_from_user = update_from_user,
    .batch_commands = kBatchLookup | kBatchUpdate,
    .emit_lookup = emit_lookup,
    .null_by_jump = true,
    .meta_equal = map_meta_equal,
};

}  // namespace barebpf
