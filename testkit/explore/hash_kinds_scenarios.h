// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for hash maps of per-CPU values, maps of maps, and what more than one element takes part in: batches, walks,
// taking values out.
#pragma once

#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/syscall_elem.h"
#include "testkit/explore/hashtab_scenarios.h"
#include "testkit/explore/more_scenarios.h"

namespace barebpf::explore {

// Key 0 stays, and each CPU's value of it is always of it; elements of other keys are recycled beside it.
template <u32 kFlags>
struct PerCpuHash : HashScenario {
    void setup() override {
        make(4, kFlags, BPF_MAP_TYPE_PERCPU_HASH);
        check(update_all(keys[1], 1) == 0 && update_all(keys[0], 1) == 0, "no room");
    }
    // As bpf(2) updates.
    s64 update_all(u32 key, u32 generation) {
        u64 words[2 * (kMaxCpus + 1)];
        for (u64& word : words) word = value_of(key, generation);
        return map->ops->update_from_user(map, &key, words, BPF_ANY);
    }
    void look_at_all(u32 key) {
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            const void* value = map->ops->lookup_percpu(map, &key, cpu);
            check(value, "a key that stays is not found");
            const u64 word = host::atomic_at<u64>(value).load(Order::Relaxed);
            check(belongs(word, key), "another key's value");
        }
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            look_at_all(keys[0]);
            copied(keys[1]);
            check(copied(keys[0]), "a key that stays is not copied");
        } else if (number == 1) {
            check(update(keys[0], 2) == 0, "an update failed");
            check(erase(keys[1]) == 0, "a delete failed");
            check(update(keys[2], 2) == 0, "an insert failed");
            check(copied(keys[2]), "a key is not there");
        } else {
            check(update_all(keys[0], 3) == 0, "an update failed");
            check(update_all(keys[3], 3) == 0, "an insert failed");
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        look_at_all(keys[0]);
        const s64 result = update(keys[0], 4);
        check(result == 0 || result == -to_int(Errno::Busy), "an update in an NMI failed");
    }
    void finish() override { end(host::possible_cpus() > 3 ? 3 : 2); }
};

// Maps come and go under a key while programs use them: what a look-up gave is a map that lives, until the program ends;
// and when bpf(2) returns, nobody uses the one that was there before.
template <u32 kType>
struct MapOfMaps : Scenario {
    static constexpr u32 kMaps = 3;
    static constexpr u64 kMark = 0x1234;
    Map* outer = nullptr;
    int outer_fd = -1;
    int fds[kMaps];
    Map* maps[kMaps];
    host::Atomic<Map*> used[kMaxCpus + 1][2];  // by each CPU: outside of NMIs, in one
    u32 key = 1, other_key = 0;

    void setup() override {
        for (u32 i = 0; i < kMaps; ++i) {
            Map* inner = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
            const u32 first = 0;
            check(inner->ops->update(inner, &first, &kMark, BPF_ANY) == 0, "no room");
            maps[i] = inner;
            fds[i] = install(inner);
        }
        outer = make_map(kType, 4, 4, 2, 0);
        outer->inner_meta = map_meta_alloc(fds[0]).value();
        outer_fd = install(outer);
        check(update(key, fds[0]) == 0 && update(other_key, fds[1]) == 0, "no room");
        close_descriptor(fds[0]);  // it lives as long as it is in the map
    }
    bpf_attr element(const u32& which, const void* value) const {
        bpf_attr attr{};
        attr.map_fd = static_cast<u32>(outer_fd);
        attr.key = reinterpret_cast<u64>(&which);
        attr.value = reinterpret_cast<u64>(value);
        return attr;
    }
    static s64 error_of(const Result<s64>& result) {
        return result ? result.value() : -to_int(result.error());
    }
    s64 update(const u32& which, int fd) {
        return error_of(map_update_elem(element(which, &fd), {}));
    }
    void use(const u32& which, bool stays) {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        auto* inner = static_cast<Map*>(outer->ops->lookup(outer, &which));
        check(inner || !stays, "a key that stays is not found");
        if (!inner) return;
        host::Atomic<Map*>& mine = used[host::cpu_id()][host::in_nmi()];
        mine.store(inner, Order::Relaxed);
        const u32 first = 0;
        const void* value = inner->ops->lookup(inner, &first);
        check(value && host::atomic_at<u64>(value).load(Order::Relaxed) == kMark,
              "a map is gone under its user");
        mine.store(nullptr, Order::Relaxed);
    }
    void check_unused(const Map* map) {
        for (auto& by_cpu : used) {
            for (auto& by : by_cpu) {
                check(by.load(Order::Relaxed) != map, "a map is in use after its removal");
            }
        }
    }
    void cpu(u32 number) override {
        if (number == 0) {
            use(key, true);
            use(other_key, false);
        } else if (number == 1) {
            check(update(key, fds[2]) == 0, "an update failed");
            check_unused(maps[0]);
            check(error_of(map_delete_elem(element(other_key, nullptr), {})) == 0,
                  "a delete failed");
            check_unused(maps[1]);
            check(update(key, fds[1]) == 0, "an update failed");
            check_unused(maps[2]);
        } else {
            u32 id;
            check(error_of(map_lookup_elem(element(key, &id), {})) == 0,
                  "a key that stays is not copied");
        }
    }
    void nmi(u32) override {
        use(key, true);
        use(other_key, false);
    }
    void finish() override {
        close_descriptor(fds[1]);
        close_descriptor(fds[2]);
        use(key, true);
        close_descriptor(outer_fd);
    }
};

