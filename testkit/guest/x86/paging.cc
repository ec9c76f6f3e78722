// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: page-table entries of 4-level paging (SDM vol. 3, 4.5). CR0.WP makes read-only pages read-only for
// the kernel too, EFER.NXE gives bit 63 its meaning; boot.S sets both. No entry is global, so that loading CR3
// forgets everything (4.10.4.1). The accessed and dirty bits are set from the start: the CPU then never writes
// to a table.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u64 kPresent = 1 << 0;
constexpr u64 kWritable = 1 << 1;
constexpr u64 kWriteThrough = 1 << 3;
constexpr u64 kUncached = 1 << 4;
constexpr u64 kAccessed = 1 << 5;
constexpr u64 kDirty = 1 << 6;
constexpr u64 kNoExecute = u64{1} << 63;
constexpr u64 kAddressMask = 0x000ffffffffff000;

constexpr u64 kFewPages = 16;

}  // namespace

u64 table_entry(u64 physical) {
    return physical | kPresent | kWritable | kAccessed;
}

u64 leaf_entry(u64 physical, Access access, bool device) {
    const u64 base = physical | kPresent | kAccessed | (device ? kUncached | kWriteThrough : 0);
    switch (access) {
        case Access::None:
            return 0;
        case Access::Read:
            return base | kNoExecute;
        case Access::ReadWrite:
            return base | kNoExecute | kWritable | kDirty;
        case Access::ReadExecute:
            return base;
    }
    return 0;
}

bool entry_present(u64 entry) {
    return (entry & kPresent) != 0;
}

u64 entry_physical(u64 entry) {
    return entry & kAddressMask;
}

// A page that is writable and executable has no name: it counts as writable, and its missing bit is found by who
// compares it with leaf_entry().
Access entry_access(u64 entry) {
    if (!entry_present(entry)) return Access::None;
    if (entry & kWritable) return Access::ReadWrite;
    return entry & kNoExecute ? Access::Read : Access::ReadExecute;
}

void use_page_table(u64 root_physical) {
    write_cr3(root_physical);
}

void flush_tlb(u64 address, u64 size) {
    const u64 first = address & ~(kPageBytes - 1);
    if (size <= kFewPages * kPageBytes) {
        for (u64 page = first; page < address + size; page += kPageBytes) invalidate_page(page);
    } else {
        write_cr3(read_cr3());
    }
    ask_all(Chore::FlushTlb);
}

void sync_code(const void*, size_t) {
    cpuid(0);
    ask_all(Chore::SyncCode);
}

}  // namespace barebpf::guest::arch
