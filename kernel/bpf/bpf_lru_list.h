// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which element of a full map goes next: an approximation of least recently used, after the design
// that Linux published in 2016 (two lists and a reference bit, lists of each CPU in front of them).
//
// Each element in use has a node. Both are named by u32 index (0: none). The pairing is not fixed:
// who replaces an element by another hands its node over, so that an update of an existing key
// touches no list and takes no lock of this file.
//
//     one for the map, or one for each CPU (BPF_F_NO_COMMON_LRU):            newest      oldest
//       active     referenced again, or when they came in                      a ─ b ─ c ─ d
//       inactive   the rest; the oldest is the next to go                      e ─ f ─ g ─ h
//       free       in no table                                                        ^ hand
//
//     for each CPU, in front:
//       pending    what this CPU put in lately     ─┐ flushed in one go when the next two are used
//       victims    chosen to go, still in the table │ up: referenced ones to active, others to
//       free       in no table                     ─┘ inactive; then free nodes or new victims
//
// A victim stays in the table until its node is wanted, and is spared when a look-up has referenced
// it meanwhile: batches cost no capacity. (Where batches are kAheadBatch or more, a CPU that evicts
// keeps one node free ahead of need, so that it does not wait for the victim's cache lines.) What Linux calls shrinking is choosing victims from the
// old end of inactive (a referenced one moves to active instead); where none is without reference,
// the oldest is taken all the same (forced). Rotation: active gives its oldest to inactive while it
// is the longer one, and a hand walks inactive towards the new end and promotes what was referenced.
//
// The batch is clamp(entries / CPUs / 4, 1, 128), 4 for lists of a CPU; a batch of free nodes
// shrinks with what is left of them. A step of a rotation, and the search for victims, look at up to
// four times as many, at most 128 (4 for lists of a CPU). Who fills up visits another CPU in turn: one that has not
// filled up for kIdleVisits visits gives back what it holds.
//
// The reference bit is a byte for each element, set without a lock, written only when it is clear.
//
// Locking: lru_local (one for each CPU) -> lru_list -> the table's bucket lock, taken inside
// Table::evict(). Never two of a class. The innermost is only tried, so a victim whose bucket is
// busy is passed over, and no order of waiting can close a circle. `where` says which lock covers a
// node; it changes only under that lock (and the new one), so it is read, the lock taken, and read
// again. Clang sees a wrong order: each lock is ACQUIRED_BEFORE the next one, and what takes a lock
// EXCLUDES that of any object (&List::lock) and those after it. (testkit/codegen/lock_order_test.py)
//
// NMI: take() that interrupted this CPU's holder of a lock goes to the common list or to another
// CPU's and fails (kNone) when none of them can be had. give_back() cannot fail: the node then
// waits in `returned` for the next take().
#pragma once

#include "kernel/bpf/hash_bucket.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct LruLocalClass {
    static constexpr host::LockClass kClass{"lru_local", 30};
};
struct LruListClass {
    static constexpr host::LockClass kClass{"lru_list", 40};
};
static_assert(host::may_nest<LruLocalClass, LruListClass, HashBucketClass>());

class BpfLruList {
public:
    static constexpr u32 kNone = 0;
    static constexpr u32 kLargestBatch = 128;
    static constexpr u32 kPerCpuBatch = 4;
    static constexpr u32 kAheadBatch = 16;
    static constexpr u32 kIdleVisits = 4;

    enum class Flavour : u8 { Common, PerCpu };

    // Nodes 1..nodes, free; node i has element i. Elements are 1..elements, those above `nodes` are
    // spares without a node. PerCpu: nodes is a multiple of the CPUs. False: no memory.
    // Process context, as destroy().
    [[nodiscard]] bool create(u32 nodes, u32 elements, Flavour flavour, host::MemoryOwner& owner);
    void destroy();

