// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The runner of tests where there is no GoogleTest: its names (testkit/test.h lists them) and its output, as far as
// tests and testkit/summary.py need them.
//
//     TEST() ──> a class, and a Registration ──> list in order of registration (constructors of the image)
//     guest_run() ──> run_tests(filter) ──> per test: make, SetUp, TestBody, TearDown, delete
//                                              then: callbacks run, the heap is whole, no memory was kept
//
// Expectations may fail on any CPU, in process context; what they say goes to the console at once. Tests and
// their fixtures are made on the heap of testkit/guest/runtime, which live_memory() does not count.
#pragma once

#include <vector>

#include "kernel/lib/types.h"
#include "testkit/guest/runner_values.h"

namespace testing {

class Test {
public:
    Test() = default;
    virtual ~Test() = default;
    Test(const Test&) = delete;
    Test& operator=(const Test&) = delete;

    virtual void SetUp() {}
    virtual void TearDown() {}
    virtual void TestBody() = 0;

    // Of the running test so far.
    static bool HasFailure();
    static bool HasFatalFailure();
    // Prints it; a number worth knowing when the test passes.
    static void RecordProperty(const char* name, const std::string& value);
    static void RecordProperty(const char* name, int value);
};

namespace internal {

struct TestInfo {
    std::string suite;
    std::string name;
    Test* (*make)(const void* parameter);
    const void* parameter;  // of a TEST_P, valid for good
};

// In order of registration; those of TEST_P are added when the tests start.
std::vector<TestInfo>& all_tests();
// What is called then.
std::vector<void (*)()>& instantiations();

struct Registration {
    Registration(const char* suite, const char* name, Test* (*make)(const void*)) {
        all_tests().push_back({suite, name, make, nullptr});
    }
};

template <class T>
Test* make_test(const void*) {
    return new T;
}

enum class Kind { Expect, Assert, Skip };

// One that failed: takes the message and prints all of it. `= Message` so that << comes first.
class Failure {
public:
    Failure(Kind kind, const char* file, int line, std::string text)
        : kind_(kind), file_(file), line_(line), text_(static_cast<std::string&&>(text)) {}
    void operator=(const Message& message) const;

private:
    Kind kind_;
    const char* file_;
    int line_;
    std::string text_;
};

// The outcome of a comparison: empty if it holds.
struct Outcome {
    bool holds;
    std::string text;
};

std::string compared(const char* operation, const char* left_text, const std::string& left,
                     const char* right_text, const std::string& right);

// GoogleTest's comparisons are made in a template too, which no compiler warns of.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#define GUEST_TEST_COMPARISON(name, operation)                                                   \
    template <class A, class B>                                                                  \
    Outcome name(const char* left_text, const char* right_text, const A& left, const B& right) { \
        if (left operation right) return {true, {}};                                             \
        return {false, compared(#operation, left_text, show(left), right_text, show(right))};    \
    }
GUEST_TEST_COMPARISON(compare_EQ, ==)
GUEST_TEST_COMPARISON(compare_NE, !=)
GUEST_TEST_COMPARISON(compare_LT, <)
GUEST_TEST_COMPARISON(compare_LE, <=)
GUEST_TEST_COMPARISON(compare_GT, >)
GUEST_TEST_COMPARISON(compare_GE, >=)
#undef GUEST_TEST_COMPARISON
#pragma GCC diagnostic pop

Outcome compare_STREQ(const char* left_text, const char* right_text, const char* left,
                      const char* right);

template <class T>
Outcome is_true(const char* text, const T& value, bool wanted) {
    if (static_cast<bool>(value) == wanted) return {true, {}};
    return {false, std::string(text) + (wanted ? " is false" : " is true")};
}

}  // namespace internal

// ── Tests with a parameter ────────────────────────────────────────────────────────────────────
template <class T>
struct TestParamInfo {
    const T& param;
    size_t index;
};

template <class T>
class TestWithParam : public Test {
public:
    using ParamType = T;
    static const T& GetParam() { return *current_; }
    static void set_parameter(const void* parameter) {
        current_ = static_cast<const T*>(parameter);
    }

private:
    static inline const T* current_ = nullptr;
};

template <class T, class... More>
std::vector<T> Values(T first, More... more) {
    return {first, more...};
}
template <class T, size_t N>
std::vector<T> ValuesIn(const T (&array)[N]) {
    return std::vector<T>(array, array + N);
}
template <class T>
std::vector<T> ValuesIn(const std::vector<T>& values) {
    return values;
}

namespace internal {

// The TEST_Ps of a fixture.
template <class Fixture>
struct Parametrised {
    struct Pattern {
        const char* name;
        Test* (*make)(const void*);
    };
    static std::vector<Pattern>& patterns() {
        static std::vector<Pattern> all;
        return all;
    }
    Parametrised(const char* name, Test* (*make)(const void*)) {
        patterns().push_back({name, make});
    }
    // Each with each parameter, in GoogleTest's order and by its names: Prefix/Fixture.Test/NAME.
    template <class Namer>
    static void instantiate(const std::string& suite,
                            const std::vector<typename Fixture::ParamType>& values, Namer namer) {
        for (const Pattern& pattern : patterns()) {
            for (size_t i = 0; i < values.size(); ++i) {
                const TestParamInfo<typename Fixture::ParamType> info{values[i], i};
                all_tests().push_back({suite, std::string(pattern.name) + "/" + namer(info),
                                       pattern.make, &values[i]});
            }
        }
    }
};

template <class T>
Test* make_parametrised(const void* parameter) {
    T::set_parameter(parameter);
    return new T;
}

struct Instantiation {
    explicit Instantiation(void (*function)()) { instantiations().push_back(function); }
};

}  // namespace internal
}  // namespace testing

namespace barebpf::guest {

struct Shard {
    u64 index = 0;
    u64 count = 1;  // of the selected tests, every count-th is run, from number index on
};

// Runs the tests that match, in order, and says so. GoogleTest's filter: patterns with * and ? parted by colons,
// those behind a '-' are left out; null: all. Returns how many failed.
u32 run_tests(const char* filter, Shard shard = {});

}  // namespace barebpf::guest

#define GUEST_TEST_CLASS(suite, name, parent)                                              \
    class suite##_##name##_Test : public parent {                                          \
    public:                                                                                \
        void TestBody() override;                                                          \
    };                                                                                     \
    [[maybe_unused]] static const ::testing::internal::Registration suite##_##name##_made{ \
        #suite, #name, ::testing::internal::make_test<suite##_##name##_Test>};             \
    void suite##_##name##_Test::TestBody()

#define TEST(suite, name) GUEST_TEST_CLASS(suite, name, ::testing::Test)
#define TEST_F(fixture, name) GUEST_TEST_CLASS(fixture, name, fixture)

#define TEST_P(fixture, name)                                                                     \
    class fixture##_##name##_Test : public fixture {                                              \
    public:                                                                                       \
        void TestBody() override;                                                                 \
    };                                                                                            \
    [[maybe_unused]] static const ::testing::internal::Parametrised<fixture>                      \
        fixture##_##name##_made{#name,                                                            \
                                ::testing::internal::make_parametrised<fixture##_##name##_Test>}; \
    void fixture##_##name##_Test::TestBody()

