// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * nobpf [-p LIBRARIES] COMMAND [ARGUMENT...]: runs COMMAND, with LIBRARIES preloaded, under a filter
 * that kills it (SIGSYS) should it or a child of it call the kernel's bpf(2).
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* A call by another table of numbers (32-bit) is none that a client of ours makes: killed as well. */
static int forbid_bpf(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int count, char** arguments) {
    int first = 1;
    if (count > 3 && !strcmp(arguments[1], "-p")) {
        setenv("LD_PRELOAD", arguments[2], 1);
        first = 3;
    }
    if (first >= count) {
        fprintf(stderr, "usage: nobpf [-p LIBRARIES] COMMAND [ARGUMENT...]\n");
        return 2;
    }
    if (forbid_bpf()) {
        perror("nobpf: seccomp");
        return 77; /* skipped: filters are not permitted here */
    }
    execvp(arguments[first], arguments + first);
    perror(arguments[first]);
    return 2;
}
