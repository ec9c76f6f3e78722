// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A loaded program taken apart: BPF instructions, their source lines and their machine code.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace barebpf::cli {

struct MachineInsn {
    uint32_t offset;  // in its function
    std::vector<uint8_t> bytes;
    std::string text;
};

struct BpfInsn {
    uint32_t index;
    std::string text;
    std::string source, where;  // the line that begins here, "file.c:12"; empty: none does
    std::vector<MachineInsn> machine;
};

struct Function {
    std::string name;
    std::vector<MachineInsn> prologue;  // before the first instruction's code
    std::vector<BpfInsn> insns;
    uint32_t machine_size = 0;
};

// Machine code at `address`, as its own processor prints it. What cannot be decoded: ".byte".
std::vector<MachineInsn> disassemble_machine(const uint8_t* code, size_t size, uint64_t address);

// BPF: each text is of the instruction that begins there; the second half of a 64-bit load is empty.
using MapNamer = std::function<std::string(uint32_t id)>;
std::vector<std::string> disassemble_bpf(const std::vector<uint64_t>& insns,
                                         const MapNamer& map_name);

// Where the compiler put instruction i, from the start of the image; empty: it was not compiled.
std::vector<uint32_t> machine_offsets(int prog_fd);

}  // namespace barebpf::cli
