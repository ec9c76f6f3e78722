#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The locks of LRU maps in a wrong order do not compile.

    lock_order_test.py --source ROOT --include DIR... COMPILER...

Each case is the tree with a mistake in one file. The compilers that can see it must refuse it and say why; what is
without a mistake must compile. As everywhere, who changes the text that a case replaces changes the case with it.
"""
import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile

LRU = "kernel/bpf/hashtab_lru.cc"
LISTS = "kernel/bpf/bpf_lru_list.cc"
FLAGS = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fsyntax-only"]
ANALYSIS = ["-Wthread-safety", "-Wthread-safety-beta", "-Werror=thread-safety", "-Werror=thread-safety-beta"]


@dataclasses.dataclass
class Case:
    about: str
    file: str
    right: str
    wrong: str
    says: str
    compiled: str = LRU
    everywhere: bool = False  # every compiler sees it, not only Clang's analysis


TAKES_LIST = """    List& list = lists_[cpu_of(where)];
    host::IrqState irq;
"""
CASES = [
    Case("the list lock under a bucket lock", LISTS, TAKES_LIST,
         TAKES_LIST + """    HashBucket bucket;
    Guard<HashBucket::Lock, host::IrqSave> outer(bucket.lock);
""",
         "must be acquired before", LISTS),
    Case("a local lock under the list lock", LISTS,
         """    if (!local.lock.acquire_in_any_context(&irq)) return;
    Guard<LocalLock, Adopt> guard(local.lock, irq);
    List& list = list_of(cpu);
    if (!list.lock.acquire_in_any_context(&inner)) return;
    Guard<ListLock, Adopt> list_guard(list.lock, inner);
""",
         """    List& list = list_of(cpu);
    if (!list.lock.acquire_in_any_context(&inner)) return;
    Guard<ListLock, Adopt> list_guard(list.lock, inner);
    if (!local.lock.acquire_in_any_context(&irq)) return;
    Guard<LocalLock, Adopt> guard(local.lock, irq);
""",
         "must be acquired before", LISTS),
    Case("two list locks", LISTS, "    flush_pending(local, list);\n    if (list.inactive",
         "    take_free_only(local, cpu);\n    if (list.inactive",
         "cannot call function 'take_free_only' while mutex '&barebpf::BpfLruList::List::lock' is held", LISTS),
    Case("a node taken under the bucket lock of the update", "kernel/bpf/hashtab_lru.h",
         "        if (UNLIKELY(!node_)) return kGone;\n",
         "        if (UNLIKELY(!node_) && !take_node()) return kGone;\n",
         "cannot call function 'take_node' while mutex '&barebpf::HashBucket::lock' is held"),
    Case("a node given back under the bucket lock of the eviction", "kernel/bpf/hashtab_lru.h",
         "        unlink<Lru>(map_, bucket, place);\n        return true;\n",
         "        unlink<Lru>(map_, bucket, place);\n        map_->lru.give_back(node);\n        return true;\n",
         "cannot call function 'give_back' while mutex '&barebpf::HashBucket::lock' is held"),
    Case("a node given back under the bucket lock of the deletion", "kernel/bpf/hashtab_lru.h",
         "kGiveBackTakesLocks = true;", "kGiveBackTakesLocks = false;",
         "cannot call function 'give_back' while mutex '&barebpf::HashBucket::lock' is held"),
    Case("what has gone goes back before the bucket is unlocked", "kernel/bpf/hashtab_update.h",
         """    Gone<Storage, Value> gone(map);
    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
""",
         """    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    Gone<Storage, Value> gone(map);
""",
         "cannot call function '~Gone' while mutex '&barebpf::HashBucket::lock' is held"),
    Case("a rank below that of an outer lock", "kernel/bpf/bpf_lru_list.h", '{"lru_list", 40}', '{"lru_list", 20}',
         "may_nest<", everywhere=True),
    Case("the rank of the next lock", "kernel/bpf/hash_bucket.h", '{"hash_bucket", 50}', '{"hash_bucket", 40}',
         "may_nest<", everywhere=True),
]


def compile_file(compiler, options, name, copies):
    """What the compiler says of the file, which it takes with its headers from the copies first; None: nothing."""
    copy = os.path.join(copies, name)
    path = copy if os.path.exists(copy) else os.path.join(options.source, name)
    flags = FLAGS + (ANALYSIS if "clang" in compiler else [])
    includes = [f"-I{folder}" for folder in [copies, options.source, *options.include]]
    done = subprocess.run([compiler, *flags, *includes, path], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None


def plant(case, source, copies):
    """False: the case does not fit the source."""
    with open(os.path.join(source, case.file), encoding="utf-8") as file:
        text = file.read()
    path = os.path.join(copies, case.file)
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(case.right, case.wrong))
    return text.count(case.right) == 1


def check(case, compiler, options):
    with tempfile.TemporaryDirectory() as copies:
        if not plant(case, options.source, copies):
            return f"{case.about}: what it replaces does not stand once in {case.file}"
        said = compile_file(compiler, options, case.compiled, copies)
    if said is None:
        return f"{case.about}: {compiler} compiles it"
    return None if case.says in said else f"{case.about}: {compiler} does not say '{case.says}':\n{said}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("compiler", nargs="+")
    options = parser.parse_args()

    problems = []
    for compiler in options.compiler:
        for name in LRU, LISTS:
            said = compile_file(compiler, options, name, os.devnull)
            problems += [f"{compiler} refuses {name} as it is:\n{said}"] if said else []
        seen = [case for case in CASES if case.everywhere or "clang" in compiler]
        problems += filter(None, (check(case, compiler, options) for case in seen))
        print(f"{compiler}: {len(seen)} mistakes")
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
