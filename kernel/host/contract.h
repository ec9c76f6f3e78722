// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The whole host contract. A port is complete when this file compiles and the guest test suite
// passes.
#pragma once

#include "kernel/host/alloc.h"
#include "kernel/host/atomic.h"
#include "kernel/host/clock.h"
#include "kernel/host/cpu.h"
#include "kernel/host/cred.h"
#include "kernel/host/exec_memory.h"
#include "kernel/host/fd.h"
#include "kernel/host/log.h"
#include "kernel/host/page.h"
#include "kernel/host/percpu.h"
#include "kernel/host/random.h"
#include "kernel/host/rcu.h"
#include "kernel/host/spinlock.h"
#include "kernel/host/stack_trace.h"
#include "kernel/host/usercopy.h"
#include "kernel/host/wake.h"
