// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash maps, LRU ones too, of every kind of value and storage, held against the kernel that the test runs on: random
// commands on single elements and in batches, with the same results, contents compared as sets. A
// failure prints the seed and the step; BAREBPF_SEED=n runs that one.
//
// A value is a number here. Each side writes it in its own way: once, once for each of its CPUs, with a
// lock in the middle, or as the descriptor of the inner map of that number.
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/map_btf_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Bytes = std::string;
using Contents = std::map<Bytes, u32>;

constexpr u32 kInner = 3;
constexpr u32 kLockOffset = 4;  // in a value of 16 bytes: u32, bpf_spin_lock, u64

struct Shape {
    u32 type, key_size, value_size, entries, flags;
    bool locked;
};

template <class Bpf>
class Side {
public:
    using Client = test::MapClient<Bpf>;

    explicit Side(u32 cpus) : cpus_(cpus) {}
    ~Side() {
        close();
        for (const int fd : {inner_[0], inner_[1], inner_[2], btf_}) {
            if (fd >= 0) Client::close(fd);
        }
    }
    void start() {
        for (u32 i = 0; i < kInner; ++i) {
            inner_[i] = Client::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
            inner_ids_[i] = id_of(inner_[i]);
        }
        btf_ = test::btf::load<Bpf>();
        ASSERT_GE(btf_, 0);
    }
    int open(const Shape& shape) {
        close();
        shape_ = shape;
        bpf_attr attr = test::map_attr(shape.type, shape.key_size, shape.value_size, shape.entries,
                                       shape.flags);
        if (of_maps()) attr.inner_map_fd = static_cast<u32>(inner_[0]);
        if (shape.locked) {
            attr.btf_fd = static_cast<u32>(btf_);
            attr.btf_key_type_id = test::btf::kU32;
            attr.btf_value_type_id = test::btf::kLocked;
        }
        return fd_ = Client::create(attr);
    }
    void close() {
        if (fd_ >= 0) Client::close(fd_);
        fd_ = -1;
    }

    s64 update(const Bytes& key, u32 number, u64 flags) {
        return Client::update(fd_, key.data(), encode(number).data(), flags);
    }
    s64 erase(const Bytes& key) { return Client::erase(fd_, key.data()); }
    // *number: what was found; ~0 if the bytes are of no number.
    s64 lookup(const Bytes& key, u64 flags, bool take, u32* number) {
        Bytes value(room(), '\x55');
        const s64 result = take ? Client::take(fd_, key.data(), value.data(), flags)
                                : Client::lookup(fd_, key.data(), value.data(), flags);
        *number = result ? 0 : decode(value.data());
        return result;
    }
    s64 change_batch(u32 command, const std::vector<Bytes>& keys, u32 number, u64 flags,
                     u32* count) {
        Bytes all_keys, all_values;
        for (size_t i = 0; i < keys.size(); ++i) {
            all_keys += keys[i];
            all_values += encode(number + static_cast<u32>(i));
        }
        *count = static_cast<u32>(keys.size());
        return batch(command, all_keys.data(), all_values.data(), nullptr, nullptr, flags, count);
    }
    // Everything, in portions of at least this many; how it ended.
    s64 read_all(u32 command, u32 portion, u64 flags, Contents* contents) {
        u32 cursor = 0;
        bool first = true;
        for (;;) {
            Bytes keys(size_t{portion} * shape_.key_size, '\0'),
                values(size_t{portion} * room(), 0);
            u32 count = portion, next = 0;
            const s64 result = batch(command, keys.data(), values.data(), first ? nullptr : &cursor,
                                     &next, flags, &count);
            if (result == -ENOSPC) {
                portion *= 2;
                continue;
            }
            if (result && result != -ENOENT) return result;
            for (u32 i = 0; i < count; ++i) {
                const Bytes key = keys.substr(size_t{i} * shape_.key_size, shape_.key_size);
                EXPECT_TRUE(
                    contents->emplace(key, decode(values.data() + size_t{i} * room())).second);
            }
            if (result) return result;
            cursor = next;
            first = false;
        }
    }
    s64 walk(Contents* contents) {
        Bytes at(shape_.key_size, '\0');
        s64 error = Client::next_key(fd_, nullptr, at.data());
        while (error == 0) {
            u32 number;
            if (const s64 read = lookup(at, 0, false, &number)) return read;
            EXPECT_TRUE(contents->emplace(at, number).second);
            Bytes next(shape_.key_size, '\0');
            error = Client::next_key(fd_, at.data(), next.data());
            at = next;
        }
        return error;
    }

private:
    bool of_maps() const { return shape_.type == BPF_MAP_TYPE_HASH_OF_MAPS; }
    bool per_cpu() const { return is_percpu_map(shape_.type); }
    u32 one() const { return per_cpu() ? (shape_.value_size + 7) / 8 * 8 : shape_.value_size; }
    u32 room() const { return per_cpu() ? one() * cpus_ : one(); }

