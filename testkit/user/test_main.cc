// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The main() of unit tests: eight CPU slots, whatever the machine has.
//
// All of them are one executable, which compiles and links in half the time that one for each file takes;
//
//     tests [--of FILE[,FILE...]] [--gtest_...]
//
// runs those of some files (without folder and ending), in a process of their own.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "testkit/user/user.h"

// Interrupt handlers of tests are code of the library, allocation included; the backend keeps them
// out of malloc by deferring them (testkit/user/heap.cc), which ThreadSanitizer cannot know.
extern "C" const char* __tsan_default_options() {
    return "report_signal_unsafe=0";
}

namespace {

std::string stem(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    return name.substr(0, name.rfind('.'));
}

// GoogleTest's filter for what stands in one of these files.
std::string tests_of(const std::string& files) {
    const std::string wanted = "," + files + ",";
    std::string filter;
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        const testing::TestSuite& suite = *all.GetTestSuite(i);
        for (int j = 0; j < suite.total_test_count(); ++j) {
            const testing::TestInfo& test = *suite.GetTestInfo(j);
            if (wanted.find("," + stem(test.file()) + ",") == std::string::npos) continue;
            filter += std::string(filter.empty() ? "" : ":") + suite.name() + "." + test.name();
        }
    }
    return filter;
}

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    barebpf::user::set_cpu_count(8);
    if (argc == 3 && std::strcmp(argv[1], "--of") == 0) {
        const std::string filter = tests_of(argv[2]);
        if (filter.empty()) {
            std::fprintf(stderr, "no tests are in %s\n", argv[2]);
            return 2;
        }
        if (testing::GTEST_FLAG(filter) == "*") testing::GTEST_FLAG(filter) = filter;
    } else if (argc > 1) {
        std::fprintf(stderr, "usage: %s [--of FILE[,FILE...]] [--gtest_...]\n", argv[0]);
        return 2;
    }
    return RUN_ALL_TESTS();
}
