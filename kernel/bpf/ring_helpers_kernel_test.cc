// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the helpers of ring buffers and dynptrs answer: the same programs run here, compiled and
// interpreted, and by the kernel that the test runs on. Each writes what its calls returned into a map.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "kernel/barebpf.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/ring_cases_test.h"
#include "kernel/bpf/ringbuf_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5, R6 = 6, R7 = 7, R8 = 8, R9 = 9,
             R10 = 10;
constexpr u32 kResults = 256;        // of 8 bytes, at the beginning of the value
constexpr s32 kData = kResults * 8;  // then bytes for dynptrs
constexpr u32 kRingSize = 4096, kDataSize = 8192;

// A program that notes results.
class Script {
public:
    explicit Script(u32 prog_type = BPF_PROG_TYPE_XDP) : prog_type_(prog_type) {
        program_ = load_value(R9, kArray, 0);
    }
    void add(const Insns& insns) { program_.insert(program_.end(), insns.begin(), insns.end()); }
    // What R0 is.
    void note(const std::string& name) {
        add({insn_store(BPF_DW, R9, s16(8 * names_.size()), R0)});
        names_.push_back(name);
    }
    void call(const std::string& name, const Insns& insns) {
        add(insns);
        note(name);
    }
    void finish(const Insns& callback) {
        add(leave());
        if (!callback.empty()) callbacks_ = {callback};
    }
    PlacedCase placed(TestBtf& types) const {
        return place({"", program_, kAccepted, "", callbacks_}, types);
    }
    const std::vector<std::string>& names() const { return names_; }
    u32 prog_type() const { return prog_type_; }

private:
    u32 prog_type_;
    Insns program_{};
    std::vector<Insns> callbacks_;
    std::vector<std::string> names_;
};

// -- samples that user space wrote ------------------------------------------------------------------

struct Sample {
    u32 header;  // size and bits
    u8 first;    // byte
    u32 step;    // to the next, if it is not what the size says
};

// page: the producer's position, then the data.
void write_samples(u8* page, const std::vector<Sample>& samples, s64 extra) {
    u64 position = 0;
    for (const Sample& sample : samples) {
        u8* at = page + 4096 + position;
        memcpy(at, &sample.header, 4);
        at[8] = sample.first;
        const u32 size = sample.header & ~(kRingBusy | kRingDiscarded);
        position += sample.step ? sample.step : (size + 8 + 7) / 8 * 8;
    }
    position += u64(extra);
    memcpy(page, &position, 8);
}

