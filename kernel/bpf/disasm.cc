// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/disasm.h"

#include "kernel/bpf/decode.h"
#include "kernel/bpf/helpers.h"

namespace barebpf {

namespace {

constexpr const char* kAluOp[16] = {"+=",  "-=", "*=", "/=", "|=",   "&=",     "<<=",   ">>=",
                                    "neg", "%=", "^=", "=",  "s>>=", "endian", nullptr, nullptr};
constexpr const char* kJumpOp[16] = {"jmp",  "==",   ">", ">=", "&",  "!=",  "s>",    "s>=",
                                     "call", "exit", "<", "<=", "s<", "s<=", nullptr, nullptr};

// -8, +0, +8.
struct Signed {
    s64 value;
};
void append_to(TextBuffer& out, Signed number) {
    if (number.value >= 0) out.append('+');
    out.append_decimal(number.value);
}

const char* size_name(u8 code, bool is_signed = false) {
    switch (BPF_SIZE(code)) {
        case BPF_B:
            return is_signed ? "s8" : "u8";
        case BPF_H:
            return is_signed ? "s16" : "u16";
        case BPF_W:
            return is_signed ? "s32" : "u32";
        default:
            return "u64";
    }
}

u32 dst(const bpf_insn& insn) {
    return insn.dst_reg;
}
u32 src(const bpf_insn& insn) {
    return insn.src_reg;
}

void print_alu(TextBuffer& out, const bpf_insn& insn) {
    const u8 op = BPF_OP(insn.code);
    const bool is64 = BPF_CLASS(insn.code) == BPF_ALU64;
    const char r = is64 ? 'r' : 'w';
    if (op == BPF_END) {
        const char* order = is64 ? "bswap" : BPF_SRC(insn.code) == BPF_TO_BE ? "be" : "le";
        out.print('r', dst(insn), " = ", order, insn.imm, " r", dst(insn));
        return;
    }
    if (op == BPF_NEG) {
        out.print(r, dst(insn), " = -", r, dst(insn));
        return;
    }
    const char* name = kAluOp[op >> 4];
    if (!name) {
        out.print("BUG_alu_", HexDigits{insn.code, 2});
        return;
    }
    const bool is_signed = insn.off == 1 && (op == BPF_DIV || op == BPF_MOD);
    out.print(r, dst(insn), ' ', is_signed ? "s" : "", name, ' ');
    if (BPF_SRC(insn.code) == BPF_K) {
        out.print(insn.imm);
        return;
    }
    if (op == BPF_MOV && insn.off) out.print("(s", insn.off, ')');
    out.print(r, src(insn));
}

const char* fetch_name(u8 op) {
    switch (op) {
        case BPF_ADD:
            return "add";
        case BPF_AND:
            return "and";
        case BPF_OR:
            return "or";
        case BPF_XOR:
            return "xor";
        default:
            return nullptr;
    }
}

void print_atomic(TextBuffer& out, const bpf_insn& insn) {
    const char* size = size_name(insn.code);
    const char* width = BPF_SIZE(insn.code) == BPF_DW ? "64" : "";
    const Signed off{insn.off};
    const u8 op = static_cast<u8>(insn.imm & 0xf0);
    const char* fetch = fetch_name(op);
    switch (insn.imm) {
        case BPF_CMPXCHG:
            out.print("r0 = atomic", width, "_cmpxchg((", size, " *)(r", dst(insn), ' ', off,
                      "), r0, r", src(insn), ')');
            return;
        case BPF_XCHG:
            out.print('r', src(insn), " = atomic", width, "_xchg((", size, " *)(r", dst(insn), ' ',
                      off, "), r", src(insn), ')');
            return;
        case BPF_LOAD_ACQ:
            out.print('r', dst(insn), " = load_acquire((", size, " *)(r", src(insn), ' ', off,
                      "))");
            return;
        case BPF_STORE_REL:
            out.print("store_release((", size, " *)(r", dst(insn), ' ', off, "), r", src(insn),
                      ')');
            return;
        default:
            break;
    }
    if (fetch && insn.imm == op)
        out.print("lock *(", size, " *)(r", dst(insn), ' ', off, ") ", kAluOp[op >> 4], " r",
                  src(insn));
    else if (fetch && insn.imm == (op | BPF_FETCH))
        out.print('r', src(insn), " = atomic", width, "_fetch_", fetch, "((", size, " *)(r",
                  dst(insn), ' ', off, "), r", src(insn), ')');
    else
        out.print("BUG_", HexDigits{insn.code, 2});
}

void print_store(TextBuffer& out, const bpf_insn& insn) {
    const bool immediate = BPF_CLASS(insn.code) == BPF_ST;
    if (BPF_MODE(insn.code) == BPF_ATOMIC && !immediate) return print_atomic(out, insn);
    if (BPF_MODE(insn.code) != BPF_MEM) {
        out.print(immediate ? "BUG_st_" : "BUG_", HexDigits{insn.code, 2});
        return;
    }
    out.print("*(", size_name(insn.code), " *)(r", dst(insn), ' ', Signed{insn.off}, ") = ");
    if (immediate)
        out.print(insn.imm);
    else
        out.print('r', src(insn));
}

void print_load(TextBuffer& out, const bpf_insn& insn) {
    const u8 mode = BPF_MODE(insn.code);
    if (mode != BPF_MEM && mode != BPF_MEMSX) {
        out.print("BUG_ldx_", HexDigits{insn.code, 2});
        return;
    }
    out.print('r', dst(insn), " = *(", size_name(insn.code, mode == BPF_MEMSX), " *)(r", src(insn),
              ' ', Signed{insn.off}, ')');
}

void print_ld(TextBuffer& out, const bpf_insn* insn, const DisasmNames& names) {
    const u32 imm = static_cast<u32>(insn->imm);
    if (BPF_MODE(insn->code) == BPF_ABS) {
        out.print("r0 = *(", size_name(insn->code), " *)skb[", insn->imm, ']');
    } else if (BPF_MODE(insn->code) == BPF_IND) {
        out.print("r0 = *(", size_name(insn->code), " *)skb[r", src(*insn), " + ", insn->imm, ']');
    } else if (is_ld_imm64(*insn)) {
        const u64 value = u64{static_cast<u32>(insn[1].imm)} << 32 | imm;
        out.print('r', dst(*insn), " = ");
        if (!names.imm64 || !names.imm64(names.owner, *insn, value, out)) out.print(hex(value));
    } else {
        out.print("BUG_ld_", HexDigits{insn->code, 2});
    }
}

void print_call(TextBuffer& out, const bpf_insn& insn, const DisasmNames& names) {
    out.print("call ");
    if (names.call && names.call(names.owner, insn, out)) return;
    if (insn.src_reg == BPF_PSEUDO_CALL) {
        out.print("pc", Signed{insn.imm});
    } else if (insn.src_reg == BPF_PSEUDO_KFUNC_CALL) {
        out.print("kernel-function");
    } else {
        const char* name = helper_name(static_cast<u32>(insn.imm));
        const bool known = name[0] != 'u' || name[1] != 'n' || name[2] != 'k';
        out.print(known ? "bpf_" : "", name, '#', insn.imm);
    }
}

void print_jump(TextBuffer& out, const bpf_insn& insn, const DisasmNames& names) {
    const bool is32 = BPF_CLASS(insn.code) == BPF_JMP32;
    const char r = is32 ? 'w' : 'r';
    const u8 op = BPF_OP(insn.code);
    if (op == BPF_JA) {
        if (is32)
            out.print("gotol pc", Signed{insn.imm});
        else
            out.print("goto pc", Signed{insn.off});
        return;
    }
    if (insn.code == (BPF_JMP | BPF_CALL)) return print_call(out, insn, names);
    if (insn.code == (BPF_JMP | BPF_EXIT)) return out.append("exit");
    if (insn.code == (BPF_JMP | BPF_JCOND)) {
        out.print("may_goto pc", Signed{insn.off});
        return;
    }
    if (op == BPF_CALL || op == BPF_EXIT || !kJumpOp[op >> 4]) {
        out.print("BUG_jmp_", HexDigits{insn.code, 2});
        return;
    }
    out.print("if ", r, dst(insn), ' ', kJumpOp[op >> 4], ' ');
    if (BPF_SRC(insn.code) == BPF_X)
        out.print(r, src(insn));
    else
        out.print(hex(static_cast<u32>(insn.imm)));
    out.print(" goto pc", Signed{insn.off});
}

}  // namespace

void disasm_insn(TextBuffer& out, const bpf_insn* insn, const DisasmNames& names) {
    out.print('(', HexDigits{insn->code, 2}, ") ");
    switch (BPF_CLASS(insn->code)) {
        case BPF_LD:
            return print_ld(out, insn, names);
        case BPF_LDX:
            return print_load(out, *insn);
        case BPF_ST:
        case BPF_STX:
            return print_store(out, *insn);
        case BPF_JMP:
        case BPF_JMP32:
            return print_jump(out, *insn, names);
        default:
            return print_alu(out, *insn);
    }
}

}  // namespace barebpf
