// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Descriptors and mappings of them.
#include "testkit/guest/guest.h"
#include "testkit/guest/page_table.h"
#include "testkit/guest/test_object_test.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using host::Cpu;
using host::FileMode;
using host::kPageSize;

class GuestDescriptors : public testing::Test {
protected:
    void SetUp() override {
        Cpu::Entry inside;
        ASSERT_TRUE(object_.memory.create(4, object_.owner));
    }
    void TearDown() override {
        Cpu::Entry inside;
        object_.memory.destroy();
    }
    int install(FileMode mode = FileMode::ReadWrite) {
        Cpu::Entry inside;
        auto fd = host::install_fd(&object_, mode);
        return fd.ok() ? fd.value() : -to_int(fd.error());
    }
    Errno mmap_error(int fd, u64 offset, u64 length, bool writable) {
        auto result = mmap_object(fd, offset, length, writable);
        return result.ok() ? Errno{} : result.error();
    }
    u32 released() { return object_.released.load(Order::Acquire); }

    TestObject object_;
};

TEST_F(GuestDescriptors, AreFoundUntilClosed) {
    const int fd = install(FileMode::ReadOnly);
    ASSERT_GE(fd, 3);
    EXPECT_TRUE(machine::fd_is_ours(fd));
    EXPECT_STREQ(machine::fd_name(fd), "anon_inode:bpf-test");
    char text[32];
    TextBuffer out(text);
    EXPECT_TRUE(machine::fd_info(fd, &out));
    EXPECT_STREQ(out.c_str(), "test:\t1\n");
    static u32 pins;
    pins = 0;
    {
        Cpu::Entry inside;
        auto ref = host::get_fd(fd, [](host::FileObject*) { ++pins; });
        ASSERT_TRUE(ref.ok());
        EXPECT_EQ(ref.value().object, &object_);
        EXPECT_EQ(ref.value().mode, FileMode::ReadOnly);
        EXPECT_EQ(pins, 1u);
    }
    EXPECT_EQ(machine::close_fd(fd), 0);
    EXPECT_EQ(released(), 1u);
    EXPECT_EQ(machine::close_fd(fd), -to_int(Errno::BadF));
    EXPECT_EQ(machine::fd_name(fd), nullptr);
    Cpu::Entry inside;
    EXPECT_EQ(host::get_fd(fd, [](host::FileObject*) { ++pins; }).error(), Errno::BadF);
    EXPECT_EQ(host::get_fd(-1, [](host::FileObject*) { ++pins; }).error(), Errno::BadF);
    EXPECT_EQ(host::get_fd(1, [](host::FileObject*) { ++pins; }).error(), Errno::Inval);
    EXPECT_EQ(pins, 1u);
}

TEST_F(GuestDescriptors, TheLowestFreeNumberIsTaken) {
    const int first = install();
    const int second = install();
    EXPECT_EQ(second, first + 1);
    machine::close_fd(first);
    EXPECT_EQ(install(), first);
    machine::close_fd(first);
    machine::close_fd(second);
    EXPECT_EQ(released(), 3u);
}

TEST_F(GuestDescriptors, RunningOutIsEmfile) {
    int count = 0;
    int fd;
    while ((fd = install()) >= 0) ++count;
    EXPECT_EQ(fd, -to_int(Errno::MFile));
    EXPECT_GT(count, 1000);
    Cpu::Entry inside;
    backend::Fd::close_all();
    EXPECT_EQ(released(), static_cast<u32>(count));
}

