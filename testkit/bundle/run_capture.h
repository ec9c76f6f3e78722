// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Runs a program of a loaded bundle on every packet of a capture, once and in order, as `barebpf run` does:
// the same context (BPF_PROG_TEST_RUN), the same counts. The result is printed in the plain form (raw_text.h).
#pragma once

#include "testkit/bundle/load.h"

namespace barebpf::bundle {

// The program of that name, or the first that runs on packets where no name is given; null: error says why.
const Object* choose_program(const Bundle& bundle, const char* name, TextBuffer* error);

// False: error says why it could not be done. Packets on which the program cannot be run are counted, and a
// capture that is damaged is read up to there. What bpf_trace_printk() says meanwhile is part of the text: the
// machine's log callback is taken and given back. Context: as Bundle::load(). One at a time.
bool run_capture(const Bundle& bundle, const Object& program, const void* capture, size_t size,
                 void (*write)(const char* text, size_t length), TextBuffer* error);

}  // namespace barebpf::bundle
