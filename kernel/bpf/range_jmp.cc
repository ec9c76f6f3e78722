// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/range_jmp_impl.h"

namespace barebpf {

template Taken branch_taken(u8, bool, const Scalar&, const Scalar&);
template bool assume(u8, bool, bool, Scalar&, Scalar&);

Branches refine(u8 op, bool is32, const Scalar& dst, const Scalar& src) {
    Branches ways{{false, dst, src}, {false, dst, src}};
    ways.taken.possible = assume(op, is32, true, ways.taken.dst, ways.taken.src);
    ways.not_taken.possible = assume(op, is32, false, ways.not_taken.dst, ways.not_taken.src);
    return ways;
}

}  // namespace barebpf
