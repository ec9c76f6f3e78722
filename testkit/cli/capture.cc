// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/capture.h"

#include <pcap/pcap.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "testkit/cli/errors.h"

namespace barebpf::cli {

namespace {

constexpr uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr int kSnapLength = 262144;

// Of a classic capture with microseconds; pcapng and standard input are read with nanoseconds.
bool counts_microseconds(const std::string& path) {
    uint32_t magic = 0;
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(&magic), sizeof magic);
    return magic == kMicroseconds || magic == __builtin_bswap32(kMicroseconds);
}

std::string without_path(std::string message, const std::string& path) {
    if (message.rfind(path + ": ", 0) == 0) message.erase(0, path.size() + 2);
    return message;
}

void check_link_type(pcap_t* pcap, const std::string& path) {
    const int type = pcap_datalink(pcap);
    if (type == DLT_EN10MB) return;
    const char* name = pcap_datalink_val_to_description(type);
    const std::string what = path + ": its packets are not Ethernet frames but " +
                             (name ? std::string(name) : "of link type " + std::to_string(type));
    const bool bare = type == DLT_RAW || type == DLT_IPV4 || type == DLT_IPV6;
    throw Failure(what,
                  bare ? "put a link header before each: tcprewrite --dlt=enet "
                         "--enet-dmac=00:00:00:00:00:02 --enet-smac=00:00:00:00:00:01 -i IN -o OUT"
                       : "record on one Ethernet interface: tcpdump -i eth0 -w OUT (not -i any)");
}

}  // namespace

Capture::Capture(const std::string& path) : path_(path) {
    char error[PCAP_ERRBUF_SIZE] = "";
    nanoseconds_ = path == "-" || !counts_microseconds(path);
    pcap_ = pcap_open_offline_with_tstamp_precision(
        path.c_str(), nanoseconds_ ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO,
        error);
    if (!pcap_)
        throw Failure(path + ": " + without_path(error, path),
                      "captures are written by: tcpdump -i eth0 -w packets.pcap");
    try {
        check_link_type(pcap_, path);
    } catch (...) {
        pcap_close(pcap_);
        throw;
    }
    struct stat status;
    if (path != "-" && stat(path.c_str(), &status) == 0) file_size_ = status.st_size;
}

Capture::~Capture() {
    pcap_close(pcap_);
}

bool Capture::next(Packet* packet) {
    pcap_pkthdr* header;
    const u_char* data;
    const int status = pcap_next_ex(pcap_, &header, &data);
    if (status == 1) {
        *packet = {++number_,         data, header->caplen, header->len, header->ts.tv_sec,
                   header->ts.tv_usec};
        return true;
    }
    if (status == PCAP_ERROR)
        damage_ = path_ + ": packet " + std::to_string(number_ + 1) +
                  " cannot be read: " + pcap_geterr(pcap_);
    return false;
}

double Capture::progress() const {
    if (!file_size_) return 0;
    return static_cast<double>(ftell(pcap_file(pcap_))) / static_cast<double>(file_size_);
}

namespace {

bool is_same_file(const std::string& a, const std::string& b) {
    struct stat first, second;
    return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

CaptureWriter::CaptureWriter(const std::string& path, const std::string& input_path,
                             bool nanoseconds)
    : path_(path) {
    if (is_same_file(path, input_path))
        throw UsageError("--out " + path + " is the capture that is read", "name another file");
    pcap_ = pcap_open_dead_with_tstamp_precision(
        DLT_EN10MB, kSnapLength,
        nanoseconds ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
    dumper_ = pcap_ ? pcap_dump_open(pcap_, path.c_str()) : nullptr;
    if (dumper_) return;
    const std::string why = pcap_ ? without_path(pcap_geterr(pcap_), path) : "no memory";
    if (pcap_) pcap_close(pcap_);
    throw Failure("--out " + path + ": " + why);
}

CaptureWriter::~CaptureWriter() {
    if (dumper_) pcap_dump_close(dumper_);
    pcap_close(pcap_);
}

void CaptureWriter::write(const Packet& like, const uint8_t* data, uint32_t size,
                          uint32_t original_size) {
    pcap_pkthdr header = {};
    header.ts.tv_sec = like.seconds;
    header.ts.tv_usec = like.fraction;
    header.caplen = size;
    header.len = original_size;
    pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, data);
    ++written_;
}

void CaptureWriter::finish() {
    if (pcap_dump_flush(dumper_) != 0 || ferror(pcap_dump_file(dumper_)))
        throw Failure("--out " + path_ + ": " + std::strerror(errno), "is the disk full?");
}

}  // namespace barebpf::cli
