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

#include "kernel/bpf/btf.h"
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
    bool accepts(const VerifierCase& one, u32 level, std::string* text) {
        std::vector<bpf_insn> insns = one.insns;
        for (bpf_insn& insn : insns) {
            if (insn.code != (BPF_LD | BPF_IMM | BPF_DW) || !insn.src_reg ||
                insn.src_reg == BPF_PSEUDO_FUNC)
                continue;
            insn.imm = insn.imm == kArrayFd ? array_.fd : read_only_.fd;
        }
        std::vector<char> log(level ? 1 << 20 : 0);
        bpf_attr attr{};
        attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
        attr.insn_cnt = static_cast<u32>(insns.size());
        attr.insns = reinterpret_cast<u64>(insns.data());
        attr.license = reinterpret_cast<u64>("GPL");
        attr.prog_flags = one.flags;
        attr.log_level = level;
        attr.log_size = static_cast<u32>(log.size());
        attr.log_buf = level ? reinterpret_cast<u64>(log.data()) : 0;
        if (one.btf) {
            attr.prog_btf_fd = static_cast<u32>(load_btf(one.btf));
            attr.func_info = reinterpret_cast<u64>(one.functions.data());
            attr.func_info_cnt = static_cast<u32>(one.functions.size());
            attr.func_info_rec_size = sizeof(bpf_func_info);
        }
        const long fd = bpf(BPF_PROG_LOAD, attr);
        if (text && level) *text = log.data();
        if (fd >= 0) close(static_cast<int>(fd));
        return fd >= 0;
    }

private:
    int load_btf(const Btf* btf) {
        if (btf_ >= 0) return btf_;
        bpf_attr attr{};
        attr.btf = reinterpret_cast<u64>(btf->data.data());
        attr.btf_size = static_cast<u32>(btf->data.size());
        btf_ = static_cast<int>(bpf(BPF_BTF_LOAD, attr));
        EXPECT_GE(btf_, 0);
        return btf_;
    }

    int btf_ = -1;  // one for all programs; lives as long as the process
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

// The types that programs with callbacks need: main() and as many static functions as they have.
class FunctionTypes {
public:
    static constexpr u32 kMost = 8;

    FunctionTypes() {
        std::string strings(1, '\0');
        std::vector<u32> words;
        const auto name = [&](const std::string& text) {
            const u32 at = static_cast<u32>(strings.size());
            strings.append(text.c_str(), text.size() + 1);
            return at;
        };
        const auto type = [&](u32 name_off, u32 kind, u32 size_or_type) {
            words.insert(words.end(), {name_off, kind << 24, size_or_type});
        };
        type(name("int"), BTF_KIND_INT, 4);
        words.push_back(32);
        type(0, BTF_KIND_FUNC_PROTO, 1);
        for (u32 i = 0; i < kMost; ++i)
            type(name("f" + std::to_string(i)), BTF_KIND_FUNC, 2);  // static
        const u32 bytes = static_cast<u32>(words.size() * 4);
        const btf_header header = {.magic = BTF_MAGIC,
                                   .version = BTF_VERSION,
                                   .hdr_len = sizeof(btf_header),
                                   .type_len = bytes,
                                   .str_off = bytes,
                                   .str_len = static_cast<u32>(strings.size())};
        EXPECT_TRUE(btf_.data.allocate(sizeof header + bytes + strings.size(),
                                       host::AllocContext::MaySleep, btf_.memory));
        memcpy(btf_.data.data(), &header, sizeof header);
        memcpy(btf_.data.data() + sizeof header, words.data(), bytes);
        memcpy(btf_.data.data() + sizeof header + bytes, strings.data(), strings.size());
        char text[256];
        TextBuffer log(text);
        EXPECT_TRUE(btf_check(&btf_, &log).ok()) << text;
    }

    void give(VerifierCase& one, const std::vector<u32>& starts) {
        one.btf = &btf_;
        for (u32 i = 0; i < starts.size(); ++i) one.functions.push_back({starts[i], 3 + i});
    }

private:
    host::Cpu::Entry entry_;
    Btf btf_;
};

void compare_with_kernel(u64 count, bool callbacks) {
    Kernel kernel;
    if (!kernel.usable()) GTEST_SKIP() << "bpf(2) of the running kernel is not permitted";
    count = number_from("BAREBPF_RANDOM_PROGRAMS", count);
    const u64 first = number_from("BAREBPF_SEED", 1);
    const bool show = getenv("BAREBPF_SHOW") != nullptr;
    FunctionTypes types;
    u32 both = 0, neither = 0, only_kernel = 0, only_we = 0;
    for (u64 seed = first; seed < first + count; ++seed) {
        RandomProgram program(seed, callbacks);
        VerifierCase one{"", program.make()};
        one.flags = seed % 3 == 0 ? u32{BPF_F_TEST_STATE_FREQ} : 0;
        if (callbacks) types.give(one, program.functions());
        const bool ours = verify(one, 0).error == kAccepted;
        const bool theirs = kernel.accepts(one, 0, nullptr);
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
        std::string log;
        kernel.accepts(one, 1, &log);
        // bpf_loop(0): some kernels remove the callback and then miss it.
        if (log.find("No program to jit") != std::string::npos) continue;
        ++only_we;
        ADD_FAILURE() << "seed " << seed << ": we accept, the kernel says\n"
                      << last_lines(log) << listing(one.insns);
        if (only_we > 5) break;
    }
    ::testing::Test::RecordProperty("both", static_cast<int>(both));
    ::testing::Test::RecordProperty("neither", static_cast<int>(neither));
    ::testing::Test::RecordProperty("only_the_kernel", static_cast<int>(only_kernel));
    printf("accepted by both %u, by neither %u, only by the kernel %u, only here %u\n", both,
           neither, only_kernel, only_we);
    EXPECT_GT(both, count / 10) << "the generator makes too few safe programs";
    EXPECT_GT(neither, count / 50) << "the generator makes too few unsafe programs";
}

}  // namespace

TEST(VerifierKernel, AcceptsNothingThatTheKernelRefuses) {
    compare_with_kernel(1000, false);
}

TEST(VerifierKernel, AcceptsNoCallbacksThatTheKernelRefuses) {
    compare_with_kernel(150, true);
}

}  // namespace barebpf::test
