// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Captures: packets in, packets out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct pcap;
struct pcap_dumper;

namespace barebpf::cli {

struct Packet {
    uint64_t number;  // from 1
    const uint8_t* data;
    uint32_t size;           // bytes that were recorded
    uint32_t original_size;  // bytes that were on the wire
    int64_t seconds;
    int64_t fraction;  // micro- or nanoseconds, as the capture has them
};

class Capture {
public:
    // path "-": standard input. Throws Failure for what is no capture of Ethernet frames.
    explicit Capture(const std::string& path);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // False: the end, or damage() says what is wrong behind the last packet.
    bool next(Packet* packet);
    const std::string& damage() const { return damage_; }
    bool has_nanoseconds() const { return nanoseconds_; }
    // Between 0 and 1; 0 where it cannot be known.
    double progress() const;

private:
    std::string path_;
    pcap* pcap_ = nullptr;
    bool nanoseconds_ = false;
    int64_t file_size_ = 0;
    uint64_t number_ = 0;
    std::string damage_;
};

class CaptureWriter {
public:
    // Throws Failure, also if path is the capture that is being read.
    CaptureWriter(const std::string& path, const std::string& input_path, bool nanoseconds);
    ~CaptureWriter();
    CaptureWriter(const CaptureWriter&) = delete;
    CaptureWriter& operator=(const CaptureWriter&) = delete;

    void write(const Packet& like, const uint8_t* data, uint32_t size, uint32_t original_size);
    uint64_t written() const { return written_; }
    void finish();  // throws Failure if the file is not complete

private:
    std::string path_;
    pcap* pcap_ = nullptr;
    pcap_dumper* dumper_ = nullptr;
    uint64_t written_ = 0;
};

}  // namespace barebpf::cli