    // A node that is in no table, and now among this CPU's newest. Any context, pinned, no bucket
    // locked. Table:
    //     bool evict(u32 node)      takes node's element out of the table; false: it was not there,
    //                               or its bucket is busy. Under locks of this file.
    //     void prefetch(u32 node)   it may be evicted soon
    template <class Table>
    ALWAYS_INLINE u32 take(const Table& table)
        EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    // Of a node whose element the caller took out of the table, or never put in. Any context,
    // pinned, no bucket locked.
    void give_back(u32 node) EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);

    ALWAYS_INLINE void touch(u32 element) const {
        if (!referenced_[element].load(host::Order::Relaxed)) {
            referenced_[element].store(1, host::Order::Relaxed);
        }
    }
    ALWAYS_INLINE void untouch(u32 element) const {
        referenced_[element].store(0, host::Order::Relaxed);
    }

    ALWAYS_INLINE u32 element(u32 node) const {
        return nodes_[node].element.load(host::Order::Relaxed);
    }
    ALWAYS_INLINE u32 node(u32 element) const {
        return node_of_[element].load(host::Order::Relaxed);
    }
    // `fresh` takes the place of `old`, and counts as referenced. By whoever has their bucket locked.
    ALWAYS_INLINE void hand_over(u32 old, u32 fresh) {
        const u32 its = node(old);
        node_of_[fresh].store(its, host::Order::Relaxed);
        nodes_[its].element.store(fresh, host::Order::Relaxed);
        referenced_[fresh].store(1, host::Order::Relaxed);
    }
    // A word that the table keeps here: where the element is. May be anything while it is in no table.
    ALWAYS_INLINE u32 place(u32 node) const {
        return nodes_[node].place.load(host::Order::Relaxed);
    }
    ALWAYS_INLINE void set_place(u32 node, u32 place) {
        nodes_[node].place.store(place, host::Order::Relaxed);
    }

    u32 batch() const { return batch_; }

    // How many nodes are where, found by walking every list. While nobody else is at work.
    struct Census {
        u32 active, inactive, free, pending, victims, local_free;
        u32 returned;  // of these; they are still where they were
        bool sound;    // links, counts and `where` agree
        u32 total() const { return active + inactive + free + pending + victims + local_free; }
    };
    Census census() const;

