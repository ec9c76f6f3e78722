// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/flow_hash.h"

#include "kernel/host/random.h"
#include "kernel/lib/hash.h"
#include "kernel/net/skb.h"

namespace barebpf {
namespace {

constinit HashSeed flow_seed = make_hash_seed(0);

// What tells one flow from another. IPv4 addresses fill the first 4 bytes; no padding, hashed as it is.
struct FlowKey {
    u8 low[16];  // the endpoint that compares lower, so that directions agree
    u8 high[16];
    u16 low_port;
    u16 high_port;
    u16 protocol;
    u16 transport;
};
static_assert(sizeof(FlowKey) == 40);

// A read position that never passes the end of the packet.
struct Reader {
    const u8* at;
    const u8* end;

    const u8* take(size_t size) {
        if (static_cast<size_t>(end - at) < size) return nullptr;
        const u8* taken = at;
        at += size;
        return taken;
    }
};

constexpr u8 kTcp = 6, kUdp = 17, kDccp = 33, kSctp = 132, kUdpLite = 136;
constexpr u8 kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;

bool has_ports(u16 transport) {
    return transport == kTcp || transport == kUdp || transport == kDccp || transport == kSctp ||
           transport == kUdpLite;
}

void set_endpoints(FlowKey* key, const u8* source, const u8* destination, size_t size,
                   const u8* ports) {
    const u16 source_port = ports ? load16(ports) : 0;
    const u16 destination_port = ports ? load16(ports + 2) : 0;
    int order = __builtin_memcmp(source, destination, size);
    if (order == 0) order = s32{source_port} - s32{destination_port};
    const bool swap = order > 0;
    __builtin_memcpy(key->low, swap ? destination : source, size);
    __builtin_memcpy(key->high, swap ? source : destination, size);
    key->low_port = swap ? destination_port : source_port;
    key->high_port = swap ? source_port : destination_port;
}

void read_ipv4(Reader packet, FlowKey* key) {
    const u8* header = packet.take(20);
    if (!header) return;
    const u32 size = (header[0] & 15) * 4u;
    const bool fragment = to_network16(load16(header + 6)) & 0x3fff;
    key->transport = header[9];
    const u8* ports = nullptr;
    if (!fragment && has_ports(key->transport) && size >= 20 && packet.take(size - 20)) {
        ports = packet.take(4);
    }
    set_endpoints(key, header + 12, header + 16, 4, ports);
}

void read_ipv6(Reader packet, FlowKey* key) {
    const u8* header = packet.take(40);
    if (!header) return;
    u8 next = header[6];
    bool fragment = false;
    for (u32 depth = 0; depth < 8; ++depth) {
        if (next != kHopByHop && next != kRouting && next != kDestination && next != kFragment) {
            break;
        }
        const u8* extension = packet.take(8);
        if (!extension) break;
        fragment |= next == kFragment;
        if (next != kFragment && !packet.take(extension[1] * 8u)) break;
        next = extension[0];
    }
    key->transport = next;
    const u8* ports = !fragment && has_ports(next) ? packet.take(4) : nullptr;
    set_endpoints(key, header + 8, header + 24, 16, ports);
}

}  // namespace

void seed_flow_hash() {
    flow_seed = make_hash_seed(host::random_u64());
}

u32 flow_hash(const SkBuff* skb) {
    FlowKey key{};
    Reader packet{skb->hard_start + skb->network_header, skb->data_end};
    u16 protocol = skb->protocol;
    for (u32 depth = 0; depth < 2 && is_vlan_protocol(protocol); ++depth) {
        const u8* tag = packet.take(kVlanHeader);
        if (!tag) break;
        protocol = load16(tag + 2);
    }
    key.protocol = protocol;
    if (protocol == to_network16(kEtherIpv4)) read_ipv4(packet, &key);
    if (protocol == to_network16(kEtherIpv6)) read_ipv6(packet, &key);
    const u64 hash = hash_bytes(&key, sizeof key, flow_seed);
    const u32 folded = static_cast<u32>(hash ^ hash >> 32);
    return folded ? folded : 1;
}

}  // namespace barebpf
