// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Explores one scenario over a copy of the core with a bug planted in it (planted/, plant.py), and succeeds if the bug
// is found, and found again from its replay string.
#include <stdio.h>
#include <string.h>

#include "testkit/explore/freelist_scenarios.h"
#include "testkit/explore/hashtab_scenarios.h"
#include "testkit/explore/lru_scenarios.h"

namespace barebpf::explore {
namespace {

struct Entry {
    Options options;
    Maker maker;
};

const Entry kEntries[] = {
    {{.name = "freelist"}, maker_of<FreelistRounds>()},
    {{.name = "freelist_relaxed", .relaxed = true}, maker_of<FreelistRounds>()},
    {{.name = "lru"}, maker_of<LruRounds<BpfLruList::Flavour::Common>>()},
    {{.name = "memalloc"}, maker_of<MemallocReplace>()},
    {{.name = "hash"}, maker_of<HashChurn<0>>()},
    {{.name = "hash_full", .cpus = 3}, maker_of<HashFull>()},
    {{.name = "hash_nmi", .nmis = 2}, maker_of<HashNmi<0>>()},
    {{.name = "hash_relaxed", .relaxed = true}, maker_of<HashChurn<0>>()},
};

int run(const char* name) {
    for (const Entry& entry : kEntries) {
        if (strcmp(entry.options.name, name) != 0) continue;
        const Outcome outcome = explore(entry.options, entry.maker);
        printf("%s\n", outcome.finding == Finding::None ? outcome.summary().c_str()
                                                        : outcome.report.c_str());
        if (outcome.finding == Finding::None) return 1;
        const Outcome again = replay(entry.options, entry.maker, outcome.replay);
        if (again.finding == outcome.finding && again.what == outcome.what) return 0;
        printf("but its replay gives: %s\n", again.report.c_str());
        return 1;
    }
    fprintf(stderr, "no scenario is called %s\n", name);
    return 2;
}

}  // namespace
}  // namespace barebpf::explore

int main(int count, char** arguments) {
    if (count != 2) return 2;
    return barebpf::explore::run(arguments[1]);
}
