// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The sweep: each instruction of the verified program is replaced by what runs, in one pass, and what
// Prog keeps of the program follows the instructions to their new places.
#include "kernel/bpf/fixups.h"

#include "kernel/bpf/decode.h"

namespace barebpf {
namespace {

using host::AllocContext;

void emit_barrier(Fixups& fix) {
    fix.out.emit(make_insn(BPF_NOSPEC, 0, 0, 0, 0));
}

// Pointer and number of an unprivileged program: check_pointer.cc.
void fix_guarded_offset(Fixups& fix, u32 i) {
    const bpf_insn& insn = fix.env.insns[i];
    const InsnAux& aux = fix.env.aux[i];
    const bool swapped = aux.offset_number_is_dst;
    const u8 dst = insn.dst_reg, src = insn.src_reg;
    switch (aux.offset_guard) {
        case OffsetGuard::Constant:
            if (swapped) fix.out.emit(insn_mov(dst, src));
            fix.out.emit(
                make_insn(u8(BPF_ALU64 | BPF_K | BPF_OP(insn.code)), dst, 0, 0, aux.offset_limit));
            return;
        case OffsetGuard::Mask: {
            const s16 sign = BPF_OP(insn.code) == BPF_SUB ? kMaskedSubtract : s16{0};
            const s16 how = s16(sign | (swapped ? kMaskedNumberIsDst : 0));
            fix.out.emit(make_insn(BPF_MASKED_OFFSET, dst, src, how, aux.offset_limit));
            return;
        }
        default:
            emit_barrier(fix);
            fix.out.emit(insn);
    }
}

Result<void> fix_insn(Fixups& fix, u32 i) {
    VerifierEnv& env = fix.env;
    const bpf_insn& insn = env.insns[i];
    const InsnAux& aux = env.aux[i];
    if (is_ld_imm64(insn)) return fix_ld_imm64(fix, i);
    if (BPF_CLASS(insn.code) == BPF_LD) return fix_ld_abs(fix, i);
    if (is_helper_call(insn)) return fix_helper_call(fix, i);
    if (is_subprog_call(insn)) {
        fix.out.emit_subprog(insn, i + 1 + u32(insn.imm));
    } else if (aux.offset_guard > OffsetGuard::Numbers) {
        fix_guarded_offset(fix, i);
    } else if (is_may_goto(insn)) {
        fix_may_goto(fix, i);
    } else if (is_goto(insn) || is_branch(insn)) {
        fix_jump(fix, i);
    } else if (fix.verified && aux.ptr_type == RegType::Ctx && BPF_CLASS(insn.code) <= BPF_STX) {
        return fix_ctx_access(fix, i);
    } else {
        fix.out.emit(insn);
    }
    return {};
}

Result<void> rewrite_subprog(Fixups& fix) {
    VerifierEnv& env = fix.env;
    const SubprogState& subprog = env.subprogs[fix.subprog];
    for (u32 i = subprog.start; i < subprog.end; ++i) {
        const bool wide = is_ld_imm64(env.insns[i]);
        if (fix.kept(i)) {
            fix.out.at(i);
            if (i == subprog.start) emit_frame_entry(fix);
            if (fix.verified && !env.aux[i].seen) {
                emit_trap(fix);
            } else {
                if (env.aux[i].nospec) emit_barrier(fix);
                TRY(fix_insn(fix, i));
                if (env.aux[i].sanitize_stack_spill) emit_barrier(fix);
            }
        }
        i += wide;
    }
    return {};
}

// -- what Prog keeps ----------------------------------------------------------------------------

Result<void> take_insns(Fixups& fix) {
    Prog& prog = *fix.env.prog;
    host::Buffer<bpf_insn> insns;
    const u32 count = fix.out.count();
    if (!insns.allocate(count, AllocContext::MaySleep, prog.memory)) return Errno::NoMem;
    __builtin_memcpy(insns.data(), fix.out.insns(), count * sizeof(bpf_insn));
    prog.insns = move(insns);
    return {};
}

Result<void> take_subprogs(Fixups& fix) {
    const VerifierEnv& env = fix.env;
    Prog& prog = *env.prog;
    u32 count = 0;
    for (u32 s = 0; s < env.subprog_count; ++s) count += !subprog_is_dead(fix, s);
    host::Buffer<SubprogInfo> subprogs;
    if (!subprogs.allocate(count, AllocContext::MaySleep, prog.memory)) return Errno::NoMem;
    u32 next = 0;
    for (u32 s = 0; s < env.subprog_count; ++s) {
        if (subprog_is_dead(fix, s)) continue;
        const SubprogState& from = env.subprogs[s];
        const Fixups::Frame& frame = fix.frames[s];
        subprogs[next++] = {.start = fix.out.entry_of(from.start),
                            .stack_depth = u16(frame.depth + (frame.counts ? kFixupStack : 0)),
                            .has_tail_call = from.has_tail_call,
                            .tail_call_reachable = from.tail_call_reachable,
                            .is_callback = from.is_callback,
                            .prog = &prog};
    }
    prog.subprogs = move(subprogs);
    return {};
}

// Of entries that fall on the same new instruction the last one is its own: the others described code
// that is gone. at(entry) is an entry's instruction.
template <class Entry, class At, class IsGone>
Result<void> move_entries(Fixups& fix, host::Buffer<Entry>& entries, At at, IsGone is_gone) {
    u32 kept = 0;
    for (u32 i = 0; i < entries.size(); ++i) {
        Entry entry = entries[i];
        if (is_gone(at(entry))) continue;
        at(entry) = fix.out.entry_of(at(entry));
        if (at(entry) >= fix.out.count()) continue;
        if (kept && at(entries[kept - 1]) == at(entry)) --kept;
        entries[kept++] = entry;
    }
    if (kept == entries.size()) return {};
    host::Buffer<Entry> exact;
    if (!exact.allocate(kept, AllocContext::MaySleep, fix.env.prog->memory)) return Errno::NoMem;
    for (u32 i = 0; i < kept; ++i) exact[i] = entries[i];
    entries = move(exact);
    return {};
}

Result<void> move_debug_info(Fixups& fix) {
    const u32 count = fix.env.insn_count;
    ProgDebugInfo& debug = fix.env.prog->debug;
    // A function is gone with its subprogram; a line lives on in the next instruction that stays, if
    // that one is of the same subprogram.
    auto gone = [&](u32 insn) {
        if (insn >= count) return true;
        const u32 kept = fix.next_kept[insn];
        return kept != insn && (kept == count || subprog_containing(fix.env, kept) !=
                                                     subprog_containing(fix.env, insn));
    };
    auto func_insn = [](bpf_func_info& info) -> u32& { return info.insn_off; };
    auto line_insn = [](bpf_line_info& info) -> u32& { return info.insn_off; };
    TRY(move_entries(fix, debug.func_info, func_insn, gone));
    return move_entries(fix, debug.line_info, line_insn, gone);
}

Result<void> publish(Fixups& fix) {
    Prog& prog = *fix.env.prog;
    TRY(take_subprogs(fix));
    TRY(move_debug_info(fix));
    prog.calls = TRY(fix.calls.take());
    // Last: until here env.insns is prog's buffer.
    TRY(take_insns(fix));
    prog.changes_packet_data |= fix.changes_packet_data;
    return {};
}

Result<void> run(Fixups& fix) {
    VerifierEnv& env = fix.env;
    TRY(find_dead_code(fix));
    TRY(plan_frames(fix));
    TRY(fix.out.begin(env.insn_count));
    for (fix.subprog = 0; fix.subprog < env.subprog_count; ++fix.subprog) TRY(rewrite_subprog(fix));
    if (auto settled = fix.out.finish(); !settled) {
        if (settled.error() == Errno::Range)
            env.log.print("insn cannot be patched due to 16-bit range\n");
        return settled;
    }
    return publish(fix);
}

}  // namespace

Result<void> apply_fixups(VerifierEnv& env) {
    Fixups fix(env);
    return run(fix);
}

Result<void> apply_unverified_fixups(VerifierEnv& env) {
    Fixups fix(env);
    fix.verified = false;
    return run(fix);
}

}  // namespace barebpf
