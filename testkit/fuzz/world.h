// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A world for one input. When it ends, nothing of it may be left: no memory, no descriptor.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "kernel/barebpf.h"
#include "testkit/user/user.h"
#include "uapi/linux/bpf.h"

namespace barebpf::fuzz {

inline void swallow_log(host::LogLevel, const char*, size_t) {}

class World {
public:
    World() {
        machine::set_log_callback(swallow_log);
        before_ = machine::live_memory();
        if (!init().ok()) fail("init");
    }
    ~World() {
        shutdown();
        const machine::LiveMemory after = machine::live_memory();
        if (after.bytes != before_.bytes || after.blocks != before_.blocks) {
            fprintf(stderr, "leaked: %lld bytes in %lld blocks\n",
                    static_cast<long long>(after.bytes - before_.bytes),
                    static_cast<long long>(after.blocks - before_.blocks));
            fail("memory left");
        }
        for (int fd = user::next_fd(0); fd >= 0; fd = user::next_fd(fd + 1)) {
            if (machine::fd_is_ours(fd)) fail("descriptor left");
        }
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    [[noreturn]] static void fail(const char* what) {
        fprintf(stderr, "==== %s ====\n", what);
        abort();
    }

private:
    machine::LiveMemory before_;
};

inline s64 call(u32 command, bpf_attr& attr) {
    return bpf_syscall(command, reinterpret_cast<u64>(&attr), sizeof attr);
}

}  // namespace barebpf::fuzz
