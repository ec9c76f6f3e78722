// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier from the inside: its environment, and what its files offer each other.
//
//   verifier.cc      bpf_check(): the order of the passes; do_check(): one instruction after another
//   decode.cc        reserved fields, opcodes, register numbers (decode.h)
//   resolve.cc       ld_imm64: map descriptors, map values, subprogram addresses
//   subprog.cc       subprograms: discovery, jumps stay inside, stack depth, tail calls
//   cfg.cc           reachability, back edges, where to look for known states
//   liveness.cc      which registers are read later: once, on the graph
//   check_alu.cc     arithmetic, pointer arithmetic      check_pointer.cc
//   check_mem.cc     loads and stores by pointer type    check_stack.cc  check_packet.cc
//   check_atomic.cc  atomics, acquire and release        check_ld_abs.cc
//   check_jmp.cc     conditional jumps, nulls, ranges of packets
//   check_call.cc    helper calls; frames in frames.cc; references in references.cc
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

// What the passes learn about one instruction of the program as it was loaded.
struct InsnAux {
    // ld_imm64 of a map or map value; helper calls: the map argument (all paths the same, else
    // maps_differ).
    Map* map;
    // ld_imm64 of a map value: the offset. A tail call or lookup with a constant index: the index.
    u32 map_off;
    u32 subprog;           // ld_imm64 of a subprogram's address; call: the callee
    RegType ptr_type;      // loads and stores: through what; NotInit: never reached
    u8 ctx_field_size;     // loads of a context field: bytes of the whole UAPI field
    bool maps_differ : 1;  // a helper call with different maps on different paths
    bool key_known : 1;    // tail call, array lookup: index map_off on every path seen so far
    bool key_varies : 1;   // it is not constant, or differs
    bool seen : 1;         // some path executes it; otherwise dead code
    bool prune_point : 1;  // look for an equal known state here
    bool force_checkpoint : 1;
    bool is_target : 1;             // of a jump or a call: breaks straight lines
    bool loop_bound : 1;            // may_goto
    bool sanitize_stack_spill : 1;  // unprivileged: a speculation barrier after this store
    bool nospec : 1;                // unprivileged: one before it
    u16 live;                       // bit n: Rn may be read from here on before it is written
};

struct SubprogState {
    u32 start, end;   // instructions [start, end)
    u32 linfo_first;  // first line_info entry, when there are any
    u16 stack_depth;  // deepest byte used, as a positive number
    u16 live_args;    // R1..R5 that it may read before writing them
    bool has_tail_call;
    bool tail_call_reachable;
    bool has_ld_abs;
    bool is_global;  // verified once on its own, callers trust its prototype
    bool is_callback;
    bool is_called;
    bool changes_packet_data;
    bool verified;  // global: its own pass is done
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
    bool any_alignment = false;

    // The path being followed.
    VerifierState* state = nullptr;
    u32 insn = 0;
    u32 previous_insn = 0;
    u32 last_printed = 0;  // state prints: where the last was
    u32 changed_regs = 0;  // R0..R10 written since the last state print
    u64 changed_slots = 0;
    PendingBranch* pending = nullptr;
    u32 pending_count = 0;
    host::Buffer<StateList*> known;  // per instruction: states to compare with
    u32 next_id = 0;
    u32 running_subprog = 0;  // whose own pass this is: 0, or a global function
    bool checking_main = true;

    IdMap* ids = nullptr;
    Backtrack* backtrack = nullptr;
    VerifierCounters count{};

    // cfg and liveness: work lists.
    host::Buffer<u32> stack;
    host::Buffer<u8> color;

    RegState* regs() { return state->frame().regs; }
    RegState& reg(u32 number) { return state->frame().regs[number]; }
    InsnAux& here() { return aux[insn]; }
    u32 new_id() { return ++next_id; }
};

// -- passes, in their order -------------------------------------------------------------------
Result<void> find_subprogs(VerifierEnv& env);     // subprog.cc
Result<void> check_debug_info(VerifierEnv& env);  // debug_info.cc: func_info, line_info
Result<void> resolve_ld_imm64(VerifierEnv& env);  // resolve.cc
Result<void> check_cfg(VerifierEnv& env);         // cfg.cc
Result<void> compute_liveness(VerifierEnv& env);  // liveness.cc
Result<void> do_check_subprog(VerifierEnv& env, u32 subprog);  // verifier.cc: one pass over it
Result<void> check_max_stack_depth(VerifierEnv& env);          // subprog.cc
Result<void> apply_fixups(VerifierEnv& env);  // fixups.cc: fills prog->insns, subprogs, calls

