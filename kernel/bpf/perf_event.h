// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Perf events of one kind, PERF_COUNT_SW_BPF_OUTPUT: what bpf_perf_event_output() writes and a reader maps.
// Any other kind is the host kernel's affair.
//
//     PerfEvent ── ring ──> control page | data, 2^n pages       mapped by the reader as one
//        cpu, enabled, what a record holds
//
//     control page (perf_event_mmap_page):  data_head  +1024   written here, read by the reader
//                                           data_tail  +1032   written by the reader, read here
//                                           data_offset, data_size  +1040, +1048
//     record: [ type, misc, size | fields that sample_type asks for | raw size | bytes, zeros to 8 ]
//
// A ring exists while it is mapped. Mapped without PROT_WRITE there is no tail: old records are
// overwritten. Otherwise a record that does not fit is counted, and the next that fits is preceded by a
// PERF_RECORD_LOST.
//
// Writers. An event takes output from its own CPU only, so writers on one ring nest (interrupts, NMIs) and
// never run side by side. Each reserves by a compare-and-exchange on `head`; the outermost publishes
// data_head when all that it or its interrupters reserved is written:
//
//     writer                                       reader
//     nest + 1; reserve; write the record          head = data_head   (acquire)
//     nest was 0: data_head = head  (release)      ... records up to head
//                 nest - 1; head moved? again      data_tail = head   (release)
//
// Wake-ups are due every wakeup_events records or, as well, every half ring; the outermost writer sends
// them. poll() takes the readiness that it reports, as Linux's does: one wake-up, one answer.
//
// Lifetime. Descriptors and slots of maps count references; mappings count the ring. Both are freed after a
// grace period. Contexts: perf_event_output() any, pinned, inside an RCU read section; the rest process.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/result.h"

namespace barebpf {

struct Map;

// perf_event.cc's; readers of the code need the layout only.
struct PerfRing {
    host::MappedPages pages;
    host::Atomic<u32> mappings{};  // 0: going away
    host::Atomic<u32> nest{};
    host::Atomic<u64> head{};  // of what is reserved
    host::Atomic<u64> lost{};
    host::Atomic<u64> wakeup_at{};  // as far as wake-ups for the watermark went
    host::Atomic<u32> records{};    // since the last wake-up for wakeup_events
    host::Atomic<u32> wakeup_due{};
    u64 data_size = 0;
    u64 watermark = 0;
    bool overwrite = false;
    host::RcuHead rcu;
};

// What perf_event_open(2) asked for.
struct PerfEventSetup {
    u32 cpu;
    u64 sample_type;  // PERF_SAMPLE_*
    u32 wakeup;       // records, or bytes if by_watermark
    bool by_watermark;
    bool enabled;
};

struct PerfEvent : host::FileObject {
    PerfEventSetup setup{};
    u64 id = 0;
    host::Atomic<u32> refs{};
    host::Atomic<u32> enabled{};
    host::Atomic<u32> ready{};  // a wake-up that no poll() has reported yet
    host::RcuPointer<PerfRing> ring;
    host::WaitQueue queue;
    host::RcuHead rcu;
};

// A descriptor. Inval: a CPU that is not possible, or a sample_type that is not built; Acces; NoMem.
Result<int> perf_event_create(const PerfEventSetup& setup);
// PERF_EVENT_IOC_* on a descriptor: ENABLE, DISABLE, RESET, ID. BadF: not one of these; Inval.
Result<s64> perf_event_ioctl(int fd, u32 command, u64 argument);
Result<PerfEvent*> perf_event_get_by_fd(int fd);  // counted; BadF: not one of these
void perf_event_put(PerfEvent* event);

// The payload of a record: two parts, put one behind the other.
struct PerfPayload {
    const void* data;
    u32 size;
    const void* more;
    u32 more_size;
};
// 0; OpNotSupp: not enabled, or of another CPU; NoSpc: no room, or not mapped; TooBig: 64 KiB and more.
s64 perf_event_output(PerfEvent* event, const PerfPayload& payload);

// perf_event_array.cc: the same for the event in a slot of a map; index may be BPF_F_CURRENT_CPU. TooBig: no
// such slot; NoEnt: an empty one.
s64 perf_event_array_output(Map* map, u32 index, const PerfPayload& payload);

}  // namespace barebpf
