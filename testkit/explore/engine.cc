// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/explore/engine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "testkit/explore/asan.h"
#include "testkit/explore/memory_model.h"

namespace barebpf::explore {

Engine engine;

namespace {
constexpr u32 kStart = kMaxCpus + 1;  // who decides where to begin
// Spins of all together without a write, none of them in an NMI, after which nobody is expected to get further. More
// than any loop that spins a limited number of times.
constexpr u32 kFutile = 1000;
}  // namespace

// ── Choices ───────────────────────────────────────────────────────────────────────────────────

const Option& Engine::decide(Point* point) {
    const u32 picked = point->count > 1 ? strategy_->pick(*point) : 0;
    const Option& option = point->options[picked];
    if (picked == 0) return option;
    deviations_.push_back({point->fiber, point->at, option.act, option.value});
    ++used_[static_cast<u32>(option.cost)];
    if (option.cost != Cost::Free) ++used_in_all_;
    return option;
}

bool Engine::enabled(const Cpu& cpu) const {
    if (cpu.finished) return false;
    switch (cpu.wait) {
        case Wait::None:
            return true;
        case Wait::Lock:
            return *static_cast<const u32*>(cpu.wait_on) == 0;
        case Wait::Readers:
            return rcu_readers_gone(cpu.ticket);
        case Wait::Callbacks:
            return rcu_drained(cpu.ticket);
        case Wait::Queue:
            return *static_cast<const u64*>(cpu.wait_on) != cpu.ticket;
        case Wait::Work:
            return rcu_work_is_ready();
    }
    return false;
}

// Who else may run, beginning with the next number; a CPU that spins only when asked for.
bool Engine::add_enabled(Point* point, Cost cost, bool spinners) {
    const u32 count = cpus();
    for (u32 i = 1; i <= count; ++i) {
        Cpu& other = cpus_[(current_->number + i) % count];
        if (&other == current_ && !spinners) continue;
        if (other.spinning == spinners && enabled(other))
            point->add(Act::Switch, cost, other.number);
    }
    return point->count != 0;
}

// Bounded waits of an NMI that nobody can end are long, and all the same.
void Engine::count_step() {
    u64& steps = current_->stalled ? stalled_steps_ : steps_;
    const u64 limit = options_->max_steps * (current_->stalled ? 100u : 1u);
    if (++steps > limit) stop(Finding::Livelock, "no end within max_steps");
}

void Engine::step(const void* location, bool write) {
    if (!running_) return;
    Cpu& me = *current_;
    count_step();
    const bool shared = location && is_shared(location);
    const bool nmi = options_->nmis && me.nmi == 0 && me.number < options_->cpus;
    for (;;) {
        const u32 decision = me.decisions++;
        if ((location && !shared) || me.stalled) break;
        Point point(me.number, decision);
        point.add(Act::Go, Cost::Free, 0);
        if (shared) add_enabled(&point, Cost::Preemption, false);
        if (nmi) point.add(Act::Nmi, Cost::Nmi, 0);
        const Option option = decide(&point);
        if (option.act == Act::Switch) go_to(cpus_[option.value]);
        if (option.act != Act::Nmi) break;
        run_nmi();  // and once more: another CPU may come between it and the step
    }
    if (location) mark_access(location, write);
}

u32 Engine::choose_stale(u32 count) {
    if (count < 2) return 0;
    Point point(current_->number, current_->decisions - 1);
    point.add(Act::Go, Cost::Free, 0);
    for (u32 i = 1; i < count; ++i) point.add(Act::Stale, Cost::Stale, i);
    return decide(&point).value;
}

bool Engine::choose_failed_allocation() {
    if (!running_ || !options_->failed_allocations) return false;
    Point point(current_->number, current_->decisions - 1);
    point.add(Act::Go, Cost::Free, 0);
    point.add(Act::FailAllocation, Cost::FailAllocation, 0);
    return decide(&point).act == Act::FailAllocation;
}

// ── Who runs ──────────────────────────────────────────────────────────────────────────────────

void Engine::go_to(Cpu& next) {
    Cpu& from = *current_;
    current_ = &next;
    from.fiber.switch_to(next.fiber);
}

bool Engine::all_ended() const {
    for (u32 n = 0; n < options_->cpus; ++n) {
        if (!cpus_[n].finished) return false;
    }
    return cpus_[options_->cpus].wait == Wait::Work;  // not in the middle of a callback
}

void Engine::leave() {
    if (all_ended()) go_to(main_);
    Point point(current_->number, current_->decisions++);
    if (!add_enabled(&point, Cost::Free, false)) add_enabled(&point, Cost::Free, true);
    if (point.count == 0) stop(Finding::Deadlock, stuck_text());
    Cpu& next = cpus_[decide(&point).value];
    if (&next != current_) go_to(next);
}

void Engine::block(Wait wait, const void* on, u64 ticket) {
    if (!running_) stop(Finding::Contract, "waiting where nobody else runs");
    Cpu& me = *current_;
    me.wait = wait;
    me.wait_on = on;
    me.ticket = ticket;
    leave();
    me.wait = Wait::None;
}

void Engine::spin() {
    if (!running_) return;
    Cpu& me = *current_;
    count_step();
    me.spinning = true;
    Cpu* next = next_spinner();
    me.stalled = next == &me;
    if (next && !me.nmi && ++futile_ > kFutile) {
        stop(Finding::Livelock, "everybody who can run waits for what nobody will do");
    }
    if (!next) {
        leave();
    } else if (next != &me) {
        go_to(*next);
    }
    me.spinning = false;
}

// Where all who can run spin, nothing has been written since each of them looked. Nobody gets further but an NMI, which
// gives up in the end, so the order does not matter: it goes first, else they take turns. Null: somebody does not spin.
Cpu* Engine::next_spinner() {
    Cpu* next = current_->nmi ? current_ : nullptr;
    const u32 count = cpus();
    for (u32 i = 1; i <= count; ++i) {
        Cpu& other = cpus_[(current_->number + i) % count];
        if (!enabled(other)) continue;
        if (!other.spinning) return nullptr;
        if (!next || (other.nmi && !next->nmi)) next = &other;
    }
    return next;
}

void Engine::wrote() {
    if (!running_) return;
    futile_ = 0;
    current_->stalled = false;
    for (u32 n = 0; n < cpus(); ++n) {
        if (&cpus_[n] != current_) cpus_[n].spinning = false;
    }
}

void Engine::run_nmi() {
    Cpu& me = *current_;
    ++me.nmi;
    trace(Op::NmiBegin, nullptr, 0, 0, 0, Order::Relaxed, {});
    scenario_->nmi(me.number);
    trace(Op::NmiEnd, nullptr, 0, 0, 0, Order::Relaxed, {});
    --me.nmi;
    me.stalled = false;
}

std::string Engine::stuck_text() const {
    std::string text = "nobody can go on:";
    for (u32 n = 0; n < options_->cpus; ++n) {
        const Cpu& cpu = cpus_[n];
        if (cpu.finished) continue;
        text += " CPU " + std::to_string(n);
        switch (cpu.wait) {
            case Wait::Lock:
                text += " waits for lock " + heap.describe(cpu.wait_on) + " of CPU " +
                        std::to_string(*static_cast<const u32*>(cpu.wait_on) - 1) + ";";
                break;
            case Wait::Readers:
                text += " waits for readers;";
                break;
            case Wait::Callbacks:
                text += " waits for callbacks;";
                break;
            case Wait::Queue:
                text += " sleeps;";
                break;
            default:
                text += " is stuck;";
        }
    }
    return text;
}

// ── Findings ──────────────────────────────────────────────────────────────────────────────────

void Engine::found(Finding finding, const std::string& what) {
    if (finding_ != Finding::None) return;
    finding_ = finding;
    what_ = what;
    if (running_) {
        what_ += " (CPU " + std::to_string(current_->number) + (current_->nmi ? ", NMI)" : ")");
    }
}

void Engine::stop(Finding finding, const std::string& what) {
    found(finding, what);
    if (!running_) longjmp(plain_end_, 1);
    go_to(main_);
    abort();
}

void Engine::check_access(const void* at, u32 size, const char* what) {
    if (heap.usable(at, size)) return;
    stop(Finding::Memory,
         std::string(what) + " of memory that is not in use: " + heap.describe(at));
}

// ── Which memory several contexts use ─────────────────────────────────────────────────────────

void Engine::forget_shared() {
    touched_.assign(Heap::kGranules + Heap::kOutside, 0);
    shared_.assign(Heap::kGranules + Heap::kOutside, 0);
    fresh_.clear();
}

bool Engine::publish_shared() {
    const bool more = !fresh_.empty();
    for (const u32 granule : fresh_) shared_[granule] = 1;
    fresh_.clear();
    return more;
}

void Engine::mark_access(const void* location, bool write) {
    const u32 granule = heap.granule(location);
    if (shared_[granule]) return;
    const u32 context = 1u << (current_->number + (current_->nmi ? 8 : 0));
    u32& touched = touched_[granule];
    const u32 old = touched;
    touched |= context | (write ? context << 16 : 0);
    if (touched == old) return;
    const u32 all = (touched | touched >> 16) & 0xffff;
    if (touched >> 16 && (all & (all - 1))) fresh_.push_back(granule);
}

// ── One execution ─────────────────────────────────────────────────────────────────────────────

void Engine::cpu_main(void* argument) {
    Cpu& me = *static_cast<Cpu*>(argument);
    engine.scenario_->cpu(me.number);
    engine.trace(Op::End, nullptr, 0, 0, 0, Order::Relaxed, {});
    if (me.irq_off) engine.stop(Finding::Contract, "ended with interrupts off");
    if (me.readers) engine.stop(Finding::Contract, "ended in a read section");
    me.finished = true;
    engine.leave();
    abort();
}

void Engine::rcu_main(void*) {
    engine.current_->wait = Wait::None;
    for (;;) {
        while (!rcu_work_is_ready()) engine.block(Wait::Work, nullptr);
        rcu_run_one();
    }
}

void Engine::parallel_part() {
    const u32 rcu = options_->cpus;
    for (u32 n = 0; n <= rcu; ++n) {
        Cpu& cpu = cpus_[n];
        cpu.number = n;
        cpu.finished = cpu.spinning = cpu.stalled = false;
        cpu.wait = n == rcu ? Wait::Work : Wait::None;
        cpu.decisions = cpu.nmi = cpu.irq_off = cpu.readers = 0;
        cpu.reader_id = 0;
        cpu.fiber.start(n == rcu ? rcu_main : cpu_main, &cpu);
    }
    Point point(kStart, 0);
    for (u32 n = 0; n < rcu; ++n) point.add(Act::Switch, Cost::Free, n);
    current_ = &cpus_[decide(&point).value];
    running_ = true;
    main_.fiber.switch_to(current_->fiber);
    running_ = false;
    current_ = &main_;
}

namespace {

// A plain access to memory that is not there. AddressSanitizer sees more, and ends the process: it is told which
// execution it was.
void catch_bad_accesses() {
#if defined(EXPLORE_ASAN)
    __sanitizer_set_death_callback([] {
        fprintf(stderr, "explorer: in BAREBPF_EXPLORE='%s:%s'\n", engine.options().name,
                to_text(engine.deviations()).c_str());
    });
#else
    struct sigaction action = {};
    action.sa_flags = SA_NODEFER | SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
        engine.stop(Finding::Memory, "an access to " + engine.heap.describe(info->si_addr));
    };
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
#endif
}

}  // namespace

