// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

#include "kernel/bpf/btf.h"

namespace barebpf::test {

namespace {

constexpr u32 kValueSize = 48;

// -- maps without bpf(2) --

struct TestMap : Map {
    u8 value[kValueSize];
};

Result<u64> direct_value(const Map* map, u32 offset) {
    if (offset >= map->value_size) return Errno::Inval;
    return reinterpret_cast<u64>(static_cast<const TestMap*>(map)->value) + offset;
}

void* lookup(Map* map, const void*) {
    return static_cast<TestMap*>(map)->value;
}

const MapOps& test_map_ops() {
    static const MapOps ops = [] {
        MapOps made{};
        made.direct_value = direct_value;
        made.lookup = lookup;
        made.for_each = [](Map*, ElementVisitor*) -> s64 { return 0; };
        return made;
    }();
    return ops;
}

TestMap& test_map(int fd) {
    static TestMap maps[3];
    TestMap& map = maps[fd - kArrayFd];
    if (map.ops) return map;
    map.ops = &test_map_ops();
    map.type = BPF_MAP_TYPE_ARRAY;
    map.key_size = 4;
    map.value_size = kValueSize;
    map.max_entries = 1;
    for (u32 i = 0; i < kValueSize; ++i) map.value[i] = static_cast<u8>(i);
    if (fd == kReadOnlyFd) {
        map.flags = BPF_F_RDONLY_PROG;
        map.refs.try_freeze();
    }
    if (fd == kWriteOnlyFd) map.flags = BPF_F_WRONLY_PROG;
    return map;
}

Result<MapRef> map_by_fd(int fd) {
    if (fd < kArrayFd || fd > kWriteOnlyFd) return Errno::BadF;
    return MapRef{&test_map(fd), {}};
}

void put_map(Map*) {}

// -- a packet type: __sk_buff as far as the tests go --

constexpr ContextField kFields[] = {
    {0, 4, 0, 4},
    {8, 4, 8, 4, FieldKind::Scalar, true},
    {48, 20, 48, 4, FieldKind::Scalar, true, true, true},
    {76, 4, 80, 8, FieldKind::Packet},
    {80, 4, 88, 8, FieldKind::PacketEnd},
    {140, 4, 96, 8, FieldKind::PacketMeta},
};

u64 change_head(u64, u64, u64, u64, u64) {
    return 0;
}

const HelperProto kChangeHead = [] {
    HelperProto made{"skb_change_head",
                     change_head,
                     RetType::Integer,
                     {ArgType::Ctx, ArgType::Anything, ArgType::Anything}};
    made.changes_packet_data = true;
    return made;
}();

const HelperProto* helper_proto(u32 id, const Prog*) {
    return id == BPF_FUNC_skb_change_head ? &kChangeHead : base_helper_proto(id);
}

const ProgTypeOps kPacketOps = [] {
    ProgTypeOps ops{};
    ops.name = "sched_cls";
    ops.type = BPF_PROG_TYPE_SCHED_CLS;
    ops.fields = kFields;
    ops.field_count = sizeof(kFields) / sizeof(kFields[0]);
    ops.ctx_size = 192;
    ops.direct_packet_access = ops.direct_packet_write = ops.legacy_packet_access = true;
    ops.helper_proto = helper_proto;
    return ops;
}();

void fill_program(Prog& prog, const VerifierCase& one) {
    prog.type = one.as == As::Host ? kProgTypeHost : u32{BPF_PROG_TYPE_SCHED_CLS};
    prog.host_memory_size = one.as == As::Host ? 64 : 0;
    prog.flags = one.flags;
    prog.gpl_compatible = true;
    prog.unprivileged = !one.privileged;
    ASSERT_TRUE(prog.insns.allocate(one.insns.size(), host::AllocContext::MaySleep, prog.memory));
    for (size_t i = 0; i < one.insns.size(); ++i) prog.insns[i] = one.insns[i];
}

// Whatever the verdict: what is left is what the program owns.
void expect_nothing_leaked(Prog& prog) {
    prog.insns.reset();
    prog.subprogs.reset();
    prog.calls.reset();
    prog.maps.reset();
    prog.debug.func_info.reset();
    prog.debug.line_info.reset();
    EXPECT_EQ(prog.memory.bytes(), 0u);
}

}  // namespace

Verdict verify(const VerifierCase& one, u32 log_level) {
    Prog prog;
    fill_program(prog, one);
    std::vector<char> log(log_level ? 1 << 20 : 0);
    VerifierInput input;
    if (log_level)
        input.log = {log_level, static_cast<u32>(log.size()), {reinterpret_cast<u64>(log.data())}};
    input.ops = one.as == As::Packet ? &kPacketOps : nullptr;
    input.bpf_capable = input.perfmon_capable = one.privileged;
    input.map_by_fd = map_by_fd;
    input.put_map = put_map;
    bpf_attr attr{};
    attr.func_info = reinterpret_cast<u64>(one.functions.data());
    attr.func_info_cnt = static_cast<u32>(one.functions.size());
    attr.func_info_rec_size = sizeof(bpf_func_info);
    prog.debug.btf = one.btf;
    input.btf = &kVerifierBtf;
    input.attr = &attr;
    const auto result = bpf_check(&prog, input);
    expect_nothing_leaked(prog);
    return {result.error(), log_level ? log.data() : "", prog.verified_insns};
}

namespace {

// What matters is at the end.
std::string tail(const std::string& log) {
    constexpr size_t kMost = 2000;
    return log.size() > kMost ? log.substr(log.size() - kMost) : log;
}

}  // namespace

void check_cases(const std::vector<VerifierCase>& cases) {
    for (const VerifierCase& one : cases) {
        const Verdict verdict = verify(one);
        EXPECT_EQ(to_int(verdict.error), to_int(one.verdict)) << one.name << '\n'
                                                              << tail(verdict.log);
        EXPECT_NE(verdict.log.find(one.phrase), std::string::npos)
            << one.name << ": no \"" << one.phrase << "\" in\n"
            << tail(verdict.log);
    }
}

}  // namespace barebpf::test
