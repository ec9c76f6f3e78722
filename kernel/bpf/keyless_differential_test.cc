// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Queues, stacks and bloom filters of this library and of the kernel that the test runs on: the same
// commands give the same answers, but for what a bloom filter says of values never pushed.
#include <random>
#include <string>

#include "kernel/bpf/map_client_test.h"

namespace barebpf {
namespace {

using Ours = test::MapClient<test::OurBpf>;
using Kernels = test::MapClient<test::KernelBpf>;

class KeylessDifferential : public ::testing::Test {
protected:
    void SetUp() override {
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
    }
    static bpf_attr shape(u32 type, u32 key, u32 value, u32 entries, u32 flags, u64 extra) {
        bpf_attr attr = test::map_attr(type, key, value, entries, flags);
        attr.map_extra = extra;
        return attr;
    }

    host::Cpu::Entry inside_;
    std::mt19937 random_;
};

TEST_F(KeylessDifferential, CreationIsRefusedAlike) {
    for (const u32 type :
         {u32{BPF_MAP_TYPE_QUEUE}, u32{BPF_MAP_TYPE_STACK}, u32{BPF_MAP_TYPE_BLOOM_FILTER}}) {
        for (const u32 key : {0u, 1u, 4u}) {
            for (const u32 value : {0u, 1u, 8u, 1u << 22, (1u << 22) + 1, ~0u}) {
                for (const u32 entries : {0u, 1u, 100u}) {
                    for (const u32 flags : {0u, 1u, 2u, 8u, 16u, 24u, 64u, 128u, 256u, 1024u}) {
                        for (const u64 extra : {0ull, 1ull, 15ull, 16ull, 1ull << 40}) {
                            const bpf_attr attr = shape(type, key, value, entries, flags, extra);
                            const int a = Ours::create(attr), b = Kernels::create(attr);
                            EXPECT_TRUE(a == b || (a >= 0 && b >= 0))
                                << a << " against " << b << " type " << type << " value " << value
                                << " entries " << entries << " flags " << flags << " extra "
                                << extra;
                            if (a >= 0) Ours::close(a);
                            if (b >= 0) Kernels::close(b);
                        }
                    }
                }
            }
        }
    }
}

TEST_F(KeylessDifferential, RandomCommandsGiveTheSameAnswers) {
    for (u32 seed = 1; seed <= 12; ++seed) {
        random_.seed(seed);
        const u32 types[] = {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK, BPF_MAP_TYPE_BLOOM_FILTER};
        const u32 type = types[seed % 3];
        const u32 size = 1 + random_() % 20;
        const bpf_attr attr = shape(type, 0, size, 1 + random_() % 8, 0, 0);
        const int ours = Ours::create(attr), kernels = Kernels::create(attr);
        ASSERT_GE(ours, 0);
        ASSERT_GE(kernels, 0);
        const bool bloom = type == BPF_MAP_TYPE_BLOOM_FILTER;
        for (u32 step = 0; step < 3000; ++step) {
            std::string value(size, '\0');
            for (char& byte : value) byte = static_cast<char>(random_());
            std::string a = value, b = value;
            u32 key = 0;
            const void* key_at = random_() % 20 ? nullptr : &key;
            const u32 commands[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM,
                                    BPF_MAP_UPDATE_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM,
                                    BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY};
            const u32 command = commands[random_() % 6];
            if (bloom && command == BPF_MAP_LOOKUP_ELEM) continue;
            const bool no_value = command == BPF_MAP_DELETE_ELEM;
            const u64 flags = command == BPF_MAP_UPDATE_ELEM    ? random_() % 4
                              : random_() % 4 || no_value       ? 0
                              : command == BPF_MAP_GET_NEXT_KEY ? 0
                                                                : random_() % 8;
            const s64 x =
                Ours::element(command, ours, key_at, no_value ? nullptr : a.data(), flags);
            const s64 y =
                Kernels::element(command, kernels, key_at, no_value ? nullptr : b.data(), flags);
            ASSERT_EQ(x, y) << "seed " << seed << " step " << step << " command " << command
                            << " type " << type << " flags " << flags;
            ASSERT_TRUE(a == b) << "seed " << seed << " step " << step << " command " << command;
            if (bloom && command == BPF_MAP_UPDATE_ELEM && x == 0) {
                ASSERT_EQ(Ours::lookup(ours, nullptr, a.data()), 0);
                ASSERT_EQ(Kernels::lookup(kernels, nullptr, b.data()), 0);
            }
        }
        Ours::close(ours);
        Kernels::close(kernels);
    }
}

}  // namespace
}  // namespace barebpf
