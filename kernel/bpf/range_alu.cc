// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/range_alu_impl.h"

namespace barebpf {

template Scalar alu(u8, const Scalar&, const Scalar&, bool, s16);

}  // namespace barebpf