#define INSTANTIATE_TEST_SUITE_P(prefix, fixture, parameters, namer)                              \
    [[maybe_unused]] static const ::testing::internal::Instantiation prefix##_##fixture##_made {  \
        [] {                                                                                      \
            static const std::vector<fixture::ParamType> values = parameters;                     \
            ::testing::internal::Parametrised<fixture>::instantiate(#prefix "/" #fixture, values, \
                                                                    namer);                       \
        }                                                                                         \
    }

// A switch, so that an `if` of the test's around it keeps its own `else`.
#define GUEST_TEST_CHECK(outcome, failed)                                                        \
    switch (0)                                                                                   \
    case 0:                                                                                      \
    default:                                                                                     \
        if (const ::testing::internal::Outcome outcome_of_test = outcome; outcome_of_test.holds) \
            ;                                                                                    \
        else                                                                                     \
            failed(outcome_of_test.text)

#define GUEST_TEST_FAILURE(kind, text)                                                        \
    ::testing::internal::Failure(::testing::internal::Kind::kind, __FILE__, __LINE__, text) = \
        ::testing::Message()
#define GUEST_TEST_EXPECT(text) GUEST_TEST_FAILURE(Expect, text)
#define GUEST_TEST_ASSERT(text) return GUEST_TEST_FAILURE(Assert, text)

