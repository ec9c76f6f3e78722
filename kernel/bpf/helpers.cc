// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helpers that every program type offers, and their prototypes.
#include "kernel/bpf/helpers.h"

#include "kernel/bpf/format.h"
#include "kernel/bpf/helper_values.h"
#include "kernel/bpf/helpers_dynptr.h"
#include "kernel/bpf/helpers_map.h"
#include "kernel/bpf/helpers_ringbuf.h"
#include "kernel/host/clock.h"
#include "kernel/host/log.h"
#include "kernel/host/random.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Clock;
using host::Order;

// -- time, CPU, random numbers --

u64 ktime_get_ns(u64, u64, u64, u64, u64) {
    return Clock::monotonic_ns();
}
u64 ktime_get_boot_ns(u64, u64, u64, u64, u64) {
    return Clock::boottime_ns();
}
u64 ktime_get_coarse_ns(u64, u64, u64, u64, u64) {
    return Clock::monotonic_coarse_ns();
}
u64 ktime_get_tai_ns(u64, u64, u64, u64, u64) {
    return Clock::tai_ns();
}
u64 jiffies64(u64, u64, u64, u64, u64) {
    return Clock::jiffies64();
}
u64 get_smp_processor_id(u64, u64, u64, u64, u64) {
    return host::cpu_id();
}
// Hosts of this library present one node.
u64 get_numa_node_id(u64, u64, u64, u64, u64) {
    return 0;
}

// One generator for each CPU: a Weyl sequence through a multiply-fold. An NMI in the middle may make two
// calls return one number; nothing else can go wrong.
struct alignas(64) PrandomState {
    Atomic<u64> weyl;
};
constinit PrandomState prandom_states[host::kMaxCpus];

u64 get_prandom_u32(u64, u64, u64, u64, u64) {
    Atomic<u64>& state = prandom_states[host::cpu_id()].weyl;
    const u64 weyl = state.load(Order::Relaxed) + 0x9e3779b97f4a7c15;
    state.store(weyl, Order::Relaxed);
    const auto product = static_cast<unsigned __int128>(weyl) * (weyl ^ 0xd1b54a32d192ed03);
    return u32(u64(product >> 64) ^ u64(product));
}

// -- text --

constexpr u32 kTraceLine = 512;  // longer lines are cut, as Linux cuts them

void trace_line(const char* format, u32 size, const u64* arguments, u32 count, s64* result) {
    char line[kTraceLine];
    TextBuffer text(line);
    auto formatted = format_text(&text, format, size, arguments, count);
    if (!formatted) {
        *result = -to_int(formatted.error());
        return;
    }
    size_t length = text.length();
    *result = s64(length);
    if (length && line[length - 1] == '\n') --length;
    host::print(host::LogLevel::Trace, line, length);
}

u64 trace_printk(u64 format, u64 size, u64 a, u64 b, u64 c) {
    const u64 arguments[] = {a, b, c};
    s64 result;
    trace_line(as_pointer<const char>(format), u32(size), arguments, 3, &result);
    return u64(result);
}

// data is an array of u64 in the program's memory; its bytes must be a multiple of 8, at most 12 of them.
bool vararg_data_ok(u64 data, u64 bytes) {
    return bytes % 8 == 0 && bytes <= kMaxFormatArguments * 8 && (bytes == 0) == (data == 0);
}

u64 trace_vprintk(u64 format, u64 size, u64 data, u64 bytes, u64) {
    if (!vararg_data_ok(data, bytes)) return failed(Errno::Inval);
    s64 result;
    trace_line(as_pointer<const char>(format), u32(size), as_pointer<const u64>(data),
               u32(bytes / 8), &result);
    return u64(result);
}

u64 snprintf(u64 out, u64 out_size, u64 format, u64 data, u64 bytes) {
    if (!vararg_data_ok(data, bytes)) return failed(Errno::Inval);
    // The verifier has seen that the format ends with a NUL, so any bound beyond it will do.
    TextBuffer text(as_pointer<char>(out), out_size);
    auto formatted = format_text(&text, as_pointer<const char>(format), 0x7fff'ffff,
                                 as_pointer<const u64>(data), u32(bytes / 8));
    if (!formatted) return u64(-to_int(formatted.error()));
    return text.needed() + 1;
}

u64 strncmp(u64 a, u64 size, u64 b, u64, u64) {
    const u8* left = as_pointer<const u8>(a);
    const u8* right = as_pointer<const u8>(b);
    for (u64 i = 0; i < u32(size); ++i) {
        if (left[i] != right[i]) return u64(s64{left[i] - right[i]});
        if (!left[i]) break;
    }
    return 0;
}