void write_samples(OurBpf, int fd, const std::vector<Sample>& samples, s64 extra) {
    write_samples(reinterpret_cast<u8*>(&ring_of(map_of(fd))->producer_position()), samples, extra);
}
void write_samples(KernelBpf, int fd, const std::vector<Sample>& samples, s64 extra) {
    void* page = mmap(nullptr, 4096 + kRingSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    ASSERT_NE(page, MAP_FAILED);
    write_samples(static_cast<u8*>(page), samples, extra);
    munmap(page, 4096 + kRingSize);
}

// -- a run ------------------------------------------------------------------------------------------

struct Answers {
    std::vector<s64> results;
    std::string log;
};

template <class Bpf>
class World {
public:
    using Client = MapClient<Bpf>;
    World() {
        for (int& fd : maps_) fd = -1;
        maps_[kArray] = Client::create(BPF_MAP_TYPE_ARRAY, 4, kData + kDataSize, 1);
        maps_[kRing] = Client::create(BPF_MAP_TYPE_RINGBUF, 0, 0, kRingSize);
        maps_[kUserRing] = Client::create(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, kRingSize);
        maps_[kProgs] = Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1);
    }
    ~World() {
        for (const int fd : maps_)
            if (fd >= 0) Client::close(fd);
    }
    World(const World&) = delete;
    bool possible() const { return maps_[kArray] >= 0; }

    Answers answers(const Script& script, const std::vector<Sample>& samples, s64 extra) {
        write_samples(Bpf{}, maps_[kUserRing], samples, extra);
        TestBtf types;
        Answers made;
        const PlacedCase placed = script.placed(types);
        const int prog = load(script.prog_type(), placed, *types.finish(), &made.log);
        EXPECT_GE(prog, 0) << made.log;
        if (prog < 0) return made;
        u8 packet[64] = {};
        bpf_attr attr{};
        attr.test.prog_fd = u32(prog);
        attr.test.data_in = address_of(packet);
        attr.test.data_size_in = sizeof packet;
        EXPECT_EQ(Bpf::call(BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
        Client::close(prog);
        std::vector<u64> value((kData + kDataSize) / 8);
        const u32 key = 0;
        EXPECT_EQ(Client::lookup(maps_[kArray], &key, value.data()), 0);
        for (size_t i = 0; i < script.names().size(); ++i) made.results.push_back(s64(value[i]));
        return made;
    }
    // The program that tail calls go to.
    void set_next(u32 prog_type, const Insns& insns) {
        TestBtf types;
        std::string log;
        const PlacedCase placed = place({"", insns}, types);
        const int prog = load(prog_type, placed, *types.finish(), &log);
        ASSERT_GE(prog, 0) << log;
        const u32 key = 0;
        EXPECT_EQ(Client::update(maps_[kProgs], &key, &prog, 0), 0);
        Client::close(prog);
    }

private:
    int load(u32 prog_type, const PlacedCase& placed, const Btf& types, std::string* log) {
        bpf_attr btf{};
        btf.btf = address_of(types.data.data());
        btf.btf_size = u32(types.data.size());
        const int btf_fd = int(Bpf::call(BPF_BTF_LOAD, &btf, sizeof btf));
        EXPECT_GE(btf_fd, 0);
        Insns insns = placed.insns;
        set_map_fds(insns, maps_);
        std::vector<char> text(1 << 18);
        bpf_attr attr{};
        attr.prog_type = prog_type;
        attr.insn_cnt = u32(insns.size());
        attr.insns = address_of(insns.data());
        attr.license = address_of("GPL");
        attr.log_level = 1;
        attr.log_size = u32(text.size());
        attr.log_buf = address_of(text.data());
        attr.prog_btf_fd = u32(btf_fd);
        attr.func_info = address_of(placed.functions.data());
        attr.func_info_cnt = u32(placed.functions.size());
        attr.func_info_rec_size = sizeof(bpf_func_info);
        const int prog = int(Bpf::call(BPF_PROG_LOAD, &attr, sizeof attr));
        *log = text.data();
        Client::close(btf_fd);
        return prog;
    }

    int maps_[kTestMaps];
};

class RingHelpersOnKernel : public ::testing::Test {
protected:
    void compare(const Script& script, const std::vector<Sample>& samples = {}, s64 extra = 0) {
        World<KernelBpf> kernel;
        if (!kernel.possible()) GTEST_SKIP() << "bpf(2) of the running kernel is not permitted";
        kernel.set_next(script.prog_type(), {insn_mov_imm(R0, 5), insn_exit()});
        const Answers theirs = kernel.answers(script, samples, extra);
        for (const bool jit : {true, false}) {
            enable_jit(jit);
            host::Cpu::Entry inside;
            World<OurBpf> world;
            world.set_next(script.prog_type(), {insn_mov_imm(R0, 5), insn_exit()});
            const Answers ours = world.answers(script, samples, extra);
            ASSERT_EQ(ours.results.size(), script.names().size());
            ASSERT_EQ(theirs.results.size(), script.names().size());
            for (size_t i = 0; i < ours.results.size(); ++i)
                EXPECT_EQ(ours.results[i], theirs.results[i])
                    << script.names()[i] << (jit ? ", compiled" : ", interpreted");
        }
        enable_jit(true);
    }
};

// -- calls ------------------------------------------------------------------------------------------

Insns set64(u8 reg, u64 value) {
    return {wide_low(reg, 0, s32(u32(value))), wide_high(s32(value >> 32))};
}
Insns output(u32 size, u64 flags) {
    return load_map(R1, kRing) + load_value(R2, kArray, kData) + set64(R3, size) +
           set64(R4, flags) + Insns{helper_call(BPF_FUNC_ringbuf_output)};
}
Insns query(u64 flags) {
    return load_map(R1, kRing) + set64(R2, flags) + Insns{helper_call(BPF_FUNC_ringbuf_query)};
}
// R0 = whether there was room; the record is given back.
Insns reserve(u64 size, u64 flags, s32 end, u64 end_flags = 0) {
    return load_map(R1, kRing) + set64(R2, size) + set64(R3, flags) +
           Insns{helper_call(BPF_FUNC_ringbuf_reserve), insn_jump_imm(BPF_JEQ, R0, 0, 5),
                 insn_mov(R1, R0)} +
           set64(R2, end_flags) + Insns{helper_call(end), insn_mov_imm(R0, 1)};
}
Insns reserve_dynptr(u64 size, u64 flags) {
    return load_map(R1, kRing) + set64(R2, size) + set64(R3, flags) + stack_address(R4, -16) +
           Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)};
}
Insns from_mem(u32 size, u64 flags) {
    return load_value(R1, kArray, kData) + set64(R2, size) + set64(R3, flags) +
           stack_address(R4, -16) + Insns{helper_call(BPF_FUNC_dynptr_from_mem)};
}
Insns end_dynptr(s32 helper, u64 flags = 0) {
    return stack_address(R1, -16) + set64(R2, flags) + Insns{helper_call(helper)};
}
Insns write(u64 offset, u32 size, u64 flags) {
    return stack_address(R1, -16) + set64(R2, offset) + load_value(R3, kArray, kData + 64) +
           set64(R4, size) + set64(R5, flags) + Insns{helper_call(BPF_FUNC_dynptr_write)};
}
Insns read(u64 offset, u32 size, u64 flags) {
    return load_value(R1, kArray, kData + 128) + set64(R2, size) + stack_address(R3, -16) +
           set64(R4, offset) + set64(R5, flags) + Insns{helper_call(BPF_FUNC_dynptr_read)};
}
// R0 = whether there is so much.
Insns data(u64 offset, u64 size) {
    return stack_address(R1, -16) + set64(R2, offset) + set64(R3, size) +
           Insns{helper_call(BPF_FUNC_dynptr_data), insn_jump_imm(BPF_JEQ, R0, 0, 1),
                 insn_mov_imm(R0, 1)};
}
Insns drain(u64 flags, bool with_context = true) {
    return load_map(R1, kUserRing) + function_address(R2, 0) +
           (with_context ? stack_address(R3, -8)
                         : Insns{insn_mov_imm(R3, 0), insn_mov_imm(R3, 0)}) +
           set64(R4, flags) + Insns{helper_call(BPF_FUNC_user_ringbuf_drain)};
}

