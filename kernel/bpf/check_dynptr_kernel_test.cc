// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same programs with records and dynptrs to the kernel that the test runs on. It must refuse what we
// are to refuse, in the same words, unless the case says that newer kernels do not.
#include <cstdlib>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/ring_cases_test.h"
#include "kernel/bpf/ring_random_test.h"

namespace barebpf::test {
namespace {

class RingsOnKernel : public ::testing::Test {
protected:
    void SetUp() override {
        make(kArray, BPF_MAP_TYPE_ARRAY, 4, 48, 1);
        if (maps_[kArray] < 0) GTEST_SKIP() << "bpf(2) of the running kernel is not permitted";
        make(kReadOnly, BPF_MAP_TYPE_ARRAY, 4, 48, 1, BPF_F_RDONLY_PROG);
        make(kProgs, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4);
        make(kRing, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
        make(kUserRing, BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096);
        make(kWriteOnly, BPF_MAP_TYPE_ARRAY, 4, 48, 1, BPF_F_WRONLY_PROG);
        make(kQueue, BPF_MAP_TYPE_QUEUE, 0, 48, 4);
        make(kBloom, BPF_MAP_TYPE_BLOOM_FILTER, 0, 48, 4);
        maps_[kArrayOfMaps] =
            MapClient<KernelBpf>::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, maps_[kArray]);
    }
    void TearDown() override {
        for (const int fd : maps_)
            if (fd >= 0) KernelBpf::close(fd);
    }

    void run(const std::vector<RingCase>& cases) {
        for (const RingCase& c : cases) compare(c);
    }

    // A program without functions; log: why not.
    bool accepts(const RingCase& c, bool want_log, std::string* log) {
        const s64 result = load({c.insns, {}}, 0, want_log ? log : nullptr);
        if (result >= 0) KernelBpf::close(int(result));
        return result >= 0;
    }

private:
    void make(TestMap map, u32 type, u32 key, u32 value, u32 entries, u32 flags = 0) {
        maps_[map] = MapClient<KernelBpf>::create(type, key, value, entries, flags);
    }

    static int load_btf(const Btf& btf) {
        bpf_attr attr{};
        attr.btf = address_of(btf.data.data());
        attr.btf_size = u32(btf.data.size());
        return int(KernelBpf::call(BPF_BTF_LOAD, &attr, sizeof attr));
    }

    s64 load(const PlacedCase& placed, int btf, std::string* log) {
        Insns insns = placed.insns;
        set_map_fds(insns, maps_);
        std::vector<char> text(log ? 1 << 18 : 0);
        bpf_attr attr{};
        attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
        attr.insn_cnt = u32(insns.size());
        attr.insns = address_of(insns.data());
        attr.license = address_of("GPL");
        attr.log_level = log ? 1 : 0;
        attr.log_size = u32(text.size());
        attr.log_buf = log ? address_of(text.data()) : 0;
        attr.prog_btf_fd = u32(btf);
        attr.func_info = address_of(placed.functions.data());
        attr.func_info_cnt = u32(placed.functions.size());
        attr.func_info_rec_size = sizeof(bpf_func_info);
        const s64 result = KernelBpf::call(BPF_PROG_LOAD, &attr, sizeof attr);
        if (log) *log = text.data();
        return result;
    }

    void compare(const RingCase& c) {
        if (c.newer == Newer::Refuses) return;
        TestBtf types;
        const PlacedCase placed = place(c, types);
        const int btf = load_btf(*types.finish());
        ASSERT_GE(btf, 0) << c.name;
        std::string log;
        const s64 result = load(placed, btf, &log);
        KernelBpf::close(btf);
        if (result >= 0) KernelBpf::close(int(result));
        const bool accepts = c.error == kAccepted || c.newer == Newer::Accepts;
        const Errno refusal = c.newer_error == kAccepted ? c.error : c.newer_error;
        EXPECT_EQ(result >= 0 ? 0 : result, accepts ? 0 : error(refusal)) << c.name << '\n' << log;
        if (accepts) return;
        const char* text = c.newer_text ? c.newer_text : c.text;
        EXPECT_NE(log.find(text), std::string::npos) << c.name << " wants: " << text << '\n' << log;
    }

    int maps_[kTestMaps] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
};

u64 number_from(const char* name, u64 fallback) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : fallback;
}

TEST_F(RingsOnKernel, AcceptsWhatWeAccept) {
    const u64 count = number_from("BAREBPF_RANDOM_PROGRAMS", 400);
    const u64 first = number_from("BAREBPF_SEED", 1);
    const bool show = getenv("BAREBPF_SHOW");
    u32 both = 0, neither = 0, only_kernel = 0;
    for (u64 seed = first; seed < first + count; ++seed) {
        const RingCase c{"", RandomRingProgram(seed).make()};
        TestLoad load{.log = false};
        if (seed % 3 == 0) load.flags = BPF_F_TEST_STATE_FREQ;
        const bool ours = verify(c.insns, load).error == kAccepted;
        std::string log;
        const bool theirs = accepts(c, ours, &log);
        if (ours && !theirs) ADD_FAILURE() << "seed " << seed << ": the kernel says\n" << log;
        if (!ours && theirs && show)
            printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                   verify(c.insns).log.c_str());
        ++(ours ? both : theirs ? only_kernel : neither);
    }
    printf("accepted by both %u, by neither %u, only by the kernel %u\n", both, neither,
           only_kernel);
    EXPECT_GT(both, count / 10) << "the generator makes too few safe programs";
    EXPECT_GT(neither, count / 20) << "the generator makes too few unsafe programs";
}

TEST_F(RingsOnKernel, Records) {
    run(record_cases());
}

TEST_F(RingsOnKernel, Dynptrs) {
    run(dynptr_cases());
}

TEST_F(RingsOnKernel, DynptrsOfCallbacks) {
    run(callback_cases());
}

TEST_F(RingsOnKernel, ValuesForMaps) {
    run(value_cases());
}

}  // namespace
}  // namespace barebpf::test
