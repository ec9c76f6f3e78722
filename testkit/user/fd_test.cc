// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "kernel/lib/text.h"
#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::user {
namespace {

using host::Cpu;
using host::FileMode;

// A mappable, pollable object that counts what happens to it.
struct Object : host::FileObject {
    host::MappedPages memory;
    host::WaitQueue queue;
    std::atomic<u32> references{1};
    std::atomic<u32> released{0};
    std::atomic<s32> maps{0};
    std::atomic<bool> ready{false};
    std::atomic<bool> alive{true};
    bool may_write = true;
};

Object* of(host::FileObject* object) {
    return static_cast<Object*>(object);
}
void release(host::FileObject* object) {
    of(object)->alive = false;
    ++of(object)->released;
    --of(object)->references;
}
void show(host::FileObject*, TextBuffer* out) {
    out->print("map_type:\t2\n");
}
Result<host::MmapPages> map(host::FileObject* object, const host::MmapRequest& request) {
    if (!request.shared) return Errno::Inval;
    if (request.writable && !of(object)->may_write) return Errno::Perm;
    ++of(object)->maps;
    const u32 first = static_cast<u32>(request.offset / host::kPageSize);
    auto& memory = of(object)->memory;
    return host::MmapPages{memory.pages() + first, memory.mapped_count() - first,
                           of(object)->may_write};
}
void unmap(host::FileObject* object, const host::MmapRequest&) {
    --of(object)->maps;
}
u32 poll_object(host::FileObject* object) {
    return of(object)->ready ? POLLIN : 0;
}
host::WaitQueue* queue_of(host::FileObject* object) {
    return &of(object)->queue;
}
constexpr host::FileOps kOps{host::FileKind::Map, "bpf-map", release, show, map, unmap,
                             poll_object,         queue_of};

class Descriptors : public testing::Test {
protected:
    void SetUp() override {
        object_.file_ops = &kOps;
        Cpu::Entry inside;
        ASSERT_TRUE(object_.memory.create(4, owner_));
    }
    void TearDown() override {
        Cpu::Entry inside;
        object_.queue.close();
    }
    int install(FileMode mode = FileMode::ReadWrite) {
        Cpu::Entry inside;
        auto fd = host::install_fd(&object_, mode);
        return fd.ok() ? fd.value() : -1;
    }
    static bool is_ours(int fd) {
        Cpu::Entry inside;
        auto ref = host::get_fd(fd, [](host::FileObject* object) { ++of(object)->references; });
        if (!ref.ok()) return false;
        --of(ref.value().object)->references;
        return true;
    }
    host::MemoryOwner owner_;
    Object object_;
};

TEST_F(Descriptors, LastCloseReleases) {
    int fd = install();
    ASSERT_GE(fd, 0);
    EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(is_ours(fd));
    EXPECT_FALSE(is_ours(fd + 1));
    EXPECT_FALSE(is_ours(-1));
    EXPECT_FALSE(is_ours(1 << 30));
    EXPECT_STREQ(fd_name(fd), "anon_inode:bpf-map");

    int copy = dup(fd);
    fd_duplicated(fd, copy);
    EXPECT_EQ(close_fd(fd), 0);
    EXPECT_EQ(object_.released, 0u);
    EXPECT_TRUE(is_ours(copy));
    EXPECT_FALSE(is_ours(fd));
    EXPECT_EQ(close_fd(fd), -EBADF);
    EXPECT_EQ(close_fd(copy), 0);
    EXPECT_EQ(object_.released, 1u);
}

TEST_F(Descriptors, DuplicatesOverEachOther) {
    Object other;
    other.file_ops = &kOps;
    int first = install();
    int second;
    {
        Cpu::Entry inside;
        second = host::install_fd(&other, FileMode::ReadOnly).value();
    }
    ASSERT_EQ(dup2(first, second), second);
    fd_duplicated(first, second);
    EXPECT_EQ(other.released, 1u);
    // A foreign descriptor over one of ours.
    int null = open("/dev/null", O_RDONLY);
    ASSERT_EQ(dup2(null, second), second);
    fd_duplicated(null, second);
    EXPECT_FALSE(fd_is_ours(second));
    EXPECT_EQ(object_.released, 0u);
    close(null);
    close(second);
    close_fd(first);
    EXPECT_EQ(object_.released, 1u);
    other.queue.close();
}

TEST_F(Descriptors, ANumberReusedBehindOurBackIsNoticed) {
    int fd = install();
    close(fd);  // nobody tells us
    Object other;
    other.file_ops = &kOps;
    Cpu::Entry inside;
    int again = host::install_fd(&other, FileMode::ReadWrite).value();
    ASSERT_EQ(again, fd);
    EXPECT_EQ(object_.released, 1u);
    EXPECT_EQ(other.released, 0u);
    // A close while we are inside releases when we leave.
    close_fd(again);
    EXPECT_EQ(other.released, 0u);
    {
        Outside outside;
        EXPECT_EQ(other.released, 1u);
    }
    other.queue.close();
}

// Readers look a descriptor up while it is closed and made anew: what they get is never released.
TEST_F(Descriptors, LookupsRaceWithClose) {
    std::atomic<bool> stop{false};
    std::atomic<u32> bad{0};
    // The number may change: a thread that starts opens and closes files of its own.
    std::atomic<int> fd{install()};
    std::thread reader([&] {
        while (!stop) {
            Cpu::Entry inside;
            auto ref = host::get_fd(fd, [](host::FileObject*) {});
            if (ref.ok() && !object_.alive) ++bad;
        }
    });
    for (u32 i = 0; i < 2000; ++i) {
        EXPECT_EQ(close_fd(fd), 0);
        EXPECT_EQ(object_.released, i + 1);
        object_.alive = true;
        fd = install();
        EXPECT_GE(fd, 0);
    }
    stop = true;
    reader.join();
    close_fd(fd);
    EXPECT_EQ(bad, 0u);
}

TEST_F(Descriptors, InfoTextComesFromTheObject) {
    int fd = install();
    char text[64];
    TextBuffer buffer(text, sizeof(text));
    EXPECT_TRUE(fd_info(fd, &buffer));
    EXPECT_STREQ(text, "map_type:\t2\n");
    close_fd(fd);
    EXPECT_FALSE(fd_info(fd, &buffer));
    EXPECT_EQ(fd_name(fd), nullptr);
}

TEST_F(Descriptors, WakeUpsReachEpoll) {
    int fd = install();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{EPOLLIN, {}};
    ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    EXPECT_EQ(fd_poll(fd), 0u);
    object_.ready = true;
    object_.queue.wake_all();
    object_.queue.wake_all();
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 1000), 1);
    EXPECT_EQ(fd_poll(fd), u32{POLLIN});
    // A duplicate is ready as well; draining ends it for both until the next wake-up.
    object_.ready = false;
    fd_drain(fd);
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    std::thread waker([&] { object_.queue.wake_all(); });
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 10000), 1);
    waker.join();
    close(epoll);
    close_fd(fd);
}