std::string named(const char* what, u64 a, u64 b = 0) {
    return std::string(what) + ' ' + std::to_string(a) + ' ' + std::to_string(b);
}
void note_positions(Script& script) {
    for (const u64 flags : std::initializer_list<u64>{0ull, 1ull, 2ull, 3ull, 4ull, ~0ull})
        script.call(named("query", flags), query(flags));
}

TEST_F(RingHelpersOnKernel, Output) {
    for (const u32 size : {0u, 1u, 7u, 8u, 9u, 1000u, 4087u, 4088u, 4089u, 8192u}) {
        Script script;
        for (const u64 flags :
             std::initializer_list<u64>{0ull, 1ull, 2ull, 3ull, 4ull, 1ull << 32, 0ull}) {
            script.call(named("output", size, flags), output(size, flags));
            note_positions(script);
        }
        script.finish({});
        compare(script);
    }
}

TEST_F(RingHelpersOnKernel, Records) {
    for (const u64 size :
         std::initializer_list<u64>{0ull, 1ull, 8ull, 1000ull, 4088ull, 4089ull, (1ull << 30) - 1,
                                    1ull << 30, (1ull << 32) + 8, ~0ull}) {
        Script script;
        for (const u64 flags : std::initializer_list<u64>{0ull, 1ull, 2ull, 0ull, 0ull}) {
            for (const s32 end : {BPF_FUNC_ringbuf_submit, BPF_FUNC_ringbuf_discard}) {
                script.call(named("reserve", size, flags), reserve(size, flags, end, flags));
                note_positions(script);
            }
        }
        script.finish({});
        compare(script);
    }
}

