#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An unmodified bpftool with libbarebpf.so preloaded, under the filter that kills it for a bpf(2) of the kernel's.

    bpftool_test.py NOBPF LIBBAREBPF PLANT BPFTOOL

PLANT is the library that leaves maps and a program open (plant.c).
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

NOBPF, LIBRARY, PLANT, BPFTOOL = sys.argv[1:5]


def run(*arguments, planted=True):
    libraries = f"{LIBRARY}:{PLANT}" if planted else LIBRARY
    return subprocess.run([NOBPF, "-p", libraries, BPFTOOL, *arguments], capture_output=True, text=True, check=False,
                          timeout=120)


class Bpftool(unittest.TestCase):
    def check(self, *arguments, planted=True):
        done = run(*arguments, planted=planted)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def parse(self, *arguments, planted=True):
        return json.loads(self.check("-j", *arguments, planted=planted))

    def test_version(self):
        self.assertIn("bpftool v", self.check("version"))

    def test_empty_world(self):
        for kind in ("prog", "map", "btf"):
            self.assertEqual(self.parse(kind, "list", planted=False), [], kind)

    def test_map_list(self):
        array, table = self.parse("map", "list")[:2]
        self.assertEqual((array["type"], array["name"], array["bytes_key"], array["bytes_value"], array["max_entries"]),
                         ("array", "planted", 4, 8, 4))
        self.assertEqual((table["type"], table["name"]), ("hash", "planted_hash"))

    def test_map_dump(self):
        array, table = self.parse("map", "list")[:2]
        for shown in (array, table):
            elements = self.parse("map", "dump", "id", str(shown["id"]))
            values = {int(e["key"][0], 16): int(e["value"][1], 16) * 256 + int(e["value"][0], 16) for e in elements}
            self.assertEqual(values, {key: 0x1000 + key for key in range(4)})
        found = self.parse("map", "lookup", "id", str(array["id"]), "key", "2", "0", "0", "0")
        self.assertEqual(found["value"][0], "0x02")

    def test_maps_of_other_types(self):
        percpu, inner, outer = self.parse("map", "list")[2:]
        self.assertEqual([m["type"] for m in (percpu, inner, outer)], ["percpu_array", "array", "array_of_maps"])
        _, element = self.parse("map", "dump", "id", str(percpu["id"]))
        for shown in element["values"]:
            self.assertEqual(int(shown["value"][0], 16), 100 + shown["cpu"])
        elements = self.parse("map", "dump", "id", str(outer["id"]))
        self.assertEqual([(int(e["key"][0], 16), int(e["value"][0], 16)) for e in elements], [(1, inner["id"])])

    def test_prog_show(self):
        program, = self.parse("prog", "list")
        self.assertEqual((program["type"], program["name"], program["gpl_compatible"]),
                         ("socket_filter", "planted_prog", True))
        self.assertEqual(self.parse("prog", "show", "id", str(program["id"])), program)
        text = self.check("prog", "dump", "xlated", "id", str(program["id"]))
        self.assertEqual([line.split(": ")[1].split(" ", 1)[1] for line in text.splitlines()], ["r0 = 7", "exit"])

    def test_prog_run(self):
        program, = self.parse("prog", "list")
        with tempfile.NamedTemporaryFile() as packet:
            packet.write(bytes(64))
            packet.flush()
            ran = self.parse("prog", "run", "id", str(program["id"]), "data_in", packet.name)
        self.assertEqual(ran["retval"], 7)

    def test_batch_shares_one_world(self):
        with tempfile.NamedTemporaryFile("w") as batch:
            batch.write("map update name planted key 1 0 0 0 value 9 0 0 0 0 0 0 0\n"
                        "map lookup name planted key 1 0 0 0\n"
                        "map delete name planted_hash key 3 0 0 0\n"
                        "prog list\n")
            batch.flush()
            text = self.check("batch", "file", batch.name)
            self.assertIn("value: 09 00 00 00", text)
            self.assertIn("planted_prog", text)

    def test_errors_are_those_of_a_kernel(self):
        done = run("map", "show", "id", "4711")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("No such file or directory", done.stderr)

    @unittest.skipIf(os.getuid() != 0, "bpftool itself asks for root")
    def test_feature_probe(self):
        text = self.check("feature", "probe", planted=False)
        for line in ("bpf() syscall is available", "eBPF program_type xdp is available",
                     "eBPF program_type sched_cls is available", "eBPF map_type array is available",
                     "eBPF map_type hash is available"):
            self.assertIn(line, text)
        features = self.parse("feature", "probe", planted=False)
        self.assertTrue(features["syscall_config"]["have_bpf_syscall"])
        self.assertIn("bpf_map_lookup_elem", features["helpers"]["xdp_available_helpers"])


class Filter(unittest.TestCase):
    def test_without_the_library_the_filter_kills(self):
        done = subprocess.run([NOBPF, BPFTOOL, "prog", "list"], capture_output=True, check=False)
        self.assertEqual(done.returncode, -31)  # SIGSYS


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
