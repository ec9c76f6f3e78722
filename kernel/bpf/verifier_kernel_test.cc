// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same programs for this verifier and for the running kernel's. What we accept the kernel must
// accept too; what only the kernel accepts is counted. Needs the right to load programs.
//
//     BAREBPF_RANDOM_PROGRAMS=100000   how many (default 1000)
//     BAREBPF_SEED=7                   where to begin
#include <linux/unistd.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "kernel/bpf/disasm.h"
#include "kernel/bpf/verifier_random_test.h"

namespace barebpf::test {

namespace {

long bpf(int command, bpf_attr& attr) {
    return syscall(__NR_bpf, command, &attr, sizeof(attr));
}

struct KernelMap {
    int fd = -1;

    explicit KernelMap(u32 flags) {
        bpf_attr attr{};
        attr.map_type = BPF_MAP_TYPE_ARRAY;
        attr.key_size = 4;
        attr.value_size = 48;
        attr.max_entries = 1;
        attr.map_flags = flags;
        fd = static_cast<int>(bpf(BPF_MAP_CREATE, attr));
        u8 value[48];
        for (u32 i = 0; i < sizeof(value); ++i) value[i] = static_cast<u8>(i);
        u32 key = 0;
        bpf_attr update{};
        update.map_fd = static_cast<u32>(fd);
        update.key = reinterpret_cast<u64>(&key);
        update.value = reinterpret_cast<u64>(value);
        bpf(BPF_MAP_UPDATE_ELEM, update);
        if (!(flags & BPF_F_RDONLY_PROG)) return;
        bpf_attr freeze{};
        freeze.map_fd = static_cast<u32>(fd);
        bpf(BPF_MAP_FREEZE, freeze);
    }
    ~KernelMap() {
        if (fd >= 0) close(fd);
    }
};

class Kernel {
public:
    bool usable() const { return array_.fd >= 0; }

    // Whether the kernel takes it; its log.
    bool accepts(std::vector<bpf_insn> insns, u32 flags, u32 level, std::string* text) {
        for (bpf_insn& one : insns) {
            if (one.code != (BPF_LD | BPF_IMM | BPF_DW) || !one.src_reg) continue;
            one.imm = one.imm == kArrayFd ? array_.fd : read_only_.fd;
        }
        std::vector<char> log(level ? 1 << 20 : 0);
        bpf_attr attr{};
        attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
        attr.insn_cnt = static_cast<u32>(insns.size());
        attr.insns = reinterpret_cast<u64>(insns.data());
        attr.license = reinterpret_cast<u64>("GPL");
        attr.prog_flags = flags;
        attr.log_level = level;
        attr.log_size = static_cast<u32>(log.size());
        attr.log_buf = level ? reinterpret_cast<u64>(log.data()) : 0;
        const long fd = bpf(BPF_PROG_LOAD, attr);
        if (text && level) *text = log.data();
        if (fd >= 0) close(static_cast<int>(fd));
        return fd >= 0;
    }

private:
    KernelMap array_{0};
    KernelMap read_only_{BPF_F_RDONLY_PROG};
};

std::string listing(const std::vector<bpf_insn>& insns) {
    std::string all;
    for (size_t i = 0; i < insns.size(); ++i) {
        char line[128];
        TextBuffer out(line);
        disasm_insn(out, &insns[i]);
        all += std::to_string(i) + ": " + line + '\n';
        if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW)) ++i;
    }
    return all;
}

u64 number_from(const char* name, u64 fallback) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : fallback;
}

std::string last_lines(const std::string& log) {
    return log.size() > 1500 ? log.substr(log.size() - 1500) : log;
}

}  // namespace

TEST(VerifierKernel, AcceptsNothingThatTheKernelRefuses) {
    Kernel kernel;
    if (!kernel.usable()) GTEST_SKIP() << "bpf(2) of the running kernel is not permitted";
    const u64 count = number_from("BAREBPF_RANDOM_PROGRAMS", 1000);
    const u64 first = number_from("BAREBPF_SEED", 1);
    const bool show = getenv("BAREBPF_SHOW") != nullptr;
    u32 both = 0, neither = 0, only_kernel = 0, only_we = 0;
    for (u64 seed = first; seed < first + count; ++seed) {
        VerifierCase one{"", RandomProgram(seed).make()};
        one.flags = seed % 3 == 0 ? u32{BPF_F_TEST_STATE_FREQ} : 0;
        const bool ours = verify(one, 0).error == kAccepted;
        const bool theirs = kernel.accepts(one.insns, one.flags, 0, nullptr);
        if (ours == theirs) {
            ++(ours ? both : neither);
            continue;
        }
        if (theirs) {
            ++only_kernel;
            if (show)
                printf("seed %llu: only the kernel\n%s\n", static_cast<unsigned long long>(seed),
                       last_lines(verify(one, 1).log).c_str());
            continue;
        }
        ++only_we;
        std::string log;
        kernel.accepts(one.insns, one.flags, 1, &log);
        ADD_FAILURE() << "seed " << seed << ": we accept, the kernel says\n"
                      << last_lines(log) << listing(one.insns);
        if (only_we > 5) break;
    }
    RecordProperty("both", static_cast<int>(both));
    RecordProperty("neither", static_cast<int>(neither));
    RecordProperty("only_the_kernel", static_cast<int>(only_kernel));
    printf("accepted by both %u, by neither %u, only by the kernel %u, only here %u\n", both,
           neither, only_kernel, only_we);
    EXPECT_GT(both, count / 10) << "the generator makes too few safe programs";
    EXPECT_GT(neither, count / 50) << "the generator makes too few unsafe programs";
}

}  // namespace barebpf::test
