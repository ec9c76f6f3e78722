// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/runner.h"

#include "kernel/bpf/btf.h"
#include "kernel/bpf/map_table.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/host/contract.h"
#include "testkit/guest/guest.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using host::Atomic;
using host::Order;

// Of the running test.
Atomic<u32> failures;
Atomic<u32> fatal_failures;
Atomic<u32> skipped;

void print(const std::string& text) {
    console_write(text.data(), text.size());
}

bool matches(const char* pattern, const char* end, const char* text) {
    if (pattern == end) return !*text;
    if (*pattern == '*') {
        return matches(pattern + 1, end, text) || (*text && matches(pattern, end, text + 1));
    }
    return *text && (*pattern == '?' || *pattern == *text) && matches(pattern + 1, end, text + 1);
}

// Any of the patterns parted by colons.
bool matches_any(const char* from, const char* end, const std::string& name) {
    while (from < end) {
        const char* colon = from;
        while (colon < end && *colon != ':') ++colon;
        if (colon > from && matches(from, colon, name.c_str())) return true;
        from = colon + 1;
    }
    return false;
}

bool selected(const char* filter, const std::string& name) {
    if (!filter || !*filter) return true;
    const char* minus = filter;
    while (*minus && *minus != '-') ++minus;
    const char* end = minus;
    while (*end) ++end;
    if (*minus && matches_any(minus + 1, end, name)) return false;
    return minus == filter || matches_any(filter, minus, name);
}

std::string tests_text(u64 count) {
    return testing::internal::number_text(count) + (count == 1 ? " test" : " tests");
}

// Empty tables of ids keep a few nodes until the world ends.
void forget_ids() {
    host::Cpu::Entry inside;
    map_ids_reset();
    prog_reset_ids();
    btf_reset_ids();
}

// Nothing of the library's may be left from a test: what it allocates it frees. What it has queued may still run.
void expect_nothing_kept(const machine::LiveMemory& before) {
    test::settle();
    forget_ids();
    heap_check();
    const machine::LiveMemory after = machine::live_memory();
    EXPECT_EQ(after.blocks, before.blocks) << "blocks of the library's are left";
    EXPECT_EQ(after.bytes, before.bytes) << "bytes of the library's are left";
}

void run_body(const testing::internal::TestInfo& info) {
    testing::Test* test = info.make(info.parameter);
    test->SetUp();
    if (!fatal_failures.load(Order::Relaxed) && !skipped.load(Order::Relaxed)) test->TestBody();
    test->TearDown();
    delete test;
}

enum class Verdict { Passed, Failed, Skipped };

Verdict run_test(const testing::internal::TestInfo& info) {
    const std::string name = info.suite + "." + info.name;
    failures.store(0, Order::Relaxed);
    fatal_failures.store(0, Order::Relaxed);
    skipped.store(0, Order::Relaxed);
    print("[ RUN      ] " + name + "\n");
    const machine::LiveMemory before = machine::live_memory();
    const u64 start = host::Clock::monotonic_ns();
    run_body(info);
    const u64 ms = (host::Clock::monotonic_ns() - start) / 1000000;
    expect_nothing_kept(before);
    const bool failed = failures.load(Order::Relaxed);
    const bool skip = skipped.load(Order::Relaxed);
    print((failed ? "[  FAILED  ] "
           : skip ? "[  SKIPPED ] "
                  : "[       OK ] ") +
          name + " (" + testing::internal::number_text(ms) + " ms)\n");
    return failed ? Verdict::Failed : skip ? Verdict::Skipped : Verdict::Passed;
}

void print_names(const char* label, const std::vector<std::string>& names) {
    if (names.empty()) return;
    print(std::string(label) + tests_text(names.size()) + ", listed below:\n");
    for (const std::string& name : names) print(label + name + "\n");
}

// Each parameter's tests are known once all constructors have run.
void instantiate_all() {
    std::vector<void (*)()> pending;
    pending.swap(testing::internal::instantiations());
    for (void (*instantiate)() : pending) instantiate();
}

}  // namespace

void skip_test(const char* reason) {
    if (skipped.exchange(1, Order::AcqRel)) return;
    print("Skipped: " + std::string(reason) + "\n");
}

