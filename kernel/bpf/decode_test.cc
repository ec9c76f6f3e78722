// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/decode.h"

#include <string>

#include "kernel/bpf/disasm.h"
#include "kernel/bpf/insn.h"
#include "testkit/test.h"

namespace barebpf::test {

using namespace insn;

namespace {

struct Refused {
    bpf_insn insn;
    const char* why;
};

struct Printed {
    bpf_insn insn[2];
    const char* text;
};

}  // namespace

TEST(Decode, Refuses) {
    const Refused cases[] = {
        {raw(BPF_ALU64 | BPF_MOV | BPF_X, 11, 0, 0, 0), "R11 is invalid\n"},
        {raw(BPF_ALU64 | BPF_MOV | BPF_X, 0, 12, 0, 0), "R12 is invalid\n"},
        {raw(BPF_ALU64 | BPF_NEG, 0, 1, 0, 0), "BPF_NEG uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_NEG | BPF_X, 0, 0, 0, 0), "BPF_NEG uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_NEG, 0, 0, 0, 1), "BPF_NEG uses reserved fields\n"},
        {raw(BPF_ALU | BPF_END, 0, 0, 0, 8), "BPF_END uses reserved fields\n"},
        {raw(BPF_ALU | BPF_END, 0, 0, 1, 16), "BPF_END uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_END | BPF_X, 0, 0, 0, 16), "BPF_END uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 4, 0), "BPF_MOV uses reserved fields\n"},
        {raw(BPF_ALU | BPF_MOV | BPF_X, 0, 1, 32, 0), "BPF_MOV uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 0, 1), "BPF_MOV uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_MOV, 0, 0, 8, 1), "BPF_MOV uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 1), "BPF_ALU uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_ADD, 0, 1, 0, 1), "BPF_ALU uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_ADD, 0, 0, 1, 1), "BPF_ALU uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_DIV, 0, 0, 2, 1), "BPF_ALU uses reserved fields\n"},
        {raw(BPF_ALU64 | BPF_DIV, 0, 0, 0, 0), "div by zero\n"},
        {raw(BPF_ALU | BPF_MOD, 0, 0, 1, 0), "div by zero\n"},
        {raw(BPF_ALU | BPF_LSH, 0, 0, 0, 32), "invalid shift 32\n"},
        {raw(BPF_ALU64 | BPF_ARSH, 0, 0, 0, -1), "invalid shift -1\n"},
        {raw(BPF_ALU64 | 0xe0, 0, 0, 0, 0), "unknown opcode e7\n"},
        {raw(BPF_JMP | BPF_CALL, 0, 0, 1, 1), "BPF_CALL uses reserved fields\n"},
        {raw(BPF_JMP | BPF_CALL, 0, 3, 0, 1), "BPF_CALL uses reserved fields\n"},
        {raw(BPF_JMP32 | BPF_CALL, 0, 0, 0, 1), "unknown opcode 86\n"},
        {raw(BPF_JMP | BPF_EXIT, 0, 0, 0, 1), "BPF_EXIT uses reserved fields\n"},
        {raw(BPF_JMP | BPF_JA, 0, 0, 1, 1), "BPF_JA uses reserved fields\n"},
        {raw(BPF_JMP32 | BPF_JA, 0, 0, 1, 1), "BPF_JA uses reserved fields\n"},
        {raw(BPF_JMP | BPF_JEQ, 0, 1, 1, 1), "BPF_JMP uses reserved fields\n"},
        {raw(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 1, 1), "BPF_JMP uses reserved fields\n"},
        {raw(BPF_JMP | BPF_JCOND, 0, 1, 1, 0), "invalid may_goto imm 0\n"},
        {raw(BPF_JMP | 0xf0, 0, 0, 0, 0), "unknown opcode f5\n"},
        {raw(BPF_LDX | BPF_MEM | BPF_W, 0, 1, 0, 1), "BPF_LDX uses reserved fields\n"},
        {raw(BPF_LDX | BPF_ABS | BPF_W, 0, 1, 0, 0), "BPF_LDX uses reserved fields\n"},
        {raw(BPF_LDX | BPF_MEMSX | BPF_DW, 0, 1, 0, 0), "unknown opcode 99\n"},
        {raw(BPF_ST | BPF_MEM | BPF_W, 0, 1, 0, 0), "BPF_ST uses reserved fields\n"},
        {raw(0xc2, 0, 0, 0, 0), "BPF_ST uses reserved fields\n"},
        {raw(BPF_STX | BPF_MEM | BPF_W, 0, 1, 0, 1), "BPF_STX uses reserved fields\n"},
        {raw(BPF_STX | BPF_ATOMIC | BPF_W, 0, 1, 0, 0x20),
         "BPF_ATOMIC uses invalid atomic opcode 20\n"},
        {raw(BPF_STX | BPF_ATOMIC | BPF_H, 0, 1, 0, 0), "invalid atomic operand size\n"},
        {raw(BPF_LD | BPF_ABS | BPF_W, 1, 0, 0, 0), "BPF_LD_[ABS|IND] uses reserved fields\n"},
        {raw(BPF_LD | BPF_ABS | BPF_DW, 0, 0, 0, 0), "unknown opcode 38\n"},
        {raw(BPF_LD | BPF_IMM | BPF_W, 0, 0, 0, 0), "unknown opcode 00\n"},
        {raw(BPF_LD | BPF_IMM | BPF_DW, 0, 0, 0, 0), "invalid bpf_ld_imm64 insn\n"},
    };
    for (const Refused& one : cases) {
        char text[96];
        TextBuffer why(text);
        u32 slots;
        const auto result = decode_insn(&one.insn, 1, &slots, why);
        EXPECT_EQ(to_int(result.error()), to_int(Errno::Inval)) << one.why;
        EXPECT_STREQ(text, one.why);
    }
}

