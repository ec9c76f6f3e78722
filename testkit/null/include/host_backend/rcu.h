// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: read-copy-update.
#pragma once

namespace barebpf::backend {

struct RcuHead {
    RcuHead* next;
    void (*callback)(RcuHead*);
};

}  // namespace barebpf::backend

extern "C" {
void host_rcu_read_lock();
void host_rcu_read_unlock();
bool host_rcu_read_held();
void host_rcu_call(barebpf::backend::RcuHead* head, void (*callback)(barebpf::backend::RcuHead*));
void host_rcu_call_process(barebpf::backend::RcuHead* head,
                           void (*callback)(barebpf::backend::RcuHead*));
void host_rcu_synchronize();
void host_rcu_barrier();
}

namespace barebpf::backend {

struct Rcu {
    class ReadGuard {
    public:
        ReadGuard() { host_rcu_read_lock(); }
        ~ReadGuard() { host_rcu_read_unlock(); }
        ReadGuard(const ReadGuard&) = delete;
        ReadGuard& operator=(const ReadGuard&) = delete;
    };

    static void call(RcuHead* head, void (*callback)(RcuHead*)) { host_rcu_call(head, callback); }
    static void call_process(RcuHead* head, void (*callback)(RcuHead*)) {
        host_rcu_call_process(head, callback);
    }
    static void synchronize() { host_rcu_synchronize(); }
    static void barrier() { host_rcu_barrier(); }
    static bool read_held() { return host_rcu_read_held(); }
};

}  // namespace barebpf::backend
