// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/readers.h"

#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <map>

#include "kernel/bpf/perf_event.h"
#include "kernel/bpf/ringbuf.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/maps.h"
#include "testkit/cli/output.h"
#include "testkit/cli/record_types.h"

namespace barebpf::cli {

namespace {

constexpr size_t kPerfPages = 64;  // of a CPU, a power of two

// Bytes in a ring buffer that nobody has read.
uint64_t unread_bytes(int fd) {
    host::Cpu::Entry inside;
    const auto ref = map_get_by_fd(fd);
    if (!ref.ok()) return 0;
    const uint64_t bytes = ring_available(static_cast<RingMap*>(ref.value().map)->ring);
    map_put(ref.value().map);
    return bytes;
}

struct PerfLoss {
    int cpu = 0;
    uint64_t lost = 0;
};

// What was lost since the last record: the ring itself tells it only with the next.
PerfLoss pending_loss(int fd) {
    host::Cpu::Entry inside;
    const auto found = perf_event_get_by_fd(fd);
    if (!found.ok()) return {};
    PerfEvent* event = found.value();
    PerfLoss loss = {static_cast<int>(event->setup.cpu), 0};
    {
        host::RcuReadGuard rcu;
        if (const PerfRing* ring = event->ring.dereference())
            loss.lost = ring->lost.load(host::Order::Relaxed);
    }
    perf_event_put(event);
    return loss;
}

}  // namespace

class RecordReaders::Reader {
public:
    explicit Reader(std::string name) : name_(std::move(name)) {}
    virtual ~Reader() = default;

    // out: null if nobody wants to see them.
    void read(uint64_t packet, std::vector<Record>* out) {
        packet_ = packet;
        out_ = out;
        const int result = consume();
        if (problem_) std::rethrow_exception(problem_);
        if (result < 0)
            throw Failure(name_ + ": its records cannot be read: " + errno_name(-result));
    }
    virtual double fill() const = 0;

protected:
    virtual int consume() = 0;

    // C code is between who throws and who catches.
    bool add(int cpu, const void* data, size_t size, uint64_t lost) {
        if (!out_) return true;
        try {
            const auto* bytes = static_cast<const uint8_t*>(data);
            out_->push_back({packet_, name_, cpu, {bytes, bytes + size}, lost, nullptr, 0});
        } catch (...) {
            problem_ = std::current_exception();
        }
        return !problem_;
    }

    [[noreturn]] void cannot_open() const {
        throw Failure(name_ + ": it gets no reader: " + errno_name(errno));
    }

private:
    std::string name_;
    uint64_t packet_ = 0;
    std::vector<Record>* out_ = nullptr;
    std::exception_ptr problem_;
};

class RecordReaders::RingReader : public Reader {
public:
    explicit RingReader(const bpf_map* map)
        : Reader(shown_name(map)), fd_(bpf_map__fd(map)), size_(bpf_map__max_entries(map)) {
        ring_.reset(ring_buffer__new(fd_, take, this, nullptr));
        if (!ring_) cannot_open();
    }
    double fill() const override {
        return static_cast<double>(unread_bytes(fd_)) / static_cast<double>(size_);
    }

private:
    struct Closer {
        void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
    };
    int consume() override { return ring_buffer__consume(ring_.get()); }
    static int take(void* self, void* data, size_t size) {
        return static_cast<RingReader*>(self)->add(-1, data, size, 0) ? 0 : -ENOMEM;
    }

