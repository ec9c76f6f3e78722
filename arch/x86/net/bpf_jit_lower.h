// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ops to machine code. One Lowering object emits the whole unit once; the driver runs several over
// the same Layout (sizes, places, bytes). Internal to bpf_jit*.cc; docs/jit.md has the drawings.
//
// Registers: R0 rax, R1 rdi, R2 rsi, R3 rdx, R4 rcx, R5 r8, R6 rbx, R7 r13, R8 r14, R9 r15,
// R10 rbp. r12 counts tail calls in programs that can reach one. r11, r10 and r9 are scratch; in a
// function that calls nothing R6 and R7 live in r10 and r9 instead, which need no saving.
#pragma once

#include "arch/x86/net/assembler.h"
#include "arch/x86/net/bpf_jit_ir.h"

namespace barebpf::x86 {

inline constexpr Register kScratch = Register::R11;
inline constexpr Register kScratch2 = Register::R10;
inline constexpr Register kScratch3 = Register::R9;
inline constexpr Register kTailCount = Register::R12;

struct LowerOptions {
    bool bmi2 = false;
    bool keep_within_lines = true;  // jumps, for machines that are slow otherwise
    bool direct_calls = true;       // every helper is within reach of call rel32
    const u8* exec = nullptr;       // where the code will be; null in the sizing pass
};

// How a function's frame looks; decided before its first instruction.
struct Frame {
    RegSet saved = 0;             // R6 to R9 that are pushed
    bool stack = false;           // R10 is used: rbp is the frame pointer
    bool calls = false;           // the stack is kept 16-byte aligned
    bool leaf_registers = false;  // R6 and R7 are in r10 and r9
    bool saves_r12 = false;       // for a constant; nobody counts tail calls
    u32 below = 0;                // bytes between the frame pointer and the saved registers

    // Constants of 64 bits that a loop loads again and again, in registers that are free: a move between registers takes
    // none of those that the processor renames.
    static constexpr u32 kMaxKept = 5;
    struct Kept {
        Register reg;
        s64 value;
    } kept[kMaxKept];
    u32 kept_count = 0;
};

inline constexpr u32 kLookupLabels = 3;
inline constexpr u32 kLookupJumps = 12;  // at most
inline constexpr u32 kNobody = ~0u;

class Lowering {
public:
    Lowering(const Unit& unit, Assembler& out, const LowerOptions& options, u32* insn_offset,
             u32* func_offset)
        : unit_(unit),
          out_(out),
          options_(options),
          insn_offset_(insn_offset),
          func_offset_(func_offset) {}

    void run();
    // Where C enters the program.
    u32 entry() const { return entry_; }
    bool ok() const { return ok_; }

private:
    // bpf_jit.cc
    void function(u32 subprog, u32 begin, u32 end);
    void lower(u32 i);

    // bpf_jit_frame.cc
    void plan_frame(const SubprogInfo& info, u32 begin, u32 end);
    void plan_registers();
    void plan_constants(u32 begin, u32 end);
    bool keep_constant(s64 value);
    const Frame::Kept* kept(s64 value) const;
    u32 saved_count() const;
    void plan_alignment();
    void prologue();
    void leave_frame();
    void exit();
    void entry_stubs();
    void counting_stub(u32 subprog, u32 count);

    // bpf_jit_alu.cc
    void alu(const Op& op);
    void alu_const(const Op& op);
    void alu_memory(const Op& op);
    void add_const(const Op& op, s64 value);
    bool multiply_const(const Op& op);
    void commutative(const Op& op);
    void subtract(const Op& op);
    void shift(const Op& op);
    void shift_const(const Op& op);
    void extend(const Op& op);
    void swap(const Op& op);
    void rotate(const Op& op);
    void masked_offset(const Op& op);
    void move(Width width, Reg dst, Reg src);
    void move_const(const Op& op);

    void set_flags(const Op& op);

    // bpf_jit_divide.cc
    void divide(const Op& op);
    bool divide_by_power_of_two(const Op& op);
    void signed_special_cases(const Op& op, Label done);
    void divide_registers(const Op& op);
    void divide_unsigned_wide(const Op& op);
    void keep_low_and_high(const Op& op);
    void restore_low_and_high(const Op& op);

