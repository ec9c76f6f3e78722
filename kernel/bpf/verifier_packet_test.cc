// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

using namespace insn;

namespace {

constexpr s16 kData = 76, kDataEnd = 80, kDataMeta = 140;

// R2 = data, R3 = data_end, R4 = data + 8, then the rest, R0 = 0 before it.
std::vector<bpf_insn> packet(std::vector<bpf_insn> tail) {
    std::vector<bpf_insn> all = {mov_imm(R0, 0), load(BPF_W, R2, R1, kData),
                                 load(BPF_W, R3, R1, kDataEnd), mov(R4, R2), add_imm(R4, 8)};
    for (const bpf_insn& one : tail) all.push_back(one);
    all.push_back(exit());
    return all;
}

}  // namespace

// The eight ways of asking whether 8 bytes are there, and the byte behind them.
TEST(VerifierPacket, Comparisons) {
    const char* kBad = "invalid access to packet, off=8 size=1, R2(id=0,off=8,r=8)";
    const bpf_insn in = load(BPF_B, R0, R2, 7), out = load(BPF_B, R0, R2, 8);
    check_cases({
        {"p > end", packet({jump(BPF_JGT, R4, R3, 1), in})},
        {"p > end, bad", packet({jump(BPF_JGT, R4, R3, 1), out}), Errno::Acces, kBad},
        {"end < p", packet({jump(BPF_JLT, R3, R4, 1), in})},
        {"end < p, bad", packet({jump(BPF_JLT, R3, R4, 1), out}), Errno::Acces, kBad},
        {"p <= end", packet({jump(BPF_JLE, R4, R3, 1), go(1), in})},
        {"p <= end, bad", packet({jump(BPF_JLE, R4, R3, 1), go(1), out}), Errno::Acces, kBad},
        {"end >= p", packet({jump(BPF_JGE, R3, R4, 1), go(1), in})},
        {"end >= p, bad", packet({jump(BPF_JGE, R3, R4, 1), go(1), out}), Errno::Acces, kBad},
        // One byte more is there if p < end.
        {"p >= end", packet({jump(BPF_JGE, R4, R3, 1), out})},
        {"end <= p", packet({jump(BPF_JLE, R3, R4, 1), out})},
        {"p < end", packet({jump(BPF_JLT, R4, R3, 1), go(1), out})},
        {"end > p", packet({jump(BPF_JGT, R3, R4, 1), go(1), out})},
        {"p >= end, bad", packet({jump(BPF_JGE, R4, R3, 1), load(BPF_B, R0, R2, 9)}), Errno::Acces,
         "invalid access to packet, off=9 size=1, R2(id=0,off=9,r=9)"},
        {"the wrong side", packet({jump(BPF_JLE, R4, R3, 1), in}), Errno::Acces,
         "invalid access to packet, off=7 size=1, R2(id=0,off=7,r=0)"},
        {"not at all", packet({in}), Errno::Acces, "R2 offset is outside of the packet"},
        {"equality proves nothing", packet({jump(BPF_JNE, R4, R3, 1), in}), Errno::Acces,
         "invalid access to packet"},
        {"32 bits prove nothing", packet({jump32(BPF_JGT, R4, R3, 1), in}), Errno::Acces,
         "invalid access to packet"},
        {"through the moved pointer", packet({jump(BPF_JGT, R4, R3, 1), load(BPF_DW, R0, R4, -8)})},
        {"before the packet", packet({jump(BPF_JGT, R4, R3, 1), load(BPF_B, R0, R2, -1)}),
         Errno::Acces, "invalid access to packet, off=-1 size=1"},
        {"write", packet({jump(BPF_JGT, R4, R3, 1), store_imm(BPF_DW, R2, 0, 1)})},
    });
}

TEST(VerifierPacket, Decided) {
    check_cases({
        {"asked twice",
         packet({jump(BPF_JGT, R4, R3, 2), jump(BPF_JGT, R4, R3, 1), load(BPF_B, R0, R2, 7)})},
        {"beyond stays beyond", packet({jump(BPF_JGT, R4, R3, 1), go(2), jump(BPF_JGT, R4, R3, 1),
                                        load(BPF_B, R0, R5, 0), mov_imm(R0, 0)})},
        {"but not after a step back",
         packet({jump(BPF_JGT, R4, R3, 1), go(3), add_imm(R4, -8), jump(BPF_JGT, R4, R3, 1),
                 load(BPF_B, R0, R5, 0), mov_imm(R0, 0)}),
         Errno::Acces, "R5 !read_ok"},
    });
}