private:
    enum Kind : u32 { kFree, kActive, kInactive, kLocalFree, kVictim, kPending, kKinds };

    struct Node {
        u32 next;      // towards the old end; both under the lock that `where` names
        u32 previous;  // towards the new end
        host::Atomic<u32> where;
        host::Atomic<u32> element;
        host::Atomic<u32> place;  // or the link of `returned`
    };
    static constexpr u32 where_of(Kind kind, u32 cpu) { return kind << 8 | cpu; }
    static constexpr Kind kind_of(u32 where) { return static_cast<Kind>(where >> 8); }
    static constexpr u32 cpu_of(u32 where) { return where & 0xff; }

    struct Chain {
        u32 newest, oldest, count;
    };
    using LocalLock = host::SpinLock<LruLocalClass>;
    using ListLock = host::SpinLock<LruListClass>;

    struct Local {
        LocalLock lock ACQUIRED_BEFORE(&List::lock);  // of any list
        host::Atomic<u32> idle;                       // visits by others since this CPU filled up
        Chain free GUARDED_BY(lock);
        Chain victims GUARDED_BY(lock);
        Chain pending GUARDED_BY(lock);
        bool ahead GUARDED_BY(lock);  // a node in `free` was evicted ahead of need
        u32 next_visit GUARDED_BY(lock);
    };
    struct alignas(64) List {
        ListLock lock ACQUIRED_BEFORE(&HashBucket::lock);
        Chain active GUARDED_BY(lock);
        Chain inactive GUARDED_BY(lock);
        Chain free GUARDED_BY(lock);
        u32 hand GUARDED_BY(lock);  // in inactive; 0: at the old end
        u32 number;
        alignas(64) host::Atomic<u32> free_count;  // of `free`, for those without the lock
    };

    // ── bpf_lru_list.cc ──
    void populate(List& list, u32 number, u32 first, u32 count);
    List& list_of(u32 cpu) { return lists_[lists_.size() == 1 ? 0 : cpu]; }
    void push_newest(Chain& chain, u32 node, u32 where);
    void push_oldest(Chain& chain, u32 node, u32 where);
    void remove(Chain& chain, u32 node);
    bool referenced(u32 node) const {
        return referenced_[element(node)].load(host::Order::Relaxed) != 0;
    }

    void rotate_active(List& list) REQUIRES(list.lock);
    void rotate_inactive(List& list) REQUIRES(list.lock);
    void flush_pending(Local& local, List& list) REQUIRES(local.lock, list.lock);
    void take_free(Local& local, u32 cpu, List& list) REQUIRES(local.lock, list.lock);
    void choose_victims(Local& local, u32 cpu, List& list) REQUIRES(local.lock, list.lock);
    bool fill_up(Local& local, u32 cpu) REQUIRES(local.lock)
        EXCLUDES(&List::lock, &HashBucket::lock);
    void take_free_only(Local& local, u32 cpu) REQUIRES(local.lock)
        EXCLUDES(&List::lock, &HashBucket::lock);
    void visit(u32 cpu) EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    void return_later(u32 node);
    void settle_returned() EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    void remove_from_list(List& list, u32 node, Kind kind) REQUIRES(list.lock);
    void make_free(List& list, u32 node) REQUIRES(list.lock);
    bool give_back_locally(u32 node, u32 where)
        EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    bool give_back_to_list(u32 node, u32 where)
        EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    void empty_local(Local& local, List& list) REQUIRES(local.lock, list.lock);
    void count_chain(const Chain& chain, u32 where, u32* total, Census* census) const;

    // ── below ──
    static constexpr u32 kRounds = 4;

    template <class Table>
    u32 take_victim(Local& local, u32 cpu, const Table& table, bool spare) REQUIRES(local.lock)
        EXCLUDES(&HashBucket::lock);
    template <class Table>
    void evict_ahead(Local& local, u32 cpu, const Table& table) REQUIRES(local.lock)
        EXCLUDES(&List::lock, &HashBucket::lock);
    template <class Table>
    u32 take_local(Local& local, u32 cpu, const Table& table, u32* visit) REQUIRES(local.lock)
        EXCLUDES(&List::lock, &HashBucket::lock);
    template <class Table>
    u32 take_pending(Local& local, const Table& table, bool spare) REQUIRES(local.lock)
        EXCLUDES(&HashBucket::lock);
    template <class Table>
    u32 take_from_list(u32 cpu, const Table& table)
        EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);
    template <class Table>
    NOINLINE u32 take_elsewhere(u32 cpu, const Table& table)
        EXCLUDES(&Local::lock, &List::lock, &HashBucket::lock);

    // Arrays from 0, which is not used.
    host::Atomic<u8>* referenced_ = nullptr;  // by element
    Node* nodes_ = nullptr;
    host::Atomic<u32>* node_of_ = nullptr;  // by element
    host::PerCpu<Local> locals_;
    host::Buffer<List> lists_;  // one, or one for each CPU
    u32 batch_ = 0;
    u32 scans_ = 0;
    u32 cpus_ = 0;
    u32 node_count_ = 0;
    u32 element_count_ = 0;
    host::MemoryOwner* owner_ = nullptr;
    host::Atomic<u32> returned_{};  // first of a stack: pushed singly, taken whole
};

// Keeps to the CPU's own lists but for what fill_up() does. The oldest victim first; one that was
// referenced is spared.
template <class Table>
ALWAYS_INLINE u32 BpfLruList::take_victim(Local& local, u32 cpu, const Table& table, bool spare) {
    while (const u32 node = local.victims.oldest) {
        remove(local.victims, node);
        push_newest(local.pending, node, where_of(kPending, cpu));
        if (local.victims.oldest) table.prefetch(local.victims.oldest);
        if (spare && referenced(node)) continue;
        if (LIKELY(table.evict(node))) return node;
    }
    return kNone;
}

// The node that the next take() of this CPU will find free, unless there are others.
template <class Table>
ALWAYS_INLINE void BpfLruList::evict_ahead(Local& local, u32 cpu, const Table& table) {
    if (list_of(cpu).free_count.load(host::Order::Relaxed)) return;
    if (UNLIKELY(!local.victims.oldest) && (!fill_up(local, cpu) || local.free.newest)) return;
    const u32 node = take_victim(local, cpu, table, true);
    if (UNLIKELY(!node)) return;
    remove(local.pending, node);
    push_newest(local.free, node, where_of(kLocalFree, cpu));
    local.ahead = true;
}

