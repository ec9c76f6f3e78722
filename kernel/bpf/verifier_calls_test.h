// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of what a program may call: a program type with helpers of its own, maps by number instead of
// descriptor, and a run of the whole verifier that leaves its log in a string.
#pragma once

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernel/bpf/btf.h"
#include "kernel/bpf/check_call.h"
#include "kernel/bpf/fixups_test.h"
#include "kernel/bpf/insn.h"
#include "kernel/net/packet.h"

namespace barebpf::test {

// -- maps: the "descriptor" is the index ----------------------------------------------------------

enum TestMap : s32 {
    kArray,
    kOther,
    kReadOnly,
    kFrozen,
    kProgs,
    kWriteOnly,
    kLocked,       // a bpf_spin_lock at kLockOffset
    kLocked2,      // the same
    kTyped,        // BTF, but no lock
    kPercpu,       // PERCPU_ARRAY
    kQueue,        // QUEUE
    kBloom,        // BLOOM_FILTER, without pop and for_each
    kArrayOfMaps,  // of maps like kArray
    kRing,         // RINGBUF
    kUserRing,     // USER_RINGBUF
    kTestMaps
};
inline constexpr s32 kLockOffset = 8;

inline char test_map_bytes[kTestMaps][64];

inline Result<u64> test_map_value(const Map* map, u32 offset) {
    if (offset >= map->value_size) return Errno::Inval;
    return reinterpret_cast<u64>(test_map_bytes[map->id - 1]) + offset;
}
inline constexpr MapOps kTestMapOps = {
    .lookup = [](Map* map, const void*) -> void* { return test_map_bytes[map->id - 1]; },
    .update = [](Map*, const void*, const void*, u64) -> s64 { return 0; },
    .erase = [](Map*, const void*) -> s64 { return 0; },
    .push = [](Map*, const void*, u64) -> s64 { return 0; },
    .pop = [](Map*, void*) -> s64 { return 0; },
    .peek = [](Map*, void*) -> s64 { return 0; },
    .lookup_percpu = [](Map* map, const void*, u32) -> void* {
        return test_map_bytes[map->id - 1];
    },
    .for_each = [](Map*, ElementVisitor*) -> s64 { return 0; },
    .direct_value = test_map_value,
};

inline u32 test_map_type(int fd) {
    switch (fd) {
        case kProgs:
            return BPF_MAP_TYPE_PROG_ARRAY;
        case kPercpu:
            return BPF_MAP_TYPE_PERCPU_ARRAY;
        case kQueue:
            return BPF_MAP_TYPE_QUEUE;
        case kBloom:
            return BPF_MAP_TYPE_BLOOM_FILTER;
        case kArrayOfMaps:
            return BPF_MAP_TYPE_ARRAY_OF_MAPS;
        case kRing:
            return BPF_MAP_TYPE_RINGBUF;
        case kUserRing:
            return BPF_MAP_TYPE_USER_RINGBUF;
        default:
            return BPF_MAP_TYPE_ARRAY;
    }
}

inline void give_test_map_types(Map* maps) {
    static Btf btf;
    maps[kLocked].btf = maps[kLocked2].btf = maps[kTyped].btf = &btf;
    maps[kLocked].spin_lock_offset = maps[kLocked2].spin_lock_offset = kLockOffset;
    maps[kQueue].key_size = maps[kBloom].key_size = 0;
    for (const TestMap ring : {kRing, kUserRing}) maps[ring].key_size = maps[ring].value_size = 0;
    static MapOps no_pop = kTestMapOps, no_for_each = kTestMapOps;
    no_pop.pop = nullptr;
    no_pop.for_each = nullptr;
    no_for_each.for_each = nullptr;
    maps[kBloom].ops = &no_pop;
    maps[kOther].ops = &no_for_each;
    static Map inner;
    inner.ops = &kTestMapOps;
    inner.id = 1;
    inner.type = BPF_MAP_TYPE_ARRAY;
    inner.key_size = 4;
    inner.value_size = 48;
    inner.max_entries = 4;
    maps[kArrayOfMaps].inner_meta = &inner;
}

inline Map* test_map(int fd) {
    static Map maps[kTestMaps];
    static bool made = false;
    for (int i = 0; !made && i < kTestMaps; ++i) {
        maps[i].ops = &kTestMapOps;
        maps[i].id = u32(i + 1);
        maps[i].type = test_map_type(i);
        maps[i].key_size = 4;
        maps[i].value_size = i == kProgs ? 4 : 48;
        maps[i].max_entries = 4;
        if (i == kReadOnly || i == kFrozen) maps[i].flags = BPF_F_RDONLY_PROG;
        if (i == kWriteOnly) maps[i].flags = BPF_F_WRONLY_PROG;
        if (i == kFrozen) maps[i].refs.try_freeze();
    }
    if (!made) give_test_map_types(maps);
    made = true;
    return &maps[fd];
}

// -- helpers --------------------------------------------------------------------------------------

using A = ArgType;

inline u64 no_function(u64, u64, u64, u64, u64) {
    return 0;
}

struct TestHelper {
    u32 id;
    HelperProto proto;
};
// Under ids that have no meaning here but their number.
inline constexpr TestHelper kTestHelpers[] = {
    {BPF_FUNC_skb_load_bytes,
     {.name = "skb_load_bytes",
      .function = no_function,
      .ret = RetType::Integer,
      .args = {A::Ctx, A::Anything, A::UninitMem, A::Size}}},
    {BPF_FUNC_skb_store_bytes,
     {.name = "skb_store_bytes",
      .function = no_function,
      .ret = RetType::Integer,
      .args = {A::Ctx, A::Anything, A::Mem, A::Size},
      .changes_packet_data = true}},
    {BPF_FUNC_csum_diff,
     {.name = "csum_diff",
      .function = no_function,
      .ret = RetType::Integer,
      .args = {A::MemOrNull, A::SizeOrZero, A::MemOrNull, A::SizeOrZero, A::Anything},
      .packet_access = true}},
    {BPF_FUNC_skb_change_tail,
     {.name = "skb_change_tail",
      .function = no_function,
      .ret = RetType::Integer,
      .args = {A::Anything},
      .changes_packet_data = true}},
    {BPF_FUNC_get_stack,
     {.name = "get_stack",
      .function = no_function,
      .ret = RetType::Integer,
      .args = {A::UninitMem, A::Size}}},
    {BPF_FUNC_skb_get_tunnel_key,
     {.name = "skb_get_tunnel_key",
      .function = no_function,
      .ret = RetType::FixedMemOrNull,
      .args = {},
      .fixed_size = 16}},
};

inline const HelperProto* test_helper(u32 id, const Prog*) {
    for (const TestHelper& helper : kTestHelpers) {
        if (helper.id == id) return &helper.proto;
    }
    return base_helper_proto(id);
}

// -- a program type -------------------------------------------------------------------------------

inline constexpr ContextField kTestFields[] = {
    {.offset = 0,
     .size = 4,
     .struct_offset = offsetof(SkBuff, data),
     .struct_size = 8,
     .kind = FieldKind::Packet,
     .narrow = false},
    {.offset = 4,
     .size = 4,
     .struct_offset = offsetof(SkBuff, data_end),
     .struct_size = 8,
     .kind = FieldKind::PacketEnd,
     .narrow = false},
    {.offset = 8,
     .size = 4,
     .struct_offset = offsetof(SkBuff, mark),
     .struct_size = 4,
     .writable = true},
};
inline constexpr ProgTypeOps kTestType = {
    .name = "test",
    .type = BPF_PROG_TYPE_SCHED_CLS,
    .fields = kTestFields,
    .field_count = 3,
    .ctx_size = 12,
    .direct_packet_access = true,
    .direct_packet_write = true,
    .legacy_packet_access = true,
    .helper_proto = test_helper,
};

// -- BTF ------------------------------------------------------------------------------------------

// A few types, and functions with arguments of them, as a compiler would describe them.
class TestBtf {
public:
    enum Type : u32 {
        kVoid,
        kInt,
        kContext,
        kContextPtr,
        kItem,
        kItemPtr,
        kLong,
        kVoidPtr,
        kTypes
    };

