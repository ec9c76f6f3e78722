#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Packed programs must do what `barebpf run` says of the objects, to the last byte of the maps.

    compare_runs.py BAREBPF PROGRAMS process RUN_BUNDLE
    compare_runs.py BAREBPF PROGRAMS x86|arm64 IMAGE

Each object in PROGRAMS is packed by `barebpf pack`, and each of its programs is run on captures: by RUN_BUNDLE in a
process, or by IMAGE in a guest. Exit status: 0, 1 for a difference, 77 where BAREBPF has not been built.
"""
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "data"))

from expected import PROGRAMS  # noqa: E402  which programs each object has

# Needs no settings either, but the kernel's results of it are a client's.
MORE_PROGRAMS = {"ring": ["reserve"]}

CAPTURES = os.path.join(HERE, "..", "data", "captures")


def pin():
    """Values that each CPU has its own of are all the first one's, as in a guest."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def output(command):
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, preexec_fn=pin)
    lines = [line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith("run: ")]
    return "\n".join(lines), done


class Process:
    engines = ["jit", "interpreter"]
    captures = sorted(os.path.splitext(name)[0] for name in os.listdir(CAPTURES) if name.endswith(".pcap"))

    def __init__(self, run_bundle):
        self.run_bundle = run_bundle

    def run(self, _, bundle, capture, engine, program):
        return output([self.run_bundle, bundle, capture, engine, program])


class Guest:
    def __init__(self, machine, image):
        self.machine, self.image = machine, image
        self.engines = ["jit", "interpreter"] if machine == "x86" else ["interpreter"]
        self.captures = ["mixed"]

    def run(self, folder, bundle, capture, engine, program):
        initrd = os.path.join(folder, "initrd")
        script = os.path.join(HERE, "..", "guest", "make_initrd.py")
        subprocess.run([sys.executable, "-B", script, initrd, "program.bundle=" + bundle, "capture.pcap=" + capture],
                       check=True)
        return output([sys.executable, "-B", os.path.join(HERE, "..", "guest", "qemu.py"), self.machine, self.image,
                       "--initrd", initrd, "--args", f"run={program} engine={engine}"])


def cases(programs):
    for path in sorted(glob.glob(os.path.join(programs, "*.bpf.o"))):
        name = os.path.basename(path).split(".")[0]
        for program in PROGRAMS.get(name, []) + MORE_PROGRAMS.get(name, []):  # what needs settings first has a client of its own
            yield path, program


def main(arguments):
    barebpf, programs, where, file = arguments
    if not os.access(barebpf, os.X_OK):
        print(f"there is no {barebpf}: testkit/build.sh release makes it")
        return 77
    place = Process(file) if where == "process" else Guest(where, file)
    runs = failures = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        bundle = os.path.join(folder, "bundle")
        for path, program in cases(programs):
            subprocess.run([barebpf, "pack", path, "--out", bundle], check=True, stdout=subprocess.DEVNULL)
            for capture in place.captures:
                pcap = os.path.join(CAPTURES, capture + ".pcap")
                for engine in place.engines:
                    wanted, _ = output([barebpf, "run", path, "--program", program, "--pcap", pcap,
                                        "--engine", engine, "--raw"])
                    got, done = place.run(folder, bundle, pcap, engine, program)
                    runs += 1
                    if got == wanted and wanted.endswith("run: end"):
                        continue
                    failures += 1
                    print(f"{path} {program} {capture} {engine}: exit status {done.returncode}\n--- barebpf run\n"
                          f"{wanted}\n--- {where}\n{done.stdout.decode(errors='replace')}{done.stderr.decode()}")
    print(f"{runs} runs, {failures} differ")
    return 1 if failures or not runs else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
