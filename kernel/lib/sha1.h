// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// SHA-1 (FIPS 180-4, 6.1), for program tags: an identity that tools compare, not a security boundary.
// Context: any; needs no memory beyond the object.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

class Sha1 {
public:
    static constexpr u32 kDigestSize = 20;

    void update(const void* data, size_t size);
    // Ends the message; the object is then used up.
    void finish(u8 digest[kDigestSize]);

private:
    void compress(const u8 block[64]);

    u32 state_[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    u64 length_ = 0;  // bytes so far
    u8 block_[64];
};

}  // namespace barebpf
