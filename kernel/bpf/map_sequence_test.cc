// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random sequences of commands on a map of every type, here and on the kernel that the test runs on: the same
// results, in the same order. What fails is made shorter as long as it still fails, and printed; BAREBPF_SEED=n begins
// with the sequence of that number.
//
// A sequence is data: the number of a key, the number of a value, flags. Where an order is not part of the interface
// (iteration of hashes) a step walks the whole map and its elements are compared as a set. LRU maps get fewer keys than
// they hold: what is evicted is the map's own affair. Arguments that MAP_CREATE refuses are map_differential_test's.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/lpm_shortcut.h"
#include "kernel/bpf/map_btf_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Bytes = std::string;

// Locked: a number, a spin lock, another number. Files: descriptors that lead to nothing that the map could hold.
enum class Values : u8 { Plain, PerCpu, Maps, Locked, Programs, Files };

struct Kind {
    const char* name;
    u32 type, flags, key_size, value_size, entries, keys;
    Values values = Values::Plain;
    bool ordered = false;  // the order of its keys is part of the interface
    u64 extra = 0;
};

constexpr u32 kInner = 3;
constexpr u32 kNoPrealloc = BPF_F_NO_PREALLOC;
constexpr u32 kOwnLists = BPF_F_NO_COMMON_LRU;

