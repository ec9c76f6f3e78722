// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/prog_array.h"

#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/host/fd.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::error;

class ProgArrayTest : public ::testing::Test {
protected:
    void SetUp() override {
        array_ = Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4);
        ASSERT_GE(array_, 0);
    }
    void TearDown() override {
        if (array_ >= 0) Client::close(array_);
        for (int fd : fds_) Client::close(fd);
        for (u32 i = 0; i < 4; ++i) host::rcu_barrier();
    }
    // A program that nobody runs; what matters is its type, engine and id.
    Prog* make(u32 type, bool jited, int* fd) {
        Prog* prog = prog_alloc();
        prog->type = type;
        prog->jited = jited;
        EXPECT_TRUE(prog_publish(prog).ok());
        *fd = host::install_fd(prog, host::FileMode::ReadWrite).release();
        fds_.push_back(*fd);
        return prog;
    }
    s64 put(u32 index, int fd, u64 flags = 0) { return Client::update(array_, &index, &fd, flags); }
    s64 get(u32 index) {
        u32 id = 0;
        const s64 result = Client::lookup(array_, &index, &id);
        return result ? result : id;
    }
    s64 erase(u32 index) { return Client::erase(array_, &index); }
    u32 refs(const Prog* prog) { return prog->refs.load(host::Order::Relaxed); }

    host::Cpu::Entry inside_;
    int array_ = -1;
    std::vector<int> fds_;
};

TEST_F(ProgArrayTest, TakesDescriptorsAndGivesIds) {
    int fd;
    Prog* prog = make(BPF_PROG_TYPE_XDP, false, &fd);
    EXPECT_EQ(get(1), error(Errno::NoEnt));
    EXPECT_EQ(put(1, fd), 0);
    EXPECT_EQ(get(1), prog->id);
    EXPECT_EQ(refs(prog), 2u);
    EXPECT_EQ(put(1, fd), 0);
    EXPECT_EQ(refs(prog), 2u);
    EXPECT_EQ(get(4), error(Errno::NoEnt));
    EXPECT_EQ(put(4, fd), error(Errno::TooBig));
    EXPECT_EQ(put(1, fd, BPF_NOEXIST), error(Errno::Inval));
    EXPECT_EQ(put(1, fd, BPF_EXIST), error(Errno::Inval));
    EXPECT_EQ(put(2, 9999), error(Errno::BadF));
    EXPECT_EQ(put(2, array_), error(Errno::Inval));
    EXPECT_EQ(erase(1), 0);
    EXPECT_EQ(erase(1), error(Errno::NoEnt));
    EXPECT_EQ(erase(4), error(Errno::TooBig));
    EXPECT_EQ(refs(prog), 1u);
    u32 key = 1, value = 0;
    EXPECT_EQ(Client::take(array_, &key, &value), error(Errno::NotSupp));
}

TEST_F(ProgArrayTest, TheFirstProgramDecidesWhichOthersMay) {
    int xdp, compiled, filter;
    make(BPF_PROG_TYPE_XDP, false, &xdp);
    make(BPF_PROG_TYPE_XDP, true, &compiled);
    Prog* refused = make(BPF_PROG_TYPE_SOCKET_FILTER, false, &filter);
    EXPECT_EQ(put(0, xdp), 0);
    EXPECT_EQ(put(1, compiled), error(Errno::Inval));
    EXPECT_EQ(put(1, filter), error(Errno::Inval));
    EXPECT_EQ(refs(refused), 1u);
    EXPECT_EQ(erase(0), 0);
    EXPECT_EQ(put(1, filter), error(Errno::Inval));  // for good, not only while it is there
    EXPECT_EQ(put(1, xdp), 0);
}

TEST_F(ProgArrayTest, IsEmptiedWhenUserSpaceLetsGo) {
    int fd;
    Prog* prog = make(BPF_PROG_TYPE_XDP, false, &fd);
    EXPECT_EQ(put(3, fd), 0);
    Map* map = map_get_by_fd(array_).release().map;  // as a program that uses it holds it
    Client::close(array_);
    array_ = -1;
    EXPECT_EQ(refs(prog), 1u);
    EXPECT_EQ(prog_array_get(map, 3), nullptr);
    map_put(map);
}

TEST_F(ProgArrayTest, ChecksAreLinuxs) {
    const auto create = [](u32 key, u32 value, u32 entries, u32 flags) {
        return Client::create(BPF_MAP_TYPE_PROG_ARRAY, key, value, entries, flags);
    };
    EXPECT_EQ(create(8, 4, 4, 0), error(Errno::Inval));
    EXPECT_EQ(create(4, 8, 4, 0), error(Errno::Inval));
    EXPECT_EQ(create(4, 4, 0, 0), error(Errno::Inval));
    for (const u32 flags : {BPF_F_RDONLY_PROG, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC}) {
        EXPECT_EQ(create(4, 4, 4, flags), error(Errno::Inval)) << flags;
    }
}

}  // namespace
}  // namespace barebpf