// Each call on a dynptr, whatever it is.
void note_uses(Script& script) {
    constexpr u64 k32 = 1ull << 32;
    for (const u64 flags : std::initializer_list<u64>{0ull, 1ull}) {
        for (const u64 offset :
             std::initializer_list<u64>{0ull, 1ull, 15ull, 16ull, 17ull, k32, k32 + 16, ~0ull}) {
            for (const u32 size : {0u, 1u, 8u, 16u, 17u}) {
                if ((offset + size) % 3 == flags) continue;
                script.call(named("write", offset, size), write(offset, size, flags));
                script.call(named("read", offset, size), read(offset, size, flags));
            }
        }
    }
    for (const u64 offset : std::initializer_list<u64>{0ull, 8ull, 16ull, 17ull, k32, ~0ull})
        for (const u64 size : std::initializer_list<u64>{0ull, 8ull, 16ull, 17ull, k32 + 8, ~0ull})
            script.call(named("data", offset, size), data(offset, size));
}

TEST_F(RingHelpersOnKernel, Dynptrs) {
    constexpr u64 k32 = 1ull << 32;
    for (const u64 size : std::initializer_list<u64>{
             0ull, 16ull, 4088ull, 4089ull, (1ull << 24) - 1, 1ull << 24, k32 + 16, ~0ull}) {
        for (const u64 flags : std::initializer_list<u64>{0ull, 1ull, k32}) {
            Script script;
            script.call(named("reserve_dynptr", size, flags), reserve_dynptr(size, flags));
            note_uses(script);
            note_positions(script);
            script.add(end_dynptr(size % 16 ? BPF_FUNC_ringbuf_submit_dynptr
                                            : BPF_FUNC_ringbuf_discard_dynptr));
            note_positions(script);
            script.finish({});
            compare(script);
        }
    }
    for (const u32 size : {0u, 15u, 16u, 17u}) {
        for (const u64 flags : std::initializer_list<u64>{0ull, 1ull, k32}) {
            Script script;
            script.call(named("from_mem", size, flags), from_mem(size, flags));
            note_uses(script);
            script.finish({});
            compare(script);
        }
    }
}

// A function that ends early, in the middle of what it does, while its caller has a record: the caller goes on, and
// its record is there.
TEST_F(RingHelpersOnKernel, FunctionsThatEndEarlyBesideARecord) {
    // Registers and stack that it needs to its end: the end in the middle has a frame to leave.
    const Insns begin = {insn_mov(R6, R1), insn_load(BPF_W, R7, R6, 0), insn_mov_imm(R8, 4),
                         insn_store(BPF_DW, R10, -8, R7)};
    const Insns sum = {insn_mov(R0, R7), alu_reg(BPF_ADD, R0, R8), insn_load(BPF_DW, R1, R10, -8),
                       alu_reg(BPF_ADD, R0, R1), insn_exit()};
    const auto load_abs = [](s32 at) -> Insns {
        return {make_insn(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, at)};
    };
    const auto load_ind = [](s32 at) -> Insns {
        return {insn_mov_imm(R8, at), make_insn(BPF_LD | BPF_IND | BPF_B, 0, R8, 0, 0)};
    };
    const auto tail_call = [](s32 index) {
        return Insns{insn_mov(R1, R6)} + load_map(R2, kProgs) +
               Insns{insn_mov_imm(R3, index), helper_call(BPF_FUNC_tail_call)};
    };
    for (const Insns& part :
         {load_abs(3), load_abs(1000), load_ind(3), load_ind(1000), tail_call(0), tail_call(1)}) {
        Script script(BPF_PROG_TYPE_SCHED_CLS);
        script.add({insn_mov(R6, R1)});
        script.add(reserve_record(8));
        script.add({insn_jump_imm(BPF_JNE, R0, 0, 2), insn_mov_imm(R0, 0), insn_exit(),
                    insn_mov(R7, R0), insn_mov_imm(R8, 9), insn_mov(R1, R6), subprog_call(0)});
        script.note("what the function returned");
        script.call("a register of the caller's", {insn_mov(R0, R8)});
        script.call("the record",
                    {insn_store_imm(BPF_DW, R7, 0, 77), insn_load(BPF_DW, R0, R7, 0)});
        script.add({insn_mov(R1, R7), insn_mov_imm(R2, 0), helper_call(BPF_FUNC_ringbuf_submit)});
        note_positions(script);
        script.finish(begin + part + sum);
        compare(script);
    }
}

