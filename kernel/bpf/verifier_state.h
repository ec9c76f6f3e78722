// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the verifier knows at one point of one path: the abstract machine.
//
//   VerifierState ── frames[0..current] ── FuncState ── regs[R0..R10]
//                 │                                 └── slots[]   only as many as were ever used
//                 ├── refs[]      objects that must be released before exit
//                 └── history[]   instructions since the checkpoint `parent`, for precision
//
// States are copied at every branch and compared at every checkpoint, so they are flat: plain
// arrays, no pointer into another state but `parent`, no constructor work. All memory comes from
// VerifierPool.
#pragma once

#include "kernel/bpf/prog.h"
#include "kernel/bpf/range.h"

namespace barebpf {

enum class RegType : u8 {
    NotInit,     // nothing was written, or nothing that may be read
    Number,      // a number: RegState::scalar
    Ctx,         // the program's context
    MapPtr,      // a map itself: the first argument of helpers
    MapKey,      // memory of map->key_size (in callbacks)
    MapValue,    // memory of map->value_size
    Stack,       // frame pointer of `frame` plus off
    PacketMeta,  // data_meta
    Packet,      // data
    PacketEnd,   // data_end
    Mem,         // memory of mem_size bytes
    Func,        // a subprogram's address, for callbacks
    Dynptr,      // a dynptr that the kernel made (R1 of a callback); in a StackSlot: half of one
    // Room for: sockets, BTF pointers.
};

// Properties of a pointer besides its type.
enum RegFlag : u8 {
    kMaybeNull = 1,    // must be compared with null before use; arithmetic is refused
    kReadOnly = 2,     // memory that a program may not write
    kRingRecord = 4,   // Mem from ringbuf_reserve: ref_id owns it
    kLocalSlice = 8,   // Mem of a dynptr that is no reference: ref_id is the dynptr's id
    kDynptrHead = 16,  // the half of a dynptr at the lower address
};

// What a dynptr refers to.
enum class DynptrKind : u8 {
    Local,    // memory that the program may use anyway
    Ringbuf,  // a reservation in a ring buffer: a reference
};

inline constexpr u32 kMaxRegs = 11;  // R0 to R10
inline constexpr u32 kFrameReg = 10;
// RegState::packet_range of data pointers compared in a way that proves they are at or beyond the
// end.
inline constexpr s32 kAtPacketEnd = -1;
inline constexpr s32 kBeyondPacketEnd = -2;

struct RegState {
    RegType type;
    u8 flags;      // RegFlag
    bool precise;  // a scalar whose exact range the proof relied on: pruning must compare it
    u8 frame;      // Stack: whose
    // Pointers: the constant part of the offset. The variable part is `scalar`, which is 0 for a
    // pointer that never met a variable.
    s32 off;
    // Scalars: registers with the same non-zero id hold the same number. MaybeNull pointers: the
    // same result of one call. Packet pointers: the same variable part, so that a proven range holds
    // for all.
    u32 id;
    u32 ref_id;  // the acquired reference that this pointer is or is part of; or 0
    union {
        Map* map;          // MapPtr, MapKey, MapValue
        u64 mem_size;      // Mem
        s64 packet_range;  // Packet, PacketMeta: bytes from off 0 (plus scalar) known to be there
        u64 subprog;       // Func
        u64 dynptr_kind;   // Dynptr: DynptrKind
        u64 detail;        // all of them, for comparison and clearing
    };
    Scalar scalar;

    bool is_scalar() const { return type == RegType::Number; }
    bool is_pointer() const { return type > RegType::Number; }
    bool is_packet() const { return type == RegType::Packet || type == RegType::PacketMeta; }
    bool maybe_null() const { return flags & kMaybeNull; }
    // A scalar, or a pointer's variable part, that is one number.
    bool is_const() const { return scalar.is_const(); }
};

// What one byte of the stack holds.
enum class SlotByte : u8 {
    Invalid,  // never written
    Spill,    // part of a spilled register: StackSlot::reg
    Misc,     // some number
    Zero,     // zero
    Dynptr,   // half of a dynptr, which only helpers read and write: StackSlot::reg says of which
};

// 8 bytes of stack: slot n is fp-8(n+1) .. fp-8n-1, bytes[i] is for fp-8(n+1)+i. bytes[0] is Spill when
// reg is meaningful; a spill of 4 bytes has Spill in bytes 0 to 3 only.
struct StackSlot {
    SlotByte bytes[8];
    RegState reg;