// What strtol and strtoul have in common: white space, a sign, a prefix, digits. The characters consumed,
// or -errno.
struct ParsedNumber {
    u64 magnitude;
    bool negative;
};

u32 digit_value(char c) {
    if (c >= '0' && c <= '9') return u32(c - '0');
    if (c >= 'a' && c <= 'f') return u32(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return u32(c - 'A' + 10);
    return 99;
}

s64 parse_number(const char* text, u64 size, u64 flags, ParsedNumber* out) {
    u64 base = flags & 0x1f;
    if (!text || !size || flags & ~u64{0x1f}) return -to_int(Errno::Inval);
    if (base != 0 && base != 8 && base != 10 && base != 16) return -to_int(Errno::Inval);
    u64 i = 0;
    while (i < size && (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r'))) ++i;
    out->negative = i < size && text[i] == '-';
    if (out->negative) ++i;
    const bool hex_prefix = i + 2 < size && text[i] == '0' && (text[i + 1] | 0x20) == 'x' &&
                            digit_value(text[i + 2]) < 16;
    if (base == 0) base = hex_prefix ? 16 : i < size && text[i] == '0' ? 8 : 10;
    if (base == 16 && hex_prefix) i += 2;
    const u64 first = i;
    out->magnitude = 0;
    for (; i < size && digit_value(text[i]) < base; ++i) {
        if (__builtin_mul_overflow(out->magnitude, base, &out->magnitude) ||
            __builtin_add_overflow(out->magnitude, digit_value(text[i]), &out->magnitude)) {
            return -to_int(Errno::Range);
        }
    }
    return i == first ? -to_int(Errno::Inval) : s64(i);
}

u64 strtol(u64 text, u64 size, u64 flags, u64 out, u64) {
    ParsedNumber number;
    const s64 used = parse_number(as_pointer<const char>(text), size, flags, &number);
    if (used < 0) return u64(used);
    const u64 limit = u64{1} << 63;
    if (number.magnitude > limit - !number.negative) return failed(Errno::Range);
    *as_pointer<u64>(out) = number.negative ? u64(0) - number.magnitude : number.magnitude;
    return u64(used);
}

u64 strtoul(u64 text, u64 size, u64 flags, u64 out, u64) {
    ParsedNumber number;
    const s64 used = parse_number(as_pointer<const char>(text), size, flags, &number);
    if (used < 0) return u64(used);
    if (number.negative) return failed(Errno::Inval);
    *as_pointer<u64>(out) = number.magnitude;
    return u64(used);
}

// -- prototypes --

using A = ArgType;
using R = RetType;

struct BaseHelper {
    u32 id;
    HelperProto proto;
};

constexpr BaseHelper kBaseHelpers[] = {
    {BPF_FUNC_map_lookup_elem,
     {.name = "map_lookup_elem",
      .function = map_lookup_elem,
      .ret = R::MapValueOrNull,
      .args = {A::ConstMap, A::MapKey},
      .packet_access = true}},
    {BPF_FUNC_map_update_elem,
     {.name = "map_update_elem",
      .function = map_update_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::MapKey, A::MapValue, A::Anything},
      .packet_access = true}},
    {BPF_FUNC_map_delete_elem,
     {.name = "map_delete_elem",
      .function = map_delete_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::MapKey},
      .packet_access = true}},
    {BPF_FUNC_map_push_elem,
     {.name = "map_push_elem",
      .function = map_push_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::MapValue, A::Anything},
      .packet_access = true}},
    {BPF_FUNC_map_pop_elem,
     {.name = "map_pop_elem",
      .function = map_pop_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::UninitMapValue}}},
    {BPF_FUNC_map_peek_elem,
     {.name = "map_peek_elem",
      .function = map_peek_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::UninitMapValue}}},
    {BPF_FUNC_map_lookup_percpu_elem,
     {.name = "map_lookup_percpu_elem",
      .function = map_lookup_percpu_elem,
      .ret = R::MapValueOrNull,
      .args = {A::ConstMap, A::MapKey, A::Anything},
      .packet_access = true}},
    {BPF_FUNC_for_each_map_elem,
     {.name = "for_each_map_elem",
      .function = for_each_map_elem,
      .ret = R::Integer,
      .args = {A::ConstMap, A::Callback, A::StackPointerOrNull, A::Anything},
      .privileged = true}},
    {BPF_FUNC_loop,
     {.name = "loop",
      .function = loop,
      .ret = R::Integer,
      .args = {A::Anything, A::Callback, A::StackPointerOrNull, A::Anything},
      .privileged = true}},
    {BPF_FUNC_spin_lock,
     {.name = "spin_lock",
      .function = spin_lock,
      .ret = R::Void,
      .args = {A::SpinLock},
      .privileged = true}},
    {BPF_FUNC_spin_unlock,
     {.name = "spin_unlock",
      .function = spin_unlock,
      .ret = R::Void,
      .args = {A::SpinLock},
      .privileged = true}},
    {BPF_FUNC_ktime_get_ns,
     {.name = "ktime_get_ns", .function = ktime_get_ns, .ret = R::Integer, .args = {}}},
    {BPF_FUNC_ktime_get_boot_ns,
     {.name = "ktime_get_boot_ns", .function = ktime_get_boot_ns, .ret = R::Integer, .args = {}}},
    {BPF_FUNC_ktime_get_coarse_ns,
     {.name = "ktime_get_coarse_ns",
      .function = ktime_get_coarse_ns,
      .ret = R::Integer,
      .args = {}}},
    {BPF_FUNC_ktime_get_tai_ns,
     {.name = "ktime_get_tai_ns", .function = ktime_get_tai_ns, .ret = R::Integer, .args = {}}},
    {BPF_FUNC_jiffies64,
     {.name = "jiffies64",
      .function = jiffies64,
      .ret = R::Integer,
      .args = {},
      .privileged = true}},
    {BPF_FUNC_get_prandom_u32,
     {.name = "get_prandom_u32", .function = get_prandom_u32, .ret = R::Integer, .args = {}}},
    {BPF_FUNC_get_smp_processor_id,
     {.name = "get_smp_processor_id",
      .function = get_smp_processor_id,
      .ret = R::Integer,
      .args = {}}},
    {BPF_FUNC_get_numa_node_id,
     {.name = "get_numa_node_id", .function = get_numa_node_id, .ret = R::Integer, .args = {}}},
    // The call itself becomes one instruction in the fix-ups: no function stands behind it.
    {BPF_FUNC_tail_call,
     {.name = "tail_call",
      .function = nullptr,
      .ret = R::Void,
      .args = {A::Ctx, A::ConstMap, A::Anything}}},
    {BPF_FUNC_trace_printk,
     {.name = "trace_printk",
      .function = trace_printk,
      .ret = R::Integer,
      .args = {A::Mem, A::Size},
      .gpl_only = true,
      .privileged = true}},
    {BPF_FUNC_trace_vprintk,
     {.name = "trace_vprintk",
      .function = trace_vprintk,
      .ret = R::Integer,
      .args = {A::Mem, A::Size, A::MemOrNull, A::SizeOrZero},
      .gpl_only = true,
      .privileged = true}},
    {BPF_FUNC_snprintf,
     {.name = "snprintf",
      .function = snprintf,
      .ret = R::Integer,
      .args = {A::UninitMemOrNull, A::SizeOrZero, A::ConstString, A::MemOrNull, A::SizeOrZero},
      .gpl_only = true,
      .privileged = true}},
    {BPF_FUNC_strtol,
     {.name = "strtol",
      .function = strtol,
      .ret = R::Integer,
      .args = {A::Mem, A::Size, A::Anything, A::FixedUninitMem},
      .privileged = true,
      .fixed_size = 8}},
    {BPF_FUNC_strtoul,
     {.name = "strtoul",
      .function = strtoul,
      .ret = R::Integer,
      .args = {A::Mem, A::Size, A::Anything, A::FixedUninitMem},
      .privileged = true,
      .fixed_size = 8}},
    {BPF_FUNC_strncmp,
     {.name = "strncmp",
      .function = strncmp,
      .ret = R::Integer,
      .args = {A::Mem, A::Size, A::ConstString}}},
};

}  // namespace

void seed_prandom() {
    for (PrandomState& state : prandom_states) state.weyl.store(host::random_u64(), Order::Relaxed);
}

const HelperProto* base_helper_proto(u32 func_id) {
    for (const BaseHelper& helper : kBaseHelpers) {
        if (helper.id == func_id) return &helper.proto;
    }
    if (const HelperProto* proto = ringbuf_helper_proto(func_id)) return proto;
    return dynptr_helper_proto(func_id);
}

const char* helper_name(u32 func_id) {
#define NAME_OF_HELPER(name, number) #name,
    static const char* const kNames[] = {___BPF_FUNC_MAPPER(NAME_OF_HELPER)};
#undef NAME_OF_HELPER
    return func_id < sizeof kNames / sizeof kNames[0] ? kNames[func_id] : "unknown";
}

}  // namespace barebpf
