// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For cli_test.py: a program that writes a line for each packet. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int traces(struct __sk_buff* skb) {
    bpf_printk("%d bytes", skb->len);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
