// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rewriting a program in one sweep. The caller walks over the old instructions in their order and
// appends what shall stand for each; nothing is ever inserted into what is already there, so the
// work is linear in the length of the new program.
//
//     old   0: r1 = map        new   0: *(u64 *)(r10 -24) = N    entry of 0: calls come here
//           1: may_goto +2           1: r1 = map                 body of 0: jumps come here
//           2: r0 = 1                3: r2 = *(u64 *)(r10 -24)   body of 1
//           3: goto -3               ...
//
// Jumps, calls and subprogram addresses are appended with the old index of their target; finish()
// turns it into a distance once every new index is known. Jumps inside a replacement are appended
// with their distance, which stays.
//
// No memory is an error that sticks: appending goes on without effect and finish() reports it.
// Context: process, may sleep.
#pragma once

#include "kernel/host/alloc.h"
#include "kernel/lib/result.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

class Patcher {
public:
    explicit Patcher(host::MemoryOwner& owner) : owner_(owner) {}

    // A program of count instructions is to be rewritten.
    [[nodiscard]] Result<void> begin(u32 count);
    // The old instruction `index` is next: what is appended from here on stands for it. Each index
    // once, ascending; those left out are gone, and what aimed at them aims at the next one.
    void at(u32 index);
    // What was appended since at() is run by calls only; jumps to the instruction go behind it.
    void end_entry() { body_[current_] = count_; }

    // No jump, or one whose distance is final.
    void emit(const bpf_insn& insn) { append(insn, kNoTarget); }
    void emit_wide(u8 dst, u64 value);  // the two halves of a 64-bit immediate
    // A jump (its offset is ignored) to old_target.
    void emit_jump(const bpf_insn& insn, u32 old_target) { append(insn, old_target); }
    // A call of the subprogram that began at old_target, or the first half of a load of its address.
    void emit_subprog(const bpf_insn& insn, u32 old_target) { append(insn, old_target | kEntry); }

    // Settles all distances. A goto that no longer fits becomes a gotol; Range for a condition that
    // does not. Then the program is in insns()[0, count()).
    [[nodiscard]] Result<void> finish();

    const bpf_insn* insns() const { return insns_.data(); }
    u32 count() const { return count_; }
    // Where an old instruction's replacement starts, and where the old end is; after finish().
    u32 entry_of(u32 old_index) const { return entry_[old_index]; }

private:
    static constexpr u32 kNoTarget = ~u32{0};
    static constexpr u32 kEntry = u32{1} << 31;

    void append(const bpf_insn& insn, u32 target);
    bool grow();
    [[nodiscard]] Result<void> settle(u32 index, u32 target);

    host::MemoryOwner& owner_;
    host::Buffer<bpf_insn> insns_;
    host::Buffer<u32> targets_;  // of insns_: an old index, with kEntry or not, or kNoTarget
    host::Buffer<u32> entry_;    // by old index: the new one; [old count]: the end
    host::Buffer<u32> body_;     // the same, behind what only calls run
    u32 old_count_ = 0;
    u32 count_ = 0;
    u32 current_ = 0;
    u32 next_old_ = 0;
    bool failed_ = false;
};

// Instructions, spelled as they read.
constexpr bpf_insn make_insn(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
    return {.code = code, .dst_reg = u8(dst & 15), .src_reg = u8(src & 15), .off = off, .imm = imm};
}
constexpr bpf_insn insn_mov(u8 dst, u8 src) {
    return make_insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
constexpr bpf_insn insn_mov_imm(u8 dst, s32 imm) {
    return make_insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn insn_add_imm(u8 dst, s32 imm) {
    return make_insn(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}
// size: BPF_B, BPF_H, BPF_W, BPF_DW.
constexpr bpf_insn insn_load(u8 size, u8 dst, u8 src, s16 off) {
    return make_insn(u8(BPF_LDX | BPF_MEM | size), dst, src, off, 0);
}
constexpr bpf_insn insn_store(u8 size, u8 dst, s16 off, u8 src) {
    return make_insn(u8(BPF_STX | BPF_MEM | size), dst, src, off, 0);
}
constexpr bpf_insn insn_store_imm(u8 size, u8 dst, s16 off, s32 imm) {
    return make_insn(u8(BPF_ST | BPF_MEM | size), dst, 0, off, imm);
}
constexpr bpf_insn insn_goto(s16 distance = 0) {
    return make_insn(BPF_JMP | BPF_JA, 0, 0, distance, 0);
}
constexpr bpf_insn insn_jump_imm(u8 op, u8 dst, s32 imm, s16 distance) {
    return make_insn(u8(BPF_JMP | op | BPF_K), dst, 0, distance, imm);
}
constexpr bpf_insn insn_exit() {
    return make_insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}
// A call of calls[index].
constexpr bpf_insn insn_call(u32 index) {
    return make_insn(BPF_JMP | BPF_CALL, 0, 0, 0, s32(index));
}

// The BPF_B ... BPF_DW of 1, 2, 4 and 8 bytes.
constexpr u8 size_code(u32 bytes) {
    return bytes == 1 ? BPF_B : bytes == 2 ? BPF_H : bytes == 4 ? BPF_W : BPF_DW;
}

}  // namespace barebpf
