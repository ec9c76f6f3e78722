// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// func_info and line_info: read from the loader's memory, held against the program, kept for dumps.
// They name the subprograms, tell which of them are global, and give the log its source lines.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

constexpr u32 kLargestRecord = 252;

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Inval;
}

// Copies count records of user_size bytes each; what is longer than ours must be zero there.
template <class Record>
Result<void> read_records(VerifierEnv& env, host::Buffer<Record>& records, u64 from, u32 count,
                          u32 user_size, const char* what) {
    if (!records.allocate(count, host::AllocContext::MaySleep, env.prog->memory))
        return Errno::NoMem;
    for (u32 i = 0; i < count; ++i) {
        const host::UserAddress at{from + u64{i} * user_size};
        if (user_size > sizeof(Record)) {
            const bool zero =
                TRY(host::user_bytes_are_zero(at + sizeof(Record), user_size - sizeof(Record)));
            if (!zero) {
                env.log.print("nonzero tailing record in ", what, '\n');
                return Errno::TooBig;
            }
        }
        TRY(host::get_user(&records[i], at));
    }
    return {};
}

// Functions that may end early must return a number; without BTF nobody knows.
Result<void> check_without_info(VerifierEnv& env) {
    for (u32 i = 1; i < env.subprog_count; ++i) {
        if (env.subprogs[i].has_ld_abs)
            return refuse(env, "LD_ABS is not allowed in subprogs without BTF");
        if (env.subprogs[i].has_tail_call)
            return refuse(env, "tail_call is not allowed in subprogs without BTF");
    }
    return {};
}

Result<void> check_function(VerifierEnv& env, u32 i) {
    const bpf_func_info& info = env.prog->debug.func_info[i];
    SubprogState& subprog = env.subprogs[i];
    if (i == 0 && info.insn_off)
        return refuse(env, "nonzero insn_off ", info.insn_off, " for the first func info record");
    if (i && info.insn_off <= env.prog->debug.func_info[i - 1].insn_off)
        return refuse(env, "same or smaller insn offset (", info.insn_off,
                      ") than previous func info record (",
                      env.prog->debug.func_info[i - 1].insn_off, ')');
    if (info.insn_off != subprog.start)
        return refuse(env, "func_info BTF section doesn't match subprog layout in BPF program");
    const auto function = env.input.btf->function(env.prog->debug.btf, info.type_id);
    if (!function.ok()) return refuse(env, "invalid type id ", info.type_id, " in func info");
    const BtfFunction& f = function.value();
    if (i && !f.returns_number && subprog.has_ld_abs)
        return refuse(env, "LD_ABS is only allowed in functions that return 'int'.");
    if (i && !f.returns_number && subprog.has_tail_call)
        return refuse(env, "tail_call is only allowed in functions that return 'int'.");
    subprog.name = f.name;
    subprog.is_global = i != 0 && f.is_global;
    return {};
}

Result<void> check_functions(VerifierEnv& env, const bpf_attr& attr) {
    const u32 count = attr.func_info_cnt;
    if (!count) return check_without_info(env);
    if (count != env.subprog_count)
        return refuse(env, "number of funcs in func_info doesn't match number of subprogs");
    const u32 size = attr.func_info_rec_size;
    if (size < sizeof(bpf_func_info) || size > kLargestRecord || size % sizeof(u32))
        return refuse(env, "invalid func info rec size ", size);
    TRY(read_records(env, env.prog->debug.func_info, attr.func_info, count, size, "func info"));
    for (u32 i = 0; i < count; ++i) TRY(check_function(env, i));
    return {};
}

Result<void> check_line(VerifierEnv& env, u32 i, u32* subprog) {
    const bpf_line_info* lines = env.prog->debug.line_info.data();
    const bpf_line_info& line = lines[i];
    const u32 previous = i ? lines[i - 1].insn_off : 0;
    if ((i && line.insn_off <= previous) || line.insn_off >= env.insn_count)
        return refuse(env, "Invalid line_info[", i, "].insn_off:", line.insn_off,
                      " (prev_offset:", previous, " prog->len:", env.insn_count, ')');
    if (env.insns[line.insn_off].code == 0)
        return refuse(env, "Invalid insn code at line_info[", i, "].insn_off");
    const Btf* btf = env.prog->debug.btf;
    if (!env.input.btf->string(btf, line.line_off) ||
        !env.input.btf->string(btf, line.file_name_off))
        return refuse(env, "Invalid line_info[", i, "].line_off or .file_name_off");
    if (*subprog == env.subprog_count) return {};
    if (line.insn_off == env.subprogs[*subprog].start) {
        env.subprogs[*subprog].first_line = i;
        ++*subprog;
    } else if (line.insn_off > env.subprogs[*subprog].start) {
        return refuse(env, "missing bpf_line_info for func#", *subprog);
    }
    return {};
}

Result<void> check_lines(VerifierEnv& env, const bpf_attr& attr) {
    const u32 count = attr.line_info_cnt;
    if (!count) return {};
    const u32 size = attr.line_info_rec_size;
    if (count > 0x7fff'ffffu / sizeof(bpf_line_info) || size < sizeof(bpf_line_info) ||
        size > kLargestRecord || size % sizeof(u32))
        return Errno::Inval;
    TRY(read_records(env, env.prog->debug.line_info, attr.line_info, count, size, "line_info"));
    u32 subprog = 0;
    for (u32 i = 0; i < count; ++i) TRY(check_line(env, i, &subprog));
    if (subprog != env.subprog_count)
        return refuse(env, "missing bpf_line_info for func#", subprog);
    return {};
}

// The entry that covers insn, or -1.
s32 line_of(const VerifierEnv& env, u32 insn) {
    const auto& lines = env.prog->debug.line_info;
    if (!lines.size() || lines[0].insn_off > insn) return -1;
    size_t low = 0, high = lines.size();
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (lines[middle].insn_off <= insn)
            low = middle;
        else
            high = middle;
    }
    return static_cast<s32>(low);
}

}  // namespace

Result<void> check_debug_info(VerifierEnv& env) {
    const bpf_attr* attr = env.input.attr;
    if (!attr || (!attr->func_info_cnt && !attr->line_info_cnt)) return check_without_info(env);
    if (!env.input.btf) return Errno::Inval;
    if (!env.prog->debug.btf)
        env.prog->debug.btf = TRY(env.input.btf->get_by_fd(static_cast<int>(attr->prog_btf_fd)));
    TRY(check_functions(env, *attr));
    return check_lines(env, *attr);
}

void print_line(VerifierEnv& env, u32 insn) {
    if (!env.log.enabled()) return;
    const s32 index = line_of(env, insn);
    if (index < 0 || index == env.last_line) return;
    env.last_line = index;
    const bpf_line_info& line = env.prog->debug.line_info[static_cast<u32>(index)];
    const char* text = env.input.btf->string(env.prog->debug.btf, line.line_off);
    while (*text == ' ' || *text == '\t') ++text;
    env.log.print("; ", text, '\n');
}

const char* subprog_name(const VerifierEnv& env, u32 subprog) {
    const char* name = env.subprogs[subprog].name;
    return name ? name : "";
}

}  // namespace barebpf
