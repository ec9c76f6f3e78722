#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Boots a guest under QEMU, shows its console, and says how it ended.

    qemu.py MACHINE IMAGE [--smp N] [--memory MIB] [--icount SHIFT] [--args "WORD..."] [--initrd FILE]
            [--timeout S] [--limit S] [--gic 2|3] [--gtest_output=xml:FILE] [--expect-failure REGEX]

MACHINE is x86 or arm64, IMAGE an ELF file. Exit status:

    0  the console's last line was `guest: PASS`, and QEMU ended with the status that means success
    1  the guest ended otherwise
    2  it never started: usage, unknown machine, a missing file, no QEMU
    3  it hung: nothing on the console for --timeout seconds (60), or no end within --limit (300). Where each
       CPU is has been printed.

Without --icount each CPU is a thread of QEMU. With it one thread runs them in turns, an instruction is 2^SHIFT ns of
guest time, idle time is skipped, and the same run gives the same result; --args "seed=N" makes another.

--expect-failure turns it round, for deliberate bugs and bad input: 0 if the guest ended with status 1 or 3 and a line
of the output matches; a success of the guest or another text is a failure.
"""
import argparse
import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import qemu_console
import qemu_stacks

PASS, FAIL, USAGE, HANG = 0, 1, 2, 3
PASS_LINE = "guest: PASS"
MIB = 1 << 20
PAGE = 1 << 16
ARM64_RAM = 0x40000000

# qboot instead of SeaBIOS: half the time to boot. Without SATA it has nothing to wait for.
QEMU = {
    "x86": ["qemu-system-x86_64", "-M", "q35,sata=off", "-bios", "qboot.rom", "-cpu", "max",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    "arm64": ["qemu-system-aarch64", "-M", "virt,gic-version={gic}", "-cpu", "cortex-a76",
              "-semihosting-config", "enable=on,target=native"],
}
SUCCESS = {"x86": 1, "arm64": 0}  # of QEMU: isa-debug-exit makes (status << 1) | 1


class Unusable(Exception):
    """What was asked for cannot be started; exit status 2."""


def parse(arguments):
    parser = argparse.ArgumentParser(prog="qemu.py", usage=__doc__.split("\n\n")[1].strip(), add_help=True)
    parser.add_argument("machine")
    parser.add_argument("image")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--memory", type=int, default=128)
    parser.add_argument("--icount", type=int)
    parser.add_argument("--args", default="")
    parser.add_argument("--initrd")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--limit", type=float, default=300)
    parser.add_argument("--gic", type=int, default=3)
    parser.add_argument("--gtest-xml", "--gtest_output", dest="xml")
    parser.add_argument("--expect-failure", type=re.compile)
    return parser.parse_args(arguments)


def on_tmpfs(path, folder):
    """The file itself if it is on the tmpfs where folder is, else a copy of it there."""
    if os.stat(path).st_dev == os.stat(folder).st_dev:
        return os.path.abspath(path)
    copy = os.path.join(folder, os.path.basename(path))
    shutil.copyfile(path, copy)
    return copy


def check(options):
    if options.machine not in QEMU:
        raise Unusable(f"unknown machine '{options.machine}' (there are: {', '.join(sorted(QEMU))})")
    if not os.path.isfile(options.image):
        raise Unusable(f"no image: {options.image}")
    if options.initrd and not os.path.isfile(options.initrd):
        raise Unusable(f"no initrd: {options.initrd}")
    program = QEMU[options.machine][0]
    if not shutil.which(program):
        raise Unusable(f"{program} is not installed (testkit/setup.sh lists the packages)")


def initrd_words(options, initrd, arguments):
    """QEMU's words for an initrd, and the guest's. QEMU ignores -initrd when it boots an ELF file on arm64."""
    if options.machine != "arm64":
        return ["-initrd", initrd], arguments
    size = os.path.getsize(initrd)
    end = ARM64_RAM + options.memory * MIB
    address = (end - size) // PAGE * PAGE
    image_end = max(physical + length for _, physical, length in qemu_stacks.load_segments(options.image))
    if address < image_end:
        raise Unusable(f"{options.initrd} ({size} bytes) has no room beside the image in {options.memory} MiB")
    words = ["-device", f"loader,file={initrd},addr={address:#x},force-raw=on"] if size else []
    return words, f"{arguments} initrd={address:#x},{size}".strip()


def command_line(options, folder):
    words = [word.format(gic=options.gic) for word in QEMU[options.machine]]
    words += ["-m", str(options.memory), "-smp", str(options.smp), "-display", "none", "-no-reboot", "-nodefaults",
              "-serial", "stdio", "-monitor", "none", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    if options.icount is None:
        words += ["-accel", "tcg,thread=multi"]
    else:
        words += ["-accel", "tcg,thread=single", "-icount", f"shift={options.icount},sleep=off", "-seed", "1",
                  "-rtc", "clock=vm,base=2026-01-01"]
    arguments = options.args
    if options.initrd:
        more, arguments = initrd_words(options, on_tmpfs(options.initrd, folder), arguments)
        words += more
    return words + ["-kernel", on_tmpfs(options.image, folder), "-append", arguments]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def watch(qemu, console, options):
    """Feeds the console until QEMU has closed it. Null at the end of the guest, or why it is a hang."""
    output = qemu.stdout.fileno()
    began = heard = time.monotonic()
    while True:
        now = time.monotonic()
        if now - heard >= options.timeout:
            return f"nothing on the console for {options.timeout:g} s"
        if now - began >= options.limit:
            return f"no end within {options.limit:g} s"
        wait = min(heard + options.timeout, began + options.limit) - now
        if not select.select([output], [], [], wait)[0]:
            continue
        data = os.read(output, 65536)
        if not data:
            return None
        console.feed(data)
        heard = time.monotonic()


def report_hang(options, folder, symbols, write):
    try:
        monitor = qemu_stacks.Monitor(os.path.join(folder, "qmp"))
        qemu_stacks.report(options.machine, monitor, symbols, write)
        monitor.close()
    except (OSError, ValueError) as error:
        write(f"qemu.py: no stacks: {error}\n")


def ended(options, console, status):
    """Null if the guest ended well, or what is wrong."""
    if console.last_line != PASS_LINE:
        return f"the last line is not '{PASS_LINE}', QEMU's status is {status}"
    if status != SUCCESS[options.machine]:
        return f"'{PASS_LINE}', but QEMU's status is {status} and not {SUCCESS[options.machine]}"
    if any(case.outcome not in ("passed", "skipped") for case in console.cases):
        return f"'{PASS_LINE}', but a test failed"
    if options.xml and not console.cases:
        return f"'{PASS_LINE}', but no test ran"
    return None


def run(options, folder, write):
    """Exit status, console."""
    symbols = qemu_stacks.Symbols(options.image)
    console = qemu_console.Console(write, symbols.names)
    command = command_line(options, folder)
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=die_with_parent) as qemu:
        try:
            hang = watch(qemu, console, options)
            console.finish()
            if hang:
                unfinished = console.unfinished()
                where = f" in {unfinished.suite}.{unfinished.name}" if unfinished else ""
                write(f"qemu.py: hang: {hang}{where}\n")
                report_hang(options, folder, symbols, lambda text: record(console, write, text))
                qemu.kill()
        except BaseException:
            qemu.kill()
            raise
        _, status, usage = os.wait4(qemu.pid, 0)
        qemu.returncode = os.waitstatus_to_exitcode(status)
    write(f"qemu.py: {time.monotonic() - began:.2f} s, {usage.ru_maxrss / 1024:.0f} MiB\n")
    if hang:
        return HANG, console, f"hang: {hang}"
    wrong = ended(options, console, qemu.returncode)
    if wrong:
        write(f"qemu.py: {wrong}\n")
    return (FAIL if wrong else PASS), console, wrong


def record(console, write, text):
    """What is not the guest's, but --expect-failure may look for."""
    console.text += text.splitlines()
    write(text)


def as_expected(options, status, console, write):
    """Exit status of a run that was to fail."""
    if status not in (FAIL, HANG):
        write("qemu.py: the guest was to fail, and has not\n")
        return FAIL
    if not any(options.expect_failure.search(line) for line in console.text):
        write(f"qemu.py: no line matches '{options.expect_failure.pattern}'\n")
        return FAIL
    return PASS


def main(arguments):
    options = parse(arguments)

    def write(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        check(options)
        parent = os.environ.get("TMPDIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else None)
        with tempfile.TemporaryDirectory(prefix="guest-", dir=parent) as folder:
            status, console, wrong = run(options, folder, write)
    except (Unusable, ValueError, OSError) as error:
        print(f"qemu.py: {error}", file=sys.stderr)
        return USAGE
    if options.expect_failure:
        return as_expected(options, status, console, write)
    if options.xml:
        qemu_console.write_xml(options.xml.removeprefix("xml:"), console.cases, wrong or "")
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAIL))
    sys.exit(main(sys.argv[1:]))
