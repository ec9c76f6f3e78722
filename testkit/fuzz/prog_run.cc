// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/fuzz/prog_run.h"

#include <alloca.h>
#include <string.h>

#include <algorithm>
#include <iterator>

#include "kernel/bpf/decode.h"
#include "kernel/bpf/disasm.h"
#include "kernel/bpf/prog.h"
#include "kernel/lib/annotations.h"
#include "kernel/net/packet.h"
#include "testkit/fuzz/guarded_memory.h"
#include "testkit/fuzz/world.h"

namespace barebpf::fuzz {
namespace {

constexpr u32 kArrayEntries = 4;
constexpr u32 kHashEntries = 4;
constexpr u32 kMapValue = 16;
constexpr u32 kPage = GuardedMemory::kPage;

constexpr u32 kKinds[] = {kProgTypeHost, BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS,
                          BPF_PROG_TYPE_SOCKET_FILTER};

enum class Engine : u8 { Interpreter, Jit };

// All that a run leaves behind. Compared as bytes, so it has no holes that are not zero.
struct Outcome {
    u64 r0;
    s64 data, data_end, data_meta;
    u8 page[kPage];
    u8 context[sizeof(SkBuff)];
    u8 array[kArrayEntries * kMapValue];

    bool operator==(const Outcome& other) const { return memcmp(this, &other, sizeof *this) == 0; }
};

class Runner {
public:
    Runner(const ProgHeader& header, bpf_insn* insns, u32 count)
        : header_(header),
          type_(kKinds[header.kind % (sizeof kKinds / sizeof *kKinds)]),
          insns_(insns),
          count_(count) {}

    Verdict run() {
        make_maps();
        name_maps();
        const s64 interpreted = load(Engine::Interpreter);
        const s64 compiled = load(Engine::Jit);
        if (printing()) fprintf(stderr, "%s", log_);
        if (interpreted != compiled) fail("the verifier judges one program twice differently");
        if (interpreted < 0) return Verdict::Refused;
        if (progs_[u32(Engine::Interpreter)]->jited) fail("compiled, though it was not to be");
        compare();
        for (Prog* prog : progs_) put_prog(prog);
        return steady_ ? Verdict::Compared : Verdict::Ran;
    }

private:
    bool is_host() const { return type_ == kProgTypeHost; }
    u32 length() const { return is_host() ? 8 * (1 + header_.length % 64) : header_.length; }

    [[noreturn]] void fail(const char* what) {
        print_program(insns_, count_);
        World::fail(what);
    }

    // -- maps ------------------------------------------------------------------------------------
    void make_maps() {
        static const u32 kTypes[kFuzzMaps] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH};
        static const u32 kEntries[kFuzzMaps] = {kArrayEntries, kHashEntries};
        for (u32 i = 0; i < kFuzzMaps; ++i) {
            bpf_attr attr{};
            attr.map_type = kTypes[i];
            attr.key_size = 4;
            attr.value_size = kMapValue;
            attr.max_entries = kEntries[i];
            maps_[i] = int(call(BPF_MAP_CREATE, attr));
            if (maps_[i] < 0) World::fail("no map");
        }
    }

    // What names a map names one of ours. Also notes what two runs need not agree about.
    void name_maps() {
        for (u32 i = 0; i < count_; ++i) {
            bpf_insn& insn = insns_[i];
            if (is_may_goto(insn) || is_subprog_address(insn)) steady_ = false;
            if (is_helper_call(insn) &&
                std::find(std::begin(kSteadyHelpers), std::end(kSteadyHelpers), insn.imm) ==
                    std::end(kSteadyHelpers))
                steady_ = false;
            const bool names_map = is_ld_imm64(insn) && (insn.src_reg == BPF_PSEUDO_MAP_FD ||
                                                         insn.src_reg == BPF_PSEUDO_MAP_VALUE);
            if (!names_map) continue;
            const u32 which = u32(insn.imm) % kFuzzMaps;
            insn.imm = maps_[which];
            uses_maps_ = true;
            // Elements of the hash lie where they happen to, and a program may look at addresses.
            if (which == 1) steady_ = false;
        }
    }

