#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The core stands alone: what it needs from outside, and what it must not contain.

    core_alone_test.py --source ROOT --archive libbarebpf_core_null.a
                       [--compiler 'c++ ...']... [--include DIR]...
                       [--tools aarch64-linux-gnu-] [--allow REGEX] [--no-vector-registers]

Checks, on the core built against the null backend:
  1. linked together (ld -r), its undefined symbols are host_*, memcpy, memmove, memset, memcmp, and
     what --allow names;
  2. no static constructors or destructors, no thread-locals;
  3. no frame of more than 1,024 bytes outside the verifier's driver (from .su files, where the build
     wrote them; the build itself fails by -Wframe-larger-than);
  4. each header of kernel/ compiles by itself, with each compiler given;
  5. with --no-vector-registers, no instruction names a vector or floating-point register.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ALLOWED = re.compile(r"^(host_\w+|memcpy|memmove|memset|memcmp|_GLOBAL_OFFSET_TABLE_)$")
VECTOR = {"x86-64": re.compile(r"%([xyz]?mm\d+|st\b|k[0-7]\b)"),
          "aarch64": re.compile(r"(?<![\w#])[qvdsbh]([12]?\d|3[01])\b")}
FRAME_LIMIT = 1024
FRAME_EXEMPT = re.compile(r"(^|/)verifier\.cc")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def link_together(archive, folder, tools):
    joined = os.path.join(folder, "core.o")
    result = run(tools + "ld", "-r", "-o", joined, "--whole-archive", archive)
    if result.returncode:
        sys.exit(f"ld -r failed:\n{result.stderr}")
    return joined


def check_symbols(joined, allowed):
    problems = []
    for line in run("nm", "--undefined-only", joined).stdout.splitlines():
        name = line.split()[-1]
        if not ALLOWED.match(name) and not re.fullmatch(allowed, name):
            problems.append(f"undefined symbol that no host provides: {name}")
    return problems


def check_sections(joined):
    problems = []
    for line in run("readelf", "--sections", "--wide", joined).stdout.splitlines():
        match = re.search(r"\]\s+(\.\S+)\s+\S+\s+\S+\s+\S+\s+(\S+)", line)
        if not match or int(match.group(2), 16) == 0:
            continue
        if re.match(r"\.(init_array|fini_array|ctors|dtors|tbss|tdata|gcc_except_table)",
                    match.group(1)):
            problems.append(f"section that the core must not have: {match.group(1)}")
    return problems


def check_registers(joined, tools):
    listing = run(tools + "objdump", "--disassemble", "--no-show-raw-insn", joined).stdout
    machine = re.search(r"file format elf64-(?:little)?(\S+)", listing)
    vector = VECTOR.get(machine.group(1) if machine else "")
    if not vector:
        return ["cannot tell the machine of the disassembly"]
    instructions, problems, function = 0, [], "?"
    for line in listing.splitlines():
        header = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if header:
            function = header.group(1)
            continue
        parts = line.split("\t")
        if len(parts) < 2:
            continue
        instructions += 1
        operands = re.sub(r"[0-9a-f]+ <.*>|//.*", "", " ".join(parts[1:])).partition(" ")[2]
        if vector.search(operands):
            problems.append(f"vector register in {function}: {' '.join(parts[1:])}")
    if instructions < 10000:
        problems.append(f"only {instructions} instructions were read")
    return problems[:20]


def check_frames(archive):
    problems = []
    for usage in pathlib.Path(archive + ".p").glob("*.su"):
        for line in usage.read_text().splitlines():
            where, size, _ = line.split("\t")
            if int(size) > FRAME_LIMIT and not FRAME_EXEMPT.search(where.split(":")[0]):
                problems.append(f"frame of {size} bytes: {where}")
    return problems


def check_header(compiler, source, header, includes):
    flags = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fsyntax-only",
             "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers",
             "-DBAREBPF_LOCK_VALIDATOR=1"]
    if "clang" in compiler:
        flags += ["-Wthread-safety", "-Wno-unused-const-variable", "-Wno-gnu-statement-expression"]
    paths = [f"-I{include}" for include in includes]
    # Included from a file of its own, so that what is only used by others does not count as unused.
    result = run(*shlex.split(compiler), *flags, *paths, "-x", "c++", "-", cwd=source,
                 input=f'#include "{header}"\n')
    if result.returncode == 0:
        return []
    return [f"{header} does not compile by itself with {compiler}:\n{result.stderr}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--compiler", action="append", default=[])
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--tools", default="")
    parser.add_argument("--allow", default="(?!)")
    parser.add_argument("--no-vector-registers", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        joined = link_together(options.archive, folder, options.tools)
        problems = check_symbols(joined, options.allow) + check_sections(joined)
        if options.no_vector_registers:
            problems += check_registers(joined, options.tools)
    problems += check_frames(options.archive)

    headers = [str(path.relative_to(options.source))
               for path in sorted(pathlib.Path(options.source, "kernel").rglob("*.h"))
               if not path.name.endswith("_test.h")]
    compilers = [c for c in options.compiler if shutil.which(shlex.split(c)[0])]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(check_header, compiler, options.source, header, options.include)
                for compiler in compilers for header in headers]
        for job in jobs:
            problems += job.result()

    for problem in problems:
        print(problem)
    print(f"{len(headers)} headers, {len(compilers)} compilers, {len(problems)} problems")
    return 1 if problems or not headers or len(compilers) < len(options.compiler) else 0


if __name__ == "__main__":
    sys.exit(main())
