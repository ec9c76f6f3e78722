// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier from the inside: its environment, and what its files offer each other.
//
//   verifier.cc      bpf_check(): the order of the passes; do_check(): one instruction after another
//   decode.cc        reserved fields, opcodes, register numbers (decode.h)
//   resolve.cc       ld_imm64: map descriptors, map values, subprogram addresses
//   subprog.cc       subprograms: discovery, jumps stay inside, stack depth, tail calls
//   cfg.cc           reachability, back edges, where to look for known states
//   liveness.cc      which registers are read later: once, on the graph
//   debug_info.cc    func_info, line_info, source lines
//   check_alu.cc     arithmetic; check_pointer.cc: of pointers
//   check_mem.cc     loads and stores by pointer type; check_stack.cc, check_packet.cc, check_ctx.cc
//   check_atomic.cc  atomics, acquire and release; check_ld_abs.cc
//   check_jmp.cc     conditional jumps
//   check_call.cc    helper calls; check_callback.cc, check_lock.cc, check_dynptr.cc: special ones
//   check_global.cc  arguments of global functions
//   frames.cc        calls and returns; check_exit.cc; references.cc
//   states.cc        copy, free; prune.cc: comparison and pruning
//   backtrack.cc     precision
//   print_state.cc   states as text
//   fixups.cc        the final form of the program
//
// Each function says no with an Errno after it wrote the reason to the log.
#pragma once

#include "kernel/bpf/verifier_api.h"
#include "kernel/bpf/verifier_log.h"
#include "kernel/bpf/verifier_pool.h"
#include "kernel/bpf/verifier_state.h"

namespace barebpf {

inline constexpr u32 kMaxVerifiedInsns = 1'000'000;  // BPF_COMPLEXITY_LIMIT_INSNS
inline constexpr u32 kMaxPendingBranches = 8192;     // BPF_COMPLEXITY_LIMIT_JMP_SEQ
inline constexpr u32 kMaxUnprivilegedStates = 64;    // BPF_COMPLEXITY_LIMIT_STATES
inline constexpr u32 kMaxUsedMaps = 64;              // MAX_USED_MAPS
inline constexpr s64 kMaxVarOff = s64{1} << 29;      // BPF_MAX_VAR_OFF
inline constexpr s64 kMaxVarSize = s64{1} << 29;     // BPF_MAX_VAR_SIZ
inline constexpr u32 kMaxPacketOff = 0xffff;         // MAX_PACKET_OFF

// How + and - of registers in an unprivileged program are kept in bounds where a CPU mispredicts.
enum class OffsetGuard : u8 {
    None,
    Numbers,   // no pointer: nothing to do
    Constant,  // the number is written into the instruction
    Mask,      // BPF_MASKED_OFFSET
    Barrier,   // not before all branches are decided
};

// What the passes learn about one instruction of the program as it was loaded.
struct InsnAux {
    // ld_imm64 of a map or map value; helper calls: the map argument (all paths the same, else
    // maps_differ).
    Map* map;
    // ld_imm64 of a map value: the offset. A tail call or lookup with a constant index: the index.
    u32 map_off;
    // Unprivileged pointer arithmetic with a register: the number, or the most that it can be.
    s32 offset_limit;
    u32 subprog;       // ld_imm64 of a subprogram's address; call: the callee
    RegType ptr_type;  // loads and stores: through what; NotInit: never reached
    OffsetGuard offset_guard;
    u8 ctx_field_size;     // loads of a context field: bytes of the whole UAPI field
    bool maps_differ : 1;  // a helper call with different maps on different paths
    bool key_known : 1;    // tail call, array lookup: index map_off on every path seen so far
    bool key_varies : 1;   // it is not constant, or differs
    bool seen : 1;         // some path executes it; otherwise dead code
    bool prune_point : 1;  // look for an equal known state here
    bool force_checkpoint : 1;
    bool is_target : 1;             // of a jump or a call: breaks straight lines
    bool loop_bound : 1;            // may_goto
    bool offset_number_is_dst : 1;  // of a guarded offset: not src
    bool calls_back : 1;            // a helper that calls a function of the program
    bool sanitize_stack_spill : 1;  // unprivileged: a speculation barrier after this store
    bool nospec : 1;                // unprivileged: one before it
    u16 live;                       // bit n: Rn may be read from here on before it is written
};

struct SubprogState {
    u32 start, end;    // instructions [start, end)
    u32 first_line;    // its first line_info entry, when there are any
    const char* name;  // from BTF; null without
    u16 stack_depth;   // deepest byte used, as a positive number; a multiple of 8
    bool has_tail_call;
    bool tail_call_reachable;
    bool has_ld_abs;
    bool is_global;            // verified once on its own, callers trust its prototype
    bool is_callback;          // its address is taken and given to a helper
    bool changes_packet_data;  // it or something it calls
};

struct StateList {
    StateList* next;
    VerifierState* state;
    u32 hits, misses;
};

struct PendingBranch {
    PendingBranch* next;
    VerifierState* state;  // where to go on: state->insn, from state->previous_insn
    u64 log_mark;
};

struct VerifierCounters {
    u32 insns_processed, jumps_processed;
    u32 last_insns, last_jumps;  // at the newest checkpoint
    u32 total_states, peak_states, live_states, max_states_per_insn;
    u32 mark_reads;  // longest walk to mark something read
};

struct IdMap;      // prune.cc
struct Backtrack;  // backtrack.cc

struct VerifierEnv {
    VerifierEnv(Prog* program, const VerifierInput& in)
        : prog(program), input(in), pool(program->memory) {}

