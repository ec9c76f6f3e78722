// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers of ring buffers, both ways: ringbuf_output, reserve, submit, discard, query, the dynptr forms
// of these, and user_ringbuf_drain. Thin: what they do is ringbuf.h's.
//
// Contexts: any in which a program runs.
#pragma once

#include "kernel/bpf/helpers.h"

namespace barebpf {

const HelperProto* ringbuf_helper_proto(u32 func_id);

}  // namespace barebpf
