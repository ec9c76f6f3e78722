// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BTF blobs, good and bad; each bad one is also shown to the running kernel where it lets us, because what
// it refuses is what we must refuse.
#include "kernel/bpf/btf.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "testkit/test.h"

namespace barebpf {
namespace {

// Builds a blob: types in words, strings by name.
class Blob {
public:
    u32 name(const char* text) {
        if (!*text) return 0;
        const u32 at = u32(strings_.size());
        strings_.append(text, strlen(text) + 1);
        return at;
    }
    // The type's id.
    u32 add(const char* text, u32 kind, u32 vlen, u32 size_or_type, std::vector<u32> extra = {},
            bool flag = false) {
        words_.push_back(name(text));
        words_.push_back(kind << 24 | vlen | u32{flag} << 31);
        words_.push_back(size_or_type);
        words_.insert(words_.end(), extra.begin(), extra.end());
        return ++count_;
    }
    std::vector<u8> bytes() const {
        btf_header header{BTF_MAGIC,
                          BTF_VERSION,
                          0,
                          sizeof(btf_header),
                          0,
                          u32(words_.size() * 4),
                          u32(words_.size() * 4),
                          u32(strings_.size())};
        std::vector<u8> out(sizeof header + words_.size() * 4 + strings_.size());
        memcpy(out.data(), &header, sizeof header);
        memcpy(out.data() + sizeof header, words_.data(), words_.size() * 4);
        memcpy(out.data() + sizeof header + words_.size() * 4, strings_.data(), strings_.size());
        return out;
    }

