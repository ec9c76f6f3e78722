// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ABI of bpf(2) and of BPF programs as Linux 6.1 has it, and the instructions that came later.
// Facts only: numbers, names, layouts; uapi_test.cc holds each against the system's headers.
//
// The guard is Linux's: in a file that includes the system's <linux/bpf.h> too, the first one wins.
//
//     barebpf/bpf_insn.h          instruction format, codes, registers, pseudo sources
//     barebpf/bpf_enums.h         commands; map, program, attach and link types; flags of commands
//     barebpf/bpf_attr.h          union bpf_attr
//     barebpf/bpf_helper_ids.h    helpers by name and number
//     barebpf/bpf_helper_flags.h  flags, modes and results of helpers
//     barebpf/bpf_objects.h       what helpers and map values hold: sockets, keys, locks, timers
//     barebpf/bpf_contexts.h      what R1 points at, and verdicts
//     barebpf/bpf_info.h          info structs, function, line and relocation records
//     barebpf/bpf_newer.h         instructions newer than 6.1
#ifndef __LINUX_BPF_H__
#define __LINUX_BPF_H__

#include "uapi/linux/barebpf/bpf_attr.h"
#include "uapi/linux/barebpf/bpf_contexts.h"
#include "uapi/linux/barebpf/bpf_enums.h"
#include "uapi/linux/barebpf/bpf_helper_flags.h"
#include "uapi/linux/barebpf/bpf_helper_ids.h"
#include "uapi/linux/barebpf/bpf_info.h"
#include "uapi/linux/barebpf/bpf_insn.h"
#include "uapi/linux/barebpf/bpf_objects.h"

#endif  // __LINUX_BPF_H__

#include "uapi/linux/barebpf/bpf_newer.h"
