// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random programs, compiled and interpreted: same result, same memory. The programs are made of the
// shapes that the compiler's fusions look for, in many near-misses, in a loop, with jumps across.
// BAREBPF_SEED and BAREBPF_PROGRAMS choose another series.
#include <cstdio>
#include <random>

#include "arch/x86/net/bpf_jit_program_test.h"
#include "testkit/test.h"

namespace barebpf::x86::test {
namespace {

constexpr u32 kMemory = 256;     // what R9 points to
constexpr u32 kStackSlots = 8;   // initialised eight-byte slots below R10
constexpr u32 kLoopCounter = 8;  // R8
constexpr u32 kBase = 9;         // R9
constexpr u32 kData = 8;         // R0 to R7 hold data

// Calls the function of the program that it is given until it returns 0, as helpers do.
u64 calling_helper(u64 function, u64 a, u64 b, u64 c, u64) {
    u64 sum = a;
    for (u64 i = 0; i < 3; i++) {
        const u64 result = call_callback(function, i, sum, b, c);
        sum = sum * 7 + result;
        if (result % 4 == 0) break;
    }
    return sum;
}

u64 mix_helper(u64 a, u64 b, u64 c, u64 d, u64 e) {
    return (a ^ b * 3) + (c ^ d * 5) + e * 7;
}

class Generator {
public:
    explicit Generator(u32 seed) : random_(seed) {}

    Insns make(u32 snippets) {
        out_.clear();
        starts_.clear();
        jumps_.clear();
        callbacks_.clear();
        head();
        size_t top = out_.size();
        for (u32 i = 0; i < snippets; i++) {
            starts_.push_back(out_.size());
            snippet();
        }
        starts_.push_back(out_.size());
        out_.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, kLoopCounter, 0, 0, -1));
        s32 back = static_cast<s32>(top) - static_cast<s32>(out_.size()) - 1;
        out_.push_back(insn(BPF_JMP | BPF_JNE | BPF_K, kLoopCounter, 0, back, 0));
        resolve_jumps();
        tail();
        callback();
        return out_;
    }

private:
    u32 below(u32 limit) { return static_cast<u32>(random_() % limit); }
    bool chance(u32 percent) { return below(100) < percent; }
    u32 reg() { return below(kData); }
    u32 other(u32 not_this) {
        u32 pick = below(kData - 1);
        return pick >= not_this ? pick + 1 : pick;
    }
    void put(u32 code, u32 dst, u32 src, s32 off, s32 imm) {
        out_.push_back(insn(code, dst, src, off, imm));
    }

    s32 interesting() {
        static const s32 values[] = {
            0,          1,    -1,  2,    3,      7,          8,
            0x7f,       -128, 128, 0xff, 0xffff, 0x7fffffff, static_cast<s32>(0x80000000),
            0x00ff00ff, 5,    9,   64,   1000};
        return chance(70) ? values[below(sizeof values / sizeof *values)]
                          : static_cast<s32>(random_());
    }

    void head() {
        out_.push_back(mov_reg(kBase, 1));
        for (u32 slot = 1; slot <= kStackSlots; slot++)
            put(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8 * static_cast<s32>(slot), interesting());
        for (u32 r = 0; r < kData; r++) {
            if (chance(50))
                put(BPF_LDX | BPF_MEM | BPF_DW, r, kBase, static_cast<s32>(8 * below(32)), 0);
            else
                out_.push_back(mov_imm(r, interesting()));
        }
        out_.push_back(mov_imm(kLoopCounter, static_cast<s32>(1 + below(3))));
    }

    void tail() {
        for (u32 r = 1; r < kData; r++) {
            put(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31);
            put(BPF_ALU64 | BPF_ADD | BPF_X, 0, r, 0, 0);
        }
        const bool all = chance(50);  // else nobody may ever read what is stored in some of them
        for (u32 slot = 1; slot <= kStackSlots; slot++) {
            if (!all && chance(60)) continue;
            put(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8 * static_cast<s32>(slot), 0);
            put(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31);
            put(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0);
        }
        out_.push_back(exit_insn());
    }

