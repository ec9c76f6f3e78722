// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: what a descriptor or a mapping refers to (testkit/guest/fd.cc, mappings.cc).
#pragma once

#include "testkit/guest/kernel.h"

namespace barebpf::guest {

struct Description {
    host::FileObject* object;
    host::FileMode mode;
    Atomic<u32> references;  // descriptors and mappings
    char name[32];           // "anon_inode:" and the object's
};

// Inside the library. A counted reference; null: the descriptor is not ours.
Description* reference_description(int fd);
// The last one waits for a grace period and releases the object.
void put_description(Description* description);

}  // namespace barebpf::guest
