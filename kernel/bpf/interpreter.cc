// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The interpreter: the reference that every compiler must agree with, and the engine of hosts without
// one. It executes instructions in final form (prog.h); what a verified program may not do is not
// checked again here.
//
// One C++ frame is one BPF frame: a subprogram call recurses, so registers R6-R9 and the stack are
// the callee's own and come back by themselves. The depth is bounded by the verifier (kMaxCallFrames).
// A tail call replaces the program inside the current frame; the count of them is shared by the whole run.
//
// Semantics: RFC 9669, section numbers in the comments.
#include "kernel/bpf/prog.h"
#include "kernel/bpf/prog_array.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::atomic_at;
using host::Order;

struct Run {
    u32 tail_calls = 0;
};

struct Frame {
    u64 regs[MAX_BPF_REG];
    alignas(16) u8 stack[kMaxStack + kFixupStack];
};

// -- arithmetic (4.1) --

// The value a 64-bit operation takes as its second operand: imm is sign-extended.
ALWAYS_INLINE u64 operand64(const bpf_insn& insn, const u64* regs) {
    return BPF_SRC(insn.code) == BPF_X ? regs[insn.src_reg] : u64(s64{insn.imm});
}
ALWAYS_INLINE u32 operand32(const bpf_insn& insn, const u64* regs) {
    return BPF_SRC(insn.code) == BPF_X ? u32(regs[insn.src_reg]) : u32(insn.imm);
}

// Division by zero gives 0, and the one quotient that does not fit wraps around.
template <class U, class S>
ALWAYS_INLINE U divide(U a, U b, bool is_signed) {
    if (b == 0) return 0;
    if (!is_signed) return a / b;
    return b == U(-1) ? U(0) - a : U(S(a) / S(b));
}
// A remainder by zero is the dividend; by -1 it is 0, without overflow.
template <class U, class S>
ALWAYS_INLINE U modulo(U a, U b, bool is_signed) {
    if (b == 0) return a;
    if (!is_signed) return a % b;
    return b == U(-1) ? 0 : U(S(a) % S(b));
}

// MOV with an offset sign-extends from that many bits (4.1, "MOVSX").
ALWAYS_INLINE u64 move_extended(u64 value, s16 bits) {
    switch (bits) {
        case 8:
            return u64(s64{s8(value)});
        case 16:
            return u64(s64{s16(value)});
        case 32:
            return u64(s64{s32(value)});
        default:
            return value;
    }
}

template <class U, class S>
ALWAYS_INLINE U alu(const bpf_insn& insn, U a, U b) {
    constexpr U kShiftMask = sizeof(U) * 8 - 1;
    const bool is_signed = insn.off == 1;
    switch (BPF_OP(insn.code)) {
        case BPF_ADD:
            return a + b;
        case BPF_SUB:
            return a - b;
        case BPF_MUL:
            return a * b;
        case BPF_DIV:
            return divide<U, S>(a, b, is_signed);
        case BPF_OR:
            return a | b;
        case BPF_AND:
            return a & b;
        case BPF_LSH:
            return a << (b & kShiftMask);
        case BPF_RSH:
            return a >> (b & kShiftMask);
        case BPF_NEG:
            return U(0) - a;
        case BPF_MOD:
            return modulo<U, S>(a, b, is_signed);
        case BPF_XOR:
            return a ^ b;
        case BPF_MOV:
            return U(move_extended(b, insn.off));
        default:
            return U(S(a) >> (b & kShiftMask));  // BPF_ARSH
    }
}

// Byte swaps (4.2); hosts are little-endian, so a conversion to little-endian only truncates.
ALWAYS_INLINE u64 swap_bytes(u64 value, s32 bits, bool swap) {
    switch (bits) {
        case 16:
            return swap ? __builtin_bswap16(u16(value)) : u16(value);
        case 32:
            return swap ? __builtin_bswap32(u32(value)) : u32(value);
        default:
            return swap ? __builtin_bswap64(value) : value;
    }
}

