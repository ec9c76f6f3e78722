// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/patch.h"

namespace barebpf {

using host::AllocContext;

Result<void> Patcher::begin(u32 count) {
    old_count_ = count;
    const size_t entries = size_t{count} + 1;
    if (!entry_.allocate(entries, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    if (!body_.allocate(entries, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    const size_t room = count < 64 ? 64 : entries + entries / 4;
    if (!insns_.allocate(room, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    if (!targets_.allocate(room, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    return {};
}

void Patcher::at(u32 index) {
    for (; next_old_ <= index; ++next_old_) entry_[next_old_] = body_[next_old_] = count_;
    current_ = index;
}

bool Patcher::grow() {
    host::Buffer<bpf_insn> insns;
    host::Buffer<u32> targets;
    const size_t room = insns_.size() * 2;
    if (!insns.allocate(room, AllocContext::MaySleep, owner_)) return false;
    if (!targets.allocate(room, AllocContext::MaySleep, owner_)) return false;
    __builtin_memcpy(insns.data(), insns_.data(), count_ * sizeof(bpf_insn));
    __builtin_memcpy(targets.data(), targets_.data(), count_ * sizeof(u32));
    insns_ = move(insns);
    targets_ = move(targets);
    return true;
}

void Patcher::append(const bpf_insn& insn, u32 target) {
    if (failed_) return;
    if (count_ == insns_.size() && !grow()) {
        failed_ = true;
        return;
    }
    insns_[count_] = insn;
    targets_[count_] = target;
    ++count_;
}

void Patcher::emit_wide(u8 dst, u64 value) {
    emit(make_insn(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, s32(u32(value))));
    emit(make_insn(0, 0, 0, 0, s32(u32(value >> 32))));
}

Result<void> Patcher::settle(u32 index, u32 target) {
    bpf_insn& insn = insns_[index];
    const u32 old = target & ~kEntry;
    const bool entry = target & kEntry;
    const s64 distance = s64{entry ? entry_[old] : body_[old]} - index - 1;
    if (entry || insn.code == (BPF_JMP32 | BPF_JA)) {
        insn.imm = s32(distance);
        return {};
    }
    if (distance == s16(distance)) {
        insn.off = s16(distance);
        return {};
    }
    if (insn.code != (BPF_JMP | BPF_JA)) return Errno::Range;
    insn = make_insn(BPF_JMP32 | BPF_JA, 0, 0, 0, s32(distance));
    return {};
}

Result<void> Patcher::finish() {
    if (failed_) return Errno::NoMem;
    at(old_count_);
    for (u32 i = 0; i < count_; ++i) {
        if (targets_[i] != kNoTarget) TRY(settle(i, targets_[i]));
    }
    return {};
}

}  // namespace barebpf
