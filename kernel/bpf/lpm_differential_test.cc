// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same random commands on LPM tries of this library and of the kernel that the test runs on: every
// result, every byte read and the order of walks must agree. BAREBPF_SEED=n runs that one.
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/lpm_model_test.h"
#include "kernel/bpf/map_client_test.h"

namespace barebpf {
namespace {

using Ours = test::MapClient<test::OurBpf>;
using Kernels = test::MapClient<test::KernelBpf>;
using lpm_test::Prefix;

class LpmDifferential : public ::testing::Test {
protected:
    void SetUp() override {
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
    }
    template <class Function>
    void both(const char* what, Function function) {
        const s64 ours = function(Ours{}, ours_);
        const s64 kernels = function(Kernels{}, kernels_);
        EXPECT_EQ(ours, kernels) << what;
    }

    host::Cpu::Entry inside_;
    std::mt19937 random_;
    int ours_ = -1, kernels_ = -1;
};

TEST_F(LpmDifferential, CreationIsRefusedAlike) {
    const u32 key_sizes[] = {0, 4, 5, 8, 260, 261, 1000, ~0u};
    const u32 value_sizes[] = {0, 1, 8, (1u << 22) - 400, 1u << 22, ~0u};
    const u32 flags[] = {0,     1,      1 | 8,   1 | 16,  1 | 8 | 16,
                         1 | 2, 1 | 64, 1 | 128, 1 | 256, 1 | 1024};
    for (const u32 key : key_sizes) {
        for (const u32 value : value_sizes) {
            for (const u32 flag : flags) {
                for (const u32 entries : {0u, 1u, ~0u}) {
                    const int a = Ours::create(BPF_MAP_TYPE_LPM_TRIE, key, value, entries, flag);
                    const int b = Kernels::create(BPF_MAP_TYPE_LPM_TRIE, key, value, entries, flag);
                    EXPECT_TRUE(a == b || (a >= 0 && b >= 0))
                        << a << " against " << b << ": " << key << " " << value << " " << flag;
                    if (a >= 0) Ours::close(a);
                    if (b >= 0) Kernels::close(b);
                }
            }
        }
    }
}

TEST_F(LpmDifferential, RandomCommandsGiveTheSameAnswers) {
    const u64 only = test::setting("seed", 0);
    for (u32 seed = only ? static_cast<u32>(only) : 1; seed <= (only ? only : 24); ++seed) {
        random_.seed(seed);
        const u32 sizes[] = {1, 2, 4, 4, 4, 8, 16, 100, 256};
        const u32 size = sizes[random_() % 9];
        const u32 entries = random_() % 3 ? 60 : 1 + random_() % 8;
        const u32 variety = 2 + random_() % 20;
        ours_ = Ours::create(BPF_MAP_TYPE_LPM_TRIE, 4 + size, 8, entries, BPF_F_NO_PREALLOC);
        kernels_ = Kernels::create(BPF_MAP_TYPE_LPM_TRIE, 4 + size, 8, entries, BPF_F_NO_PREALLOC);
        ASSERT_GE(ours_, 0);
        ASSERT_GE(kernels_, 0);
        std::vector<Prefix> used;
        for (u32 step = 0; step < 3000; ++step) {
            Prefix prefix = lpm_test::random_prefix(random_, size, variety);
            if (!used.empty() && random_() % 2) prefix = used[random_() % used.size()];
            if (random_() % 50 == 0) prefix.length = random_() % 2 ? 8 * size + 1 : ~0u;
            if (random_() % 10 == 0) prefix.length = 8 * size;
            used.push_back(prefix);
            const std::string key = prefix.key();
            const u64 flags = random_() % 4 ? 0 : random_() % 5;
            const u64 number = random_();
            u64 values[2] = {number, number};
            std::string next[2] = {std::string(4 + size, '\0'), std::string(4 + size, '\0')};
            const void* from = random_() % 30 ? key.data() : nullptr;
            switch (random_() % 6) {
                case 0:
                case 1:
                    both("update", [&](auto client, int fd) {
                        return client.update(fd, key.data(), &number, flags);
                    });
                    break;
                case 2:
                    both("delete",
                         [&](auto client, int fd) { return client.erase(fd, key.data()); });
                    break;
                case 3:
                    both("lookup", [&](auto client, int fd) {
                        return client.lookup(fd, key.data(), &values[fd == kernels_]);
                    });
                    EXPECT_EQ(values[0], values[1]);
                    break;
                case 4:
                    both("next key", [&](auto client, int fd) {
                        return client.next_key(fd, from, next[fd == kernels_].data());
                    });
                    EXPECT_EQ(next[0], next[1]);
                    break;
                default:
                    both("take", [&](auto client, int fd) {
                        return client.take(fd, key.data(), &values[fd == kernels_]);
                    });
                    break;
            }
            ASSERT_FALSE(HasFailure())
                << "BAREBPF_SEED=" << seed << ", step " << step << ", size " << size;
        }
        // The whole walk, in order.
        std::string at[2] = {std::string(4 + size, '\0'), std::string(4 + size, '\0')};
        s64 error = Ours::next_key(ours_, nullptr, at[0].data());
        EXPECT_EQ(error, Kernels::next_key(kernels_, nullptr, at[1].data()));
        for (u32 i = 0; error == 0 && i <= entries; ++i) {
            ASSERT_EQ(at[0], at[1]) << "BAREBPF_SEED=" << seed;
            std::string next[2] = {at[0], at[1]};
            error = Ours::next_key(ours_, at[0].data(), next[0].data());
            ASSERT_EQ(error, Kernels::next_key(kernels_, at[1].data(), next[1].data()));
            at[0] = next[0];
            at[1] = next[1];
        }
        Ours::close(ours_);
        Kernels::close(kernels_);
    }
}

}  // namespace
}  // namespace barebpf
