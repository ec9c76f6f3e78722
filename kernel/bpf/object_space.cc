// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/object_space.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/lib/bits.h"
#include "kernel/lib/list.h"

namespace barebpf {

using host::AllocContext;
using host::Guard;
using host::IrqSave;
using host::Order;

bool ObjectSpace::create(const u32* sizes, u32 classes, const Layout& layout,
                         host::MemoryOwner& owner) {
    owner_ = &owner;
    layout_ = layout;
    side_step_ = layout.side / kNumberStep;
    first_step_ = layout.side ? sizes[0] / kNumberStep : kScale;
    Table* table = layout.whole_table ? start_table(layout.whole_table, kMaxChunks)
                                      : larger_table(kFirstTable);
    if (!table) return false;
    use_table(table);
    classes_ = classes;
    bool made = cpus_.create(owner);
    for (u32 i = 0; i < classes; ++i) {
        sizes_[i] = sizes[i];
        made = made && free_[i].create(owner);
    }
    for (u32 cpu = 0; made && cpu < host::possible_cpus(); ++cpu) {
        cpus_.cpu(cpu)->cpu = cpu;
        cpus_.cpu(cpu)->space = this;
    }
    {
        Guard<Lock, IrqSave> guard(lock_);
        chunks_ = 1;  // number 0 names nothing
    }
    if (made) return true;
    return try_destroy() && false;  // nothing was in use: it cannot say "later"
}

bool ObjectSpace::busy() const {
    // Acquire: pairs with the releases in the callbacks, which are through with this object then.
    if (old_tables_.load(Order::Acquire)) return true;
    for (u32 cpu = 0; cpus_ && cpu < host::possible_cpus(); ++cpu) {
        const CpuState* state = cpus_.cpu(cpu);
        if (state->freed.load(Order::Acquire) & kInFlight) return true;
        if (state->wanted.load(Order::Acquire) & kInFlight32) return true;
    }
    return false;
}

bool ObjectSpace::try_destroy() {
    Table* table = table_.load(Order::Relaxed);
    if (!table) return true;
    if (busy()) return false;
    FreeSteps steps;
    for (u32 i = 0; i < table->capacity; ++i) {
        const Chunk& chunk = table->chunk(i);
        free_in_steps(chunk.base, chunk.bytes, *owner_);
        if (chunk.bytes * 2 > kFreeStep) {
            host::Cpu::yield_point();
        } else {
            steps.one_more();
        }
    }
    for (PercpuFreelist& list : free_) list.destroy();
    cpus_.destroy();
    if (!layout_.whole_table) host::free(table, Table::bytes(table->capacity), *owner_);
    table_.store(nullptr, Order::Relaxed);
    return true;
}

// ── Allocation ────────────────────────────────────────────────────────────────────────────────

u32 ObjectSpace::alloc(u32 size_class) {
    const u32 number = free_[size_class].pop(Link{this});
    if (UNLIKELY(host::in_nmi() && !ready(size_class))) want(size_class);
    return number;
}

void ObjectSpace::free(u32 number) {
    const ObjectHeader* header = object(number);
    free_[header->size_class].push(number, Link{this});
}

// From an NMI: a callback will refill this CPU's list.
void ObjectSpace::want(u32 size_class) {
    CpuState* state = cpus_.this_cpu();
    const u32 before = state->wanted.fetch_or(kInFlight32 | 1u << size_class, Order::AcqRel);
    if (!(before & kInFlight32)) host::call_rcu(&state->refill_rcu, refill_wanted);
}

void ObjectSpace::refill_wanted(host::RcuHead* head) {
    auto* state = detail::container<CpuState, host::RcuHead, &CpuState::refill_rcu>(head);
    ObjectSpace* space = state->space;
    const u32 wanted = state->wanted.load(Order::Relaxed);
    for (u32 i = 0; i < space->classes_; ++i) {
        if (wanted >> i & 1) space->refill_cpu(i, state->cpu);
    }
    // What came in between is asked for again by the next one that finds nothing. Release: pairs with
    // busy().
    state->wanted.store(0, Order::Release);
}

bool ObjectSpace::refill(u32 size_class) {
    return refill_cpu(size_class, host::cpu_id());
}

bool ObjectSpace::refill_cpu(u32 size_class, u32 cpu) {
    for (;;) {
        const Run run = carve(size_class);
        if (run.count) {
            const u32 step = number_step(size_class);
            u32 number = run.first;
            for (u32 i = 0; i < run.count; ++i, number += step) {
                ObjectHeader* header = object(number);
                header->size_class = static_cast<u8>(size_class);
                header->link.store(number + step, Order::Relaxed);
            }
            free_[size_class].push_chain_to(cpu, run.first, number - step, Link{this});
            return true;
        }
        if (!add_chunk(size_class)) return false;
    }
}

ObjectSpace::Run ObjectSpace::carve(u32 size_class) {
    Guard<Lock, IrqSave> guard(lock_);
    Fresh& fresh = fresh_[size_class];
    const Run run{fresh.next, fresh.left < kRun ? fresh.left : kRun};
    fresh.next += run.count * number_step(size_class);
    fresh.left -= run.count;
    return run;
}

// The wanted size, or less where the host has no such piece; at least one object.
bool ObjectSpace::alloc_chunk(u32 size_class, NewChunk* made) {
    const size_t stride = sizes_[size_class] + (has_sides(size_class) ? layout_.side : 0);
    const size_t before = lead(size_class);
    for (size_t want = made->bytes;; want /= 2) {
        const size_t objects = want >= before + stride ? (want - before) / stride : 1;
        made->objects = static_cast<u32>(objects);
        made->bytes = before + align_up(objects * stride, 8);
        made->base = static_cast<u8*>(host::alloc(made->bytes, AllocContext::Atomic, *owner_));
        if (made->base) return true;
        if (objects == 1 || want <= kMinChunk) return false;
    }
}

// In memory that is zero.
ObjectSpace::Table* ObjectSpace::start_table(void* memory, u32 capacity) {
    auto* table = static_cast<Table*>(memory);
    table->space = this;
    table->capacity = capacity;
    return table;
}

ObjectSpace::Table* ObjectSpace::larger_table(u32 capacity) {
    void* memory = host::alloc(Table::bytes(capacity), AllocContext::Atomic, *owner_);
    return memory ? start_table(memory, capacity) : nullptr;
}

void ObjectSpace::table_done(host::RcuHead* head) {
    auto* table = detail::container<Table, host::RcuHead, &Table::rcu>(head);
    ObjectSpace* space = table->space;
    host::free(table, Table::bytes(table->capacity), *space->owner_);
    space->old_tables_.fetch_sub(1, Order::Release);  // pairs with busy()
}

void ObjectSpace::use_table(Table* table) {
    // The releases pair with object() and place().
    table_.store(table, Order::Release);
    zeros_.store(table->zeros, Order::Release);
    sides_.store(table->sides(), Order::Release);
}

void ObjectSpace::install_chunk(u32 size_class, const NewChunk& made) {
    const u32 number = chunks_++;
    const u32 first = number << kChunkShift;
    const u32 step = has_sides(size_class) ? first_step_ : kScale;
    Table* table = table_.load(Order::Relaxed);
    table->chunk(number) = {made.base, made.bytes, step};
    // Readers get here by a number that was published after these.
    const auto base = reinterpret_cast<uintptr_t>(made.base);
    table->zeros[number].store(base - size_t{first} * step, Order::Relaxed);
    if (has_sides(size_class)) {
        const uintptr_t sides = base + made.bytes - size_t{made.objects} * layout_.side;
        table->sides()[number].store(sides - size_t{first} * side_step_, Order::Relaxed);
    }
    Fresh& fresh = fresh_[size_class];
    fresh.next = first + lead(size_class) / kScale;
    fresh.left = made.objects;
    fresh.bytes += made.bytes;
}

// A new chunk for the class to carve from. False: no memory.
bool ObjectSpace::add_chunk(u32 size_class) {
    NewChunk made{};
    size_t& bytes = made.bytes;
    u32 capacity, used;
    {
        Guard<Lock, IrqSave> guard(lock_);
        bytes = fresh_[size_class].bytes;
        bytes = bytes < kHugeFrom ? bytes / 8 : kMaxChunk;
        used = chunks_;
        capacity = table_.load(Order::Relaxed)->capacity;
    }
    if (used == kMaxChunks) return false;
    bytes = bytes < kMinChunk ? kMinChunk : bytes > kMaxChunk ? kMaxChunk : bytes;
    if (!alloc_chunk(size_class, &made)) return false;
    Table* larger = nullptr;
    if (used == capacity && !(larger = larger_table(capacity * 2))) {
        host::free(made.base, made.bytes, *owner_);
        return false;
    }
    {
        Guard<Lock, IrqSave> guard(lock_);
        Table* table = table_.load(Order::Relaxed);
        if (larger && table->capacity == capacity) {
            for (u32 i = 0; i < capacity; ++i) {
                larger->zeros[i].store(table->zeros[i].load(Order::Relaxed), Order::Relaxed);
                larger->sides()[i].store(table->sides()[i].load(Order::Relaxed), Order::Relaxed);
                larger->chunk(i) = table->chunk(i);
            }
            use_table(larger);
            larger = table;  // the one to free
            table = table_.load(Order::Relaxed);
        }
        // Another CPU may have been here meanwhile: then its chunk serves.
        if (fresh_[size_class].left == 0 && chunks_ < table->capacity && chunks_ < kMaxChunks) {
            install_chunk(size_class, made);
            made.base = nullptr;
        }
    }
    if (larger) {
        old_tables_.fetch_add(1, Order::Relaxed);
        host::call_rcu(&larger->rcu, table_done);
    }
    host::free(made.base, made.bytes, *owner_);
    return true;
}

// ── Deferred frees: one batch in flight per CPU ───────────────────────────────────────────────

void ObjectSpace::free_rcu(u32 number) {
    CpuState* state = cpus_.this_cpu();
    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        Link{this}(number).store(static_cast<u32>(freed), Order::Relaxed);
        wanted = freed & kInFlight ? kInFlight | number : kInFlight;
        // Release: the links; pairs with the acquire in batch_done. Waiting objects leave only all at
        // once: no ABA.
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (freed & kInFlight) return;
    state->batch = number;
    host::call_rcu(&state->rcu, batch_done);
}

void ObjectSpace::push_all(u32 cpu, u32 first) {
    while (first) {
        const u32 number = first;
        const ObjectHeader* header = object(number);
        first = header->link.load(Order::Relaxed);
        free_[header->size_class].push_chain_to(cpu, number, number, Link{this});
    }
}

void ObjectSpace::batch_done(host::RcuHead* head) {
    auto* state = detail::container<CpuState, host::RcuHead, &CpuState::rcu>(head);
    ObjectSpace* space = state->space;
    space->push_all(state->cpu, state->batch);

    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        wanted = static_cast<u32>(freed) == kNone ? 0 : kInFlight;
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (wanted == 0) return;  // from here on the whole may be destroyed by others
    state->batch = static_cast<u32>(freed);
    host::call_rcu(&state->rcu, batch_done);
}

}  // namespace barebpf
