// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stack trace maps of this library and of the kernel that the test runs on, each held against one model of what Linux
// does: random calls of bpf_get_stackid with every flag, and bpf(2) commands.
//
// Traces are a few known ones, whose places are learnt first; two meet in one place as often as there are few places.
// The kernel's come from programs of their own, which are run by BPF_PROG_TEST_RUN and attached to nothing; ours from
// functions of their own, which call the helper as a program would.
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/insn.h"
#include "kernel/bpf/on_kernel_test.h"
#include "kernel/bpf/stackmap.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using test::KernelBpf;
using test::OurBpf;
using test::Side;

constexpr u32 kWays = 6;    // traces that differ in their first frame
constexpr u32 kFrames = 2;  // of each, as far as the maps here look
// What they have in common, when the first is left out; and the way of user space into one of them.
constexpr u32 kCommon = kWays, kUser = kWays + 1;
constexpr u32 kTraces = kWays + 2;

// Where a trace comes from, and what is asked for it.
u32 way_of(u32 trace) {
    return trace % kWays;
}
u64 flags_of(u32 trace) {
    return trace == kUser ? u64{BPF_F_USER_STACK} : trace == kCommon;
}

// ── The kernel's ──────────────────────────────────────────────────────────────────────────────

class KernelTraces {
public:
    // A map of build ids takes a free place before it compares, and may find none: docs/differences.md.
    static constexpr bool kTakesFirst = true;
    explicit KernelTraces(Side<KernelBpf>& side, int map) {
        using namespace insn;
        const std::vector<bpf_insn> program = {
            load(BPF_DW, R3, R1, 0),  // flags
            ld_low(R2, BPF_PSEUDO_MAP_FD, map),
            ld_high(0),
            call(BPF_FUNC_get_stackid),
            exit(),
        };
        for (int& prog : programs_) {
            bpf_attr attr{};
            attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
            attr.insns = test::address_of(program.data());
            attr.insn_cnt = static_cast<u32>(program.size());
            attr.license = test::address_of("GPL");
            prog = side.keep(static_cast<int>(KernelBpf::call(BPF_PROG_LOAD, &attr, sizeof attr)));
        }
    }
    bool loaded() const { return programs_[kWays - 1] >= 0; }
    NOINLINE s64 get(u32 way, u64 flags) {
        bpf_attr attr{};
        attr.test.prog_fd = static_cast<u32>(programs_[way]);
        attr.test.ctx_in = test::address_of(&flags);
        attr.test.ctx_size_in = sizeof flags;
        const s64 result = KernelBpf::call(BPF_PROG_TEST_RUN, &attr, sizeof attr);
        // Of a user stack this is the frame behind the system call.
        asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
        return result ? result : static_cast<s32>(attr.test.retval);
    }

private:
    int programs_[kWays];
};

// ── Ours ──────────────────────────────────────────────────────────────────────────────────────

template <u32 kWay>
NOINLINE s64 call_helper(Map* map, u64 flags) {
    host::RcuReadGuard rcu;
    asm volatile("# way %c0" : : "i"(kWay));  // lest two of them are one
    const u64 result = stack_helper_proto(BPF_FUNC_get_stackid)
                           ->function(0, reinterpret_cast<u64>(map), flags, 0, 0);
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
    return static_cast<s64>(result);
}

class OurTraces {
public:
    static constexpr bool kTakesFirst = false;
    OurTraces(Side<OurBpf>&, int map) : map_(test::map_of(map)) {}
    bool loaded() const { return true; }
    NOINLINE s64 get(u32 way, u64 flags) {
        static constexpr s64 (*kCalls[kWays])(Map*, u64) = {call_helper<0>, call_helper<1>,
                                                            call_helper<2>, call_helper<3>,
                                                            call_helper<4>, call_helper<5>};
        const s64 result = kCalls[way](map_, flags);
        asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
        return result;
    }

private:
    Map* map_;
};

// ── The model ─────────────────────────────────────────────────────────────────────────────────

