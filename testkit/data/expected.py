#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each example program does with each capture: writes it down, or compares.

    expected.py write ORACLE OBJECTS              runs on the kernel (root), writes expected.json
    expected.py check ORACLE OBJECTS              the kernel against expected.json
    expected.py check ORACLE OBJECTS LIBRARY      barebpf, with LIBRARY preloaded, against expected.json

OBJECTS is the folder with the compiled objects. An object that is there in variants (NAME.v4.bpf.o, NAME.clang16.bpf.o)
must do the same in each. Exit status: 0, 1 for a difference, 77 where bpf(2) is not permitted or the kernel is not the one
that expected.json was written on.
"""
import errno
import glob
import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "expected.json")
PROGRAMS = {
    "globals": ["globals"],
    "socket_filter": ["keep_headers", "network_offset", "long_only"],
    "tc_csum": ["translate", "hop", "stamp"],
    "tc_firewall": ["firewall"],
    "xdp_proto_count": ["proto_count"],
    "xdp_rewrite": ["reply", "tunnel", "shorten", "mark"],
    "xdp_tail": ["dispatch", "forever"],
}


def kernel_version():
    return ".".join(platform.release().split(".")[:2])


def bpf_is_permitted(oracle, objects):
    """Asks by running: root alone does not tell, where seccomp or a lockdown forbid it."""
    capture = os.path.join(HERE, "captures", "arp.pcap")
    command = [oracle, os.path.join(objects, "globals.bpf.o"), "globals", capture]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 or os.strerror(errno.EPERM) not in done.stderr


def captures():
    return sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob(f"{HERE}/captures/*.pcap"))


def run(oracle, path, program, capture, library):
    environment = dict(os.environ, LD_PRELOAD=library) if library else None
    command = [oracle, path, program, os.path.join(HERE, "captures", capture + ".pcap")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def variants(objects, name):
    paths = sorted(glob.glob(f"{objects}/{name}.bpf.o") + glob.glob(f"{objects}/{name}.*.bpf.o"))
    if not paths:
        raise RuntimeError(f"{objects} has no {name}.bpf.o")
    return paths


def cases():
    for name, programs in PROGRAMS.items():
        for program in programs:
            for capture in captures():
                yield name, program, capture


def write(oracle, objects):
    lines = []
    for name, program, capture in cases():
        results = [run(oracle, path, program, capture, None) for path in variants(objects, name)]
        if any(result != results[0] for result in results):
            raise RuntimeError(f"{name} {program} {capture}: the variants differ")
        lines.append(json.dumps({"object": name, "program": program, "capture": capture, **results[0]}))
    with open(EXPECTED, "w", encoding="utf-8") as file:
        file.write(f'{{"kernel": "{kernel_version()}",\n "results": [\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{len(lines)} results written")


def differences(expected, result):
    for field, value in result.items():
        if field != "maps" and expected[field] != value:
            yield f"{field}: expected {expected[field]}, got {value}"
    for name in sorted(set(expected["maps"]) | set(result["maps"])):
        before, after = expected["maps"].get(name, {}), result["maps"].get(name, {})
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key):
                yield f"map {name}, key {key}: expected {before.get(key)}, got {after.get(key)}"


def check(oracle, objects, library):
    with open(EXPECTED, encoding="utf-8") as file:
        expected = json.load(file)
    if not library and expected["kernel"] != kernel_version():
        print(f"skipped: expected.json is of Linux {expected['kernel']}, this is {kernel_version()}")
        return 77
    if not library and not bpf_is_permitted(oracle, objects):
        print("skipped: bpf(2) is not permitted here")
        return 77
    listed = {(entry["object"], entry["program"], entry["capture"]) for entry in expected["results"]}
    failed = [f"no expected result for {case}" for case in sorted(set(cases()) - listed)]
    runs = 0
    for entry in expected["results"]:
        for path in variants(objects, entry["object"]):
            runs += 1
            where = f"{os.path.basename(path)} {entry['program']} {entry['capture']}"
            try:
                found = differences(entry, run(oracle, path, entry["program"], entry["capture"], library))
                failed += [f"{where}: {difference}" for difference in found]
            except RuntimeError as error:
                failed.append(f"{where}: {error}")
    print(*failed, f"{runs} runs, {len(failed)} differences", sep="\n")
    return 1 if failed else 0


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "write":
        return write(*arguments[1:])
    if len(arguments) in (3, 4) and arguments[0] == "check":
        return check(arguments[1], arguments[2], arguments[3] if len(arguments) == 4 else None)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
