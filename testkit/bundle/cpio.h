// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads the initial RAM disk, a cpio archive of the "newc" kind, not compressed. Any bytes may be given;
// every field is checked.
//
//     a file: 110 characters   "070701", then 13 numbers of 8 hexadecimal digits each: inode, mode, owner,
//                              group, links, time, size of the data, device (2), its own device (2), size of
//                              the name, checksum (0)
//             the name         with its NUL, filled up with zeros so that header and name are a multiple of 4
//             the data         filled up to a multiple of 4
//     ...
//     a file called TRAILER!!! and nothing but zeros behind it
//
// Source: cpio(5).
#pragma once

#include "kernel/lib/text.h"
#include "kernel/lib/types.h"

namespace barebpf::bundle {

struct CpioFile {
    const char* name;  // without "./" or "/" before it
    const u8* data;
    u32 size;
    u32 mode;
};

class Cpio {
public:
    // Looks at all of it. False: error says what is wrong.
    bool open(const void* bytes, size_t size, TextBuffer* error);
    // The ordinary file of that name. False: there is none.
    bool find(const char* name, CpioFile* file) const;

private:
    const char* next(size_t* at, CpioFile* file) const;

    const u8* bytes_ = nullptr;
    size_t size_ = 0;
};

}  // namespace barebpf::bundle
