// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Grace periods of the explorer: exact. A callback waits for just those read sections that had begun before its
// call and not ended; the explorer decides how long after that it runs.
#include <host_backend/rcu.h>

#include "testkit/explore/memory_model.h"

namespace barebpf::explore {

namespace {

struct Pending {
    backend::RcuHead* head;
    void (*callback)(backend::RcuHead*);
    u64 number;
    u64 readers[kMaxCpus + 1];  // the section that each CPU was in; 0: none
    bool may_sleep;
};

std::vector<Pending> pending;
u64 next_number = 1;
u64 running_number = 0;  // of the callback that runs; 0: none
u64 next_reader = 1;
// Stand for the word that begins of sections and calls agree on, and for what ends of sections leave behind.
u8 sections_word[8];
u8 ended_word[8];

bool is_ready(const Pending& callback) {
    for (u32 n = 0; n < engine.cpus(); ++n) {
        const Cpu& cpu = engine.cpu(n);
        if (callback.readers[n] && cpu.readers && cpu.reader_id == callback.readers[n])
            return false;
    }
    return true;
}

void call(backend::RcuHead* head, void (*callback)(backend::RcuHead*), bool may_sleep) {
    engine.step(sections_word, true);
    engine.trace(Op::CallRcu, head, sizeof *head, 0, 0, Order::AcqRel, {});
    if (engine.relaxed()) memory_model.release(sections_word);
    engine.check_access(head, sizeof *head, "call_rcu()");
    for (const Pending& other : pending) {
        if (other.head == head)
            engine.stop(Finding::Contract, "call_rcu() of what is queued already");
    }
    Pending entry{head, callback, next_number++, {}, may_sleep};
    for (u32 n = 0; engine.running() && n < engine.cpus(); ++n) {
        if (engine.cpu(n).readers) entry.readers[n] = engine.cpu(n).reader_id;
    }
    pending.push_back(entry);
}

void run(size_t which) {
    const Pending callback = pending[which];
    pending.erase(pending.begin() + static_cast<ptrdiff_t>(which));
    running_number = callback.number;
    engine.trace(Op::Callback, callback.head, sizeof *callback.head, 0, 0, Order::AcqRel, {});
    engine.check_access(callback.head, sizeof *callback.head, "a callback");
    if (engine.relaxed()) {
        memory_model.acquire(sections_word);
        memory_model.acquire(ended_word);
    }
    Cpu& me = engine.current();
    me.irq_off = !callback.may_sleep;
    callback.callback(callback.head);
    me.irq_off = 0;
    running_number = 0;
}

void expect_may_wait(const char* what) {
    const Cpu& me = engine.current();
    if (me.irq_off || me.readers || me.nmi)
        engine.stop(Finding::Contract, std::string(what) + " where it may not wait");
}

}  // namespace

void rcu_reset() {
    pending.clear();
    next_number = next_reader = 1;
    running_number = 0;
}

bool rcu_work_is_ready() {
    for (const Pending& callback : pending) {
        if (is_ready(callback)) return true;
    }
    return false;
}

bool rcu_readers_gone(u64 ticket) {
    for (u32 n = 0; n < engine.cpus(); ++n) {
        if (engine.cpu(n).readers && engine.cpu(n).reader_id < ticket) return false;
    }
    return true;
}

bool rcu_drained(u64 ticket) {
    if (running_number && running_number < ticket) return false;
    for (const Pending& callback : pending) {
        if (callback.number < ticket) return false;
    }
    return true;
}

void rcu_run_one() {
    for (size_t i = 0; i < pending.size(); ++i) {
        if (is_ready(pending[i])) return run(i);
    }
}

// Where nobody reads any more.
void rcu_run_all() {
    while (!pending.empty()) run(0);
}

}  // namespace barebpf::explore

using namespace barebpf;
using namespace barebpf::explore;

extern "C" {

void host_rcu_read_lock() {
    engine.step(sections_word, false);
    explore::Cpu& me = engine.current();
    if (me.readers++) return;
    me.reader_id = next_reader++;
    if (engine.relaxed()) memory_model.acquire(sections_word);
    engine.trace(Op::ReadLock, nullptr, 0, 0, 0, Order::Acquire, {});
}
void host_rcu_read_unlock() {
    engine.step(sections_word, false);
    explore::Cpu& me = engine.current();
    if (--me.readers) return;
    if (engine.relaxed()) memory_model.release(ended_word);
    engine.trace(Op::ReadUnlock, nullptr, 0, 0, 0, Order::Release, {});
}
bool host_rcu_read_held() {
    return engine.current().readers != 0;
}
void host_rcu_call(backend::RcuHead* head, void (*callback)(backend::RcuHead*)) {
    explore::call(head, callback, false);
}
void host_rcu_call_process(backend::RcuHead* head, void (*callback)(backend::RcuHead*)) {
    explore::call(head, callback, true);
}
void host_rcu_synchronize() {
    explore::expect_may_wait("synchronize_rcu()");
    engine.step(sections_word, true);
    engine.trace(Op::Synchronize, nullptr, 0, 0, 0, Order::SeqCst, {});
    if (engine.relaxed()) memory_model.release(sections_word);
    const u64 ticket = next_reader;
    while (engine.running() && !rcu_readers_gone(ticket))
        engine.block(Wait::Readers, nullptr, ticket);
    if (engine.relaxed()) memory_model.acquire(ended_word);
}
void host_rcu_barrier() {
    explore::expect_may_wait("rcu_barrier()");
    if (!engine.running()) return rcu_run_all();
    engine.step(sections_word, true);
    engine.trace(Op::Barrier, nullptr, 0, 0, 0, Order::SeqCst, {});
    const u64 ticket = next_number;
    while (!rcu_drained(ticket)) engine.block(Wait::Callbacks, nullptr, ticket);
    if (engine.relaxed()) memory_model.acquire(ended_word);
}

}  // extern "C"
