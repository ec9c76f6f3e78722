// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_random_test.h"

namespace barebpf::test {

using namespace insn;

u8 RandomProgram::find(Kind a, Kind b) {
    u8 found[10], count = 0;
    for (u8 r = 0; r < 10; ++r)
        if (model_.reg[r] == a || (b != Kind::None && model_.reg[r] == b)) found[count++] = r;
    if (!count || below(200) == 0) {
        // Better a number than a register that holds nothing.
        const u8 reg = static_cast<u8>(6 + below(4));
        if (a == Kind::Number || a == Kind::Small) {
            emit(mov_imm(reg, constant()));
            set(reg, Kind::Number);
        }
        return reg;
    }
    return found[below(count)];
}

void RandomProgram::lose_arguments() {
    for (u8 r = 0; r <= 5; ++r) set(r, Kind::None);
}

void RandomProgram::forget_differences(const Model& other) {
    for (u32 r = 0; r < 10; ++r)
        if (model_.reg[r] != other.reg[r]) model_.reg[r] = Kind::None;
    for (u32 s = 0; s < 4; ++s)
        if (model_.slot[s] != other.slot[s]) model_.slot[s] = Kind::None;
    if (other.packet_bytes < model_.packet_bytes) model_.packet_bytes = other.packet_bytes;
}

void RandomProgram::arithmetic() {
    // No division: what it yields is known better here than in the kernel.
    const u8 op = pick<u8>({BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_LSH, BPF_RSH, BPF_XOR,
                            BPF_ARSH, BPF_AND, BPF_AND, BPF_MOV, BPF_NEG});
    const u8 dst = number();
    const bool wide = chance(60);
    if (op == BPF_NEG) {
        emit(wide ? alu_imm(BPF_NEG, dst, 0) : alu32_imm(BPF_NEG, dst, 0));
        set(dst, Kind::Number);
        return;
    }
    if (op == BPF_MOV) {
        const u8 to = any_target(), from = number();
        bpf_insn move = wide ? mov(to, from) : mov32(to, from);
        if (chance(20)) move.off = pick<s16>({8, 16});
        emit(move);
        set(to, move.off == 0 && wide ? model_.reg[from] : Kind::Number);
        return;
    }
    const bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
    if (chance(35) && !shift) {
        const u8 src = number();
        if (src == dst) return;  // r ^= r: zero here, unknown there
        emit(wide ? alu(op, dst, src) : alu32(op, dst, src));
        set(dst, Kind::Number);
        return;
    }
    const s32 imm = shift ? static_cast<s32>(below(wide ? 64 : 32)) : constant();
    emit(wide ? alu_imm(op, dst, imm) : alu32_imm(op, dst, imm));
    const bool small = op == BPF_AND && imm > 0 && imm <= 48;
    set(dst, small ? Kind::Small : Kind::Number);
}

void RandomProgram::stack() {
    const u8 slot = static_cast<u8>(below(4));
    const s16 off = static_cast<s16>(-8 * (slot + 1));
    switch (below(6)) {
        case 0: {
            const u8 src = static_cast<u8>(below(10));
            if (model_.reg[src] == Kind::None) return;
            emit(store(BPF_DW, R10, off, src));
            model_.slot[slot] = model_.reg[src];
            return;
        }
        case 1:
            emit(store_imm(BPF_DW, R10, off, constant()));
            model_.slot[slot] = Kind::Number;
            return;
        case 2: {
            const u8 width = pick<u8>({BPF_B, BPF_H, BPF_W});
            emit(store(width, R10, static_cast<s16>(off + (width == BPF_W ? 4 * s16(below(2)) : 2)),
                       number()));
            if (model_.slot[slot] != Kind::None) model_.slot[slot] = Kind::Number;
            return;
        }
        case 3:
            if (model_.slot[slot] != Kind::None) {
                emit(load(pick<u8>({BPF_W, BPF_H}), R5, R10, off));
                set(R5, Kind::Number);
            }
            return;
        default: {
            if (model_.slot[slot] == Kind::None) return;
            const u8 to = any_target();
            emit(load(BPF_DW, to, R10, off));
            set(to, model_.slot[slot]);
        }
    }
}

void RandomProgram::stack_variable() {
    for (u32 s = 0; s < 4; ++s)
        if (model_.slot[s] == Kind::None) {
            emit(store_imm(BPF_DW, R10, static_cast<s16>(-8 * s16(s + 1)), 0));
            model_.slot[s] = Kind::Number;
        }
    const u8 index = find(Kind::Number, Kind::Small);
    emit(mov(R4, index));
    emit(alu_imm(BPF_AND, R4, pick<s32>({8, 24, 16, 31})));
    emit(mov(R5, R10));
    emit(alu(BPF_ADD, R5, R4));
    const s16 off = pick<s16>({-32, -32, -24, -16});
    if (chance(50)) {
        emit(store(BPF_DW, R5, off, number()));
        for (Kind& slot : model_.slot) slot = Kind::Number;
    } else {
        emit(load(pick<u8>({BPF_DW, BPF_B}), R4, R5, off));
    }
    set(R4, Kind::Number);
    set(R5, Kind::None);
}

void RandomProgram::value() {
    u8 pointer;
    if (chance(50)) {
        pointer = static_cast<u8>(1 + below(9));
        emit(ld_low(pointer, BPF_PSEUDO_MAP_VALUE, chance(85) ? kArrayFd : kReadOnlyFd));
        emit(ld_high(pick<s32>({0, 0, 8, 16})));
        set(pointer, Kind::Value);
    } else {
        pointer = find(Kind::Value);
        if (model_.reg[pointer] != Kind::Value) return;
    }
    if (chance(40)) {
        const u8 moved = static_cast<u8>(1 + below(9));
        const u8 index = chance(80) ? find(Kind::Small) : number();
        if (moved != index) {
            emit(mov(moved, pointer));
            emit(alu(chance(90) ? BPF_ADD : BPF_SUB, moved, index));
            set(moved, Kind::Value);
            pointer = moved;
        }
    }
    const s16 off = pick<s16>({0, 0, 0, 4, 8, 15, 16, 24, 40});
    if (chance(50)) {
        const u8 to = any_target();
        emit(chance(85) ? load(size(), to, pointer, off)
                        : load_signed(pick<u8>({BPF_B, BPF_H, BPF_W}), to, pointer, off));
        set(to, Kind::Number);
    } else {
        emit(store(size(), pointer, off, number()));
    }
}

void RandomProgram::packet() {
    const u8 context = find(Kind::Context);
    if (model_.reg[context] != Kind::Context) return;
    emit(load(BPF_W, R2, context, 76));
    emit(load(BPF_W, R3, context, 80));
    if (chance(30)) {
        emit(mov(R5, find(Kind::Small)));
        emit(alu(BPF_ADD, R2, R5));
    }
    emit(mov(R4, R2));
    const s32 bytes = pick<s32>({4, 8, 14, 20});
    emit(add_imm(R4, bytes));
    const u8 op = pick<u8>({BPF_JGT, BPF_JGE, BPF_JLE, BPF_JLT});
    const bool mirrored = chance(50);
    const bpf_insn access = load(BPF_B, R5, R2, static_cast<s16>(bytes - 1 + s32(below(8) == 0)));
    const bool in_branch = op == BPF_JLE || op == BPF_JLT;
    const u8 a = mirrored ? R3 : R4, b = mirrored ? R4 : R3;
    const bool direct = in_branch != mirrored;
    emit(jump(op, a, b, 1));
    emit(direct ? go(1) : access);
    if (direct) emit(access);
    for (u8 r = 2; r <= 5; ++r) set(r, Kind::None);
}

void RandomProgram::call_helper() {
    emit(call(pick<s32>({BPF_FUNC_get_prandom_u32, BPF_FUNC_ktime_get_ns})));
    lose_arguments();
    set(R0, Kind::Number);
}

void RandomProgram::call_lookup() {
    // Not a constant: the kernel knows that a constant key is there.
    const u8 key = number();
    emit(store(BPF_H, R10, -40, key));
    emit(store(BPF_H, R10, -38, key));
    emit(mov(R2, R10));
    emit(add_imm(R2, -40));
    emit(ld_low(R1, BPF_PSEUDO_MAP_FD, kArrayFd));
    emit(ld_high(0));
    emit(call(BPF_FUNC_map_lookup_elem));
    lose_arguments();
    const u8 kept = static_cast<u8>(6 + below(4));
    const Kind before = model_.reg[kept];
    if (chance(50) && before != Kind::Context) {
        emit(mov(kept, R0));
        set(kept, Kind::None);
    }
    if (chance(93)) {
        emit(jump_imm(BPF_JNE, R0, 0, 2));
        emit(mov_imm(R0, 0));
        emit(exit());
        if (model_.reg[kept] == Kind::None && before != Kind::None) set(kept, Kind::Value);
    }
    set(R0, Kind::Value);
}

void RandomProgram::guard() {
    const u8 reg = number();
    const u8 op = pick<u8>({BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE, BPF_JGT, BPF_JEQ, BPF_JNE});
    const s32 limit = pick<s32>({8, 16, 24, 32, 40, 47});
    emit(chance(70) ? jump_imm(op, reg, limit, 2) : jump32_imm(op, reg, limit, 2));
    emit(mov_imm(R0, 0));
    emit(exit());
    if (op == BPF_JLT || op == BPF_JLE) set(reg, Kind::Small);
}

void RandomProgram::atomic_access() {
    const s32 op = pick<s32>({BPF_ADD, BPF_ADD | BPF_FETCH, BPF_OR, BPF_XOR | BPF_FETCH, BPF_XCHG,
                              BPF_CMPXCHG, BPF_LOAD_ACQ, BPF_STORE_REL});
    const u8 width = pick<u8>({BPF_W, BPF_DW});
    const u8 src = number();
    const bool on_stack =
        chance(50) && (model_.slot[0] == Kind::Number || model_.slot[0] == Kind::Small);
    const u8 pointer = on_stack ? R10 : find(Kind::Value);
    if (!on_stack && model_.reg[pointer] != Kind::Value) return;
    if (op == BPF_CMPXCHG) emit(mov_imm(R0, 1));
    if (op == BPF_CMPXCHG) set(R0, Kind::Number);
    const s16 off = on_stack ? s16{-8} : s16{0};
    if (op == BPF_LOAD_ACQ) {
        emit(atomic(op, width, R5, off, pointer));
        set(R5, Kind::Number);
        return;
    }
    emit(atomic(op, width, pointer, off, src));
    if (op & BPF_FETCH) set(op == BPF_CMPXCHG ? u8{R0} : src, Kind::Number);
    if (on_stack) model_.slot[0] = Kind::Number;
}

void RandomProgram::branch(u32 depth) {
    const u8 dst = number();
    const u8 op = pick<u8>({BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT, BPF_JSGE,
                            BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE});
    const bool wide = chance(70);
    if (chance(30)) {
        u8 src = number();
        if (src == dst) src = R10;  // r > r: decided here, not there
        emit(wide ? jump(op, dst, src, 0) : jump32(op, dst, src, 0));
    } else {
        emit(wide ? jump_imm(op, dst, constant(), 0) : jump32_imm(op, dst, constant(), 0));
    }
    const size_t jump_at = out_.size() - 1;
    const Model before = model_;
    block(depth + 1, 1 + below(4));
    if (chance(50)) {
        out_[jump_at].off = static_cast<s16>(out_.size() - jump_at - 1);
        forget_differences(before);
        return;
    }
    emit(go(0));
    const size_t end_at = out_.size() - 1;
    out_[jump_at].off = static_cast<s16>(out_.size() - jump_at - 1);
    const Model one_way = model_;
    model_ = before;
    block(depth + 1, 1 + below(4));
    out_[end_at].off = static_cast<s16>(out_.size() - end_at - 1);
    forget_differences(one_way);
}

void RandomProgram::loop(u32 depth) {
    const u8 counter = static_cast<u8>(6 + below(4));
    if (model_.reg[counter] == Kind::Context) return;
    emit(mov_imm(counter, 0));
    set(counter, Kind::Small);
    const size_t start = out_.size();
    const Model before = model_;
    block(depth + 1, 1 + below(3));
    forget_differences(before);
    if (model_.reg[counter] == Kind::None) {
        emit(mov_imm(counter, 100));
    }
    emit(add_imm(counter, 1));
    const s32 rounds = pick<s32>({2, 3, 8, 20, 40});
    emit(jump_imm(BPF_JLT, counter, rounds, static_cast<s16>(s64(start) - s64(out_.size()) - 1)));
    set(counter, Kind::Number);
}

// The context is the number in the first slot.
void RandomProgram::call_with_callback() {
    if (in_subprogram_ || callbacks_.size() > 2) return;
    const bool of_loop = chance(30);
    if (chance(80)) {
        emit(store_imm(BPF_DW, R10, -8, pick<s32>({0, 0, 1, 8, 40})));
        model_.slot[0] = Kind::Number;
    }
    if (!of_loop) {
        emit(ld_low(R1, BPF_PSEUDO_MAP_FD, kArrayFd));
        emit(ld_high(0));
    } else if (chance(70)) {
        emit(mov_imm(R1, pick<s32>({1, 2, 5, 47, 1000})));
    } else {
        emit(mov(R1, number()));
    }
    callbacks_.push_back({static_cast<u32>(out_.size()), of_loop});
    emit(ld_low(R2, BPF_PSEUDO_FUNC, 0));
    emit(ld_high(0));
    emit(chance(85) ? mov(R3, R10) : mov_imm(R3, 0));
    if (out_.back().src_reg == R10) emit(add_imm(R3, -8));
    emit(mov_imm(R4, 0));
    emit(call(of_loop ? BPF_FUNC_loop : BPF_FUNC_for_each_map_elem));
    lose_arguments();
    set(R0, Kind::Number);
    if (chance(40)) return;
    // What the callback left, as an index.
    emit(load(BPF_DW, R5, R10, -8));
    set(R5, Kind::Number);
    if (chance(50)) {
        emit(jump_imm(pick<u8>({BPF_JLT, BPF_JLE}), R5, pick<s32>({8, 40, 47, 48}), 2));
        emit(mov_imm(R0, 0));
        emit(exit());
    }
    set(R5, Kind::Small);
    if (chance(70)) value();
}

// As the helper calls it: the value in R3, the context in R4; of loop: a number in R1, the context in
// R2.
void RandomProgram::callback(bool of_loop) {
    model_ = {};
    in_subprogram_ = true;
    set(of_loop ? R1 : R3, of_loop ? Kind::Number : Kind::Value);
    const u8 context = of_loop ? R2 : R4;
    if (chance(30)) block(2, 1 + below(2));
    if (chance(80)) {
        emit(load(BPF_DW, R0, context, 0));
        set(R0, Kind::Number);
        if (chance(30)) emit(jump_imm(pick<u8>({BPF_JGT, BPF_JEQ, BPF_JNE}), R0, constant(), 2));
        if (chance(80)) emit(chance(80) ? add_imm(R0, 1) : mov_imm(R0, constant()));
        emit(chance(95) ? store(BPF_DW, context, 0, R0) : store(BPF_DW, context, 0, R10));
        emit(mov_imm(R0, 0));
    }
    block(1, below(4));
    if (chance(90)) emit(mov_imm(R0, pick<s32>({0, 0, 0, 1})));
    emit(exit());
}

void RandomProgram::statement(u32 depth) {
    if (with_callbacks_ && below(8) == 0) return call_with_callback();
    switch (below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return arithmetic();
        case 4:
        case 5:
            return stack();
        case 6:
        case 7:
            return value();
        case 8:
            return packet();
        case 9:
            if (chance(50)) return call_helper();
            return call_lookup();
        case 10:
            return guard();
        case 11:
            return atomic_access();
        case 12:
            if (chance(40)) return stack_variable();
            if (in_subprogram_ || calls_.size() > 2) return;
            calls_.push_back(static_cast<u32>(out_.size()));
            emit(call_subprog(0));
            lose_arguments();
            set(R0, Kind::Number);
            return;
        case 13: {
            const u8 context = find(Kind::Context);
            if (model_.reg[context] != Kind::Context) return;
            const u8 to = static_cast<u8>(below(6));
            emit(load(pick<u8>({BPF_W, BPF_W, BPF_B}), to, context, pick<s16>({0, 8, 48, 52})));
            set(to, Kind::Number);
            return;
        }
        case 14:
            if (depth < 3) branch(depth);
            return;
        default:
            if (depth < 2) loop(depth);
    }
}

void RandomProgram::block(u32 depth, u32 statements) {
    for (u32 i = 0; i < statements; ++i) statement(depth);
}

void RandomProgram::finish() {
    const u8 result = number();
    emit(mov(R0, result));
    emit(exit());
}

void RandomProgram::subprogram() {
    model_ = {};
    in_subprogram_ = true;
    block(0, 2 + below(6));
    finish();
}

std::vector<bpf_insn> RandomProgram::make() {
    set(R1, Kind::Context);
    if (chance(80)) {
        emit(mov(R6, R1));
        set(R6, Kind::Context);
    }
    block(0, 4 + below(20));
    finish();
    functions_ = {0};
    for (size_t i = 0; i < calls_.size(); ++i) {
        const u32 start = static_cast<u32>(out_.size());
        functions_.push_back(start);
        subprogram();
        out_[calls_[i]].imm = static_cast<s32>(start - calls_[i] - 1);
    }
    for (size_t i = 0; i < callbacks_.size(); ++i) {
        const u32 start = static_cast<u32>(out_.size());
        functions_.push_back(start);
        callback(callbacks_[i].of_loop);
        out_[callbacks_[i].address].imm = static_cast<s32>(start - callbacks_[i].address - 1);
    }
    return out_;
}

}  // namespace barebpf::test
