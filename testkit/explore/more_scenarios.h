// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for LPM tries, queues, stacks, bloom filters and stack traces.
#pragma once

#include "kernel/bpf/helpers.h"
#include "kernel/bpf/lpm_shortcut.h"
#include "kernel/bpf/lpm_trie.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/queue_stack.h"
#include "kernel/bpf/stackmap.h"
#include "testkit/explore/explore.h"

namespace barebpf::explore {

using host::Order;

inline Map* make_map(u32 type, u32 key_size, u32 value_size, u32 entries, u32 flags) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key_size;
    attr.value_size = value_size;
    attr.max_entries = entries;
    attr.map_flags = flags;
    const MapOps* ops = map_ops(type);
    const Result<Map*> made = ops->create(attr);
    check(bool(made), "no map");
    map_init_from_attr(made.value(), ops, attr);
    return made.value();
}

// 10.1.0.0/16 stays, though it is updated; shorter and longer prefixes around it come and go, so that nodes are copied,
// split and left out above and below it. Who looks for 10.1.2.3 finds it or something longer that covers, complete. Where
// allocations may fail, so may updates, and nothing else.
template <bool kMayFail>
struct LpmChurn : Scenario {
    struct Key {
        u32 length;
        u8 bytes[4];
    };
    static constexpr Key kStays{16, {10, 1, 0, 0}};
    static constexpr Key kWanted{32, {10, 1, 2, 3}};
    Map* map = nullptr;

    void setup() override {
        map = make_map(BPF_MAP_TYPE_LPM_TRIE, sizeof(Key), 16, 16, BPF_F_NO_PREALLOC);
        name(map, sizeof(LpmTrie), "trie");
        check(update(kStays, 1) == 0 && update({24, {10, 1, 9, 0}}, 1) == 0, "no room");
    }
    s64 update(const Key& key, u32 generation) {
        const u64 value[2] = {u64{key.length} << 32 | generation,
                              u64{key.length} << 32 | generation};
        return map->ops->update(map, &key, value, BPF_ANY);
    }
    bool change(const Key& key, u32 generation) {
        const s64 result = update(key, generation);
        check(result == 0 || (kMayFail && result == -to_int(Errno::NoMem)), "an update failed");
        return result == 0;
    }
    void look() {
        const void* value = map->ops->lookup(map, &kWanted);
        check(value, "a prefix that stays is not found");
        const u64 words[2] = {
            host::atomic_at<u64>(value).load(Order::Relaxed),
            host::atomic_at<u64>(static_cast<const u8*>(value) + 8).load(Order::Relaxed)};
        const u64 length = words[0] >> 32;
        check(length == 16 || length == 24 || length == 32,
              "found what does not cover, or is shorter than what stays");
        check(words[0] == words[1], "a value changed under its reader");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        const Key longer{24, {10, 1, 2, 0}};
        if (number == 0) {
            look();
            look();
        } else if (number == 1) {
            const bool there = change(longer, 2);
            change(kStays, 2);
            change({8, {10, 0, 0, 0}}, 2);
            const s64 gone = map->ops->erase(map, &longer);
            check(gone == (there ? 0 : -to_int(Errno::NoEnt)), "a delete failed");
        } else {
            change(kWanted, 3);
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        look();
        const s64 result = update(kWanted, 4);
        check(result == 0 || result == -to_int(Errno::Busy) || result == -to_int(Errno::NoMem),
              "an update in an NMI failed");
    }
    void finish() override {
        look();
        check(map->ops->erase(map, &kStays) == 0, "what stays is not there");
        map->ops->free(map);
    }
};

// A trie small enough for the explorer with the table that large ones have; values are two equal words, a name of what they
// belong to above and a generation below.
template <class Key>
struct LpmBelowATable : Scenario {
    Map* map = nullptr;

