// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The x86-64 compiler: from a program in final form to machine code that is published read and
// execute only. docs/jit.md describes registers, frames, tail calls, and what gets fused.
#include <arch/cpu_features.h>

#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf {

namespace x86 {

void Lowering::lower(u32 i) {
    const Op& op = unit_.ops[i];
    if (i == value_use_) return use_value(op);
    switch (op.kind) {
        case Kind::Nop:
            return;
        case Kind::Mov:
            return move(width(op), op.dst, op.lhs);
        case Kind::MovConst:
            return move_const(op);
        case Kind::Extend:
            return extend(op);
        case Kind::Alu:
            return alu(op);
        case Kind::AluMem:
            return alu_memory(op);
        case Kind::AluConst:
            return alu_const(op);
        case Kind::Neg:
            if (op.dst != op.lhs) out_.mov(width(op), x(op.dst), x(op.lhs));
            return out_.neg(width(op), x(op.dst));
        case Kind::Swap:
            return swap(op);
        case Kind::Rotate:
            return rotate(op);
        case Kind::Lea:
            return out_.lea(width(op), x(op.dst), memory(op.at));
        case Kind::CpuId:
            return cpu_id(op);
        case Kind::MaskedOffset:
            return masked_offset(op);
        case Kind::FuncAddress:
            return function_address(op);
        case Kind::Load:
            return load(op);
        case Kind::Store:
            return store(op);
        case Kind::StoreConst:
            return store_const(op);
        case Kind::Atomic:
            return atomic(op);
        case Kind::Fence:
            return out_.lfence();
        case Kind::Jump:
            if (op.target == i + 1) return;
            keep_within_line(out_.next_jump_length(false));
            return out_.jump(insn_label(op.target));
        case Kind::Branch:
        case Kind::BranchConst:
        case Kind::BranchMem:
            return i == null_test_ ? void() : branch(op);
        case Kind::CallHelper:
            return is_written_out(op) ? lookup(i) : call_helper(op);
        case Kind::CallSubprog:
            keep_within_line(5);
            return out_.call(function_label(subprog_at(op.target)));
        case Kind::TailCall:
            return tail_call(op);
        case Kind::Exit:
            return exit();
    }
}

void Lowering::function(u32 subprog, u32 begin, u32 end) {
    plan_frame(unit_.prog->subprogs[subprog], begin, end);
    func_offset_[subprog] = out_.position();
    out_.bind(function_label(subprog));
    prologue();
    const u32 first_lookup = lookups_;
    for (u32 i = begin; i < end; i++) {
        insn_offset_[i] = out_.position();
        if (unit_.ops[i].leader) {
            out_.bind(insn_label(i));
            flags_reg_ = kNoReg;
        }
        lower(i);
    }
    rest_of_lookups(begin, end, first_lookup);
}

void Lowering::run() {
    for (u32 i = 0; i < unit_.count; i++)
        if (unit_.ops[i].kind == Kind::TailCall) counts_tail_calls_ = true;
    for (u32 n = 0; n < subprog_count(); n++) {
        u32 begin = unit_.prog->subprogs[n].start;
        u32 end = n + 1 < subprog_count() ? unit_.prog->subprogs[n + 1].start : unit_.count;
        function(n, begin, end);
    }
    entry_stubs();
}

// All the working memory of one compilation.
struct Workspace {
    host::Buffer<Op> ops;
    host::Buffer<Layout::Mark> marks;
    host::Buffer<Layout::Jump> jumps;
};

static bool allocate_layout(const Unit& unit, Workspace& work, host::MemoryOwner& owner) {
    auto subprogs = static_cast<u32>(unit.prog->subprogs.size());
    const u32 lookups = count_lookups(unit);
    u32 marks = unit.count + 2 * subprogs + kLookupLabels * lookups;
    u32 jumps = kLookupJumps * lookups;
    for (u32 i = 0; i < unit.count; i++) {
        const Op& op = unit.ops[i];
        bool simple = op.kind == Kind::Jump || is_branch(op);
        bool complex = op.kind == Kind::Alu || op.kind == Kind::AluConst ||
                       op.kind == Kind::Atomic || op.kind == Kind::TailCall;
        if (op.kind == Kind::Alu || op.kind == Kind::AluConst)
            complex = op.code == BPF_DIV || op.code == BPF_MOD;
        if (simple) jumps++;
        if (op.kind == Kind::Exit) jumps++, marks++;
        if (complex) jumps += 6, marks += 5;
    }
    return work.marks.allocate(marks, host::AllocContext::MaySleep, owner) &&
           work.jumps.allocate(jumps, host::AllocContext::MaySleep, owner);
}

static bool within_reach(const Prog& prog, const host::ExecMemory& code) {
    for (const CallTarget& call : prog.calls) {
        auto target = reinterpret_cast<u64>(call.address);
        auto begin = reinterpret_cast<u64>(code.exec), end = begin + code.size;
        if (!fits_s32(static_cast<s64>(target - begin)) ||
            !fits_s32(static_cast<s64>(target - end)))
            return false;
    }
    return true;
}

// One pass over the unit.
static bool lower(const Unit& unit, Layout& layout, CodeBuffer buffer, const LowerOptions& options,
                  JitImage& image, u32* size, u32* entry) {
    Assembler out(buffer, &layout);
    Lowering lowering(unit, out, options, image.insn_offset.data(), image.func_offset.data());
    lowering.run();
    *size = out.position();
    *entry = lowering.entry();
    return lowering.ok() && out.ok();
}

// Sizes, places, memory, bytes. With direct calls it may turn out that a helper is too far away:
// Again.
static Result<void> emit(const Unit& unit, Workspace& work, LowerOptions options, Prog* prog) {
    JitImage& image = prog->jit;
    auto subprogs = static_cast<u32>(prog->subprogs.size());
    Layout layout(work.marks.data(), static_cast<u32>(work.marks.size()), work.jumps.data(),
                  static_cast<u32>(work.jumps.size()));
    layout.reserve_labels(unit.count + 2 * subprogs + kLookupLabels * count_lookups(unit));
    u32 size, entry, final_size;
    if (!lower(unit, layout, {}, options, image, &size, &entry)) return Errno::NotSupp;
    if (!layout.relax(Layout::Padding::Expected)) return Errno::NotSupp;
    do {
        if (!lower(unit, layout, {}, options, image, &size, &entry)) return Errno::NotSupp;
    } while (!layout.settle());
    if (!host::exec_reserve(size, &image.code, prog->memory)) return Errno::NoMem;
    if (options.direct_calls && !within_reach(*prog, image.code)) return Errno::Again;
    options.exec = image.code.exec;
    if (!lower(unit, layout, {image.code.write, size}, options, image, &final_size, &entry) ||
        final_size != size)
        return Errno::NotSupp;
    if (!host::exec_publish(&image.code)) return Errno::NoMem;
    image.code_size = size;
    prog->run = reinterpret_cast<ProgEntry>(reinterpret_cast<u64>(image.code.exec) + entry);
    return {};
}

Result<void> compile(Prog* prog, LowerOptions options) {
    Workspace work;
    Unit unit{prog, nullptr, static_cast<u32>(prog->insns.size())};
    constexpr auto kMaySleep = host::AllocContext::MaySleep;
    if (!work.ops.allocate(unit.count, kMaySleep, prog->memory)) return Errno::NoMem;
    for (Op& op : work.ops) op = Op{};
    unit.ops = work.ops.data();
    TRY(decode(unit));
    simplify_branches(unit);
    compute_liveness(unit);
    remove_dead_code(unit);  // what is written and never read would be in the way of what follows
    fuse(unit);
    compute_liveness(unit);
    remove_dead_code(unit);
    if (remove_dead_stores(unit)) remove_dead_code(unit);
    if (options.bmi2) sink_operands(unit);
    if (!allocate_layout(unit, work, prog->memory) ||
        !prog->jit.insn_offset.allocate(unit.count, kMaySleep, prog->memory) ||
        !prog->jit.func_offset.allocate(prog->subprogs.size(), kMaySleep, prog->memory))
        return Errno::NoMem;
    auto result = emit(unit, work, options, prog);
    if (result.error() != Errno::Again || !options.direct_calls) return result;
    host::exec_free(&prog->jit.code, prog->memory);
    options.direct_calls = false;
    return emit(unit, work, options, prog);
}

}  // namespace x86

bool jit_available() {
    return true;
}

Result<void> jit_compile(Prog* prog) {
    x86::LowerOptions options;
    const arch::CpuFeatures features = arch::cpu_features();
    options.bmi2 = features.bmi2;
    options.keep_within_lines = features.slow_lines;
    auto result = x86::compile(prog, options);
    if (!result.ok()) jit_free(prog);
    prog->jited = result.ok();
    return result;
}

void jit_free(Prog* prog) {
    host::exec_free(&prog->jit.code, prog->memory);
    prog->jit.code_size = 0;
    prog->jit.insn_offset.reset();
    prog->jit.func_offset.reset();
}

}  // namespace barebpf
