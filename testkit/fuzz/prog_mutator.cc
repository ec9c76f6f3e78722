// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Mutates programs as programs: instructions come, go and change one field at a time, jumps keep their
// targets, and what comes is often a piece that verifiers care about. Seeds are the conformance cases.
#include <string.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernel/bpf/decode.h"
#include "testkit/data/data_file.h"
#include "testkit/data/isa_cases.h"
#include "testkit/fuzz/prog_run.h"

extern "C" size_t LLVMFuzzerMutate(barebpf::u8* data, size_t size, size_t max_size);

namespace barebpf::fuzz {
namespace {

using Insns = std::vector<bpf_insn>;

bpf_insn insn(u32 code, u32 dst, u32 src = 0, s32 off = 0, s32 imm = 0) {
    bpf_insn out{};
    out.code = u8(code);
    out.dst_reg = dst & 15;
    out.src_reg = src & 15;
    out.off = s16(off);
    out.imm = imm;
    return out;
}

// The good conformance cases that fit.
const std::vector<Insns>& seeds() {
    static const std::vector<Insns> all = [] {
        std::vector<Insns> found;
        static u8 code[testdata::kIsaMaxCode];
        static u8 memory[2 * testdata::kIsaMaxMemory];
        for (u32 i = 0; i < testdata::kIsaFileCount; ++i) {
            const testdata::DataFile& file = testdata::kIsaFiles[i];
            testdata::IsaReader reader(file.text, file.size,
                                       {code, sizeof code, memory, testdata::kIsaMaxMemory});
            testdata::IsaCase test;
            for (;;) {
                const auto more = reader.next(&test);
                if (!more || !more.value()) break;
                if (test.code.size > 128 * sizeof(bpf_insn)) continue;
                Insns insns(test.code.size / sizeof(bpf_insn));
                memcpy(insns.data(), test.code.data, test.code.size);
                found.push_back(insns);
            }
        }
        return found;
    }();
    return all;
}

class Mutator {
public:
    Mutator(Insns& insns, u32 seed) : random_(seed), insns_(insns) {}

    void mutate() {
        for (u32 i = chance(70) ? 1 : 2 + below(3); i; --i) once();
        if (chance(90)) repair();
    }
    // A start from which much is accepted: a conformance case, or nothing but an end; before it all
    // registers get values, R6 the context.
    void start(bool host) {
        insns_ = {insn(BPF_ALU64 | BPF_MOV | BPF_K, 0), insn(BPF_JMP | BPF_EXIT, 0)};
        if (host && chance(80)) insns_ = seeds()[below(u32(seeds().size()))];
        if (chance(30)) return;
        Insns head = {insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1)};
        for (u32 r : {0u, 3u, 4u, 5u, 7u, 8u, 9u})
            head.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, r, 0, 0, number()));
        if (!host) head.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, number()));
        // An unknown number or two: from the host's memory, or from the packet's length.
        if (host) {
            for (u32 r : {3u, 4u})
                head.push_back(insn(BPF_LDX | BPF_MEM | size_code(), r, 1, s32(below(8))));
        }
        insns_.insert(insns_.begin(), head.begin(), head.end());
    }

