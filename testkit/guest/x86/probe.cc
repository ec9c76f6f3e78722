// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: what the firmware tells, from hvm_start_info (Xen, public/arch-x86/hvm/start_info.h): the memory map,
// the arguments, the initrd (its first module), and where ACPI's tables begin.
#include "testkit/guest/image.h"
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u32 kMagic = 0x336ec578;
constexpr u32 kRam = 1;
constexpr u64 kLowMemory = 1 << 20;  // firmware's, and the start code of CPUs

struct StartInfo {
    u32 magic;
    u32 version;  // 1: has the memory map
    u32 flags;
    u32 modules;
    u64 module_list;
    u64 arguments;
    u64 rsdp;
    u64 memory_map;
    u32 memory_ranges;
    u32 reserved;
};

struct Module {
    u64 base;
    u64 size;
    u64 arguments;
    u64 reserved;
};

struct MapEntry {
    u64 base;
    u64 size;
    u32 type;
    u32 reserved;
};

// Nothing says that they are aligned.
template <class T>
T load(u64 physical) {
    T value;
    __builtin_memcpy(&value, direct(physical), sizeof(T));
    return value;
}

void read_memory_map(const StartInfo& info, Machine* machine) {
    for (u32 i = 0; i < info.memory_ranges; ++i) {
        const auto entry = load<MapEntry>(info.memory_map + u64{i} * sizeof(MapEntry));
        if (entry.type != kRam) continue;
        u64 begin = entry.base;
        u64 end = begin + entry.size;
        if (begin < kLowMemory) begin = kLowMemory;
        if (end > kMaxRam) end = kMaxRam;
        begin = (begin + kPageBytes - 1) & ~(kPageBytes - 1);
        end &= ~(kPageBytes - 1);
        constexpr u32 kMost = sizeof(machine->ram) / sizeof(machine->ram[0]);
        if (begin < end && machine->ram_count < kMost) {
            machine->ram[machine->ram_count++] = {begin, end - begin};
        }
    }
}

void read_arguments(u64 physical, Machine* machine) {
    const char* text = static_cast<const char*>(direct(physical));
    for (size_t i = 0; i < sizeof(machine->args); ++i) {
        machine->args[i] = physical ? text[i] : '\0';
        if (machine->args[i] == '\0') return;
    }
    fail("the arguments (-append) are too long; most bytes:", sizeof(machine->args) - 1);
}

}  // namespace

void probe(u64 boot, Machine* machine) {
    const auto info = load<StartInfo>(boot);
    if (info.magic != kMagic || info.version < 1) fail("no hvm_start_info with a memory map");
    *machine = {};
    read_memory_map(info, machine);
    read_arguments(info.arguments, machine);
    if (info.modules) {
        const auto module = load<Module>(info.module_list);
        machine->initrd = {module.base, module.size};
    }
    find_cpus(info.rsdp);
    machine->cpu_count = apic_id_count;
}

}  // namespace barebpf::guest::arch
