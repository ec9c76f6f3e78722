// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One argument of a helper call against what the prototype wants.
#include "kernel/bpf/check_call.h"
#include "kernel/bpf/format.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Acces;
}

constexpr u32 bit(RegType type) {
    return u32{1} << static_cast<u32>(type);
}
constexpr u32 kMemoryTypes = bit(RegType::Stack) | bit(RegType::Packet) | bit(RegType::PacketMeta) |
                             bit(RegType::MapKey) | bit(RegType::MapValue) | bit(RegType::Mem);

// What an argument takes: register types, and their names in the log.
struct Wanted {
    u32 types;
    const char* names;
    bool or_null = false;     // the number 0
    bool maybe_null = false;  // a pointer that was not compared with null: the helper looks itself
};

Wanted wanted(ArgType type) {
    constexpr const char* kMapMemory = "fp, pkt, pkt_meta, map_key, map_value, mem";
    constexpr const char* kMemory = "fp, pkt, pkt_meta, map_key, map_value, mem, alloc_mem, buf";
    switch (type) {
        case ArgType::Ctx:
            return {bit(RegType::Ctx), "ctx"};
        case ArgType::CtxOrNull:
            return {bit(RegType::Ctx), "ctx", true, true};
        case ArgType::ConstMap:
            return {bit(RegType::MapPtr), "map_ptr"};
        case ArgType::MapKey:
        case ArgType::MapValue:
        case ArgType::UninitMapValue:
            return {kMemoryTypes, kMapMemory};
        case ArgType::MapValueOrNull:
            return {kMemoryTypes, kMapMemory, true};
        case ArgType::Mem:
        case ArgType::UninitMem:
        case ArgType::FixedMem:
        case ArgType::FixedUninitMem:
            return {kMemoryTypes, kMemory};
        case ArgType::MemOrNull:
        case ArgType::UninitMemOrNull:
            // A pointer that may be null is refused: with a size other than 0 it would be followed.
            return {kMemoryTypes, kMemory, true};
        case ArgType::Size:
        case ArgType::SizeOrZero:
        case ArgType::ConstAllocSize:
            return {bit(RegType::Number), "scalar"};
        case ArgType::ConstString:
            return {bit(RegType::MapValue), "map_value"};
        case ArgType::SpinLock:
            return {bit(RegType::MapValue), "map_value"};
        case ArgType::Callback:
            return {bit(RegType::Func), "func"};
        case ArgType::StackPointerOrNull:
            return {bit(RegType::Stack), "fp", true};
        case ArgType::ReferenceToRelease:
            return {bit(RegType::Mem), "alloc_mem"};
        case ArgType::Dynptr:
        case ArgType::LocalDynptrUninit:
        case ArgType::RingDynptrUninit:
        case ArgType::RingDynptrRelease:
            return {bit(RegType::Stack) | bit(RegType::Dynptr), "fp, dynptr_ptr"};
        default:
            return {0, "an argument that is not supported yet"};
    }
}

Result<void> check_arg_type(VerifierEnv& env, u32 regno, const Wanted& want) {
    const RegState& reg = env.reg(regno);
    const bool known = want.types >> static_cast<u32>(reg.type) & 1;
    if (known && (want.maybe_null || !reg.maybe_null())) return {};
    return refuse(env, 'R', regno, " type=", reg_type_name(reg), " expected=", want.names);
}

// -- memory -------------------------------------------------------------------------------------

Result<void> note_fill(HelperCall& call, u32 regno, u32 size) {
    if (call.fill_count == sizeof call.fills / sizeof call.fills[0]) return Errno::Fault;
    call.fills[call.fill_count++] = {regno, size};
    return {};
}

Result<void> check_known_size(VerifierEnv& env, HelperCall& call, u32 regno, u32 size, bool fills) {
    const Handover how = fills ? Handover::Fill : Handover::Read;
    TRY(check_memory_arg(env, {regno, size, false, how, call.proto->packet_access}));
    if (fills) return note_fill(call, regno, size);
    return {};
}