TEST_F(Descriptors, MappingsShowTheSamePages) {
    int fd = install();
    auto* inside = static_cast<volatile u8*>(object_.memory.address());
    long at = mmap_object(nullptr, 2 * host::kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                          host::kPageSize);
    ASSERT_GT(at, 0);
    auto* seen = reinterpret_cast<volatile u8*>(at);
    inside[host::kPageSize + 5] = 42;
    EXPECT_EQ(seen[5], 42);
    seen[host::kPageSize] = 7;
    EXPECT_EQ(inside[2 * host::kPageSize], 7);
    // The mapping keeps the object; it goes page by page.
    EXPECT_EQ(close_fd(fd), 0);
    EXPECT_EQ(object_.released, 0u);
    char* start = reinterpret_cast<char*>(at);
    munmap(start, host::kPageSize);
    munmapped(start, host::kPageSize);
    EXPECT_EQ(object_.maps, 1);
    EXPECT_EQ(seen[host::kPageSize], 7);
    munmap(start + host::kPageSize, host::kPageSize);
    munmapped(start + host::kPageSize, host::kPageSize);
    EXPECT_EQ(object_.maps, 0);
    EXPECT_EQ(object_.released, 1u);
}

TEST_F(Descriptors, UnmappingTheMiddleLeavesTwoParts) {
    int fd = install();
    char* at = reinterpret_cast<char*>(
        mmap_object(nullptr, 4 * host::kPageSize, PROT_READ, MAP_SHARED, fd, 0));
    munmapped(at + host::kPageSize, 1);
    munmapped(at, 1);
    EXPECT_EQ(object_.maps, 1);
    // A mapping of something else on top ends the rest.
    munmapped(at - host::kPageSize, 100 * host::kPageSize);
    EXPECT_EQ(object_.maps, 0);
    munmap(at, 4 * host::kPageSize);
    close_fd(fd);
    EXPECT_EQ(object_.released, 1u);
}

TEST_F(Descriptors, MappingAtAFixedAddressReplacesOurs) {
    int fd = install();
    long first = mmap_object(nullptr, 2 * host::kPageSize, PROT_READ, MAP_SHARED, fd, 0);
    auto* at = reinterpret_cast<u8*>(first);
    long second = mmap_object(at, 2 * host::kPageSize, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 8192);
    EXPECT_EQ(second, first);
    EXPECT_EQ(object_.maps, 1);
    munmap(at, 2 * host::kPageSize);
    munmapped(at, 2 * host::kPageSize);
    EXPECT_EQ(object_.maps, 0);
    close_fd(fd);
}

