// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Type information of maps: what MAP_CREATE accepts and refuses, here and in the kernel that the
// test runs on.
#include <vector>

#include "kernel/bpf/map.h"
#include "kernel/bpf/map_btf_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using test::btf::kLock;
using test::btf::kLocked;
using test::btf::kNone;
using test::btf::kU32;
using test::btf::kU64;
using test::btf::load;

bpf_attr with_types(u32 type, u32 key_size, u32 value_size, int btf, u32 key, u32 value) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key_size;
    attr.value_size = value_size;
    attr.max_entries = 2;
    attr.btf_fd = static_cast<u32>(btf);
    attr.btf_key_type_id = key;
    attr.btf_value_type_id = value;
    return attr;
}

struct Case {
    u32 type, key_size, value_size, key, value, flags;
    Errno error;  // {}: accepted
};
const Case kCases[] = {
    {BPF_MAP_TYPE_HASH, 4, 8, kU32, kU64, 0, {}},
    {BPF_MAP_TYPE_ARRAY, 4, 8, kU32, kU64, 0, {}},
    {BPF_MAP_TYPE_HASH, 8, 8, kU32, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_HASH, 4, 4, kU32, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_HASH, 4, 8, kNone, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_ARRAY, 4, 8, kNone, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_ARRAY, 4, 8, kLock, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_HASH, 4, 8, kLock, kU64, 0, {}},
    {BPF_MAP_TYPE_HASH, 4, 8, 99, kU64, 0, Errno::Inval},
    {BPF_MAP_TYPE_HASH, 4, 8, kU32, 99, 0, Errno::Inval},
    {BPF_MAP_TYPE_HASH, 4, 16, kU32, kLocked, 0, {}},
    {BPF_MAP_TYPE_ARRAY, 4, 16, kU32, kLocked, 0, {}},
    {BPF_MAP_TYPE_ARRAY, 4, 16, kU32, kLocked, BPF_F_RDONLY_PROG, Errno::Acces},
    {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, kU32, kU32, 0, {}},
    {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, kNone, kU32, 0, Errno::Inval},
};

template <class Bpf>
std::vector<s64> answers() {
    const int btf = load<Bpf>();
    EXPECT_GE(btf, 0);
    std::vector<s64> result;
    for (const Case& c : kCases) {
        bpf_attr attr = with_types(c.type, c.key_size, c.value_size, btf, c.key, c.value);
        attr.map_flags = c.flags;
        const int fd = test::MapClient<Bpf>::create(attr);
        result.push_back(fd < 0 ? fd : 0);
        if (fd >= 0) Bpf::close(fd);
    }
    Bpf::close(btf);
    return result;
}

TEST(MapBtf, TypesMustFitTheMap) {
    host::Cpu::Entry inside;
    const std::vector<s64> ours = answers<test::OurBpf>();
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_EQ(ours[i], -to_int(kCases[i].error)) << i;
}

TEST(MapBtf, TheRunningKernelAgrees) {
    const int fd = load<test::KernelBpf>();
    if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
    test::KernelBpf::close(fd);
    const std::vector<s64> kernels = answers<test::KernelBpf>();
    for (size_t i = 0; i < kernels.size(); ++i) {
        EXPECT_EQ(kernels[i], -to_int(kCases[i].error)) << i;
    }
}

TEST(MapBtf, LocksAreFoundAndKept) {
    host::Cpu::Entry inside;
    using Client = test::MapClient<test::OurBpf>;
    const int btf = load<test::OurBpf>();
    const int fd = Client::create(with_types(BPF_MAP_TYPE_HASH, 4, 16, btf, kU32, kLocked));
    ASSERT_GE(fd, 0);
    test::OurBpf::close(btf);
    const u32 key = 1;
    u32 value[4] = {1, 0xdead, 3, 4};
    EXPECT_EQ(Client::update(fd, &key, value, BPF_F_LOCK), 0);
    EXPECT_EQ(Client::update(fd, &key, value, BPF_F_LOCK | BPF_EXIST), 0);
    EXPECT_EQ(Client::lookup(fd, &key, value, BPF_F_LOCK), 0);
    EXPECT_EQ(value[0], 1u);
    EXPECT_EQ(value[1], 0u);
    EXPECT_EQ(value[3], 4u);
    bpf_map_info info{};
    u32 size = sizeof info;
    EXPECT_EQ(Client::info(fd, &info, &size), 0);
    EXPECT_EQ(info.btf_value_type_id, kLocked);
    EXPECT_NE(info.btf_id, 0u);
    Client::close(fd);
}

}  // namespace
}  // namespace barebpf
