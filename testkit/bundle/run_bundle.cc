// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// run_bundle BUNDLE CAPTURE jit|interpreter [PROGRAM]: what testkit/guest/run.cc does in a guest, in a process.
// No libbpf, no libpcap: only what a kernel would have.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "kernel/barebpf.h"
#include "testkit/bundle/load.h"
#include "testkit/bundle/run_capture.h"
#include "testkit/machine.h"

namespace barebpf::bundle {
namespace {

std::string read_file(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_out(const char* text, size_t length) {
    std::fwrite(text, 1, length, stdout);
}

bool run(const std::string& bytes, const std::string& capture, const char* name,
         TextBuffer* error) {
    static char log[1 << 16];
    Bundle bundle([](int fd) { machine::close_fd(fd); });
    if (!bundle.load(bytes.data(), bytes.size(), error, log, sizeof log)) {
        std::fprintf(stderr, "%s", log);
        return false;
    }
    const Object* program = choose_program(bundle, name, error);
    return program &&
           run_capture(bundle, *program, capture.data(), capture.size(), write_out, error);
}

}  // namespace
}  // namespace barebpf::bundle

int main(int count, char** words) {
    using namespace barebpf;  // NOLINT: a program of one function
    if (count < 4) {
        std::fprintf(stderr, "usage: run_bundle BUNDLE CAPTURE jit|interpreter [PROGRAM]\n");
        return 2;
    }
    const std::string bytes = bundle::read_file(words[1]), capture = bundle::read_file(words[2]);
    if (!init().ok()) return 1;
    enable_jit(std::strcmp(words[3], "jit") == 0);
    char text[256];
    TextBuffer error(text);
    const bool good = bundle::run(bytes, capture, count > 4 ? words[4] : "", &error);
    if (!good) std::fprintf(stderr, "run_bundle: %s\n", text);
    shutdown();
    return !good;
}