// Each value that is put in is taken out once, or is still there at the end.
struct HashAccounts : HashScenario {
    host::Atomic<u32> put_in[kKeys], taken_out[kKeys];

    s64 insert(u32 number, u32 generation) {
        const s64 result = update(keys[number], generation, BPF_NOEXIST);
        if (result == 0) put_in[number].fetch_add(1, Order::Relaxed);
        return result;
    }
    s64 erase_one(u32 number) {
        const s64 result = erase(keys[number]);
        if (result == 0) taken_out[number].fetch_add(1, Order::Relaxed);
        return result;
    }
    void took(u32 key, const u64* words) {
        check_value(key, words);
        taken_out[number_of(key)].fetch_add(1, Order::Relaxed);
    }
    void nmi_puts_and_takes(u32 put, u32 take) {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        insert(put, 3);
        erase_one(take);
    }
    void balance() {
        u32 left = 0;
        for (u32 i = 0; i < kKeys; ++i) {
            const u32 in = put_in[i].load(Order::Relaxed);
            const u32 out = taken_out[i].load(Order::Relaxed);
            const u32 there = copied(keys[i]);
            check(in == out + there, "a value is taken twice, or lost");
            left += there;
        }
        end(left);
    }
};

// bpf(2) empties the map in batches while programs put in and take out.
template <u32 kFlags, bool kMayFail>
struct HashBatch : HashAccounts {
    static constexpr u32 kRoom = 8;
    int fd = -1;

    void setup() override {
        make(6, kFlags);
        fd = install(map);
        for (u32 i = 0; i < 3; ++i) check(insert(i, 1) == 0, "no room");
    }
    void empty() {
        u32 got[kRoom];
        u64 values[kRoom][2];
        u32 place = 0;
        bpf_attr attr{};
        attr.batch.map_fd = static_cast<u32>(fd);
        attr.batch.keys = reinterpret_cast<u64>(got);
        attr.batch.values = reinterpret_cast<u64>(values);
        attr.batch.out_batch = reinterpret_cast<u64>(&place);
        attr.batch.count = kRoom;
        const auto result = map_lookup_and_delete_batch(attr, {reinterpret_cast<u64>(&attr)});
        check(!result &&
                  (result.error() == Errno::NoEnt || (kMayFail && result.error() == Errno::NoMem)),
              "a batch failed");
        for (u32 i = 0; i < attr.batch.count; ++i) took(got[i], values[i]);
    }
    void cpu(u32 number) override {
        if (number == 0) empty();
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            check(insert(6, 2) == 0, "an insert failed");  // of what the batch took out
        } else if (number == 1) {
            check(insert(3, 2) == 0, "an insert failed");
            const s64 gone = erase_one(1);
            check(gone == 0 || gone == -to_int(Errno::NoEnt), "a delete failed");
            check(insert(4, 2) == 0, "an insert failed");
        } else {
            copied(keys[2]);
        }
    }
    void nmi(u32) override { nmi_puts_and_takes(5, 2); }
    void finish() override { balance(); }
};

