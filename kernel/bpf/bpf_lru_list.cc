// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/bpf_lru_list.h"

#include "kernel/bpf/free_in_steps.h"

namespace barebpf {

using host::Adopt;
using host::AllocContext;
using host::Guard;
using host::Order;

// ── Making ────────────────────────────────────────────────────────────────────────────────────

namespace {
u32 choose_batch(u32 nodes, u32 cpus) {
    const u32 share = nodes / cpus / 4;
    return share < 1 ? 1 : share > BpfLruList::kLargestBatch ? BpfLruList::kLargestBatch : share;
}

template <class T>
bool make_array(T** array, u32 count, host::MemoryOwner& owner) {
    *array = static_cast<T*>(host::alloc(size_t{count} * sizeof(T), AllocContext::MaySleep, owner));
    return *array != nullptr;
}

template <class T>
void free_array(T** array, u32 count, host::MemoryOwner& owner) {
    free_in_steps(*array, size_t{count} * sizeof(T), owner);
    *array = nullptr;
}
}  // namespace

bool BpfLruList::create(u32 nodes, u32 elements, Flavour flavour, host::MemoryOwner& owner) {
    cpus_ = host::possible_cpus();
    node_count_ = nodes + 1;
    element_count_ = elements + 1;
    owner_ = &owner;
    const u32 lists = flavour == Flavour::PerCpu ? cpus_ : 1;
    if (!make_array(&nodes_, node_count_, owner) || !make_array(&node_of_, element_count_, owner) ||
        !make_array(&referenced_, element_count_, owner) ||
        !lists_.allocate(lists, AllocContext::MaySleep, owner) || !locals_.create(owner)) {
        destroy();
        return false;
    }
    batch_ = flavour == Flavour::PerCpu ? kPerCpuBatch : choose_batch(nodes, cpus_);
    scans_ = flavour == Flavour::PerCpu   ? kPerCpuBatch
             : batch_ * 4 < kLargestBatch ? batch_ * 4
                                          : kLargestBatch;
    for (u32 i = 0, node = 1; i < lists; ++i) {
        const u32 share = nodes / lists;
        populate(lists_[i], i, node, share);
        node += share;
    }
    return true;
}

// Nodes [first, first + count). Nobody else knows the list.
void BpfLruList::populate(List& list, u32 number, u32 first, u32 count) NO_THREAD_SAFETY_ANALYSIS {
    list.number = number;
    for (u32 node = first; node < first + count; ++node) {
        nodes_[node].element.store(node, Order::Relaxed);
        node_of_[node].store(node, Order::Relaxed);
        push_oldest(list.free, node, where_of(kFree, number));
    }
    list.free_count.store(count, Order::Relaxed);
}

void BpfLruList::destroy() {
    if (!owner_) return;
    locals_.destroy();
    lists_.reset();
    free_array(&referenced_, element_count_, *owner_);
    free_array(&node_of_, element_count_, *owner_);
    free_array(&nodes_, node_count_, *owner_);
}

// ── Chains ────────────────────────────────────────────────────────────────────────────────────

void BpfLruList::push_newest(Chain& chain, u32 node, u32 where) {
    Node& at = nodes_[node];
    at.where.store(where, Order::Relaxed);
    at.previous = kNone;
    at.next = chain.newest;
    (chain.newest ? nodes_[chain.newest].previous : chain.oldest) = node;
    chain.newest = node;
    ++chain.count;
}

void BpfLruList::push_oldest(Chain& chain, u32 node, u32 where) {
    Node& at = nodes_[node];
    at.where.store(where, Order::Relaxed);
    at.next = kNone;
    at.previous = chain.oldest;
    (chain.oldest ? nodes_[chain.oldest].next : chain.newest) = node;
    chain.oldest = node;
    ++chain.count;
}

void BpfLruList::remove(Chain& chain, u32 node) {
    const Node& at = nodes_[node];
    (at.next ? nodes_[at.next].previous : chain.oldest) = at.previous;
    (at.previous ? nodes_[at.previous].next : chain.newest) = at.next;
    --chain.count;
}

void BpfLruList::remove_from_list(List& list, u32 node, Kind kind) {
    if (kind == kActive) return remove(list.active, node);
    if (kind == kInactive) {
        if (list.hand == node) list.hand = nodes_[node].previous;
        return remove(list.inactive, node);
    }
    remove(list.free, node);
    list.free_count.store(list.free.count, Order::Relaxed);
}

void BpfLruList::make_free(List& list, u32 node) {
    push_newest(list.free, node, where_of(kFree, list.number));
    list.free_count.store(list.free.count, Order::Relaxed);
}

// ── Rotation ──────────────────────────────────────────────────────────────────────────────────

// While active is the longer one, its oldest go to inactive, where they have one more chance; those
// referenced since they came begin again.
void BpfLruList::rotate_active(List& list) {
    for (u32 left = scans_; left && list.active.oldest; --left) {
        const u32 node = list.active.oldest;
        remove(list.active, node);
        if (referenced(node)) {
            untouch(element(node));
            push_newest(list.active, node, where_of(kActive, list.number));
        } else {
            push_newest(list.inactive, node, where_of(kInactive, list.number));
        }
    }
}

// A batch of inactive from the hand on: what was referenced is promoted before it grows old.
void BpfLruList::rotate_inactive(List& list) {
    if (!list.hand) list.hand = list.inactive.oldest;
    for (u32 left = scans_; left && list.hand; --left) {
        const u32 node = list.hand;
        list.hand = nodes_[node].previous;
        if (!referenced(node)) continue;
        untouch(element(node));
        remove(list.inactive, node);
        push_newest(list.active, node, where_of(kActive, list.number));
    }
}

// ── Filling up ────────────────────────────────────────────────────────────────────────────────

void BpfLruList::flush_pending(Local& local, List& list) {
    while (const u32 node = local.pending.oldest) {
        remove(local.pending, node);
        if (referenced(node)) {
            untouch(element(node));
            push_newest(list.active, node, where_of(kActive, list.number));
        } else {
            push_newest(list.inactive, node, where_of(kInactive, list.number));
        }
    }
}

// The less there is, the less each CPU takes, so that little lies idle when the rest is used up.
void BpfLruList::take_free(Local& local, u32 cpu, List& list) {
    const u32 share = lists_.size() == 1 ? list.free.count / (4 * cpus_) : batch_;
    for (u32 left = share < 1 ? 1 : share > batch_ ? batch_ : share; left; --left) {
        const u32 node = list.free.newest;
        if (!node) break;
        remove(list.free, node);
        push_newest(local.free, node, where_of(kLocalFree, cpu));
    }
    list.free_count.store(list.free.count, Order::Relaxed);
}

void BpfLruList::choose_victims(Local& local, u32 cpu, List& list) {
    for (u32 left = scans_; left && local.victims.count < batch_; --left) {
        const u32 node = list.inactive.oldest;
        if (!node) break;
        remove_from_list(list, node, kInactive);
        if (referenced(node)) {
            untouch(element(node));
            push_newest(list.active, node, where_of(kActive, list.number));
        } else {
            push_newest(local.victims, node, where_of(kVictim, cpu));
        }
    }
    if (local.victims.oldest) return;
    const Kind kind = list.inactive.oldest ? kInactive : kActive;
    const u32 node = kind == kInactive ? list.inactive.oldest : list.active.oldest;
    if (!node) return;
    untouch(element(node));
    remove_from_list(list, node, kind);
    push_newest(local.victims, node, where_of(kVictim, cpu));
}

// False: nothing, or the list cannot be had in this context.
bool BpfLruList::fill_up(Local& local, u32 cpu) {
    List& list = list_of(cpu);
    host::IrqState irq;
    if (!list.lock.acquire_in_any_context(&irq)) return false;
    Guard<ListLock, Adopt> guard(list.lock, irq);
    flush_pending(local, list);
    if (list.inactive.count < list.active.count) rotate_active(list);
    rotate_inactive(list);
    take_free(local, cpu, list);
    if (!local.free.newest) choose_victims(local, cpu, list);

    if (local.idle.load(Order::Relaxed)) local.idle.store(0, Order::Relaxed);
    u32 visit = local.next_visit + 1 < cpus_ ? local.next_visit + 1 : 0;
    if (lists_.size() != 1) visit = cpu;
    local.next_visit = visit;
    return local.free.newest || local.victims.oldest;
}

void BpfLruList::take_free_only(Local& local, u32 cpu) {
    List& list = list_of(cpu);
    host::IrqState irq;
    if (!list.lock.acquire_in_any_context(&irq)) return;
    Guard<ListLock, Adopt> guard(list.lock, irq);
    take_free(local, cpu, list);
}

void BpfLruList::empty_local(Local& local, List& list) {
    flush_pending(local, list);
    while (const u32 node = local.victims.newest) {
        remove(local.victims, node);
        push_oldest(list.inactive, node, where_of(kInactive, list.number));
    }
    while (const u32 node = local.free.newest) {
        remove(local.free, node);
        make_free(list, node);
    }
}

// By a CPU that has just filled up. That two of them count at once and one step is lost is harmless.
void BpfLruList::visit(u32 cpu) {
    Local& local = *locals_.cpu(cpu);
    const u32 idle = local.idle.load(Order::Relaxed);
    if (idle >= kIdleVisits || host::in_nmi()) return;
    local.idle.store(idle + 1, Order::Relaxed);
    if (idle + 1 < kIdleVisits) return;
    host::IrqState irq, inner;
    if (!local.lock.acquire_in_any_context(&irq)) return;
    Guard<LocalLock, Adopt> guard(local.lock, irq);
    List& list = list_of(cpu);
    if (!list.lock.acquire_in_any_context(&inner)) return;
    Guard<ListLock, Adopt> list_guard(list.lock, inner);
    empty_local(local, list);
}

// ── Giving back ───────────────────────────────────────────────────────────────────────────────

void BpfLruList::return_later(u32 node) {
    u32 first = returned_.load(Order::Relaxed);
    do {
        set_place(node, first);
        // Release: what was done to the node; pairs with the acquire in settle_returned().
    } while (!returned_.compare_exchange(first, node, Order::Release, Order::Relaxed));
}

void BpfLruList::settle_returned() {
    if (host::in_nmi()) return;
    u32 node = returned_.exchange(kNone, Order::Acquire);  // pairs with return_later()
    while (node) {
        const u32 next = place(node);
        give_back(node);
        node = next;
    }
}

// False: it has moved before it was locked.
bool BpfLruList::give_back_locally(u32 node, u32 where) {
    Local& local = *locals_.cpu(cpu_of(where));
    host::IrqState irq;
    if (!local.lock.acquire_in_any_context(&irq)) {
        return_later(node);
        return true;
    }
    Guard<LocalLock, Adopt> guard(local.lock, irq);
    if (nodes_[node].where.load(Order::Relaxed) != where) return false;
    remove(kind_of(where) == kVictim ? local.victims : local.pending, node);
    push_newest(local.free, node, where_of(kLocalFree, cpu_of(where)));
    return true;
}

bool BpfLruList::give_back_to_list(u32 node, u32 where) {
    List& list = lists_[cpu_of(where)];
    host::IrqState irq;
    if (!list.lock.acquire_in_any_context(&irq)) {
        return_later(node);
        return true;
    }
    Guard<ListLock, Adopt> guard(list.lock, irq);
    if (nodes_[node].where.load(Order::Relaxed) != where) return false;
    remove_from_list(list, node, kind_of(where));
    make_free(list, node);
    return true;
}

void BpfLruList::give_back(u32 node) {
    for (;;) {
        const u32 where = nodes_[node].where.load(Order::Relaxed);
        const bool in_list = kind_of(where) == kActive || kind_of(where) == kInactive;
        if (in_list ? give_back_to_list(node, where) : give_back_locally(node, where)) return;
    }
}

// ── For tests ─────────────────────────────────────────────────────────────────────────────────

void BpfLruList::count_chain(const Chain& chain, u32 where, u32* total, Census* census) const {
    u32 count = 0;
    u32 previous = kNone;
    for (u32 node = chain.newest; node && count <= node_count_; node = nodes_[node].next) {
        if (nodes_[node].previous != previous) census->sound = false;
        if (nodes_[node].where.load(Order::Relaxed) != where) census->sound = false;
        previous = node;
        ++count;
    }
    if (previous != chain.oldest || count != chain.count) census->sound = false;
    *total += count;
}

BpfLruList::Census BpfLruList::census() const NO_THREAD_SAFETY_ANALYSIS {
    Census census{};
    census.sound = true;
    for (const List& list : lists_) {
        count_chain(list.active, where_of(kActive, list.number), &census.active, &census);
        count_chain(list.inactive, where_of(kInactive, list.number), &census.inactive, &census);
        count_chain(list.free, where_of(kFree, list.number), &census.free, &census);
        if (list.free_count.load(Order::Relaxed) != list.free.count) census.sound = false;
    }
    for (u32 cpu = 0; cpu < cpus_; ++cpu) {
        const Local& local = *locals_.cpu(cpu);
        count_chain(local.pending, where_of(kPending, cpu), &census.pending, &census);
        count_chain(local.victims, where_of(kVictim, cpu), &census.victims, &census);
        count_chain(local.free, where_of(kLocalFree, cpu), &census.local_free, &census);
    }
    for (u32 node = returned_.load(Order::Relaxed); node; node = place(node)) ++census.returned;
    return census;
}

}  // namespace barebpf
