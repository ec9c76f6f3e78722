// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fuzzes bpf(2): an input is a sequence of commands on a world of its own, with good and wild attributes,
// descriptors closed and allocations failing in between.
//
// A command's attr is a plausible one for its number, then edited at places that the input names. User
// memory is an arena between inaccessible pages. Wild values are never left as addresses of anything else
// that is mapped: bpf(2) would rightly write there, and that is the fuzzer itself.
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/host/usercopy.h"
#include "testkit/fuzz/byte_source.h"
#include "testkit/fuzz/guarded_memory.h"
#include "testkit/fuzz/world.h"

namespace barebpf::fuzz {
namespace {

constexpr u32 kSteps = 48;
constexpr u32 kFds = 16;
constexpr u32 kMaxRepeat = 16;
constexpr u64 kMaxMapBytes = u64{16} << 20;

// The arena's parts, by offset.
constexpr u32 kKey = 0x0000;
constexpr u32 kValue = 0x1000;
constexpr u32 kInsns = 0x2000;
constexpr u32 kBtf = 0x4000;
constexpr u32 kLicense = 0x5000;
constexpr u32 kPacket = 0x6000;
constexpr u32 kInfo = 0x7000;
constexpr u32 kLog = 0x8000;
constexpr u32 kAttr = 0xf000;
constexpr u32 kArena = 0x10000;

GuardedMemory& arena() {
    static GuardedMemory memory(kArena);
    return memory;
}
u64 at(u32 offset) {
    return reinterpret_cast<u64>(arena().begin()) + offset;
}
u64 physical_memory() {
    static const u64 bytes = u64(sysconf(_SC_PHYS_PAGES)) * u64(sysconf(_SC_PAGESIZE));
    return bytes;
}

bool is_foreign(u64 address) {
    u8 byte;
    return address >> 16 && !arena().contains(address) &&
           backend::UserCopy::from_user(&byte, address, sizeof byte);
}
// Every aligned word that would be an address of the fuzzer's becomes a bad one.
void blunt(u64* words, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (is_foreign(words[i])) words[i] |= u64{1} << 63;
    }
}

const bpf_insn kPrograms[][8] = {
    {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}},
    {{BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0},
     {BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0},
     {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 14},
     {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 2},
     {BPF_JMP | BPF_JGT | BPF_X, 2, 3, 1, 0},
     {BPF_LDX | BPF_MEM | BPF_B, 0, 2, -1, 0},
     {BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 3},
     {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}},
    {{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0},
     {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
     {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8},
     {BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0},  // the map of the command
     {},
     {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
     {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
     {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}},
};
constexpr u32 kProgramCount = sizeof kPrograms / sizeof *kPrograms;

// BTF of "int" and struct { int a; int b; }, as clang writes it.
struct SmallBtf {
    u16 magic = 0xeb9f;
    u8 version = 1, flags = 0;
    u32 header_length = 24, type_offset = 0, type_length = 16 + 12 + 24, string_offset = 52,
        string_length = 12;
    u32 integer[4] = {1, 1u << 24, 4, 32 | 1u << 24};
    u32 structure[3] = {5, 4u << 24 | 2, 8};
    u32 members[6] = {7, 1, 0, 9, 1, 32};
    char strings[12] = "\0int\0s\0a\0b";
};

class Run {
public:
    explicit Run(ByteSource input) : in_(input) {
        memset(arena().begin(), 0, kArena);
        memcpy(arena().begin() + kLicense, "GPL", 4);
        memset(arena().begin() + kPacket, 0x42, 64);
        const SmallBtf btf;
        memcpy(arena().begin() + kBtf, &btf, sizeof btf);
    }
    ~Run() {
        machine::stop_failing_allocations();
        for (u32 i = 0; i < mapping_count_; ++i) {
            munmap(mappings_[i].address, mappings_[i].size);
            user::munmapped(mappings_[i].address, mappings_[i].size);
        }
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    void go() {
        for (u32 i = 0; i < kSteps && !in_.empty(); ++i) step();
    }

private:
    struct Mapping {
        void* address;
        size_t size;
    };

    void step() {
        switch (in_.below(12)) {
            case 0:
                return close_one();
            case 1:
                in_.take_bytes(arena().begin() + in_.take<u8>() * 0x80, in_.take<u8>());
                return;
            case 2:
                return map_one();
            case 3:
                machine::fail_allocation_after(in_.below(64));
                command();
                machine::stop_failing_allocations();
                return;
            default:
                return command();
        }
    }

    u32 an_fd() {
        const u32 pick = in_.take<u8>();
        if (fd_count_ && pick < 240) return u32(fds_[pick % fd_count_]);
        return pick & 1 ? in_.take<u32>() : pick & 15;
    }

    void close_one() {
        if (!fd_count_) return;
        const u32 which = in_.below(fd_count_);
        if (machine::close_fd(fds_[which])) World::fail("close of one of ours");
        fds_[which] = fds_[--fd_count_];
    }

    void map_one() {
        if (mapping_count_ == 4) return;
        const size_t size = GuardedMemory::kPage * (1 + in_.below(4));
        const u64 offset = u64{GuardedMemory::kPage} * in_.below(3);
        const int prot = int(in_.below(4));
        const long result = user::mmap_object(
            nullptr, size, prot, in_.below(4) ? MAP_SHARED : MAP_PRIVATE, int(an_fd()), offset);
        if (result < 0 && result > -4096) return;
        mappings_[mapping_count_++] = {reinterpret_cast<void*>(result), size};
    }

    u64 an_address() {
        switch (in_.below(8)) {
            case 0:
                return 0;
            case 1:
                return at(kArena) - in_.below(64);  // ends too soon
            case 2:
                return at(0) - 8;  // begins too soon
            case 3:
                return in_.take<u64>() | u64{1} << 63;
            case 4:
                return in_.take<u16>();  // the zero page and what follows
            default:
                return at(in_.take<u16>() & 0xfff8);
        }
    }

    u64 a_number() {
        static const u64 kEdges[] = {
            0,           1,          2,          3,          4,       7,
            8,           16,         31,         32,         511,     512,
            513,         4096,       0x7fff,     0xffff,     0x10000, 0x400000,
            0x7fffffff,  0x80000000, 0xfffffffe, 0xffffffff, ~u64{0}, u64{1} << 32,
            u64{1} << 63};
        const u32 pick = in_.take<u8>();
        if (pick < 200) return kEdges[pick % (sizeof kEdges / sizeof *kEdges)];
        return pick & 1 ? in_.take<u64>() : in_.take<u8>();
    }

    void edit(bpf_attr& attr) {
        const u32 offset = in_.below(sizeof attr / 4) * 4;
        const u32 kind = in_.below(4);
        const u64 value = kind == 0 ? an_fd() : kind == 1 ? an_address() : a_number();
        const u32 width = kind == 1 || in_.below(3) == 0 ? 8 : 4;
        if (offset + width > sizeof attr) return;
        memcpy(reinterpret_cast<u8*>(&attr) + offset, &value, width);
    }

    void map_create(bpf_attr& attr) {
        attr.map_type = in_.below(4) ? 1 + in_.below(3) : in_.below(40);
        attr.key_size = attr.map_type == BPF_MAP_TYPE_HASH ? in_.below(20) : 4;
        attr.value_size = in_.below(64);
        attr.max_entries = in_.below(80);
        if (in_.below(3) == 0) attr.map_flags = 1u << in_.below(14);
    }

    void prog_load(bpf_attr& attr) {
        static const u32 kTypes[] = {BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS,
                                     BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SCHED_ACT};
        const u32 which = in_.below(kProgramCount + 1);
        attr.prog_type = kTypes[in_.below(4)];
        attr.insn_cnt = 8;
        if (which < kProgramCount) {
            bpf_insn insns[8];
            memcpy(insns, kPrograms[which], sizeof insns);
            if (which == 0) attr.insn_cnt = 2;
            if (which == 1) attr.prog_type = BPF_PROG_TYPE_XDP;
            if (which == 2) insns[3].imm = s32(an_fd());
            memcpy(arena().begin() + kInsns, insns, sizeof insns);
        } else {
            attr.insn_cnt = 1 + in_.below(32);
            in_.take_bytes(arena().begin() + kInsns, attr.insn_cnt * sizeof(bpf_insn));
        }
        attr.insns = at(kInsns);
        attr.license = at(kLicense);
        if (in_.below(2)) {
            attr.log_buf = at(kLog);
            attr.log_size = 128 << in_.below(7);
            attr.log_level = in_.below(8);
        }
    }

    void test_run(bpf_attr& attr) {
        attr.test.prog_fd = an_fd();
        attr.test.data_in = at(kPacket);
        attr.test.data_size_in = in_.take<u8>() * 4u;
        attr.test.data_out = at(kPacket + 0x800);
        attr.test.data_size_out = in_.take<u8>() * 4u;
        attr.test.repeat = in_.below(3);
        if (in_.below(3)) return;
        attr.test.ctx_in = at(kValue);
        attr.test.ctx_size_in = in_.below(255);
        attr.test.ctx_out = at(kValue + 0x400);
        attr.test.ctx_size_out = in_.below(255);
    }

    void plausible(u32 number, bpf_attr& attr) {
        switch (number) {
            case BPF_MAP_CREATE:
                return map_create(attr);
            case BPF_MAP_LOOKUP_ELEM:
            case BPF_MAP_UPDATE_ELEM:
            case BPF_MAP_DELETE_ELEM:
            case BPF_MAP_GET_NEXT_KEY:
            case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
            case BPF_MAP_FREEZE:
                attr.map_fd = an_fd();
                if (number == BPF_MAP_FREEZE) return;
                attr.key = at(kKey + in_.below(4) * 8);
                if (number != BPF_MAP_DELETE_ELEM) attr.value = at(kValue);
                return;
            case BPF_PROG_LOAD:
                return prog_load(attr);
            case BPF_PROG_TEST_RUN:
                return test_run(attr);
            case BPF_OBJ_GET_INFO_BY_FD:
                attr.info.bpf_fd = an_fd();
                attr.info.info = at(kInfo);
                attr.info.info_len = in_.take<u8>();
                return;
            case BPF_BTF_LOAD:
                attr.btf = at(kBtf);
                attr.btf_size = sizeof(SmallBtf);
                return;
            default:  // ids, and what is not built
                attr.start_id = in_.below(2) ? in_.below(8) : an_fd();
                return;
        }
    }

    // What would only cost time or memory: many repeats, maps larger than a fuzzer should fill. One too
    // large for the machine stays: it must be refused.
    static bool affordable(u32 number, bpf_attr& attr) {
        if (number == BPF_PROG_TEST_RUN && attr.test.repeat > kMaxRepeat)
            attr.test.repeat = kMaxRepeat;
        if (number != BPF_MAP_CREATE) return true;
        const unsigned __int128 entries = attr.max_entries;
        const u64 payload = u64{attr.key_size} + attr.value_size;
        return entries * (payload + 256) * 4 <= kMaxMapBytes ||
               entries * payload > 2 * physical_memory();
    }

    u64 place(const bpf_attr& attr, u32& size) {
        const u32 pick = in_.take<u8>();
        size = sizeof attr;
        if (pick >= 200) size = pick & 1 ? in_.below(200) : in_.take<u16>();
        if (pick % 32 == 31) return an_address();
        memset(arena().begin() + kAttr, 0, GuardedMemory::kPage);
        const u32 from = pick % 32 == 30 && size <= GuardedMemory::kPage ? kArena - size : kAttr;
        const u32 room = kArena - from;
        memcpy(arena().begin() + from, &attr, room < sizeof attr ? room : sizeof attr);
        return at(from);
    }

    void command() {
        const u32 pick = in_.take<u8>();
        const u32 number = pick == 255 ? in_.take<u32>() : pick < 200 ? pick % 24 : pick - 200;
        bpf_attr attr{};
        plausible(number, attr);
        const u32 edits = in_.take<u8>();
        for (u32 i = 0; edits >= 128 && i < edits % 6; ++i) edit(attr);
        if (!affordable(number, attr)) return;
        // It takes no addresses, and pairs of its numbers look like some.
        if (number != BPF_MAP_CREATE) blunt(reinterpret_cast<u64*>(&attr), sizeof attr / 8);
        if (number == BPF_OBJ_GET_INFO_BY_FD && !tame_info(attr)) return;
        u32 size;
        const u64 address = place(attr, size);
        if (address != at(kAttr) && arena().contains(address) && !tame(number, address)) return;
        keep(number, bpf_syscall(number, address, size));
    }

    // An attr that lies just anywhere in the arena is held to the same limits.
    static bool tame(u32 number, u64 address) {
        bpf_attr attr{};
        if (address % 8) return false;
        blunt_arena(address, sizeof attr);
        const u64 room = at(kArena) - address;
        memcpy(&attr, reinterpret_cast<void*>(address), room < sizeof attr ? room : sizeof attr);
        const bpf_attr before = attr;
        if (number == BPF_OBJ_GET_INFO_BY_FD && !tame_info(attr)) return false;
        return affordable(number, attr) && memcmp(&before, &attr, sizeof attr) == 0;
    }
    // An info structure holds addresses too.
    static bool tame_info(const bpf_attr& attr) {
        if (attr.info.info % 8) return false;
        blunt_arena(attr.info.info, sizeof(bpf_prog_info));
        return true;
    }
    static void blunt_arena(u64 address, u64 size) {
        if (!arena().contains(address)) return;
        const u64 room = at(kArena) - address;
        blunt(reinterpret_cast<u64*>(address), (room < size ? room : size) / 8);
    }

    void keep(u32 number, s64 result) {
        if (result < -4095) World::fail("a result that is no errno");
        switch (number) {
            case BPF_MAP_CREATE:
            case BPF_PROG_LOAD:
            case BPF_BTF_LOAD:
            case BPF_MAP_GET_FD_BY_ID:
            case BPF_PROG_GET_FD_BY_ID:
            case BPF_BTF_GET_FD_BY_ID:
                break;
            default:
                if (result > 0) World::fail("a result of a command that gives none");
                return;
        }
        if (result < 0) return;
        if (!machine::fd_is_ours(int(result))) World::fail("a descriptor that is none");
        if (fd_count_ < kFds) {
            fds_[fd_count_++] = int(result);
        } else {
            machine::close_fd(int(result));
        }
    }

    ByteSource in_;
    int fds_[kFds];
    u32 fd_count_ = 0;
    Mapping mappings_[4];
    u32 mapping_count_ = 0;
};

}  // namespace
}  // namespace barebpf::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    barebpf::user::set_cpu_count(2);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const barebpf::u8* data, size_t size) {
    barebpf::fuzz::World world;
    barebpf::fuzz::Run run(barebpf::fuzz::ByteSource(data, size));
    run.go();
    return 0;
}
