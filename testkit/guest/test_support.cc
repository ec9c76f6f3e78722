// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What testkit/test.h declares, in a guest; run_on_cpus.cc has the rest.
#include "kernel/host/contract.h"
#include "testkit/guest/guest.h"
#include "testkit/test.h"

namespace barebpf::test {

void lose_processor() {
    host::spin_hint();
}

void settle() {
    for (u32 i = 0; i < 4; ++i) {
        host::Cpu::Entry inside;
        host::rcu_barrier();
    }
}

u32 rounds(u32 in_a_process) {
    return (in_a_process + 9) / 10;
}

u64 memory_mib() {
    return guest::memory_figures().total_pages >> 8;
}

u64 setting(const char* name, u64 otherwise) {
    return guest::Arguments().number(name, otherwise);
}

s64 kernel_bpf(u32, void*, u32) {
    return -to_int(Errno::NoSys);
}

void kernel_close(int) {}

}  // namespace barebpf::test
