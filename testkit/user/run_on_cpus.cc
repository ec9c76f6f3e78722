// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <thread>
#include <vector>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::test {

// A thread for each CPU, inside the library on the slot of its number. The caller's slot, if it
// holds one, is free meanwhile.
void run_on_cpus_raw(u32 count, void (*function)(void* closure, u32 cpu), void* closure) {
    user::Outside outside;
    std::vector<std::thread> threads;
    for (u32 cpu = 0; cpu < count; ++cpu) {
        threads.emplace_back([=] {
            user::EntryOn inside(cpu);
            function(closure, cpu);
        });
    }
    for (auto& thread : threads) thread.join();
}

}  // namespace barebpf::test
