// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: page table entries, what the CPU caches of them, and writing to code.
//
//     63   54 53          12 11 10 9 8  7  6 5 4   2 1 0
//     │   UXN PXN │ address │nG│AF│ SH │ AP │ │Attr │1│1│    a page (level 3) or, with 63:52 and 11:2 zero, a table
//
// One root serves all of the high half: index bits 47:39 of the address, as on x86-64. TTBR0's half is off
// (EPD0) but for the moments in which a CPU goes through the low tables (boot.S) or patches code.
//
// Hardware facts: descriptors Arm ARM D8.3; AP[2] (bit 7) read-only; TLBI D8.13 and C5.5 (VAAE1IS: an address in
// pages, all address spaces, every CPU of the inner shareable domain, so no CPU has to be waited for);
// instructions that were written need cleaning of the data cache to the point of unification, invalidation of the
// instruction cache, and an ISB on the CPU that executes them (B2.4.4).
#include "testkit/guest/arm64/internal.h"

extern "C" {
void guest_switch_tables(barebpf::u64 root);
extern const barebpf::u64 guest_patch_tables[];
}

namespace barebpf::guest::arch {

namespace {

constexpr u64 kPresent = 1;
constexpr u64 kTableOrPage = 2;
constexpr u64 kDevice = u64{1} << 2;  // MAIR_EL1 attribute 1, see boot.S
constexpr u64 kReadOnly = u64{1} << 7;
constexpr u64 kInnerShareable = u64{3} << 8;
constexpr u64 kAccessed = u64{1} << 10;
constexpr u64 kNoExecute = u64{1} << 53;
constexpr u64 kUserNoExecute = u64{1} << 54;
constexpr u64 kAddress = 0x0000fffffffff000;
constexpr u64 kEpd0 = u64{1} << 7;

bool tables_in_use;

// Smallest line of the caches, in bytes (CTR_EL0, D17.2.34).
u64 data_line() {
    return u64{4} << (READ_SYSREG(ctr_el0) >> 16 & 15);
}
u64 instruction_line() {
    return u64{4} << (READ_SYSREG(ctr_el0) & 15);
}

// The physical address that a read of this address goes to; false if it faults (AT S1E1R, PAR_EL1 D17.2.105).
bool translate(u64 address, u64* physical) {
    asm volatile("at s1e1r, %0" : : "r"(address) : "memory");
    isb();
    u64 result = READ_SYSREG(par_el1);
    if (result & 1) return false;
    *physical = (result & kAddress) | (address & (kPageBytes - 1));
    return true;
}

}  // namespace

u64 table_entry(u64 physical) {
    return physical | kTableOrPage | kPresent;
}

u64 leaf_entry(u64 physical, Access access, bool device) {
    if (access == Access::None) return 0;
    u64 entry = physical | kTableOrPage | kPresent | kAccessed | kUserNoExecute;
    entry |= device ? kDevice : kInnerShareable;
    if (access != Access::ReadWrite) entry |= kReadOnly;
    if (access != Access::ReadExecute) entry |= kNoExecute;
    return entry;
}

bool entry_present(u64 entry) {
    return (entry & kPresent) != 0;
}

u64 entry_physical(u64 entry) {
    return entry & kAddress;
}

Access entry_access(u64 entry) {
    if (!entry_present(entry)) return Access::None;
    if (!(entry & kReadOnly)) return Access::ReadWrite;
    return entry & kNoExecute ? Access::Read : Access::ReadExecute;
}

void use_page_table(u64 root_physical) {
    asm volatile("dsb ishst" ::: "memory");
    guest_switch_tables(root_physical);
    if (tables_in_use) return;
    tables_in_use = true;
    remap_console();
}

void flush_tlb(u64 address, u64 size) {
    constexpr u64 kPageNumber = (u64{1} << 44) - 1;
    constexpr u64 kMostByPage = 64;
    asm volatile("dsb ishst" ::: "memory");
    u64 first = address / kPageBytes, last = (address + size - 1) / kPageBytes;
    if (last - first >= kMostByPage) {
        asm volatile("tlbi vmalle1is" ::: "memory");
    } else {
        for (u64 page = first; page <= last; page++)
            asm volatile("tlbi vaae1is, %0" : : "r"(page & kPageNumber) : "memory");
    }
    asm volatile("dsb ish" ::: "memory");
    isb();
}

// Another CPU has its ISB before it can run what was written: an exception's entry and return are context
// synchronization (D1.3.5), and the guest kernel's start_cpu() and wake-ups go through one. A CPU that learns of
// new code by polling memory alone, never interrupted, would have to execute an ISB itself.
void sync_code(const void* code, size_t size) {
    u64 begin = reinterpret_cast<u64>(code), end = begin + size;
    for (u64 at = begin & ~(data_line() - 1); at < end; at += data_line())
        asm volatile("dc cvau, %0" : : "r"(at) : "memory");
    asm volatile("dsb ish" ::: "memory");
    for (u64 at = begin & ~(instruction_line() - 1); at < end; at += instruction_line())
        asm volatile("ic ivau, %0" : : "r"(at) : "memory");
    asm volatile("dsb ish" ::: "memory");
    isb();
}

bool patch_instruction(u64 pc, u32 instruction) {
    u64 physical;
    AllMasked masked;
    if (!translate(pc, &physical)) return false;
    u64 tcr = READ_SYSREG(tcr_el1), old_tables = READ_SYSREG(ttbr0_el1);
    WRITE_SYSREG(ttbr0_el1,
                 reinterpret_cast<u64>(guest_patch_tables) - kImageBase + kImagePhysical);
    WRITE_SYSREG(tcr_el1, tcr & ~kEpd0);
    isb();
    asm volatile("str %w0, [%1]" : : "r"(instruction), "r"(physical) : "memory");
    asm volatile("dc cvau, %0\n\tdsb ish" : : "r"(physical) : "memory");
    WRITE_SYSREG(tcr_el1, tcr);
    WRITE_SYSREG(ttbr0_el1, old_tables);
    isb();
    asm volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
    sync_code(reinterpret_cast<const void*>(pc), sizeof(instruction));
    return true;
}

}  // namespace barebpf::guest::arch
