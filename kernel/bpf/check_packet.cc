// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Direct packet access. A packet pointer may be followed as far as a comparison with data_end has
// proven, on this path, that the packet reaches:
//
//     data ............ data_end           if (data + 14 > data_end) return;
//     |<- 14 bytes ->|                     from here on: range 14 for all pointers with this id
//
// The range counts from offset 0 of the pointer's base (data plus its variable part); pointers with
// the same id have the same base, so what is proven for one holds for all.
#include "kernel/bpf/verifier.h"

namespace barebpf {

bool may_access_packet(VerifierEnv& env, Access access) {
    if (!env.ops || !env.ops->direct_packet_access) return false;
    return access == Access::Read || env.ops->direct_packet_write;
}

Result<void> check_packet_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                                 bool zero_size_allowed) {
    const RegState& reg = env.reg(regno);
    if (reg.scalar.smin < 0) {
        env.log.print('R', regno,
                      " min value is negative, either use unsigned index or do a if (index >=0) "
                      "check.\n");
        return Errno::Acces;
    }
    const auto inside = check_packet_span(env, regno, off, size, zero_size_allowed);
    if (inside.ok()) return {};
    env.log.print('R', regno, " offset is outside of the packet\n");
    return inside.error();
}

void forget_packet_pointers(VerifierEnv& env) {
    for_each_reg(*env.state, [&](RegState& reg) {
        if (!reg.is_packet() && reg.type != RegType::PacketEnd) return;
        if (env.allow_ptr_leaks)
            mark_reg_unknown(reg);
        else
            mark_reg_not_init(reg);
    });
    env.changed_regs = 0x7ff;
}

namespace {

// After `pointer <= end` (or `<`, then one byte more is there).
void prove_range(VerifierState& state, const RegState& pointer, bool strictly_before) {
    if (pointer.off <= 0) return;
    if (pointer.scalar.umax > kMaxPacketOff ||
        pointer.scalar.umax + static_cast<u32>(pointer.off) > kMaxPacketOff)
        return;
    const s64 proven = s64{pointer.off} + (strictly_before ? 1 : 0);
    const u32 id = pointer.id;
    const RegType type = pointer.type;
    for_each_reg(state, [&](RegState& reg) {
        if (reg.type == type && reg.id == id && reg.packet_range < proven)
            reg.packet_range = proven;
    });
}

// After `pointer > end` or `pointer >= end`: for later comparisons of the very same pointer.
void note_end(RegState& pointer, bool beyond) {
    if (pointer.type == RegType::Packet && pointer.packet_range <= 0)
        pointer.packet_range = beyond ? kBeyondPacketEnd : kAtPacketEnd;
}

bool is_packet_start(const RegState& reg) {
    return reg.type == RegType::Packet && reg.off == 0 && reg.is_const() && reg.scalar.value() == 0;
}

// data against data_end, or data_meta against data.
bool bounds(const RegState& pointer, const RegState& end) {
    return (pointer.type == RegType::Packet && end.type == RegType::PacketEnd) ||
           (pointer.type == RegType::PacketMeta && is_packet_start(end));
}

// The same comparison with its operands exchanged.
u8 mirrored(u8 op) {
    switch (op) {
        case BPF_JGT:
            return BPF_JLT;
        case BPF_JLT:
            return BPF_JGT;
        case BPF_JGE:
            return BPF_JLE;
        case BPF_JLE:
            return BPF_JGE;
        default:
            return op;
    }
}

}  // namespace

bool learn_packet_range(u8 op, u32 dst, u32 src, VerifierState& taken, VerifierState& not_taken) {
    u32 pointer = dst, end = src;
    if (!bounds(taken.regs()[pointer], taken.regs()[end])) {
        pointer = src, end = dst;
        op = mirrored(op);
        if (!bounds(taken.regs()[pointer], taken.regs()[end])) return false;
    }
    RegState& if_taken = taken.regs()[pointer];
    RegState& if_not = not_taken.regs()[pointer];
    switch (op) {
        case BPF_JGT:
            prove_range(not_taken, if_not, false);
            note_end(if_taken, true);
            return true;
        case BPF_JGE:
            prove_range(not_taken, if_not, true);
            note_end(if_taken, false);
            return true;
        case BPF_JLT:
            prove_range(taken, if_taken, true);
            note_end(if_not, false);
            return true;
        case BPF_JLE:
            prove_range(taken, if_taken, false);
            note_end(if_not, true);
            return true;
        default:
            return false;
    }
}

Taken packet_branch_taken(u8 op, const RegState& dst, const RegState& src) {
    const RegState* pointer = &dst;
    if (src.type == RegType::Packet && dst.type == RegType::PacketEnd) {
        pointer = &src;
        op = mirrored(op);
    } else if (dst.type != RegType::Packet || src.type != RegType::PacketEnd) {
        return Taken::Unknown;
    }
    const bool beyond = pointer->packet_range == kBeyondPacketEnd;
    const bool at_least = beyond || pointer->packet_range == kAtPacketEnd;
    if (op == BPF_JGT && beyond) return Taken::Always;
    if (op == BPF_JLE && beyond) return Taken::Never;
    if (op == BPF_JGE && at_least) return Taken::Always;
    if (op == BPF_JLT && at_least) return Taken::Never;
    return Taken::Unknown;
}

}  // namespace barebpf