// Index of the subprogram that starts at insn, or -1; that contains insn.
s32 find_subprog_at(const VerifierEnv& env, u32 insn);
u32 subprog_containing(const VerifierEnv& env, u32 insn);
const char* subprog_name(VerifierEnv& env, u32 subprog);  // from BTF, "" without

// -- registers (reg_state.cc) -------------------------------------------------------------------
void mark_reg_not_init(RegState& reg);
void mark_reg_unknown(VerifierEnv& env, RegState& reg);  // any number
void mark_reg_known(RegState& reg, u64 value);
void mark_reg_pointer(RegState& reg, RegType type, u8 flags = 0);  // off 0, no id
enum class RegUse : u8 { Read, Write, WriteNoMark };
// R%d !read_ok, frame pointer is read only.
Result<void> check_reg(VerifierEnv& env, u32 number, RegUse use);
// After a call: R1..R5 hold nothing.
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
Result<void> check_alu(VerifierEnv& env, const bpf_insn& insn);  // check_alu.cc
Result<void> check_pointer_alu(VerifierEnv& env, const bpf_insn& insn, RegState& dst,
                               const RegState& pointer, const RegState& scalar);
Result<void> check_ld_imm64(VerifierEnv& env, const bpf_insn* insn);  // verifier_insn.cc
Result<void> check_ld_abs(VerifierEnv& env, const bpf_insn& insn);    // check_ld_abs.cc
Result<void> check_load(VerifierEnv& env, const bpf_insn& insn);      // check_mem.cc
Result<void> check_store(VerifierEnv& env, const bpf_insn& insn);
Result<void> check_atomic(VerifierEnv& env, const bpf_insn& insn);  // check_atomic.cc
// *next: where to go on; the other side of an undecided jump is queued.
Result<void> check_cond_jump(VerifierEnv& env, const bpf_insn& insn, u32* next);  // check_jmp.cc
Result<void> check_may_goto(VerifierEnv& env, const bpf_insn& insn);
// Checks a helper call in place (check_call.cc): arguments, effects, R0.
Result<void> check_helper_call(VerifierEnv& env, const bpf_insn& insn);
// Enters a static subprogram, or checks a call of a global one (frames.cc). *next as above.
Result<void> check_subprog_call(VerifierEnv& env, const bpf_insn& insn, u32* next);
// The end of a frame: back to the caller. *next as above.
Result<void> return_from_frame(VerifierEnv& env, u32* next);            // frames.cc
Result<void> check_exit(VerifierEnv& env, bool* path_done, u32* next);  // check_exit.cc

// -- memory -----------------------------------------------------------------------------------
enum class Access : u8 { Read, Write };
// A load or store of size bytes at pointer regno + off. Loads: value_reg gets what was read (or -1);
// stores: value_reg is stored (or -1 for an immediate, which is `known`).
Result<void> check_mem_access(VerifierEnv& env, u32 insn, u32 regno, s32 off, u32 size,
                              Access access, s32 value_reg, bool is_ldsx, bool atomic);
// Whether [off, off+size) with the register's variable part lies within mem_size bytes.
Result<void> check_mem_region(VerifierEnv& env, u32 regno, s32 off, s64 size, u64 mem_size,
                              bool zero_size_allowed);
Result<void> check_map_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                              bool zero_size_allowed, Access access);
Result<void> check_packet_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                                 bool zero_size_allowed);
// Packet pointers may be used for this kind of access by the program type.
bool may_access_packet(VerifierEnv& env, Access access);
// Context field [off, off+size) (check_ctx.cc): what it yields, or "invalid bpf_context access".
struct ContextAccess {
    RegType type;
    u8 field_size;  // of the UAPI field
};
Result<ContextAccess> check_ctx_access(VerifierEnv& env, u32 insn, s64 off, u32 size,
                                       Access access);
// Pointers that must not be offset: context, references.
Result<void> check_pointer_unmodified(VerifierEnv& env, const RegState& reg, u32 regno,
                                      bool fixed_off_ok);

