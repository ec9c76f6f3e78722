// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/barebpf.h"
#include "kernel/bpf/disasm.h"
#include "kernel/bpf/prog.h"
#include "testkit/cli/listing.h"

namespace barebpf::cli {

namespace {

bool name_map(void* owner, const bpf_insn& insn, u64 value, TextBuffer& out) {
    if (insn.src_reg != BPF_PSEUDO_MAP_FD && insn.src_reg != BPF_PSEUDO_MAP_VALUE) return false;
    const auto& map_name = *static_cast<const MapNamer*>(owner);
    const std::string name = map_name(static_cast<u32>(value));
    out.print("map[", name.c_str(), "]");
    if (insn.src_reg == BPF_PSEUDO_MAP_VALUE) out.print("+", value >> 32);
    return true;
}

}  // namespace

std::vector<std::string> disassemble_bpf(const std::vector<uint64_t>& slots,
                                         const MapNamer& map_name) {
    const auto* insns = reinterpret_cast<const bpf_insn*>(slots.data());
    DisasmNames names;
    names.owner = const_cast<MapNamer*>(&map_name);
    names.imm64 = name_map;
    std::vector<std::string> texts(slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
        char text[256];
        TextBuffer out(text);
        const bool wide = insns[i].code == (BPF_LD | BPF_IMM | BPF_DW);
        if (wide && i + 1 == slots.size()) break;  // never in a verified program
        disasm_insn(out, &insns[i], names);
        texts[i] = out.c_str();
        if (wide) ++i;
    }
    return texts;
}

std::vector<uint32_t> machine_offsets(int prog_fd) {
    auto prog = prog_from_fd(prog_fd);
    if (!prog.ok()) return {};
    std::vector<uint32_t> offsets;
    if (prog.value()->jited)
        offsets.assign(prog.value()->jit.insn_offset.begin(), prog.value()->jit.insn_offset.end());
    put_prog(prog.value());
    return offsets;
}

}  // namespace barebpf::cli
