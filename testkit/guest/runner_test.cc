// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The guest's runner of tests, in a process: tests that pass, fail and skip on purpose, and what the runner makes of
// them. GoogleTest cannot run it, for it has the same names; main() compares.
#include "testkit/guest/runner.h"

#include <cstdio>
#include <memory>
#include <set>
#include <string>

#include "kernel/host/contract.h"
#include "testkit/guest/guest.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

std::string console;
int heap_checks;
host::MemoryOwner owner;
void* kept;

TEST(Sample, Passes) {
    EXPECT_EQ(1 + 1, 2);
    EXPECT_STREQ("a", "a");
    if (owner.bytes() == 0)
        EXPECT_TRUE(true);
    else
        FAIL();
}

TEST(Sample, GoesOnAfterExpect) {
    EXPECT_EQ(std::string("a\n\"\x01"), "b") << "which is " << u8{7} << ' ' << -8 << " told";
    EXPECT_LT(300, 2);
    EXPECT_FALSE(owner.bytes() == 0);
}

TEST(Sample, StopsAfterAssert) {
    ASSERT_EQ((std::set<int>{1, 200}), std::set<int>{});
    console += "not reached\n";
}

TEST(Sample, Skips) {
    GTEST_SKIP() << "there is no "
                 << "reason";
}

TEST(Sample, IsSkippedByWhatItCalls) {
    guest::skip_test("too small");
    EXPECT_EQ(1, 2);
}

TEST(Sample, KeepsMemory) {
    host::Cpu::Entry inside;
    kept = host::alloc(100, host::AllocContext::MaySleep, owner);
}

class Fixture : public testing::Test {
protected:
    void SetUp() override { console += "SetUp\n"; }
    void TearDown() override { console += HasFatalFailure() ? "TearDown fatal\n" : "TearDown\n"; }
    ~Fixture() override { console += "gone\n"; }
};

TEST_F(Fixture, IsSetUpAndTornDown) {
    EXPECT_FALSE(HasFailure());
    ASSERT_NE(&console, nullptr);
}
TEST_F(Fixture, IsTornDownAfterAFailure) {
    ASSERT_TRUE(false);
}

class Failing : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(1, 2); }
};
TEST_F(Failing, HasNoBody) {
    console += "not reached\n";
}

class Parameters : public testing::TestWithParam<u32> {};
TEST_P(Parameters, AreEven) {
    EXPECT_EQ(GetParam() % 2, 0u);
}
TEST_P(Parameters, AreBelowTen) {
    EXPECT_LT(GetParam(), 10u);
}
INSTANTIATE_TEST_SUITE_P(Some, Parameters, testing::Values(4u, 7u),
                         [](const auto& info) { return "Of" + std::to_string(info.param); });

struct Run {
    const char* filter;
    u32 failed;
    const char* output;  // without times
};

