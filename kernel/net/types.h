// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The program types that act on packets, for the table in kernel/bpf/prog_type.cc.
#pragma once

#include "kernel/bpf/prog_type.h"

namespace barebpf {

extern const ProgTypeOps kXdpType;
extern const ProgTypeOps kSocketFilterType;
extern const ProgTypeOps kSchedClsType;
extern const ProgTypeOps kSchedActType;

}  // namespace barebpf