    int fd_;
    uint32_t size_;
    std::unique_ptr<ring_buffer, Closer> ring_;
};

class RecordReaders::PerfReader : public Reader {
public:
    explicit PerfReader(const bpf_map* map) : Reader(shown_name(map)) {
        perf_event_attr attr = {};
        attr.size = sizeof attr;
        attr.type = PERF_TYPE_SOFTWARE;
        attr.config = PERF_COUNT_SW_BPF_OUTPUT;
        attr.sample_type = PERF_SAMPLE_RAW;
        attr.sample_period = 1;
        // Nobody sleeps: wake-ups would only cost the program time.
        attr.watermark = 1;
        attr.wakeup_watermark = UINT32_MAX;
        perf_.reset(perf_buffer__new_raw(bpf_map__fd(map), kPerfPages, &attr, take, this, nullptr));
        if (!perf_) cannot_open();
        for (size_t i = 0; i < perf_buffer__buffer_cnt(perf_.get()); ++i) {
            const PerfLoss none = pending_loss(perf_buffer__buffer_fd(perf_.get(), i));
            told_[none.cpu] = pending_[none.cpu] = 0;
        }
    }
    double fill() const override {
        const auto size = static_cast<double>(kPerfPages) * static_cast<double>(getpagesize());
        double most = 0;
        for (size_t i = 0; i < perf_buffer__buffer_cnt(perf_.get()); ++i) {
            void* memory;
            size_t length;
            if (perf_buffer__buffer(perf_.get(), static_cast<int>(i), &memory, &length)) continue;
            const auto* page = static_cast<const perf_event_mmap_page*>(memory);
            most = std::max(most, static_cast<double>(page->data_head - page->data_tail) / size);
        }
        return most;
    }

private:
    struct Closer {
        void operator()(perf_buffer* perf) const { perf_buffer__free(perf); }
    };

    int consume() override {
        for (auto& [cpu, lost] : told_) lost = 0;
        const int result = perf_buffer__consume(perf_.get());
        for (size_t i = 0; result >= 0 && i < perf_buffer__buffer_cnt(perf_.get()); ++i) {
            const PerfLoss now = pending_loss(perf_buffer__buffer_fd(perf_.get(), i));
            const uint64_t lost = told_[now.cpu] + now.lost - pending_[now.cpu];
            pending_[now.cpu] = now.lost;
            if (lost) add(now.cpu, nullptr, 0, lost);
        }
        return result;
    }

    static bpf_perf_event_ret take(void* argument, int cpu, perf_event_header* header) {
        auto* self = static_cast<PerfReader*>(argument);
        const auto* bytes = reinterpret_cast<const uint8_t*>(header + 1);
        if (header->type == PERF_RECORD_LOST) {
            uint64_t lost;  // behind the event's number
            std::memcpy(&lost, bytes + sizeof(uint64_t), sizeof lost);
            self->told_[cpu] += lost;
        } else if (header->type == PERF_RECORD_SAMPLE) {
            uint32_t size;
            std::memcpy(&size, bytes, sizeof size);
            if (!self->add(cpu, bytes + sizeof size, size, 0)) return LIBBPF_PERF_EVENT_ERROR;
        }
        return LIBBPF_PERF_EVENT_CONT;
    }

    std::unique_ptr<perf_buffer, Closer> perf_;
    // Lost records by CPU: of which a record told now, and that were counted without one.
    std::map<int, uint64_t> told_, pending_;
};

RecordReaders::RecordReaders(const Object& object) {
    for (const bpf_map* map : object.maps()) {
        if (bpf_map__fd(map) < 0) continue;  // not to be created
        if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
            readers_.push_back(std::make_unique<RingReader>(map));
        else if (bpf_map__type(map) == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
            readers_.push_back(std::make_unique<PerfReader>(map));
    }
}

RecordReaders::~RecordReaders() = default;

std::vector<Record> RecordReaders::drain(uint64_t packet) {
    std::vector<Record> records;
    for (const auto& reader : readers_) reader->read(packet, &records);
    return records;
}

void RecordReaders::discard() {
    for (const auto& reader : readers_) reader->read(0, nullptr);
}

double RecordReaders::fill() const {
    double most = 0;
    for (const auto& reader : readers_) most = std::max(most, reader->fill());
    return most;
}

}  // namespace barebpf::cli
