// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests only: programs made from bare instructions, without verifier or bpf(2).
#pragma once

#include <cstring>
#include <vector>

#include "arch/x86/net/bpf_jit_lower.h"
#include "kernel/bpf/prog.h"

namespace barebpf::x86::test {

using Insns = std::vector<bpf_insn>;

inline bpf_insn insn(u32 code, u32 dst, u32 src, s32 off, s32 imm) {
    bpf_insn out{};
    out.code = static_cast<u8>(code);
    out.dst_reg = dst & 15;
    out.src_reg = src & 15;
    out.off = static_cast<s16>(off);
    out.imm = imm;
    return out;
}

inline bpf_insn mov_imm(u32 dst, s32 imm) {
    return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
inline bpf_insn mov_reg(u32 dst, u32 src) {
    return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
inline bpf_insn exit_insn() {
    return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}
inline void load_imm64(Insns& out, u32 dst, u64 value) {
    out.push_back(insn(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, static_cast<s32>(value)));
    out.push_back(insn(0, 0, 0, 0, static_cast<s32>(value >> 32)));
}
inline void append(Insns& out, const Insns& more) {
    out.insert(out.end(), more.begin(), more.end());
}
inline bpf_insn call_helper(u32 index) {
    return insn(BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<s32>(index));
}
inline bpf_insn tail_call() {
    return insn(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0);
}

// A program that is only run, never published.
class TestProgram {
public:
    explicit TestProgram(const Insns& insns, const std::vector<const void*>& helpers = {}) {
        constexpr auto kMaySleep = host::AllocContext::MaySleep;
        ok_ = prog_.insns.allocate(insns.size(), kMaySleep, prog_.memory) &&
              prog_.calls.allocate(helpers.size(), kMaySleep, prog_.memory);
        if (!ok_) return;
        for (size_t i = 0; i < insns.size(); i++) prog_.insns[i] = insns[i];
        for (size_t i = 0; i < helpers.size(); i++) prog_.calls[i].address = helpers[i];
        find_subprogs();
    }
    ~TestProgram() { jit_free(&prog_); }
    TestProgram(const TestProgram&) = delete;
    TestProgram& operator=(const TestProgram&) = delete;

    Prog* prog() { return &prog_; }
    const Prog* prog() const { return &prog_; }
    bool compile() { return finish(jit_compile(&prog_)); }
    // With chosen instructions; for code that this machine would not get.
    bool compile(LowerOptions options) {
        jit_free(&prog_);
        return finish(x86::compile(&prog_, options));
    }
    Errno error() const { return error_; }
    u64 run(void* memory, u64 length) const {
        auto address = reinterpret_cast<u64>(prog_.run);
        return reinterpret_cast<u64 (*)(void*, u64)>(address)(memory, length);
    }

private:
    bool finish(Result<void> result) {
        error_ = result.error();
        return ok_ && result.ok();
    }
    void find_subprogs() {
        std::vector<bool> starts(prog_.insns.size()), called_back(prog_.insns.size());
        starts[0] = true;
        for (size_t i = 0; i < prog_.insns.size(); i++) {
            const bpf_insn& in = prog_.insns[i];
            if (in.code == (BPF_JMP | BPF_CALL) && in.src_reg == BPF_PSEUDO_CALL)
                starts[i + 1 + static_cast<size_t>(s64{in.imm})] = true;
            if (in.code == (BPF_LD | BPF_IMM | BPF_DW)) {
                if (in.src_reg == BPF_PSEUDO_FUNC) {
                    starts[i + 1 + static_cast<size_t>(s64{in.imm})] = true;
                    called_back[i + 1 + static_cast<size_t>(s64{in.imm})] = true;
                }
                i++;
            }
        }
        size_t count = 0;
        for (bool start : starts) count += start;
        ok_ = prog_.subprogs.allocate(count, host::AllocContext::MaySleep, prog_.memory);
        size_t n = 0;
        for (size_t i = 0; i < starts.size() && ok_; i++)
            if (starts[i])
                prog_.subprogs[n++] = {static_cast<u32>(i), 512,   false, false,
                                       called_back[i],      &prog_};
    }

    Prog prog_;
    Errno error_{};
    bool ok_ = true;
};

// Runs it where the registers that C keeps over a call have known values: 0, or some bits of those that have changed.
inline u64 registers_changed_by(const TestProgram& program, u64* result) {
    auto entry = reinterpret_cast<u64>(program.prog()->run);
    u64 changed = 0;
    asm volatile(
        "mov $0x1111, %%rbx\n mov $0x2222, %%r12\n mov $0x3333, %%r13\n mov $0x4444, %%r14\n"
        "mov $0x5555, %%r15\n push %%rbp\n mov $0x6666, %%rbp\n mov %%rsp, %[changed]\n"
        "and $-16, %%rsp\n push %[changed]\n push %[changed]\n call *%[entry]\n"
        "pop %[changed]\n pop %[changed]\n mov %[changed], %%rsp\n xor %[changed], %[changed]\n"
        "xor $0x6666, %%rbp\n or %%rbp, %[changed]\n pop %%rbp\n"
        "xor $0x1111, %%rbx\n or %%rbx, %[changed]\n xor $0x2222, %%r12\n or %%r12, %[changed]\n"
        "xor $0x3333, %%r13\n or %%r13, %[changed]\n xor $0x4444, %%r14\n or %%r14, %[changed]\n"
        "xor $0x5555, %%r15\n or %%r15, %[changed]\n"
        : [changed] "=&c"(changed), "=&a"(*result)
        : [entry] "1"(entry)
        : "rbx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "memory", "cc");
    return changed;
}

}  // namespace barebpf::x86::test