private:
    u32 below(u32 limit) { return u32(random_() % limit); }
    bool chance(u32 percent) { return below(100) < percent; }
    u32 reg() { return below(11); }
    u32 data_reg() { return below(10); }
    u32 size_code() {
        static const u32 kSizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
        return kSizes[below(4)];
    }
    s32 number() {
        static const s32 kEdges[] = {0,
                                     1,
                                     -1,
                                     2,
                                     3,
                                     4,
                                     7,
                                     8,
                                     14,
                                     15,
                                     16,
                                     31,
                                     32,
                                     63,
                                     64,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x100,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     -8,
                                     34,
                                     54,
                                     256,
                                     512,
                                     -512,
                                     0x7ffffffe,
                                     0x7fffffff,
                                     -0x7fffffff - 1};
        return chance(85) ? kEdges[below(sizeof kEdges / sizeof *kEdges)] : s32(random_());
    }
    s32 offset() {
        return chance(70) ? s32(below(64)) * (chance(50) ? 8 : 1) : s32(below(1024)) - 512;
    }
    s32 stack_offset() { return -8 * s32(1 + below(chance(80) ? 6 : 64)); }

    void once() {
        const u32 size = u32(insns_.size());
        switch (below(size ? 10 : 1)) {
            case 0:
                return insert(size ? below(size) : 0, {any()});
            case 1:
            case 2:
                return insert(below(size), piece());
            case 3:
                return erase(below(size));
            case 4:
                std::swap(insns_[below(size)], insns_[below(size)]);
                return;
            case 5: {
                const u32 from = below(size), count = std::min(1 + below(6), size - from);
                const Insns copy(insns_.begin() + from, insns_.begin() + from + count);
                return insert(below(size), copy);
            }
            case 6:
                insns_[below(size)] = any();
                return;
            default:
                return change_field(insns_[below(size)]);
        }
    }

    // What a verifier would refuse at first sight goes, so that it looks at the rest: malformed instructions,
    // jumps to nowhere, no end.
    void repair() {
        if (insns_.empty() || !is_exit(insns_.back()))
            insns_.push_back(insn(BPF_JMP | BPF_EXIT, 0));
        const u32 count = u32(insns_.size());
        char text[128];
        for (u32 i = 0, slots = 1; i < count; i += slots) {
            bpf_insn& in = insns_[i];
            TextBuffer why(text);
            if (!decode_insn(&in, count - i, &slots, why)) {
                in = insn(BPF_ALU64 | BPF_MOV | BPF_K, below(10), 0, 0, number());
                slots = 1;
            }
            if (!is_branch(in) && !is_goto(in)) continue;
            const s64 target = jump_target(in, i);
            if (target >= 0 && target < s64{count}) continue;
            const s32 off = s32(below(count - i - 1));
            if (in.code == (BPF_JMP32 | BPF_JA)) {
                in.imm = off;
            } else {
                in.off = s16(off);
            }
        }
    }

    void change_field(bpf_insn& in) {
        switch (below(6)) {
            case 0:
                in.dst_reg = reg();
                return;
            case 1:
                in.src_reg = reg();
                return;
            case 2:
                in.off = s16(is_jump_class(in) ? s32(below(12)) - (chance(20) ? 10 : 0) : offset());
                return;
            case 3:
                in.imm = is_helper_call(in) ? helper() : number();
                return;
            case 4:
                in.imm = s32(u32(in.imm) + below(17) - 8);
                return;
            default:
                if (chance(30)) {
                    in.code ^= u8(1u << below(8));
                } else {
                    const u8 code = any().code;
                    if (BPF_CLASS(code) == BPF_CLASS(in.code)) in.code = code;
                }
                return;
        }
    }

    // Jumps across the place get longer or shorter. `at` may be in the middle of a wide load; so be it.
    void move_targets(u32 at, s32 by) {
        for (u32 i = 0; i < insns_.size(); ++i) {
            bpf_insn& in = insns_[i];
            const bool call = is_subprog_call(in) || is_subprog_address(in);
            if (!call && !is_branch(in) && !is_goto(in)) continue;
            const s64 target = call ? s64{i} + 1 + in.imm : jump_target(in, i);
            s64 change = 0;
            if (i < at && target >= s64{at} + (by > 0)) change = by;
            if (i >= at && target <= s64{at} - (by > 0 ? 0 : 1)) change = -by;
            if (call || in.code == (BPF_JMP32 | BPF_JA)) {
                in.imm = s32(in.imm + change);
            } else {
                in.off = s16(in.off + change);
            }
        }
    }
    void insert(u32 at, const Insns& what) {
        if (insns_.size() + what.size() > kMaxInsns / 2 - 8) return;
        move_targets(at, s32(what.size()));
        insns_.insert(insns_.begin() + at, what.begin(), what.end());
    }
    void erase(u32 at) {
        move_targets(at, -1);
        insns_.erase(insns_.begin() + at);
    }

    s32 helper() {
        constexpr u32 kCount = sizeof kSteadyHelpers / sizeof *kSteadyHelpers;
        return chance(95) ? kSteadyHelpers[below(kCount)] : s32(below(220));
    }

    bpf_insn any() {
        switch (below(9)) {
            case 0:
                return insn(BPF_LDX | (chance(80) ? BPF_MEM : BPF_MEMSX) | size_code(), data_reg(),
                            reg(), offset());
            case 1:
                return insn(BPF_STX | BPF_MEM | size_code(), reg(), reg(),
                            chance(50) ? stack_offset() : offset());
            case 2:
                return insn(BPF_ST | BPF_MEM | size_code(), chance(60) ? 10 : reg(), 0,
                            stack_offset(), number());
            case 3:
                return branch(s32(below(6)));
            case 4:
                return atomic();
            case 5:
                return unary();
            case 6:
                return insn(BPF_JMP | BPF_EXIT, 0);
            default:
                return alu();
        }
    }
    bpf_insn alu() {
        static const u32 kOps[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND,
                                   BPF_LSH, BPF_RSH, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
        const u32 op = kOps[below(12)], width = chance(60) ? BPF_ALU64 : BPF_ALU;
        const s32 is_signed = (op == BPF_DIV || op == BPF_MOD) && chance(40);
        if (chance(50)) return insn(width | op | BPF_X, data_reg(), reg(), is_signed);
        const bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
        return insn(width | op | BPF_K, data_reg(), 0, is_signed,
                    shift ? s32(below(width == BPF_ALU ? 32 : 64)) : number());
    }
    bpf_insn unary() {
        const u32 width = chance(60) ? BPF_ALU64 : BPF_ALU;
        switch (below(3)) {
            case 0:
                return insn(width | BPF_NEG, data_reg());
            case 1:
                return insn(BPF_ALU | BPF_END | (below(2) * 8), data_reg(), 0, 0, 16 << below(3));
            default:
                return insn(width | BPF_MOV | BPF_X, data_reg(), data_reg(), 8 << below(3));
        }
    }
    bpf_insn branch(s32 to) {
        static const u32 kOps[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
        const u32 code = (chance(60) ? BPF_JMP : BPF_JMP32) | kOps[below(11)];
        if (chance(50)) return insn(code | BPF_X, reg(), reg(), to);
        return insn(code | BPF_K, reg(), 0, to, number());
    }
    bpf_insn atomic() {
        static const s32 kOps[] = {BPF_ADD,
                                   BPF_OR,
                                   BPF_AND,
                                   BPF_XOR,
                                   BPF_ADD | BPF_FETCH,
                                   BPF_OR | BPF_FETCH,
                                   BPF_AND | BPF_FETCH,
                                   BPF_XOR | BPF_FETCH,
                                   BPF_XCHG,
                                   BPF_CMPXCHG};
        return insn(BPF_STX | BPF_ATOMIC | (chance(50) ? BPF_W : BPF_DW), reg(), data_reg(),
                    chance(50) ? stack_offset() : offset() & ~7, kOps[below(10)]);
    }

    Insns piece() {
        switch (below(9)) {
            case 0:
                return packet();
            case 1:
                return lookup();
            case 2:
                return bounded_index();
            case 3:
                return helper_on_stack();
            case 4:
                return loop();
            case 5:
                return stack_index();
            case 6:
                return spill();
            case 7: {  // a local function
                const u32 size = 2 + below(3);
                Insns out = {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
                             insn(BPF_JMP | BPF_JA, 0, 0, s32(size))};
                for (u32 i = 1; i < size; ++i) out.push_back(any());
                out.push_back(insn(BPF_JMP | BPF_EXIT, 0));
                return out;
            }
            default: {
                Insns out = {any()};
                for (u32 i = below(8); i; --i) out.push_back(chance(60) ? alu() : any());
                return out;
            }
        }
    }
    // r2 = data, r3 = data_end (XDP or skb), a check, an access that may be a little too long.
    Insns packet() {
        const s32 base = chance(50) ? 0 : 76, size = s32(below(40));
        Insns out = {insn(BPF_LDX | BPF_MEM | BPF_W, 2, chance(70) ? 1 : 6, base),
                     insn(BPF_LDX | BPF_MEM | BPF_W, 3, chance(70) ? 1 : 6, base + 4)};
        if (chance(30)) out.insert(out.begin(), insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1));
        if (chance(30)) {
            const u32 index = 5 + below(2);
            out.push_back(insn(BPF_ALU64 | BPF_AND | BPF_K, index, 0, 0, number()));
            out.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 2, index));
        }
        out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2));
        out.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, size));
        static const u32 kChecks[] = {BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE};
        out.push_back(insn(BPF_JMP | kChecks[below(4)] | BPF_X, 4, 3, 1));
        const s32 off = s32(below(u32(size) + 2)) - 1;
        out.push_back(chance(60) ? insn(BPF_LDX | BPF_MEM | size_code(), 5, 2, off)
                                 : insn(BPF_STX | BPF_MEM | size_code(), 2, 5, off));
        return out;
    }
    Insns lookup() {
        const s32 key = stack_offset();
        Insns out = {insn(BPF_ST | BPF_MEM | BPF_W, 10, 0, key, s32(below(6))),
                     insn(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10),
                     insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, key),
                     insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, chance(80) ? 0 : 1),
                     insn(0, 0),
                     insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
                     insn(BPF_JMP | (chance(80) ? BPF_JEQ : BPF_JNE) | BPF_K, 0, 0, 1, 0)};
        const s32 off = s32(below(18));
        out.push_back(chance(60) ? insn(BPF_LDX | BPF_MEM | size_code(), data_reg(), 0, off)
                                 : insn(BPF_STX | BPF_MEM | size_code(), 0, data_reg(), off));
        out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, number()));
        return out;
    }
    // r1 is memory of the host's: an unknown number, bounded somehow, added to it.
    Insns bounded_index() {
        const u32 index = 2 + below(4);
        Insns out = {insn(BPF_LDX | BPF_MEM | size_code(), index, 1, s32(below(8)))};
        for (u32 i = 1 + below(3); i; --i) out.push_back(chance(50) ? alu() : unary());
        switch (below(3)) {
            case 0:
                out.push_back(insn((chance(60) ? BPF_ALU64 : BPF_ALU) | BPF_AND | BPF_K, index, 0,
                                   0, number()));
                break;
            case 1:
                out.push_back(branch(1));
                out.back().dst_reg = index;
                out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, index, 0, 0, number()));
                break;
            default:
                out.push_back(branch(3));
                out.back().dst_reg = index;
        }
        out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_X, 7, 1));
        out.push_back(insn(BPF_ALU64 | (chance(80) ? BPF_ADD : BPF_SUB) | BPF_X, 7, index));
        out.push_back(insn(BPF_LDX | BPF_MEM | size_code(), 8, 7, offset()));
        return out;
    }
    Insns stack_index() {
        const u32 index = 2 + below(4);
        return {
            insn(BPF_ALU64 | BPF_AND | BPF_K, index, 0, 0, number()),
            insn(BPF_ALU64 | BPF_MOV | BPF_X, 8, 10),
            insn(BPF_ALU64 | (chance(50) ? BPF_ADD : BPF_SUB) | BPF_X, 8, index),
            insn((chance(50) ? BPF_STX : BPF_LDX) | BPF_MEM | size_code(), 8, 8, stack_offset())};
    }
    Insns spill() {
        const s32 slot = stack_offset();
        const u32 size = chance(60) ? BPF_DW : size_code();
        Insns out = {insn(BPF_STX | BPF_MEM | size, 10, data_reg(), slot)};
        if (chance(40)) out.push_back(any());
        out.push_back(
            insn(BPF_LDX | BPF_MEM | (chance(70) ? size : size_code()), data_reg(), 10, slot));
        return out;
    }
    Insns helper_on_stack() {
        Insns out;
        for (u32 i = 1; i <= 5; ++i) {
            if (i == 1 && chance(70)) continue;
            const s32 off = stack_offset();
            if (chance(40)) {
                out.push_back(insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, off, number()));
                out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_X, i, 10));
                out.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, i, 0, 0, off));
            } else {
                out.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, i, 0, 0, number()));
            }
        }
        out.push_back(insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper()));
        return out;
    }
    Insns loop() {
        const u32 counter = 6 + below(4);
        Insns out = {insn(BPF_ALU64 | BPF_MOV | BPF_K, counter, 0, 0, s32(below(12)))};
        const u32 body = 1 + below(4);
        for (u32 i = 0; i < body; ++i) out.push_back(any());
        out.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, counter, 0, 0, chance(80) ? -1 : number()));
        out.push_back(insn(BPF_JMP | (chance(50) ? BPF_JNE : BPF_JSGT) | BPF_K, counter, 0,
                           -s32(body) - 2, 0));
        return out;
    }

    std::minstd_rand random_;
    Insns& insns_;
};