    TestBtf() {
        add("int", BTF_KIND_INT, 0, 4, {32});
        add("__sk_buff", BTF_KIND_STRUCT, 0, 12);
        add("", BTF_KIND_PTR, 0, kContext);
        add("item", BTF_KIND_STRUCT, 0, 16);
        add("", BTF_KIND_PTR, 0, kItem);
        add("long", BTF_KIND_INT, 0, 8, {64});
        add("", BTF_KIND_PTR, 0, kVoid);
    }
    // The id of a function.
    u32 function(const char* name, bool global, std::vector<u32> arguments, u32 result = kInt) {
        std::vector<u32> params;
        for (u32 type : arguments) {
            params.push_back(this->name("a"));
            params.push_back(type);
        }
        add("", BTF_KIND_FUNC_PROTO, u32(arguments.size()), result, params);
        return add(name, BTF_KIND_FUNC, global ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC, count_);
    }
    Btf* finish() {
        const u32 types = u32(words_.size() * 4);
        const btf_header header = {.magic = BTF_MAGIC,
                                   .version = BTF_VERSION,
                                   .hdr_len = sizeof(btf_header),
                                   .type_len = types,
                                   .str_off = types,
                                   .str_len = u32(strings_.size())};
        EXPECT_TRUE(btf_.data.allocate(sizeof header + types + strings_.size(),
                                       host::AllocContext::MaySleep, btf_.memory));
        u8* to = btf_.data.data();
        memcpy(to, &header, sizeof header);
        memcpy(to + sizeof header, words_.data(), types);
        memcpy(to + sizeof header + types, strings_.data(), strings_.size());
        char text[256];
        TextBuffer log(text);
        EXPECT_TRUE(btf_check(&btf_, &log).ok()) << text;
        return &btf_;
    }

private:
    u32 name(const char* text) {
        if (!*text) return 0;
        const u32 at = u32(strings_.size());
        strings_.append(text, strlen(text) + 1);
        return at;
    }
    u32 add(const char* text, u32 kind, u32 vlen, u32 size_or_type,
            const std::vector<u32>& extra = {}) {
        words_.push_back(name(text));
        words_.push_back(kind << 24 | vlen);
        words_.push_back(size_or_type);
        words_.insert(words_.end(), extra.begin(), extra.end());
        return ++count_;
    }
    host::Cpu::Entry entry_;
    Btf btf_;
    std::vector<u32> words_;
    std::string strings_ = std::string(1, '\0');
    u32 count_ = 0;
};

// -- programs -------------------------------------------------------------------------------------

struct Insns : std::vector<bpf_insn> {
    Insns(std::initializer_list<bpf_insn> insns) : std::vector<bpf_insn>(insns) {}
    Insns operator+(const Insns& more) const {
        Insns all = *this;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
};
inline Insns load_map(u8 dst, TestMap map) {
    return {wide_low(dst, BPF_PSEUDO_MAP_FD, map), wide_high(0)};
}
inline Insns load_value(u8 dst, TestMap map, s32 off) {
    return {wide_low(dst, BPF_PSEUDO_MAP_VALUE, map), wide_high(off)};
}
// dst = r10 + off
inline Insns stack_address(u8 dst, s32 off) {
    return {insn_mov(dst, BPF_REG_10), insn_add_imm(dst, off)};
}
inline bpf_insn zero_slot(s16 off) {
    return insn_store_imm(BPF_DW, BPF_REG_10, off, 0);
}
inline Insns leave() {
    return {insn_mov_imm(BPF_REG_0, 0), insn_exit()};
}
// R0 = the packet's first byte, the context is in R6; both forms.
inline Insns first_byte() {
    return {make_insn(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0)};
}
inline Insns first_byte_by(u8 zero) {
    return {insn_mov_imm(zero, 0), make_insn(BPF_LD | BPF_IND | BPF_B, 0, zero, 0, 0)};
}
// R0 = a record of that many bytes, or null.
inline Insns reserve_record(s32 bytes) {
    return load_map(BPF_REG_1, kRing) + Insns{insn_mov_imm(BPF_REG_2, bytes),
                                              insn_mov_imm(BPF_REG_3, 0),
                                              helper_call(BPF_FUNC_ringbuf_reserve)};
}

struct Verified {
    Errno error;
    std::string log;
    std::vector<bpf_insn> insns;  // in final form, if accepted
};

struct TestLoad {
    bool gpl = true;
    bool privileged = true;
    bool log = true;
    u32 type = kTestType.type;
    u32 flags = 0;       // BPF_F_*
    Btf* btf = nullptr;  // with
    std::vector<bpf_func_info> functions = {};
};

inline Verified verify(const Insns& insns, const TestLoad& load = {}) {
    host::Cpu::Entry entry;
    static char text[1 << 16];
    Prog prog;
    prog.type = load.type;
    prog.flags = load.flags;
    prog.gpl_compatible = load.gpl;
    EXPECT_TRUE(prog.insns.allocate(insns.size(), host::AllocContext::MaySleep, prog.memory));
    memcpy(prog.insns.data(), insns.data(), insns.size() * sizeof(bpf_insn));
    VerifierInput input;
    if (load.log)
        input.log = {kVerifierLogBranches, sizeof text,
                     host::UserAddress{reinterpret_cast<u64>(text)}};
    input.ops = &kTestType;
    input.bpf_capable = input.perfmon_capable = load.privileged;
    input.map_by_fd = [](int fd) -> Result<MapRef> {
        if (fd < 0 || fd >= kTestMaps) return Errno::BadF;
        return MapRef{test_map(fd), {}};
    };
    input.put_map = [](Map*) {};
    bpf_attr attr{};
    attr.func_info = reinterpret_cast<u64>(load.functions.data());
    attr.func_info_cnt = u32(load.functions.size());
    attr.func_info_rec_size = sizeof(bpf_func_info);
    prog.debug.btf = load.btf;
    input.btf = &kVerifierBtf;
    input.attr = &attr;
    text[0] = '\0';
    const auto result = bpf_check(&prog, input);
    return {result.error(), text, {prog.insns.begin(), prog.insns.end()}};
}

// Accepted: error and text are empty.
inline void expect_verdict(const char* name, const Insns& insns, Errno error, const char* text,
                           const TestLoad& load = {}) {
    const Verified verified = verify(insns, load);
    EXPECT_EQ(to_int(verified.error), to_int(error)) << name << "\n" << verified.log;
    EXPECT_NE(verified.log.find(text), std::string::npos) << name << " wants: " << text << "\n"
                                                          << verified.log;
}

}  // namespace barebpf::test
