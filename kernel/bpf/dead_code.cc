// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Dead code: instructions that no verified path executes. A privileged program loses them; in an
// unprivileged one each becomes a jump to itself, because a mispredicting CPU may still run into it.
//
// A condition with one dead side always goes the other way. It can be dropped or become a goto, so that
// configuration in constant maps costs nothing at run time.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"

namespace barebpf {

using host::AllocContext;

Result<void> find_dead_code(Fixups& fix) {
    const VerifierEnv& env = fix.env;
    const u32 count = env.insn_count;
    if (!fix.next_kept.allocate(size_t{count} + 1, AllocContext::MaySleep, fix.env.prog->memory))
        return Errno::NoMem;
    const bool removes = fix.verified && env.bpf_capable;
    fix.next_kept[count] = count;
    for (u32 i = count; i-- > 0;)
        fix.next_kept[i] = !removes || env.aux[i].seen ? i : fix.next_kept[i + 1];
    return {};
}

bool subprog_is_dead(const Fixups& fix, u32 subprog) {
    const SubprogState& info = fix.env.subprogs[subprog];
    return fix.next_kept[info.start] >= info.end;
}

void emit_trap(Fixups& fix) {
    fix.out.emit(insn_goto(-1));
}

void fix_jump(Fixups& fix, u32 insn) {
    const bpf_insn& jump = fix.env.insns[insn];
    const u32 target = u32(jump_target(jump, insn));
    if (!is_goto(jump)) {
        const bool falls_through = fix.kept(insn + 1);
        if (falls_through && fix.kept(target)) return fix.out.emit_jump(jump, target);
        if (falls_through) return;  // never taken
    }
    if (fix.next_kept[insn + 1] == target) return;
    fix.out.emit_jump(insn_goto(), target);
}

}  // namespace barebpf
