// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf run: every packet of a capture through a program.
#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>

#include "testkit/cli/capture.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/object.h"
#include "testkit/cli/options.h"
#include "testkit/cli/raw_result.h"
#include "testkit/cli/readers.h"
#include "testkit/cli/record_types.h"
#include "testkit/cli/rejection.h"
#include "testkit/cli/run_result.h"
#include "testkit/cli/verdict.h"

namespace barebpf::cli {

namespace {

constexpr size_t kOutSize = 1 << 18;  // the largest packet there can be, and what was added to it

// A line on a terminal that is written over and over, and gone at the end.
class Progress {
public:
    explicit Progress(const char* what) : what_(what), shown_(isatty(STDERR_FILENO)) {}
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Something else is about to be written.
    void clear() {
        if (begun_) std::fprintf(stderr, "\r\033[K");
    }

    void at(const Capture& capture, uint64_t packet) {
        if (!shown_ || packet % 256) return;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return;
        next_ = now + std::chrono::milliseconds(200);
        begun_ = true;
        std::fprintf(stderr, "\r\033[K%s: packet %s", what_, grouped(packet).c_str());
        if (capture.progress() > 0) std::fprintf(stderr, ", %.0f %%", 100 * capture.progress());
    }

private:
    const char* what_;
    bool shown_;
    bool begun_ = false;
    // The first line comes when it takes longer than a moment.
    std::chrono::steady_clock::time_point next_ =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
};

class Runner {
public:
    Runner(const Object& object, bpf_program* program, RunResult* result)
        : readers_(object), fd_(bpf_program__fd(program)), result_(result), out_(kOutSize) {
        result_->object_path = object.path();
        result_->program = bpf_program__name(program);
        result_->type = bpf_program__type(program);
        result_->type_text = type_name(program);
        bpf_prog_info info = {};
        uint32_t size = sizeof info;
        if (bpf_obj_get_info_by_fd(fd_, &info, &size) == 0) result_->jited = info.jited_prog_len;
    }

    // Once each: what counts.
    void run_all(Capture& capture, CaptureWriter* writer, RecordSink* records) {
        Progress progress("running");
        Packet packet;
        while (capture.next(&packet)) {
            trace_packet(packet.number);
            run_one(packet, writer);
            std::vector<Record> written = readers_.drain(packet.number);
            if (records->prints(written)) progress.clear();
            records->take(std::move(written));
            progress.at(capture, packet.number);
        }
        trace_packet(0);
        result_->damage = capture.damage();
    }

    // Again, many times each, only for the time it takes: results and maps were read before.
    void time_all(const std::string& path, uint32_t repeat) {
        Capture capture(path);
        Progress progress("measuring");
        Packet packet;
        result_->timed = 0;
        result_->nanoseconds = 0;
        while (capture.next(&packet)) {
            double nanoseconds = 0;
            if (time_one(packet, repeat, &nanoseconds)) add_time(nanoseconds);
            progress.at(capture, packet.number);
        }
    }

private:
    // The mean of that many runs. Rings that fill up would make the program take another way, so what is in them
    // is thrown away in time, between steps of as many runs as fill no ring by more than half.
    bool time_one(const Packet& packet, uint32_t repeat, double* nanoseconds) {
        for (uint32_t done = 0, step = readers_.empty() ? repeat : 1; done < repeat;) {
            step = std::min(step, repeat - done);
            LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data,
                        .data_size_in = packet.size, .repeat = static_cast<int>(step));
            if (bpf_prog_test_run_opts(fd_, &options)) return false;
            *nanoseconds += static_cast<double>(options.duration) * step / repeat;
            done += step;
            const double fill = readers_.fill();
            readers_.discard();
            if (fill <= 0.25)
                step *= 2;
            else if (fill > 0.5 && step > 1)
                step /= 2;
        }
        return true;
    }

    void add_time(double nanoseconds) {
        ++result_->timed;
        result_->nanoseconds += nanoseconds;
    }