    void reset_maps() {
        for (u32 map = 0; map < kFuzzMaps; ++map) {
            for (u32 key = 0; key < kArrayEntries; ++key) {
                u8 value[kMapValue];
                memset(value, int(key * 3 + header_.fill), sizeof value);
                bpf_attr attr{};
                attr.map_fd = u32(maps_[map]);
                attr.key = reinterpret_cast<u64>(&key);
                attr.value = reinterpret_cast<u64>(value);
                call(BPF_MAP_UPDATE_ELEM, attr);  // a full hash refuses, and keeps what it has
            }
        }
    }
    void read_array(u8* to) {
        for (u32 key = 0; key < kArrayEntries; ++key) {
            bpf_attr attr{};
            attr.map_fd = u32(maps_[0]);
            attr.key = reinterpret_cast<u64>(&key);
            attr.value = reinterpret_cast<u64>(to + key * kMapValue);
            if (call(BPF_MAP_LOOKUP_ELEM, attr)) World::fail("an array lost an element");
        }
    }

    // -- loading -----------------------------------------------------------------------------------
    s64 load(Engine engine) { return is_host() ? load_host(engine) : load_typed(engine); }
    s64 load_host(Engine engine) {
        HostProgramOptions options;
        options.memory_size = length();
        options.compile = engine == Engine::Jit;
        if (printing()) options.log = log_, options.log_size = sizeof log_, options.log_level = 1;
        auto prog = load_host_program(insns_, count_, options);
        if (!prog) return -to_int(prog.error());
        progs_[u32(engine)] = prog.value();
        return 0;
    }
    s64 load_typed(Engine engine) {
        enable_jit(engine == Engine::Jit);
        bpf_attr attr{};
        attr.prog_type = type_;
        attr.insns = reinterpret_cast<u64>(insns_);
        attr.insn_cnt = count_;
        attr.license = reinterpret_cast<u64>("GPL");
        if (printing()) {
            attr.log_buf = reinterpret_cast<u64>(log_);
            attr.log_size = sizeof log_;
            attr.log_level = 1;
        }
        const s64 fd = call(BPF_PROG_LOAD, attr);
        if (fd < 0) return fd;
        progs_[u32(engine)] = prog_from_fd(int(fd)).value();
        machine::close_fd(int(fd));
        return 0;
    }

    // -- running -------------------------------------------------------------------------------------
    static GuardedMemory& page() {
        static GuardedMemory memory(kPage);
        return memory;
    }
    u8* where() const { return header_.placement & 1 ? page().begin() : page().end() - length(); }

    void fill_page() {
        for (u32 i = 0; i < kPage; ++i) page().begin()[i] = u8(i * 7 + header_.fill);
        if (is_host() || length() < 34) return;
        // Enough of Ethernet and IPv4 to get past first checks.
        static const u8 kHeaders[] = {0x08, 0x00, 0x45, 0x00, 0x00, 0x40, 0, 0, 0, 0, 64, 6};
        if (header_.fill & 1) memcpy(where() + 12, kHeaders, sizeof kHeaders);
    }

    // In the heap, so that the sanitizer sees what the interpreter does around it.
    XdpBuff* new_xdp() const {
        auto* frame = new XdpBuff();
        frame->data = frame->data_meta = where();
        frame->data_end = where() + length();
        frame->hard_start = page().begin();
        frame->hard_end = page().end();
        frame->ingress_ifindex = 1;
        return frame;
    }
    SkBuff* new_skb() const {
        auto* skb = new SkBuff();
        skb->data = skb->data_meta = where();
        skb->data_end = where() + length();
        skb->hard_start = page().begin();
        skb->hard_end = page().end();
        skb->len = length();
        skb->protocol = 8;
        skb->ifindex = skb->ingress_ifindex = 1;
        const u16 offset = u16(where() - page().begin());
        skb->mac_header = offset;
        skb->network_header = u16(offset + std::min(length(), kEthernetHeader));
        skb->transport_header = kHeaderUnset;
        skb->mac_len = kEthernetHeader;
        return skb;
    }

    template <class Context>
    void keep_context(const Context& context) {
        Context seen;
        memcpy(&seen, &context, sizeof seen);
        out_->data = seen.data - page().begin();
        out_->data_end = seen.data_end - page().begin();
        out_->data_meta = seen.data_meta - page().begin();
        memcpy(out_->context, &seen, sizeof seen);
    }

    void run_once() {
        Prog* prog = progs_[u32(engine_)];
        if (is_host()) {
            out_->r0 = run_host_program(prog, where(), length());
        } else if (type_ == BPF_PROG_TYPE_XDP) {
            out_->r0 = run_xdp(prog, xdp_);
            keep_context(*xdp_);
        } else {
            out_->r0 = run_skb(prog, skb_);
            keep_context(*skb_);
        }
    }
    // Elsewhere on the stack, so that what depends on where that is shows.
    NOINLINE static void run_deeper(void* self, size_t bytes) {
        auto* space = static_cast<volatile char*>(alloca(bytes + 16));
        space[0] = 1;
        static_cast<Runner*>(self)->run_once();
        space[0] = 2;
    }
    static void run_shifted(void* self) { run_deeper(self, static_cast<Runner*>(self)->shift_); }

