// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What other machines have instructions for. Here set bits are counted in vector registers only, which the core
// leaves alone, and each shift is one instruction in any case.
#pragma once

#include "kernel/lib/count_bits.h"

namespace barebpf::arch {

inline bool has_bit_instructions() {
    return false;
}

using BitInstructions = PortableBits;

}  // namespace barebpf::arch