u32 run_tests(const char* filter, Shard shard) {
    instantiate_all();
    std::vector<const testing::internal::TestInfo*> chosen;
    u64 number = 0;
    for (const auto& info : testing::internal::all_tests()) {
        if (!selected(filter, info.suite + "." + info.name)) continue;
        if (number++ % shard.count == shard.index) chosen.push_back(&info);
    }
    print("[==========] Running " + tests_text(chosen.size()) + ".\n");
    const u64 start = host::Clock::monotonic_ns();
    std::vector<std::string> failed, skipped_names;
    for (const auto* info : chosen) {
        const Verdict verdict = run_test(*info);
        if (verdict == Verdict::Passed) continue;
        (verdict == Verdict::Failed ? failed : skipped_names)
            .push_back(info->suite + "." + info->name);
    }
    const u64 ms = (host::Clock::monotonic_ns() - start) / 1000000;
    print("[==========] " + tests_text(chosen.size()) + " ran. (" +
          testing::internal::number_text(ms) + " ms total)\n[  PASSED  ] " +
          tests_text(chosen.size() - failed.size() - skipped_names.size()) + ".\n");
    print_names("[  SKIPPED ] ", skipped_names);
    print_names("[  FAILED  ] ", failed);
    return static_cast<u32>(failed.size());
}

}  // namespace barebpf::guest

namespace testing {

using barebpf::guest::fatal_failures;
using barebpf::host::Order;

bool Test::HasFailure() {
    return barebpf::guest::failures.load(Order::Relaxed);
}

bool Test::HasFatalFailure() {
    return fatal_failures.load(Order::Relaxed);
}

void Test::RecordProperty(const char* name, const std::string& value) {
    barebpf::guest::print("             " + std::string(name) + " = " + value + "\n");
}

void Test::RecordProperty(const char* name, int value) {
    RecordProperty(name, internal::number_text(value));
}

namespace internal {

std::vector<TestInfo>& all_tests() {
    static std::vector<TestInfo> all;
    return all;
}

std::vector<void (*)()>& instantiations() {
    static std::vector<void (*)()> all;
    return all;
}

// A test that was skipped because the machine lacks something may fail to find what it was about.
void Failure::operator=(const Message& message) const {
    using namespace barebpf::guest;  // NOLINT: its state
    if (kind_ == Kind::Skip) return skip_test(message.text().c_str());
    if (skipped.load(Order::Relaxed)) return;
    failures.fetch_add(1, Order::Relaxed);
    if (kind_ == Kind::Assert) fatal_failures.fetch_add(1, Order::Relaxed);
    std::string text = std::string(file_) + ":" + number_text(line_) + ": Failure\n" + text_ + "\n";
    if (!message.text().empty()) text += message.text() + "\n";
    print(text);
}

std::string compared(const char* operation, const char* left_text, const std::string& left,
                     const char* right_text, const std::string& right) {
    std::string text = "Expected: ";
    text += left_text;
    text += std::string(" ") + operation + " " + right_text;
    text += "\n  left:  " + left;
    return text + "\n  right: " + right;
}

Outcome compare_STREQ(const char* left_text, const char* right_text, const char* left,
                      const char* right) {
    if (left == right || (left && right && __builtin_strcmp(left, right) == 0)) return {true, {}};
    return {false, compared("==", left_text, show(left), right_text, show(right))};
}

std::string decimal(barebpf::u64 number, bool negative) {
    char digits[24];
    char* at = digits + sizeof digits;
    do {
        *--at = static_cast<char>('0' + number % 10);
    } while (number /= 10);
    if (negative) *--at = '-';
    return std::string(at, digits + sizeof digits);
}

std::string hexadecimal(barebpf::u64 number) {
    char digits[16];
    char* at = digits + sizeof digits;
    do {
        *--at = "0123456789abcdef"[number % 16];
    } while (number /= 16);
    return "0x" + std::string(at, digits + sizeof digits);
}

std::string quoted(const char* text, size_t length) {
    std::string out = "\"";
    for (size_t i = 0; i < length && i < 2000; ++i) {
        const auto byte = static_cast<barebpf::u8>(text[i]);
        if (byte == '\n') {
            out += "\\n";
        } else if (byte < ' ' || byte > '~') {
            out += "\\x";
            out += "0123456789abcdef"[byte / 16];
            out += "0123456789abcdef"[byte % 16];
        } else {
            if (byte == '"' || byte == '\\') out += '\\';
            out += static_cast<char>(byte);
        }
    }
    return out + '"';
}

std::string bytes_of(const void* object, size_t size) {
    std::string out = number_text(size) + " bytes";
    for (size_t i = 0; i < size && i < 64; ++i) {
        const auto byte = static_cast<const barebpf::u8*>(object)[i];
        out += ' ';
        out += "0123456789abcdef"[byte / 16];
        out += "0123456789abcdef"[byte % 16];
    }
    return out;
}

}  // namespace internal
}  // namespace testing
