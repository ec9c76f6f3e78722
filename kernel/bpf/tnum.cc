// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/tnum.h"

namespace barebpf {

void append_to(TextBuffer& out, const Tnum& tnum) {
    out.print('(', hex(tnum.value), "; ", hex(tnum.mask), ')');
}

}  // namespace barebpf
