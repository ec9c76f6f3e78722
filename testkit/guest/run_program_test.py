#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a guest says of an initial RAM disk that it cannot use: run_program_test.py MACHINE IMAGE [UNITTEST-ARGUMENT...]

Each ends with a message and a failing status, never in a hang.
"""
import os
import subprocess
import sys
import tempfile
import unittest

import make_initrd

HERE = os.path.dirname(os.path.abspath(__file__))
MACHINE, IMAGE = "", ""
GOOD = {"program.bundle": b"barebpf\0" + bytes(16), "capture.pcap": b"x"}


class BadInput(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.addCleanup(self.folder.cleanup)

    def fails(self, phrase, initrd=None, arguments="run="):
        words = ["--args", arguments, "--timeout", "60", "--expect-failure", "guest: " + phrase]
        if initrd is not None:
            path = os.path.join(self.folder.name, "initrd")
            with open(path, "wb") as file:
                file.write(initrd)
            words += ["--initrd", path]
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "qemu.py"), MACHINE, IMAGE, *words],
                              capture_output=True, check=False, timeout=120)
        text = done.stdout.decode(errors="replace") + done.stderr.decode()
        self.assertEqual(done.returncode, 0, text)
        self.assertIn("guest: FAIL", text)
        self.assertNotIn("hang:", text)

    def test_none(self):
        self.fails("run: needs an initial RAM disk")

    def test_corrupt(self):
        good = make_initrd.make(GOOD)
        self.fails("initial RAM disk: byte 0: the archive is not a newc", b"\x1f\x8b" + good)
        self.fails("initial RAM disk: byte .*the archive ends in", good[:-60])
        self.fails("initial RAM disk: byte 0: the archive has a number that is none", good[:20] + b"x" + good[21:])

    def test_files_are_missing(self):
        self.fails("initial RAM disk: there is no program.bundle", make_initrd.make({"capture.pcap": b""}))
        self.fails("initial RAM disk: there is no capture.pcap", make_initrd.make({"program.bundle": b""}))

    def test_no_bundle(self):
        self.fails("program.bundle: a bundle of version 0", make_initrd.make(GOOD))
        self.fails("program.bundle: shorter than", make_initrd.make({**GOOD, "program.bundle": b"barebpf"}))
        empty = b"barebpf\0" + b"".join(n.to_bytes(4, "little") for n in (1, 24, 0, 0))
        files = {**GOOD, "program.bundle": empty}
        self.fails("run: the bundle has no program that runs on packets", make_initrd.make(files))
        self.fails("run: the bundle has no program count", make_initrd.make(files), "run=count")

    def test_engine(self):
        self.fails("engine: jit or interpreter", make_initrd.make(GOOD), "run= engine=steam")


if __name__ == "__main__":
    MACHINE, IMAGE = sys.argv[1], os.path.abspath(sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
