// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Calls and addresses: helper ids become functions, or instructions that save the call.
#include "kernel/bpf/array_common.h"
#include "kernel/bpf/check_call.h"
#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"

namespace barebpf {

using host::AllocContext;

// -- the table of calls -------------------------------------------------------------------------

u32* CallTable::slot_of(const void* address, u32 helper_id) {
    const u64 mask = slots_.size() - 1;
    const u64 hash = (reinterpret_cast<u64>(address) + helper_id) * 0x9e3779b97f4a7c15;
    for (u64 i = hash >> 32;; ++i) {
        u32& slot = slots_[i & mask];
        if (!slot) return &slot;
        const CallTarget& call = calls_[slot - 1];
        if (call.address == address && call.helper_id == helper_id) return &slot;
    }
}

Result<void> CallTable::grow() {
    const size_t room = calls_.size() ? calls_.size() * 2 : 16;
    host::Buffer<CallTarget> old = move(calls_);
    if (!calls_.allocate(room, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    if (!slots_.allocate(room * 2, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    for (u32 i = 0; i < count_; ++i) {
        calls_[i] = old[i];
        *slot_of(old[i].address, old[i].helper_id) = i + 1;
    }
    return {};
}

Result<u32> CallTable::index_of(const void* address, u32 helper_id, LookupShape shape) {
    if (count_ == calls_.size()) TRY(grow());
    u32* slot = slot_of(address, helper_id);
    if (!*slot) {
        calls_[count_] = {address, helper_id, shape};
        *slot = ++count_;
    }
    return *slot - 1;
}

Result<host::Buffer<CallTarget>> CallTable::take() {
    host::Buffer<CallTarget> exact;
    if (!exact.allocate(count_, AllocContext::MaySleep, owner_)) return Errno::NoMem;
    for (u32 i = 0; i < count_; ++i) exact[i] = calls_[i];
    return Result<host::Buffer<CallTarget>>(move(exact));
}

// -- helpers ------------------------------------------------------------------------------------

namespace {

template <class Function>
const void* address_of(Function* function) {
    return reinterpret_cast<const void*>(function);
}

// What a map helper comes down to when the map is known; null: the helper itself.
const void* map_operation(const Map* map, u32 helper) {
    switch (helper) {
        case BPF_FUNC_map_lookup_elem:
            return address_of(map->ops->lookup);
        case BPF_FUNC_map_update_elem:
            return address_of(map->ops->update);
        case BPF_FUNC_map_delete_elem:
            return address_of(map->ops->erase);
        case BPF_FUNC_map_push_elem:
            return address_of(map->ops->push);
        case BPF_FUNC_map_pop_elem:
            return address_of(map->ops->pop);
        case BPF_FUNC_map_peek_elem:
            return address_of(map->ops->peek);
        case BPF_FUNC_map_lookup_percpu_elem:
            return address_of(map->ops->lookup_percpu);
        default:
            return nullptr;
    }
}

// The condition behind an inlined lookup, if it asks for null and the null itself is of no use afterwards:
// where null goes, and where values go.
struct NullTest {
    bool found;
    u32 null, value;
};
NullTest null_test_behind(const Fixups& fix, u32 insn) {
    const u32 test = insn + 1;
    if (!fix.verified || !fix.kept(test)) return {};
    const bpf_insn& jump = fix.env.insns[test];
    const InsnAux* aux = fix.env.aux.data();
    const bool equal = jump.code == (BPF_JMP | BPF_JEQ | BPF_K);
    if (!equal && jump.code != (BPF_JMP | BPF_JNE | BPF_K)) return {};
    if (jump.dst_reg != BPF_REG_0 || jump.imm != 0 || aux[test].is_target || aux[test].nospec)
        return {};
    const u32 target = u32(jump_target(jump, test)), behind = test + 1;
    if (!fix.kept(target) || !fix.kept(behind)) return {};  // it goes one way only
    const u32 null = equal ? target : behind;
    if (aux[null].live & 1u << BPF_REG_0) return {};
    return {true, null, equal ? behind : target};
}

// The instructions with the test in them: what would have given null goes where null goes.
void emit_with_test(Fixups& fix, const bpf_insn* insns, u32 count, const NullTest& test, u32 insn) {
    const bool sets_null = count > 2 && insns[count - 2].code == (BPF_JMP | BPF_JA);
    const u32 body = sets_null ? count - 2 : count;
    for (u32 i = 0; i < body; ++i) {
        if (is_branch(insns[i]) && i + 1 + u32(insns[i].off) >= body) {
            fix.out.emit_jump(insns[i], test.null);
        } else {
            fix.out.emit(insns[i]);
        }
    }
    if (test.value != insn + 2) fix.out.emit_jump(insn_goto(), test.value);
    fix.next_kept[insn + 1] = insn + 2;
}

// The type's own instructions instead of a lookup; false: it has none.
bool inline_lookup(Fixups& fix, u32 insn, const Map* map) {
    constexpr u32 kCapacity = 16;
    bpf_insn insns[kCapacity];
    if (!map->ops->emit_lookup) return false;
    const u32 count = map->ops->emit_lookup(map, insns, kCapacity);
    if (count == 0 || count > kCapacity) return false;
    if (map->ops->null_by_jump) {
        if (const NullTest test = null_test_behind(fix, insn); test.found) {
            emit_with_test(fix, insns, count, test, insn);
            return true;
        }
    }
    for (u32 i = 0; i < count; ++i) fix.out.emit(insns[i]);
    return true;
}

// Both engines compare the index with the number of entries. That is not enough where a mispredicting
// CPU must not read beyond the array: the mask bounds the index on that path as well.
void emit_tail_call(Fixups& fix, const InsnAux& aux) {
    if (aux.map && !aux.map->bypass_spec_v1) {
        const u32 entries = aux.map->max_entries;
        fix.out.emit(make_insn(BPF_JMP32 | BPF_JGE | BPF_K, BPF_REG_3, 0, 2, s32(entries)));
        const u32 mask = index_mask_for(entries);
        fix.out.emit(make_insn(BPF_ALU | BPF_AND | BPF_K, BPF_REG_3, 0, 0, s32(mask)));
    }
    fix.out.emit(make_insn(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0));
}

}  // namespace

Result<void> fix_helper_call(Fixups& fix, u32 insn) {
    VerifierEnv& env = fix.env;
    const InsnAux& aux = env.aux[insn];
    const u32 helper = u32(env.insns[insn].imm);
    if (helper == BPF_FUNC_tail_call) {
        emit_tail_call(fix, aux);
        return {};
    }
    const HelperProto* proto = find_helper(env, helper);
    if (!proto || !proto->function) {
        env.log.print("unknown func ", helper_name(helper), '#', helper, '\n');
        return Errno::Inval;
    }
    fix.changes_packet_data |= proto->changes_packet_data;

    if (helper == BPF_FUNC_get_smp_processor_id && proto == base_helper_proto(helper) &&
        host::cpu_id_place().base != host::CpuIdBase::None) {
        fix.out.emit(make_insn(BPF_CPU_ID, BPF_REG_0, 0, 0, 0));
        return {};
    }
    const void* address = nullptr;
    LookupShape shape = LookupShape::Call;
    if (aux.map && !aux.maps_differ) {
        const bool looks_up = helper == BPF_FUNC_map_lookup_elem;
        if (looks_up && inline_lookup(fix, insn, aux.map)) return {};
        if (looks_up) shape = aux.map->ops->lookup_shape;
        address = map_operation(aux.map, helper);
    }
    if (!address) address = address_of(proto->function);
    fix.out.emit(insn_call(TRY(fix.calls.index_of(address, helper, shape))));
    return {};
}

// -- 64-bit immediates ---------------------------------------------------------------------------

Result<void> fix_ld_imm64(Fixups& fix, u32 insn) {
    VerifierEnv& env = fix.env;
    const InsnAux& aux = env.aux[insn];
    const bpf_insn& low = env.insns[insn];
    switch (low.src_reg) {
        case 0:
            fix.out.emit(low);
            fix.out.emit(env.insns[insn + 1]);
            return {};
        case BPF_PSEUDO_MAP_FD:
        case BPF_PSEUDO_MAP_IDX:
            if (!aux.map) break;
            fix.out.emit_wide(low.dst_reg, reinterpret_cast<u64>(aux.map));
            return {};
        case BPF_PSEUDO_MAP_VALUE:
        case BPF_PSEUDO_MAP_IDX_VALUE:
            if (!aux.map || !aux.map->ops->direct_value) break;
            fix.out.emit_wide(low.dst_reg, TRY(aux.map->ops->direct_value(aux.map, aux.map_off)));
            return {};
        case BPF_PSEUDO_FUNC:
            // A function that no helper is given is gone.
            if (subprog_is_dead(fix, aux.subprog)) {
                fix.out.emit_wide(low.dst_reg, 0);
                return {};
            }
            // The engine knows the address; the distance is kept up to date until then.
            fix.out.emit_subprog(low, env.subprogs[aux.subprog].start);
            fix.out.emit(make_insn(0, 0, 0, 0, 0));
            return {};
        default:
            break;
    }
    env.log.print("unrecognized bpf_ld_imm64 insn\n");
    return Errno::Inval;
}

}  // namespace barebpf