// Runs a part that has no steps; it may end early, by stop().
#define PLAIN_PART(...) \
    if (setjmp(plain_end_) == 0) __VA_ARGS__

void Engine::run(const Options& options, const Maker& maker, Strategy& strategy, bool trace) {
    options_ = &options;
    strategy_ = &strategy;
    tracing_ = trace;
    heap.reset();
    rcu_reset();
    services_reset();
    memory_model.reset();
    finding_ = Finding::None;
    what_.clear();
    deviations_.clear();
    events_.clear();
    steps_ = stalled_steps_ = used_in_all_ = futile_ = 0;
    for (u32& used : used_) used = 0;
    main_.irq_off = main_.readers = 0;
    strategy.begin();
    catch_bad_accesses();

    void* where = heap.alloc(maker.size, 64);
    if (!where) abort();
    heap.set_name(where, maker.size, "scenario");
    scenario_ = maker.make(where, maker.argument);
    PLAIN_PART({ scenario_->setup(); })
    if (finding_ == Finding::None) parallel_part();
    if (finding_ == Finding::None) {
        PLAIN_PART({
            rcu_run_all();
            scenario_->finish();
            rcu_run_all();
        })
    }
    PLAIN_PART({ scenario_->~Scenario(); })
    heap.free(where, maker.size);
    if (finding_ == Finding::None && heap.live_blocks()) {
        found(Finding::Leak, "memory is left: " + heap.first_live());
    }
}

}  // namespace barebpf::explore