    void run_one(const Packet& packet, CaptureWriter* writer) {
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .data_out = out_.data(),
                    .data_size_in = packet.size, .data_size_out = kOutSize, .repeat = 1);
        ++result_->packets;
        result_->bytes += packet.size;
        if (bpf_prog_test_run_opts(fd_, &options)) {
            RunError& error = result_->errors[errno];
            if (++error.packets == 1) {
                error.first = packet.number;
                error.first_size = packet.size;
            }
            return;
        }
        add_time(options.duration);
        const int64_t verdict = verdict_value(result_->type, options.retval);
        ++result_->verdicts[verdict];
        // A socket filter changes nothing, and sees nothing of the link header.
        const bool filter = result_->type == BPF_PROG_TYPE_SOCKET_FILTER;
        const uint8_t* data = filter ? packet.data : out_.data();
        const uint32_t size = filter ? packet.size : options.data_size_out;
        result_->changed += size != packet.size || std::memcmp(data, packet.data, size) != 0;
        const uint32_t passed = passed_bytes(result_->type, verdict, size);
        result_->shortened += passed && passed < size;
        // On the wire it was longer by what was not recorded.
        if (writer && passed)
            writer->write(packet, data, passed, size + (packet.original_size - packet.size));
    }

    RecordReaders readers_;
    int fd_;
    RunResult* result_;
    std::vector<uint8_t> out_;
};

RecordSink make_sink(const RecordTypes& types, const Arguments& arguments) {
    const bool print = !arguments.json() && !arguments.has("raw");
    const auto mode = print ? RecordSink::Mode::Print : RecordSink::Mode::Keep;
    return {types, mode,
            arguments.number("records", 0, UINT64_MAX, print ? kRecordsShown : kMaxRecords)};
}

bpf_program* choose(const Object& object, const std::optional<std::string>& name,
                    RunResult* result) {
    bpf_program* chosen = nullptr;
    if (name) {
        chosen = object.program(*name);
        if (!runs_on_packets(bpf_program__type(chosen)))
            throw Failure(object.path() + ": " + *name + " is a program of type " +
                              type_name(chosen) + ": packets are not what it runs on",
                          "run takes xdp, sched_cls (tc), sched_act and socket_filter programs");
        return chosen;
    }
    for (bpf_program* program : object.programs()) {
        if (!runs_on_packets(bpf_program__type(program))) continue;
        if (chosen)
            result->others.emplace_back(bpf_program__name(program));
        else
            chosen = program;
    }
    if (!chosen)
        throw Failure(object.path() + ": no program in it runs on packets",
                      "run takes xdp, sched_cls (tc), sched_act and socket_filter programs: is the "
                      "SEC() of its functions right?");
    result->chosen_by_us = !result->others.empty();
    return chosen;
}

void print(const RunResult& result, const Arguments& arguments, uint64_t element_limit) {
    if (arguments.json())
        print_json(run_json(result));
    else if (arguments.has("raw"))
        std::printf("%s", run_raw(result).c_str());
    else
        std::printf("%s", run_text(result, element_limit).c_str());
    std::fflush(stdout);
    if (!result.damage.empty())
        std::fprintf(stderr,
                     "barebpf: %s\n    next: what is shown is of the packets before it; record it "
                     "anew, or repair it: tcpdump -r IN -w OUT\n",
                     result.damage.c_str());
}

void run_here(const Arguments& arguments, RunResult* result) {
    Capture capture(
        result->capture_path);  // before the work: what is wrong with it is known at once
    Object object(arguments.operands()[0]);
    bpf_program* program = choose(object, arguments.text("program"), result);
    const RecordTypes types(object, arguments.text("record-type").value_or(""));
    RecordSink records = make_sink(types, arguments);
    if (!object.load()) explain_load_failure(object);

    Runner runner(object, program, result);
    result->out_path = arguments.text("out").value_or("");
    std::optional<CaptureWriter> writer;
    if (!result->out_path.empty())
        writer.emplace(result->out_path, result->capture_path, capture.has_nanoseconds());
    runner.run_all(capture, writer ? &*writer : nullptr, &records);
    result->records = records.finish(0);
    if (writer) writer->finish();
    if (writer) result->written = writer->written();
    result->maps = read_maps(object);
    result->trace = std::move(trace());
    if (result->repeat > 1) runner.time_all(result->capture_path, result->repeat);
}

