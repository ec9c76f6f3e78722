// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of an event: descriptors, mappings, readiness. perf_event_ring.cc writes records.
#include "kernel/bpf/perf_event.h"

#include "kernel/bpf/perf_event_ring.h"
#include "kernel/bpf/refcount.h"
#include "kernel/host/cred.h"
#include "kernel/host/fd.h"
#include "kernel/lib/bits.h"
#include "kernel/lib/list.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Order;

constexpr u32 kPollIn = 0x1;
constexpr u32 kPollHup = 0x10;

// PERF_EVENT_IOC_*
constexpr u32 kIocEnable = 0x2400;
constexpr u32 kIocDisable = 0x2401;
constexpr u32 kIocReset = 0x2403;
constexpr u32 kIocId = 0x80082407;

constinit host::MemoryOwner perf_memory;
constinit host::Atomic<u64> last_id;

PerfEvent* event_of(host::FileObject* object) {
    return static_cast<PerfEvent*>(object);
}

// ── The ring ──────────────────────────────────────────────────────────────────────────────────

void free_ring(PerfRing* ring) {
    ring->~PerfRing();
    host::free(ring, sizeof(PerfRing), perf_memory);
}

void put_ring(PerfEvent* event, PerfRing* ring) {
    if (!ref_put(ring->mappings)) return;
    event->ring.retract(ring);
    host::call_rcu_process(&ring->rcu, [](host::RcuHead* head) {
        free_ring(detail::container<PerfRing, host::RcuHead, &PerfRing::rcu>(head));
    });
}

void fill_control_page(PerfRing* ring) {
    put_control<u32>(ring, kControlSize, kControlBytes);
    put_control<u64>(ring, kControlCapabilities, kCapBit0IsDeprecated);
    put_control<u64>(ring, kControlDataOffset, host::kPageSize);
    put_control<u64>(ring, kControlDataSize, ring->data_size);
}

PerfRing* make_ring(const PerfEventSetup& setup, u32 data_pages, bool overwrite) {
    void* memory = host::alloc(sizeof(PerfRing), AllocContext::MaySleep, perf_memory);
    if (!memory) return nullptr;
    auto* ring = construct_at<PerfRing>(memory);
    if (!ring->pages.create(1 + data_pages, perf_memory)) {
        free_ring(ring);
        return nullptr;
    }
    ring->data_size = u64{data_pages} * host::kPageSize;
    ring->overwrite = overwrite;
    ring->watermark = ring->data_size / 2;
    if (setup.by_watermark && setup.wakeup && setup.wakeup < ring->data_size) {
        ring->watermark = setup.wakeup;
    }
    ring->mappings.store(1, Order::Relaxed);
    fill_control_page(ring);
    return ring;
}

// The ring that is mapped already, counted; null: none.
PerfRing* get_ring(PerfEvent* event) {
    host::RcuReadGuard rcu;
    PerfRing* ring = event->ring.dereference();
    return ring && ref_get_unless_zero(ring->mappings) ? ring : nullptr;
}

Result<PerfRing*> ring_for(PerfEvent* event, u32 data_pages, bool overwrite) {
    for (;;) {
        if (PerfRing* ring = get_ring(event)) {
            if (ring->data_size == u64{data_pages} * host::kPageSize) return ring;
            put_ring(event, ring);
            return Errno::Inval;
        }
        PerfRing* fresh = make_ring(event->setup, data_pages, overwrite);
        if (!fresh) return Errno::NoMem;
        if (event->ring.publish_first(fresh)) return fresh;
        free_ring(fresh);  // another thread was first, or the last one is about to go
        host::Cpu::yield_point();
    }
}

// ── As a descriptor ───────────────────────────────────────────────────────────────────────────