TEST_F(Descriptors, MappingsThatAreRefused) {
    int fd = install();
    constexpr size_t kPage = host::kPageSize;
    EXPECT_EQ(mmap_object(nullptr, 0, PROT_READ, MAP_SHARED, fd, 0), -EINVAL);
    EXPECT_EQ(mmap_object(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 1), -EINVAL);
    EXPECT_EQ(mmap_object(nullptr, SIZE_MAX, PROT_READ, MAP_SHARED, fd, 0), -EINVAL);
    EXPECT_EQ(mmap_object(nullptr, 5 * kPage, PROT_READ, MAP_SHARED, fd, 0), -EINVAL);
    EXPECT_EQ(mmap_object(nullptr, kPage, PROT_READ, MAP_PRIVATE, fd, 0), -EINVAL);
    EXPECT_EQ(mmap_object(nullptr, kPage, PROT_READ, MAP_SHARED, fd + 7, 0), -EBADF);
    EXPECT_EQ(object_.maps, 0);
    // Never to become writable, by mprotect either.
    object_.may_write = false;
    EXPECT_EQ(mmap_object(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), -EPERM);
    long at = mmap_object(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_GT(at, 0);
    EXPECT_EQ(mprotect(reinterpret_cast<void*>(at), kPage, PROT_READ | PROT_WRITE), -1);
    munmap(reinterpret_cast<void*>(at), kPage);
    munmapped(reinterpret_cast<void*>(at), kPage);
    close_fd(fd);
    EXPECT_EQ(object_.released, 1u);
}

TEST_F(Descriptors, AMovedMappingIsFollowed) {
    int fd = install();
    constexpr size_t kPage = host::kPageSize;
    char* at =
        reinterpret_cast<char*>(mmap_object(nullptr, 3 * kPage, PROT_READ, MAP_SHARED, fd, 0));
    char* elsewhere = reinterpret_cast<char*>(uintptr_t{1} << 44);  // only recorded, never touched
    mapping_moved(at + kPage, elsewhere, kPage);
    EXPECT_TRUE(object_is_mapped(at, 1));
    EXPECT_FALSE(object_is_mapped(at + kPage, kPage));
    EXPECT_TRUE(object_is_mapped(at + 2 * kPage, kPage));
    EXPECT_TRUE(object_is_mapped(elsewhere + kPage - 1, 1));
    EXPECT_FALSE(object_is_mapped(elsewhere + kPage, kPage));
    munmap(at, 3 * kPage);
    munmapped(at, 3 * kPage);
    EXPECT_EQ(object_.maps, 1);
    munmapped(elsewhere, kPage);
    EXPECT_EQ(object_.maps, 0);
    close_fd(fd);
    EXPECT_EQ(object_.released, 1u);
}

// The event counter of the wait queue is the library's own.
TEST_F(Descriptors, HiddenOnesAreFoundAmongOurs) {
    const int fd = install();
    u32 ours = 0;
    u32 hidden = 0;
    for (int next = next_fd(0); next >= 0; next = next_fd(next + 1)) {
        ours += fd_is_ours(next);
        hidden += fd_is_hidden(next);
        EXPECT_NE(fd_is_ours(next), fd_is_hidden(next));
        EXPECT_NE(fcntl(next, F_GETFD), -1);
    }
    EXPECT_EQ(ours, 1u);
    EXPECT_GE(hidden, 2u);  // with the page file
    {
        Cpu::Entry inside;
        object_.queue.close();
    }
    u32 left = 0;
    for (int next = next_fd(0); next >= 0; next = next_fd(next + 1)) left += fd_is_hidden(next);
    EXPECT_EQ(left, hidden - 1);
    close_fd(fd);
}

TEST_F(Descriptors, InheritedOnesAreToldApart) {
    const int fd = install();
    const int hidden = object_.queue.descriptor();
    pid_t child = fork();
    if (child == 0) {
        after_fork_in_child();
        if (!fd_is_inherited(fd) || fd_is_inherited(fd + 1) || fd_is_ours(fd)) _exit(1);
        if (fcntl(hidden, F_GETFD) != -1) _exit(2);
        if (take_inherited_use() || is_ours(fd) || !take_inherited_use()) _exit(3);
        if (is_ours(fd + 1) || take_inherited_use()) _exit(4);
        const int copy = dup(fd);
        fd_duplicated(fd, copy);
        if (!fd_is_inherited(copy)) _exit(5);
        fd_closed(copy);
        if (fd_is_inherited(copy) || !fd_is_inherited(fd)) _exit(6);
        fd_duplicated(0, fd);
        if (fd_is_inherited(fd)) _exit(7);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_NE(fcntl(hidden, F_GETFD), -1);
    close_fd(fd);
}

TEST_F(Descriptors, AForkedChildHasAnEmptyWorld) {
    int fd = install();
    object_.memory.pages();
    pid_t child = fork();
    if (child == 0) {
        after_fork_in_child();
        if (fd_is_ours(fd)) _exit(1);
        Cpu::Entry inside;
        host::MemoryOwner owner;
        // Pages of its own: what it writes the parent does not see.
        host::MappedPages mine;
        if (!mine.create(4, owner)) _exit(2);
        memset(mine.address(), 0xff, 4 * host::kPageSize);
        host::ExecMemory code;
        if (!host::exec_reserve(64, &code, owner) || !host::exec_publish(&code)) _exit(3);
        host::rcu_barrier();
        if (live_memory().blocks > 3) _exit(4);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(*static_cast<volatile u8*>(object_.memory.address()), 0);
    EXPECT_TRUE(is_ours(fd));
    close_fd(fd);
}

}  // namespace
}  // namespace barebpf::user
