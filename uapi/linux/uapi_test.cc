// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Our ABI headers against the system's: each macro, enumerator, struct, union and field. The names are
// collected from both at build time, so that none can be forgotten. What the system's headers do not
// have yet is held against numbers written here.
#include "uapi/linux/bpf.h"

#include <linux/bpf.h>  // the guard must make this one vanish
#include <linux/types.h>

#include <map>
#include <set>
#include <string>

#include "testkit/test.h"
#include "uapi/linux/uapi_test_facts.h"

namespace barebpf::uapi_test {
namespace {

constexpr int kReference = 6 * 256 + 1;

// Newer than 6.1, or brought to 6.1 by a later stable release: system headers may lack them.
const std::set<std::string> kMayBeMissing = {
    "BPF_F_TEST_SKB_CHECKSUM_COMPLETE",
    "BPF_JCOND",
    "BPF_LOAD_ACQ",
    "BPF_MAY_GOTO",
    "BPF_MEMSX",
    "BPF_STORE_REL",
    "unnamed BPF_FIB_LKUP_RET_NO_SRC_ADDR",
    "unnamed BPF_FIB_LOOKUP_SKIP_NEIGH",
    "unnamed BPF_FIB_LOOKUP_SRC",
    "unnamed BPF_FIB_LOOKUP_TBID",
    "struct bpf_fib_lookup tbid",
    "struct bpf_lpm_trie_key_hdr ",
    "struct bpf_lpm_trie_key_hdr prefixlen",
    "struct bpf_lpm_trie_key_u8 ",
    "struct bpf_lpm_trie_key_u8 data",
    "struct bpf_lpm_trie_key_u8 hdr",
    "struct bpf_lpm_trie_key_u8 hdr.prefixlen",
    "struct bpf_lpm_trie_key_u8 prefixlen",
};

std::map<std::string, Fact> by_name(const Headers& headers) {
    std::map<std::string, Fact> facts;
    for (const Fact& fact : headers.facts) {
        std::string owner = fact.owner;
        facts.emplace(owner.empty() ? fact.name : owner + " " + fact.name, fact);
    }
    return facts;
}

std::string text(const Fact& fact) {
    return "value or offset " + std::to_string(fact.value) + ", size " + std::to_string(fact.size) +
           ", type " + fact.type;
}

class Uapi : public ::testing::Test {
protected:
    void SetUp() override {
        if (system_.version != kReference) {
            GTEST_SKIP() << "the system's headers are of Linux " << system_.version / 256 << "."
                         << system_.version % 256 << "; ours follow 6.1";
        }
    }

    const Headers ours_ = our_headers();
    const Headers system_ = system_headers();
};

TEST_F(Uapi, EverythingOfTheSystemIsThereAndEqual) {
    auto ours = by_name(ours_);
    EXPECT_GT(system_.facts.size(), 1300U);
    for (const auto& [name, fact] : by_name(system_)) {
        auto found = ours.find(name);
        if (found == ours.end()) {
            ADD_FAILURE() << name << " is missing: " << text(fact);
        } else {
            EXPECT_EQ(text(found->second), text(fact)) << name;
        }
    }
}

TEST_F(Uapi, NothingIsAddedUnlisted) {
    auto system = by_name(system_);
    for (const auto& [name, fact] : by_name(ours_)) {
        EXPECT_TRUE(system.count(name) || kMayBeMissing.count(name)) << name << ": " << text(fact);
    }
}

TEST_F(Uapi, HelperListIsInTheSameOrder) {
    ASSERT_EQ(ours_.helpers.size(), system_.helpers.size());
    for (size_t i = 0; i < ours_.helpers.size(); ++i) {
        EXPECT_STREQ(ours_.helpers[i], system_.helpers[i]) << i;
    }
}

TEST(UapiAlone, HelperNumbersCountUp) {
    struct Row {
        const char* name;
        int number;
    };
#define ROW(name, number) {#name, number},
    const Row rows[] = {___BPF_FUNC_MAPPER(ROW)};
#undef ROW
    int expected = 0;
    for (const Row& row : rows) EXPECT_EQ(row.number, expected++) << row.name;
    EXPECT_EQ(expected, __BPF_FUNC_MAX_ID);
}

TEST(UapiAlone, InstructionsNewerThanTheReference) {
    EXPECT_EQ(BPF_LDX | BPF_MEMSX | BPF_B, 0x91);
    EXPECT_EQ(BPF_LDX | BPF_MEMSX | BPF_H, 0x89);
    EXPECT_EQ(BPF_LDX | BPF_MEMSX | BPF_W, 0x81);
    EXPECT_EQ(BPF_LOAD_ACQ, 0x100);
    EXPECT_EQ(BPF_STORE_REL, 0x110);
    EXPECT_EQ(BPF_JMP | BPF_JCOND, 0xe5);
    EXPECT_EQ(BPF_MAY_GOTO, 0);
    EXPECT_EQ(BPF_JMP32 | BPF_JA, 0x06);
    EXPECT_EQ(BPF_ALU64 | BPF_END | BPF_TO_LE, 0xd7);
}

}  // namespace
}  // namespace barebpf::uapi_test
