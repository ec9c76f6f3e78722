// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/preload/world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/barebpf.h"
#include "testkit/preload/interpose.h"
#include "testkit/preload/real.h"
#include "testkit/user/user.h"

namespace barebpf::preload {

using host::Order;

constinit StatePage state_page{};
constinit host::Atomic<u32> world_in_memory;

namespace {

constinit host::Atomic<s32> owner;  // the process whose world it is
__thread bool making __attribute__((tls_model("initial-exec")));

// The lock is in the page: a child never finds it taken by a thread that it does not have.
class StateLock {
public:
    StateLock() {
        while (state_page.lock.exchange(1, Order::Acquire)) sched_yield();
    }
    ~StateLock() { state_page.lock.store(0, Order::Release); }  // pairs with the acquire above
    StateLock(const StateLock&) = delete;
    StateLock& operator=(const StateLock&) = delete;
};

void empty_page_in_child() {
    memset(static_cast<void*>(&state_page), 0, sizeof(state_page));
}

// Some emulators take any advice and do nothing (QEMU 7.2's user mode). Who looks at this one refuses it for shared memory.
bool advice_is_looked_at() {
    void* shared = mmap(nullptr, sizeof(StatePage), PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return true;
    const bool refused = madvise(shared, sizeof(StatePage), MADV_WIPEONFORK) != 0;
    munmap(shared, sizeof(StatePage));
    return refused;
}

// Whatever way a child is forked, it will find the page empty.
bool watch_for_forks() {
    if (advice_is_looked_at() && madvise(&state_page, sizeof(state_page), MADV_WIPEONFORK) == 0)
        return true;
    return pthread_atfork(nullptr, nullptr, empty_page_in_child) == 0;
}

long make_world_locked() {
    if (world_is_ready()) return 0;
    if (world_in_memory.load(Order::Relaxed)) {
        user::after_fork_in_child();
        forget_world();
        forget_watches();
    } else if (!watch_for_forks()) {
        return -ENOMEM;
    }
    user::count_cpus();
    auto made = init();
    // EBUSY: the program itself is built with barebpf, or a fork came before the page was watched.
    if (!made.ok()) return -to_int(made.error());
    owner.store(static_cast<s32>(raw_syscall(SYS_getpid)), Order::Relaxed);
    world_in_memory.store(1, Order::Relaxed);
    state_page.state.store(kWorldReady, Order::Release);  // pairs with world_is_ready()
    return 0;
}

}  // namespace

long make_world() {
    // In a signal handler: what it interrupted has the lock, or goes on with the world as it was.
    if (making || backend::thread_state.entered) return -EBUSY;
    const int saved_errno = errno;
    making = true;
    long result;
    {
        StateLock lock;
        result = make_world_locked();
    }
    making = false;
    errno = saved_errno;
    return result;
}

bool shares_memory_only() {
    return owner.load(Order::Relaxed) != raw_syscall(SYS_getpid);
}

long refuse_inherited() {
    if (!state_page.told_about_fork.exchange(1, Order::Relaxed)) {
        static constexpr char kLine[] =
            "barebpf: error: a bpf(2) descriptor that fork() inherited was used: its object is in "
            "the parent's world, a child starts with an empty one of its own\n";
        raw_syscall(SYS_write, STDERR_FILENO, word(kLine), sizeof(kLine) - 1);
    }
    return -EOPNOTSUPP;
}

}  // namespace barebpf::preload