ALWAYS_INLINE void alu32(const bpf_insn& insn, u64* regs) {
    u64& dst = regs[insn.dst_reg];
    if (BPF_OP(insn.code) == BPF_END) {
        dst = swap_bytes(dst, insn.imm, BPF_SRC(insn.code) == BPF_TO_BE);
    } else {
        dst = alu<u32, s32>(insn, u32(dst), operand32(insn, regs));
    }
}
ALWAYS_INLINE void alu64(const bpf_insn& insn, u64* regs) {
    u64& dst = regs[insn.dst_reg];
    if (BPF_OP(insn.code) == BPF_END) {
        dst = swap_bytes(dst, insn.imm, true);
    } else {
        dst = alu<u64, s64>(insn, dst, operand64(insn, regs));
    }
}

// -- jumps (4.3) --

template <class U, class S>
ALWAYS_INLINE bool condition(u8 code, U a, U b) {
    switch (BPF_OP(code)) {
        case BPF_JEQ:
            return a == b;
        case BPF_JGT:
            return a > b;
        case BPF_JGE:
            return a >= b;
        case BPF_JSET:
            return (a & b) != 0;
        case BPF_JNE:
            return a != b;
        case BPF_JSGT:
            return S(a) > S(b);
        case BPF_JSGE:
            return S(a) >= S(b);
        case BPF_JLT:
            return a < b;
        case BPF_JLE:
            return a <= b;
        case BPF_JSLT:
            return S(a) < S(b);
        default:
            return S(a) <= S(b);  // BPF_JSLE
    }
}

// -- loads and stores (5.1, 5.2) --

template <class T>
ALWAYS_INLINE T read(u64 address) {
    T value;
    __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
    return value;
}
template <class T>
ALWAYS_INLINE void write(u64 address, u64 value) {
    T narrowed = T(value);
    __builtin_memcpy(reinterpret_cast<void*>(address), &narrowed, sizeof narrowed);
}

ALWAYS_INLINE u64 load(u8 code, u64 address) {
    const bool extend = BPF_MODE(code) == BPF_MEMSX;
    switch (BPF_SIZE(code)) {
        case BPF_B:
            return extend ? u64(s64{read<s8>(address)}) : read<u8>(address);
        case BPF_H:
            return extend ? u64(s64{read<s16>(address)}) : read<u16>(address);
        case BPF_W:
            return extend ? u64(s64{read<s32>(address)}) : read<u32>(address);
        default:
            return read<u64>(address);
    }
}
ALWAYS_INLINE void store(u8 code, u64 address, u64 value) {
    switch (BPF_SIZE(code)) {
        case BPF_B:
            return write<u8>(address, value);
        case BPF_H:
            return write<u16>(address, value);
        case BPF_W:
            return write<u32>(address, value);
        default:
            return write<u64>(address, value);
    }
}

// -- atomics (5.3) --

// Operations that return the old value are fully ordered, the others are not ordered at all; both as
// in the kernel's memory model for BPF.
template <class T>
ALWAYS_INLINE void read_modify_write(const bpf_insn& insn, u64* regs, Atomic<T>& memory) {
    u64& src = regs[insn.src_reg];
    const T value = T(src);
    switch (insn.imm) {
        case BPF_ADD:
            memory.fetch_add(value, Order::Relaxed);
            return;
        case BPF_AND:
            memory.fetch_and(value, Order::Relaxed);
            return;
        case BPF_OR:
            memory.fetch_or(value, Order::Relaxed);
            return;
        case BPF_XOR:
            memory.fetch_xor(value, Order::Relaxed);
            return;
        case BPF_ADD | BPF_FETCH:
            src = memory.fetch_add(value, Order::SeqCst);
            return;
        case BPF_AND | BPF_FETCH:
            src = memory.fetch_and(value, Order::SeqCst);
            return;
        case BPF_OR | BPF_FETCH:
            src = memory.fetch_or(value, Order::SeqCst);
            return;
        case BPF_XOR | BPF_FETCH:
            src = memory.fetch_xor(value, Order::SeqCst);
            return;
        case BPF_XCHG:
            src = memory.exchange(value, Order::SeqCst);
            return;
        default: {  // BPF_CMPXCHG: R0 is compared, and receives what was found
            T expected = T(regs[BPF_REG_0]);
            memory.compare_exchange(expected, value, Order::SeqCst, Order::SeqCst);
            regs[BPF_REG_0] = expected;
        }
    }
}