constexpr Kind kKinds[] = {
    {"array", BPF_MAP_TYPE_ARRAY, 0, 4, 8, 7, 9, Values::Plain, true},
    {"array of odd values", BPF_MAP_TYPE_ARRAY, 0, 4, 5, 3, 4, Values::Plain, true},
    {"array, read only for programs", BPF_MAP_TYPE_ARRAY, BPF_F_RDONLY_PROG, 4, 4, 4, 4,
     Values::Plain, true},
    {"array, mmapable", BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 4, 16, 4, 5, Values::Plain, true},
    {"array by a descriptor to read", BPF_MAP_TYPE_ARRAY, BPF_F_RDONLY, 4, 8, 4, 4, Values::Plain,
     true},
    {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 4, 12, 5, 7, Values::PerCpu, true},
    {"array, locked values", BPF_MAP_TYPE_ARRAY, 0, 4, 16, 4, 5, Values::Locked, true},
    {"prog_array", BPF_MAP_TYPE_PROG_ARRAY, 0, 4, 4, 4, 6, Values::Programs, true},
    {"perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, 4, 4, 4, 6, Values::Files, true},
    {"cgroup_array", BPF_MAP_TYPE_CGROUP_ARRAY, 0, 4, 4, 4, 6, Values::Files, true},
    {"array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 0, 4, 4, 4, 6, Values::Maps, true},
    {"hash 4", BPF_MAP_TYPE_HASH, 0, 4, 8, 6, 9},
    {"hash 8", BPF_MAP_TYPE_HASH, 0, 8, 1, 6, 9},
    {"hash 16", BPF_MAP_TYPE_HASH, 0, 16, 24, 20, 30},
    {"hash 13", BPF_MAP_TYPE_HASH, 0, 13, 7, 1, 3},
    {"hash 64", BPF_MAP_TYPE_HASH, 0, 64, 8, 6, 9},
    {"hash, read only for programs", BPF_MAP_TYPE_HASH, BPF_F_RDONLY_PROG, 4, 8, 6, 9},
    {"hash, locked values", BPF_MAP_TYPE_HASH, 0, 4, 16, 6, 9, Values::Locked},
    {"hash on demand, locked values", BPF_MAP_TYPE_HASH, kNoPrealloc, 4, 16, 6, 9, Values::Locked},
    {"hash on demand", BPF_MAP_TYPE_HASH, kNoPrealloc, 16, 8, 6, 9},
    {"hash on demand 5", BPF_MAP_TYPE_HASH, kNoPrealloc, 5, 3, 6, 9},
    {"hash, seed 0", BPF_MAP_TYPE_HASH, BPF_F_ZERO_SEED, 4, 8, 6, 9},
    {"hash by a descriptor to write", BPF_MAP_TYPE_HASH, BPF_F_WRONLY, 4, 8, 6, 9},
    {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 0, 4, 8, 6, 9, Values::PerCpu},
    {"percpu_hash on demand", BPF_MAP_TYPE_PERCPU_HASH, kNoPrealloc, 8, 20, 6, 9, Values::PerCpu},
    {"hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS, 0, 4, 4, 5, 8, Values::Maps},
    {"hash_of_maps on demand", BPF_MAP_TYPE_HASH_OF_MAPS, kNoPrealloc, 8, 4, 5, 8, Values::Maps},
    {"lru_hash", BPF_MAP_TYPE_LRU_HASH, 0, 8, 8, 1024, 12},
    {"lru_hash, own lists", BPF_MAP_TYPE_LRU_HASH, kOwnLists, 4, 8, 1024, 12},
    {"lru_percpu_hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 4, 16, 1024, 12, Values::PerCpu},
    {"lru_percpu_hash, own lists", BPF_MAP_TYPE_LRU_PERCPU_HASH, kOwnLists, 4, 8, 1024, 12,
     Values::PerCpu},
    {"lpm_trie 32", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 8, 8, 12, 40, Values::Plain, true},
    {"lpm_trie 128", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 20, 4, 12, 40, Values::Plain, true},
    {"lpm_trie 8", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 5, 1, 30, 60, Values::Plain, true},
    {"lpm_trie 32, many entries", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 8, 8, lpm::Standing::kFrom,
     60, Values::Plain, true},
    {"lpm_trie 24", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 7, 8, 12, 40, Values::Plain, true},
    {"lpm_trie 2048", BPF_MAP_TYPE_LPM_TRIE, kNoPrealloc, 260, 8, 12, 40, Values::Plain, true},
    {"queue", BPF_MAP_TYPE_QUEUE, 0, 0, 8, 4, 1},
    {"stack", BPF_MAP_TYPE_STACK, 0, 0, 12, 4, 1},
    // Large, for either side may take a value for another now and then.
    {"bloom_filter", BPF_MAP_TYPE_BLOOM_FILTER, 0, 0, 8, 100'000, 1, Values::Plain, false, 3},
};

bool is_lpm(const Kind& kind) {
    return kind.type == BPF_MAP_TYPE_LPM_TRIE;
}

enum class Do : u8 {
    Lookup,
    Update,
    Delete,
    Take,
    Next,
    Walk,
    BatchWalk,
    BatchTake,
    BatchUpdate,
    BatchDelete,
    Freeze
};
constexpr const char* kNames[] = {"lookup",       "update",       "delete",     "take",
                                  "next_key",     "walk",         "batch_walk", "batch_take",
                                  "batch_update", "batch_delete", "freeze"};

struct Step {
    Do what;
    u32 key, value;  // by number; of a batch: the first
    u64 flags;
    u32 count;  // of a batch
};
using Sequence = std::vector<Step>;

struct Outcome {
    s64 result;
    Bytes data;
    bool operator==(const Outcome& other) const {
        return result == other.result && data == other.data;
    }
};

// Key number n: n's bytes, or a prefix whose length and bits follow from n, some with bits beyond the prefix, some too
// long.
Bytes key_bytes(const Kind& kind, u32 n) {
    Bytes key(kind.key_size, '\0');
    if (!is_lpm(kind)) {
        std::memcpy(key.data(), &n, std::min<size_t>(4, key.size()));
        if (key.size() > 8) key[key.size() - 1] = static_cast<char>(n);
        return key;
    }
    const u32 bits = (kind.key_size - 4) * 8;
    const u32 length = n % 7 == 6 ? bits : n * 5 % (bits + (n % 11 == 0 ? 2 : 1));
    std::memcpy(key.data(), &length, 4);
    for (u32 i = 4; i < kind.key_size; ++i)
        key[i] = static_cast<char>((n & 3) * 0x55 + (n & 8 ? i : 0));
    return key;
}

template <class Bpf>
class Side {
public:
    using Client = test::MapClient<Bpf>;

    explicit Side(u32 cpus, u32 shown_cpus) : cpus_(cpus), shown_cpus_(shown_cpus) {
        for (u32 i = 0; i < kInner; ++i) {
            inner_[i] = Client::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
            bpf_map_info info{};
            u32 size = sizeof info;
            Client::info(inner_[i], &info, &size);
            ids_[i] = info.id;
        }
        btf_ = test::btf::load<Bpf>();
    }
    ~Side() {
        for (const int fd : inner_) Client::close(fd);
        Client::close(btf_);
    }

    std::vector<Outcome> run(const Kind& kind, const Sequence& sequence) {
        kind_ = &kind;
        bpf_attr attr =
            test::map_attr(kind.type, kind.key_size, kind.value_size, kind.entries, kind.flags);
        attr.map_extra = kind.extra;
        if (kind.values == Values::Maps) attr.inner_map_fd = static_cast<u32>(inner_[0]);
        if (kind.values == Values::Locked) {
            attr.btf_fd = static_cast<u32>(btf_);
            attr.btf_key_type_id = test::btf::kU32;
            attr.btf_value_type_id = test::btf::kLocked;
        }
        if (kind.values == Values::Programs) load_programs();
        fd_ = Client::create(attr);
        std::vector<Outcome> outcomes;
        if (fd_ < 0) return {{fd_, {}}};
        for (const Step& step : sequence) outcomes.push_back(take_step(step));
        outcomes.push_back(described());
        Client::close(fd_);
        if (kind.values == Values::Programs) {
            for (const int fd : programs_) Client::close(fd);
        }
        return outcomes;
    }

private:
    void load_programs() {
        const bpf_insn insns[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                                  {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
        for (u32 i = 0; i < kInner; ++i) {
            bpf_attr attr{};
            attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
            attr.insns = test::address_of(insns);
            attr.insn_cnt = std::size(insns);
            attr.license = test::address_of("GPL");
            programs_[i] = static_cast<int>(Bpf::call(BPF_PROG_LOAD, &attr, sizeof attr));
            bpf_prog_info info{};
            bpf_attr query{};
            query.info.bpf_fd = static_cast<u32>(programs_[i]);
            query.info.info_len = sizeof info;
            query.info.info = test::address_of(&info);
            Bpf::call(BPF_OBJ_GET_INFO_BY_FD, &query, sizeof query);
            EXPECT_GT(info.id, 0u) << programs_[i];
            program_ids_[i] = info.id;
        }
    }
    // A descriptor as a value.
    int file(u32 number) const {
        if (number % 7 == 6) return 100'000;
        if (kind_->values == Values::Programs) return programs_[number % kInner];
        if (kind_->values == Values::Maps) return inner_[number % kInner];
        return number % 2 ? -1 : inner_[number % kInner];
    }
    bool holds_files() const {
        return kind_->values >= Values::Programs || kind_->values == Values::Maps;
    }
    size_t value_room() const {
        const size_t stride = (kind_->value_size + 7) / 8 * 8;
        return kind_->values == Values::PerCpu ? stride * cpus_ : stride;
    }
    size_t value_size() const {
        return kind_->values == Values::PerCpu ? value_room() : kind_->value_size;
    }

    Bytes to_map(u32 number) const {
        Bytes bytes(value_room(), '\0');
        if (holds_files()) {
            const int fd = file(number);
            std::memcpy(bytes.data(), &fd, 4);
            return bytes;
        }
        const size_t stride = (kind_->value_size + 7) / 8 * 8;
        for (size_t copy = 0; copy < bytes.size() / stride; ++copy) {
            for (u32 i = 0; i < kind_->value_size; ++i) {
                bytes[copy * stride + i] = static_cast<char>(number * 7 + i + copy * 31);
            }
        }
        return bytes;
    }
    // What both sides can show alike: ids as numbers of inner maps or programs, as many CPUs as both have.
    Bytes from_map(const char* value) const {
        if (holds_files()) {
            u32 id;
            std::memcpy(&id, value, 4);
            const u32* ids = kind_->values == Values::Maps ? ids_ : program_ids_;
            for (u32 i = 0; i < kInner; ++i) {
                if (ids[i] == id) return Bytes(1, static_cast<char>('0' + i));
            }
            return "?";
        }
        const size_t stride = (kind_->value_size + 7) / 8 * 8;
        Bytes shown;
        const u32 copies = kind_->values == Values::PerCpu ? shown_cpus_ : 1;
        for (u32 copy = 0; copy < copies; ++copy)
            shown.append(value + copy * stride, kind_->value_size);
        return shown;
    }

    Outcome take_step(const Step& step) {
        const Bytes key = key_bytes(*kind_, step.key);
        const void* k = kind_->key_size ? key.data() : nullptr;
        Bytes value = step.what == Do::Update ? to_map(step.value) : Bytes(value_room(), '\0');
        // A bloom filter is asked about a value.
        if (kind_->type == BPF_MAP_TYPE_BLOOM_FILTER) value = to_map(step.value);
        switch (step.what) {
            case Do::Lookup:
                return with_value(Client::lookup(fd_, k, value.data(), step.flags), value);
            case Do::Take:
                return with_value(Client::take(fd_, k, value.data(), step.flags), value);
            case Do::Update:
                return {Client::update(fd_, k, value.data(), step.flags), {}};
            case Do::Delete:
                return {Client::erase(fd_, k), {}};
            case Do::Next:
                return next(step);
            case Do::Walk:
                return walk();
            case Do::BatchWalk:
            case Do::BatchTake:
                return batch_walk(step);
            case Do::BatchUpdate:
            case Do::BatchDelete:
                return batch(step);
            case Do::Freeze:
                return {Client::freeze(fd_), {}};
        }
        return {};
    }

    Outcome with_value(s64 result, const Bytes& value) {
        return {result, result == 0 ? from_map(value.data()) : Bytes()};
    }

    Outcome next(const Step& step) {
        const Bytes key = key_bytes(*kind_, step.key);
        Bytes found(kind_->key_size, '\0');
        const bool first = step.value % 4 == 0;
        s64 result = Client::next_key(fd_, first ? nullptr : key.data(), found.data());
        // Which key is the last one is a matter of order too.
        if (!kind_->ordered && !first && result == -to_int(Errno::NoEnt)) result = 0;
        return {result, result == 0 && kind_->ordered ? found : Bytes()};
    }

    Outcome shown(s64 result, std::vector<Bytes>& elements) {
        if (!kind_->ordered) std::sort(elements.begin(), elements.end());
        Bytes all;
        for (const Bytes& element : elements) all += element + "|";
        return {result, all};
    }

    Outcome walk() {
        std::vector<Bytes> elements;
        Bytes key(std::max(kind_->key_size, 1u), '\0'), after = key;
        s64 result = Client::next_key(fd_, nullptr, after.data());
        for (u32 i = 0; result == 0 && i < 200; ++i) {
            key = after;
            Bytes value(value_room(), '\0');
            const s64 looked = Client::lookup(fd_, key.data(), value.data());
            elements.push_back(
                key + (looked == 0 ? "=" + from_map(value.data()) : ":" + std::to_string(looked)));
            result = Client::next_key(fd_, key.data(), after.data());
        }
        return shown(result, elements);
    }

    // Calls the batch command until it has no more; a portion is large enough for any bucket.
    Outcome batch_walk(const Step& step) {
        constexpr u32 kPortion = 64;
        std::vector<Bytes> elements;
        Bytes keys(kPortion * std::max(kind_->key_size, 1u), '\0'),
            values(kPortion * value_size() + 8, '\0');
        Bytes position(std::max(kind_->key_size, 8u), '\0');
        bool first = true;
        for (u32 calls = 0; calls < 50; ++calls) {
            bpf_attr attr{};
            attr.batch.map_fd = static_cast<u32>(fd_);
            attr.batch.in_batch = first ? 0 : test::address_of(position.data());
            attr.batch.out_batch = test::address_of(position.data());
            attr.batch.keys = test::address_of(keys.data());
            attr.batch.values = test::address_of(values.data());
            attr.batch.count = kPortion;
            attr.batch.elem_flags = step.flags;
            const u32 command =
                step.what == Do::BatchTake ? BPF_MAP_LOOKUP_AND_DELETE_BATCH : BPF_MAP_LOOKUP_BATCH;
            const s64 result = Bpf::call(command, &attr, sizeof attr);
            const bool told = result == 0 || result == -to_int(Errno::NoEnt);
            for (u32 i = 0; told && i < attr.batch.count; ++i) {
                elements.push_back(keys.substr(size_t{i} * kind_->key_size, kind_->key_size) + "=" +
                                   from_map(values.data() + i * value_size()));
            }
            if (result != 0) return shown(result, elements);
            first = false;
        }
        return {-1, "no end"};
    }

    Outcome batch(const Step& step) {
        Bytes keys, values;
        for (u32 i = 0; i < step.count; ++i) {
            keys += key_bytes(*kind_, step.key + i);
            values += to_map(step.value + i).substr(0, value_size());
        }
        bpf_attr attr{};
        attr.batch.map_fd = static_cast<u32>(fd_);
        attr.batch.keys = test::address_of(keys.data());
        attr.batch.values = step.what == Do::BatchUpdate ? test::address_of(values.data()) : 0;
        attr.batch.count = step.count;
        attr.batch.elem_flags = step.flags;
        const u32 command =
            step.what == Do::BatchUpdate ? BPF_MAP_UPDATE_BATCH : BPF_MAP_DELETE_BATCH;
        const s64 result = Bpf::call(command, &attr, sizeof attr);
        return {result, std::to_string(attr.batch.count)};
    }

    Outcome described() {
        bpf_map_info info{};
        u32 size = sizeof info;
        const s64 result = Client::info(fd_, &info, &size);
        return {result, std::to_string(info.type) + " " + std::to_string(info.key_size) + " " +
                            std::to_string(info.value_size) + " " +
                            std::to_string(info.max_entries) + " " +
                            std::to_string(info.map_flags) + " " + std::to_string(info.map_extra)};
    }

    const Kind* kind_ = nullptr;
    int fd_ = -1;
    u32 cpus_, shown_cpus_;
    int inner_[kInner], programs_[kInner], btf_;
    u32 ids_[kInner], program_ids_[kInner] = {};
};

u32 kernel_cpus() {
    return static_cast<u32>(sysconf(_SC_NPROCESSORS_CONF));
}

class MapSequence : public ::testing::TestWithParam<Kind> {
protected:
    void SetUp() override {
        using Kernels = test::MapClient<test::KernelBpf>;
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
    }

    Sequence random_sequence(u64 seed) {
        random_.seed(seed);
        const Kind& kind = GetParam();
        Sequence sequence(10 + random_() % 60);
        for (Step& step : sequence) step = random_step(kind);
        // (Locked values: docs/differences.md.)
        const bool freezes = kind.values != Values::Locked;
        if (freezes && random_() % 8 == 0) sequence[random_() % sequence.size()].what = Do::Freeze;
        return sequence;
    }
    Step random_step(const Kind& kind) {
        constexpr Do kOften[] = {Do::Lookup, Do::Update, Do::Update, Do::Update,
                                 Do::Update, Do::Delete, Do::Take,   Do::Next};
        constexpr Do kRarely[] = {Do::Walk, Do::BatchWalk, Do::BatchTake, Do::BatchUpdate,
                                  Do::BatchDelete};
        Step step{};
        step.what = random_() % 5 ? kOften[random_() % std::size(kOften)]
                                  : kRarely[random_() % std::size(kRarely)];
        step.key = static_cast<u32>(random_() % kind.keys);
        step.value = static_cast<u32>(random_() % 50);
        step.count = static_cast<u32>(random_() % 9);
        // What a batch that fails half-way has done is compared; where it fails is not, in an order of its own.
        if (random_() % 3 == 0) step.flags = random_() % 8;
        if (random_() % 40 == 0) step.flags = u64{1} << random_() % 64;
        if (is_lru(kind)) step.count = std::min(step.count, kind.keys - step.key);
        return step;
    }
    static bool is_lru(const Kind& kind) {
        return kind.type == BPF_MAP_TYPE_LRU_HASH || kind.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    }

    bool differs(const Sequence& sequence, std::vector<Outcome>* ours,
                 std::vector<Outcome>* theirs) {
        host::Cpu::Entry inside;
        const u32 cpus = host::possible_cpus(), kernels = kernel_cpus();
        *ours = Side<test::OurBpf>(cpus, std::min(cpus, kernels)).run(GetParam(), sequence);
        *theirs = Side<test::KernelBpf>(kernels, std::min(cpus, kernels)).run(GetParam(), sequence);
        return *ours != *theirs;
    }

    // Leaves out runs of steps, half of them at first, single ones in the end, while it still differs.
    Sequence shortest(Sequence sequence) {
        std::vector<Outcome> ours, theirs;
        for (size_t run = sequence.size() / 2; run > 0; run /= 2) {
            for (size_t at = 0; at + run <= sequence.size();) {
                Sequence less = sequence;
                less.erase(less.begin() + static_cast<ptrdiff_t>(at),
                           less.begin() + static_cast<ptrdiff_t>(at + run));
                if (differs(less, &ours, &theirs)) {
                    sequence = less;
                } else {
                    at += run;
                }
            }
        }
        return sequence;
    }

    static std::string hex_text(const Bytes& bytes) {
        constexpr char kDigits[] = "0123456789abcdef";
        std::string text;
        for (const char byte : bytes) {
            text += kDigits[static_cast<u8>(byte) >> 4];
            text += kDigits[byte & 15];
        }
        return text;
    }
    static std::string text(const Outcome& outcome) {
        return std::to_string(outcome.result) + " " + hex_text(outcome.data);
    }
    std::string report(const Sequence& sequence) {
        std::vector<Outcome> ours, theirs;
        differs(sequence, &ours, &theirs);
        std::string lines;
        for (size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
            if (i < sequence.size()) {
                const Step& step = sequence[i];
                lines += std::string(kNames[static_cast<u8>(step.what)]) + " key " +
                         std::to_string(step.key) + " (" +
                         hex_text(key_bytes(GetParam(), step.key)) + ") value " +
                         std::to_string(step.value) + " flags " + std::to_string(step.flags) +
                         " count " + std::to_string(step.count);
            } else {
                lines += "in the end";
            }
            const bool same = i < ours.size() && i < theirs.size() && ours[i] == theirs[i];
            if (i < ours.size()) lines += "\n    here    " + text(ours[i]);
            if (!same && i < theirs.size()) lines += "\n    kernel  " + text(theirs[i]);
            lines += "\n";
        }
        return lines;
    }

    std::mt19937_64 random_;
};

TEST_P(MapSequence, IsAsOnTheKernel) {
    const u64 seed = test::setting("seed", 1);
    // The kernel waits for a grace period whenever an inner map leaves.
    const u32 count = test::rounds(GetParam().values == Values::Maps ? 5 : 300);
    for (u64 number = seed; number < seed + count; ++number) {
        const Sequence sequence = random_sequence(number);
        std::vector<Outcome> ours, theirs;
        if (!differs(sequence, &ours, &theirs)) continue;
        FAIL() << GetParam().name << ", seed " << number << ":\n" << report(shortest(sequence));
    }
}

INSTANTIATE_TEST_SUITE_P(Types, MapSequence, ::testing::ValuesIn(kKinds), [](const auto& made) {
    std::string name;
    for (const char c : std::string(made.param.name))
        name += std::isalnum(static_cast<u8>(c)) ? c : '_';
    return name;
});

}  // namespace
}  // namespace barebpf