    Prog* prog;
    const VerifierInput& input;
    const ProgTypeOps* ops = nullptr;  // null for kProgTypeHost
    VerifierPool pool;
    VerifierLog log;

    bpf_insn* insns = nullptr;
    u32 insn_count = 0;
    host::Buffer<InsnAux> aux;
    host::Buffer<SubprogState> subprogs;
    u32 subprog_count = 0;
    host::Buffer<Map*> maps;  // used, each once, counted
    u32 map_count = 0;

    bool bpf_capable = false;
    bool allow_ptr_leaks = false;
    bool strict_alignment = false;
    bool every_checkpoint = false;  // BPF_F_TEST_STATE_FREQ

    // The path being followed.
    VerifierState* state = nullptr;
    u32 insn = 0;
    u32 previous_insn = 0;
    u32 history_step = ~u32{0};  // the step (insns_processed) that the newest history entry is of
    u32 came_from = 0;           // for the log: the last instruction of the path before insn
    bool print_whole_state = false;
    u32 changed_regs = 0;      // R0..R10 written since the last state print
    u64 changed_slots = 0;     // of the running frame
    s32 last_line = -1;        // line_info entry printed last
    u64 insn_line_mark = 0;    // the log behind the last instruction printed
    u64 insn_line_length = 0;  // of that line
    PendingBranch* pending = nullptr;
    u32 pending_count = 0;
    host::Buffer<StateList*> known;  // per instruction: states to compare with
    u32 next_id = 0;
    bool checking_main = true;  // false: a global function on its own

    IdMap* ids = nullptr;
    Backtrack* backtrack = nullptr;
    VerifierCounters count{};

    // cfg and liveness: work lists.
    host::Buffer<u32> stack;
    host::Buffer<u8> color;
    host::Buffer<u32> order;  // post-order of the graph
    u32 order_count = 0;

