// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/helpers.h"

#include <cstring>
#include <string>

#include "kernel/host/contract.h"
#include "testkit/test.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

u64 call(u32 id, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0) {
    host::Cpu::Entry entry;
    return base_helper_proto(id)->function(a, b, c, d, e);
}
u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

TEST(Helpers, NamesAndNumbers) {
    EXPECT_STREQ(helper_name(BPF_FUNC_map_lookup_elem), "map_lookup_elem");
    EXPECT_STREQ(helper_name(BPF_FUNC_strncmp), "strncmp");
    EXPECT_STREQ(helper_name(100'000), "unknown");
    EXPECT_EQ(base_helper_proto(100'000), nullptr);
    for (u32 id = 1; id < 250; ++id) {
        const HelperProto* proto = base_helper_proto(id);
        if (proto) {
            EXPECT_STREQ(proto->name, helper_name(id));
        }
    }
}

TEST(Helpers, ClocksAdvance) {
    const u64 before = call(BPF_FUNC_ktime_get_ns);
    EXPECT_GE(call(BPF_FUNC_ktime_get_ns), before);
    EXPECT_GE(call(BPF_FUNC_ktime_get_boot_ns), before);
    EXPECT_GT(call(BPF_FUNC_jiffies64), 0u);
}

TEST(Helpers, RandomNumbersDiffer) {
    seed_prandom();
    u32 changed_bits = 0;
    u64 last = call(BPF_FUNC_get_prandom_u32);
    for (u32 i = 0; i < 64; ++i) {
        u64 next = call(BPF_FUNC_get_prandom_u32);
        EXPECT_EQ(next >> 32, 0u);
        changed_bits |= u32(next ^ last);
        last = next;
    }
    EXPECT_EQ(changed_bits, ~0u);
}

s64 to_number(u32 id, const char* text, u64 flags, u64* out) {
    return s64(call(id, address(text), strlen(text), flags, address(out)));
}

TEST(Helpers, Strtol) {
    u64 value = 0;
    EXPECT_EQ(to_number(BPF_FUNC_strtol, " -42x", 0, &value), 4);
    EXPECT_EQ(s64(value), -42);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "0x1f", 0, &value), 4);
    EXPECT_EQ(value, 31u);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "017", 0, &value), 3);
    EXPECT_EQ(value, 15u);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "-9223372036854775808", 10, &value), 20);
    EXPECT_EQ(value, u64{1} << 63);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "9223372036854775808", 10, &value), -34);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "x", 0, &value), -22);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "1", 7, &value), -22);
    EXPECT_EQ(to_number(BPF_FUNC_strtol, "1", 64, &value), -22);
}

TEST(Helpers, Strtoul) {
    u64 value = 0;
    EXPECT_EQ(to_number(BPF_FUNC_strtoul, "18446744073709551615", 0, &value), 20);
    EXPECT_EQ(value, ~u64{0});
    EXPECT_EQ(to_number(BPF_FUNC_strtoul, "18446744073709551616", 0, &value), -34);
    EXPECT_EQ(to_number(BPF_FUNC_strtoul, "-1", 0, &value), -22);
}

TEST(Helpers, Strncmp) {
    EXPECT_EQ(call(BPF_FUNC_strncmp, address("abc"), 3, address("abc")), 0u);
    EXPECT_LT(s32(call(BPF_FUNC_strncmp, address("abc"), 3, address("abd"))), 0);
    EXPECT_GT(s32(call(BPF_FUNC_strncmp, address("b"), 1, address("abd"))), 0);
    EXPECT_EQ(call(BPF_FUNC_strncmp, address("abX"), 2, address("abY")), 0u);
}

std::string last_line;

TEST(Helpers, TracePrintkGoesToTheHostsLog) {
    machine::set_log_callback([](host::LogLevel level, const char* text, size_t length) {
        EXPECT_EQ(level, host::LogLevel::Trace);
        last_line.assign(text, length);
    });
    const char format[] = "port %d flags %x\n";
    EXPECT_EQ(call(BPF_FUNC_trace_printk, address(format), sizeof format, 443, 0x12), 18u);
    EXPECT_EQ(last_line, "port 443 flags 12");
    EXPECT_EQ(s64(call(BPF_FUNC_trace_printk, address("%f"), 3)), -22);
    machine::set_log_callback(nullptr);
}

TEST(Helpers, SnprintfCountsWhatItWouldNeed) {
    char out[8];
    const u64 data[] = {12345, 678};
    EXPECT_EQ(
        call(BPF_FUNC_snprintf, address(out), sizeof out, address("%d-%d!"), address(data), 16),
        11u);
    EXPECT_STREQ(out, "12345-6");
    EXPECT_EQ(s64(call(BPF_FUNC_snprintf, address(out), 8, address("%d"), address(data), 4)), -22);
}

}  // namespace
}  // namespace barebpf
