// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/host/usercopy.h"

#include "testkit/test.h"

namespace barebpf::host {
namespace {

UserAddress address_of(const void* memory) {
    return {reinterpret_cast<u64>(memory)};
}

TEST(UserString, LengthWithoutNul) {
    alignas(4096) static char text[8192];
    for (char& c : text) c = 'x';
    char out[600];
    // Across a page boundary, and longer than one step.
    text[4096 + 400] = 0;
    auto length = copy_string_from_user(out, address_of(text + 4096 - 100), sizeof(out));
    ASSERT_TRUE(length.ok());
    EXPECT_EQ(length.value(), 500u);
    EXPECT_EQ(out[499], 'x');
    EXPECT_EQ(out[500], 0);
}

TEST(UserString, NoNulIsTooBig) {
    const char text[] = "abcd";
    char out[4];
    EXPECT_EQ(copy_string_from_user(out, address_of(text), 4).error(), Errno::TooBig);
    EXPECT_EQ(copy_string_from_user(out, address_of(text), 0).error(), Errno::TooBig);
    auto exact = copy_string_from_user(out, address_of(text + 1), 4);
    ASSERT_TRUE(exact.ok());
    EXPECT_EQ(exact.value(), 3u);
}

TEST(UserString, BadAddressIsFault) {
    char out[8];
    EXPECT_EQ(copy_string_from_user(out, {8}, 8).error(), Errno::Fault);
}

TEST(UserZeroCheck, FindsTheOneByte) {
    static u8 area[1000];
    EXPECT_TRUE(user_bytes_are_zero(address_of(area), sizeof(area)).value());
    EXPECT_TRUE(user_bytes_are_zero({0}, 0).value());
    for (u32 at : {0u, 255u, 256u, 999u}) {
        area[at] = 1;
        EXPECT_FALSE(user_bytes_are_zero(address_of(area), sizeof(area)).value());
        area[at] = 0;
    }
    EXPECT_EQ(user_bytes_are_zero({16}, 8).error(), Errno::Fault);
}

}  // namespace
}  // namespace barebpf::host
