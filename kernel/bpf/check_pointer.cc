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

// -- unprivileged -------------------------------------------------------------------------------
//
// A mispredicting CPU must not be led out of bounds either, and there registers may hold anything. So
// a number that is added to a pointer is guarded by what is known of it: a constant is written into the
// instruction; one between 0 and a limit is masked; otherwise a barrier waits for the branches before.

struct Arithmetic {
    const bpf_insn& insn;
    const RegState& pointer;
    const RegState& number;
    bool dst_is_pointer;

    u32 number_regno() const { return dst_is_pointer ? insn.src_reg : insn.dst_reg; }
    u32 pointer_regno() const { return dst_is_pointer ? insn.dst_reg : insn.src_reg; }
};

const char* verb_of(const bpf_insn& insn) {
    return BPF_OP(insn.code) == BPF_ADD ? "add" : "sub";
}

constexpr const char* kProhibited = "pointer arithmetic with it prohibited for !root";

// How far the pointer is from the end that it moves away from must be less than what it points to has.
Result<void> check_distance(VerifierEnv& env, const Arithmetic& a) {
    const bool negative = a.number.scalar.smin < 0;
    const bool to_left = (BPF_OP(a.insn.code) == BPF_ADD) == negative;
    const Scalar& variable = a.pointer.scalar;
    s64 distance, most;
    switch (a.pointer.type) {
        case RegType::Stack:
            distance = -(s64(variable.value()) + a.pointer.off);
            most = s64{kMaxStack} + to_left;
            break;
        case RegType::MapValue:
            distance = (to_left ? variable.smin : s64(variable.umax)) + a.pointer.off;
            most = a.pointer.map->value_size;
            break;
        default:
            return refuse(env, Errno::Acces, 'R', a.pointer_regno(),
                          " has pointer with unsupported alu operation, ", kProhibited);
    }
    if (u64(distance) < u64(most)) return {};
    return refuse(env, Errno::Acces, 'R', a.insn.dst_reg + 0, " tried to ", verb_of(a.insn),
                  " beyond pointer bounds, ", kProhibited);
}

// All ways through the instruction must be guarded alike.
Result<void> note_guard(VerifierEnv& env, const bpf_insn& insn, OffsetGuard guard, s32 limit,
                        bool number_is_dst) {
    InsnAux& aux = env.here();
    const bool differs = aux.offset_guard != guard || aux.offset_limit != limit ||
                         aux.offset_number_is_dst != number_is_dst;
    if (aux.offset_guard != OffsetGuard::None && differs)
        return refuse(env, Errno::Acces, 'R', insn.dst_reg + 0, " tried to ", verb_of(insn),
                      " from different maps, paths or scalars, ", kProhibited);
    aux.offset_guard = guard;
    aux.offset_limit = limit;
    aux.offset_number_is_dst = number_is_dst;
    return {};
}

Result<void> guard_offset(VerifierEnv& env, const Arithmetic& a) {
    if (env.allow_ptr_leaks || BPF_SRC(a.insn.code) == BPF_K) return {};
    const Scalar& s = a.number.scalar;
    if (!s.is_const() && (s.smin < 0) != (s.smax < 0))
        return refuse(env, Errno::Acces, 'R', a.number_regno(),
                      " has unknown scalar with mixed signed bounds, ", kProhibited);
    TRY(check_distance(env, a));
    const OffsetGuard guard = s.is_const()  ? OffsetGuard::Constant
                              : s.umin == 0 ? OffsetGuard::Mask
                                            : OffsetGuard::Barrier;
    const u64 limit = s.is_const() ? s.value() : s.umin == 0 ? s.umax : 0;
    return note_guard(env, a.insn, guard, s32(limit), !a.dst_is_pointer);
}

// Wherever it leads to, it is inside.
Result<void> check_unprivileged(VerifierEnv& env, u32 regno, const RegState& dst) {
    if (env.allow_ptr_leaks) return {};
    if (dst.type == RegType::Stack) {
        if (!dst.is_const())
            return refuse(env, Errno::Acces, 'R', regno,
                          " variable stack access prohibited for !root, var_off=",
                          dst.scalar.var_off, " off=", dst.off);
        const s64 off = dst.off + s64(dst.scalar.value());
        if (off >= 0 || off < -s64{kMaxStack})
            return refuse(env, Errno::Acces, 'R', regno,
                          " stack pointer arithmetic goes out of range, prohibited for !root");
    }
    if (dst.type == RegType::MapValue && !check_map_access(env, regno, dst.off, 1, false).ok())
        return refuse(env, Errno::Acces, 'R', regno,
                      " pointer arithmetic of map value goes out of range, prohibited for !root");
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

Result<void> guard_numbers(VerifierEnv& env, const bpf_insn& insn) {
    const bool moves = BPF_OP(insn.code) == BPF_ADD || BPF_OP(insn.code) == BPF_SUB;
    if (env.allow_ptr_leaks || BPF_SRC(insn.code) == BPF_K || !moves) return {};
    return note_guard(env, insn, OffsetGuard::Numbers, 0, false);
}

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
    if (op == BPF_ADD || (op == BPF_SUB && dst_is_pointer))
        TRY(guard_offset(env, {insn, base, number, dst_is_pointer}));
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
    return check_unprivileged(env, regno, dst);
}

}  // namespace barebpf