constexpr u32 kNobody = ~0u;

template <class Bpf, class Traces>
class Held {
public:
    using Client = typename Side<Bpf>::Client;
    using Value = std::vector<u64>;

    Held(u32 entries, u32 flags)
        : build_ids_(flags & BPF_F_STACK_BUILD_ID),
          free_(entries),
          places_(round_up_to_power_of_two(entries), kNobody) {
        fd_ = side_.keep(Client::create(
            test::map_attr(BPF_MAP_TYPE_STACK_TRACE, 4, words() * 8, entries, flags)));
        traces_.emplace(side_, fd_);
    }
    bool loaded() const { return traces_->loaded(); }

    // Each trace alone in the map: where it is, and what it is.
    void learn() {
        for (u32 trace = 0; trace < kTraces; ++trace) {
            const s64 id = get(trace, 0);
            ASSERT_GE(id, 0) << trace;
            ASSERT_LT(id, static_cast<s64>(places_.size()));
            ids_[trace] = static_cast<u32>(id);
            values_[trace].assign(words(), 1);
            ASSERT_EQ(Client::lookup(fd_, &ids_[trace], values_[trace].data()), 0);
            ASSERT_NE(address(trace, 0), 0u);
            if (build_ids_ && trace != kUser) {
                EXPECT_EQ(static_cast<u32>(values_[trace][0]), u32{BPF_STACK_BUILD_ID_IP});
            }
            ASSERT_EQ(Client::erase(fd_, &ids_[trace]), 0);
        }
        for (u32 trace = 1; trace < kWays; ++trace) {
            EXPECT_NE(address(trace, 0), address(0, 0));
            EXPECT_EQ(address(trace, 1), address(0, 1));
        }
        EXPECT_EQ(address(kCommon, 0), address(0, 1)) << "the first frame is left out";
    }

    void take_trace(u32 trace, u64 flags) {
        EXPECT_EQ(get(trace, flags), model_take(trace, flags))
            << "trace " << trace << " flags " << flags;
    }
    void erase(u32 id) {
        s64 expected = 0;
        if (id >= places_.size()) {
            expected = -E2BIG;
        } else if (places_[id] == kNobody) {
            expected = -ENOENT;
        } else {
            places_[id] = kNobody;
            ++free_;
        }
        EXPECT_EQ(Client::erase(fd_, &id), expected) << id;
    }
    void look(u32 id) {
        Value value(words(), 1);
        const bool there = id < places_.size() && places_[id] != kNobody;
        EXPECT_EQ(Client::lookup(fd_, &id, value.data()), there ? 0 : -ENOENT) << id;
        if (there) {
            EXPECT_EQ(value, values_[places_[id]]);
        }
    }
    void next_key(u32 id, bool from_start) {
        u32 next = 0, expected = 0;
        if (!from_start && id < places_.size() && places_[id] != kNobody) expected = id + 1;
        while (expected < places_.size() && places_[expected] == kNobody) ++expected;
        const bool there = expected < places_.size();
        EXPECT_EQ(Client::next_key(fd_, from_start ? nullptr : &id, &next), there ? 0 : -ENOENT);
        if (there) {
            EXPECT_EQ(next, expected);
        }
    }
    // (LOOKUP_AND_DELETE_ELEM: docs/differences.md.)
    void refused(u32 id) {
        Value value(words());
        u32 keys[2] = {id, id}, out = 0;
        EXPECT_EQ(Client::update(fd_, &id, value.data()), -EINVAL);
        EXPECT_EQ(Client::lookup(fd_, &id, value.data(), BPF_F_LOCK), -EINVAL);
        for (const u32 command : {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
                                  BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH}) {
            test::Batch batch{.command = command,
                              .fd = fd_,
                              .count = 1,
                              .keys = keys,
                              .values = value.data(),
                              .out = &out};
            EXPECT_EQ(Client::batch(batch), -kNotSupp) << command;
        }
    }
    u32 places() const { return static_cast<u32>(places_.size()); }
    // So that it is known how many are free.
    void end() {
        for (u32 id = 0; id < places_.size(); ++id) look(id);
    }

private:
    static constexpr s64 kNotSupp = 524;

