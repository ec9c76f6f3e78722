/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of the maps of xdp_proto_count.bpf.c, for its clients too. All in host order. */
#pragma once

#include <linux/types.h>

struct protocol {
    __u16 ether_type;
    __u16 ip_protocol; /* 0 where there is none */
};

struct service {
    __u16 ip_protocol;
    __u16 port; /* the lower of the two: servers tend to have it */
};

struct counter {
    __u64 packets;
    __u64 bytes;
};

enum kind { KIND_ALL, KIND_CUT, KIND_VLAN, KIND_EXTENSION, KIND_FRAGMENT, KIND_COUNT };
