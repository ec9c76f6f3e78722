// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::user {

// The child has one thread, and maybe it was inside the library when it forked (a signal handler
// did): what that call goes on to touch is gone, so it is the caller's to refuse such a fork.
void after_fork_in_child() {
    forget_interrupts();
    forget_rcu();
    forget_mappings();
    forget_descriptors();
    forget_pages();
    forget_exec_memory();
    forget_accounts();
    forget_slots();
}

}  // namespace barebpf::user