    void run_to(Outcome& out, Engine engine, size_t shift) {
        memset(static_cast<void*>(&out), 0, sizeof out);
        out_ = &out;
        engine_ = engine;
        shift_ = shift;
        if (uses_maps_) reset_maps();
        fill_page();
        // One context for all runs: its address is the same.
        if (type_ == BPF_PROG_TYPE_XDP) *xdp_ = *xdp_start_;
        if (!is_host() && type_ != BPF_PROG_TYPE_XDP) *skb_ = *skb_start_;
        user::Fault fault;
        if (!user::call_catching_faults(run_shifted, this, &fault)) {
            fprintf(stderr, "signal %d at address %#llx, pc %#llx; memory %p, %u bytes\n",
                    fault.signal, static_cast<unsigned long long>(fault.address),
                    static_cast<unsigned long long>(fault.pc), static_cast<void*>(where()),
                    length());
            fail(engine == Engine::Jit ? "a verified program faulted, compiled"
                                       : "a verified program faulted, interpreted");
        }
        memcpy(out.page, page().begin(), kPage);
        if (uses_maps_) read_array(out.array);
    }

    void compare() {
        xdp_ = new_xdp(), xdp_start_ = new_xdp(), skb_ = new_skb(), skb_start_ = new_skb();
        static Outcome first, compiled;
        run_to(first, Engine::Interpreter, 0);
        for (size_t shift : {16, 0x1230, 0xdec0}) {
            if (steady_) steady_ = interpreted_as(first, shift);
        }
        run_to(compiled, Engine::Jit, 0);
        if (!steady_ || compiled == first) return free_contexts();
        // They are on different stacks. Each bit of an address that a program may have looked at, changed for sure.
        for (size_t shift = 16; shift < kLargestShift; shift *= 2) {
            if (!interpreted_as(first, shift)) return free_contexts();
        }
        disagree(first, compiled);
    }

    bool interpreted_as(const Outcome& expected, size_t shift) {
        static Outcome again;
        run_to(again, Engine::Interpreter, shift);
        return again == expected;
    }

    void free_contexts() { delete xdp_, delete xdp_start_, delete skb_, delete skb_start_; }

    [[noreturn]] void disagree(const Outcome& interpreted, const Outcome& compiled) {
        fprintf(stderr, "interpreter: r0 %#llx\ncompiled:    r0 %#llx\n",
                static_cast<unsigned long long>(interpreted.r0),
                static_cast<unsigned long long>(compiled.r0));
        const auto* a = reinterpret_cast<const u8*>(&interpreted);
        const auto* b = reinterpret_cast<const u8*>(&compiled);
        u32 shown = 0;
        for (size_t i = 0; i < sizeof interpreted && shown < 16; ++i) {
            if (a[i] == b[i]) continue;
            ++shown;
            fprintf(stderr, "  outcome byte %zu (page from %zu): %02x, compiled %02x\n", i,
                    offsetof(Outcome, page), a[i], b[i]);
        }
        fail("interpreter and compiler disagree");
    }

    static constexpr size_t kLargestShift = 1 << 17;
    static inline char log_[1 << 20];

    const ProgHeader header_;
    const u32 type_;
    bpf_insn* const insns_;
    const u32 count_;
    int maps_[kFuzzMaps] = {};
    bool uses_maps_ = false;
    bool steady_ = true;  // its results may be compared
    Prog* progs_[2] = {};
    XdpBuff *xdp_ = nullptr, *xdp_start_ = nullptr;
    SkBuff *skb_ = nullptr, *skb_start_ = nullptr;
    Outcome* out_ = nullptr;
    Engine engine_ = Engine::Interpreter;
    size_t shift_ = 0;
};

}  // namespace

bool printing() {
    static const bool print = getenv("FUZZ_PROG_PRINT") != nullptr;
    return print;
}

Verdict run_program(const ProgHeader& header, bpf_insn* insns, u32 count) {
    World world;
    Runner runner(header, insns, count);
    return runner.run();
}

void print_program(const bpf_insn* insns, u32 count) {
    for (u32 i = 0; i < count; ++i) {
        char line[256];
        TextBuffer out(line);
        disasm_insn(out, insns + i);
        u64 raw;
        memcpy(&raw, insns + i, sizeof raw);
        fprintf(stderr, "%4u: %016llx %s\n", i,
                static_cast<unsigned long long>(__builtin_bswap64(raw)), line);
        if (is_ld_imm64(insns[i])) ++i;
    }
}

}  // namespace barebpf::fuzz