// -- stack (check_stack.cc) -------------------------------------------------------------------
Result<void> check_stack_read(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 dst_reg);
Result<void> check_stack_write(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 value_reg);
// Helper arguments: [reg + off, + size) of a stack pointer. Read: every byte must be initialised
// (when uninitialised stack is not allowed) and is marked read. Write: every byte becomes Misc.
Result<void> check_stack_range(VerifierEnv& env, u32 regno, s32 off, u32 size,
                               bool zero_size_allowed, Access access);
// Bytes [off, off+size) of a frame are overwritten with numbers; off constant and in bounds.
Result<void> mark_stack_misc(VerifierEnv& env, FuncState& frame, s32 off, u32 size);
// Room for slots down to fp-depth; NoMem.
Result<void> grow_stack(VerifierEnv& env, FuncState& frame, u32 depth);
// slots of frame are read: liveness (liveness bits of the path's checkpoints).
void mark_slots_read(VerifierEnv& env, u32 frame, u64 slots);

// -- packet and null knowledge (check_packet.cc, check_jmp.cc) --------------------------------
void forget_packet_pointers(VerifierEnv& env);  // the packet's memory may have moved
// After a comparison of or_null pointers with this id.
void resolve_null(VerifierState& state, u32 frame_index, u32 id, u32 ref_id, bool is_null);

// -- references (references.cc) ---------------------------------------------------------------
Result<u32> acquire_reference(VerifierEnv& env, u32 insn);     // its id
Result<void> release_reference(VerifierEnv& env, u32 ref_id);  // and void all pointers to it
Result<void> check_no_references(VerifierEnv& env, bool exception_frames);

// -- frames (frames.cc) -----------------------------------------------------------------------
// A new frame with R1..R5 copied from the caller and R6..R9 unset. "the call stack of %d frames is
// too deep !"
Result<FuncState*> push_frame(VerifierEnv& env, u32 subprog, u32 call_site);
// Simulates a callback: queues nothing, the caller's R0 is set by the helper's own rules
// afterwards.
using SetCallbackArgs = Result<void> (*)(VerifierEnv& env, FuncState& caller, FuncState& callee);
Result<void> push_callback(VerifierEnv& env, u32 subprog, SetCallbackArgs set_args);
// check_global.cc: arguments by BTF prototype.
Result<void> check_global_call(VerifierEnv& env, u32 subprog);  // the caller's R1..R5
Result<void> set_global_args(VerifierEnv& env, u32 subprog, FuncState& frame);

// -- states (states.cc, prune.cc) -------------------------------------------------------------
VerifierState* new_state(VerifierEnv& env);
// A full copy; parent, branches and history included. Null: no memory.
VerifierState* copy_state(VerifierEnv& env, const VerifierState& from);
void free_state(VerifierEnv& env, VerifierState* state);
// Queues a copy of the running state to go on at insn. The copy, to be refined; TooBig.
Result<VerifierState*> push_branch(VerifierEnv& env, u32 insn, u32 previous, bool speculative);
// Takes the newest queued branch; false: none left.
bool pop_branch(VerifierEnv& env);
void finish_path(VerifierEnv& env, VerifierState* state);  // one branch less, up the parents
// At a prune point: Yes when an equal state is known safe; makes a checkpoint when it pays.
Result<bool> is_state_visited(VerifierEnv& env);
void free_known_states(VerifierEnv& env);

// -- precision (backtrack.cc) -----------------------------------------------------------------
// The proof relies on the exact value of a scalar in the running frame.
Result<void> mark_precise(VerifierEnv& env, u32 regno);
// The same for old checkpoints whose precise marks the running state must satisfy.
Result<void> propagate_precision(VerifierEnv& env, const VerifierState& old);
Result<void> push_history(VerifierEnv& env, u32 flags, u32 stack_slot);

// -- text (print_state.cc) --------------------------------------------------------------------
void print_state(VerifierEnv& env, const VerifierState& state, bool all);
void print_insn_state(VerifierEnv& env, const VerifierState& state);
void print_line(VerifierEnv& env, u32 insn, const char* prefix);  // "; source line"
void print_insn(VerifierEnv& env, u32 insn);

}  // namespace barebpf