    bool is_spill() const { return bytes[0] == SlotByte::Spill; }
    // The whole slot is one register.
    bool is_full_spill() const { return is_spill() && bytes[7] == SlotByte::Spill; }
    bool is_pointer_spill() const { return is_full_spill() && !reg.is_scalar(); }
    bool is_dynptr() const { return bytes[0] == SlotByte::Dynptr; }
    bool is_dynptr_head() const { return is_dynptr() && (reg.flags & kDynptrHead); }
};

inline constexpr u32 kSlotBytes = 8;
inline constexpr u32 kMaxSlots = kMaxStack / kSlotBytes;  // 64: a slot set is one u64

struct FuncState {
    RegState regs[kMaxRegs];
    StackSlot* slots;  // [slot_count]
    u16 slot_count;
    u16 slot_capacity;
    u16 subprog;
    u8 frame;            // index of this one in VerifierState::frames
    bool in_callback;    // entered by a helper, not by a call
    u32 call_site;       // instruction that called; kNoCallSite in the first frame
    u32 callback_depth;  // rounds of the helper with a callback that is being called from here
    u32 epoch_at_call;   // of a callback: VerifierState::epoch at the call
    u32 dynptr_id;       // of the dynptr that a callback is given, or 0
    // What a callback or global function must return; checked at its exit.
    bool check_return;
    s32 return_min, return_max;
};

inline constexpr u32 kNoCallSite = ~u32{0};

struct AcquiredRef {
    u32 id;
    u32 insn;  // that acquired it
    u8 frame;  // in which it happened (callbacks must not leak theirs)
};

// One step of the path since the last checkpoint that is not just "the next instruction", or that
// precision tracking needs to know more about.
struct HistoryEntry {
    u32 insn;
    u32 previous;    // executed before it
    u32 flags;       // kHistory*
    u32 stack_slot;  // of a stack access through a register: frame << 8 | slot
    // Registers and slots that a conditional jump refined together because they share an id: up to
    // six times 10 bits, frame(3) slot?(1) index(6), in `linked_count`.
    u64 linked;
    u32 linked_count;
};
inline constexpr u32 kHistoryStack = 1;  // stack_slot is valid

struct VerifierState {
    FuncState* frames[kMaxCallFrames];
    u8 current;             // index of the running frame
    bool speculative;       // a path that only a mispredicting CPU takes
    bool dead;              // not compared with any more; freed when branches drops to 0
    bool all_details;       // its marks will never be complete: compare everything (prune.cc)
    u32 branches;           // paths from here that are still to be explored, this one included
    u32 insn;               // of a checkpoint: where; of a queued branch: where to go on
    u32 previous_insn;      // executed before it
    u32 first_insn;         // where the path segment since `parent` begins
    u32 last_insn;          // the instruction executed before this state
    VerifierState* parent;  // the checkpoint before this state on its path

    AcquiredRef* refs;
    u32 ref_count, ref_capacity;
    u32 locked_id;  // id of the map value whose bpf_spin_lock is held, 0 if none
    const Map* locked_map;
    u32 may_goto_depth;
    u32 callback_rounds;  // callbacks entered on this path
    u32 epoch;            // which call of a helper with a callback (check_callback.cc)

    HistoryEntry* history;
    u32 history_count, history_capacity;

    // Stack liveness, a bit per slot and frame. `stack_read` of a checkpoint: read later on some
    // path from here before being overwritten. `stack_written` of a running state: overwritten as a
    // whole since its parent; of a checkpoint: since the checkpoint before it.
    u64 stack_read[kMaxCallFrames];
    u64 stack_written[kMaxCallFrames];

    FuncState& frame() { return *frames[current]; }
    const FuncState& frame() const { return *frames[current]; }
    RegState* regs() { return frames[current]->regs; }
};

}  // namespace barebpf