    RegState* regs() { return state->frame().regs; }
    RegState& reg(u32 number) { return state->frame().regs[number]; }
    InsnAux& here() { return aux[insn]; }
    u32 new_id() { return ++next_id; }
};

// -- passes, in their order -------------------------------------------------------------------
Result<void> find_subprogs(VerifierEnv& env);          // subprog.cc
Result<void> check_debug_info(VerifierEnv& env);       // debug_info.cc: func_info, line_info
Result<void> resolve_ld_imm64(VerifierEnv& env);       // resolve.cc
Result<void> check_cfg(VerifierEnv& env);              // cfg.cc
void spread_packet_changes(VerifierEnv& env);          // subprog.cc
void compute_liveness(VerifierEnv& env);               // liveness.cc
Result<void> check_max_stack_depth(VerifierEnv& env);  // subprog.cc
Result<void> apply_fixups(VerifierEnv& env);  // fixups.cc: fills prog->insns, subprogs, calls

// Index of the subprogram that starts at insn, or -1; that contains insn.
s32 find_subprog_at(const VerifierEnv& env, u32 insn);
u32 subprog_containing(const VerifierEnv& env, u32 insn);
const char* subprog_name(const VerifierEnv& env, u32 subprog);  // from BTF, "" without

// -- registers (reg_state.cc) -------------------------------------------------------------------
void mark_reg_not_init(RegState& reg);
void mark_reg_unknown(RegState& reg);  // any number
void mark_reg_known(RegState& reg, u64 value);
void mark_reg_scalar(RegState& reg, const Scalar& scalar);
void mark_reg_pointer(RegState& reg, RegType type, u8 flags = 0);  // off 0, no id
enum class RegUse : u8 {
    Read,
    Write,        // becomes an unknown number
    WriteNoMark,  // the caller says what it becomes
};
// R%d !read_ok, frame pointer is read only.
Result<void> check_reg(VerifierEnv& env, u32 number, RegUse use);
// After a call: R0..R5 hold nothing.
void clear_caller_saved(VerifierEnv& env);
const char* reg_type_name(const RegState& reg);  // "map_value_or_null", "fp", "scalar"
// All registers and spilled registers of all frames of a state.
template <class Function>
void for_each_reg(VerifierState& state, Function function) {
    for (u32 f = 0; f <= state.current; ++f) {
        FuncState& frame = *state.frames[f];
        for (RegState& reg : frame.regs) function(reg);
        for (u32 s = 0; s < frame.slot_count; ++s)
            if (frame.slots[s].is_spill()) function(frame.slots[s].reg);
    }
}

// -- instructions -----------------------------------------------------------------------------
Result<void> check_alu(VerifierEnv& env, const bpf_insn& insn);
const char* alu_op_name(const bpf_insn& insn);  // "+="
Result<void> check_pointer_alu(VerifierEnv& env, const bpf_insn& insn, RegState& dst,
                               const RegState& pointer, const RegState& scalar,
                               bool dst_is_pointer);
Result<void> check_ld_imm64(VerifierEnv& env, const bpf_insn* insn);
Result<void> check_ld_abs(VerifierEnv& env, const bpf_insn& insn);
Result<void> check_load(VerifierEnv& env, const bpf_insn& insn);
Result<void> check_store(VerifierEnv& env, const bpf_insn& insn);
Result<void> check_atomic(VerifierEnv& env, const bpf_insn& insn);
// + or - of two numbers, where other paths must not have a pointer.
Result<void> guard_numbers(VerifierEnv& env, const bpf_insn& insn);
// *next: where to go on; the other side of an undecided jump is queued.
Result<void> check_cond_jump(VerifierEnv& env, const bpf_insn& insn, u32* next);
Result<void> check_may_goto(VerifierEnv& env, const bpf_insn& insn, u32* next);
// Checks a helper call in place (check_call.cc): arguments, effects, R0.
Result<void> check_helper_call(VerifierEnv& env, const bpf_insn& insn);
// Enters a static subprogram, or checks a call of a global one. *next as above.
Result<void> check_subprog_call(VerifierEnv& env, const bpf_insn& insn, u32* next);
Result<void> check_exit(VerifierEnv& env, bool* path_done, u32* next);
// Helpers that call a function of the program, with a context in that register (check_callback.cc).
bool helper_calls_back(s32 id);
u32 callback_context_reg(s32 id);

// -- memory (check_mem.cc, check_ctx.cc) ------------------------------------------------------
enum class Access : u8 { Read, Write };
// Instead of a register number in value_reg.
inline constexpr s32 kImmediate = -1;     // stores: the instruction's imm. Loads: nobody wants it
inline constexpr s32 kUnknownValue = -2;  // stores: any number
// A load or store of size bytes at pointer regno + off, by instruction insn. Loads set value_reg.
// atomic: must be aligned.
Result<void> check_mem_access(VerifierEnv& env, u32 insn, u32 regno, s32 off, u32 size,
                              Access access, s32 value_reg, bool is_ldsx, bool atomic);
// Whether [off, off+size) with the register's variable part lies within mem_size bytes. off includes
// the register's constant part, here and below.
Result<void> check_mem_region(VerifierEnv& env, u32 regno, s32 off, s64 size, u64 mem_size,
                              bool zero_size_allowed);
Result<void> check_map_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                              bool zero_size_allowed);
Result<void> check_packet_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                                 bool zero_size_allowed);
Result<void> check_packet_span(VerifierEnv& env, u32 regno, s32 off, s64 size,
                               bool zero_size_allowed);
// Packet pointers may be used for this kind of access by the program type.
bool may_access_packet(VerifierEnv& env, Access access);
// What an instruction accesses decides how it is rewritten, so all paths must agree where a rewrite
// depends on it.
Result<void> note_pointer_type(VerifierEnv& env, u32 insn, RegType type);
struct ContextAccess {
    RegType type;
    u8 field_size;  // of the UAPI field
};
// Context field [off, off+size): what it yields, or "invalid bpf_context access".
Result<ContextAccess> check_ctx_access(VerifierEnv& env, u32 insn, s64 off, u32 size,
                                       Access access);
// Pointers that must not be offset: context, references.
Result<void> check_pointer_unmodified(VerifierEnv& env, const RegState& reg, u32 regno,
                                      bool fixed_off_ok);

// -- stack (check_stack.cc) -------------------------------------------------------------------
Result<void> check_stack_read(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 dst_reg);
Result<void> check_stack_write(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 value_reg);
// What becomes of a part of the stack. Load: an instruction reads it. The others are a helper's or a
// function's: Read: it is as before; ReadWrite: it may have been written, and becomes plain bytes;
// Fill: every byte becomes a number. Do that after all other arguments have been checked, or they
// would find these bytes initialised.
enum class StackUse : u8 { Load, Read, ReadWrite, Fill };
// [off, off + size) of a stack pointer, off with the register's constant part. But for Fill, every
// byte must be initialised and is marked read.
Result<void> check_stack_range(VerifierEnv& env, u32 regno, s32 off, u32 size,
                               bool zero_size_allowed, StackUse use);
