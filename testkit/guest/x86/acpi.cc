// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: which CPUs there are, from ACPI's MADT (ACPI 6.4: 5.2.5 root pointer, 5.2.7 and 5.2.8 root tables,
// 5.2.12 MADT; entry type 0 is a local APIC, flag bit 0: usable).
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

u32 apic_ids[kMaxGuestCpus];
u32 apic_id_count;

namespace {

constexpr u64 kReach = u64{1} << 32;  // of the boot tables
constexpr u32 kHeaderBytes = 36;
constexpr u32 kMadtEntries = 44;

template <class T>
T load(u64 physical) {
    T value;
    __builtin_memcpy(&value, direct(physical), sizeof(T));
    return value;
}

bool is_named(u64 physical, const char* name, u32 length) {
    for (u32 i = 0; i < length; ++i) {
        if (load<char>(physical + i) != name[i]) return false;
    }
    return true;
}

u32 table_bytes(u64 table) {
    return load<u32>(table + 4);
}

bool reachable(u64 table) {
    return table != 0 && table < kReach - kHeaderBytes && table_bytes(table) >= kHeaderBytes &&
           table_bytes(table) <= kReach - table;
}

// Physical address of the table of that name; 0: none.
u64 find_table(u64 root, u32 entry_bytes, const char* name) {
    if (!reachable(root)) return 0;
    for (u32 at = kHeaderBytes; at + entry_bytes <= table_bytes(root); at += entry_bytes) {
        const u64 table = entry_bytes == 8 ? load<u64>(root + at) : load<u32>(root + at);
        if (reachable(table) && is_named(table, name, 4)) return table;
    }
    return 0;
}

u64 find_madt(u64 rsdp) {
    if (rsdp == 0 || rsdp >= kReach - kHeaderBytes || !is_named(rsdp, "RSD PTR ", 8)) return 0;
    const u64 extended = load<u8>(rsdp + 15) >= 2 ? load<u64>(rsdp + 24) : 0;
    return extended ? find_table(extended, 8, "APIC") : find_table(load<u32>(rsdp + 16), 4, "APIC");
}

// The boot CPU is CPU 0, wherever the table has it.
void add_cpu(u32 apic, u32 boot_apic) {
    if (apic == boot_apic || apic_id_count == kMaxGuestCpus) return;
    apic_ids[apic_id_count++] = apic;
}

}  // namespace

void find_cpus(u64 rsdp) {
    constexpr u32 kLocalApic = 0;
    const u64 madt = find_madt(rsdp);
    const u32 boot_apic = cpuid(1).ebx >> 24;
    apic_ids[0] = boot_apic;
    apic_id_count = 1;
    if (madt == 0) fail("ACPI has no table of CPUs (MADT): not QEMU's q35 machine");
    for (u32 at = kMadtEntries; at + 8 <= table_bytes(madt);) {
        const u32 bytes = load<u8>(madt + at + 1);
        if (load<u8>(madt + at) == kLocalApic && (load<u32>(madt + at + 4) & 1)) {
            add_cpu(load<u8>(madt + at + 3), boot_apic);
        }
        if (bytes < 2) break;
        at += bytes;
    }
}

}  // namespace barebpf::guest::arch