template <class T>
ALWAYS_INLINE u64 load_acquire(u64 address) {
    return atomic_at<T>(reinterpret_cast<void*>(address)).load(Order::Acquire);
}
template <class T>
ALWAYS_INLINE void store_release(u64 address, u64 value) {
    atomic_at<T>(reinterpret_cast<void*>(address)).store(T(value), Order::Release);
}

NOINLINE void load_acquire_sized(const bpf_insn& insn, u64* regs) {
    const u64 address = regs[insn.src_reg] + s64{insn.off};
    u64& dst = regs[insn.dst_reg];
    switch (BPF_SIZE(insn.code)) {
        case BPF_B:
            dst = load_acquire<u8>(address);
            return;
        case BPF_H:
            dst = load_acquire<u16>(address);
            return;
        case BPF_W:
            dst = load_acquire<u32>(address);
            return;
        default:
            dst = load_acquire<u64>(address);
    }
}
NOINLINE void store_release_sized(const bpf_insn& insn, const u64* regs) {
    const u64 address = regs[insn.dst_reg] + s64{insn.off};
    const u64 value = regs[insn.src_reg];
    switch (BPF_SIZE(insn.code)) {
        case BPF_B:
            return store_release<u8>(address, value);
        case BPF_H:
            return store_release<u16>(address, value);
        case BPF_W:
            return store_release<u32>(address, value);
        default:
            return store_release<u64>(address, value);
    }
}

ALWAYS_INLINE void atomic_operation(const bpf_insn& insn, u64* regs) {
    if (insn.imm == BPF_LOAD_ACQ) return load_acquire_sized(insn, regs);
    if (insn.imm == BPF_STORE_REL) return store_release_sized(insn, regs);
    void* where = reinterpret_cast<void*>(regs[insn.dst_reg] + s64{insn.off});
    if (BPF_SIZE(insn.code) == BPF_DW) {
        read_modify_write(insn, regs, atomic_at<u64>(where));
    } else {
        read_modify_write(insn, regs, atomic_at<u32>(where));
    }
}

// -- internal opcodes (prog.h) --

ALWAYS_INLINE void internal_operation(const bpf_insn& insn, u64* regs) {
    switch (insn.code) {
        case BPF_CPU_ID:
            regs[insn.dst_reg] = host::cpu_id();
            return;
        case BPF_MASKED_OFFSET: {
            const bool swapped = insn.off & kMaskedNumberIsDst;
            const u64 pointer = regs[swapped ? insn.src_reg : insn.dst_reg];
            u64 number = regs[swapped ? insn.dst_reg : insn.src_reg];
            if (number > u32(insn.imm)) number = 0;
            regs[insn.dst_reg] = insn.off & kMaskedSubtract ? pointer - number : pointer + number;
            return;
        }
        default:  // BPF_NOSPEC: nothing is speculated here
            return;
    }
}

// -- calls (4.3.1) --

// Map operations are called through this type although they take fewer arguments: the calling
// conventions of all our architectures allow it, the sanitizer of function types would not.
__attribute__((no_sanitize("undefined"))) ALWAYS_INLINE u64 call_function(const void* address,
                                                                          const u64* regs) {
    auto function = reinterpret_cast<BpfFunction>(reinterpret_cast<u64>(address));
    return function(regs[1], regs[2], regs[3], regs[4], regs[5]);
}

// The program at R3 of the array in R2, or null when there is none or the budget is used up: the
// program then goes on behind the tail call.
const Prog* tail_call_target(const u64* regs, Run* run) {
    if (run->tail_calls >= kMaxTailCalls) return nullptr;
    const Prog* target =
        prog_array_get(reinterpret_cast<Map*>(regs[BPF_REG_2]), u32(regs[BPF_REG_3]));
    if (target) ++run->tail_calls;
    return target;
}

// What a helper gets for a subprogram of ours: call_callback() knows it.
NOINLINE u64 function_address(const Prog* prog, const bpf_insn* insn) {
    const u32 start = u32(insn - prog->insns.data()) + 1 + u32(insn->imm);
    for (const SubprogInfo& subprog : prog->subprogs)
        if (subprog.start == start) return reinterpret_cast<u64>(&subprog) ^ kInterpretedFunction;
    return 0;
}