size_t store(u8* data, size_t max_size, const ProgHeader& header, const Insns& insns) {
    memcpy(data, &header, sizeof header);
    const size_t bytes = std::min(insns.size() * sizeof(bpf_insn), max_size - sizeof header);
    if (bytes) memcpy(data + sizeof header, insns.data(), bytes);
    return sizeof header + bytes;
}

}  // namespace
}  // namespace barebpf::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(barebpf::u8* data, size_t size, size_t max_size,
                                          unsigned int seed) {
    using namespace barebpf;
    using namespace barebpf::fuzz;
    if (max_size < sizeof(ProgHeader) + 2 * sizeof(bpf_insn))
        return LLVMFuzzerMutate(data, size, max_size);
    const bool fresh = size < sizeof(ProgHeader) + sizeof(bpf_insn) || seed % 6 == 0;
    if (!fresh && seed % 32 == 1) return LLVMFuzzerMutate(data, size, max_size);
    ProgHeader header{};
    Insns insns;
    if (fresh) {
        header.kind = seed >> 8 & 1 ? 0 : u8(seed >> 9);
        header.length = 63;
        header.placement = u8(seed >> 20);
    } else {
        memcpy(&header, data, sizeof header);
        insns.resize((size - sizeof header) / sizeof(bpf_insn));
        memcpy(insns.data(), data + sizeof header, insns.size() * sizeof(bpf_insn));
    }
    if (seed % 16 == 2)
        LLVMFuzzerMutate(reinterpret_cast<u8*>(&header), sizeof header, sizeof header);
    Mutator mutator(insns, seed);
    if (fresh) mutator.start(header.kind == 0);
    mutator.mutate();
    return store(data, max_size, header, insns);
}