    u32 add_int(const char* text = "int", u32 bytes = 4) {
        return add(text, BTF_KIND_INT, 0, bytes, {BTF_INT_SIGNED << 24 | bytes * 8});
    }

private:
    std::vector<u32> words_;
    std::string strings_ = std::string(1, '\0');
    u32 count_ = 0;
};

struct Checked {
    int error;
    std::string log;
};

Checked check(const std::vector<u8>& bytes, u32* size_of_last = nullptr) {
    host::Cpu::Entry entry;
    Btf btf;
    EXPECT_TRUE(btf.data.allocate(bytes.size(), host::AllocContext::MaySleep, btf.memory));
    if (!bytes.empty()) memcpy(btf.data.data(), bytes.data(), bytes.size());
    char text[256];
    TextBuffer log(text);
    auto result = btf_check(&btf, &log);
    if (result.ok() && size_of_last) *size_of_last = btf.size_of(btf.type_count());
    return {result.ok() ? 0 : to_int(result.error()), text};
}

// 0 or errno; -1: there is no other kernel, or it does not let us ask.
int kernel_says(const std::vector<u8>& bytes) {
    bpf_attr attr{};
    attr.btf = reinterpret_cast<u64>(bytes.data());
    attr.btf_size = u32(bytes.size());
    const s64 fd = test::kernel_bpf(BPF_BTF_LOAD, &attr, sizeof attr);
    if (fd == -to_int(Errno::Perm) || fd == -to_int(Errno::NoSys)) return -1;
    if (fd < 0) return static_cast<int>(-fd);
    test::kernel_close(static_cast<int>(fd));
    return 0;
}

// One of each kind, referring to each other as a compiler would.
Blob every_kind() {
    Blob b;
    const u32 i = b.add_int();                                                              // 1
    const u32 p = b.add("", BTF_KIND_PTR, 0, i);                                            // 2
    b.add("", BTF_KIND_ARRAY, 0, 0, {p, i, 10});                                            // 3
    b.add("node", BTF_KIND_STRUCT, 2, 16, {b.name("value"), i, 0, b.name("next"), 5, 64});  // 4
    b.add("", BTF_KIND_PTR, 0, 4);                                                          // 5
    b.add("either", BTF_KIND_UNION, 2, 8, {b.name("a"), i, 0, b.name("b"), 2, 0});          // 6
    b.add("color", BTF_KIND_ENUM, 2, 4, {b.name("RED"), 0, b.name("GREEN"), 1});            // 7
    b.add("later", BTF_KIND_FWD, 0, 0);                                                     // 8
    b.add("myint", BTF_KIND_TYPEDEF, 0, i);                                                 // 9
    b.add("", BTF_KIND_VOLATILE, 0, 9);                                                     // 10
    b.add("", BTF_KIND_CONST, 0, 10);                                                       // 11
    b.add("", BTF_KIND_RESTRICT, 0, 5);                                                     // 12
    b.add("", BTF_KIND_FUNC_PROTO, 2, i, {b.name("x"), 11, b.name("y"), 12});               // 13
    b.add("work", BTF_KIND_FUNC, BTF_FUNC_GLOBAL, 13);                                      // 14
    b.add("counter", BTF_KIND_VAR, 0, i, {BTF_VAR_GLOBAL_ALLOCATED});                       // 15
    b.add(".bss", BTF_KIND_DATASEC, 1, 8, {15, 0, 4});                                      // 16
    b.add("real", BTF_KIND_FLOAT, 0, 8);                                                    // 17
    b.add("note", BTF_KIND_DECL_TAG, 0, 4, {1});                                            // 18
    b.add("user", BTF_KIND_TYPE_TAG, 0, 4);                                                 // 19
    b.add("big", BTF_KIND_ENUM64, 1, 8, {b.name("HUGE"), 1, 1});                            // 20
    b.add("flags", BTF_KIND_STRUCT, 2, 4,
          {b.name("f1"), i, 3u << 24 | 0, b.name("f2"), 7, 5u << 24 | 3}, true);  // 21
    return b;
}

TEST(Btf, AcceptsEveryKind) {
    const auto result = check(every_kind().bytes());
    EXPECT_EQ(result.error, 0) << result.log;
    const int kernel = kernel_says(every_kind().bytes());
    if (kernel >= 0) {
        EXPECT_EQ(kernel, 0);
    }
}

TEST(Btf, KnowsSizes) {
    u32 size = 0;
    Blob b;
    const u32 i = b.add_int();
    const u32 array = b.add("", BTF_KIND_ARRAY, 0, 0, {i, i, 6});
    const u32 alias = b.add("alias", BTF_KIND_TYPEDEF, 0, array);
    b.add("", BTF_KIND_CONST, 0, alias);
    EXPECT_EQ(check(b.bytes(), &size).error, 0);
    EXPECT_EQ(size, 24u);
    b.add("", BTF_KIND_PTR, 0, array);
    EXPECT_EQ(check(b.bytes(), &size).error, 0);
    EXPECT_EQ(size, 8u);
}

struct BadCase {
    const char* what;
    Blob blob;
    const char* phrase;
};

std::vector<BadCase> bad_cases() {
    std::vector<BadCase> cases;
    auto add = [&cases](const char* what, const char* phrase, auto build) {
        cases.push_back({what, Blob{}, phrase});
        cases.back().blob.add_int();
        build(cases.back().blob);
    };
    add("struct in itself", "Loop detected", [](Blob& b) {
        b.add("s", BTF_KIND_STRUCT, 1, 8, {b.name("me"), 2, 0});
    });
    add("typedef of itself", "Loop detected", [](Blob& b) { b.add("t", BTF_KIND_TYPEDEF, 0, 2); });
    add("pointer ring", "Loop detected", [](Blob& b) {
        b.add("", BTF_KIND_PTR, 0, 3);
        b.add("", BTF_KIND_CONST, 0, 2);
    });
    add("array of itself", "Loop detected", [](Blob& b) {
        b.add("", BTF_KIND_ARRAY, 0, 0, {2, 1, 1});
    });
    add("no such type", "Invalid type_id", [](Blob& b) { b.add("", BTF_KIND_PTR, 0, 99); });
    add("member outside", "Member exceeds struct_size", [](Blob& b) {
        b.add("s", BTF_KIND_STRUCT, 1, 4, {b.name("x"), 1, 8});
    });
    add("void member", "Invalid type_id", [](Blob& b) {
        b.add("s", BTF_KIND_STRUCT, 1, 4, {b.name("x"), 0, 0});
    });
    add("array too large", "Array size overflows u32_max", [](Blob& b) {
        b.add("", BTF_KIND_ARRAY, 0, 0, {1, 1, 0x4000'0000});
    });
    add("name with space", "Invalid name", [](Blob& b) { b.add("a b", BTF_KIND_TYPEDEF, 0, 1); });
    add("named pointer", "Invalid name", [](Blob& b) { b.add("p", BTF_KIND_PTR, 0, 1); });
    add("function of no type", "Invalid type_id", [](Blob& b) { b.add("f", BTF_KIND_FUNC, 0, 1); });
    add("bad kind", "Invalid kind:31", [](Blob& b) { b.add("x", 31, 0, 1); });
    add("kind flag", "Invalid btf_info kind_flag",
        [](Blob& b) { b.add("", BTF_KIND_PTR, 0, 1, {}, true); });
    add("int too wide", "nr_bits exceeds type_size",
        [](Blob& b) { b.add("w", BTF_KIND_INT, 0, 1, {9}); });
    add("overlapping variables", "Invalid offset", [](Blob& b) {
        b.add("v", BTF_KIND_VAR, 0, 1, {BTF_VAR_STATIC});
        b.add(".data", BTF_KIND_DATASEC, 2, 8, {2, 0, 4, 2, 2, 4});
    });
    add("section of types", "Not a VAR kind member", [](Blob& b) {
        b.add(".data", BTF_KIND_DATASEC, 1, 8, {1, 0, 4});
    });
    add("tag of a member that is not there", "Invalid component_idx", [](Blob& b) {
        b.add("s", BTF_KIND_STRUCT, 1, 4, {b.name("x"), 1, 0});
        b.add("t", BTF_KIND_DECL_TAG, 0, 2, {1});
    });
    add("too deep", "Exceeded max resolving depth", [](Blob& b) {
        for (u32 i = 0; i < 40; ++i) b.add("", BTF_KIND_CONST, 0, i == 39 ? 1 : i + 3);
    });
    return cases;
}

TEST(Btf, RefusesWithTheReason) {
    for (const BadCase& bad : bad_cases()) {
        const auto result = check(bad.blob.bytes());
        EXPECT_NE(result.error, 0) << bad.what;
        EXPECT_NE(result.log.find(bad.phrase), std::string::npos) << bad.what << ": " << result.log;
        const int kernel = kernel_says(bad.blob.bytes());
        if (kernel >= 0) {
            EXPECT_EQ(result.error, kernel) << bad.what;
        }
    }
}

TEST(Btf, SurvivesTruncation) {
    const auto whole = every_kind().bytes();
    for (size_t length = 0; length < whole.size(); ++length) {
        EXPECT_NE(check({whole.begin(), whole.begin() + long(length)}).error, 0) << length;
    }
}

// Words of a good blob replaced by others: the same answer as the kernel's, or none at all.
TEST(Btf, AgreesWithTheKernelOnDamage) {
    const auto good = every_kind().bytes();
    if (kernel_says(good) < 0) GTEST_SKIP() << "bpf(2) is not permitted";
    std::mt19937 random(1);
    const u32 interesting[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 21, 22, 64, 0xffff, 0xfffff, ~0u};
    u32 refused = 0;
    for (u32 round = 0; round < 20'000; ++round) {
        auto bytes = good;
        for (u32 n = 1 + random() % 2; n; --n) {
            const size_t word = random() % (bytes.size() / 4);
            u32 value;
            memcpy(&value, &bytes[word * 4], 4);
            switch (random() % 3) {
                case 0:
                    value = interesting[random() % std::size(interesting)];
                    break;
                case 1:
                    value ^= 1u << random() % 32;
                    break;
                default:
                    value += random() % 5 - 2;
            }
            memcpy(&bytes[word * 4], &value, 4);
        }
        const auto ours = check(bytes);
        const int kernel = kernel_says(bytes);
        ASSERT_EQ(ours.error == 0, kernel == 0) << "round " << round << ": " << ours.log;
        // With two faults at once, which is met first depends on the order of the walk.
        constexpr int kExist = to_int(Errno::Exist);
        const bool loop = ours.error == kExist || kernel == kExist;
        ASSERT_TRUE(loop || ours.error == kernel) << "round " << round << ": " << ours.log;
        refused += ours.error != 0;
    }
    EXPECT_GT(refused, 5'000u);
    EXPECT_LT(refused, 19'500u);
}

}  // namespace
}  // namespace barebpf