u64 execute(const Prog* prog, const bpf_insn* insn, const u64* arguments, Run* run);

NOINLINE u64 call_subprogram(const Prog* prog, const bpf_insn* target, const u64* regs, Run* run) {
    return execute(prog, target, regs, run);
}

// One BPF frame: from insn to its EXIT.
u64 execute(const Prog* prog, const bpf_insn* insn, const u64* arguments, Run* run) {
    Frame frame;
    u64* regs = frame.regs;
    for (u32 i = BPF_REG_1; i <= BPF_REG_5; ++i) regs[i] = arguments[i];
    regs[BPF_REG_10] = reinterpret_cast<u64>(frame.stack + sizeof frame.stack);

    for (;; ++insn) {
        switch (BPF_CLASS(insn->code)) {
            case BPF_ALU64:
                alu64(*insn, regs);
                break;
            case BPF_ALU:
                alu32(*insn, regs);
                break;
            case BPF_LDX: {
                const u64 address = regs[insn->src_reg] + s64{insn->off};
                regs[insn->dst_reg] = load(insn->code, address);
                break;
            }
            case BPF_ST:
                if (UNLIKELY(BPF_MODE(insn->code) == BPF_MODE(BPF_NOSPEC))) {
                    internal_operation(*insn, regs);
                    break;
                }
                store(insn->code, regs[insn->dst_reg] + s64{insn->off}, u64(s64{insn->imm}));
                break;
            case BPF_STX:
                if (UNLIKELY(BPF_MODE(insn->code) == BPF_ATOMIC)) {
                    atomic_operation(*insn, regs);
                } else {
                    store(insn->code, regs[insn->dst_reg] + s64{insn->off}, regs[insn->src_reg]);
                }
                break;
            case BPF_LD:  // only the 64-bit immediate is left
                regs[insn->dst_reg] = insn->src_reg == BPF_PSEUDO_FUNC
                                          ? function_address(prog, insn)
                                          : u32(insn[0].imm) | u64{u32(insn[1].imm)} << 32;
                ++insn;
                break;
            case BPF_JMP32:
                if (BPF_OP(insn->code) == BPF_JA) {
                    insn += insn->imm;
                } else if (condition<u32, s32>(insn->code, u32(regs[insn->dst_reg]),
                                               operand32(*insn, regs))) {
                    insn += insn->off;
                }
                break;
            default:  // BPF_JMP
                switch (BPF_OP(insn->code)) {
                    case BPF_JA:
                        insn += insn->off;
                        break;
                    case BPF_EXIT:
                        return regs[BPF_REG_0];
                    case BPF_CALL:
                        regs[BPF_REG_0] =
                            insn->src_reg == BPF_PSEUDO_CALL
                                ? call_subprogram(prog, insn + 1 + insn->imm, regs, run)
                                : call_function(prog->calls[u32(insn->imm)].address, regs);
                        break;
                    case BPF_TAIL_CALL:
                        if (const Prog* target = tail_call_target(regs, run)) {
                            prog = target;
                            insn = prog->insns.data() - 1;
                        }
                        break;
                    default:
                        if (condition<u64, s64>(insn->code, regs[insn->dst_reg],
                                                operand64(*insn, regs))) {
                            insn += insn->off;
                        }
                }
        }
    }
}

}  // namespace

u64 interpret(const void* ctx, const Prog* prog) {
    const u64 arguments[MAX_BPF_REG] = {0, reinterpret_cast<u64>(ctx)};
    Run run;
    return execute(prog, prog->insns.data(), arguments, &run);
}

u64 interpret_callback(const SubprogInfo* subprog, u64 r1, u64 r2, u64 r3, u64 r4) {
    const u64 arguments[MAX_BPF_REG] = {0, r1, r2, r3, r4};
    // As in compiled programs: no tail call leads out of a helper.
    Run run{kMaxTailCalls};
    return execute(subprog->prog, subprog->prog->insns.data() + subprog->start, arguments, &run);
}

u64 interpret_host(const Prog* prog, void* memory, u64 length) {
    const u64 arguments[MAX_BPF_REG] = {0, reinterpret_cast<u64>(memory), length};
    Run run;
    return execute(prog, prog->insns.data(), arguments, &run);
}

}  // namespace barebpf