template <class Table>
u32 BpfLruList::take_local(Local& local, u32 cpu, const Table& table, u32* visit_cpu) {
    const u32 visit_before = local.next_visit;
    u32 node = kNone;
    bool evicts = local.ahead;
    for (u32 round = 0; round < kRounds && !node; ++round) {
        if (UNLIKELY(!local.free.newest)) {
            if (UNLIKELY(!local.victims.oldest)) {
                if (!fill_up(local, cpu)) return kNone;
            } else if (UNLIKELY(list_of(cpu).free_count.load(host::Order::Relaxed))) {
                take_free_only(local, cpu);
            }
        }
        if ((node = local.free.newest) != kNone) {
            remove(local.free, node);
            push_newest(local.pending, node, where_of(kPending, cpu));
        } else {
            node = take_victim(local, cpu, table, round + 1 < kRounds);
            evicts = true;
        }
    }
    if (!local.free.newest) {
        local.ahead = false;
        if (evicts && batch_ >= kAheadBatch) evict_ahead(local, cpu, table);
    }
    if (UNLIKELY(local.next_visit != visit_before)) *visit_cpu = local.next_visit;
    return node;
}

template <class Table>
ALWAYS_INLINE u32 BpfLruList::take(const Table& table) {
    if (UNLIKELY(returned_.load(host::Order::Relaxed))) settle_returned();
    const u32 cpu = host::cpu_id();
    Local& local = *locals_.this_cpu();
    u32 node = kNone;
    u32 visit_cpu = cpu;
    host::IrqState irq;
    if (LIKELY(local.lock.acquire_in_any_context(&irq))) {
        host::Guard<LocalLock, host::Adopt> guard(local.lock, irq);
        node = take_local(local, cpu, table, &visit_cpu);
    }
    if (UNLIKELY(visit_cpu != cpu)) visit(visit_cpu);
    return LIKELY(node != kNone) ? node : take_elsewhere(cpu, table);
}

// What nobody has flushed yet, the oldest first.
template <class Table>
u32 BpfLruList::take_pending(Local& local, const Table& table, bool spare) {
    for (u32 node = local.pending.oldest; node; node = nodes_[node].previous) {
        if ((spare && referenced(node)) || !table.evict(node)) continue;
        const u32 where = nodes_[node].where.load(host::Order::Relaxed);
        remove(local.pending, node);
        push_newest(local.pending, node, where);
        return node;
    }
    return kNone;
}

// Past this CPU's own lists: the node goes to the new end of inactive.
template <class Table>
u32 BpfLruList::take_from_list(u32 cpu, const Table& table) {
    List& list = list_of(cpu);
    host::IrqState irq;
    if (!list.lock.acquire_in_any_context(&irq)) return kNone;
    host::Guard<ListLock, host::Adopt> guard(list.lock, irq);
    const u32 where = where_of(kInactive, list.number);
    if (const u32 node = list.free.oldest) {
        remove_from_list(list, node, kFree);
        push_newest(list.inactive, node, where);
        return node;
    }
    constexpr Kind kOrder[] = {kInactive, kActive};
    for (const Kind kind : kOrder) {
        u32 node = kind == kInactive ? list.inactive.oldest : list.active.oldest;
        for (u32 tries = 0; node && tries < batch_; ++tries, node = nodes_[node].previous) {
            if (!table.evict(node)) continue;
            remove_from_list(list, node, kind);
            push_newest(list.inactive, node, where);
            return node;
        }
    }
    return kNone;
}

// This CPU's lists are locked by what we interrupted, or hold nothing: from the common list, then
// from other CPUs in turn, among whose newest the node remains.
template <class Table>
u32 BpfLruList::take_elsewhere(u32 cpu, const Table& table) {
    if (const u32 node = take_from_list(cpu, table)) return node;
    for (u32 pass = 0; pass < 2; ++pass) {
        const bool spare = pass == 0;
        for (u32 i = 1; i < cpus_; ++i) {
            const u32 other = cpu + i < cpus_ ? cpu + i : cpu + i - cpus_;
            Local& local = *locals_.cpu(other);
            host::IrqState irq;
            if (!local.lock.acquire_in_any_context(&irq)) continue;
            host::Guard<LocalLock, host::Adopt> guard(local.lock, irq);
            if (const u32 node = local.free.oldest) {
                remove(local.free, node);
                push_newest(local.pending, node, where_of(kPending, other));
                return node;
            }
            if (const u32 node = take_victim(local, other, table, spare)) return node;
            if (const u32 node = take_pending(local, table, spare)) return node;
        }
    }
    return kNone;
}

}  // namespace barebpf
