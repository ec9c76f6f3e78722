// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_OBJ_GET_INFO_BY_FD of a program. Every array follows one rule: the caller says how many entries it
// has room for, gets that many at most, and learns how many there are.
#include "kernel/bpf/btf.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/syscall.h"
#include "kernel/host/cred.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Order;
using host::UserAddress;

u32 min(u32 a, u32 b) {
    return a < b ? a : b;
}

// *count: in, the caller's room; out, what there is.
Result<void> copy_array(UserAddress to, u32* count, u32 available, const void* entries, u32 size) {
    const u32 copied = min(*count, available);
    *count = available;
    return host::copy_to_user(to, entries, size_t{copied} * size);
}

// Record sizes are ours to say; a caller that asks for records must know them.
Result<void> check_record_sizes(bpf_prog_info* info) {
    auto wrong = [](u32 count, u32 size, u32 right) { return (count || size) && size != right; };
    if (wrong(info->nr_func_info, info->func_info_rec_size, sizeof(bpf_func_info)) ||
        wrong(info->nr_line_info, info->line_info_rec_size, sizeof(bpf_line_info)) ||
        wrong(info->nr_jited_line_info, info->jited_line_info_rec_size, sizeof(u64))) {
        return Errno::Inval;
    }
    info->func_info_rec_size = sizeof(bpf_func_info);
    info->line_info_rec_size = sizeof(bpf_line_info);
    info->jited_line_info_rec_size = sizeof(u64);
    return {};
}

// Undoes what must not leave the library: addresses of maps and map values become ids, calls numbers.
class Sanitizer {
public:
    explicit Sanitizer(const Prog* prog) : prog_(prog) {}

    void sanitize(bpf_insn* insns, u32 count) const {
        for (u32 i = 0; i < count; ++i) {
            bpf_insn& insn = insns[i];
            if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && i + 1 < count) {
                sanitize_address(&insn, &insns[i + 1]);
                ++i;
            } else if (insn.code == (BPF_JMP | BPF_TAIL_CALL)) {
                insn.code = BPF_JMP | BPF_CALL;
                insn.imm = BPF_FUNC_tail_call;
            } else if (insn.code == BPF_CPU_ID) {
                // Only ever into R0: as the call that it stands for.
                insn = bpf_insn{};
                insn.code = BPF_JMP | BPF_CALL;
                insn.imm = BPF_FUNC_get_smp_processor_id;
            } else if (insn.code == BPF_MASKED_OFFSET) {
                const u8 op = insn.off & kMaskedSubtract ? BPF_SUB : BPF_ADD;
                insn.code = u8(BPF_ALU64 | BPF_X | op);
                insn.off = 0;
                insn.imm = 0;
            } else if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0) {
                insn.imm = s32(prog_->calls[u32(insn.imm)].helper_id);
            }
        }
    }

private:
    void sanitize_address(bpf_insn* low, bpf_insn* high) const {
        const u64 address = u32(low->imm) | u64{u32(high->imm)} << 32;
        for (const Map* map : prog_->maps) {
            if (address == reinterpret_cast<u64>(map)) {
                low->src_reg = BPF_PSEUDO_MAP_FD;
                low->imm = s32(map->id);
                high->imm = 0;
                return;
            }
            if (!map->ops->direct_value) continue;
            auto value = map->ops->direct_value(map, 0);
            if (value && address - value.value() < map->value_size) {
                low->src_reg = BPF_PSEUDO_MAP_VALUE;
                low->imm = s32(map->id);
                high->imm = s32(address - value.value());
                return;
            }
        }
    }

    const Prog* prog_;
};

Result<void> put_xlated(Prog* prog, bpf_prog_info* info) {
    const u32 room = info->xlated_prog_len;
    const u32 size = u32(prog->insns.size() * sizeof(bpf_insn));
    info->xlated_prog_len = size;
    if (!room) return {};
    host::Buffer<bpf_insn> copy;
    if (!copy.allocate(prog->insns.size(), AllocContext::MaySleep, prog->memory)) {
        return Errno::NoMem;
    }
    __builtin_memcpy(copy.data(), prog->insns.data(), size);
    Sanitizer(prog).sanitize(copy.data(), u32(copy.size()));
    return host::copy_to_user(UserAddress{info->xlated_prog_insns}, copy.data(), min(room, size));
}

Result<void> put_jited(const Prog* prog, bpf_prog_info* info) {
    const u32 room = info->jited_prog_len;
    info->jited_prog_len = prog->jited ? prog->jit.code_size : 0;
    const u32 copied = min(room, info->jited_prog_len);
    return host::copy_to_user(UserAddress{info->jited_prog_insns}, prog->jit.code.exec, copied);
}

