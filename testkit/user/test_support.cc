// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What testkit/test.h declares, in a process.
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::test {

u32 cpus() {
    return host::possible_cpus();
}

u32 threads() {
    return 2 * cpus();
}

// A thread for each CPU; inside, on the slot of its number. The caller's slot, if it holds one, is free
// meanwhile.
void run_on_cpus_raw(u32 count, Where where, void (*function)(void* closure, u32 cpu),
                     void* closure) {
    user::Outside outside;
    std::vector<std::thread> threads;
    for (u32 cpu = 0; cpu < count; ++cpu) {
        threads.emplace_back([=] {
            if (where == Where::Outside) return function(closure, cpu);
            user::EntryOn inside(cpu);
            function(closure, cpu);
        });
    }
    for (auto& thread : threads) thread.join();
}

void lose_processor() {
    std::this_thread::yield();
}

// Descriptors closed inside the library are released by whoever leaves it.
void settle() {
    user::Outside outside;
    for (u32 i = 0; i < 4; ++i) {
        host::Cpu::Entry inside;
        host::rcu_barrier();
    }
}

u32 rounds(u32 in_a_process) {
    return in_a_process;
}

u64 memory_mib() {
    return static_cast<u64>(sysconf(_SC_PHYS_PAGES)) * static_cast<u64>(sysconf(_SC_PAGESIZE)) >>
           20;
}

u64 setting(const char* name, u64 otherwise) {
    std::string variable = "BAREBPF_";
    for (; *name; ++name) variable += *name == '_' ? '_' : static_cast<char>(*name - 'a' + 'A');
    const char* text = getenv(variable.c_str());
    return text ? strtoull(text, nullptr, 0) : otherwise;
}

s64 kernel_bpf(u32 command, void* attr, u32 size) {
    const long result = ::syscall(SYS_bpf, command, attr, size);
    return result < 0 ? -errno : result;
}

void kernel_close(int fd) {
    ::close(fd);
}

}  // namespace barebpf::test
