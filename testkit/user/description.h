// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An open file description of ours: what duplicates of a descriptor and mappings share.
#pragma once

#include <stdio.h>

#include "kernel/host/contract.h"
#include "testkit/user/internal.h"

namespace barebpf::user {

struct Description {
    host::FileObject* object;
    host::FileMode mode;
    Atomic<u32> references;
    Description* next_deferred;
    char name[32];  // "anon_inode:" and the object's
};

inline void fill_description(Description* description, host::FileObject* object,
                             host::FileMode mode) {
    description->object = object;
    description->mode = mode;
    description->references.store(1, Order::Relaxed);
    snprintf(description->name, sizeof(description->name), "anon_inode:%s", object->file_ops->name);
}

// Inside the library. Null: not one of ours.
Description* reference_description(int fd);
// nested: this thread cannot wait (Cpu::Entry::nested()).
void put_description(Description* description, bool nested);

}  // namespace barebpf::user
