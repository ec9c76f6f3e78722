// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/run_program.h"

#include "kernel/barebpf.h"
#include "kernel/lib/text.h"
#include "testkit/bundle/cpio.h"
#include "testkit/bundle/load.h"
#include "testkit/bundle/run_capture.h"
#include "testkit/guest/arch.h"
#include "testkit/machine.h"

namespace barebpf::guest {

namespace {

constexpr u32 kLogSize = 1 << 16;
char verifier_log[kLogSize];

u32 failed(const char* what, const char* why) {
    char text[320];
    TextBuffer line(text);
    line.print("guest: ", what, ": ", why);
    print_line(line.c_str());
    return 1;
}

void print_log() {
    console_write(verifier_log, __builtin_strlen(verifier_log));
}

u32 run_files(const bundle::CpioFile& packed, const bundle::CpioFile& capture, const char* name) {
    char text[256];
    TextBuffer error(text);
    bundle::Bundle loaded([](int fd) { machine::close_fd(fd); });
    if (!loaded.load(packed.data, packed.size, &error, verifier_log, kLogSize)) {
        print_log();
        return failed("program.bundle", text);
    }
    const bundle::Object* program = bundle::choose_program(loaded, name, &error);
    if (!program) return failed("run", text);
    if (!bundle::run_capture(loaded, *program, capture.data, capture.size, console_write, &error))
        return failed("capture.pcap", text);
    return 0;
}

}  // namespace

u32 run_program(const Arguments& arguments) {
    const char* engine = arguments.value("engine");
    const bool jit = !engine || __builtin_strcmp(engine, "jit") == 0;
    if (!jit && __builtin_strcmp(engine, "interpreter") != 0)
        return failed("engine", "jit or interpreter");
    const Initrd disk = initrd();
    if (!disk.size) return failed("run", "needs an initial RAM disk");
    char text[256];
    TextBuffer error(text);
    bundle::Cpio files;
    if (!files.open(disk.data, disk.size, &error)) return failed("initial RAM disk", text);
    bundle::CpioFile packed, capture;
    if (!files.find("program.bundle", &packed))
        return failed("initial RAM disk", "there is no program.bundle in it");
    if (!files.find("capture.pcap", &capture))
        return failed("initial RAM disk", "there is no capture.pcap in it");

    if (!init().ok()) return failed("run", "no memory for the library");
    enable_jit(jit);
    const char* name = arguments.value("run");
    const u32 status = run_files(packed, capture, name ? name : "");
    shutdown();
    return status;
}

}  // namespace barebpf::guest
