// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Registers: setting them to what is known, reading and writing under the rules.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

void clear_reg(RegState& reg, RegType type) {
    reg.type = type;
    reg.flags = 0;
    reg.precise = false;
    reg.frame = 0;
    reg.off = 0;
    reg.id = 0;
    reg.ref_id = 0;
    reg.detail = 0;
}

}  // namespace

void mark_reg_not_init(RegState& reg) {
    clear_reg(reg, RegType::NotInit);
    reg.scalar = Scalar::unknown();
}

void mark_reg_unknown(RegState& reg) {
    clear_reg(reg, RegType::Number);
    reg.scalar = Scalar::unknown();
}

void mark_reg_known(RegState& reg, u64 value) {
    clear_reg(reg, RegType::Number);
    reg.scalar = Scalar::constant(value);
}

void mark_reg_scalar(RegState& reg, const Scalar& scalar) {
    clear_reg(reg, RegType::Number);
    reg.scalar = scalar;
}

void mark_reg_pointer(RegState& reg, RegType type, u8 flags) {
    clear_reg(reg, type);
    reg.flags = flags;
    reg.scalar = Scalar::constant(0);
}

Result<void> check_reg(VerifierEnv& env, u32 number, RegUse use) {
    RegState& reg = env.reg(number);
    if (use == RegUse::Read) {
        if (UNLIKELY(reg.type == RegType::NotInit)) {
            env.log.print('R', number, " !read_ok\n");
            return Errno::Acces;
        }
        return {};
    }
    if (UNLIKELY(number == kFrameReg)) {
        env.log.print("frame pointer is read only\n");
        return Errno::Acces;
    }
    env.changed_regs |= 1u << number;
    if (use == RegUse::Write) mark_reg_unknown(reg);
    return {};
}

void clear_caller_saved(VerifierEnv& env) {
    for (u32 r = 0; r <= 5; ++r) mark_reg_not_init(env.reg(r));
    env.changed_regs |= 0x3f;
}

const char* reg_type_name(const RegState& reg) {
    const bool or_null = reg.maybe_null();
    switch (reg.type) {
        case RegType::NotInit:
            return "?";
        case RegType::Number:
            return "scalar";
        case RegType::Ctx:
            return or_null ? "ctx_or_null" : "ctx";
        case RegType::MapPtr:
            return "map_ptr";
        case RegType::MapKey:
            return "map_key";
        case RegType::MapValue:
            return or_null ? "map_value_or_null" : "map_value";
        case RegType::Stack:
            return "fp";
        case RegType::PacketMeta:
            return "pkt_meta";
        case RegType::Packet:
            return "pkt";
        case RegType::PacketEnd:
            return "pkt_end";
        case RegType::Mem:
            break;
        case RegType::Func:
            return "func";
        case RegType::Dynptr:
            return "dynptr_ptr";
    }
    if (reg.flags & kRingRecord) return or_null ? "alloc_mem_or_null" : "alloc_mem";
    if (reg.flags & kReadOnly) return or_null ? "rdonly_mem_or_null" : "rdonly_mem";
    return or_null ? "mem_or_null" : "mem";
}

}  // namespace barebpf
