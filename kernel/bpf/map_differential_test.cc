// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same random commands to this library and to the kernel that the test runs on: every result,
// every byte read and, as sets, every walk must agree. A failure prints the seed and the step;
// BAREBPF_SEED=n runs that one.
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Ours = test::MapClient<test::OurBpf>;
using Kernels = test::MapClient<test::KernelBpf>;
using Bytes = std::string;

struct Shape {
    u32 type, key_size, value_size, entries, flags;
};

// A map that exists twice.
struct Twin {
    int ours, kernels;
    Shape shape;
};

class Differential : public ::testing::Test {
protected:
    void SetUp() override {
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
    }
    void TearDown() override {
        for (Twin& twin : twins_) close(twin);
    }
    void close(Twin& twin) {
        Ours::close(twin.ours);
        Kernels::close(twin.kernels);
    }
    u32 pick(std::initializer_list<u32> choices) {
        return choices.begin()[random_() % choices.size()];
    }
    bool one_in(u32 n) { return random_() % n == 0; }

    Shape random_shape() {
        Shape shape;
        shape.type =
            pick({BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH});
        shape.key_size = shape.type == BPF_MAP_TYPE_ARRAY ? 4 : pick({1, 3, 4, 8, 16, 20, 64});
        shape.value_size = pick({1, 4, 8, 13, 64, 300});
        shape.entries = pick({1, 2, 5, 16, 100});
        shape.flags = 0;
        if (shape.type == BPF_MAP_TYPE_HASH) shape.flags |= pick({0, BPF_F_NO_PREALLOC});
        if (shape.type == BPF_MAP_TYPE_ARRAY) shape.flags |= pick({0, BPF_F_MMAPABLE});
        if (shape.type == BPF_MAP_TYPE_LRU_HASH) {
            shape.entries = pick({400, 1000});  // for few keys: nothing is evicted
            shape.flags |= pick({0, BPF_F_NO_COMMON_LRU});
        }
        if (one_in(6)) shape.flags |= pick({BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG});
        return shape;
    }
    // Something about the shape is out of the ordinary, and most often wrong.
    void make_wild(Shape* shape) {
        switch (random_() % 6) {
            case 0:
                shape->key_size = pick({0, 5, 513, 70000, 0x7fffffff, ~0u});
                break;
            case 1:
                shape->value_size = pick({0, (1u << 22) - 57, (1u << 22) - 48, 1u << 22, ~0u});
                shape->entries = 1;
                break;
            case 2:
                shape->entries = pick({0, (1u << 27) + 1, 1u << 31, ~0u});
                break;
            case 3:
                shape->flags = 1u << random_() % 32;
                break;
            case 4:
                shape->flags = static_cast<u32>(random_());
                break;
            default:
                shape->type = pick({0, 34, 1000, ~0u});
                break;
        }
        // Beyond this it depends on the machine's memory, not on rules.
        if (shape->type == BPF_MAP_TYPE_ARRAY && shape->entries > (1u << 27)) shape->entries = 0;
        // A flag of a later kernel, or a descriptor field that we do not set.
        shape->flags &= 0x1fff;
    }

    void create() {
        Shape shape = random_shape();
        if (one_in(3)) make_wild(&shape);
        const int ours =
            Ours::create(shape.type, shape.key_size, shape.value_size, shape.entries, shape.flags);
        const int kernels = Kernels::create(shape.type, shape.key_size, shape.value_size,
                                            shape.entries, shape.flags);
        const bool huge = shape.value_size > 1000 || shape.key_size > 1000;
        if (ours >= 0 && kernels >= 0 && !huge) {
            twins_.push_back({ours, kernels, shape});
            return;
        }
        EXPECT_TRUE(ours == kernels || (ours >= 0 && kernels >= 0))
            << ours << " against " << kernels << " type " << shape.type << " key " << shape.key_size
            << " value " << shape.value_size << " entries " << shape.entries << " flags "
            << shape.flags;
        if (ours >= 0) Ours::close(ours);
        if (kernels >= 0) Kernels::close(kernels);
    }