Result<void> check_map_memory(VerifierEnv& env, HelperCall& call, u32 regno, bool key, bool fills) {
    if (!call.map) return refuse(env, "invalid map_ptr to access map->", key ? "key" : "value");
    // A queue has keys of no size.
    const u32 size = key ? call.map->key_size : call.map->value_size;
    return check_known_size(env, call, regno, size, fills);
}

bool is_filled(ArgType type) {
    return type == ArgType::UninitMem || type == ArgType::UninitMemOrNull;
}

// The pair of memory (in the register before) and its size.
Result<void> check_size(VerifierEnv& env, HelperCall& call, u32 regno, bool zero_allowed) {
    const RegState& reg = env.reg(regno);
    const Scalar size = reg.scalar;
    const bool fills = is_filled(call.proto->args[regno - 2]);
    const Handover how = !fills            ? Handover::Read
                         : size.is_const() ? Handover::Fill
                                           : Handover::ReadWrite;
    if (size.smin < 0)
        return refuse(env, 'R', regno,
                      " min value is negative, either use unsigned or 'var &= const'");
    if (size.umin == 0 && !zero_allowed)
        return refuse(env, 'R', regno, " invalid zero-sized read: u64=[", s64(size.umin), ',',
                      s64(size.umax), ']');
    if (size.umax >= u64(kMaxVarSize))
        return refuse(env, 'R', regno,
                      " unbounded memory access, use 'var &= const' or 'if (var < const)'");
    const bool packet_allowed = call.proto->packet_access;
    TRY(check_memory_arg(env, {regno - 1, size.umax, zero_allowed, how, packet_allowed}));
    TRY(mark_precise(env, regno));
    // No more than size.umax bytes are written; less is possible unless the size is constant, and
    // then all of them were initialised before and count as overwritten since the check.
    if (how == Handover::Fill) return note_fill(call, regno - 1, u32(size.umax));
    return {};
}

// Who peeks into a bloom filter asks for a value: it is not filled.
ArgType arg_type(const HelperCall& call, u32 index) {
    const ArgType type = call.proto->args[index];
    const bool asks = call.map && call.map->type == BPF_MAP_TYPE_BLOOM_FILTER;
    return type == ArgType::UninitMapValue && asks ? ArgType::MapValue : type;
}

// -- constants ----------------------------------------------------------------------------------

Result<void> check_alloc_size(VerifierEnv& env, HelperCall& call, u32 regno) {
    const RegState& reg = env.reg(regno);
    if (!reg.is_const()) return refuse(env, 'R', regno, " is not a known constant'");
    // The upper half does not count: dynptr_data() takes 32 bits, and no record is that large.
    call.alloc_size = u32(reg.scalar.value());
    return mark_precise(env, regno);
}

bool holds_nul(const char* text, u32 size) {
    for (u32 i = 0; i < size; ++i)
        if (!text[i]) return true;
    return false;
}

// The bytes of a constant string: from the register to the end of the map's value.
struct ConstantBytes {
    const char* text;
    u32 size;
};

Result<ConstantBytes> constant_bytes(const RegState& reg) {
    const u32 off = u32(reg.off + s64(reg.scalar.value()));
    const u64 address = TRY(reg.map->ops->direct_value(reg.map, off));
    return ConstantBytes{reinterpret_cast<const char*>(address), reg.map->value_size - off};
}

Result<void> check_constant_string(VerifierEnv& env, u32 regno) {
    const RegState& reg = env.reg(regno);
    const Map* map = reg.map;
    if (!(map->flags & BPF_F_RDONLY_PROG) || !map->refs.is_frozen())
        return refuse(env, 'R', regno, " does not point to a readonly map'");
    if (!reg.is_const()) return refuse(env, 'R', regno, " is not a constant address'");
    if (!map->ops->direct_value)
        return refuse(env, "no direct value access support for this map type");
    const s64 off = reg.off + s64(reg.scalar.value());
    TRY(check_map_access(env, regno, reg.off, s64{map->value_size} - off, false));
    auto bytes = constant_bytes(reg);
    if (!bytes.ok()) {
        env.log.print("direct value access on string failed\n");
        return bytes.error();
    }
    if (!holds_nul(bytes.value().text, bytes.value().size)) {
        env.log.print("string is not zero-terminated\n");
        return Errno::Inval;
    }
    return {};
}