    LpmTrie* make_trie(u32 prefixes) {
        map = make_map(BPF_MAP_TYPE_LPM_TRIE, sizeof(Key), 16, 16, BPF_F_NO_PREALLOC);
        auto* trie = static_cast<LpmTrie*>(map);
        name(trie, sizeof(LpmTrie), "trie");
        trie->grow_at.store(prefixes, Order::Relaxed);
        return trie;
    }
    void check_table() {
        check(static_cast<LpmTrie*>(map)->shortcut.dereference(), "no shortcut");
        // Or what is freed from here on would wait for another grace period first.
        for (u32 i = 0; i < 2; ++i) host::rcu_barrier();
    }
    void change(const Key& key, u64 owner, u32 generation) {
        host::RcuReadGuard guard;
        const u64 word = owner << 32 | generation;
        const u64 value[2] = {word, word};
        check(map->ops->update(map, &key, value, BPF_ANY) == 0, "an update failed");
    }
    void erase(const Key& key) {
        host::RcuReadGuard guard;
        check(map->ops->erase(map, &key) == 0, "a delete failed");
    }
    // Whose value is found.
    u64 look(const Key& wanted) {
        host::RcuReadGuard guard;
        const void* value = map->ops->lookup(map, &wanted);
        check(value, "a prefix that stays is not found");
        note("found");
        const u64 first = host::atomic_at<u64>(value).load(Order::Relaxed);
        host::spin_hint();  // others go on
        const u64 second =
            host::atomic_at<u64>(static_cast<const u8*>(value) + 8).load(Order::Relaxed);
        check(first == second, "a value changed under its reader");
        return first >> 32;
    }
};

struct LongKey {
    u32 length;
    u8 bytes[8];
};

// What stays is replaced again and again: a value that is found through the table is not used anew under its reader.
struct LpmShortcut : LpmBelowATable<LongKey> {
    static constexpr LongKey kStays{40, {0x20, 1, 0xd, 0xb8, 7, 0}};
    static constexpr LongKey kBeside{48, {0x20, 1, 0xd, 0xb8, 9, 9}};
    static constexpr LongKey kElsewhere{48, {0x20, 2, 0xd, 0xb8, 1, 1}};
    static constexpr LongKey kWanted{64, {0x20, 1, 0xd, 0xb8, 7, 3}};

    void setup() override {
        make_trie(1);
        for (const LongKey& key : {kStays, kBeside, kElsewhere}) put(key, 1);
        check_table();
    }
    void put(const LongKey& key, u32 generation) { change(key, key.bytes[4], generation); }
    void look_up() { check(look(kWanted) == kStays.bytes[4], "found what does not cover"); }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        if (number == 0) return look_up();
        put(kStays, 2);
        host::spin_hint();  // what it has freed comes back
        put(kElsewhere, 2);
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        look_up();
    }
    void finish() override {
        look_up();
        map->ops->free(map);
    }
};

struct ShortKey {
    u32 length;
    u8 bytes[4];
};

// With keys of four bytes the runs of a node that are nobody's have what covers the node: that is replaced and deleted, a
// longer one comes in its place, and the node itself is copied meanwhile.
struct LpmCover : LpmBelowATable<ShortKey> {
    static constexpr ShortKey kAlways{12, {255, 0xf0, 0, 0}};
    static constexpr ShortKey kCovers{14, {255, 0xfc, 0, 0}};
    static constexpr ShortKey kLonger{16, {255, 0xfe, 0, 0}};
    static constexpr ShortKey kInNode{24, {255, 0xfe, 9, 0}};
    static constexpr ShortKey kDeep{28, {255, 0xfe, 7, 0xf0}};
    static constexpr ShortKey kWanted{32, {255, 0xfe, 7, 3}};

    void setup() override {
        LpmTrie* trie = make_trie(2);
        for (const ShortKey& key : {kAlways, kCovers}) put(key, 1);
        {
            // Of the table's 2^16 places one update fills the last 64; nobody looks at the others.
            host::Guard<LpmTrie::Lock, host::IrqSave> guard(trie->lock);
            check(trie->growing, "no table is made");
            trie->growing->next = (1u << lpm::Shortcut::kDirectBits) - 64;
        }
        for (u32 i = 0; i < 2; ++i) put(kInNode, 1);
        check_table();
    }
    void put(const ShortKey& key, u32 generation) { change(key, key.length, generation); }
    void look_up() {
        const u64 length = look(kWanted);
        check(length == kAlways.length || length == kCovers.length || length == kLonger.length,
              "found what does not cover");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        if (number == 0) return look_up();
        put(kCovers, 2);
        host::spin_hint();  // what it has freed comes back
        if (number == 2) {
            put(kLonger, 2);
            put(kDeep, 2);
            erase(kLonger);
        } else {
            put(kInNode, 2);
            put(kAlways, 2);
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        look_up();
    }
    void finish() override {
        look_up();
        map->ops->free(map);
    }
};

// What is pushed is popped once, and by a queue in order.
template <u32 kType>
struct QueueRounds : Scenario {
    static constexpr u32 kPushes = 3;  // of each CPU
    static constexpr u32 kValues = 64;
    Map* map = nullptr;
    host::Atomic<u32> pushed[kValues], popped[kValues];
    host::Atomic<u32> next_in_nmi;

