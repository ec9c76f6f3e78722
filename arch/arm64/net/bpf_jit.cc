// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// arm64 has no compiler: whatever is loaded here runs in the interpreter (kernel/bpf/interpreter.cc).
#include "kernel/bpf/prog.h"

namespace barebpf {

bool jit_available() {
    return false;
}

Result<void> jit_compile(Prog*) {
    return Errno::NotSupp;
}

void jit_free(Prog*) {}  // nothing was compiled

}  // namespace barebpf
