// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bad pointers of every kind: an error, never a crash.
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <vector>

#include "testkit/test.h"
#include "testkit/user/user.h"

#if defined(__has_feature)
static constexpr bool kAddressSanitized = __has_feature(address_sanitizer);
static constexpr bool kThreadSanitized = __has_feature(thread_sanitizer);
#else
static constexpr bool kAddressSanitized = false;
static constexpr bool kThreadSanitized = false;
#endif

namespace barebpf::user {
namespace {

using backend::UserCopy;

constexpr size_t kPage = 4096;

u64 number(const void* address) {
    return reinterpret_cast<u64>(address);
}

// Two pages, the second not accessible.
class UserCopyFault : public testing::Test {
protected:
    void SetUp() override {
        area_ = static_cast<u8*>(
            mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        ASSERT_EQ(mprotect(area_ + kPage, kPage, PROT_NONE), 0);
        end_ = area_ + kPage;
    }
    void TearDown() override { munmap(area_, 2 * kPage); }
    u8* area_;
    u8* end_;
};

// Every size up to well past each of the routine's classes, flush against the inaccessible page:
// exact bytes, and nothing beyond is touched; one byte more is a fault.
TEST_F(UserCopyFault, EverySizeIsExact) {
    std::vector<u8> buffer(kPage + 64);
    for (size_t size = 0; size <= 1100; ++size) {
        u8* user = end_ - size;
        for (size_t i = 0; i < size; ++i) user[i] = static_cast<u8>(i * 7 + size);
        memset(buffer.data(), 0xee, buffer.size());
        ASSERT_TRUE(UserCopy::from_user(buffer.data(), number(user), size)) << size;
        ASSERT_EQ(memcmp(buffer.data(), user, size), 0) << size;
        ASSERT_EQ(buffer[size], 0xee) << size;
        ASSERT_FALSE(UserCopy::from_user(buffer.data(), number(user), size + 1)) << size;

        for (size_t i = 0; i < size; ++i) buffer[i] = static_cast<u8>(i * 5 + 1);
        user[-1] = 0xdd;
        ASSERT_TRUE(UserCopy::to_user(number(user), buffer.data(), size)) << size;
        ASSERT_EQ(memcmp(buffer.data(), user, size), 0) << size;
        ASSERT_EQ(user[-1], 0xdd) << size;
        ASSERT_FALSE(UserCopy::to_user(number(user), buffer.data(), size + 1)) << size;
    }
}

TEST_F(UserCopyFault, WildAddresses) {
    std::vector<u8> buffer(kPage);
    const u64 wild[] = {0,
                        1,
                        kPage - 1,
                        number(end_),
                        number(end_) - 1,
                        u64{1} << 47,
                        (u64{1} << 47) - 1,
                        (u64{1} << 47) - kPage,
                        u64{0x1234} << 48,
                        0xffff800000000000,
                        0xffffffff81000000,
                        0xffffffffff600000,
                        ~u64{0},
                        ~u64{0} - 7};
    for (u64 address : wild) {
        for (size_t size : {size_t{2}, size_t{8}, size_t{16}, size_t{100}, size_t{700}, kPage}) {
            EXPECT_FALSE(UserCopy::from_user(buffer.data(), address, size)) << address;
            EXPECT_FALSE(UserCopy::to_user(address, buffer.data(), size)) << address;
        }
    }
}

TEST_F(UserCopyFault, HugeSizesDoNotWrap) {
    u8 byte = 0;
    for (size_t size : {SIZE_MAX, SIZE_MAX - 1, size_t{1} << 63, SIZE_MAX - number(area_) + 1}) {
        EXPECT_FALSE(UserCopy::from_user(&byte, number(area_), size));
        EXPECT_FALSE(UserCopy::to_user(number(area_), &byte, size));
    }
}

TEST_F(UserCopyFault, ReadOnlyMemoryRefusesWrites) {
    u8 bytes[32] = {1};
    ASSERT_EQ(mprotect(area_, kPage, PROT_READ), 0);
    EXPECT_TRUE(UserCopy::from_user(bytes, number(area_), sizeof(bytes)));
    EXPECT_FALSE(UserCopy::to_user(number(area_), bytes, sizeof(bytes)));
}

TEST_F(UserCopyFault, ReadsThatCannotFaultWorkInAnNmi) {
    if (kThreadSanitized) GTEST_SKIP() << "ThreadSanitizer runs no handler inside a handler";
    EntryOn inside(0);
    struct State {
        u64 good;
        u64 bad;
        bool read_good, read_bad;
    } state{number(area_), number(end_), false, true};
    send_nmi(
        0,
        [](void* to) {
            auto* what = static_cast<State*>(to);
            u64 value;
            what->read_good = host::read_nofault(&value, what->good, 8);
            what->read_bad = host::read_nofault(&value, what->bad, 8);
        },
        &state);
    EXPECT_TRUE(state.read_good);
    EXPECT_FALSE(state.read_bad);
}

TEST_F(UserCopyFault, FaultsInAFunctionAreCaught) {
    Fault fault{};
    EXPECT_FALSE(
        call_catching_faults([](void* at) { *static_cast<volatile u8*>(at) = 1; }, end_, &fault));
    EXPECT_TRUE(fault.signal == SIGSEGV || fault.signal == SIGBUS);
    EXPECT_EQ(fault.address, number(end_));
    EXPECT_TRUE(
        call_catching_faults([](void* at) { *static_cast<volatile u8*>(at) = 1; }, area_, &fault));
}

// Handlers that were there before us get every fault that is not ours, as they would have.
void exit_with_info(int, siginfo_t* info, void*) {
    _exit(info->si_addr == reinterpret_cast<void*>(0x10) ? 42 : 1);
}
void exit_plain(int signal) {
    _exit(signal == SIGSEGV ? 43 : 1);
}

void set_handler(void (*with_info)(int, siginfo_t*, void*), void (*plain)(int)) {
    struct sigaction action {};
    if (with_info) {
        action.sa_sigaction = with_info;
        action.sa_flags = SA_SIGINFO;
    } else {
        action.sa_handler = plain;
    }
    sigaction(SIGSEGV, &action, nullptr);
}

// A copy that faults (so our handlers are in place), then a fault of the application's own.
void fault_after_copy() {
    u8 byte;
    if (UserCopy::from_user(&byte, 8, 1)) _exit(2);
    u8* volatile nowhere = reinterpret_cast<u8*>(0x10);
    *nowhere = 1;
    _exit(3);
}

TEST(UserCopyHandlersDeathTest, ForeignHandlersAreChained) {
    if (kAddressSanitized || kThreadSanitized)
        GTEST_SKIP() << "the sanitizer has handlers of its own";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            set_handler(exit_with_info, nullptr);
            fault_after_copy();
        },
        testing::ExitedWithCode(42), "");
    EXPECT_EXIT(
        {
            set_handler(nullptr, exit_plain);
            fault_after_copy();
        },
        testing::ExitedWithCode(43), "");
    EXPECT_EXIT(
        {
            set_handler(nullptr, SIG_DFL);
            fault_after_copy();
        },
        testing::KilledBySignal(SIGSEGV), "");
    EXPECT_EXIT(
        {
            set_handler(nullptr, SIG_DFL);
            u8 byte;
            if (UserCopy::from_user(&byte, 8, 1)) _exit(2);
            raise(SIGSEGV);
            _exit(3);
        },
        testing::KilledBySignal(SIGSEGV), "");
    EXPECT_EXIT(
        {
            set_handler(nullptr, SIG_IGN);
            u8 byte;
            if (UserCopy::from_user(&byte, 8, 1)) _exit(2);
            raise(SIGSEGV);
            _exit(44);
        },
        testing::ExitedWithCode(44), "");
}

}  // namespace
}  // namespace barebpf::user
