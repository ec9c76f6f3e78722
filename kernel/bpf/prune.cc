// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pruning: a path ends where it reaches a state that is no worse than one that was followed to all
// its ends before.
//
// Known states are kept per instruction. `old` covers `now` if everything that may still matter in
// `old` allows more than in `now`:
//   - registers that are read later (liveness.cc) and stack slots that were read later (stack_read);
//   - numbers only if the proof relied on them (precise), and then by range;
//   - pointers always, with their variable part by range; ids must correspond one to one.
// A hit hands on what `old` learned about the future: its reads and its precise marks now also hold
// for the states that led here.
//
// A state on the way to itself is not finished, so its marks are not final: it covers nothing. If
// nothing at all has changed since then, the loop never ends. The exception is may_goto, which ends
// each loop sometimes: there a state that is covered in every single detail may stop. What lies
// between the two has incomplete marks for good and is compared in every detail from then on.
#include "kernel/bpf/verifier.h"

namespace barebpf {

struct IdMap {
    static constexpr u32 kMost = 600;
    struct Pair {
        u32 old_id, now_id;
    };
    Pair pairs[kMost];
    u32 count;
    u32 made_up;  // ids for numbers that have none
};

namespace {

enum class Exactness : u8 {
    Proof,  // what the proof relied on
    Range,  // everything, numbers by range
    Same,   // everything, identical
};

bool ids_match(IdMap& map, u32 old_id, u32 now_id) {
    if (!old_id != !now_id) return false;
    if (!old_id) return true;
    for (u32 i = 0; i < map.count; ++i) {
        if (map.pairs[i].old_id == old_id) return map.pairs[i].now_id == now_id;
        if (map.pairs[i].now_id == now_id) return false;
    }
    if (map.count == IdMap::kMost) return false;
    map.pairs[map.count++] = {old_id, now_id};
    return true;
}

// The old proof may have used that two registers hold the same number; that they are different
// numbers it cannot have used.
bool scalar_ids_match(IdMap& map, u32 old_id, u32 now_id) {
    if (!old_id) return true;
    if (!now_id) now_id = --map.made_up;
    for (u32 i = 0; i < map.count; ++i)
        if (map.pairs[i].old_id == old_id) return map.pairs[i].now_id == now_id;
    if (map.count == IdMap::kMost) return false;
    map.pairs[map.count++] = {old_id, now_id};
    return true;
}

bool scalar_covers(const RegState& old, const RegState& now, Exactness exact, IdMap& map) {
    switch (exact) {
        case Exactness::Same:
            return old.scalar == now.scalar && scalar_ids_match(map, old.id, now.id);
        case Exactness::Proof:
            if (!old.precise) return true;
            break;
        case Exactness::Range:
            break;
    }
    return old.scalar.includes(now.scalar) && scalar_ids_match(map, old.id, now.id);
}

bool packet_covers(const RegState& old, const RegState& now) {
    if (old.off != now.off) return false;
    if (old.packet_range < 0) return old.packet_range == now.packet_range;
    return old.packet_range <= now.packet_range;
}

bool reg_covers(const RegState& old, const RegState& now, Exactness exact, IdMap& map) {
    if (old.type == RegType::NotInit)
        return exact != Exactness::Same || now.type == RegType::NotInit;
    if (old.type != now.type || old.flags != now.flags) return false;
    if (old.is_scalar()) return scalar_covers(old, now, exact, map);
    if (!ids_match(map, old.id, now.id) || !ids_match(map, old.ref_id, now.ref_id)) return false;
    const bool same_scalar = old.scalar == now.scalar;
    if (exact == Exactness::Same && !same_scalar) return false;
    switch (old.type) {
        case RegType::Packet:
        case RegType::PacketMeta:
            if (exact == Exactness::Same && old.packet_range != now.packet_range) return false;
            return packet_covers(old, now) && old.scalar.includes(now.scalar);
        case RegType::MapValue:
        case RegType::MapKey:
        case RegType::Mem:
            return old.off == now.off && old.detail == now.detail &&
                   (same_scalar || old.scalar.includes(now.scalar));
        default:
            return old.off == now.off && old.detail == now.detail && old.frame == now.frame &&
                   same_scalar;
    }
}

bool is_number(const StackSlot& slot) {
    if (slot.is_spill() && !slot.reg.is_scalar()) return false;
    for (SlotByte byte : slot.bytes)
        if (byte == SlotByte::Invalid || byte == SlotByte::Dynptr) return false;
    return true;
}

bool byte_covers(SlotByte old, const StackSlot& now, u32 index) {
    const SlotByte byte = now.bytes[index];
    switch (old) {
        case SlotByte::Invalid:
            return true;
        case SlotByte::Misc:
            if (byte == SlotByte::Spill) return now.reg.is_scalar();
            return byte != SlotByte::Invalid && byte != SlotByte::Dynptr;
        case SlotByte::Zero:
            return byte == SlotByte::Zero;
        case SlotByte::Spill:
        case SlotByte::Dynptr:
            return byte == old;
    }
    return false;
}

bool has_reg(const StackSlot& slot) {
    return slot.is_spill() || slot.is_dynptr();
}

bool slot_covers(const StackSlot& old, const StackSlot& now, Exactness exact, IdMap& map) {
    if (exact == Exactness::Same) {
        for (u32 i = 0; i < kSlotBytes; ++i)
            if (old.bytes[i] != now.bytes[i]) return false;
        return !has_reg(old) || reg_covers(old.reg, now.reg, exact, map);
    }
    // Some number is some number, kept whole or not.
    if (exact == Exactness::Proof && old.is_full_spill() && old.reg.is_scalar() &&
        !old.reg.precise && is_number(now))
        return true;
    for (u32 i = 0; i < kSlotBytes; ++i)
        if (!byte_covers(old.bytes[i], now, i)) return false;
    if (!has_reg(old)) return true;
    // As many bytes on both sides: a spill of 4 bytes is not the lower half of one of 8.
    if (old.is_full_spill() != now.is_full_spill()) return false;
    return reg_covers(old.reg, now.reg, exact, map);
}

bool slot_is_unused(const StackSlot& slot) {
    for (SlotByte byte : slot.bytes)
        if (byte != SlotByte::Invalid) return false;
    return true;
}

bool stack_covers(const FuncState& old, const FuncState& now, u64 slots, Exactness exact,
                  IdMap& map) {
    if (exact != Exactness::Proof) slots = ~u64{0};
    for (u32 s = 0; s < old.slot_count; ++s) {
        if (!(slots & u64{1} << s)) continue;
        if (s >= now.slot_count) {
            if (slot_is_unused(old.slots[s])) continue;
            return false;
        }
        if (!slot_covers(old.slots[s], now.slots[s], exact, map)) return false;
    }
    if (exact != Exactness::Same) return true;
    for (u32 s = old.slot_count; s < now.slot_count; ++s)
        if (!slot_is_unused(now.slots[s])) return false;
    return true;
}

// Which registers of a frame matter: of callers, those that are read after the call.
u16 live_regs(const VerifierEnv& env, const VerifierState& state, u32 f) {
    if (f == state.current) return env.aux[state.insn].live;
    const u32 call = state.frames[f + 1]->call_site;
    if (state.frames[f + 1]->in_callback) return env.aux[call].live;
    constexpr u16 kCallerSaved = 0x3f;
    return static_cast<u16>(env.aux[call + 1].live & ~kCallerSaved);
}

bool frame_covers(const VerifierEnv& env, const VerifierState& old, const VerifierState& now, u32 f,
                  Exactness exact, IdMap& map) {
    const FuncState& a = *old.frames[f];
    const FuncState& b = *now.frames[f];
    if (a.call_site != b.call_site || a.in_callback != b.in_callback ||
        a.callback_depth > b.callback_depth)
        return false;
    const u16 live = live_regs(env, old, f);
    for (u32 r = 0; r < kFrameReg; ++r)
        if ((live & 1u << r) && !reg_covers(a.regs[r], b.regs[r], exact, map)) return false;
    return stack_covers(a, b, old.stack_read[f], exact, map);
}

bool refs_cover(const VerifierState& old, const VerifierState& now, IdMap& map) {
    if (old.ref_count != now.ref_count) return false;
    for (u32 i = 0; i < old.ref_count; ++i)
        if (old.refs[i].frame != now.refs[i].frame ||
            !ids_match(map, old.refs[i].id, now.refs[i].id))
            return false;
    return true;
}

bool state_covers(VerifierEnv& env, const VerifierState& old, const VerifierState& now,
                  Exactness exact) {
    if (old.current != now.current || (old.speculative && !now.speculative)) return false;
    IdMap& map = *env.ids;
    map.count = 0;
    map.made_up = 0;
    if (old.locked_map != now.locked_map || !ids_match(map, old.locked_id, now.locked_id))
        return false;
    if (!refs_cover(old, now, map)) return false;
    for (u32 f = 0; f <= old.current; ++f)
        if (!frame_covers(env, old, now, f, exact, map)) return false;
    return true;
}

// The way here will never have complete marks. All that lies before a state of that kind is of it too.
void compare_all_before(VerifierEnv& env) {
    for (VerifierState* up = env.state->parent; up && !up->all_details; up = up->parent)
        up->all_details = true;
}

// The path from here on is that of `old`: so are its reads and what it relied on.
Result<void> take_marks(VerifierEnv& env, const VerifierState& old) {
    for (u32 f = 0; f <= old.current; ++f)
        if (old.stack_read[f]) mark_slots_read(env, f, old.stack_read[f]);
    TRY(push_history(env, 0, 0));
    TRY(propagate_precision(env, old));
    if (old.all_details) compare_all_before(env);
    return {};
}

Result<void> refuse_endless(VerifierEnv& env, const VerifierState& old) {
    env.log.print("infinite loop detected at insn ", env.insn, '\n');
    env.log.print("cur state:");
    print_state(env, *env.state, true);
    env.log.print("old state:");
    print_state(env, old, true);
    return Errno::Inval;
}

enum class Match : u8 { None, Covered, Endless };

// The running state is a later round of a loop that ends in any case, of which old was an earlier
// one.
bool is_next_round(VerifierEnv& env, const VerifierState& old) {
    const VerifierState& now = *env.state;
    if (env.here().loop_bound) return old.may_goto_depth != now.may_goto_depth;
    return env.here().calls_back && old.current == now.current && old.epoch == now.epoch &&
           old.frame().callback_depth < now.frame().callback_depth;
}

Match compare_unfinished(VerifierEnv& env, const VerifierState& old) {
    if (is_next_round(env, old)) {
        if (!state_covers(env, old, *env.state, Exactness::Range)) return Match::None;
        // A loop that may_goto or a helper ends. What its head relies on in the end, the way round
        // relied on too, and so did what came before the head; nobody will tell them.
        compare_all_before(env);
        return Match::Covered;
    }
    if (old.may_goto_depth != env.state->may_goto_depth ||
        old.callback_rounds != env.state->callback_rounds)
        return Match::None;
    return state_covers(env, old, *env.state, Exactness::Same) ? Match::Endless : Match::None;
}

// No longer worth comparing with. Its children may still refer to it until they are done.
void drop_known(VerifierEnv& env, StateList** link) {
    StateList* entry = *link;
    *link = entry->next;
    if (entry->state->branches) {
        entry->state->dead = true;
    } else {
        free_state(env, entry->state);
        --env.count.live_states;
    }
    env.pool.give(entry, sizeof(StateList));
}

// The numbers' exact values before this point mattered to what came before it only.
void forget_precision(VerifierState& state) {
    for_each_reg(state, [](RegState& reg) { reg.precise = false; });
}

Result<void> add_checkpoint(VerifierEnv& env) {
    forget_precision(*env.state);
    VerifierState* saved = copy_state(env, *env.state);
    if (!saved) return Errno::NoMem;
    void* memory = env.pool.take(sizeof(StateList));
    if (!memory) {
        free_state(env, saved);
        return Errno::NoMem;
    }
    saved->insn = env.insn;
    saved->branches = 1;
    saved->all_details = false;
    for (u64& slots : saved->stack_read) slots = 0;
    StateList* entry = static_cast<StateList*>(memory);
    *entry = {env.known[env.insn], saved, 0, 0};
    env.known[env.insn] = entry;

    VerifierState& running = *env.state;
    running.parent = saved;
    running.first_insn = env.insn;
    running.history_count = 0;
    for (u64& slots : running.stack_written) slots = 0;
    env.count.last_insns = env.count.insns_processed;
    env.count.last_jumps = env.count.jumps_processed;
    ++env.count.total_states;
    if (++env.count.live_states > env.count.peak_states)
        env.count.peak_states = env.count.live_states;
    return {};
}

constexpr u32 kLongHistory = 40;

void widen_reg(const RegState& before, RegState& now) {
    if (!now.is_scalar() || !before.is_scalar() || before.precise) return;
    if (!(now.scalar == before.scalar)) mark_reg_unknown(now);
}

u32 spilled_bytes(const StackSlot& slot) {
    u32 bytes = 0;
    while (bytes < kSlotBytes && slot.bytes[bytes] == SlotByte::Spill) ++bytes;
    return bytes;
}

void widen_slot(const StackSlot& before, StackSlot& now) {
    const u32 bytes = spilled_bytes(now);
    if (bytes == 0 || bytes != spilled_bytes(before)) return;
    widen_reg(before.reg, now.reg);
    // What is spilled of a register's low bytes is no larger than these.
    if (bytes < kSlotBytes && now.reg.is_scalar())
        now.reg.scalar = now.reg.scalar.zero_extend(bytes * 8);
}

// Numbers that change from round to round and that nothing relied on become unknown, so that the
// rounds become alike.
void widen(const VerifierState& before, VerifierState& now) {
    for (u32 f = 0; f <= now.current; ++f) {
        const FuncState& a = *before.frames[f];
        FuncState& b = *now.frames[f];
        for (u32 r = 0; r < kFrameReg; ++r) widen_reg(a.regs[r], b.regs[r]);
        for (u32 s = 0; s < a.slot_count && s < b.slot_count; ++s)
            widen_slot(a.slots[s], b.slots[s]);
    }
}

}  // namespace

Result<bool> is_state_visited(VerifierEnv& env) {
    const u32 jumps = env.count.jumps_processed - env.count.last_jumps;
    const u32 insns = env.count.insns_processed - env.count.last_insns;
    const bool force = env.here().force_checkpoint || env.every_checkpoint ||
                       env.state->history_count > kLongHistory;
    bool add = force || (jumps >= 2 && insns >= 8);
    u32 states = 0;
    for (StateList** link = &env.known[env.insn]; *link;) {
        StateList* entry = *link;
        VerifierState& old = *entry->state;
        ++states;
        if (old.branches) {
            const Match match = compare_unfinished(env, old);
            if (match == Match::Endless) TRY(refuse_endless(env, old));
            if (match == Match::Covered) return true;
            // In a loop a checkpoint now and then is enough.
            if (!force && jumps < 20 && insns < 100) add = false;
        } else {
            const Exactness exact = old.all_details ? Exactness::Range : Exactness::Proof;
            if (state_covers(env, old, *env.state, exact)) {
                ++entry->hits;
                TRY(take_marks(env, old));
                return true;
            }
        }
        if (add) ++entry->misses;
        // The head of a loop is there for its next round, which comes last.
        const u32 patience = env.here().force_checkpoint && old.branches ? 64 : 3;
        if (entry->misses > entry->hits * patience + patience)
            drop_known(env, link);
        else
            link = &entry->next;
    }
    if (states > env.count.max_states_per_insn) env.count.max_states_per_insn = states;
    if (!env.bpf_capable && states > kMaxUnprivilegedStates) return false;
    if (add) TRY(add_checkpoint(env));
    return false;
}

Result<void> check_may_goto(VerifierEnv& env, const bpf_insn& insn, u32* next) {
    // The budget may be used up or not. The way that goes on is the queued one: it comes back here.
    VerifierState* on = TRY(push_branch(env, env.insn + 1, env.insn, false));
    ++on->may_goto_depth;
    VerifierState* before = env.state->parent;
    const bool made_now = env.count.last_insns == env.count.insns_processed;
    if (before && made_now) before = before->parent;
    while (before && (before->insn != env.insn || before->current != on->current))
        before = before->parent;
    if (before) widen(*before, *on);
    *next = static_cast<u32>(s64{env.insn} + 1 + insn.off);
    return {};
}

void widen_since(VerifierEnv& env, u32 insn) {
    VerifierState& now = *env.state;
    VerifierState* before = now.parent;
    while (before && (before->insn != insn || before->current != now.current))
        before = before->parent;
    if (before) widen(*before, now);
}

Result<void> make_prune_scratch(VerifierEnv& env) {
    env.ids = static_cast<IdMap*>(env.pool.take(sizeof(IdMap)));
    if (!env.ids) return Errno::NoMem;
    return {};
}

}  // namespace barebpf