    void jump_ahead() { jumps_.push_back({out_.size() - 1, starts_.size() - 1 + 1 + below(3)}); }

    void resolve_jumps() {
        for (auto [at, snippet] : jumps_) {
            size_t to = snippet < starts_.size() ? starts_[snippet] : starts_.back();
            out_[at].off = static_cast<s16>(static_cast<long>(to) - static_cast<long>(at) - 1);
        }
    }

    u32 alu_class() { return chance(50) ? BPF_ALU64 : BPF_ALU; }

    void plain_alu() {
        static const u32 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR,   BPF_AND,
                                  BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_MOV};
        u32 op = ops[below(10)], cls = alu_class();
        bool is_shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
        if (chance(50))
            put(cls | op | BPF_X, reg(), reg(), 0, 0);
        else
            put(cls | op | BPF_K, reg(), 0, 0,
                is_shift ? static_cast<s32>(below(cls == BPF_ALU ? 32 : 64)) : interesting());
    }

    void divide() {
        u32 op = chance(50) ? BPF_DIV : BPF_MOD;
        s32 is_signed = chance(50) ? 1 : 0;
        if (chance(60))
            put(alu_class() | op | BPF_X, reg(), reg(), is_signed, 0);
        else
            put(alu_class() | op | BPF_K, reg(), 0, is_signed, interesting() | 1);
    }

    void unary() {
        static const s32 bits[] = {16, 32, 64};
        switch (below(4)) {
            case 0:
                return put(alu_class() | BPF_NEG, reg(), 0, 0, 0);
            case 1:
                return put(BPF_ALU | BPF_END | (chance(50) ? BPF_TO_BE : BPF_TO_LE), reg(), 0, 0,
                           bits[below(3)]);
            case 2:
                return put(BPF_ALU64 | BPF_END, reg(), 0, 0, bits[below(3)]);
            default: {
                u32 cls = alu_class();
                return put(cls | BPF_MOV | BPF_X, reg(), reg(), 8 << below(cls == BPF_ALU ? 2 : 3),
                           0);
            }
        }
    }

    // Two shifts of copies of one register, joined; sometimes with a copy, a count or a use that
    // does not fit.
    void rotate() {
        u32 cls = alu_class(), x = reg(), t = other(x), width = cls == BPF_ALU ? 32 : 64;
        u32 k = 1 + below(width - 1), rest = chance(90) ? width - k : below(width);
        u32 dst = chance(50) ? x : other(x);
        bool left_first = chance(50);
        u32 first = left_first ? BPF_LSH : BPF_RSH, second = left_first ? BPF_RSH : BPF_LSH;
        put(cls | BPF_MOV | BPF_X, t, x, 0, 0);
        put(cls | first | BPF_K, t, 0, 0, static_cast<s32>(k));
        if (dst != x) put(cls | BPF_MOV | BPF_X, dst, x, 0, 0);
        if (chance(20)) plain_alu();
        put(cls | second | BPF_K, dst, 0, 0, static_cast<s32>(rest));
        if (chance(20)) plain_alu();
        put(cls | (chance(80) ? BPF_OR : BPF_ADD) | BPF_X, dst, t, 0, 0);
        if (chance(70)) out_.push_back(mov_imm(t, interesting()));
    }

    void shift_pair() {
        static const u32 counts[] = {8, 16, 24, 32, 48, 56};
        u32 cls = alu_class(), x = reg();
        auto n = static_cast<s32>(counts[below(cls == BPF_ALU ? 3 : 6)]);
        u32 dst = x;
        if (chance(50)) put(cls | BPF_MOV | BPF_X, dst = other(x), x, 0, 0);
        put(cls | BPF_LSH | BPF_K, dst, 0, 0, n);
        if (chance(20)) plain_alu();
        put(cls | (chance(50) ? BPF_RSH : BPF_ARSH) | BPF_K, dst, 0, 0, chance(90) ? n : 4);
    }

    u32 condition() {
        static const u32 codes[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                    BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
        return (chance(50) ? BPF_JMP : BPF_JMP32) | codes[below(11)];
    }
    void branch(s32 off) {
        if (chance(50))
            put(condition() | BPF_X, reg(), reg(), off, 0);
        else
            put(condition() | BPF_K, reg(), 0, off, interesting());
    }

    void jump() {
        switch (below(4)) {
            case 0:  // one instruction that may be a select
                branch(1);
                if (chance(50))
                    put(alu_class() | BPF_MOV | BPF_X, reg(), reg(), 0, 0);
                else
                    put(alu_class() | BPF_MOV | BPF_K, reg(), 0, 0, interesting());
                return;
            case 1:  // over a jump
                branch(1);
                put(BPF_JMP | BPF_JA, 0, 0, 0, 0);
                return jump_ahead();
            case 2: {  // a tested mask
                u32 x = reg(), t = chance(50) ? other(x) : x;
                if (t != x) put(alu_class() | BPF_MOV | BPF_X, t, x, 0, 0);
                if (chance(70))
                    put(alu_class() | BPF_AND | BPF_K, t, 0, 0, interesting());
                else
                    put(alu_class() | BPF_AND | BPF_X, t, reg(), 0, 0);
                put((chance(50) ? BPF_JMP : BPF_JMP32) | (chance(50) ? BPF_JEQ : BPF_JNE) | BPF_K,
                    t, 0, 0, 0);
                jump_ahead();
                if (chance(60)) out_.push_back(mov_imm(t, interesting()));
                return;
            }
            default:
                branch(0);
                return jump_ahead();
        }
    }

    u32 size_code() {
        static const u32 sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
        return sizes[below(4)];
    }

    void access(u32 base, s32 off, u32 avoid) {
        u32 size = size_code();
        switch (below(4)) {
            case 0:
                return put(BPF_STX | BPF_MEM | size, base, other(avoid), off, 0);
            case 1:
                return put(BPF_ST | BPF_MEM | size, base, 0, off, interesting());
            case 2:
                if (size == BPF_DW) size = BPF_W;
                return put(BPF_LDX | BPF_MEMSX | size, chance(50) ? base : reg(), base, off, 0);
            default:
                return put(BPF_LDX | BPF_MEM | size, chance(50) ? base : reg(), base, off, 0);
        }
    }

    // [base + scaled index + displacement], computed the ways compilers do.
    void indexed() {
        u32 p = reg(), t = other(p);
        u32 shift = below(4);
        put(BPF_ALU64 | BPF_AND | BPF_K, t, 0, 0, 15);
        if (chance(30)) {
            u32 copy = other(t);
            if (copy != p) {
                put(BPF_ALU64 | BPF_MOV | BPF_X, copy, t, 0, 0);
                t = copy;
            }
        }
        if (shift) put(BPF_ALU64 | BPF_LSH | BPF_K, t, 0, 0, static_cast<s32>(shift));
        out_.push_back(mov_reg(p, kBase));
        if (chance(50)) put(BPF_ALU64 | BPF_ADD | BPF_K, p, 0, 0, static_cast<s32>(below(40)));
        put(BPF_ALU64 | BPF_ADD | BPF_X, p, t, 0, 0);
        u32 times = 1 + below(2);
        for (u32 i = 0; i < times; i++) {
            put(BPF_LDX | BPF_MEM | size_code(), other(p), p, static_cast<s32>(below(40)), 0);
            if (out_.back().dst_reg == t && chance(50)) break;
        }
        if (chance(50)) access(p, static_cast<s32>(below(40)), p);
        out_.push_back(mov_imm(p, interesting()));
    }

    void memory() {
        if (chance(40)) return indexed();
        if (chance(40)) {  // compare what was loaded
            u32 t = reg();
            put(BPF_LDX | BPF_MEM | size_code(), t, kBase, static_cast<s32>(below(240)), 0);
            put(condition() | BPF_K, t, 0, 0, interesting());
            jump_ahead();
            if (chance(60)) out_.push_back(mov_imm(t, interesting()));
            return;
        }
        if (chance(30)) {
            u32 p = reg();
            out_.push_back(mov_reg(p, 10));
            put(BPF_ALU64 | BPF_ADD | BPF_K, p, 0, 0, -16);
            put(BPF_STX | BPF_MEM | size_code(), p, other(p), static_cast<s32>(below(9)), 0);
            put(BPF_LDX | BPF_MEM | size_code(), p, p, static_cast<s32>(below(9)), 0);
            return;
        }
        u32 size = size_code();
        s32 off = static_cast<s32>(below(248));
        if (chance(50))
            put(BPF_LDX | BPF_MEM | size, reg(), kBase, off, 0);
        else
            put(BPF_STX | BPF_MEM | size, kBase, reg(), off, 0);
    }

    // Stored to the stack and loaded again; sometimes with a store or a write of the register between.
    void through_stack() {
        const u32 size = chance(50) ? BPF_W : BPF_DW, value = reg(), p = other(value);
        const s32 off = -8 * static_cast<s32>(1 + below(kStackSlots));
        put(BPF_STX | BPF_MEM | size, 10, value, off, 0);
        if (chance(30)) plain_alu();
        if (chance(20)) put(BPF_STX | BPF_MEM | size_code(), 10, reg(), off, 0);
        if (chance(10)) put(BPF_STX | BPF_MEM | BPF_W, 10, reg(), off + 4, 0);
        if (chance(10)) put(BPF_ST | BPF_MEM | size_code(), 10, 0, off, interesting());
        if (chance(10)) branch(0);
        out_.push_back(mov_reg(p, 10));
        put(BPF_ALU64 | BPF_ADD | BPF_K, p, 0, 0, off);
        if (chance(90)) return put(BPF_LDX | BPF_MEM | size, p, p, 0, 0);
        put(BPF_LDX | BPF_MEM | size_code(), p, p, 0, 0);
    }

    // Loaded, joined with another, moved there.
    void load_operand() {
        static const u32 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR};
        const u32 t = reg(), x = other(t), code = alu_class() | ops[below(6)];
        put(BPF_LDX | BPF_MEM | (chance(80) ? chance(50) ? BPF_W : BPF_DW : size_code()), t, kBase,
            static_cast<s32>(below(240)), 0);
        if (chance(20)) plain_alu();
        if (chance(15)) put(BPF_STX | BPF_MEM | size_code(), kBase, reg(), s32(below(240)), 0);
        if (chance(40)) {
            put(code | BPF_X, x, t, 0, 0);
        } else {
            put(code | BPF_X, t, x, 0, 0);
            if (chance(20)) plain_alu();
            put((chance(80) ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, x, t, 0, 0);
        }
        if (chance(70)) out_.push_back(mov_imm(t, interesting()));
    }

    // Computed in one register, moved to another while an operand changes; sometimes the other is in use in between.
    void made_and_moved() {
        const u32 t = reg(), y = other(t), z = other(t);
        switch (below(3)) {
            case 0:
                put(BPF_LDX | BPF_MEM | size_code(), t, kBase, static_cast<s32>(below(240)), 0);
                break;
            case 1:
                put(alu_class() | BPF_MUL | BPF_K, t, 0, 0, interesting());
                break;
            default:
                put(alu_class() | (chance(50) ? BPF_ADD : BPF_XOR) | BPF_X, t, y, 0, 0);
        }
        if (chance(70)) out_.push_back(mov_imm(y, interesting()));
        if (chance(20)) plain_alu();
        if (chance(10)) branch(0);
        put((chance(80) ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, z, t, 0, 0);
        if (chance(80)) out_.push_back(mov_imm(t, interesting()));
    }

    // A value of so many bits, compared with what is around the largest one.
    void bounded() {
        static const u32 codes[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
        const u32 x = reg(), bits = 1 + below(31);
        const u32 most = (1u << bits) - 1;
        if (chance(30)) {
            put(BPF_LDX | BPF_MEM | size_code(), x, kBase, static_cast<s32>(below(240)), 0);
        } else {
            put(alu_class() | BPF_AND | BPF_K, x, 0, 0, static_cast<s32>(most));
        }
        const s32 limit = chance(80) ? static_cast<s32>(most + below(3) - 1) : interesting();
        put((chance(50) ? BPF_JMP : BPF_JMP32) | codes[below(4)] | BPF_K, x, 0, 0,
            chance(10) ? static_cast<s32>(most + 1) << below(8) : limit);
        jump_ahead();
    }

    // Neighbouring loads put together; sometimes not neighbours, or with a store between.
    void wide_load() {
        static const u32 sizes[] = {BPF_B, BPF_H, BPF_W};
        u32 which = below(3), width = 1u << which;
        s32 off = static_cast<s32>(below(200));
        u32 low = reg(), high = other(low), base = kBase;
        s32 distance = chance(85) ? static_cast<s32>(width) : 1 + static_cast<s32>(below(8));
        bool high_first = chance(50);
        put(BPF_LDX | BPF_MEM | sizes[which], high_first ? high : low, base,
            high_first ? off + distance : off, 0);
        if (chance(15)) put(BPF_STX | BPF_MEM | size_code(), kBase, reg(), off, 0);
        put(BPF_LDX | BPF_MEM | sizes[which], high_first ? low : high, base,
            high_first ? off : off + distance, 0);
        bool narrow = which < 2 && chance(50);
        put((narrow ? BPF_ALU : BPF_ALU64) | BPF_LSH | BPF_K, high, 0, 0,
            static_cast<s32>(chance(90) ? 8 * width : 4));
        bool into_high = chance(50);
        put((chance(50) ? BPF_ALU64 : BPF_ALU) | BPF_OR | BPF_X, into_high ? high : low,
            into_high ? low : high, 0, 0);
        if (chance(70)) out_.push_back(mov_imm(into_high ? low : high, interesting()));
    }

    void atomic() {
        static const s32 ops[] = {BPF_ADD,
                                  BPF_AND,
                                  BPF_OR,
                                  BPF_XOR,
                                  BPF_ADD | BPF_FETCH,
                                  BPF_AND | BPF_FETCH,
                                  BPF_OR | BPF_FETCH,
                                  BPF_XOR | BPF_FETCH,
                                  BPF_XCHG,
                                  BPF_CMPXCHG};
        u32 size = chance(50) ? BPF_DW : BPF_W;
        s32 off = static_cast<s32>(8 * below(32));
        u32 base = kBase;
        if (chance(30)) {
            base = 0;
            out_.push_back(mov_reg(0, kBase));
        }
        s32 op = ops[below(10)];
        if (op == BPF_CMPXCHG && chance(70)) {
            base = kBase;
            put(BPF_LDX | BPF_MEM | size, 0, kBase, off, 0);
        }
        put(BPF_STX | BPF_ATOMIC | size, base, base == 0 ? 1 + below(7) : reg(), off, op);
        // An address must not reach the result: the engines' stacks differ, R9 does not.
        if (chance(20)) put(BPF_STX | BPF_ATOMIC | size_code(), kBase, reg(), off, BPF_STORE_REL);
        if (chance(20)) put(BPF_STX | BPF_ATOMIC | size_code(), reg(), kBase, off, BPF_LOAD_ACQ);
    }

    void call() {
        out_.push_back(call_helper(0));
        for (u32 r = 1; r <= 5; r++) out_.push_back(mov_imm(r, interesting()));
    }

    // A helper that calls a function at the program's end, which has registers and a stack of its own.
    void call_with_callback() {
        callbacks_.push_back(out_.size());
        load_imm64(out_, 1, 0);
        out_[callbacks_.back()].src_reg = BPF_PSEUDO_FUNC;
        out_.push_back(call_helper(1));
        for (u32 r = 1; r <= 5; r++) out_.push_back(mov_imm(r, interesting()));
    }

    void callback() {
        for (size_t at : callbacks_) out_[at].imm = static_cast<s32>(out_.size() - at - 1);
        if (callbacks_.empty()) return;
        const bool saves = chance(50), stack = chance(50);
        out_.push_back(mov_reg(0, 1));
        for (u32 r = 6; saves && r <= 9; r++) out_.push_back(mov_reg(r, 1 + r % 4));
        for (u32 i = 0; i < 6; i++)
            put(alu_class() | (chance(50) ? BPF_ADD : BPF_XOR) | BPF_X, below(5), 1 + below(4), 0,
                0);
        if (stack) {
            put(BPF_STX | BPF_MEM | BPF_DW, 10, 1 + below(4), -8, 0);
            put(BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0);
        }
        if (chance(50)) {
            out_.push_back(call_helper(0));
            if (saves) put(BPF_ALU64 | BPF_XOR | BPF_X, 0, 6 + below(4), 0, 0);
        }
        out_.push_back(exit_insn());
    }

    void masked_offset() {
        const u32 dst = reg();
        put(BPF_MASKED_OFFSET, dst, other(dst), static_cast<s32>(below(4)),
            interesting() & 0x7fffffff);
    }

    void snippet() {
        switch (below(17)) {
            case 0:
                return rotate();
            case 1:
                return shift_pair();
            case 2:
            case 3:
                return jump();
            case 4:
            case 5:
                return memory();
            case 6:
                return wide_load();
            case 7:
                return unary();
            case 8:
                if (chance(50)) return divide();
                return chance(50) ? atomic() : call();
            case 9:
                return chance(50) ? masked_offset() : call_with_callback();
            case 10:
                return through_stack();
            case 11:
                return load_operand();
            case 12:
                return made_and_moved();
            case 13:
                return bounded();
            default:
                return plain_alu();
        }
    }

    std::mt19937 random_;
    Insns out_;
    std::vector<size_t> starts_;
    std::vector<std::pair<size_t, size_t>> jumps_;
    std::vector<size_t> callbacks_;
};

std::string dump(const Insns& insns) {
    std::string text;
    for (const bpf_insn& in : insns) {
        char line[96];
        snprintf(line, sizeof line, "%02x dst %u src %u off %d imm %d\n", in.code, in.dst_reg,
                 in.src_reg, in.off, in.imm);
        text += line;
    }
    return text;
}

struct Outcome {
    u64 result;
    u8 memory[kMemory + 64];
};

void fill(u8* memory, u32 seed) {
    std::mt19937 random(seed);
    for (u32 i = 0; i < kMemory + 64; i++) memory[i] = static_cast<u8>(random());
}

TEST(BpfJitRandom, AgreesWithTheInterpreter) {
    const u32 seed = static_cast<u32>(::barebpf::test::setting("seed", 1));
    const u32 programs =
        static_cast<u32>(::barebpf::test::setting("programs", ::barebpf::test::rounds(6000)));
    alignas(16) static u8 memory[kMemory + 64];  // one place, so that addresses agree
    for (u32 n = 0; n < programs; n++) {
        Generator generator(seed + n);
        Insns insns = generator.make(1 + n % 40);
        TestProgram program(insns, {reinterpret_cast<const void*>(&mix_helper),
                                    reinterpret_cast<const void*>(&calling_helper)});
        Outcome expected;
        fill(memory, n);
        expected.result = interpret_host(program.prog(), memory, kMemory);
        memcpy(expected.memory, memory, sizeof memory);
        for (bool bmi2 : {true, false}) {
            LowerOptions options;
            options.bmi2 = bmi2;
            options.keep_within_lines = (n % 2 == 0) == bmi2;
            ASSERT_TRUE(program.compile(options)) << "seed " << seed + n;
            fill(memory, n);
            u64 result = program.run(memory, kMemory);
            ASSERT_EQ(result, expected.result) << "seed " << seed + n << " bmi2 " << bmi2 << "\n"
                                               << dump(insns);
            ASSERT_EQ(memcmp(memory, expected.memory, sizeof memory), 0)
                << "seed " << seed + n << "\n"
                << dump(insns);
        }
    }
}

}  // namespace
}  // namespace barebpf::x86::test