    u32 words() const { return kFrames * (build_ids_ ? sizeof(bpf_stack_build_id) / 8 : 1); }
    u64 address(u32 trace, u32 frame) const {
        const u32 each = words() / kFrames;
        return values_[trace][(frame + 1) * each - 1];
    }
    // From one place: the frames behind the first are the same each time.
    NOINLINE s64 get(u32 trace, u64 flags) {
        const s64 result = traces_->get(way_of(trace), flags | flags_of(trace));
        asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
        return result;
    }
    s64 model_take(u32 trace, u64 flags) {
        constexpr u64 kKnown =
            BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID;
        if (flags & ~kKnown) return -EINVAL;
        if ((flags & BPF_F_SKIP_FIELD_MASK) == BPF_F_SKIP_FIELD_MASK) return -EFAULT;
        u32& place = places_[ids_[trace]];
        const bool same = place == trace;
        if (same && (!build_ids_ || flags & BPF_F_FAST_STACK_CMP)) return ids_[trace];
        if (build_ids_ && Traces::kTakesFirst && free_ == 0) return -ENOMEM;
        if (same) return ids_[trace];
        if (place != kNobody && !(flags & BPF_F_REUSE_STACKID)) return -EEXIST;
        if (free_ == 0) return -ENOMEM;
        free_ -= place == kNobody;
        place = trace;
        return ids_[trace];
    }

    Side<Bpf> side_;
    bool build_ids_;
    int fd_ = -1;
    std::optional<Traces> traces_;
    u32 free_;
    std::vector<u32> places_;
    u32 ids_[kTraces] = {};
    Value values_[kTraces];
};

template <class Bpf, class Traces>
void run(u32 seed, u32 entries, u32 map_flags, u32 steps) {
    std::mt19937 random(seed);
    Held<Bpf, Traces> held(entries, map_flags);
    if (!held.loaded()) GTEST_SKIP() << "programs for raw tracepoints cannot be loaded here";
    held.learn();
    for (u32 step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
        const u32 id = random() % (held.places() + 2);
        switch (random() % 8) {
            case 0:
                held.erase(id);
                break;
            case 1:
                held.look(id);
                break;
            case 2:
                held.next_key(id, random() % 4 == 0);
                break;
            case 3:
                held.refused(id);
                break;
            default: {
                u64 flags = 0;
                if (random() % 2) flags |= BPF_F_FAST_STACK_CMP;
                if (random() % 2) flags |= BPF_F_REUSE_STACKID;
                if (random() % 16 == 0) flags |= BPF_F_SKIP_FIELD_MASK;
                if (random() % 16 == 0) flags |= u64{1} << (11 + random() % 53);
                held.take_trace(random() % kTraces, flags);
            }
        }
    }
    held.end();
    EXPECT_FALSE(::testing::Test::HasFailure())
        << "BAREBPF_SEED=" << seed << " entries " << entries << " map flags " << map_flags;
}

class StackMapOnKernel : public test::OnKernel {
protected:
    template <class Bpf, class Traces>
    void run_all(u32 steps) {
        const char* given = std::getenv("BAREBPF_SEED");
        const u32 seed = given ? static_cast<u32>(std::atoi(given)) : 1;
        for (const u32 entries : {1u, 2u, 3u, 5u, 64u}) {
            for (const u32 flags : {0u, u32{BPF_F_STACK_BUILD_ID}}) {
                if (!HasFailure()) run<Bpf, Traces>(seed, entries, flags, steps);
            }
        }
    }
};

TEST_F(StackMapOnKernel, TheKernelDoesWhatTheModelSays) {
    run_all<KernelBpf, KernelTraces>(600);
}

TEST_F(StackMapOnKernel, AndSoDoWe) {
    run_all<OurBpf, OurTraces>(600);
}

}  // namespace
}  // namespace barebpf
