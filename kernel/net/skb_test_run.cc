// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Test runs of programs on SkBuffs. The packet arrives as from the loopback interface: its type, protocol and
// headers are set the way the stack sets them. Programs of traffic control see it from the link header on,
// socket filters from the network header on; what comes out for these has a link header of zeros.
#include "kernel/net/helpers.h"
#include "kernel/net/skb.h"
#include "kernel/net/test_run.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::UserAddress;

constexpr u32 kHeadroom = 64;          // NET_SKB_PAD
constexpr u32 kMaxKeptHeadroom = 256;  // what a packet that moves takes along
constexpr u32 kSpare = 128;            // behind a packet, so that small growth moves nothing
constexpr u32 kMaxSegments = 65535;    // GSO_MAX_SEGS
constexpr u32 kMaxWireLength = 65536;  // GSO_LEGACY_MAX_SIZE

// PACKET_*; the loopback interface has no broadcast address of its own.
enum : u32 { kPacketHost = 0, kPacketMulticast = 2, kPacketOtherHost = 3 };

struct TestSkb : SkBuff {
    host::Buffer<u8> memory;
    host::MemoryOwner* owner;
};

void shift_offset(u16* offset, s32 by) {
    if (*offset == kHeaderUnset) return;
    const s32 shifted = s32{*offset} + by;
    *offset = shifted < 0 ? kHeaderUnset : static_cast<u16>(shifted);
}

// SkBuff::expand: a new piece of memory.
bool expand(SkBuff* base, u32 head, u32 tail) {
    TestSkb* skb = static_cast<TestSkb*>(base);
    if (host::in_nmi()) return false;
    const u32 old_head = skb_offset_of_data(skb);
    u32 new_head = old_head < kMaxKeptHeadroom ? old_head : kMaxKeptHeadroom;
    if (new_head < head) new_head = head;
    const size_t size = size_t{new_head} + skb->len + tail + kSpare;
    host::Buffer<u8> memory;
    if (!memory.allocate(size, AllocContext::Atomic, *skb->owner)) return false;
    // What lies before the packet goes along: headers that were pulled off.
    const u32 kept = old_head < new_head ? old_head : new_head;
    u8* data = memory.data() + new_head;
    __builtin_memcpy(data - kept, skb->data - kept, size_t{kept} + skb->len);
    const s32 shift = static_cast<s32>(new_head) - static_cast<s32>(old_head);
    shift_offset(&skb->mac_header, shift);
    shift_offset(&skb->network_header, shift);
    shift_offset(&skb->transport_header, shift);
    shift_offset(&skb->csum_start, shift);
    skb->data_meta = data - (skb->data - skb->data_meta);
    skb->data = data;
    skb->data_end = data + skb->len;
    skb->hard_start = memory.data();
    skb->hard_end = memory.data() + size;
    skb->memory = move(memory);
    return true;
}

bool sees_link_header(const Prog* prog) {
    return prog->type != BPF_PROG_TYPE_SOCKET_FILTER;
}

Result<void> copy_packet(TestSkb* skb, const bpf_attr& attr, host::MemoryOwner& owner) {
    const u32 size = attr.test.data_size_in;
    if (size < kEthernetHeader || size > kTestPage - kHeadroom - kTestTailroom) return Errno::Inval;
    const size_t room = size_t{kHeadroom} + size + kSpare;
    skb->owner = &owner;
    if (!skb->memory.allocate(room, AllocContext::MaySleep, owner)) return Errno::NoMem;
    skb->hard_start = skb->memory.data();
    skb->hard_end = skb->hard_start + room;
    skb->data = skb->hard_start + kHeadroom;
    skb->data_end = skb->data + size;
    skb->data_meta = skb->data;
    skb->len = size;
    skb->expand = expand;
    return host::copy_from_user(skb->data, UserAddress{attr.test.data_in}, size);
}

u32 packet_type(const u8* destination) {
    constexpr u8 kNobody[6] = {};  // the loopback interface's own address
    if (destination[0] & 1) return kPacketMulticast;
    return __builtin_memcmp(destination, kNobody, 6) == 0 ? kPacketHost : kPacketOtherHost;
}

// An IP packet must hold the fixed part of its header. So since Linux 6.18; 6.1 runs programs on less.
bool network_header_fits(const SkBuff& skb) {
    constexpr u32 kIpv4Header = 20;
    constexpr u32 kIpv6Header = 40;
    if (skb.protocol == to_network16(kEtherIpv4)) return skb.len >= kIpv4Header;
    if (skb.protocol == to_network16(kEtherIpv6)) return skb.len >= kIpv6Header;
    return true;
}

