// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Test data linked into the program, so that tests and guests need no file system.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::testdata {

struct DataFile {
    const char* name;  // without folder, as in "alu64.isa"
    const char* text;
    u32 size;
};

// Every file of testkit/data/isa, sorted by name.
extern const DataFile kIsaFiles[];
extern const u32 kIsaFileCount;

}  // namespace barebpf::testdata
