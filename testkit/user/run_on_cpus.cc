// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <thread>
#include <vector>

#include "testkit/test.h"

namespace barebpf::test {

void run_on_cpus_raw(u32 count, void (*function)(void* closure, u32 cpu), void* closure) {
    std::vector<std::thread> threads;
    for (u32 cpu = 0; cpu < count; ++cpu) threads.emplace_back(function, closure, cpu);
    for (auto& thread : threads) thread.join();
}

}  // namespace barebpf::test