    // bpf_jit_divide_const.cc
    bool divide_by_const(const Op& op);
    bool divide_narrow_by_const(const Op& op, u64 divisor);
    Register multiply_high(const Op& op, u64 divisor);

    // bpf_jit_mem.cc
    Memory memory(const Address& at) const;
    void load(const Op& op);
    void store(const Op& op);
    void store_const(const Op& op);
    void cpu_id(const Op& op);

    // bpf_jit_atomic.cc
    void atomic(const Op& op);
    void atomic_plain(const Op& op, Alu operation);
    void atomic_fetch_loop(const Op& op, Alu operation);

    // bpf_jit_jump.cc
    void branch(const Op& op);
    Condition compare(const Op& op);
    Condition compare_const(const Op& op);
    bool flags_tell(const Op& op) const;
    void keep_within_line(u32 length) {
        if (options_.keep_within_lines) out_.keep_within_line(length);
    }
    Condition compare_within_line(const Op& op, u32 jump_length);

    // bpf_jit_lookup.cc
    bool is_written_out(const Op& op) const;
    u32 null_test_behind(u32 i) const;
    template <class Compare>
    void jump_if(Condition condition, Label target, Compare compare);
    void lookup(u32 i);
    Memory key_of(const Op& op, s32 offset) const;
    void load_of_map(const Op& op, s32 offset);
    void lookup_lpm4(const Op& op, Label call);
    void entry_of_lpm4(const Op& op, Register run);
    Register standing_register(s64 standing);
    void lookup_hash(const Op& op, u32 key_size, Label call, Label miss);
    void hash_key(const Op& op, u32 key_size);
    void multiply_by_stride(u32 key_size);
    void rest_of_lookups(u32 begin, u32 end, u32 number);
    void rest_of_lookup(u32 i, u32 number);
    void leave_with_null(u32 i, u32 number);
    Address value_of_lpm4(s32 offset) const;
    u32 only_use_of_value(u32 i) const;
    void use_value(const Op& op);

    // bpf_jit_call.cc
    void call_helper(const Op& op);
    void function_address(const Op& op);
    void tail_call(const Op& op);

    Register x(Reg reg) const { return map_[reg]; }
    Width width(const Op& op) const { return op.wide ? Width::W64 : Width::W32; }
    // Label ids: one per instruction (bound where something jumps to), one per subprogram for calls,
    // one per subprogram for its use as a callback, three per look-up that is written out.
    u32 subprog_count() const { return static_cast<u32>(unit_.prog->subprogs.size()); }
    u32 subprog_at(u32 insn) const;
    Label insn_label(u32 insn) const { return Label{insn}; }
    Label function_label(u32 subprog) const { return Label{unit_.count + subprog}; }
    Label callback_label(u32 subprog) const {
        return Label{unit_.count + subprog_count() + subprog};
    }
    enum class LookupLabel : u8 { Call, Miss, Back };
    Label lookup_label(u32 number, LookupLabel which) const {
        return Label{unit_.count + 2 * subprog_count() + kLookupLabels * number +
                     static_cast<u32>(which)};
    }
    bool live_after(const Op& op, Reg reg) const { return (op.live_out & reg_bit(reg)) != 0; }

    const Unit& unit_;
    Assembler& out_;
    LowerOptions options_;
    u32* insn_offset_;
    u32* func_offset_;
    Register map_[kRegs];
    Frame frame_;
    Label epilogue_;
    bool epilogue_bound_ = false;
    bool counts_tail_calls_ = false;
    u32 lookups_ = 0;          // that were written out
    u32 null_test_ = kNobody;  // the branch that the last one has decided
    u32 value_use_ = kNobody;  // the instruction that reads its value, where nothing else does
    // The last instruction set the flags by this register's new value.
    Reg flags_reg_ = kNoReg;
    bool flags_wide_ = false;
    u32 flags_position_ = 0;
    u32 entry_ = 0;
    bool ok_ = true;
};

// The whole way; jit_compile() with the options open. On failure the image is left for jit_free().
Result<void> compile(Prog* prog, LowerOptions options);

}  // namespace barebpf::x86
