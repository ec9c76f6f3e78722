// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The program types that are built.
#include "kernel/bpf/prog_type.h"

#include "kernel/net/types.h"

namespace barebpf {

const ProgTypeOps* prog_type_ops(u32 prog_type) {
    switch (prog_type) {
        case BPF_PROG_TYPE_SOCKET_FILTER:
            return &kSocketFilterType;
        case BPF_PROG_TYPE_SCHED_CLS:
            return &kSchedClsType;
        case BPF_PROG_TYPE_SCHED_ACT:
            return &kSchedActType;
        case BPF_PROG_TYPE_XDP:
            return &kXdpType;
        default:
            return nullptr;
    }
}

}  // namespace barebpf