// A walk whose visitor deletes what it is shown, while others delete, insert and replace. What is there from its beginning
// to its end is shown once. (Preallocated elements may be another key's by the time that they are looked at, if
// their own was replaced.)
template <u32 kFlags>
struct HashForEach : HashScenario {
    static constexpr u32 kVisitorDeletes = 2;
    static constexpr u32 kDeleted = 1;
    u32 shown[kKeys] = {};
    // Of those in the chain, in its order: deleted, replaced, untouched, inserted in the place of the first.
    static constexpr u32 kInChain = 4;
    u32 chain[kInChain] = {};

    struct Visitor : ElementVisitor {
        HashForEach* self;
    };
    static bool visit(ElementVisitor* visitor, const void* key, void* value) {
        auto* self = static_cast<Visitor*>(visitor)->self;
        const u32 found = host::atomic_at<u32>(key).load(Order::Relaxed);
        const u32 number = self->number_of(found);
        ++self->shown[number];
        if (kFlags & BPF_F_NO_PREALLOC) {
            check(belongs(host::atomic_at<u64>(value).load(Order::Relaxed), found),
                  "another key's value");
        }
        if (number == kVisitorDeletes) check(self->erase(found) == 0, "a delete failed");
        return true;
    }
    void setup() override {
        make(kKeys, kFlags);
        for (u32 i = 0; i < kKeys; ++i) check(update(keys[i], 1) == 0, "no room");
        u32 key;
        s64 at = map->ops->next_key(map, nullptr, &key);
        for (u32 i = 0; at == 0; ++i) {
            if (i >= kKeys - kInChain) chain[i - (kKeys - kInChain)] = number_of(key);
            const u32 before = key;
            at = map->ops->next_key(map, &before, &key);
        }
        check(erase(keys[chain[3]]) == 0, "a delete failed");
    }
    bool stays(u32 number) const {
        return number != kVisitorDeletes && number != kDeleted && number != chain[0] &&
               number != chain[3] && ((kFlags & BPF_F_NO_PREALLOC) || number != chain[1]);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            Visitor visitor;
            visitor.visit = visit;
            visitor.self = this;
            map->ops->for_each(map, &visitor);
            for (u32 i = 0; i < kKeys; ++i) {
                check(!stays(i) || shown[i] == 1, "what stays is not shown once");
            }
        } else {
            check(erase(keys[chain[0]]) == 0, "a delete failed");
            check(update(keys[chain[3]], 2) == 0, "an insert failed");
            check(update(keys[chain[1]], 2) == 0, "an update failed");
            check(erase(keys[kDeleted]) == 0, "a delete failed");
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        const s64 result = update(keys[chain[1]], 3);
        check(result == 0 || result == -to_int(Errno::Busy) ||
                  (kFlags && result == -to_int(Errno::NoMem)),
              "an update in an NMI failed");
    }
    void finish() override { end(kKeys - 3); }
};

// Several take the same value out, while its element may be used at once in another bucket.
template <u32 kFlags>
struct HashTakeOut : HashAccounts {
    u32 elsewhere = 0;
    void setup() override {
        make(5, kFlags);
        elsewhere = other_bucket();
        for (u32 i = 0; i < 2; ++i) check(insert(i, 1) == 0, "no room");
    }
    void take(u32 number) {
        u64 words[2];
        const s64 result = map->ops->lookup_and_erase(map, &keys[number], words, 0);
        check(result == 0 || result == -to_int(Errno::NoEnt), "a delete failed");
        if (result == 0) took(keys[number], words);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        take(0);
        if (number == 0) insert(0, 2);
        if (number == 1) insert(2, 2);
        take(0);
    }
    void nmi(u32) override {
        nmi_puts_and_takes(3, 1);
        host::RcuReadGuard guard;
        update(elsewhere, 3);
    }
    void finish() override {
        erase(elsewhere);
        balance();
    }
};

}  // namespace barebpf::explore
