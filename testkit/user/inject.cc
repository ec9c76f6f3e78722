// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose in a process (testkit/inject.h): a thread that sends signals. There are no breakpoints here.
#include "testkit/inject.h"

#include <stdlib.h>
#include <time.h>

#include <random>
#include <thread>

#include "testkit/user/user.h"

namespace barebpf::inject {

namespace {

using host::Order;

struct State {
    Storm::Options options;
    Handler handler;
    void* argument;
    host::Atomic<u32> stop{};
    host::Atomic<u64> served{};
    std::thread thread;
};

// Signals may still be on their way when a storm ends, so what they look at outlives it.
host::Atomic<State*> current;
host::Atomic<u32> running;

void serve(void*) {
    // Both sequentially consistent, as in ~Storm(): either we see that it is over, or it sees us running.
    running.fetch_add(1, Order::SeqCst);
    if (State* state = current.load(Order::SeqCst)) {
        state->handler(state->argument);
        state->served.fetch_add(1, Order::Relaxed);
    }
    running.fetch_sub(1, Order::Release);  // pairs with the load in ~Storm()
}

void blow(State* state) {
    std::mt19937_64 random(host::random_u64());
    const u64 gap = 2 * state->options.mean_gap_ns / state->options.cpu_count;
    while (!state->stop.load(Order::Relaxed)) {
        const timespec pause{0, static_cast<long>(random() % (gap + 1))};
        nanosleep(&pause, nullptr);
        const u32 cpu = static_cast<u32>(random() % state->options.cpu_count);
        if (state->options.kind == Kind::Irq) {
            machine::send_irq(cpu, serve, nullptr);
        } else {
            machine::send_nmi(cpu, serve, nullptr);
        }
    }
}

}  // namespace

Storm::Storm(const Options& options, Handler handler, void* argument) {
    auto* state = new State;
    state->options = options;
    state->handler = handler;
    state->argument = argument;
    if (current.exchange(state, Order::SeqCst)) host::panic("two storms at once");
    state->thread = std::thread(blow, state);
    state_ = state;
}

Storm::~Storm() {
    auto* state = static_cast<State*>(state_);
    state->stop.store(1, Order::Relaxed);
    state->thread.join();
    current.store(nullptr, Order::SeqCst);
    while (running.load(Order::SeqCst)) std::this_thread::yield();
    delete state;
}

u64 Storm::served() const {
    return static_cast<State*>(state_)->served.load(Order::Relaxed);
}

bool Trace::record(Where, Handler, void*) {
    count_ = 0;
    return false;
}

void Trace::add(u64) {}

Breakpoint::Breakpoint(u64, u32, Handler, void*) : slot_(nullptr) {
    host::panic("there are no breakpoints in a process: ask Trace::record() first");
}

Breakpoint::~Breakpoint() = default;

bool Breakpoint::hit() const {
    return false;
}

}  // namespace barebpf::inject
