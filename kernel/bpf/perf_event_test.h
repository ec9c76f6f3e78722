// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A reader of perf rings for tests.
#pragma once

#include <cstring>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/perf_event_ring.h"

namespace barebpf::test {

struct PerfRecord {
    u32 type;
    std::vector<u8> body;  // behind the header

    u64 word(u32 i) const {
        u64 value = 0;
        std::memcpy(&value, body.data() + 8 * i, 8);
        return value;
    }
};

// An event of this CPU and what a process would do with its descriptor.
class PerfReader {
public:
    explicit PerfReader(u64 sample_type = kSampleRaw, u32 wakeup = 1, bool by_watermark = false)
        : PerfReader({host::cpu_id(), sample_type, wakeup, by_watermark, true}) {}
    explicit PerfReader(const PerfEventSetup& setup) {
        const auto made = perf_event_create(setup);
        EXPECT_TRUE(made.ok());
        fd = made.value();
        event = perf_event_get_by_fd(fd).release();
    }
    ~PerfReader() {
        unmap();
        perf_event_put(event);
        OurBpf::close(fd);
        host::rcu_barrier();
    }
    Errno map(u32 data_pages, bool writable = true) {
        request_ = {0, (1 + u64{data_pages}) * host::kPageSize, writable, true, false};
        const auto mapped = event->file_ops->mmap(event, request_);
        if (!mapped) return mapped.error();
        mapped_ = true;
        ring = event->ring.dereference();
        return Errno{};
    }
    void unmap() {
        if (mapped_) event->file_ops->munmapped(event, request_);
        mapped_ = false;
    }
    u64 head() const {
        return host::atomic_at<u64>(control_at(ring, kControlDataHead)).load(host::Order::Acquire);
    }
    // Calls visit(type, body, size) with each record up to the head, its body copied; the tail follows.
    template <class Visit>
    void each(Visit visit) {
        const u64 end = head();
        while (tail_ < end) {
            PerfRecordHeader header;
            copy(&header, tail_, sizeof header);
            if (header.size < sizeof header || header.size % 8 || tail_ + header.size > end) {
                ADD_FAILURE() << "a record of " << header.size << " bytes";
                break;
            }
            u8 body[512];
            const u32 size = header.size - u32{sizeof header};
            if (size > sizeof body) {
                ADD_FAILURE() << "a record of " << size << " bytes: longer than any test's";
                break;
            }
            copy(body, tail_ + sizeof header, size);
            visit(header.type, body, size);
            tail_ += header.size;
        }
        host::atomic_at<u64>(control_at(ring, kControlDataTail)).store(tail_, host::Order::Release);
    }
    // The same as a list.
    std::vector<PerfRecord> read() {
        std::vector<PerfRecord> records;
        each([&](u32 type, const u8* body, u32 size) {
            records.push_back({type, std::vector<u8>(body, body + size)});
        });
        return records;
    }
    s64 write(const void* data, u32 size) {
        host::RcuReadGuard rcu;
        return perf_event_output(event, {data, size, nullptr, 0});
    }
    u32 poll() { return event->file_ops->poll(event); }

    int fd;
    PerfEvent* event;
    PerfRing* ring = nullptr;

private:
    void copy(void* to, u64 position, u64 size) {
        const u8* data = control_at(ring, host::kPageSize);
        for (u64 i = 0; i < size; ++i) {
            static_cast<u8*>(to)[i] = data[(position + i) & (ring->data_size - 1)];
        }
    }

    host::MmapRequest request_{};
    bool mapped_ = false;
    u64 tail_ = 0;
};

}  // namespace barebpf::test
