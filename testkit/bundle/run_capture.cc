// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/run_capture.h"

#include "kernel/barebpf.h"
#include "kernel/host/log.h"
#include "testkit/bundle/map_dump.h"
#include "testkit/bundle/pcap.h"
#include "testkit/bundle/ring_records.h"
#include "testkit/machine.h"
#include "uapi/linux/bpf.h"

namespace barebpf::bundle {

namespace {

constexpr u32 kOutSize = 1 << 18;  // the largest packet there can be, and what was added to it
constexpr u32 kLinkHeader = 14;
constexpr u64 kMaxTraceLines = 10'000;
constexpr u64 kMaxRecords = 10'000;

u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

bool is_tc(u32 type) {
    return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SCHED_ACT;
}

bool runs_on_packets(u32 type) {
    return type == BPF_PROG_TYPE_XDP || type == BPF_PROG_TYPE_SOCKET_FILTER || is_tc(type);
}

// How often something came, by a number: sorted, and as long as it has to be.
struct Count {
    s64 value;
    u64 packets;
    u64 first, first_size;  // number and size of the first packet
};

class Counts {
public:
    bool add(s64 value, const PcapPacket& packet) {
        size_t at = 0;
        while (at < count_ && counts_[at].value < value) ++at;
        if (at == count_ || counts_[at].value != value) {
            if (count_ == counts_.size() && !grow()) return false;
            for (size_t i = count_++; i > at; --i) counts_[i] = counts_[i - 1];
            counts_[at] = {value, 0, packet.number, packet.size};
        }
        ++counts_[at].packets;
        return true;
    }
    const Count* begin() const { return counts_.data(); }
    const Count* end() const { return counts_.data() + count_; }

private:
    bool grow() {
        host::Buffer<Count> larger;
        if (!larger.allocate(count_ ? 2 * count_ : 8, host::AllocContext::MaySleep, memory_))
            return false;
        for (size_t i = 0; i < count_; ++i) larger[i] = counts_[i];
        counts_ = move(larger);
        return true;
    }
    size_t count_ = 0;
    host::MemoryOwner memory_;
    host::Buffer<Count> counts_;
};

// Lines of bpf_trace_printk(), which come from within a run. There is one log, hence one of these.
struct Trace {
    void (*write)(const char* text, size_t length);
    u64 packet;
    u64 lines;
};
constinit Trace trace{};

void keep_line(host::LogLevel level, const char* text, size_t length) {
    if (level != host::LogLevel::Trace || ++trace.lines > kMaxTraceLines) return;
    RawText out(trace.write);
    out.begin("trace");
    out.add(trace.packet);
    out.add_hex(text, length);
    out.end();
}

// What the program wrote to one ring buffer.
struct RecordPrinter : RecordVisitor {
    RawText* out;
    Bytes map;
    u64 packet;
    u64* records;
};

void print_record(RecordVisitor* self, const void* data, u32 size) {
    const auto* printer = static_cast<RecordPrinter*>(self);
    if (++*printer->records > kMaxRecords) return;
    printer->out->begin("record");
    printer->out->add(printer->packet);
    printer->out->add_name(printer->map);
    printer->out->add_hex(data, size);
    printer->out->end();
}

class Run {
public:
    Run(const Bundle& bundle, const Object& program, void (*write)(const char* text, size_t length))
        : bundle_(bundle), program_(program), out_(write) {}

    bool run_all(PcapReader* capture) {
        if (!data_.allocate(kOutSize, host::AllocContext::MaySleep, memory_)) return false;
        print_heading();
        PcapPacket packet;
        while (capture->next(&packet)) {
            trace.packet = packet.number;
            if (!run_one(packet)) return false;
            print_records(packet.number);
        }
        print_counts(*capture);
        if (!dump_maps(bundle_, &out_)) return false;
        out_.begin("end");
        out_.end();
        return true;
    }

private:
    bool run_one(const PcapPacket& packet) {
        bpf_attr attr{};
        attr.test.prog_fd = static_cast<u32>(program_.fd);
        attr.test.data_in = address(packet.data);
        attr.test.data_size_in = packet.size;
        attr.test.data_out = address(data_.data());
        attr.test.data_size_out = kOutSize;
        attr.test.repeat = 1;
        ++packets_;
        bytes_ += packet.size;
        const s64 result = bpf_syscall(BPF_PROG_TEST_RUN, address(&attr), sizeof attr);
        if (result < 0) return errors_.add(-result, packet);
        const u32 returned = attr.test.retval;
        const s64 verdict = is_tc(program_.type) ? s64{static_cast<s32>(returned)} : s64{returned};
        // A socket filter changes nothing; it says how much it accepts, without the link header.
        if (program_.type == BPF_PROG_TYPE_SOCKET_FILTER)
            shortened_ += verdict && verdict + kLinkHeader < packet.size;
        else
            changed_ += attr.test.data_size_out != packet.size ||
                        __builtin_memcmp(data_.data(), packet.data, packet.size) != 0;
        return verdicts_.add(verdict, packet);
    }

