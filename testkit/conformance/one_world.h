// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A child that fork() makes has an empty world of its own (docs/preload.md). A test whose children work on their
 * parent's maps sets `one_world`: they are then made by vfork(), one after the other, in the parent's memory.
 */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int one_world __attribute__((unused));
#define fork() (one_world ? vfork() : fork())
#define exit(status) (one_world ? _exit(status) : exit(status))