// The object is loaded for its maps' and programs' types; what they hold was printed by a guest.
void show_guest(const Arguments& arguments, RunResult* result) {
    for (const char* option : {"out", "repeat"})
        if (arguments.has(option))
            throw UsageError(std::string("--") + option + " runs packets, --from-guest does not");
    Object object(arguments.operands()[0]);
    const std::string expected =
        bpf_program__name(choose(object, arguments.text("program"), result));
    const RecordTypes types(object, arguments.text("record-type").value_or(""));
    RecordSink records = make_sink(types, arguments);
    if (!object.load()) explain_load_failure(object);
    result->object_path = object.path();
    read_raw(*arguments.text("from-guest"), object, result);
    if (result->program != expected && arguments.has("program"))
        throw Failure(*arguments.text("from-guest") + ": the guest ran " + result->program +
                      ", not " + expected);
    records.take(std::move(result->records.kept));
    result->records = records.finish(result->records.dropped);
    if (result->program == expected) return;
    result->chosen_by_us = false;
    result->others.clear();
}

int run(const Arguments& arguments) {
    const auto capture_path = arguments.text("pcap");
    if (!capture_path)
        throw UsageError("run needs --pcap FILE",
                         "packets are recorded with: tcpdump -i eth0 -w packets.pcap");
    RunResult result;
    result.capture_path = *capture_path;
    result.repeat = static_cast<uint32_t>(arguments.number("repeat", 1, 1'000'000'000, 1));
    const auto limit = arguments.number("elements", 0, UINT32_MAX, 32);
    if (result.repeat > 1 && *capture_path == "-")
        throw UsageError("--repeat reads the capture twice: it must be a file");
    start_world(wants_jit(arguments));
    if (arguments.has("from-guest"))
        show_guest(arguments, &result);
    else
        run_here(arguments, &result);
    print(result, arguments, limit);
    return result.damage.empty() && result.errors.empty() ? 0 : kExitNo;
}

}  // namespace

const Command& run_command() {
    static const Command command = {
        "run",
        "OBJECT --pcap FILE",
        "runs a program on every packet of a capture: verdicts, maps, records, time",
        "Loads an object file with libbpf, runs one of its programs (XDP, TC or socket filter) on "
        "each\n"
        "packet of a capture, once and in order, and shows the verdicts, what the maps hold then,\n"
        "lines of bpf_trace_printk() and the time a packet takes (of the program alone).\n"
        "Records that it writes to ring buffers and perf events are shown as they come.\n",
        {{"pcap", "FILE", "Ethernet packets, pcap or pcapng; - is standard input"},
         kProgramOption,
         {"out", "FILE", "write the packets that go on, as the program left them"},
         {"repeat", "N", "after that, time N runs of each packet (maps are shown as before)"},
         kEngineOption,
         {"elements", "N", "at most N elements of each map (32)"},
         kRecordTypeOption,
         {"records", "N", "at most N records (100; with --json or --raw 10000)"},
         {"from-guest", "FILE",
          "show what a guest's console says of such a run (testkit/guest/run)"},
         {"raw", nullptr, "the plain form that guests print"},
         kJsonOption},
        "    barebpf run count.bpf.o --pcap packets.pcap\n"
        "    barebpf run firewall.bpf.o --pcap in.pcap --out passed.pcap --program ingress\n"
        "    barebpf run count.bpf.o --pcap packets.pcap --repeat 1000 --engine interpreter\n"
        "    barebpf run events.bpf.o --pcap packets.pcap --record-type events=event\n"
        "    tcpdump -c 1000 -w - | barebpf run count.bpf.o --pcap - --json | jq .verdicts\n",
        1,
        1,
        run};
    return command;
}

}  // namespace barebpf::cli