    // As they come, so that the rings never fill up over more than a packet.
    void print_records(u64 packet) {
        for (u32 i = 0; i < bundle_.object_count(); ++i) {
            const Object& map = bundle_.object(i);
            if (map.kind != Kind::Map || map.type != BPF_MAP_TYPE_RINGBUF) continue;
            RecordPrinter printer{{print_record}, &out_, map.name, packet, &records_};
            take_ring_records(map.fd, &printer);
        }
    }

    bool is_jited() {
        bpf_prog_info info{};
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<u32>(program_.fd);
        attr.info.info = address(&info);
        attr.info.info_len = sizeof info;
        bpf_syscall(BPF_OBJ_GET_INFO_BY_FD, address(&attr), sizeof attr);
        return info.jited_prog_len != 0;
    }

    void print_heading() {
        out_.begin("program");
        out_.add_name(program_.name);
        out_.add(program_.type);
        out_.add(is_jited() ? "jit" : "interpreter");
        out_.end();
    }

    void print_counts(const PcapReader& capture) {
        if (trace.lines > kMaxTraceLines) {
            out_.begin("trace_dropped");
            out_.add(trace.lines - kMaxTraceLines);
            out_.end();
        }
        if (records_ > kMaxRecords) {
            out_.begin("records_dropped");
            out_.add(records_ - kMaxRecords);
            out_.end();
        }
        out_.begin("packets");
        const u64 totals[] = {packets_, bytes_, changed_, shortened_};
        for (u64 number : totals) out_.add(number);
        out_.end();
        for (const Count& count : verdicts_) {
            out_.begin("verdict");
            out_.add(count.value);
            out_.add(count.packets);
            out_.end();
        }
        for (const Count& count : errors_) {
            out_.begin("error");
            out_.add(count.value);
            const u64 numbers[] = {count.packets, count.first, count.first_size};
            for (u64 number : numbers) out_.add(number);
            out_.end();
        }
        if (!capture.damaged()) return;
        out_.begin("damaged");
        out_.add(capture.damaged());
        out_.end();
    }

    const Bundle& bundle_;
    const Object& program_;
    RawText out_;
    host::MemoryOwner memory_;
    host::Buffer<u8> data_;
    u64 packets_ = 0, bytes_ = 0, changed_ = 0, shortened_ = 0, records_ = 0;
    Counts verdicts_, errors_;
};

}  // namespace

const Object* choose_program(const Bundle& bundle, const char* name, TextBuffer* error) {
    const Object* chosen = nullptr;
    if (*name) {
        chosen = bundle.program({name, __builtin_strlen(name)});
    } else {
        for (u32 i = 0; i < bundle.object_count() && !chosen; ++i) {
            const Object& object = bundle.object(i);
            if (object.kind == Kind::Program && runs_on_packets(object.type)) chosen = &object;
        }
    }
    if (!chosen)
        error->print("the bundle has no program ", *name ? name : "that runs on packets");
    else if (!runs_on_packets(chosen->type))
        error->print("program ", name, " does not run on packets");
    else
        return chosen;
    return nullptr;
}

bool run_capture(const Bundle& bundle, const Object& program, const void* capture, size_t size,
                 void (*write)(const char* text, size_t length), TextBuffer* error) {
    PcapReader reader;
    if (!reader.open(capture, size, error)) return false;
    trace = {write, 0, 0};
    machine::set_log_callback(keep_line);
    const bool good = Run(bundle, program, write).run_all(&reader);
    machine::set_log_callback(nullptr);
    if (!good) error->print("no memory");
    return good;
}

}  // namespace barebpf::bundle
