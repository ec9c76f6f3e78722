// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The printf of programs: bpf_trace_printk, bpf_snprintf, bpf_trace_vprintk.
//
// A format may use %% %c %s %d %i %u %x %X with l or ll, a width and the flags 0 + - and space, and
// %p %px %ps %pS %pB %pK %pks %pus %pi4 %pI4 %pi6 %pI6. Anything else, a character that is neither
// printable nor white space, or more specifiers than arguments is EINVAL, and nothing is printed.
// Source: bpf-helpers(7), bpf_trace_printk and bpf_snprintf.
//
// Context: any, NMI included; strings and addresses that arguments point to are read without faulting.
#pragma once

#include "kernel/lib/result.h"
#include "kernel/lib/text.h"

namespace barebpf {

inline constexpr u32 kMaxFormatArguments = 12;

// format has size bytes and must hold a NUL.
Result<void> format_text(TextBuffer* out, const char* format, u32 size, const u64* arguments,
                         u32 argument_count);

// What a verifier can say of a constant format without its arguments.
Result<void> check_format(const char* format, u32 size, u32 argument_count);

}  // namespace barebpf
