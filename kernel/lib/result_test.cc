// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/result.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

Result<int> half(int n) {
    if (n % 2) return Errno::Inval;
    return n / 2;
}

Result<int> quarter(int n) {
    int h = TRY(half(n));
    return half(h);
}

Result<void> only_even(int n) {
    TRY(half(n));
    return {};
}

TEST(Result, TryPassesValuesAndErrorsThrough) {
    EXPECT_EQ(quarter(8).value(), 2);
    EXPECT_EQ(quarter(7).error(), Errno::Inval);
    EXPECT_EQ(quarter(6).error(), Errno::Inval);
    EXPECT_TRUE(only_even(2).ok());
    EXPECT_FALSE(only_even(1).ok());
}

struct Counted {
    explicit Counted(int* live) : live_(live) { ++*live_; }
    Counted(Counted&& other) : live_(other.live_) { ++*live_; }
    ~Counted() { --*live_; }
    int* live_;
};

Result<Counted> make(int* live, bool fail) {
    if (fail) return Errno::NoMem;
    return Counted(live);
}

TEST(Result, OwnsItsValueOnce) {
    int live = 0;
    {
        auto result = make(&live, false);
        EXPECT_EQ(live, 1);
        Counted taken = result.release();
        EXPECT_EQ(live, 2);
    }
    EXPECT_EQ(live, 0);
    EXPECT_EQ(make(&live, true).error(), Errno::NoMem);
    EXPECT_EQ(live, 0);
}

}  // namespace
}  // namespace barebpf