// What the stack does to a packet from an Ethernet card; data goes on to the network header.
void receive(SkBuff* skb) {
    skb->mac_header = static_cast<u16>(skb_offset_of_data(skb));
    skb->pkt_type = packet_type(skb->data);
    skb->protocol = ethernet_protocol(load16(skb->data + 12), skb->data + kEthernetHeader,
                                      skb->len - kEthernetHeader);
    skb_pull(skb, kEthernetHeader);
    skb->network_header = static_cast<u16>(skb_offset_of_data(skb));
    skb->transport_header = kHeaderUnset;
    skb->ifindex = kLoopbackIfindex;
}

// __sk_buff fields that a caller may give; the rest has to be zero.
struct Span {
    u32 begin, end;
};
#define FIELD_SPAN(first, last)                                           \
    Span {                                                                \
        __builtin_offsetof(__sk_buff, first),                             \
            __builtin_offsetof(__sk_buff, last) + sizeof(__sk_buff::last) \
    }
constexpr Span kGiven[] = {
    FIELD_SPAN(mark, mark),       FIELD_SPAN(priority, ifindex),  FIELD_SPAN(cb, cb),
    FIELD_SPAN(tstamp, gso_segs), FIELD_SPAN(gso_size, gso_size), FIELD_SPAN(hwtstamp, hwtstamp),
};
#undef FIELD_SPAN

bool only_given_fields(const __sk_buff& context) {
    const u8* bytes = reinterpret_cast<const u8*>(&context);
    u32 at = 0;
    for (const Span& span : kGiven) {
        for (; at < span.begin; ++at) {
            if (bytes[at]) return false;
        }
        at = span.end;
    }
    return at == sizeof context;
}

Result<void> context_to_skb(const __sk_buff& context, SkBuff* skb) {
    if (!only_given_fields(context)) return Errno::Inval;
    const u32 wire_length = context.wire_len;
    if (wire_length && (wire_length < skb->len || wire_length > kMaxWireLength)) {
        return Errno::Inval;
    }
    if (context.gso_segs > kMaxSegments) return Errno::Inval;
    skb->mark = context.mark;
    skb->priority = context.priority;
    skb->ingress_ifindex = context.ingress_ifindex;
    skb->tstamp = context.tstamp;
    __builtin_memcpy(skb->cb, context.cb, sizeof skb->cb);
    skb->wire_len = wire_length ? wire_length : skb->len;
    skb->gso_segs = static_cast<u16>(context.gso_segs);
    skb->gso_size = static_cast<u16>(context.gso_size);
    skb->hwtstamp = context.hwtstamp;
    return {};
}

void skb_to_context(const SkBuff* skb, __sk_buff* context) {
    context->mark = skb->mark;
    context->priority = skb->priority;
    context->ingress_ifindex = skb->ingress_ifindex;
    context->ifindex = skb->ifindex;
    context->tstamp = skb->tstamp;
    __builtin_memcpy(context->cb, skb->cb, sizeof context->cb);
    context->wire_len = skb->wire_len;
    context->gso_segs = skb->gso_segs;
    context->hwtstamp = skb->hwtstamp;
}

}  // namespace

Result<void> skb_test_run(Prog* prog, const bpf_attr& attr, UserAddress uattr) {
    if (attr.test.flags || attr.test.cpu || attr.test.batch_size) return Errno::Inval;
    host::MemoryOwner owner;
    TestSkb skb{};
    TRY(copy_packet(&skb, attr, owner));
    __sk_buff context;
    const bool has_context = TRY(test_context_in(attr, &context, sizeof context));
    if (context.ifindex > kLoopbackIfindex) return Errno::NoDev;

    receive(&skb);
    if (!network_header_fits(skb)) return Errno::Inval;
    if (sees_link_header(prog)) skb_push(&skb, kEthernetHeader);
    if (has_context) TRY(context_to_skb(context, &skb));

    const TestResult result = test_run_loop(prog, &skb, attr.test.repeat);
    (void)take_redirect();

    if (!sees_link_header(prog)) {
        skb_push(&skb, kEthernetHeader);
        __builtin_memset(skb.data, 0, kEthernetHeader);
    }
    TRY(test_finish(attr, uattr, skb.data, skb.len, result));
    skb_to_context(&skb, &context);
    return test_context_out(attr, uattr, &context, sizeof context);
}

}  // namespace barebpf