    static char byte_of(u32 number, u32 cpu, u32 at) {
        const u32 mixed = (number + cpu * 77) * 2654435761u;
        return static_cast<char>(at < 4 ? number >> at * 8 : mixed >> at % 4 * 8);
    }
    Bytes encode(u32 number) const {
        if (of_maps()) {
            const int fd = inner_[number % kInner];
            return Bytes(reinterpret_cast<const char*>(&fd), sizeof fd);
        }
        Bytes value(room(), '\0');
        for (u32 at = 0; at < value.size(); ++at) {
            value[at] = byte_of(number, at / one(), at % one());
        }
        return value;
    }
    u32 decode(const char* value) const {
        u32 number = 0;
        std::memcpy(&number, value, shape_.value_size < 4 ? shape_.value_size : 4);
        if (of_maps()) {
            for (u32 i = 0; i < kInner; ++i) {
                if (inner_ids_[i] == number) return i;
            }
            return ~0u;
        }
        Bytes expected = encode(number);
        if (shape_.locked) std::memset(expected.data() + kLockOffset, 0, 4);
        return std::memcmp(expected.data(), value, room()) ? ~0u : number;
    }
    static u32 id_of(int fd) {
        bpf_map_info info{};
        u32 size = sizeof info;
        Client::info(fd, &info, &size);
        return info.id;
    }
    s64 batch(u32 command, void* keys, void* values, void* in, void* out, u64 flags, u32* count) {
        bpf_attr attr{};
        attr.batch.map_fd = static_cast<u32>(fd_);
        attr.batch.count = *count;
        attr.batch.keys = test::address_of(keys);
        attr.batch.values = test::address_of(values);
        attr.batch.in_batch = test::address_of(in);
        attr.batch.out_batch = test::address_of(out);
        attr.batch.elem_flags = flags;
        const s64 result = Bpf::call(command, &attr, sizeof attr);
        *count = attr.batch.count;
        return result;
    }

    u32 cpus_;
    Shape shape_{};
    int fd_ = -1, btf_ = -1;
    int inner_[kInner] = {-1, -1, -1};
    u32 inner_ids_[kInner] = {};
};

u32 kernel_cpus() {
    return static_cast<u32>(sysconf(_SC_NPROCESSORS_CONF));
}

class HashOnKernel : public ::testing::Test {
protected:
    void SetUp() override {
        using Kernels = test::MapClient<test::KernelBpf>;
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
        ours_.start();
        kernels_.start();
    }
    u32 pick(std::initializer_list<u32> choices) {
        return choices.begin()[random_() % choices.size()];
    }
    bool one_in(u32 n) { return random_() % n == 0; }

    // What both answer; EXPECTs that they agree.
    template <class Call>
    s64 both(const char* what, Call call) {
        const s64 a = call(ours_), b = call(kernels_);
        EXPECT_EQ(a, b) << what;
        return a;
    }

