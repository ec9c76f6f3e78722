// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory that a program hands over to a helper or to a global function.
#include "kernel/bpf/check_call.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Acces;
}

bool writes(const MemoryArg& arg) {
    return arg.how != Handover::Read;
}

Result<void> check_stack_arg(VerifierEnv& env, const MemoryArg& arg) {
    const RegState& reg = env.reg(arg.regno);
    const u32 size = u32(arg.size);
    // What is only filled need not be initialised, and is marked later; but where it lies must be
    // known, or some of it may stay what it was.
    if (arg.how == Handover::Fill && reg.is_const())
        return check_no_dynptr(env, *env.state->frames[reg.frame],
                               s64(reg.scalar.value()) + reg.off, size);
    const StackUse use = writes(arg) ? StackUse::ReadWrite : StackUse::Read;
    return check_stack_range(env, arg.regno, reg.off, size, arg.zero_size_allowed, use);
}

Result<void> check_packet_arg(VerifierEnv& env, const MemoryArg& arg) {
    if (!arg.packet_allowed || !may_access_packet(env, Access::Read))
        return refuse(env, "helper access to the packet is not allowed");
    if (writes(arg) && !may_access_packet(env, Access::Write))
        return refuse(env, "cannot write into packet");
    return check_packet_access(env, arg.regno, env.reg(arg.regno).off, s64(arg.size),
                               arg.zero_size_allowed);
}

Result<void> check_map_value_arg(VerifierEnv& env, const MemoryArg& arg) {
    const RegState& reg = env.reg(arg.regno);
    const Map* map = reg.map;
    const bool reads = arg.how != Handover::Fill;
    const char* forbidden = nullptr;
    if (reads && (map->flags & BPF_F_WRONLY_PROG)) forbidden = "read from";
    if (writes(arg) && (map->flags & BPF_F_RDONLY_PROG)) forbidden = "write into";
    if (forbidden)
        return refuse(env, forbidden, " map forbidden, value_size=", map->value_size,
                      " off=", reg.off, " size=", arg.size);
    return check_map_access(env, arg.regno, reg.off, s64(arg.size), arg.zero_size_allowed);
}

Result<void> check_region_arg(VerifierEnv& env, const MemoryArg& arg, u64 available,
                              bool read_only) {
    const RegState& reg = env.reg(arg.regno);
    if (writes(arg) && read_only)
        return refuse(env, 'R', arg.regno, " cannot write into ", reg_type_name(reg));
    return check_mem_region(env, arg.regno, reg.off, s64(arg.size), available,
                            arg.zero_size_allowed);
}

}  // namespace

bool is_null_scalar(const RegState& reg) {
    return reg.is_scalar() && reg.is_const() && reg.scalar.value() == 0;
}

Result<void> check_memory_arg(VerifierEnv& env, const MemoryArg& arg) {
    const RegState& reg = env.reg(arg.regno);
    if (!reg.maybe_null()) {
        switch (reg.type) {
            case RegType::Stack:
                return check_stack_arg(env, arg);
            case RegType::Packet:
            case RegType::PacketMeta:
                return check_packet_arg(env, arg);
            case RegType::MapKey:
                return check_region_arg(env, arg, reg.map->key_size, true);
            case RegType::MapValue:
                return check_map_value_arg(env, arg);
            case RegType::Mem:
                return check_region_arg(env, arg, reg.mem_size, reg.flags & kReadOnly);
            default:
                break;
        }
        if (arg.size == 0 && arg.zero_size_allowed && is_null_scalar(reg)) return {};
    }
    return refuse(env, 'R', arg.regno, " type=", reg_type_name(reg), " expected=fp");
}

Result<void> mark_filled(VerifierEnv& env, u32 regno, u32 size) {
    const RegState& reg = env.reg(regno);
    if (reg.type != RegType::Stack || size == 0) return {};
    if (!reg.is_const())  // overwritten when it was checked
        return {};
    return check_stack_range(env, regno, reg.off, size, true, StackUse::Fill);
}

}  // namespace barebpf
