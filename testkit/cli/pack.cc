// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf pack: an object as a bundle, for kernels that have no libbpf.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "testkit/bundle/load.h"
#include "testkit/cli/bundle_writer.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/maps.h"
#include "testkit/cli/object.h"
#include "testkit/cli/options.h"
#include "testkit/cli/output.h"
#include "testkit/cli/rejection.h"
#include "testkit/cli/world.h"
#include "testkit/machine.h"

namespace barebpf::cli {

namespace {

ObjectNames names_in(const Object& object) {
    ObjectNames names;
    for (const bpf_map* map : object.maps())
        if (bpf_map__fd(map) >= 0) names.maps[map_id(bpf_map__fd(map))] = shown_name(map);
    for (const bpf_program* program : object.programs())
        if (bpf_program__fd(program) >= 0)
            names.programs[program_id(bpf_program__fd(program))] = bpf_program__name(program);
    return names;
}

// Shown by doing it that it can be loaded.
void try_out(const std::string& path, const Blob& bytes) {
    char text[256];
    TextBuffer error(text);
    bundle::Bundle bundle([](int fd) { machine::close_fd(fd); });
    if (!bundle.load(bytes.data(), bytes.size(), &error))
        throw Failure(path + ": a bundle cannot hold it: " + text);
}

void write_file(const std::string& path, const Blob& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw Failure(path + ": " + std::strerror(errno));
}

void need(BundleWriter* writer, const ObjectNames& names, const bpf_program* only) {
    if (only) return writer->need_program(program_id(bpf_program__fd(only)));
    for (const auto& [id, map] : names.maps) writer->need_map(id);
    for (const auto& [id, program] : names.programs) writer->need_program(id);
}

int pack(const Arguments& arguments) {
    const auto out = arguments.text("out");
    if (!out) throw UsageError("pack needs --out FILE");
    const std::string& path = arguments.operands()[0];
    start_world(false);
    Object object(path);
    const auto name = arguments.text("program");
    const bpf_program* only = name ? object.program(*name) : nullptr;
    Recorder recorder;
    if (!object.load()) explain_load_failure(object);
    if (!recorder.recording().problem.empty())
        throw Failure(path + ": " + recorder.recording().problem);

    const ObjectNames names = names_in(object);
    BundleWriter writer(recorder.recording(), names);
    try {
        need(&writer, names, only);
    } catch (const Failure& failure) {
        throw Failure(path + ": " + failure.what(), failure.next());
    }
    const Blob bytes = writer.write();
    try_out(path, bytes);
    write_file(*out, bytes);

    if (arguments.json())
        print_json({{"file", path},
                    {"out", *out},
                    {"bytes", bytes.size()},
                    {"programs", writer.programs()},
                    {"maps", writer.maps()}});
    else
        std::printf("%s: %s, %s, %s\n", out->c_str(), counted(writer.programs(), "program").c_str(),
                    counted(writer.maps(), "map").c_str(), counted(bytes.size(), "byte").c_str());
    return 0;
}

}  // namespace

const Command& pack_command() {
    static const Command command = {
        "pack",
        "OBJECT --out BUNDLE",
        "writes a bundle, for a kernel with barebpf in it that has no libbpf",
        "Loads an object file with libbpf, and writes down what libbpf asked of bpf(2): programs,\n"
        "maps and what is in them, types. CO-RE, data sections and subprograms are done then, and "
        "a\n"
        "kernel replays the bundle with a small loader (docs/bundle.md). The verifier looks at "
        "the\n"
        "programs here, and again there.\n",
        {{"out", "FILE", "the bundle"},
         {"program", "NAME", "only this program, the maps that it uses and what is in them"},
         kJsonOption},
        "    barebpf pack filter.bpf.o --out filter.bundle\n"
        "    barebpf pack filter.bpf.o --program ingress --out ingress.bundle\n",
        1,
        1,
        pack};
    return command;
}

}  // namespace barebpf::cli