#define EXPECT_TRUE(condition) \
    GUEST_TEST_CHECK(::testing::internal::is_true(#condition, condition, true), GUEST_TEST_EXPECT)
#define EXPECT_FALSE(condition) \
    GUEST_TEST_CHECK(::testing::internal::is_true(#condition, condition, false), GUEST_TEST_EXPECT)
#define ASSERT_TRUE(condition) \
    GUEST_TEST_CHECK(::testing::internal::is_true(#condition, condition, true), GUEST_TEST_ASSERT)
#define ASSERT_FALSE(condition) \
    GUEST_TEST_CHECK(::testing::internal::is_true(#condition, condition, false), GUEST_TEST_ASSERT)

#define GUEST_TEST_COMPARE(operation, left, right, failed) \
    GUEST_TEST_CHECK(::testing::internal::compare_##operation(#left, #right, left, right), failed)
#define EXPECT_EQ(left, right) GUEST_TEST_COMPARE(EQ, left, right, GUEST_TEST_EXPECT)
#define EXPECT_NE(left, right) GUEST_TEST_COMPARE(NE, left, right, GUEST_TEST_EXPECT)
#define EXPECT_LT(left, right) GUEST_TEST_COMPARE(LT, left, right, GUEST_TEST_EXPECT)
#define EXPECT_LE(left, right) GUEST_TEST_COMPARE(LE, left, right, GUEST_TEST_EXPECT)
#define EXPECT_GT(left, right) GUEST_TEST_COMPARE(GT, left, right, GUEST_TEST_EXPECT)
#define EXPECT_GE(left, right) GUEST_TEST_COMPARE(GE, left, right, GUEST_TEST_EXPECT)
#define EXPECT_STREQ(left, right) GUEST_TEST_COMPARE(STREQ, left, right, GUEST_TEST_EXPECT)
#define ASSERT_EQ(left, right) GUEST_TEST_COMPARE(EQ, left, right, GUEST_TEST_ASSERT)
#define ASSERT_NE(left, right) GUEST_TEST_COMPARE(NE, left, right, GUEST_TEST_ASSERT)
#define ASSERT_LT(left, right) GUEST_TEST_COMPARE(LT, left, right, GUEST_TEST_ASSERT)
#define ASSERT_LE(left, right) GUEST_TEST_COMPARE(LE, left, right, GUEST_TEST_ASSERT)
#define ASSERT_GT(left, right) GUEST_TEST_COMPARE(GT, left, right, GUEST_TEST_ASSERT)
#define ASSERT_GE(left, right) GUEST_TEST_COMPARE(GE, left, right, GUEST_TEST_ASSERT)
#define ASSERT_STREQ(left, right) GUEST_TEST_COMPARE(STREQ, left, right, GUEST_TEST_ASSERT)

#define ADD_FAILURE() GUEST_TEST_FAILURE(Expect, "failed")
#define FAIL() return GUEST_TEST_FAILURE(Assert, "failed")
#define GTEST_SKIP() return GUEST_TEST_FAILURE(Skip, "")
