// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::user {
namespace {

std::string logged;
host::LogLevel logged_level;

TEST(Services, LogGoesToTheCallback) {
    set_log_callback([](host::LogLevel level, const char* text, size_t length) {
        logged_level = level;
        logged.assign(text, length);
    });
    host::print(host::LogLevel::Trace, "hello, world", 5);
    EXPECT_EQ(logged, "hello");
    EXPECT_EQ(logged_level, host::LogLevel::Trace);
    set_log_callback(nullptr);
    testing::internal::CaptureStderr();
    host::print(host::LogLevel::Warning, "careful", 7);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "barebpf: warning: careful\n");
}

TEST(ServicesDeathTest, PanicSaysWhy) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(host::panic("the sky fell"), "barebpf: panic: the sky fell");
}

TEST(Services, CredentialsAreRootsUnlessTold) {
    EXPECT_TRUE(host::capable(host::Capability::Bpf));
    EXPECT_EQ(backend::Cred::uid(), 0u);
    set_credentials({.capabilities = u64{1} << 39, .unprivileged_bpf_disabled = false, .uid = 7});
    EXPECT_TRUE(host::capable(host::Capability::Bpf));
    EXPECT_FALSE(host::capable(host::Capability::Perfmon));
    EXPECT_FALSE(backend::Cred::unprivileged_bpf_disabled());
    EXPECT_EQ(backend::Cred::uid(), 7u);
    set_credentials({.capabilities = u64{1} << 21});  // CAP_SYS_ADMIN stands in for all
    EXPECT_TRUE(host::capable(host::Capability::Perfmon));
    set_credentials({});
    char name[16];
    prctl(PR_SET_NAME, "services", 0, 0, 0);
    backend::Cred::comm(name);
    EXPECT_STREQ(name, "services");
    EXPECT_EQ(backend::Cred::tgid(), static_cast<u32>(getpid()));
}

TEST(Services, SeededRandomBitsRepeat) {
    seed_random(5);
    u64 first = host::random_u64();
    u64 second = host::random_u64();
    EXPECT_NE(first, second);
    seed_random(5);
    EXPECT_EQ(host::random_u64(), first);
    EXPECT_EQ(host::random_u64(), second);
    seed_random(0);
    EXPECT_NE(host::random_u64(), first);
}

}  // namespace
}  // namespace barebpf::user