    Bytes random_key(const Twin& twin) {
        // Few distinct keys, so that they meet.
        const bool lru = twin.shape.type == BPF_MAP_TYPE_LRU_HASH;
        const u32 number = random_() % (lru ? 40 : twin.shape.entries * 2 + 1);
        Bytes key(twin.shape.key_size, '\0');
        std::memcpy(key.data(), &number, std::min<size_t>(4, key.size()));
        if (key.size() > 4) key.back() = static_cast<char>(number * 3);
        return key;
    }
    u64 random_flags() {
        if (!one_in(4)) return pick({BPF_ANY, BPF_NOEXIST, BPF_EXIST});
        return one_in(2) ? random_() % 16 : random_();
    }
    const void* maybe_bad(const Bytes& bytes) {
        return one_in(40) ? reinterpret_cast<const void*>(8) : bytes.data();
    }

    template <class Call>
    void both(const char* what, Call call) {
        const auto [ours, kernels] = call();
        EXPECT_EQ(ours, kernels) << what;
    }

    void element(Twin& twin) {
        const Bytes key = random_key(twin);
        Bytes value(twin.shape.value_size, '\0');
        for (char& c : value) c = static_cast<char>(random_());
        Bytes ours = value, kernels = value;
        const u64 flags = random_flags();
        const void* key_at = maybe_bad(key);
        const bool bad_value = one_in(40);
        const auto at = [&](Bytes& b) {
            return bad_value ? reinterpret_cast<void*>(8) : static_cast<void*>(b.data());
        };
        const u32 command = pick({BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_UPDATE_ELEM,
                                  BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM});
        const bool plain = command == BPF_MAP_UPDATE_ELEM || one_in(8);
        const u64 used = plain ? flags : 0;
        const bool erase = command == BPF_MAP_DELETE_ELEM && !one_in(10);
        const s64 a = Ours::element(command, twin.ours, key_at, erase ? nullptr : at(ours), used);
        const s64 b =
            Kernels::element(command, twin.kernels, key_at, erase ? nullptr : at(kernels), used);
        EXPECT_EQ(a, b) << "command " << command << " flags " << used << " type " << twin.shape.type
                        << " map flags " << twin.shape.flags;
        EXPECT_EQ(ours, kernels) << "command " << command;
    }

    template <class Client>
    s64 walk(int fd, const Shape& shape, std::map<Bytes, Bytes>* content) {
        Bytes at(shape.key_size, '\0'), value(shape.value_size, '\0');
        s64 error = Client::next_key(fd, nullptr, at.data());
        while (error == 0) {
            if (const s64 read = Client::lookup(fd, at.data(), value.data())) return read;
            (*content)[at] = value;
            Bytes next(shape.key_size, '\0');
            error = Client::next_key(fd, at.data(), next.data());
            at = next;
            if (content->size() > shape.entries) return 1;
        }
        return error;
    }
    void compare_contents(Twin& twin) {
        std::map<Bytes, Bytes> ours, kernels;
        EXPECT_EQ(walk<Ours>(twin.ours, twin.shape, &ours),
                  walk<Kernels>(twin.kernels, twin.shape, &kernels));
        EXPECT_EQ(ours, kernels);
    }
    void array_next_key(Twin& twin) {
        if (twin.shape.type != BPF_MAP_TYPE_ARRAY) return;
        const Bytes key = random_key(twin);
        const void* at = maybe_bad(key);
        u32 ours = 0, kernels = 0;
        EXPECT_EQ(Ours::next_key(twin.ours, at, &ours),
                  Kernels::next_key(twin.kernels, at, &kernels));
        EXPECT_EQ(ours, kernels);
    }
    void info(Twin& twin) {
        bpf_map_info ours{}, kernels{};
        u32 our_size = pick({0, 4, 24, 40, 80, sizeof(bpf_map_info), 4097});
        u32 kernel_size = our_size;
        std::vector<u8> a(5000), b(5000);
        EXPECT_EQ(Ours::info(twin.ours, a.data(), &our_size),
                  Kernels::info(twin.kernels, b.data(), &kernel_size));
        EXPECT_EQ(our_size, kernel_size);
        std::memcpy(&ours, a.data(), sizeof ours);
        std::memcpy(&kernels, b.data(), sizeof kernels);
        ours.id = kernels.id = 0;
        a.resize(sizeof ours);
        b.resize(sizeof ours);
        std::memcpy(a.data(), &ours, sizeof ours);
        std::memcpy(b.data(), &kernels, sizeof kernels);
        EXPECT_EQ(a, b);
    }