Result<void> check_release(VerifierEnv& env, HelperCall& call, u32 regno) {
    const RegState& reg = env.reg(regno);
    if (!(reg.flags & kRingRecord))
        return refuse(env, 'R', regno, " type=", reg_type_name(reg), " expected=alloc_mem");
    TRY(check_pointer_unmodified(env, reg, regno, false));
    if (!reg.ref_id) {
        env.log.print('R', regno, " must be referenced when passed to release function\n");
        return Errno::Inval;
    }
    call.release_ref = reg.ref_id;
    return {};
}

Result<void> check_value(VerifierEnv& env, HelperCall& call, ArgType type, u32 regno) {
    switch (type) {
        case ArgType::Ctx:
        case ArgType::CtxOrNull:
            return check_pointer_unmodified(env, env.reg(regno), regno, false);
        case ArgType::ConstMap:
            TRY(check_pointer_unmodified(env, env.reg(regno), regno, false));
            call.map = env.reg(regno).map;
            return {};
        case ArgType::MapKey:
            return check_map_memory(env, call, regno, true, false);
        case ArgType::MapValue:
        case ArgType::MapValueOrNull:
            return check_map_memory(env, call, regno, false, false);
        case ArgType::UninitMapValue:
            return check_map_memory(env, call, regno, false, true);
        case ArgType::FixedMem:
            return check_known_size(env, call, regno, call.proto->fixed_size, false);
        case ArgType::FixedUninitMem:
            return check_known_size(env, call, regno, call.proto->fixed_size, true);
        case ArgType::Size:
            return check_size(env, call, regno, false);
        case ArgType::SizeOrZero:
            return check_size(env, call, regno, true);
        case ArgType::ConstAllocSize:
            return check_alloc_size(env, call, regno);
        case ArgType::ConstString:
            return check_constant_string(env, regno);
        case ArgType::SpinLock:
            return call.id == BPF_FUNC_spin_lock ? check_spin_lock(env, regno)
                                                 : check_spin_unlock(env, regno);
        case ArgType::ReferenceToRelease:
            return check_release(env, call, regno);
        case ArgType::Dynptr:
        case ArgType::LocalDynptrUninit:
        case ArgType::RingDynptrUninit:
        case ArgType::RingDynptrRelease:
            return check_dynptr_arg(env, call, type, regno);
        default:  // memory is checked with its size, which is the next argument
            return {};
    }
}

}  // namespace

Result<void> check_helper_arg(VerifierEnv& env, HelperCall& call, u32 index) {
    const ArgType type = arg_type(call, index);
    const u32 regno = BPF_REG_1 + index;
    if (type == ArgType::None) return {};
    TRY(check_reg(env, regno, RegUse::Read));
    const RegState& reg = env.reg(regno);
    if (type == ArgType::Anything) {
        if (!env.allow_ptr_leaks && reg.is_pointer())
            return refuse(env, 'R', regno, " leaks addr into helper function");
        return {};
    }
    if (reg.is_packet() && (!call.proto->packet_access || !may_access_packet(env, Access::Read)))
        return refuse(env, "helper access to the packet is not allowed");
    const Wanted want = wanted(type);
    // The proof relies on the number being 0: a state with another one is not covered by it.
    if (want.or_null && is_null_scalar(reg)) return mark_precise(env, regno);
    TRY(check_arg_type(env, regno, want));
    return check_value(env, call, type, regno);
}

Result<void> check_constant_format(VerifierEnv& env, u32 format_regno, u32 size_regno) {
    const RegState& size = env.reg(size_regno);
    // Where the number of values varies, the helper looks when it runs.
    if (!size.is_const()) return {};
    const u64 bytes = size.scalar.value();
    if (bytes % 8) return Errno::Inval;
    const ConstantBytes format = TRY(constant_bytes(env.reg(format_regno)));
    if (check_format(format.text, format.size, u32(bytes / 8)).ok()) return {};
    env.log.print("Invalid format string\n");
    return Errno::Inval;
}

}  // namespace barebpf
