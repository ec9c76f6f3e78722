// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * count_packets CAPTURE: an ordinary libbpf program with a skeleton. Runs xdp_proto_count.bpf.c on each packet
 * of a capture and prints what it counted. It knows nothing of barebpf: as root it uses the kernel, with
 * libbarebpf.so preloaded it needs neither.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* it has a struct bpf_insn of its own */
#include <pcap/pcap.h>

#include "testkit/data/programs/xdp_proto_count.h"
#include "xdp_proto_count.skel.h"

static bool run_packet(int program, const unsigned char* packet, unsigned length) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length);
    if (!bpf_prog_test_run_opts(program, &options)) return true;
    fprintf(stderr, "count_packets: test run: %s\n", strerror(errno));
    return false;
}

static bool run_capture(int program, const char* path) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* capture = pcap_open_offline(path, error);
    if (!capture) {
        fprintf(stderr, "count_packets: %s: %s\n", path, error);
        return false;
    }
    struct pcap_pkthdr* header;
    const unsigned char* packet;
    bool good = true;
    int status = 0;
    while (good && (status = pcap_next_ex(capture, &header, &packet)) == 1)
        good = run_packet(program, packet, header->caplen);
    if (status == PCAP_ERROR) {
        fprintf(stderr, "count_packets: %s: %s\n", path, pcap_geterr(capture));
        good = false;
    }
    pcap_close(capture);
    return good;
}

static const char* ip_protocol_name(__u16 protocol) {
    static char number[8];
    switch (protocol) {
        case 1:
            return "ICMP";
        case 6:
            return "TCP";
        case 17:
            return "UDP";
        case 58:
            return "ICMPv6";
    }
    snprintf(number, sizeof(number), "%u", protocol);
    return number;
}

static void print_row(const char* name, const struct counter* counter) {
    printf("  %-22s %10llu %10llu\n", name, counter->packets, counter->bytes);
}

static void print_protocols(const struct bpf_map* map) {
    struct protocol key, *previous = NULL;
    struct counter counter;
    char name[32];
    printf("%-24s %10s %10s\n", "protocol", "packets", "bytes");
    for (; !bpf_map__get_next_key(map, previous, &key, sizeof(key)); previous = &key) {
        if (bpf_map__lookup_elem(map, &key, sizeof(key), &counter, sizeof(counter), 0)) continue;
        const char* inner = ip_protocol_name(key.ip_protocol);
        if (key.ether_type == 0x0800)
            snprintf(name, sizeof(name), "IPv4 %s", inner);
        else if (key.ether_type == 0x86dd)
            snprintf(name, sizeof(name), "IPv6 %s", inner);
        else if (key.ether_type == 0x0806)
            snprintf(name, sizeof(name), "ARP");
        else
            snprintf(name, sizeof(name), "Ethernet type %#06x", key.ether_type);
        print_row(name, &counter);
    }
}

static void print_services(const struct bpf_map* map) {
    struct service key, *previous = NULL;
    struct counter counter;
    char name[32];
    printf("%-24s %10s %10s\n", "service", "packets", "bytes");
    for (; !bpf_map__get_next_key(map, previous, &key, sizeof(key)); previous = &key) {
        if (bpf_map__lookup_elem(map, &key, sizeof(key), &counter, sizeof(counter), 0)) continue;
        snprintf(name, sizeof(name), "%s port %u", ip_protocol_name(key.ip_protocol), key.port);
        print_row(name, &counter);
    }
}

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments != 2) {
        fprintf(stderr, "usage: count_packets CAPTURE\n");
        return 2;
    }
    struct xdp_proto_count* skeleton = xdp_proto_count__open_and_load();
    if (!skeleton) {
        fprintf(stderr, "count_packets: load: %s\n", strerror(errno));
        return 1;
    }
    bool good = run_capture(bpf_program__fd(skeleton->progs.proto_count), arguments[1]);
    print_protocols(skeleton->maps.protocols);
    print_services(skeleton->maps.services);
    xdp_proto_count__destroy(skeleton);
    return good ? 0 : 1;
}
