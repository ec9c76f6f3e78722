// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf maps: the maps of an object as it begins, and what they take.
#include <bpf/bpf.h>

#include <cstdio>

#include "testkit/cli/errors.h"
#include "testkit/cli/maps.h"
#include "testkit/cli/object.h"
#include "testkit/cli/options.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {
namespace {

std::unique_ptr<Object> load_maps(const std::string& path) {
    auto object = std::make_unique<Object>(path);
    if (object->load()) return object;
    // A program that is rejected does not make its maps less interesting.
    auto again = std::make_unique<Object>(path);
    for (bpf_program* program : again->programs()) bpf_program__set_autoload(program, false);
    forget_messages();
    if (again->load()) return again;
    throw Failure(path + ": its maps cannot be made: " + joined_messages(),
                  "'barebpf verify " + path + "' tells what the verifier says");
}

std::string shapes_text(const std::vector<MapContents>& maps) {
    Table table({"map", "type", "key", "value", "entries", "flags", "memory"});
    for (const MapContents& map : maps) {
        table.add({map.name, map.type, map.key_size, map.value_size, map.max_entries,
                   map_flags_text(map.flags), map.memory});
    }
    return table.text("");
}

int list_maps(const Arguments& arguments) {
    const std::string& path = arguments.operands()[0];
    const size_t limit = arguments.number("elements", 0, 1u << 30, 32);
    start_world(false);
    const auto object = load_maps(path);
    const std::vector<MapContents> maps = read_maps(*object);
    if (arguments.json()) {
        print_json({{"file", path}, {"maps", maps_json(maps)}});
        return 0;
    }
    if (maps.empty()) {
        std::printf("%s has no maps\n", path.c_str());
        return 0;
    }
    std::printf("%s\n%s", shapes_text(maps).c_str(), maps_text(maps, limit).c_str());
    return 0;
}

}  // namespace

const Command& maps_command() {
    static const Command command = {
        "maps",
        "OBJECT",
        "shows the maps of an object: types, sizes, memory, and what is in them at first",
        "Makes the maps of an object file as loading it would, and shows of each its type, the "
        "sizes\n"
        "of key and value, the most entries, flags and the bytes it takes, then what it holds "
        "before\n"
        "any program ran: constants, initialised variables, inner maps, programs to jump to.\n"
        "'barebpf run' shows what they hold afterwards.\n",
        {{"elements", "N", "show at most N elements of each map (32)"}, kJsonOption},
        "    barebpf maps filter.bpf.o\n"
        "    barebpf maps filter.bpf.o --json | jq '.maps[] | {name, type, memory}'\n",
        1,
        1,
        list_maps};
    return command;
}

}  // namespace barebpf::cli