    void step() {
        if (twins_.empty() || one_in(60)) return create();
        const size_t which = random_() % twins_.size();
        Twin& twin = twins_[which];
        if (one_in(150)) {
            EXPECT_EQ(Ours::freeze(twin.ours), Kernels::freeze(twin.kernels));
        } else if (one_in(40)) {
            compare_contents(twin);
        } else if (one_in(30)) {
            info(twin);
        } else if (one_in(80) || twins_.size() > 12) {
            compare_contents(twin);
            close(twin);
            twins_.erase(twins_.begin() + static_cast<std::ptrdiff_t>(which));
        } else if (one_in(10)) {
            array_next_key(twin);
        } else {
            element(twin);
        }
    }
    void run(u32 seed, u32 steps) {
        random_.seed(seed);
        for (u32 i = 0; i < steps; ++i) {
            step();
            ASSERT_FALSE(HasFailure()) << "BAREBPF_SEED=" << seed << ", step " << i;
        }
        for (Twin& twin : twins_) {
            compare_contents(twin);
            close(twin);
        }
        twins_.clear();
    }

    host::Cpu::Entry inside_;
    std::mt19937_64 random_;
    std::vector<Twin> twins_;
};

TEST_F(Differential, RandomCommandsGiveTheSameAnswers) {
    if (const char* seed = std::getenv("BAREBPF_SEED")) {
        return run(static_cast<u32>(std::atoi(seed)), 20000);
    }
    for (u32 seed = 1; seed <= 20 && !HasFailure(); ++seed) run(seed, 10000);
}

// Every byte of attr of every command: a wild value in it gives the same errno.
TEST_F(Differential, WildAttributesGiveTheSameErrors) {
    const u32 commands[] = {BPF_MAP_CREATE,         BPF_MAP_LOOKUP_ELEM,
                            BPF_MAP_UPDATE_ELEM,    BPF_MAP_DELETE_ELEM,
                            BPF_MAP_GET_NEXT_KEY,   BPF_MAP_GET_FD_BY_ID,
                            BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_FREEZE,
                            BPF_MAP_GET_NEXT_ID,    BPF_MAP_LOOKUP_AND_DELETE_ELEM};
    for (const u32 command : commands) {
        for (u32 byte = 0; byte < 64; ++byte) {
            for (const u8 value : {u8{1}, u8{0x80}, u8{0xff}}) {
                u8 attr[64] = {};
                attr[byte] = value;
                u8 ours[64], kernels[64];
                std::memcpy(ours, attr, sizeof attr);
                std::memcpy(kernels, attr, sizeof attr);
                const s64 a = test::OurBpf::call(command, ours, sizeof ours);
                const s64 b = test::KernelBpf::call(command, kernels, sizeof kernels);
                if (a >= 0 && b >= 0) continue;
                // No descriptor of ours is 0, 1 or 2; the kernel sees somebody's terminal there.
                if (a == -EBADF && (b == -EINVAL || b == -EBADF)) continue;
                if (a == -EBADFD && (b == -EINVAL || b == -EBADFD)) continue;
                // Ids that exist in one world only.
                if (command == BPF_MAP_GET_NEXT_ID && a == -ENOENT && b == 0) continue;
                if (command == BPF_MAP_GET_FD_BY_ID && a == -ENOENT && b >= 0) continue;
                EXPECT_EQ(a, b) << "command " << command << " byte " << byte << " value "
                                << u32{value};
            }
        }
    }
}

}  // namespace
}  // namespace barebpf