// Readers that found it may still use it: the release waits for them.
TEST_F(GuestDescriptors, TheLastCloseWaitsForReaders) {
    if (test::cpus() < 2) GTEST_SKIP() << "needs 2 CPUs";
    static int fd;
    static Atomic<u32> phase;
    static Atomic<u32> early;
    static TestObject* object;
    fd = install();
    object = &object_;
    phase.store(0, Order::Relaxed);
    early.store(0, Order::Relaxed);
    test::run_on_cpus(2, [](u32 cpu) {
        if (cpu == 1) {
            // Inside all the time: a reader.
            phase.store(1, Order::Release);
            while (phase.load(Order::Acquire) != 2) backend::spin_hint();
            const u64 end = host::Clock::monotonic_ns() + 20'000'000;
            while (host::Clock::monotonic_ns() < end) {
                if (object->released.load(Order::Acquire)) early.store(1, Order::Relaxed);
            }
            return;
        }
        while (!phase.load(Order::Acquire)) backend::spin_hint();
        phase.store(2, Order::Release);
        machine::close_fd(fd);
    });
    EXPECT_EQ(early.load(Order::Relaxed), 0u);
    EXPECT_EQ(released(), 1u);
}

TEST_F(GuestDescriptors, MappingsShowThePagesAndHoldTheObject) {
    const int fd = install();
    auto read_write = mmap_object(fd, 0, 2 * kPageSize, true);
    auto read_only = mmap_object(fd, kPageSize, kPageSize + 1, false);
    ASSERT_TRUE(read_write.ok());
    ASSERT_TRUE(read_only.ok());
    EXPECT_EQ(object_.maps, 2);
    machine::close_fd(fd);
    EXPECT_EQ(released(), 0u);
    auto* to = static_cast<volatile u32*>(read_write.value());
    auto* from = static_cast<volatile u32*>(read_only.value());
    to[kPageSize / 4] = 0x12345678;
    EXPECT_EQ(from[0], 0x12345678u);
    auto* own = static_cast<volatile u32*>(object_.memory.address());
    EXPECT_EQ(own[kPageSize / 4], 0x12345678u);
    u32 value = 1;
    EXPECT_FALSE(arch::copy_nofault(read_only.value(), &value, 4));
    EXPECT_TRUE(arch::copy_nofault(read_write.value(), &value, 4));
    EXPECT_FALSE(
        arch::copy_nofault(&value, static_cast<u8*>(read_write.value()) + 2 * kPageSize, 4));

    EXPECT_TRUE(munmap_object(read_write.value()).ok());
    EXPECT_EQ(object_.maps, 1);
    EXPECT_FALSE(arch::copy_nofault(&value, read_write.value(), 4));
    EXPECT_EQ(munmap_object(read_write.value()).error(), Errno::Inval);
    EXPECT_TRUE(munmap_object(read_only.value()).ok());
    EXPECT_EQ(object_.maps, 0);
    EXPECT_EQ(released(), 1u);
}

TEST_F(GuestDescriptors, MappingsThatAreRefused) {
    const int fd = install();
    EXPECT_EQ(mmap_error(fd, 0, 0, false), Errno::Inval);
    EXPECT_EQ(mmap_error(fd, 1, kPageSize, false), Errno::Inval);
    EXPECT_EQ(mmap_error(fd, 0, SIZE_MAX, false), Errno::Inval);
    EXPECT_EQ(mmap_error(fd, 0, 5 * kPageSize, false), Errno::Inval);
    EXPECT_EQ(mmap_error(fd, 4 * kPageSize, kPageSize, false), Errno::Inval);
    EXPECT_EQ(mmap_error(fd + 7, 0, kPageSize, false), Errno::BadF);
    const int read_only = install(FileMode::ReadOnly);
    const int write_only = install(FileMode::WriteOnly);
    EXPECT_EQ(mmap_error(read_only, 0, kPageSize, true), Errno::Acces);
    EXPECT_EQ(mmap_error(write_only, 0, kPageSize, false), Errno::Acces);
    EXPECT_EQ(object_.maps, 0);
    machine::close_fd(fd);
    machine::close_fd(read_only);
    machine::close_fd(write_only);
    EXPECT_EQ(released(), 3u);
}

}  // namespace
}  // namespace barebpf::guest