Result<host::MmapPages> map_event(host::FileObject* object, const host::MmapRequest& request) {
    if (!request.shared || request.offset != 0) return Errno::Inval;
    const u64 pages = request.length / host::kPageSize;
    const u64 data_pages = pages - 1;
    if (pages == 0 || pages > ~u32{0} || (data_pages && !is_power_of_two(data_pages))) {
        return Errno::Inval;
    }
    PerfRing* ring =
        TRY(ring_for(event_of(object), static_cast<u32>(data_pages), !request.writable));
    return host::MmapPages{ring->pages.pages(), static_cast<u32>(pages), request.writable};
}

void unmapped_event(host::FileObject* object, const host::MmapRequest&) {
    PerfEvent* event = event_of(object);
    PerfRing* ring;
    {
        host::RcuReadGuard rcu;
        ring = event->ring.dereference();
    }
    put_ring(event, ring);  // the mapping that ends counts it
}

u32 poll_event(host::FileObject* object) {
    PerfEvent* event = event_of(object);
    host::RcuReadGuard rcu;
    if (!event->ring.dereference()) return kPollHup;
    return event->ready.exchange(0, Order::AcqRel) ? kPollIn : 0;
}

constexpr host::FileOps kPerfEventFileOps = {
    .kind = host::FileKind::PerfEvent,
    .name = "[perf_event]",
    .release = [](host::FileObject* object) { perf_event_put(event_of(object)); },
    .show_fdinfo = [](host::FileObject*, TextBuffer*) {},
    .mmap = map_event,
    .munmapped = unmapped_event,
    .poll = poll_event,
    .wait_queue = [](host::FileObject* object) { return &event_of(object)->queue; },
};

void free_event(PerfEvent* event) {
    event->queue.close();
    event->~PerfEvent();
    host::free(event, sizeof(PerfEvent), perf_memory);
}

}  // namespace

Result<int> perf_event_create(const PerfEventSetup& setup) {
    if (setup.cpu >= host::possible_cpus() || (setup.sample_type & ~kKnownSampleFields)) {
        return Errno::Inval;
    }
    if (!host::capable(host::Capability::Perfmon)) return Errno::Acces;
    void* memory = host::alloc(sizeof(PerfEvent), AllocContext::MaySleep, perf_memory);
    if (!memory) return Errno::NoMem;
    auto* event = construct_at<PerfEvent>(memory);
    event->file_ops = &kPerfEventFileOps;
    event->setup = setup;
    event->id = last_id.fetch_add(1, Order::Relaxed) + 1;
    event->refs.store(1, Order::Relaxed);
    event->enabled.store(setup.enabled, Order::Relaxed);
    const Result<int> fd = host::install_fd(event, host::FileMode::ReadWrite);
    if (!fd) perf_event_put(event);
    return fd ? Result<int>(fd.value()) : Result<int>(fd.error());
}

void perf_event_put(PerfEvent* event) {
    if (!ref_put(event->refs)) return;
    host::call_rcu_process(&event->rcu, [](host::RcuHead* head) {
        free_event(detail::container<PerfEvent, host::RcuHead, &PerfEvent::rcu>(head));
    });
}

Result<PerfEvent*> perf_event_get_by_fd(int fd) {
    const auto ref = object_from_fd<PerfEvent, host::FileKind::PerfEvent>(fd);
    if (!ref) return Errno::BadF;
    return event_of(ref.value().object);
}

Result<s64> perf_event_ioctl(int fd, u32 command, u64 argument) {
    PerfEvent* event = TRY(perf_event_get_by_fd(fd));
    const auto run = [&]() -> Result<void> {
        switch (command) {
            case kIocEnable:
            case kIocDisable:
                event->enabled.store(command == kIocEnable, Order::Relaxed);
                return {};
            case kIocReset:
                return {};
            case kIocId:
                return host::put_user(host::UserAddress{argument}, event->id);
            default:
                return Errno::Inval;
        }
    };
    const Result<void> done = run();
    perf_event_put(event);
    if (!done) return done.error();
    return s64{0};
}

}  // namespace barebpf