TEST(VerifierPacket, VariableOffset) {
    // R2 = data + (a byte of the context), R4 = R2 + 8, checked.
    const auto moved = [](std::vector<bpf_insn> tail) {
        std::vector<bpf_insn> all = {
            mov_imm(R0, 0),         load(BPF_W, R2, R1, kData), load(BPF_W, R3, R1, kDataEnd),
            load(BPF_B, R5, R1, 0), alu(BPF_ADD, R2, R5),       mov(R4, R2),
            add_imm(R4, 8)};
        for (const bpf_insn& one : tail) all.push_back(one);
        all.push_back(exit());
        return all;
    };
    check_cases({
        {"inside", moved({jump(BPF_JGT, R4, R3, 1), load(BPF_DW, R0, R2, 0)})},
        {"outside", moved({jump(BPF_JGT, R4, R3, 1), load(BPF_DW, R0, R2, 1)}), Errno::Acces,
         "invalid access to packet, off=1 size=8, R2(id="},
        {"another base has no range",
         moved({jump(BPF_JGT, R4, R3, 2), alu(BPF_ADD, R2, R5), load(BPF_B, R0, R2, 0)}),
         Errno::Acces, "R2 offset is outside of the packet"},
        {"too far for any packet",
         {mov_imm(R0, 0), load(BPF_W, R2, R1, kData), load(BPF_W, R3, R1, kDataEnd),
          load(BPF_W, R5, R1, 0), alu_imm(BPF_AND, R5, 0x1ffff), alu(BPF_ADD, R2, R5), mov(R4, R2),
          add_imm(R4, 8), jump(BPF_JGT, R4, R3, 1), load(BPF_B, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 offset is outside of the packet"},
    });
}

TEST(VerifierPacket, MetaAndEnd) {
    check_cases({
        {"meta against data",
         {mov_imm(R0, 0), load(BPF_W, R2, R1, kDataMeta), load(BPF_W, R3, R1, kData), mov(R4, R2),
          add_imm(R4, 8), jump(BPF_JGT, R4, R3, 1), load(BPF_DW, R0, R2, 0), exit()}},
        {"meta against data_end",
         {mov_imm(R0, 0), load(BPF_W, R2, R1, kDataMeta), load(BPF_W, R3, R1, kDataEnd),
          mov(R4, R2), add_imm(R4, 8), jump(BPF_JGT, R4, R3, 1), load(BPF_DW, R0, R2, 0), exit()},
         Errno::Acces,
         "invalid access to packet"},
        {"meta against moved data",
         {mov_imm(R0, 0), load(BPF_W, R2, R1, kDataMeta), load(BPF_W, R3, R1, kData),
          add_imm(R3, 8), mov(R4, R2), add_imm(R4, 8), jump(BPF_JGT, R4, R3, 1),
          load(BPF_DW, R0, R2, 0), exit()},
         Errno::Acces,
         "invalid access to packet"},
        {"end is no memory", packet({load(BPF_B, R0, R3, -1)}), Errno::Acces,
         "R3 invalid mem access 'pkt_end'"},
        {"end does not move", packet({add_imm(R3, -1)}), Errno::Acces,
         "R3 pointer arithmetic on pkt_end prohibited"},
        {"gone with a helper that moves the packet",
         packet({jump(BPF_JGT, R4, R3, 5), mov(R6, R2), mov_imm(R2, 0), mov_imm(R3, 0),
                 call(BPF_FUNC_skb_change_head), load(BPF_B, R0, R6, 0)}),
         Errno::Acces, "R6 invalid mem access 'scalar'"},
        {"atomic", packet({jump(BPF_JGT, R4, R3, 1), atomic(BPF_ADD, BPF_DW, R2, 0, R0)}),
         Errno::Acces, "BPF_ATOMIC stores into R2 pkt is not allowed"},
    });
}

TEST(VerifierPacket, Legacy) {
    check_cases({
        {"absolute", {mov(R6, R1), ld_abs(BPF_W, 12), exit()}},
        {"indirect", {mov(R6, R1), mov_imm(R2, 4), ld_ind(BPF_B, R2, 12), exit()}},
        {"no context in R6", {ld_abs(BPF_W, 12), exit()}, Errno::Acces, "R6 !read_ok"},
        {"something else in R6",
         {mov(R6, R10), ld_abs(BPF_W, 12), exit()},
         Errno::Inval,
         "at the time of BPF_LD_ABS|IND R6 != pointer to skb"},
        {"arguments are lost",
         {mov(R6, R1), ld_abs(BPF_W, 12), load(BPF_W, R0, R1, 0), exit()},
         Errno::Acces,
         "R1 !read_ok"},
        {"a byte is a byte",
         {mov(R6, R1), ld_abs(BPF_B, 12), alu_imm(BPF_AND, R0, 31),
          ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), alu(BPF_ADD, R2, R0),
          load(BPF_B, R0, R2, 0), exit()}},
        {"8 bytes", {mov(R6, R1), ld_abs(BPF_DW, 12), exit()}, Errno::Inval, "unknown opcode 38"},
        {"in a subprogram without BTF",
         {call_subprog(1), exit(), mov(R6, R1), ld_abs(BPF_W, 12), exit()},
         Errno::Inval,
         "LD_ABS is not allowed in subprogs without BTF"},
    });
}

}  // namespace barebpf::test
