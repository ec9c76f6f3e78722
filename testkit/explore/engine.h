// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of the explorer: one execution of a scenario, step by step.
//
//     explore()  search.cc   which deviations to try next       (Strategy)
//     Engine     engine.cc   fibers, steps, who may run         asks the strategy at each point of choice
//     hooks.cc, rcu.cc, services.cc: the host contract          calls the engine
//     heap.cc    memory and what of it is alive                 memory_model.cc  histories of atomics
#pragma once

#include <setjmp.h>

#include <string>
#include <vector>

#include "testkit/explore/explore.h"
#include "testkit/explore/fiber.h"

namespace barebpf::explore {

// ── Choices ───────────────────────────────────────────────────────────────────────────────────

enum class Act : u8 { Go, Switch, Nmi, Stale, FailAllocation };
enum class Cost : u8 { Free, Preemption, Nmi, Stale, FailAllocation, kKinds };

struct Option {
    Act act;
    Cost cost;
    u32 value;  // Switch: to which fiber; Stale: how many values before the newest
};

// A choice other than the first option. `at` counts the decisions of that fiber.
struct Deviation {
    u32 fiber;
    u32 at;
    Act act;
    u32 value;
    bool operator==(const Deviation&) const = default;
};
std::string to_text(const std::vector<Deviation>& deviations);
bool from_text(const std::string& text, std::vector<Deviation>* deviations);

struct Point {
    static constexpr u32 kMaxOptions = 24;
    Point(u32 in_fiber, u32 decision) : fiber(in_fiber), at(decision) {}
    u32 fiber;
    u32 at;
    u32 count = 0;
    Option options[kMaxOptions];
    void add(Act act, Cost cost, u32 value) {
        if (count < kMaxOptions) options[count++] = {act, cost, value};
    }
};

class Strategy {
public:
    virtual ~Strategy() = default;
    virtual void begin() {}
    virtual u32 pick(const Point& point) = 0;  // which option
};

// ── Memory ────────────────────────────────────────────────────────────────────────────────────

// All memory of an execution: never given out twice within one, so that an access to what was freed is noticed.
class Heap {
public:
    Heap();
    ~Heap();
    void reset();  // at the start of each execution
    void* alloc(size_t size, size_t align);
    bool free(void* memory, size_t size);  // false: there is no such block
    // Atomics at this address may be used: it is no memory of ours, or alive.
    bool usable(const void* at, u32 size) const {
        const size_t offset = offset_of(at);
        return offset >= kSize || (alive_[offset / 8] && alive_[(offset + size - 1) / 8]);
    }
    // The pages, in this order, at one address; a page may stand twice. What is accessed there is the page.
    void* map(const host::Page* pages, u32 count);
    bool unmap(void* address, u32 count);
    size_t live_blocks() const { return live_; }
    std::string describe(const void* at, bool with_state = true) const;
    // A number for the 8 bytes around the address; one outside may share it with others.
    u32 granule(const void* at) const {
        const size_t offset = offset_of(at);
        if (offset < kSize) return static_cast<u32>(offset / 8);
        return kGranules +
               static_cast<u32>((reinterpret_cast<u64>(at) >> 3) * 0x9e3779b1u >> 7) % kOutside;
    }
    void set_name(const void* memory, size_t size, const char* name);
    std::string first_live() const;

    static constexpr size_t kSize = 8 * 1024 * 1024;
    static constexpr u32 kGranules = kSize / 8;
    static constexpr u32 kOutside = 4096;

private:
    struct Block {
        u32 offset;
        u32 size;
        bool live;
        bool freed;
    };
    struct Mapping {
        u8* at;
        u32 count;
        std::vector<size_t> pages;  // their offsets
    };
    struct Name {
        const u8* at;
        size_t size;
        const char* name;
    };
    u32 find(size_t offset) const;
    // In the area; beyond it for foreign memory.
    size_t offset_of(const void* at) const {
        const size_t offset = static_cast<size_t>(static_cast<const u8*>(at) - base_);
        return offset < kSize || mappings_.empty() ? offset : offset_in_mapping(at);
    }
    size_t offset_in_mapping(const void* at) const;