const Run kRuns[] = {
    {"Sample.Passes", 0,
     "[==========] Running 1 test.\n[ RUN      ] Sample.Passes\n[       OK ] Sample.Passes\n"
     "[==========] 1 test ran.\n[  PASSED  ] 1 test.\n"},
    {"Sample.GoesOn*:Sample.Stops?fterAssert", 2,
     "[==========] Running 2 tests.\n[ RUN      ] Sample.GoesOnAfterExpect\n"
     "FILE: Failure\nExpected: std::string(\"a\\n\\\"\\x01\") == \"b\"\n  left:  "
     "\"a\\n\\\"\\x01\"\n"
     "  right: \"b\"\nwhich is 7 -8 told\n"
     "FILE: Failure\nExpected: 300 < 2\n  left:  300 (0x12c)\n  right: 2\n"
     "FILE: Failure\nowner.bytes() == 0 is true\n"
     "[  FAILED  ] Sample.GoesOnAfterExpect\n[ RUN      ] Sample.StopsAfterAssert\n"
     "FILE: Failure\nExpected: (std::set<int>{1, 200}) == std::set<int>{}\n"
     "  left:  { 1, 200 (0xc8) }\n  right: { }\n[  FAILED  ] Sample.StopsAfterAssert\n"
     "[==========] 2 tests ran.\n[  PASSED  ] 0 tests.\n[  FAILED  ] 2 tests, listed below:\n"
     "[  FAILED  ] Sample.GoesOnAfterExpect\n[  FAILED  ] Sample.StopsAfterAssert\n"},
    {"*Skip*", 0,
     "[==========] Running 2 tests.\n[ RUN      ] Sample.Skips\nSkipped: there is no reason\n"
     "[  SKIPPED ] Sample.Skips\n[ RUN      ] Sample.IsSkippedByWhatItCalls\nSkipped: too small\n"
     "[  SKIPPED ] Sample.IsSkippedByWhatItCalls\n[==========] 2 tests ran.\n[  PASSED  ] 0 "
     "tests.\n"
     "[  SKIPPED ] 2 tests, listed below:\n[  SKIPPED ] Sample.Skips\n"
     "[  SKIPPED ] Sample.IsSkippedByWhatItCalls\n"},
    {"Sample.Keeps*", 1,
     "[==========] Running 1 test.\n[ RUN      ] Sample.KeepsMemory\n"
     "FILE: Failure\nExpected: after.blocks == before.blocks\n  left:  1\n  right: 0\n"
     "blocks of the library's are left\n"
     "FILE: Failure\nExpected: after.bytes == before.bytes\n  left:  100 (0x64)\n  right: 0\n"
     "bytes of the library's are left\n"
     "[  FAILED  ] Sample.KeepsMemory\n[==========] 1 test ran.\n[  PASSED  ] 0 tests.\n"
     "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Sample.KeepsMemory\n"},
    {"F*-*.HasNo*", 1,
     "[==========] Running 2 tests.\n[ RUN      ] "
     "Fixture.IsSetUpAndTornDown\nSetUp\nTearDown\ngone\n"
     "[       OK ] Fixture.IsSetUpAndTornDown\n[ RUN      ] "
     "Fixture.IsTornDownAfterAFailure\nSetUp\n"
     "FILE: Failure\nfalse is false\nTearDown fatal\ngone\n"
     "[  FAILED  ] Fixture.IsTornDownAfterAFailure\n[==========] 2 tests ran.\n[  PASSED  ] 1 "
     "test.\n"
     "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Fixture.IsTornDownAfterAFailure\n"},
    {"-Sample.*:Fixture.*:Some*", 1,
     "[==========] Running 1 test.\n[ RUN      ] Failing.HasNoBody\n"
     "FILE: Failure\nExpected: 1 == 2\n  left:  1\n  right: 2\n"
     "[  FAILED  ] Failing.HasNoBody\n[==========] 1 test ran.\n[  PASSED  ] 0 tests.\n"
     "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Failing.HasNoBody\n"},
    {"Some/Parameters.*", 1,
     "[==========] Running 4 tests.\n[ RUN      ] Some/Parameters.AreEven/Of4\n"
     "[       OK ] Some/Parameters.AreEven/Of4\n[ RUN      ] Some/Parameters.AreEven/Of7\n"
     "FILE: Failure\nExpected: GetParam() % 2 == 0u\n  left:  1\n  right: 0\n"
     "[  FAILED  ] Some/Parameters.AreEven/Of7\n[ RUN      ] Some/Parameters.AreBelowTen/Of4\n"
     "[       OK ] Some/Parameters.AreBelowTen/Of4\n[ RUN      ] Some/Parameters.AreBelowTen/Of7\n"
     "[       OK ] Some/Parameters.AreBelowTen/Of7\n[==========] 4 tests ran.\n"
     "[  PASSED  ] 3 tests.\n[  FAILED  ] 1 test, listed below:\n"
     "[  FAILED  ] Some/Parameters.AreEven/Of7\n"},
    {"Nothing", 0,
     "[==========] Running 0 tests.\n[==========] 0 tests ran.\n[  PASSED  ] 0 tests.\n"},
};

// Without " (12 ms)", "(12 ms total)", and the paths and lines in front of ": Failure".
std::string without_changing(const std::string& text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at);
        std::string line = text.substr(at, end - at);
        if (line.find(": Failure") != std::string::npos) line = "FILE: Failure";
        const size_t time = line.rfind(" (");
        if (time != std::string::npos && line.find(" ms", time) != std::string::npos) {
            line.resize(time);
        }
        out += line + '\n';
        at = end + 1;
    }
    return out;
}

bool as_expected(const Run& run) {
    console.clear();
    heap_checks = 0;
    const u32 failed = guest::run_tests(run.filter);
    if (kept) {
        host::Cpu::Entry inside;
        host::free(kept, 100, owner);
        kept = nullptr;
    }
    const std::string output = without_changing(console);
    if (failed == run.failed && output == run.output && (heap_checks > 0 || !failed)) return true;
    printf("filter %s: %u failed, expected %u; %d heap checks\n--- output\n%s--- expected\n%s",
           run.filter, failed, run.failed, heap_checks, output.c_str(), run.output);
    return false;
}

}  // namespace

namespace guest {

void console_write(const char* text, size_t length) {
    console.append(text, length);
}
void heap_check() {
    ++heap_checks;
}

}  // namespace guest

namespace test {

void settle() {
    host::Cpu::Entry inside;
    host::rcu_barrier();
}

}  // namespace test
}  // namespace barebpf

int main() {
    bool good = true;
    for (const barebpf::Run& run : barebpf::kRuns) good &= barebpf::as_expected(run);
    return good ? 0 : 1;
}
