// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: what kind of machine this is. QEMU's virt machine describes itself by a device tree at the start
// of RAM; the arguments (-append) are in /chosen. The initrd is a file that QEMU's generic loader put into RAM,
// named by the argument initrd=0xADDRESS,SIZE (QEMU has no -initrd for an ELF file here).
//
// Facts: bindings arm,gic-v3 (reg: distributor, then redistributors), arm,psci-1.0 (method), cpus (reg: affinity
// fields of MPIDR), memory (device_type, reg).
#include "testkit/guest/arm64/device_tree.h"
#include "testkit/guest/arm64/internal.h"

namespace barebpf::guest::arch {

Hardware hardware;

namespace {

Machine* machine;  // that probe() fills
bool other_controller;
u64 boot_cpu;

void add_ram(const TreeNode& node) {
    MemoryRange range;
    for (u32 i = 0; node.range(i, &range.base, &range.size); i++) {
        if (range.base < kImagePhysical || range.base >= kImagePhysical + kMaxRam) continue;
        u64 room = kImagePhysical + kMaxRam - range.base;
        if (range.size > room) range.size = room;
        if (range.size && machine->ram_count < 8) machine->ram[machine->ram_count++] = range;
    }
}

// The boot CPU is CPU 0, wherever the tree has it.
void add_cpu(const TreeNode& node) {
    u64 id, size;
    if (!node.range(0, &id, &size)) return;
    machine->cpu_count++;
    if (id == boot_cpu) return;
    if (hardware.cpu_count < kMaxGuestCpus) hardware.cpu_ids[hardware.cpu_count++] = id;
}

void add_controller(const TreeNode& node) {
    if (!node.compatible.contains("arm,gic-v3")) {
        if (node.compatible.contains("arm,cortex-a15-gic")) other_controller = true;
        return;
    }
    node.range(0, &hardware.distributor.base, &hardware.distributor.size);
    node.range(1, &hardware.redistributors.base, &hardware.redistributors.size);
}

void copy_arguments(const Property& text) {
    u32 i = 0;
    for (; i < text.size && text.data[i]; i++) {
        if (i + 1 == sizeof(machine->args)) fail("the arguments are too long, bytes", text.size);
        machine->args[i] = static_cast<char>(text.data[i]);
    }
    machine->args[i] = 0;
}

void visit(const TreeNode& node) {
    if (node.device_type.contains("memory"))
        add_ram(node);
    else if (node.device_type.contains("cpu"))
        add_cpu(node);
    else if (node.depth == 1 && node.named("chosen"))
        copy_arguments(node.bootargs);
    else if (node.depth == 1 && node.named("psci"))
        hardware.psci_by_smc = node.method.contains("smc");
    else if (node.compatible.data)
        add_controller(node);
}

// A number in C's notation, decimal or hexadecimal; moves *at behind it.
bool parse_number(const char** at, u64* value) {
    const char* p = *at;
    u32 base = 10;
    if (p[0] == '0' && p[1] == 'x') p += 2, base = 16;
    const char* first = p;
    *value = 0;
    for (;; p++) {
        u32 digit;
        if (*p >= '0' && *p <= '9')
            digit = static_cast<u32>(*p - '0');
        else if (base == 16 && *p >= 'a' && *p <= 'f')
            digit = static_cast<u32>(*p - 'a') + 10;
        else if (base == 16 && *p >= 'A' && *p <= 'F')
            digit = static_cast<u32>(*p - 'A') + 10;
        else
            break;
        *value = *value * base + digit;
    }
    *at = p;
    return p != first;
}

bool within_ram(const MemoryRange& range) {
    for (u32 i = 0; i < machine->ram_count; i++) {
        const MemoryRange& ram = machine->ram[i];
        if (range.base >= ram.base && range.base - ram.base <= ram.size &&
            range.size <= ram.size - (range.base - ram.base))
            return true;
    }
    return false;
}

void find_initrd() {
    static constexpr char kName[] = "initrd=";
    for (const char* word = machine->args; *word;) {
        u32 i = 0;
        while (kName[i] && word[i] == kName[i]) i++;
        if (!kName[i]) {
            const char* at = word + i;
            MemoryRange& range = machine->initrd;
            if (!parse_number(&at, &range.base) || *at++ != ',' ||
                !parse_number(&at, &range.size) || (*at && *at != ' '))
                fail("the argument initrd= is not of the form initrd=0xADDRESS,SIZE");
            if (!within_ram(range)) fail("the initrd is not within RAM, address", range.base);
        }
        while (*word && *word != ' ') word++;
        while (*word == ' ') word++;
    }
}

}  // namespace

void early_init(u64) {
    find_console();
}

void probe(u64 boot, Machine* result) {
    machine = result;
    boot_cpu = READ_SYSREG(mpidr_el1) & 0xff00ffffff;
    hardware.cpu_ids[0] = boot_cpu;
    hardware.cpu_count = 1;
    if (!walk_device_tree(direct(boot), visit))
        fail("no device tree at the start of RAM: this machine is not QEMU's virt");
    if (machine->ram_count == 0) fail("the device tree names no memory");
    if (!hardware.distributor.size || !hardware.redistributors.size)
        fail(other_controller
                 ? "the machine has no GICv3 but an older one: use -M virt,gic-version=3"
                 : "the machine has no GICv3: use -M virt,gic-version=3");
    find_initrd();
}

}  // namespace barebpf::guest::arch