u64 function_address(const Prog* prog, u32 subprog) {
    return reinterpret_cast<u64>(prog->jit.code.exec) + prog->jit.func_offset[subprog];
}
u32 function_length(const Prog* prog, u32 subprog) {
    const bool last = subprog + 1 == prog->jit.func_offset.size();
    const u32 end = last ? prog->jit.code_size : prog->jit.func_offset[subprog + 1];
    return end - prog->jit.func_offset[subprog];
}

// One entry a function: where its code is and how long; what a dump needs to cut the image.
Result<void> put_functions(const Prog* prog, bpf_prog_info* info) {
    const u32 functions = prog->jited ? u32(prog->jit.func_offset.size()) : 0;
    const u32 addresses = min(info->nr_jited_ksyms, functions);
    for (u32 i = 0; i < addresses; ++i) {
        TRY(host::put_user(UserAddress{info->jited_ksyms} + i * sizeof(u64),
                           function_address(prog, i)));
    }
    const u32 lengths = min(info->nr_jited_func_lens, functions);
    for (u32 i = 0; i < lengths; ++i) {
        TRY(host::put_user(UserAddress{info->jited_func_lens} + i * sizeof(u32),
                           function_length(prog, i)));
    }
    info->nr_jited_ksyms = functions;
    info->nr_jited_func_lens = functions;

    const u32 all = u32(prog->subprogs.size());
    const u32 tags = min(info->nr_prog_tags, all);
    for (u32 i = 0; i < tags; ++i) {
        TRY(host::copy_to_user(UserAddress{info->prog_tags} + i * sizeof prog->tag, prog->tag,
                               sizeof prog->tag));
    }
    info->nr_prog_tags = all;
    return {};
}

Result<void> put_debug_info(const Prog* prog, bpf_prog_info* info) {
    const ProgDebugInfo& debug = prog->debug;
    info->btf_id = debug.btf ? debug.btf->id : 0;
    TRY(copy_array(UserAddress{info->func_info}, &info->nr_func_info, u32(debug.func_info.size()),
                   debug.func_info.data(), sizeof(bpf_func_info)));
    TRY(copy_array(UserAddress{info->line_info}, &info->nr_line_info, u32(debug.line_info.size()),
                   debug.line_info.data(), sizeof(bpf_line_info)));

    const u32 lines = prog->jited ? u32(debug.line_info.size()) : 0;
    const u32 copied = min(info->nr_jited_line_info, lines);
    for (u32 i = 0; i < copied; ++i) {
        const u64 address = reinterpret_cast<u64>(prog->jit.code.exec) +
                            prog->jit.insn_offset[debug.line_info[i].insn_off];
        TRY(host::put_user(UserAddress{info->jited_line_info} + i * sizeof(u64), address));
    }
    info->nr_jited_line_info = lines;
    return {};
}

Result<void> put_map_ids(const Prog* prog, bpf_prog_info* info) {
    const u32 available = u32(prog->maps.size());
    const u32 copied = min(info->nr_map_ids, available);
    for (u32 i = 0; i < copied; ++i) {
        TRY(host::put_user(UserAddress{info->map_ids} + i * sizeof(u32), prog->maps[i]->id));
    }
    info->nr_map_ids = available;
    return {};
}

void fill_plain_fields(const Prog* prog, bpf_prog_info* info) {
    info->type = prog->type;
    info->id = prog->id;
    info->load_time = prog->load_time_ns;
    info->created_by_uid = prog->created_by_uid;
    info->gpl_compatible = prog->gpl_compatible;
    __builtin_memcpy(info->tag, prog->tag, sizeof prog->tag);
    __builtin_memcpy(info->name, prog->name, sizeof prog->name);
    info->run_time_ns = prog->stats.run_time_ns.load(Order::Relaxed);
    info->run_cnt = prog->stats.run_count.load(Order::Relaxed);
    info->recursion_misses = prog->stats.recursion_misses.load(Order::Relaxed);
    info->verified_insns = prog->verified_insns;
}

// Code, addresses and debug records are for callers that could have loaded the program.
Result<void> put_privileged(Prog* prog, bpf_prog_info* info) {
    if (!host::capable(host::Capability::Bpf)) {
        info->jited_prog_len = info->xlated_prog_len = 0;
        info->nr_jited_ksyms = info->nr_jited_func_lens = 0;
        info->nr_func_info = info->nr_line_info = info->nr_jited_line_info = 0;
        return {};
    }
    TRY(put_xlated(prog, info));
    TRY(put_jited(prog, info));
    TRY(put_functions(prog, info));
    return put_debug_info(prog, info);
}

}  // namespace

Result<s64> prog_info(Prog* prog, const bpf_attr& attr, UserAddress uattr) {
    const UserAddress user{attr.info.info};
    bpf_prog_info info{};
    const u32 size = TRY(begin_info(&info, sizeof info, attr));
    TRY(put_map_ids(prog, &info));
    TRY(check_record_sizes(&info));
    fill_plain_fields(prog, &info);
    TRY(put_privileged(prog, &info));
    return end_info(user, &info, size, uattr);
}

}  // namespace barebpf