// Bytes [off, off+size) of a frame are overwritten with numbers; off constant and in bounds.
Result<void> mark_stack_misc(VerifierEnv& env, FuncState& frame, s32 off, u32 size);
// Room for slots down to fp-depth; NoMem.
Result<void> grow_stack(VerifierEnv& env, FuncState& frame, u32 depth);
// Before slot is overwritten: a dynptr there is gone, and what was taken of it; one that is a reference
// must not be (check_dynptr.cc).
Result<void> destroy_dynptr(VerifierEnv& env, FuncState& frame, u32 slot);
// slots of a frame are read: goes to the checkpoints of this path.
void mark_slots_read(VerifierEnv& env, u32 frame, u64 slots);

// -- packets (check_packet.cc) ----------------------------------------------------------------
void forget_packet_pointers(VerifierEnv& env);  // the packet's memory may have moved
// After a comparison of packet pointers; false: it was none.
bool learn_packet_range(u8 op, u32 dst, u32 src, VerifierState& taken, VerifierState& not_taken);
Taken packet_branch_taken(u8 op, const RegState& dst, const RegState& src);

// -- references (references.cc) ---------------------------------------------------------------
Result<u32> acquire_reference(VerifierEnv& env, u32 insn);     // its id
Result<void> release_reference(VerifierEnv& env, u32 ref_id);  // and void all pointers to it
bool forget_reference(VerifierState& state, u32 ref_id);       // only from the list
void forget_pointers(VerifierEnv& env, u32 ref_id);            // to it and to parts of it
Result<void> check_no_references(VerifierEnv& env);            // at an exit

// -- frames (frames.cc) -----------------------------------------------------------------------
// A new frame above the running one, its registers unset; the caller sets arguments and makes it
// the running one. "the call stack of %d frames is too deep"
Result<FuncState*> push_frame(VerifierEnv& env, u32 subprog, u32 call_site);
Result<void> return_from_frame(VerifierEnv& env, u32* next);
// Queues that the running function returns here and now, with 0 or with any number.
Result<void> push_early_return(VerifierEnv& env, bool zero);
// check_global.cc: arguments by BTF prototype.
Result<void> check_global_call(VerifierEnv& env, u32 subprog);  // the caller's R1..R5
Result<void> set_global_args(VerifierEnv& env, u32 subprog, FuncState& frame);

// -- states (states.cc, prune.cc) -------------------------------------------------------------
FuncState* new_frame(VerifierEnv& env);
void free_frame(VerifierEnv& env, FuncState* frame);
VerifierState* new_state(VerifierEnv& env);
// A full copy; parent, branches and history included. Null: no memory.
VerifierState* copy_state(VerifierEnv& env, const VerifierState& from);
void free_state(VerifierEnv& env, VerifierState* state);
// Queues a copy of the running state to go on at insn. The copy, to be refined; TooBig.
Result<VerifierState*> push_branch(VerifierEnv& env, u32 insn, u32 previous, bool speculative);
// Takes the newest queued branch; false: none left.
bool pop_branch(VerifierEnv& env);
void finish_path(VerifierEnv& env, VerifierState* state);  // one branch less, up the parents
// Numbers of the running state that differ from the newest checkpoint at insn, and that nothing
// relied on there, become unknown: rounds of a loop become alike.
void widen_since(VerifierEnv& env, u32 insn);
// At a prune point: true when a known state covers this one; makes a checkpoint when it pays.
Result<bool> is_state_visited(VerifierEnv& env);
void free_known_states(VerifierEnv& env);
Result<void> make_prune_scratch(VerifierEnv& env);

// -- precision (backtrack.cc) -----------------------------------------------------------------
// The proof relies on the exact value of a register of the running frame, before the running
// instruction changes it. No effect on pointers.
Result<void> mark_precise(VerifierEnv& env, u32 regno);
// What `old` relied on, the running state's past must satisfy.
Result<void> propagate_precision(VerifierEnv& env, const VerifierState& old);
Result<void> push_history(VerifierEnv& env, u32 flags, u32 stack_slot);
Result<void> push_linked_history(VerifierEnv& env, u64 linked, u32 count);
Result<void> make_backtrack_scratch(VerifierEnv& env);

// -- text (print_state.cc, debug_info.cc) -----------------------------------------------------
void print_state(VerifierEnv& env, const VerifierState& state, bool all);
void print_frame_state(VerifierEnv& env, const VerifierState& state, u32 frame, bool all);
void print_insn_state(VerifierEnv& env);
void print_insn(VerifierEnv& env, u32 insn);
void print_line(VerifierEnv& env, u32 insn);  // "; source line", when it is another one

}  // namespace barebpf