// The bytes that travelled.
TEST_F(RingHelpersOnKernel, DynptrsMoveBytes) {
    Script script;
    script.add(load_value(R6, kArray, kData));
    for (s16 i = 0; i < 24; ++i) script.add({insn_store_imm(BPF_B, R6, s16(64 + i), 10 + i)});
    script.add(reserve_dynptr(16, 0));
    script.add(write(3, 9, 0) + write(8, 8, 0) + read(1, 13, 0));
    script.add(load_value(R6, kArray, kData));
    for (s16 i = 0; i < 16; ++i)
        script.call(named("byte", u64(i)), {insn_load(BPF_B, R0, R6, s16(128 + i))});
    script.add(end_dynptr(BPF_FUNC_ringbuf_submit_dynptr));
    // Within one value, one over the other.
    script.add(from_mem(256, 0) + write(66, 20, 0) + read(130, 20, 0));
    script.add(load_value(R6, kArray, kData));
    for (s16 i = 64; i < 160; ++i)
        script.call(named("byte", u64(i)), {insn_load(BPF_B, R0, R6, i)});
    script.finish({});
    compare(script);
}

// A callback that sums first bytes in the context, and stops at one with the top bit.
Insns summing() {
    return Insns{insn_mov(R6, R2), insn_mov_imm(R7, 0), insn_mov(R8, R1), zero_slot(-8)} +
           stack_address(R1, -8) +
           Insns{insn_mov_imm(R2, 1),
                 insn_mov(R3, R8),
                 insn_mov_imm(R4, 0),
                 insn_mov_imm(R5, 0),
                 helper_call(BPF_FUNC_dynptr_read),
                 insn_load(BPF_B, R1, R10, -8),
                 insn_jump_imm(BPF_JLT, R1, 128, 1),
                 insn_mov_imm(R7, 1),
                 insn_load(BPF_DW, R2, R6, 0),
                 alu_imm(BPF_MUL, R2, 3),
                 alu_reg(BPF_ADD, R2, R1),
                 alu_reg(BPF_ADD, R2, R0),
                 insn_store(BPF_DW, R6, 0, R2),
                 insn_mov(R0, R7),
                 insn_exit()};
}

void note_drains(Script& script) {
    script.add({zero_slot(-8)});
    for (const u64 flags : std::initializer_list<u64>{4ull, ~0ull, 0ull, 1ull, 2ull, 3ull}) {
        script.call(named("drain", flags), drain(flags));
        script.call("sum", {insn_load(BPF_DW, R0, R10, -8)});
    }
    script.finish(summing());
}

TEST_F(RingHelpersOnKernel, Drain) {
    Script script;
    note_drains(script);
    compare(script);
    compare(script, {{8, 1, 0}, {1, 2, 0}, {100, 3, 0}});
    compare(script, {{8, 1, 0}, {1, 200, 0}, {100, 3, 0}, {8, 255, 0}});
    compare(script, {{8 | kRingDiscarded, 1, 0}, {8, 2, 0}, {16 | kRingDiscarded, 3, 0}});
    compare(script, {{8 | kRingDiscarded, 1, 0}, {8 | kRingDiscarded, 2, 0}});
    compare(script, {{8, 1, 0}, {8 | kRingBusy, 2, 0}, {8, 3, 0}});
    compare(script, {{0, 1, 16}, {8, 2, 0}});
}

TEST_F(RingHelpersOnKernel, DrainOfWhatMakesNoSense) {
    Script script;
    note_drains(script);
    compare(script, {{8, 1, 0}, {4000, 2, 16}});
    compare(script, {{8, 1, 0}, {5000, 2, 16}});
    compare(script, {{8, 1, 0}, {~(kRingBusy | kRingDiscarded), 2, 16}});
    compare(script, {{8, 1, 0}}, 3);
    compare(script, {{8, 1, 0}}, 8192);
    compare(script, {{8, 1, 0}}, -16);
    compare(script, {{8, 1, 0}}, -24);
}

}  // namespace
}  // namespace barebpf::test