TEST(Decode, WideLoads) {
    const bpf_insn good[] = {ld_low(R1, 0, 1), ld_high(2)};
    const bpf_insn two_maps[] = {ld_low(R1, BPF_PSEUDO_MAP_FD, 1), ld_high(2)};
    const bpf_insn pseudo[] = {ld_low(R1, 7, 1), ld_high(0)};
    const bpf_insn dirty[] = {ld_low(R1, 0, 1), raw(0, 1, 0, 0, 0)};
    u32 slots;
    char text[96];
    TextBuffer why(text);
    EXPECT_TRUE(decode_insn(good, 2, &slots, why).ok());
    EXPECT_EQ(slots, 2u);
    EXPECT_FALSE(decode_insn(two_maps, 2, &slots, why).ok());
    EXPECT_STREQ(text, "unrecognized bpf_ld_imm64 insn\n");
    EXPECT_FALSE(decode_insn(pseudo, 2, &slots, why).ok());
    why.clear();
    EXPECT_FALSE(decode_insn(dirty, 2, &slots, why).ok());
    EXPECT_STREQ(text, "invalid bpf_ld_imm64 insn\n");
}

TEST(Disasm, Text) {
    const Printed cases[] = {
        {{mov_imm(R0, -7)}, "(b7) r0 = -7"},
        {{mov32(R2, R3)}, "(bc) w2 = w3"},
        {{raw(BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 8, 0)}, "(bf) r1 = (s8)r2"},
        {{raw(BPF_ALU64 | BPF_DIV | BPF_X, 1, 2, 1, 0)}, "(3f) r1 s/= r2"},
        {{alu32_imm(BPF_ARSH, R4, 3)}, "(c4) w4 s>>= 3"},
        {{alu_imm(BPF_NEG, R1, 0)}, "(87) r1 = -r1"},
        {{raw(BPF_ALU | BPF_END | BPF_TO_BE, 1, 0, 0, 16)}, "(dc) r1 = be16 r1"},
        {{raw(BPF_ALU | BPF_END, 1, 0, 0, 32)}, "(d4) r1 = le32 r1"},
        {{raw(BPF_ALU64 | BPF_END, 1, 0, 0, 64)}, "(d7) r1 = bswap64 r1"},
        {{load(BPF_W, R0, R1, 4)}, "(61) r0 = *(u32 *)(r1 +4)"},
        {{load_signed(BPF_H, R0, R1, -4)}, "(89) r0 = *(s16 *)(r1 -4)"},
        {{store(BPF_DW, R10, -8, R1)}, "(7b) *(u64 *)(r10 -8) = r1"},
        {{store_imm(BPF_B, R10, -8, 1)}, "(72) *(u8 *)(r10 -8) = 1"},
        {{atomic(BPF_ADD, BPF_DW, R1, 0, R2)}, "(db) lock *(u64 *)(r1 +0) += r2"},
        {{atomic(BPF_XOR | BPF_FETCH, BPF_W, R1, 0, R2)},
         "(c3) r2 = atomic_fetch_xor((u32 *)(r1 +0), r2)"},
        {{atomic(BPF_XCHG, BPF_DW, R1, 8, R2)}, "(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)"},
        {{atomic(BPF_CMPXCHG, BPF_DW, R1, 8, R2)},
         "(db) r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)"},
        {{atomic(BPF_LOAD_ACQ, BPF_B, R1, 0, R2)}, "(d3) r1 = load_acquire((u8 *)(r2 +0))"},
        {{atomic(BPF_STORE_REL, BPF_W, R1, 0, R2)}, "(c3) store_release((u32 *)(r1 +0), r2)"},
        {{ld_abs(BPF_H, 12)}, "(28) r0 = *(u16 *)skb[12]"},
        {{ld_ind(BPF_B, R3, 5)}, "(50) r0 = *(u8 *)skb[r3 + 5]"},
        {{ld_low(R1, 0, 5), ld_high(1)}, "(18) r1 = 0x100000005"},
        {{jump_imm(BPF_JSGT, R1, -1, 3)}, "(65) if r1 s> 0xffffffff goto pc+3"},
        {{jump32(BPF_JSET, R1, R2, -3)}, "(4e) if w1 & w2 goto pc-3"},
        {{go(0)}, "(05) goto pc+0"},
        {{go_long(70000)}, "(06) gotol pc+70000"},
        {{may_goto(2)}, "(e5) may_goto pc+2"},
        {{call(BPF_FUNC_map_lookup_elem)}, "(85) call bpf_map_lookup_elem#1"},
        {{call_subprog(-4)}, "(85) call pc-4"},
        {{insn::exit()}, "(95) exit"},
    };
    for (const Printed& one : cases) {
        char text[96];
        TextBuffer out(text);
        disasm_insn(out, one.insn);
        EXPECT_STREQ(text, one.text);
    }
}

// Whatever the bytes are: text that fits, and decode says yes or no.
TEST(Disasm, AnyBytes) {
    u64 random = 88172645463325252;
    for (int i = 0; i < 200'000; ++i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bpf_insn pair[2] = {raw(u8(random), u8(random >> 8), u8(random >> 12), s16(random >> 16),
                                s32(random >> 32)),
                            raw(0, 0, 0, 0, s32(random))};
        char text[128];
        TextBuffer out(text);
        disasm_insn(out, pair);
        EXPECT_FALSE(out.truncated());
        char words[96];
        TextBuffer why(words);
        u32 slots;
        const bool ok = decode_insn(pair, 2, &slots, why).ok();
        EXPECT_EQ(ok, why.empty());
        if (ok) {
            EXPECT_EQ(std::string(text).find("BUG"), std::string::npos) << text;
        }
    }
}

}  // namespace barebpf::test
