// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/helpers_map.h"

#include "kernel/bpf/helper_values.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/map_value.h"
#include "kernel/bpf/prog.h"

namespace barebpf {
namespace {

// -- locks --

// The interrupt state that bpf_spin_lock() found on a CPU, until bpf_spin_unlock(): a program holds
// one lock at a time, and only an NMI comes in between.
struct alignas(64) LockedCpu {
    host::Cpu::IrqState irq[2] = {};  // [in an NMI]
};
constinit LockedCpu locked_cpus[host::kMaxCpus];

host::Cpu::IrqState& saved_irq_state() {
    return locked_cpus[host::cpu_id()].irq[host::in_nmi()];
}

// -- callbacks --

struct CallbackVisitor : ElementVisitor {
    u64 map;
    u64 callback;
    u64 context;
};

bool visit_with_callback(ElementVisitor* self, const void* key, void* value) {
    const auto* visitor = static_cast<CallbackVisitor*>(self);
    return call_callback(visitor->callback, visitor->map, reinterpret_cast<u64>(key),
                         reinterpret_cast<u64>(value), visitor->context) == 0;
}

constexpr u64 kMostLoops = 1u << 23;  // BPF_MAX_LOOPS

}  // namespace

u64 map_lookup_elem(u64 map, u64 key, u64, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return reinterpret_cast<u64>(m->ops->lookup(m, as_pointer<const void>(key)));
}

u64 map_update_elem(u64 map, u64 key, u64 value, u64 flags, u64) {
    Map* m = as_pointer<Map>(map);
    return u64(
        m->ops->update(m, as_pointer<const void>(key), as_pointer<const void>(value), flags));
}

u64 map_delete_elem(u64 map, u64 key, u64, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return u64(m->ops->erase(m, as_pointer<const void>(key)));
}

u64 map_push_elem(u64 map, u64 value, u64 flags, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return u64(m->ops->push(m, as_pointer<const void>(value), flags));
}

u64 map_pop_elem(u64 map, u64 value, u64, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return u64(m->ops->pop(m, as_pointer<void>(value)));
}

u64 map_peek_elem(u64 map, u64 value, u64, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return u64(m->ops->peek(m, as_pointer<void>(value)));
}

u64 map_lookup_percpu_elem(u64 map, u64 key, u64 cpu, u64, u64) {
    Map* m = as_pointer<Map>(map);
    return reinterpret_cast<u64>(
        m->ops->lookup_percpu(m, as_pointer<const void>(key), static_cast<u32>(cpu)));
}

u64 spin_lock(u64 lock, u64, u64, u64, u64) {
    const host::Cpu::IrqState irq = host::Cpu::irq_save();
    acquire_value_lock(host::atomic_at<u32>(as_pointer<void>(lock)));
    saved_irq_state() = irq;
    return 0;
}

u64 spin_unlock(u64 lock, u64, u64, u64, u64) {
    const host::Cpu::IrqState irq = saved_irq_state();
    release_value_lock(host::atomic_at<u32>(as_pointer<void>(lock)));
    host::Cpu::irq_restore(irq);
    return 0;
}

u64 for_each_map_elem(u64 map, u64 callback, u64 context, u64 flags, u64) {
    if (flags) return failed(Errno::Inval);
    Map* m = as_pointer<Map>(map);
    CallbackVisitor visitor;
    visitor.visit = visit_with_callback;
    visitor.map = map;
    visitor.callback = callback;
    visitor.context = context;
    return u64(m->ops->for_each(m, &visitor));
}

u64 loop(u64 count, u64 callback, u64 context, u64 flags, u64) {
    count = static_cast<u32>(count);
    if (flags) return failed(Errno::Inval);
    if (count > kMostLoops) return failed(Errno::TooBig);
    for (u64 i = 0; i < count; ++i)
        if (call_callback(callback, i, context, 0, 0)) return i + 1;
    return count;
}

}  // namespace barebpf
