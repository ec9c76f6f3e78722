// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers and test runs against the running kernel (peer_case_test.h says how). Skipped where bpf(2) is not
// permitted.
#include "kernel/net/peer_case_test.h"

namespace barebpf {
namespace {

using namespace peer;

struct Peer : testing::Test {
    void SetUp() override {
        if (!kernel_permits()) GTEST_SKIP() << "bpf(2) is not permitted";
    }
    // The same calls under a name that says with which arguments.
    static void calls(u32 type, const Bytes& packet, const std::vector<Call>& list,
                      const std::vector<u32>& fields = {}) {
        Case test{"", packet, list, fields};
        if (type == BPF_PROG_TYPE_XDP) test.context_out = false;
        for (const Call& call : list) {
            test.name += "#" + std::to_string(call.id) + "(";
            for (const Arg& arg : call.args) {
                test.name += std::to_string(static_cast<s64>(arg.value)) + " ";
            }
            test.name += ") ";
        }
        compare(type, test);
    }
};

constexpr u32 kSched = BPF_PROG_TYPE_SCHED_CLS;
constexpr u32 kFilter = BPF_PROG_TYPE_SOCKET_FILTER;
constexpr u32 kXdp = BPF_PROG_TYPE_XDP;

Bytes ethernet(u16 type, size_t payload, std::initializer_list<u8> start = {}) {
    Bytes packet(14 + payload);
    for (size_t i = 0; i < packet.size(); ++i) packet[i] = static_cast<u8>(i * 5 + 3);
    memset(packet.data(), 0, 6);
    packet[12] = static_cast<u8>(type >> 8);
    packet[13] = static_cast<u8>(type);
    std::copy(start.begin(), start.end(), packet.begin() + 14);
    return packet;
}
const Bytes kIpv4 = ethernet(0x0800, 46, {0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0xab, 0xcd});
const Bytes kIpv6 = ethernet(0x86dd, 56, {0x60, 0, 0, 0, 0, 16, 17, 64});
const Bytes kArp = ethernet(0x0806, 28);
const Bytes kTagged = ethernet(0x8100, 50, {0x01, 0x23, 0x08, 0x00, 0x45});
const Bytes kTwiceTagged = ethernet(0x88a8, 50, {0x0a, 0xbc, 0x81, 0x00, 0x01, 0x23, 0x08, 0});

// len, pkt_type, protocol, vlan_present, vlan_tci, vlan_proto
const std::vector<u32> kShape = {0, 4, 16, 20, 24, 28};

TEST_F(Peer, BytesOfThePacket) {
    for (s64 offset : {0ll, 1ll, 38ll, 39ll, 45ll, 46ll, 52ll, 53ll, 59ll, 60ll, 0xffffll,
                       0x10000ll, 0x7fffffffll, 0x80000000ll, 0xffffffffll, 1ll << 32}) {
        for (s64 size : {1, 8, 64}) {
            for (u32 type : {kSched, kFilter}) {
                calls(type, kIpv4, {{BPF_FUNC_skb_load_bytes, {kCtx, offset, buffer(0), size}}});
                for (s64 start : {0, 1, 2}) {
                    calls(type, kIpv4,
                          {{BPF_FUNC_skb_load_bytes_relative,
                            {kCtx, offset, buffer(0), size, start}}});
                }
            }
            calls(kSched, kIpv4, {{BPF_FUNC_skb_store_bytes, {kCtx, offset, buffer(0), size, 0}}});
        }
        calls(kSched, kIpv4, {{BPF_FUNC_skb_pull_data, {kCtx, offset}}});
    }
    for (s64 flags : {1ll, 2ll, 3ll, 4ll, 1ll << 32}) {
        calls(kSched, kIpv4, {{BPF_FUNC_skb_store_bytes, {kCtx, 3, buffer(0), 9, flags}}});
    }
}

TEST_F(Peer, ChecksumHelpers) {
    const s64 values[][2] = {
        {0, 0},          {0, 0x1234},           {0x1234, 0x5678}, {0xffff, 0},
        {0, 0xffff},     {0xffffffff, 0x10000}, {0xdd2f, 0x2d11}, {0x12345678abcd, 0x5},
        {0, 0xffffffff}, {0xabcd, 0xabcd},      {0xcdab, 0}};
    for (u32 id : {BPF_FUNC_l3_csum_replace, BPF_FUNC_l4_csum_replace}) {
        for (const auto& value : values) {
            for (s64 flags : {0, 2, 4, 0x10, 0x12, 0x14, 0x22, 0x24, 0x62, 0x90}) {
                calls(kSched, kIpv4, {{id, {kCtx, 24, value[0], value[1], flags}}});
            }
        }
        for (s64 offset : {25ll, 58ll, 59ll, 60ll, 0xfffell, 0x10000ll, 0xffffffffll}) {
            calls(kSched, kIpv4, {{id, {kCtx, offset, 1, 2, 2}}});
        }
        for (s64 flags : {1ll, 3ll, 8ll, 15ll, 16ll, 32ll, 64ll, 128ll, 256ll, 1ll << 40}) {
            calls(kSched, kIpv4, {{id, {kCtx, 24, 1, 2, flags}}, {id, {kCtx, 61, 1, 2, flags}}});
        }
    }
    // A checksum of 0, with and without the flags that make it special.
    Bytes zero = kIpv4;
    zero[24] = zero[25] = 0;
    for (s64 flags : {2, 0x22, 0x62, 0x32}) {
        calls(kSched, zero, {{BPF_FUNC_l4_csum_replace, {kCtx, 24, 5, 7, flags}}});
        calls(kSched, zero, {{BPF_FUNC_l4_csum_replace, {kCtx, 24, 0, 0xffff, flags}}});
    }
    for (u32 seed : {0u, 1u, 0xffffu, 0x10000u, 0xffffffffu, 0x12345678u}) {
        for (s64 from : {0, 4, 20, 64}) {
            for (s64 to : {0, 4, 12, 64}) {
                const Arg null{0};
                calls(kSched, kIpv4,
                      {{BPF_FUNC_csum_diff,
                        {from ? buffer(0) : null, from,
                         to ? buffer(64 - static_cast<u64>(to)) : null, to, seed}}});
            }
        }
    }
    const Call update{BPF_FUNC_csum_update, {kCtx, 5}};
    calls(kSched, kIpv4, {update});
    const auto level = [](s64 what) { return Call{BPF_FUNC_csum_level, {kCtx, what}}; };
    calls(kSched, kIpv4,
          {level(0), level(4), level(1), level(0), level(1), level(1), level(1), level(0), level(2),
           level(0), level(3), level(0), level(2), level(0)});
    calls(kSched, kIpv4, {level(1), level(2), level(0), level(1ll << 32)});
}

TEST_F(Peer, Tags) {
    const auto push = [](s64 protocol, s64 tci) {
        return Call{BPF_FUNC_skb_vlan_push, {kCtx, protocol, tci}};
    };
    const Call pop{BPF_FUNC_skb_vlan_pop, {kCtx}};
    const Call network{BPF_FUNC_skb_load_bytes_relative, {kCtx, 0, buffer(0), 8, 1}};
    Bytes just_a_tag(kTagged.begin(), kTagged.begin() + 18);
    Bytes half_a_tag(kTagged.begin(), kTagged.begin() + 17);
    Bytes length_inside = kTagged, raw_inside = kTagged;
    length_inside[16] = 1;
    raw_inside[16] = 1;
    raw_inside[18] = raw_inside[19] = 0xff;
    for (const Bytes& packet :
         {kIpv4, kArp, kTagged, kTwiceTagged, just_a_tag, half_a_tag, length_inside, raw_inside}) {
        calls(kSched, packet, {pop}, kShape);
        calls(kSched, packet, {pop, network, pop}, kShape);
        calls(kSched, packet, {push(0x81, 0xf123)}, kShape);
        calls(kSched, packet, {push(0xa888, 0), push(0x1234, 7), network}, kShape);
        calls(kSched, packet, {push(0x81, 1), push(0x81, 2), push(0x81, 3), pop}, kShape);
        calls(kSched, packet, {push(0x81, 1), push(0x81, 2), pop, pop, pop, network}, kShape);
    }
    std::vector<Call> many(60, push(0x81, 9));  // beyond the headroom
    calls(kSched, kIpv4, many, kShape);
}

TEST_F(Peer, BothEnds) {
    for (s64 flags : {0, 1}) {
        for (s64 length : {0, 13, 14, 15, 59, 60, 61, 200, 4000, 16063, 16064, 16065, -1}) {
            calls(kSched, kIpv4, {{BPF_FUNC_skb_change_tail, {kCtx, length, flags}}}, kShape);
        }
        for (s64 head : {0, 1, 14, 64, 65, 300, 16003, 16004, 16005, -1}) {
            calls(kSched, kIpv4,
                  {{BPF_FUNC_skb_change_head, {kCtx, head, flags}},
                   {BPF_FUNC_skb_load_bytes_relative, {kCtx, 0, buffer(0), 4, 1}},
                   {BPF_FUNC_skb_load_bytes_relative, {kCtx, 0, buffer(8), 4, 0}}},
                  kShape);
        }
    }
    // Shorter and longer again: what comes back is zeros.
    calls(kSched, kIpv4,
          {{BPF_FUNC_skb_change_tail, {kCtx, 20, 0}}, {BPF_FUNC_skb_change_tail, {kCtx, 60, 0}}});
    std::vector<Call> walk;
    for (int i = 0; i < 8; ++i) {
        walk.push_back({BPF_FUNC_skb_change_tail, {kCtx, 9000, 0}});
        walk.push_back({BPF_FUNC_skb_adjust_room, {kCtx, -4000, BPF_ADJ_ROOM_MAC, 0}});
        walk.push_back({BPF_FUNC_skb_load_bytes_relative, {kCtx, 0, buffer(0), 16, 1}});
    }
    calls(kSched, kIpv4, walk, kShape);
}

TEST_F(Peer, RoomBetweenHeaders) {
    const auto room = [](s64 size, s64 mode, u64 flags) {
        return Call{BPF_FUNC_skb_adjust_room, {kCtx, size, mode, static_cast<s64>(flags)}};
    };
    const Call network{BPF_FUNC_skb_load_bytes_relative, {kCtx, 0, buffer(0), 8, 1}};
    for (const Bytes& packet : {kIpv4, kIpv6, kArp}) {
        for (s64 mode : {0, 1, 2}) {
            for (s64 size : {0, 4, 8, 20, 100, 0xfff, 0x1000, -4, -8, -20, -26, -27, -36, -40,
                             -0xfff, -0x1000}) {
                calls(kSched, packet, {room(size, mode, 0), network}, kShape);
            }
        }
        for (u32 bit = 0; bit < 7; ++bit) {
            calls(kSched, packet, {room(8, 1, 1u << bit), network}, kShape);
            calls(kSched, packet, {room(-8, 1, 1u << bit), network}, kShape);
        }
        for (u64 flags : {u64{1} << 9, u64{6}, u64{0x18}, u64{0x1a}, u64{0x1c}, u64{0x4a},
                          u64{0x42} | u64{14} << 56, u64{0x42} | u64{4} << 56,
                          u64{2} | u64{9} << 56, u64{1} << 56, u64{255} << 56}) {
            calls(kSched, packet, {room(8, 1, flags), network}, kShape);
            calls(kSched, packet, {room(28, 1, flags), network}, kShape);
        }
        calls(kSched, packet,
              {room(8, 1, 2),
               room(8, 1, 2),
               room(8, 1, 0),
               room(-8, 1, 0),
               {BPF_FUNC_skb_change_tail, {kCtx, 100, 0}},
               network},
              kShape);
        for (s64 length : {33, 34, 41, 42, 53, 54}) {
            calls(kSched, packet,
                  {room(28, 1, 2 | 16), {BPF_FUNC_skb_change_tail, {kCtx, length, 0}}});
        }
    }
}

TEST_F(Peer, FieldsBesideThePacket) {
    for (s64 type : {0ll, 1ll, 3ll, 4ll, 0xffffffffll, 1ll << 32}) {
        calls(kSched, kIpv4, {{BPF_FUNC_skb_change_type, {kCtx, type}}}, kShape);
    }
    const Call recalc{BPF_FUNC_get_hash_recalc, {kCtx}};
    const Call forget{BPF_FUNC_set_hash_invalid, {kCtx}};
    for (s64 hash : {0ll, 1ll, 0x123456789ll}) {
        const Call set{BPF_FUNC_set_hash, {kCtx, hash}};
        calls(kSched, kIpv4, {set, recalc}, {68});
        calls(kSched, kIpv4, {set, forget}, {68});
        calls(kSched, kIpv4, {set, {BPF_FUNC_skb_store_bytes, {kCtx, 0, buffer(0), 1, 2}}}, {68});
    }
    for (u8 bits = 0; bits < 4; ++bits) {
        Bytes ipv4 = kIpv4, ipv6 = kIpv6;
        ipv4[15] = static_cast<u8>(0xfc | bits);
        ipv6[15] = static_cast<u8>(bits << 4 | 5);
        for (const Bytes& packet : {ipv4, ipv6, kArp}) {
            calls(kSched, packet, {{BPF_FUNC_skb_ecn_set_ce, {kCtx}}});
        }
    }
    for (const Bytes& packet : {kIpv4, kIpv6, kArp}) {
        calls(kSched, packet, {{BPF_FUNC_skb_set_tstamp, {kCtx, 0, 0}}}, {});
        calls(kSched, packet, {{BPF_FUNC_skb_set_tstamp, {kCtx, 5, 1}}}, {});
        calls(kSched, packet, {{BPF_FUNC_skb_set_tstamp, {kCtx, 0, 1}}}, {});
    }
    for (s64 flags : {0ll, 1ll, 2ll, 1ll << 32}) {
        calls(kSched, kIpv4, {{BPF_FUNC_redirect, {1, flags}}});
        calls(kXdp, kIpv4, {{BPF_FUNC_redirect, {1, flags}}});
    }
    calls(kSched, kIpv4,
          {{BPF_FUNC_get_cgroup_classid, {kCtx}}, {BPF_FUNC_get_route_realm, {kCtx}}});
}

TEST_F(Peer, Frames) {
    const auto one = [](u32 id, s64 delta) { return Call{id, {kCtx, delta}}; };
    for (s64 delta : {0ll, 1ll, 14ll, 46ll, 47ll, 60ll, -1ll, -14ll, -215ll, -216ll, -217ll, -256ll,
                      -257ll, 0x7fffffffll, -0x80000000ll, 1ll << 32}) {
        calls(kXdp, kIpv4, {one(BPF_FUNC_xdp_adjust_head, delta)});
        calls(kXdp, kIpv4,
              {one(BPF_FUNC_xdp_adjust_meta, -32), one(BPF_FUNC_xdp_adjust_head, delta)});
    }
    for (s64 delta : {0ll, -1ll, -46ll, -47ll, 1ll, 3460ll, 3461ll, 0x7fffffffll, -0x80000000ll}) {
        calls(kXdp, kIpv4,
              {one(BPF_FUNC_xdp_adjust_tail, delta), {BPF_FUNC_xdp_get_buff_len, {kCtx}}});
    }
    calls(kXdp, kIpv4, {one(BPF_FUNC_xdp_adjust_tail, -30), one(BPF_FUNC_xdp_adjust_tail, 30)});
    for (s64 delta : {0, 4, -3, -4, -32, -36, -216, -217, -220, -256}) {
        calls(kXdp, kIpv4, {one(BPF_FUNC_xdp_adjust_meta, delta)});
        calls(kXdp, kIpv4,
              {one(BPF_FUNC_xdp_adjust_meta, -8),
               one(BPF_FUNC_xdp_adjust_meta, delta),
               {BPF_FUNC_xdp_get_buff_len, {kCtx}}});
    }
    for (u32 id : {BPF_FUNC_xdp_load_bytes, BPF_FUNC_xdp_store_bytes}) {
        for (s64 offset :
             {0ll, 52ll, 53ll, 60ll, 61ll, 0xffffll, 0x10000ll, 0xffffffffll, 1ll << 32}) {
            calls(kXdp, kIpv4, {{id, {kCtx, offset, buffer(8), 8}}});
        }
    }
}

TEST_F(Peer, EveryShapeOfPacket) {
    Bytes broadcast = kIpv4, multicast = kIpv4, other = kIpv4;
    memset(broadcast.data(), 0xff, 6);
    multicast[0] = 1;
    other[5] = 9;
    const Bytes length = ethernet(0x0100, 40, {0xaa, 0xff}),
                raw = ethernet(0x05ff, 40, {0xff, 0xff});
    for (const Bytes& packet :
         {kIpv4, kIpv6, kArp, kTagged, broadcast, multicast, other, length, raw}) {
        calls(kSched, packet, {},
              {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 64, 68, 72, 84});
        calls(kFilter, packet, {}, {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 64, 68, 84});
        calls(kXdp, packet, {}, {12, 16});
    }
    for (size_t size : {0u, 1u, 13u, 14u, 15u, 17u, 100u, 3520u, 3712u, 3713u, 4096u, 5000u}) {
        Bytes packet = ethernet(0x0806, 6000);
        packet.resize(size);
        calls(kSched, packet, {}, {0});
        if (size != 14) calls(kFilter, packet, {}, {0});
        if (size <= 3520) calls(kXdp, packet, {{BPF_FUNC_xdp_get_buff_len, {kCtx}}});
    }
}

TEST_F(Peer, RoomForTheResults) {
    for (u32 room : {1u, 59u, 60u, 61u}) {
        for (u32 type : {kSched, kFilter, kXdp}) {
            Case test{"room " + std::to_string(room), kIpv4, {}, {}};
            test.data_size_out = room;
            test.context_out = type != kXdp;
            compare(type, test);
        }
    }
    for (u32 room : {1u, 10u, 191u, 192u, 193u}) {
        Case test{"context room " + std::to_string(room), kIpv4, {}, {}};
        test.context_size_out = room;
        compare(kSched, test);
    }
    Case repeated{
        "repeat",
        kIpv4,
        {{BPF_FUNC_skb_change_tail, {kCtx, 70, 0}}, {BPF_FUNC_skb_change_head, {kCtx, 3, 0}}},
        {0}};
    repeated.repeat = 15;
    compare(kSched, repeated);
}

TEST_F(Peer, ContextOfSkBuffs) {
    for (u32 type : {kSched, kFilter}) {
        for (u32 offset = 0; offset < 192; ++offset) {
            if (offset == 40) continue;  // interfaces of this machine
            for (u8 value : {1, 70}) {
                Case test{"byte " + std::to_string(offset),
                          kIpv4,
                          {},
                          {0, 8, 32, 36, 40, 48, 64, 164, 176}};
                test.context_in = Bytes(192);
                test.context_in[offset] = value;
                compare(type, test);
            }
        }
        for (size_t size : {1u, 9u, 12u, 191u, 193u, 300u}) {
            Case test{"size " + std::to_string(size), kIpv4, {}, {8}};
            test.context_in = Bytes(size);
            if (size > 8) test.context_in[8] = 3;
            compare(type, test);
            test.context_in.back() = 1;
            compare(type, test);
        }
    }
    for (u32 value : {1u, 59u, 60u, 61u, 65535u, 65536u, 65537u}) {
        for (u32 offset : {160u, 164u, 176u}) {
            Case test{
                std::to_string(offset) + "=" + std::to_string(value), kIpv4, {}, {160, 164, 176}};
            test.context_in = Bytes(192);
            memcpy(test.context_in.data() + offset, &value, 4);
            if (offset == 176 && value > 65535) test.fields = {};
            compare(kSched, test);
        }
    }
    Case none{"no context", kIpv4, {}, {160}};
    none.context_out = false;
    compare(kSched, none);
}

TEST_F(Peer, ContextOfFrames) {
    const auto frame = [](std::string name, std::initializer_list<u32> words, size_t size = 64) {
        Case test{std::move(name), ethernet(0x0800, size - 14, {0x45}), {}, {12, 16}};
        test.context_in = Bytes(words.size() * 4);
        memcpy(test.context_in.data(), words.begin(), words.size() * 4);
        compare(kXdp, test);
    };
    for (u32 meta : {0u, 1u, 2u, 4u, 32u, 36u, 48u, 52u, 60u, 64u, 68u}) {
        frame("metadata " + std::to_string(meta), {meta, 64, 0, 0, 0, 0});
    }
    for (u32 meta : {200u, 212u, 216u, 220u, 252u, 256u, 260u}) {
        frame("metadata " + std::to_string(meta), {meta, 400, 0, 0, 0, 0}, 400);
    }
    frame("end beyond", {0, 65, 0, 0, 0, 0});
    frame("data_meta", {0, 64, 4, 0, 0, 0});
    frame("loopback", {0, 64, 0, 1, 0, 0});
    frame("its second queue", {0, 64, 0, 1, 1, 0});
    frame("no such interface", {0, 64, 0, 999'999, 0, 0});
    frame("queue of nothing", {0, 64, 0, 0, 1, 0});
    frame("egress", {0, 64, 0, 0, 0, 1});
    frame("short", {0, 64});
    frame("long", {0, 64, 0, 0, 0, 0, 0, 0});
    frame("long, not zero", {0, 64, 0, 0, 0, 0, 0, 1});
    Case moved{"metadata moves", kIpv4, {{BPF_FUNC_xdp_adjust_head, {kCtx, -8}}}, {}};
    moved.context_in = Bytes(24);
    moved.context_in[0] = 4;
    moved.context_in[4] = 60;
    compare(kXdp, moved);
}

}  // namespace
}  // namespace barebpf