    int file_;
    u8* base_;
    std::vector<Mapping> mappings_;
    size_t used_ = 0;
    size_t live_ = 0;
    std::vector<u8> alive_;
    std::vector<Block> blocks_;  // by offset
    std::vector<Name> names_;
};

// ── Fibers ────────────────────────────────────────────────────────────────────────────────────

enum class Wait : u8 { None, Lock, Readers, Callbacks, Queue, Work };

struct Cpu {
    u32 number = 0;
    bool finished = false;
    bool spinning = false;  // until another CPU writes
    bool stalled = false;   // spun, and nobody else can run: no choice until this CPU writes
    Wait wait = Wait::None;
    const void* wait_on = nullptr;
    u64 ticket = 0;
    u32 decisions = 0;
    u32 nmi = 0;
    u32 irq_off = 0;
    u32 readers = 0;    // depth of read sections
    u64 reader_id = 0;  // of the outermost one
    Fiber fiber;
};

enum class Op : u8 {
    Load,
    Store,
    Rmw,
    CompareExchange,
    Fence,
    Spin,
    Lock,
    TryLock,
    Unlock,
    ReadLock,
    ReadUnlock,
    CallRcu,
    Callback,
    Synchronize,
    Barrier,
    Alloc,
    Free,
    Irq,
    Wake,
    Sleep,
    NmiBegin,
    NmiEnd,
    Note,
    Switch,
    End,
};

struct Event {
    u32 cpu;
    u32 decision;
    bool nmi;
    Op op;
    Order order;
    const void* at;
    u32 size;
    u64 value;
    u64 before;
    Site site;
    const char* text;
};

std::string to_text(const Site& site);  // "kernel/bpf/hashtab.cc:27"

class Engine {
public:
    // One execution. What it found is in finding(), what(), deviations().
    void run(const Options& options, const Maker& maker, Strategy& strategy, bool trace);

    // ── For the hooks ──
    bool running() const { return running_; }
    bool relaxed() const { return running_ && options_->relaxed; }
    // Before an operation: others may run now. location null: nothing but this CPU's own state is touched.
    void step(const void* location, bool write);
    // Which of `count` values a load sees, 0 being the newest.
    u32 choose_stale(u32 count);
    bool choose_failed_allocation();
    // This CPU cannot go on until what it waits for has come.
    void block(Wait wait, const void* on, u64 ticket = 0);
    void spin();
    void wrote();  // what other CPUs spin for may have come
    [[noreturn]] void stop(Finding finding, const std::string& what);
    void found(Finding finding, const std::string& what);  // the first one counts
    void trace(Op op, const void* at, u32 size, u64 value, u64 before, Order order, Site site,
               const char* text = nullptr);
    void check_access(const void* at, u32 size, const char* what);

    Cpu& current() { return *current_; }
    Cpu& cpu(u32 n) { return cpus_[n]; }
    u32 cpus() const { return options_ ? options_->cpus + 1 : 1; }  // with RCU's own
    void mark_access(const void* location, bool write);
    bool is_shared(const void* location) const {
        return all_shared_ || shared_[heap.granule(location)];
    }

    // ── For the search ──
    // Offers every choice there is: for strategies that know what they want.
    void share_all(bool all) { all_shared_ = all; }
    void forget_shared();
    bool publish_shared();  // what is known to be shared by now; true: more than before
    Finding finding() const { return finding_; }
    const std::string& what() const { return what_; }
    const std::vector<Deviation>& deviations() const { return deviations_; }
    const std::vector<Event>& events() const { return events_; }
    std::string trace_text() const;
    u64 steps() const { return steps_; }
    u32 used(Cost cost) const { return used_[static_cast<u32>(cost)]; }
    u32 used_in_all() const { return used_in_all_; }
    const Options& options() const { return *options_; }

    Heap heap;

private:
    static void cpu_main(void* argument);
    static void rcu_main(void* argument);
    bool enabled(const Cpu& cpu) const;
    bool add_enabled(Point* point, Cost cost, bool spinners);
    const Option& decide(Point* point);
    Cpu* next_spinner();
    void count_step();
    void run_nmi();
    void leave();  // the current CPU has ended or waits
    void go_to(Cpu& next);
    void parallel_part();
    bool all_ended() const;
    std::string stuck_text() const;

    const Options* options_ = nullptr;
    Strategy* strategy_ = nullptr;
    Scenario* scenario_ = nullptr;
    bool running_ = false;
    bool tracing_ = false;
    Cpu cpus_[kMaxCpus + 1];
    Cpu main_;  // setup() and finish()
    Cpu* current_ = &main_;
    u64 steps_ = 0;
    u64 stalled_steps_ = 0;
    u32 futile_ = 0;  // spins since the last write
    u32 used_[static_cast<u32>(Cost::kKinds)] = {};
    u32 used_in_all_ = 0;
    Finding finding_ = Finding::None;
    std::string what_;
    std::vector<Deviation> deviations_;
    std::vector<Event> events_;
    jmp_buf plain_end_;

    // By granule: contexts that read (low half) and wrote (high half) it; whether it counts as shared.
    std::vector<u32> touched_;
    std::vector<u8> shared_;
    bool all_shared_ = false;
    std::vector<u32> fresh_;  // shared, but not in shared_ yet
};

extern Engine engine;

// rcu.cc
void rcu_reset();
bool rcu_work_is_ready();
bool rcu_readers_gone(u64 ticket);
bool rcu_drained(u64 ticket);
void rcu_run_one();
void rcu_run_all();
// services.cc
void services_reset();

}  // namespace barebpf::explore