    bool open_random() {
        shape_ = {
            .type = pick({BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_HASH_OF_MAPS,
                          BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH}),
            .key_size = pick({1, 3, 4, 8, 12, 16, 40}),
            .value_size = pick({4, 8, 13, 24, 100}),
            .entries = pick({1, 2, 7, 30, 200}),
            .flags = pick({0, BPF_F_NO_PREALLOC}) | pick({0, 0, BPF_F_ZERO_SEED}),
            .locked = false};
        if (shape_.type == BPF_MAP_TYPE_HASH_OF_MAPS) shape_.value_size = 4;
        if (is_lru()) {  // for few keys: what is evicted is the map's own affair
            shape_.entries = pick({2048, 4096});
            shape_.flags = pick({0, BPF_F_NO_COMMON_LRU}) | pick({0, 0, BPF_F_ZERO_SEED});
        }
        if (shape_.type == BPF_MAP_TYPE_HASH && one_in(2)) {
            shape_.locked = true;
            shape_.key_size = 4;
            shape_.value_size = 16;
        }
        if (one_in(5)) {
            shape_.flags |= pick({BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG,
                                  BPF_F_NO_COMMON_LRU, BPF_F_NUMA_NODE, BPF_F_MMAPABLE});
        }
        // 6.1 lets programs only write a value with a lock; later kernels refuse the map.
        if (shape_.locked) shape_.flags &= ~u32{BPF_F_WRONLY_PROG};
        if (one_in(20)) shape_.value_size = pick({0, 32768, 32769, 5});
        const s64 made = both("create", [&](auto& side) -> s64 {
            const int fd = side.open(shape_);
            return fd < 0 ? fd : 0;
        });
        return made == 0 && shape_.value_size < 1000;  // the rest is the machine's memory
    }
    bool is_lru() const {
        return shape_.type == BPF_MAP_TYPE_LRU_HASH || shape_.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    }
    Bytes random_key() {
        const u32 number = random_() % (is_lru() ? 60 : shape_.entries * 2 + 1);
        Bytes key(shape_.key_size, '\0');
        std::memcpy(key.data(), &number, std::min<size_t>(4, key.size()));
        if (key.size() > 4) key.back() = static_cast<char>(number * 3);
        return key;
    }
    u64 random_flags() {
        if (!one_in(4)) return pick({BPF_ANY, BPF_NOEXIST, BPF_EXIST});
        return one_in(2) ? random_() % 8 : pick({4, 5, 6, 7, 8, 1u << 31});
    }
    void expect_same(const char* what, const Contents& a, const Contents& b) {
        EXPECT_EQ(a, b) << what;
        for (const auto& [key, number] : a)
            EXPECT_NE(number, ~0u) << what << ": not what was written";
    }
    void read_all(u32 command) {
        const u32 portion = pick({1, 4, 16, 500});
        const u64 flags = one_in(6) ? random_() % 8 : 0;
        Contents a, b;
        EXPECT_EQ(ours_.read_all(command, portion, flags, &a),
                  kernels_.read_all(command, portion, flags, &b));
        expect_same("batch", a, b);
    }
    void change_batch() {
        const u32 command = pick({BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH});
        std::vector<Bytes> keys(random_() % 40);
        for (Bytes& key : keys) key = random_key();
        const u32 number = static_cast<u32>(random_() % 1000);
        const u64 flags = one_in(4) ? random_() % 8 : 0;
        u32 done[2], at = 0;
        both("batch", [&](auto& side) {
            return side.change_batch(command, keys, number, flags, &done[at++]);
        });
        EXPECT_EQ(done[0], done[1]) << "command " << command;
    }
    void lookup(bool take) {
        const Bytes key = random_key();
        const u64 flags = one_in(4) ? random_() % 8 : 0;
        u32 found[2], at = 0;
        both(take ? "take" : "lookup",
             [&](auto& side) { return side.lookup(key, flags, take, &found[at++]); });
        EXPECT_EQ(found[0], found[1]);
        EXPECT_NE(found[0], ~0u);
    }
    void step() {
        const Bytes key = random_key();
        const u32 number = static_cast<u32>(random_() % 1000);
        const u64 flags = random_flags();
        switch (random_() % 16) {
            case 0:
                return change_batch();
            case 1:
                return read_all(one_in(8) ? BPF_MAP_LOOKUP_AND_DELETE_BATCH : BPF_MAP_LOOKUP_BATCH);
            case 2:
            case 3:
                both("erase", [&](auto& side) { return side.erase(key); });
                return;
            case 4:
                return lookup(true);
            case 5:
            case 6:
            case 7:
                return lookup(false);
            case 8: {
                Contents a, b;
                EXPECT_EQ(ours_.walk(&a), kernels_.walk(&b));
                return expect_same("walk", a, b);
            }
            default:
                both("update", [&](auto& side) { return side.update(key, number, flags); });
        }
    }
    void run(u32 seed, u32 steps) {
        random_.seed(seed);
        u32 left = 0;  // steps with this map
        for (u32 i = 0; i < steps; ++i) {
            if (left-- == 0) {
                while (!open_random()) {
                }
                // The kernel waits for readers at every change of a map of maps.
                left = shape_.type == BPF_MAP_TYPE_HASH_OF_MAPS ? 15 : 150;
            }
            step();
            ASSERT_FALSE(HasFailure())
                << "BAREBPF_SEED=" << seed << ", step " << i << ": type " << shape_.type << " key "
                << shape_.key_size << " value " << shape_.value_size << " entries "
                << shape_.entries << " flags " << shape_.flags << " locked " << shape_.locked;
        }
    }

    host::Cpu::Entry inside_;
    std::mt19937_64 random_;
    Shape shape_{};
    Side<test::OurBpf> ours_{host::possible_cpus()};
    Side<test::KernelBpf> kernels_{kernel_cpus()};
};

TEST_F(HashOnKernel, RandomCommandsGiveTheSameAnswers) {
    if (const char* seed = std::getenv("BAREBPF_SEED")) {
        return run(static_cast<u32>(std::atoi(seed)), 20000);
    }
    for (u32 seed = 1; seed <= 6 && !HasFailure(); ++seed) run(seed, 4000);
}

}  // namespace
}  // namespace barebpf
