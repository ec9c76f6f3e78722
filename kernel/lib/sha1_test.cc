// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/sha1.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

bool digest_is(Sha1& sha, const char* hex) {
    u8 digest[Sha1::kDigestSize];
    sha.finish(digest);
    const char* digits = "0123456789abcdef";
    for (u32 i = 0; i < Sha1::kDigestSize; ++i) {
        if (hex[2 * i] != digits[digest[i] >> 4] || hex[2 * i + 1] != digits[digest[i] & 15]) {
            return false;
        }
    }
    return true;
}

// The vectors that FIPS 180-4's examples publish.
TEST(Sha1, PublishedVectors) {
    Sha1 empty;
    EXPECT_TRUE(digest_is(empty, "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    Sha1 abc;
    abc.update("abc", 3);
    EXPECT_TRUE(digest_is(abc, "a9993e364706816aba3e25717850c26c9cd0d89d"));
    Sha1 two_blocks;
    two_blocks.update("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    EXPECT_TRUE(digest_is(two_blocks, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"));
    Sha1 million;
    for (u32 i = 0; i < 1'000'000; ++i) million.update("a", 1);
    EXPECT_TRUE(digest_is(million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"));
}

}  // namespace
}  // namespace barebpf
