// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pointer arithmetic: pointer + number, pointer - number, and everything that is refused.
//
// A pointer's offset is a constant part (RegState::off) and a variable part (RegState::scalar).
// Adding a constant moves the first, adding a range widens the second. Both stay below 2^29 in size,
// so that no sum of a few of them can overflow.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

// What each refusal has in common: who did what.
template <class... Parts>
Errno refuse(VerifierEnv& env, Errno error, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return error;
}

Result<void> check_offset_sane(VerifierEnv& env, const RegState& reg, const char* type) {
    const Scalar& s = reg.scalar;
    if (s.is_const() && (s.smin >= kMaxVarOff || s.smin <= -kMaxVarOff))
        return refuse(env, Errno::Inval, "math between ", type, " pointer and ", s.smin,
                      " is not allowed");
    if (reg.off >= kMaxVarOff || reg.off <= -kMaxVarOff)
        return refuse(env, Errno::Inval, type, " pointer offset ", reg.off, " is not allowed");
    if (s.smin == INT64_MIN)
        return refuse(env, Errno::Inval, "math between ", type,
                      " pointer and register with unbounded min value is not allowed");
    if (s.smin >= kMaxVarOff || s.smin <= -kMaxVarOff)
        return refuse(env, Errno::Inval, "value ", s.smin, " makes ", type,
                      " pointer be out of bounds");
    return {};
}

Result<void> check_pointer_kind(VerifierEnv& env, u32 regno, const RegState& pointer,
                                const RegState& scalar, u8 op) {
    if (pointer.maybe_null())
        return refuse(env, Errno::Acces, 'R', regno, " pointer arithmetic on ",
                      reg_type_name(pointer), " prohibited, null-check it first");
    switch (pointer.type) {
        case RegType::MapPtr:
            if (scalar.scalar.is_const() && scalar.scalar.value() == 0 && op == BPF_ADD) return {};
            break;
        case RegType::PacketEnd:
        case RegType::Func:
            break;
        default:
            return {};
    }
    return refuse(env, Errno::Acces, 'R', regno, " pointer arithmetic on ", reg_type_name(pointer),
                  " prohibited");
}

// Without the right to leak pointers a mispredicting CPU must not be led out of bounds either: only
// constants may be added there. (Linux masks the number instead.)
Result<void> check_unprivileged(VerifierEnv& env, u32 regno, const RegState& dst,
                                const RegState& scalar) {
    if (env.allow_ptr_leaks) return {};
    if (!scalar.is_const()) {
        if (dst.type == RegType::Stack)
            return refuse(env, Errno::Acces, 'R', regno,
                          " variable stack access prohibited for !root, var_off=",
                          dst.scalar.var_off, " off=", dst.off);
        return refuse(env, Errno::Acces, 'R', regno,
                      " has unknown scalar with mixed signed bounds, pointer arithmetic with it "
                      "prohibited for !root");
    }
    if (dst.type == RegType::Stack) {
        const s64 off = dst.off + s64(dst.scalar.value());
        if (off >= 0 || off < -s64{kMaxStack})
            return refuse(env, Errno::Acces, 'R', regno,
                          " stack pointer arithmetic goes out of range, prohibited for !root");
    }
    if (dst.type == RegType::MapValue) {
        const s64 off = dst.off + s64(dst.scalar.value());
        if (off < 0 || off >= dst.map->value_size)
            return refuse(
                env, Errno::Acces, 'R', regno,
                " pointer arithmetic of map value goes out of range, prohibited for !root");
    }
    return {};
}

// The range proven for a packet pointer survives only what keeps its base.
void new_packet_base(VerifierEnv& env, RegState& dst) {
    if (!dst.is_packet()) return;
    dst.id = env.new_id();
    dst.packet_range = 0;
}

void add(VerifierEnv& env, RegState& dst, const RegState& scalar) {
    const Scalar& number = scalar.scalar;
    if (dst.is_packet() && dst.packet_range < 0) dst.packet_range = 0;
    if (number.is_const()) {
        const s64 off = dst.off + number.smin;
        if (off == static_cast<s32>(off)) {
            dst.off = static_cast<s32>(off);
            return;
        }
    }
    dst.scalar = alu(BPF_ADD, dst.scalar, number, true);
    new_packet_base(env, dst);
}

void subtract(VerifierEnv& env, RegState& dst, const RegState& scalar) {
    const Scalar& number = scalar.scalar;
    if (dst.is_packet() && dst.packet_range < 0) dst.packet_range = 0;
    if (number.is_const()) {
        const s64 off = dst.off - number.smin;
        if (off == static_cast<s32>(off)) {
            dst.off = static_cast<s32>(off);
            return;
        }
    }
    dst.scalar = alu(BPF_SUB, dst.scalar, number, true);
    new_packet_base(env, dst);
}

Result<void> check_subtraction(VerifierEnv& env, u32 regno, const RegState& pointer,
                               bool dst_is_pointer) {
    if (!dst_is_pointer)
        return refuse(env, Errno::Acces, 'R', regno, " tried to subtract pointer from scalar");
    if (pointer.type == RegType::Stack)
        return refuse(env, Errno::Acces, 'R', regno, " subtraction from stack pointer prohibited");
    return {};
}

}  // namespace

Result<void> check_pointer_alu(VerifierEnv& env, const bpf_insn& insn, RegState& dst,
                               const RegState& pointer, const RegState& scalar,
                               bool dst_is_pointer) {
    const u32 regno = insn.dst_reg;
    const u8 op = BPF_OP(insn.code);
    if (BPF_CLASS(insn.code) != BPF_ALU64) {
        if (op == BPF_SUB && env.allow_ptr_leaks && dst_is_pointer) {
            mark_reg_unknown(dst);
            dst.scalar = dst.scalar.zero_extend(32);
            return {};
        }
        return refuse(env, Errno::Acces, 'R', regno, " 32-bit pointer arithmetic prohibited");
    }
    TRY(check_pointer_kind(env, regno, pointer, scalar, op));
    const char* type = reg_type_name(pointer);
    RegState number = scalar;
    number.off = 0;
    TRY(check_offset_sane(env, number, type));
    TRY(check_offset_sane(env, pointer, type));

    // Copies first: dst is one of the two.
    const RegState base = pointer;
    if (op == BPF_ADD) {
        dst = base;
        add(env, dst, number);
    } else if (op == BPF_SUB) {
        TRY(check_subtraction(env, regno, base, dst_is_pointer));
        dst = base;
        subtract(env, dst, number);
    } else if (op == BPF_AND || op == BPF_OR || op == BPF_XOR) {
        return refuse(env, Errno::Acces, 'R', regno, " bitwise operator ", alu_op_name(insn),
                      " on pointer prohibited");
    } else {
        return refuse(env, Errno::Acces, 'R', regno, " pointer arithmetic with ", alu_op_name(insn),
                      " operator prohibited");
    }
    TRY(check_offset_sane(env, dst, type));
    return check_unprivileged(env, regno, dst, number);
}

}  // namespace barebpf
