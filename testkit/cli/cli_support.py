# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of the barebpf command share: how it is called, and files for it."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data")
BAREBPF, PROGRAMS, OBJECTS = "", "", ""


def barebpf(*arguments, stdin=b"", prefix=(), timeout=120):
    command = [*prefix, BAREBPF, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=timeout)


def as_json(*arguments, stdin=b""):
    done = barebpf(*arguments, "--json", stdin=stdin)
    return done.returncode, json.loads(done.stdout)


def program(name):
    return os.path.join(PROGRAMS, name + ".bpf.o")


def own(name):
    return os.path.join(OBJECTS, name + ".bpf.o")


def capture(name):
    return os.path.join(DATA, "captures", name + ".pcap")


def pcap(packets, link_type=1):
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    for packet in packets:
        data += struct.pack("<IIII", 1, 2, len(packet), len(packet)) + packet
    return data


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    at, packets = 24, []
    while at < len(data):
        seconds, fraction, size, original = struct.unpack_from("<IIII", data, at)
        packets.append((seconds, fraction, original, data[at + 16 : at + 16 + size]))
        at += 16 + size
    return packets


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)

    def file(self, name, data=None):
        path = os.path.join(self.folder.name, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def says_no(self, done, *phrases, status=1):
        text = done.stderr.decode()
        self.assertEqual(done.returncode, status, text)
        for phrase in phrases:
            self.assertIn(phrase, text)


def main():
    """SCRIPT BAREBPF PROGRAMS OBJECTS [UNITTEST-ARGUMENT...]"""
    global BAREBPF, PROGRAMS, OBJECTS
    BAREBPF, PROGRAMS, OBJECTS = (os.path.abspath(path) for path in sys.argv[1:4])
    unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[4:]])