    void setup() override { map = make_map(kType, 0, 8, 3, 0); }
    bool push(u32 number) {
        const u64 value = number;
        const s64 result = map->ops->push(map, &value, BPF_ANY);
        check(result == 0 || result == -to_int(Errno::TooBig) ||
                  (host::in_nmi() && result == -to_int(Errno::Busy)),
              "a push failed");
        if (result == 0) pushed[number].store(1, Order::Relaxed);
        return result == 0;
    }
    // 0: nothing.
    u32 pop() {
        u64 value = 0;
        const s64 result = map->ops->pop(map, &value);
        check(result == 0 || result == -to_int(Errno::NoEnt) ||
                  (host::in_nmi() && result == -to_int(Errno::Busy)),
              "a pop failed");
        if (result != 0) return 0;
        check(value > 0 && value < kValues, "a value that nobody pushed");
        check(popped[value].exchange(1, Order::Relaxed) == 0, "a value is popped twice");
        return static_cast<u32>(value);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        u32 last[kMaxCpus] = {};
        push(number * 8 + 1);
        for (u32 i = 1; i <= kPushes; ++i) {
            if (i < kPushes) push(number * 8 + i + 1);
            const u32 value = pop();
            if (!value || value >= kMaxCpus * 8 || kType != BPF_MAP_TYPE_QUEUE) continue;
            check(value > last[value / 8], "out of order");
            last[value / 8] = value;
        }
    }
    void nmi(u32) override {
        push(kMaxCpus * 8 + 1 + next_in_nmi.fetch_add(1, Order::Relaxed));
        pop();
    }
    void finish() override {
        while (pop()) {
        }
        for (u32 i = 0; i < kValues; ++i) {
            check(pushed[i].load(Order::Relaxed) == popped[i].load(Order::Relaxed),
                  "a value is lost");
        }
        map->ops->free(map);
    }
};

// What was pushed is there, though all bits are in one word.
struct BloomRounds : Scenario {
    static constexpr u32 kValues = 8;  // of each context
    Map* map = nullptr;
    host::Atomic<u32> pushed[kMaxCpus * 2 * kValues];

    void setup() override { map = make_map(BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, 2, 0); }
    bool there(u32 value) { return map->ops->peek(map, &value) == 0; }
    void push(u32 value) {
        check(map->ops->push(map, &value, BPF_ANY) == 0, "a push failed");
        pushed[value].store(1, Order::Relaxed);
        check(there(value), "what was pushed is not there");
    }
    void cpu(u32 number) override {
        push(number * kValues);
        push(number * kValues + 1);
    }
    void nmi(u32 number) override { push((kMaxCpus + number) * kValues); }
    void finish() override {
        for (u32 value = 0; value < kMaxCpus * 2 * kValues; ++value) {
            if (pushed[value].load(Order::Relaxed)) check(there(value), "a bit is lost");
        }
        map->ops->free(map);
    }
};

// All traces want the same place: who copies one has all of one, and at the end none is lost.
struct StackIds : Scenario {
    static constexpr u32 kTraces = 4;
    static constexpr u32 kIds =
        4;  // and so many may be kept: one in its place, and one for each who writes
    static constexpr u64 kApart = 0x1000;  // the second frame from the first
    Map* map = nullptr;
    u64 traces[kTraces];
    u32 id = 0;

    void setup() override {
        map = make_map(BPF_MAP_TYPE_STACK_TRACE, 4, 16, kIds, 0);
        u64 next = 1;
        id = static_cast<u32>(get(traces[0] = next++, 0));
        for (u32 found = 1; found < kTraces; ++next) {
            const s64 result = get(next, BPF_F_REUSE_STACKID);
            if (result == s64{id}) traces[found++] = next;
            if (result != s64{id}) erase(static_cast<u32>(result));
        }
        erase(id);
        keep(0);
    }
    s64 get(u64 trace, u64 flags) {
        const u64 frames[] = {trace, trace + kApart};
        set_stack(frames, 2);
        const HelperProto* helper = stack_helper_proto(BPF_FUNC_get_stackid);
        return static_cast<s64>(
            helper->function(0, reinterpret_cast<u64>(static_cast<void*>(map)), flags, 0, 0));
    }
    s64 erase(u32 which) { return map->ops->erase(map, &which); }
    bool copied() {
        u64 frames[2] = {};
        const s64 result = map->ops->copy_value(map, &id, frames, 0);
        check(result == 0 || result == -to_int(Errno::NoEnt), "a copy failed");
        if (result != 0) return false;
        bool known = false;
        for (const u64 trace : traces) known |= frames[0] == trace;
        check(known, "a trace that nobody had");
        check(frames[1] == frames[0] + kApart, "a copy of two traces");
        return true;
    }
    void keep(u32 which) {
        check(get(traces[which], BPF_F_REUSE_STACKID) == s64{id}, "no id for a trace");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            copied();
        } else if (number == 1) {
            erase(id);
            keep(1);
        } else {
            keep(2);
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        keep(3);
        copied();
    }
    void finish() override {
        erase(id);
        u32 filled = 0;
        for (u64 next = 1'000; filled != (1u << kIds) - 1; ++next) {
            const s64 result = get(next, 0);
            check(result >= 0 || result == -to_int(Errno::Exist), "a trace is lost");
            if (result >= 0) filled |= 1u << result;
        }
        map->ops->free(map);
    }
};

}  // namespace barebpf::explore
