#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The barebpf command from outside: cli_test.py BAREBPF PROGRAMS OBJECTS [UNITTEST-ARGUMENT...]

PROGRAMS is the folder with the example objects, OBJECTS the one with those of this folder.
"""
import glob
import json
import os
import random
import re
import struct
import subprocess
import unittest

import cli_support
from cli_support import DATA, Scratch, as_json, barebpf, capture, own, pcap, program, read_pcap


def expand(text):
    """The bytes of a field in testkit/data/isa: groups of hex digits, GROUP*N."""
    result = ""
    for token in text.split():
        group, _, count = token.partition("*")
        result += group * int(count or 1)
    return result


def isa_cases():
    for path in sorted(glob.glob(os.path.join(DATA, "isa", "*.isa"))):
        fields, field = {}, None
        with open(path, encoding="ascii") as file:
            for line in file.read().split("\n") + [""]:
                if line.startswith("#"):
                    continue
                if line.startswith(" "):
                    fields[field] += line
                elif line:
                    field, _, fields[field] = line.partition(":")
                elif fields:
                    yield {name: value.strip() for name, value in fields.items()}
                    fields = {}


class Run(Scratch):
    def check_expected(self, path, entry, *options):
        arguments = ["--pcap", capture(entry["capture"]), "--program", entry["program"], *options]
        status, result = as_json("run", path, *arguments)
        where = f"{path} {arguments}"
        self.assertEqual(status, 1 if entry["errors"] else 0, where)
        self.assertEqual(result["packets"], entry["packets"], where)
        self.assertEqual({str(v["value"]): v["packets"] for v in result["verdicts"]}, entry["verdicts"], where)
        self.assertEqual({str(e["errno"]): e["packets"] for e in result["errors"]}, entry["errors"], where)
        maps = {m["name"]: {e["key_bytes"]: e["value_bytes"] for e in m["elements"]} for m in result["maps"]}
        for name, elements in entry["maps"].items():
            self.assertEqual(maps[name], elements, f"{where}: map {name}")

    def test_results_are_those_of_the_kernel(self):
        with open(os.path.join(DATA, "expected.json"), encoding="utf-8") as file:
            entries = json.load(file)["results"]
        runs = 0
        for entry in entries:
            variants = glob.glob(program(entry["object"])) + glob.glob(program(entry["object"] + ".*"))
            for path in variants:
                self.check_expected(path, entry)
                runs += 1
            if entry["capture"] == "mixed":
                self.check_expected(variants[0], entry, "--engine", "interpreter")
        self.assertGreater(runs, 150)

    def test_engines_are_what_was_asked_for(self):
        for engine in "jit", "interpreter":
            _, result = as_json("run", program("globals"), "--pcap", capture("arp"), "--engine", engine)
            self.assertEqual(result["engine"], engine)

    def test_maps_are_shown_by_their_types(self):
        _, result = as_json("run", program("tc_firewall"), "--pcap", capture("mixed"))
        maps = {m["name"]: m["elements"] for m in result["maps"]}
        self.assertEqual(maps["blocked_services"][0]["key"], {"protocol": 6, "port": 53})
        self.assertEqual(maps["blocked_addresses"][0]["key"]["words"], "ff020000 00000000 00000000 00000001")
        self.assertIs(maps[".bss"][0]["value"]["rules_are_in"], True)
        self.assertEqual(len(maps[".rodata"][0]["value"]["initial_services"]), 8)
        self.assertEqual([v["name"] for v in result["verdicts"]], ["TC_ACT_OK", "TC_ACT_SHOT"])

    def test_text_shows_verdicts_and_maps(self):
        done = barebpf("run", program("xdp_proto_count"), "--pcap", capture("mixed"), "--elements", "2")
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0)
        for phrase in "XDP_PASS      172", "protocols (hash, 7 of 256", "(5 more:", "ether_type  ip_protocol":
            self.assertIn(phrase, text)

    def test_maps_of_every_shape_after_a_run(self):
        status, result = as_json("run", own("shapes"), "--pcap", capture("mixed"))
        self.assertEqual(status, 0)
        maps = {m["name"]: m for m in result["maps"]}
        packets = sum(v["packets"] for v in result["verdicts"])
        counted = maps["counters"]["elements"][1]
        self.assertEqual(counted["sum"]["packets"], packets)
        self.assertEqual(sum(cpu["bytes"] for cpu in counted["value"]), counted["sum"]["bytes"])
        self.assertEqual([(e["key"], e["value"]) for e in maps["outer"]["elements"]], [(1, "first"), (3, "second")])
        self.assertEqual(maps["second"]["elements"][1]["value"], packets)
        self.assertIn("cannot be read", maps["events"]["note"])
        self.assertEqual([(e["key"], e["value"]) for e in maps["routes"]["elements"]], [("10.1.0.0/16", 7)])
        self.assertEqual([int(e["value_bytes"][:2]) for e in maps["queue"]["elements"]], [7, 8, 7, 8])
        self.assertEqual([int(e["value_bytes"][:2]) for e in maps["stack"]["elements"]], [8, 7, 8, 7])
        self.assertEqual(maps["filter"]["map_extra"], 3)
        self.assertIn("3 hash functions", maps["filter"]["note"])
        text = barebpf("run", own("shapes"), "--pcap", capture("mixed")).stdout.decode()
        for phrase in "key  cpu  packets  bytes", "events (perf_event_array, 64 slots)", "outer (array_of_maps, 2 of 4":
            self.assertIn(phrase, text)

    def test_maps_lists_them(self):
        status, result = as_json("maps", own("shapes"))
        self.assertEqual(status, 0)
        maps = {m["name"]: m for m in result["maps"]}
        self.assertEqual((maps["counters"]["type"], maps["counters"]["value_size"]), ("percpu_array", 16))
        self.assertGreater(maps["events"]["memory"], 64 * 8)
        self.assertEqual(len(maps["outer"]["elements"]), 2)
        text = barebpf("maps", program("tc_firewall")).stdout.decode()
        for phrase in "map ", "blocked_services", ".rodata", "RDONLY_PROG", "initial_services = ":
            self.assertIn(phrase, text)
        # A rejected program does not keep its maps from being seen.
        self.assertEqual(barebpf("maps", own("rejected")).returncode, 0)

    def test_maps_of_other_kinds(self):
        arguments = ["run", own("kinds"), "--program", "kinds", "--pcap", capture("arp")]
        raw = barebpf(*arguments, "--raw").stdout
        # No program type that a packet runs can put a trace in: as if one had.
        map_line = b"run: map traces 7 4 64 16 0\n"
        trace = struct.pack("<8Q", 0x401000, 0xFFFFFFFF81000010, *[0] * 6).hex().encode()
        self.assertIn(map_line, raw)
        console = self.file("console", raw.replace(map_line, map_line + b"run: element 05000000 " + trace + b"\n"))
        status, result = as_json(*arguments, "--from-guest", console)
        self.assertEqual(status, 0)
        maps = {m["name"]: [(e["key"], e["value"]) for e in m["elements"]] for m in result["maps"]}
        flow = {"address": "7f000001", "port": 53, "protocol": 17}
        self.assertEqual(maps["recent"], [(flow, {"packets": 10, "bytes": 420})])
        for name in "per_cpu", "recent_per_cpu":
            (key, values), = maps[name]
            self.assertEqual((key, sum(cpu["bytes"] for cpu in values)), (flow, 420))
        self.assertEqual(maps["tables"], [(7, "first"), (9, "second")])
        self.assertEqual(maps["jumps"], [(0, "kinds"), (3, "other")])
        self.assertEqual(maps["traces"], [(5, ["0x0000000000401000", "0xffffffff81000010"])])

    def test_maps_lists_other_kinds(self):
        text = barebpf("maps", own("kinds")).stdout.decode()
        for phrase in (
            "per_cpu (percpu_hash, 0 of 64 elements)",
            "recent (lru_hash, 0 of 64 elements)",
            "recent_per_cpu (lru_percpu_hash, 0 of 64 elements)",
            "tables (hash_of_maps, 2 of 4 elements)\n    key  value\n      7  first\n      9  second\n",
            "jumps (prog_array, 2 of 4 elements)\n    key  value\n      0  kinds\n      3  other\n",
            "groups (cgroup_array, 2 slots)\n    (what was put in cannot be read)\n",
            "traces (stack_trace, 0 of 16 elements)\n",
            "records (ringbuf, 4,096 bytes)\n    (records are for a reader that maps it)\n",
            "requests (user_ringbuf, 8,192 bytes)\n    (records are for a reader that maps it)\n",
        ):
            self.assertIn(phrase, text)

    def test_out_has_what_went_on(self):
        out = self.file("out.pcap")
        _, result = as_json("run", program("tc_firewall"), "--pcap", capture("mixed"), "--out", out)
        packets = read_pcap(out)
        self.assertEqual(len(packets), 138)
        self.assertEqual(result["out"], {"file": out, "packets": 138})
        self.assertTrue(set(packets) < set(read_pcap(capture("mixed"))))

    def test_out_of_a_socket_filter_is_cut(self):
        out = self.file("out.pcap")
        arguments = ["--pcap", capture("http4"), "--program", "keep_headers", "--out", out]
        self.assertEqual(barebpf("run", program("socket_filter"), *arguments).returncode, 0)
        before, after = read_pcap(capture("http4")), read_pcap(out)
        self.assertEqual(len(before), len(after))
        for (_, _, size, data), (_, _, new_size, new_data) in zip(before, after):
            self.assertEqual(size, new_size)
            self.assertIn(new_data, (data[:66], data[:74]))

    def test_out_has_changed_packets(self):
        out = self.file("out.pcap")
        arguments = ["--pcap", capture("ping4"), "--program", "tunnel", "--out", out]
        _, result = as_json("run", program("xdp_rewrite"), *arguments)
        before, after = read_pcap(capture("ping4")), read_pcap(out)
        self.assertEqual(result["changed"], 26)
        self.assertGreater(len(after[0][3]), len(before[0][3]))

    def test_maps_that_would_be_pinned_are_private(self):
        objects = glob.glob("/usr/lib/*/bpf/xdpfilt_dny_all.o")  # of libxdp1; its maps ask to be pinned
        if not objects:
            self.skipTest("libxdp1 is not installed")
        for _ in range(2):
            status, result = as_json("run", objects[0], "--pcap", capture("mixed"))
            self.assertEqual(status, 0)
            self.assertEqual([(v["name"], v["packets"]) for v in result["verdicts"]], [("XDP_DROP", 172)])

    def test_repeat_does_not_change_the_maps(self):
        once = as_json("run", program("globals"), "--pcap", capture("arp"))[1]
        often = as_json("run", program("globals"), "--pcap", capture("arp"), "--repeat", "50")[1]
        self.assertEqual(once["maps"], often["maps"])
        self.assertEqual(often["repeat"], 50)
        self.assertGreater(often["nanoseconds_per_packet"], 0)

    def test_trace_lines(self):
        _, result = as_json("run", own("traces"), "--pcap", capture("arp"))
        self.assertEqual(len(result["trace"]), 10)
        self.assertEqual(result["trace"][2], {"packet": 3, "text": "42 bytes"})

    def test_standard_input(self):
        with open(capture("dns"), "rb") as file:
            data = file.read()
        status, result = as_json("run", program("globals"), "--pcap", "-", stdin=data)
        self.assertEqual((status, result["packets"]), (0, 36))

    def test_pcap_that_stops_in_a_packet(self):
        with open(capture("mixed"), "rb") as file:
            path = self.file("cut.pcap", file.read()[:5000])
        done = barebpf("run", program("globals"), "--pcap", path)
        self.says_no(done, "cut.pcap: packet 36 cannot be read", "next:")
        self.assertIn("35 packets", done.stdout.decode())
        status, result = as_json("run", program("globals"), "--pcap", path)
        self.assertEqual((status, result["packets"]), (1, 35))
        self.assertIn("packet 36", result["error"])

    def test_captures_that_are_none(self):
        for data, phrase in (b"", "truncated"), (b"\x7fELF" * 20, "unknown file format"):
            done = barebpf("run", program("globals"), "--pcap", self.file("x.pcap", data))
            self.says_no(done, phrase, "next:")
        self.says_no(barebpf("run", program("globals"), "--pcap", "/no/such"), "/no/such", "No such file")

    def test_captures_of_other_links(self):
        path = self.file("raw.pcap", pcap([b"\x45" + b"\0" * 39], link_type=101))
        self.says_no(barebpf("run", program("globals"), "--pcap", path), "Raw IP", "tcprewrite")
        path = self.file("any.pcap", pcap([b"\0" * 60], link_type=113))
        self.says_no(barebpf("run", program("globals"), "--pcap", path), "Linux cooked", "not -i any")

    def test_packets_that_cannot_be_run(self):
        path = self.file("short.pcap", pcap([b"\0" * 60, b"\0" * 5]))
        done = barebpf("run", program("globals"), "--pcap", path)
        self.says_no(done, status=1)
        self.assertIn("EINVAL: first packet 2 (5 bytes)", done.stdout.decode())

    def test_the_capture_is_not_overwritten(self):
        path = self.file("x.pcap", pcap([b"\0" * 60]))
        done = barebpf("run", program("globals"), "--pcap", path, "--out", path)
        self.says_no(done, "is the capture that is read", status=2)
        self.assertEqual(len(read_pcap(path)), 1)

    def test_rejected_program(self):
        done = barebpf("run", own("rejected"), "--pcap", capture("arp"))
        self.says_no(done, "the verifier rejects out_of_packet", "instruction 1:", "data_end", "barebpf verify")

    def test_ordinary_user(self):
        if os.getuid() != 0:
            return  # then every test here is one
        with open(cli_support.BAREBPF, "rb") as file:
            command = self.file("barebpf", file.read())
        os.chmod(command, 0o755)
        with open(program("xdp_proto_count"), "rb") as file:
            path = self.file("count.o", file.read())
        with open(capture("mixed"), "rb") as file:
            packets = self.file("in.pcap", file.read())
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
        done = subprocess.run([*user, command, "run", path, "--pcap", packets], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn("XDP_PASS      172", done.stdout.decode())


class Objects(Scratch):
    def test_truncated(self):
        with open(program("globals"), "rb") as file:
            data = file.read()
        for size in [0, 3, 20, 63, *range(64, len(data), len(data) // 40)]:
            done = barebpf("verify", self.file("cut.o", data[:size]))
            self.says_no(done, "cut.o: ", "next:")

    def test_corrupt(self):
        with open(program("tc_firewall"), "rb") as file:
            data = file.read()
        generator = random.Random(1)
        for _ in range(120):
            damaged = bytearray(data)
            for _ in range(generator.choice((1, 4, 32))):
                damaged[generator.randrange(len(data))] = generator.randrange(256)
            done = barebpf("verify", self.file("bad.o", damaged))
            self.assertIn(done.returncode, (0, 1), done.stderr.decode(errors="replace"))
            if done.returncode and not done.stdout:
                self.assertIn("bad.o: ", done.stderr.decode(errors="replace"))

    def test_other_files(self):
        self.says_no(barebpf("verify", cli_support.BAREBPF), "not for BPF", "clang -target bpf")
        self.says_no(barebpf("verify", __file__), "is not an ELF object")
        self.says_no(barebpf("verify", "/"), "is a folder")
        self.says_no(barebpf("verify", "/no/such.o"), "/no/such.o: No such file")

    def test_verify(self):
        status, result = as_json("verify", own("rejected"))
        self.assertEqual(status, 1)
        good = {p["program"]: p["accepted"] for p in result["programs"]}
        self.assertEqual(good, {"out_of_packet": False, "maybe_null": False, "good": True})
        null = result["programs"][1]
        self.assertIn("map_value_or_null", null["reason"])
        self.assertIn("*counter += 1", null["source"])
        self.assertIn("test it before", null["next"])
        self.assertGreater(null["instruction"], 0)

    def test_verify_accepts_and_counts(self):
        for name in "globals", "tc_firewall", "xdp_proto_count", "xdp_tail", "socket_filter":
            status, result = as_json("verify", program(name))
            self.assertEqual(status, 0, result)
            for one in result["programs"]:
                self.assertGreater(one["insns_processed"], 0)

    def test_verify_log(self):
        done = barebpf("verify", own("rejected"), "--log-level", "2", "--program", "good")
        self.assertEqual(done.returncode, 0)
        self.assertIn("0: (b4) w0 = 2", done.stdout.decode())

    def test_disasm(self):
        status, result = as_json("disasm", program("tc_firewall"))
        self.assertEqual(status, 0)
        functions = result["programs"][0]["functions"]
        self.assertIn("put_rules_in", [function["name"] for function in functions])
        for function in functions:
            machine = function["prologue"] + [m for i in function["instructions"] for m in i["machine"]]
            self.assertEqual(sum(len(m["bytes"]) // 2 for m in machine), function["machine_size"])
            self.assertGreater(function["machine_size"], 0)
        sources = [i.get("source", "") for f in functions for i in f["instructions"]]
        self.assertIn("bytes_seen += skb->len;", sources)

    def test_disasm_of_the_interpreter(self):
        done = barebpf("disasm", program("globals"), "--engine", "interpreter")
        self.assertIn("exit", done.stdout.decode())
        self.assertNotIn("machine code", done.stdout.decode())


class FromGuest(Scratch):
    """A run's plain form says all that there is to show of it."""

    def raw(self, path, pcap_path, *options):
        return barebpf("run", path, "--pcap", pcap_path, "--raw", *options)

    def test_shown_like_a_run_here(self):
        cases = [(program(name), capture("mixed")) for name in
                 ("globals", "socket_filter", "tc_csum", "tc_firewall", "xdp_proto_count", "xdp_rewrite", "xdp_tail")]
        cases += [(own("traces"), capture("arp")), (program("globals"), capture("refused"))]
        cases += [(own("records"), capture("arp"), "--program", name) for name in ("any_length", "both", "flood")]
        for path, packets, *more in cases:
            raw = self.raw(path, packets, *more)
            self.assertTrue(raw.stdout.endswith(b"run: end\n"), raw.stderr)
            console = self.file("console", b"guest: 2 CPUs\r\n" + raw.stdout.replace(b"\n", b"\r\n") + b"guest: PASS\r\n")
            here = ["run", path, "--pcap", packets, *more]
            guest = [*here, "--from-guest", console]
            self.assertEqual(barebpf(*guest, "--raw").stdout, raw.stdout)
            shown, here = barebpf(*guest), barebpf(*here)
            self.assertEqual(shown.returncode, here.returncode)
            # Two runs: of each its own time, and a sample names the CPU that its program happened to be on.
            said = [[re.sub(rb", cpu [0-9]+,", b", cpu N,", line) for line in run.stdout.splitlines()
                     if line and not line.startswith(b"time per packet")] for run in (shown, here)]
            self.assertEqual(*said, path)

    def test_records_stand_behind_the_lines_of_their_packet(self):
        raw = self.raw(own("records"), capture("arp"), "--program", "both").stdout.decode().splitlines()
        words = [line.split()[1:4] for line in raw if line.startswith(("run: trace ", "run: record "))]
        self.assertEqual([what for what, _, _ in words], ["trace", "record", "record"] * 10)
        self.assertEqual([int(packet) for _, packet, _ in words], [1 + i // 3 for i in range(30)])
        self.assertEqual([word for _, _, word in words[1:3]], ["events", "samples"])

    def test_a_damaged_capture(self):
        with open(capture("mixed"), "rb") as file:
            path = self.file("cut.pcap", file.read()[:5000])
        raw = self.raw(program("globals"), path)
        self.assertEqual(raw.returncode, 1)
        self.assertIn(b"\nrun: damaged 36\n", raw.stdout)
        console = self.file("console", raw.stdout)
        done = barebpf("run", program("globals"), "--pcap", path, "--from-guest", console)
        self.says_no(done, "packet 36 cannot be read")
        self.assertIn("35 packets", done.stdout.decode())

    def test_what_is_none(self):
        raw = self.raw(program("tc_firewall"), capture("arp")).stdout
        for text, *phrases in (
            (b"guest: FAIL\n", "no guest ran a program"),
            (raw[:-9], "no guest ran a program"),
            (raw + raw, "a second run begins"),
            (raw.replace(b" 3 ", b" 6 ", 1), "line 1: a program of another type"),
            (raw.replace(b"run: packets ", b"run: packets x"), "is no number"),
            (raw.replace(b"run: map .bss", b"run: map .data"), "there is no map .data"),
            (raw.replace(b"run: map .bss 2", b"run: map .bss 1"), "map .bss is another one"),
            (raw.replace(b"run: element 00000000 ", b"run: element 00000000 00"), "a value of another size"),
            (raw.replace(b"run: element 00000000 ", b"run: element 00000000 0"), "half a byte"),
            (raw.replace(b"run: element 00000000", b"run: element 000000"), "a key of another size"),
            (b"run: dance\n", "'dance' is not known"),
            (b"run: record 1 rules 00\n", "line 1: there is no map rules with records"),
            (b"run: record 1 rules cpux 00\n", "no CPU: cpux"),
            (b"run: record 1 rules lost\n", "something is missing"),
        ):
            self.assertNotEqual(text, raw, phrases)
            console = self.file("console", text)
            done = barebpf("run", program("tc_firewall"), "--pcap", capture("arp"), "--from-guest", console)
            self.says_no(done, "console", "next:", *phrases)
        console = self.file("console", self.raw(program("xdp_rewrite"), capture("arp"), "--program", "mark").stdout)
        guest = ["run", program("xdp_rewrite"), "--pcap", capture("arp"), "--from-guest", console]
        self.says_no(barebpf(*guest, "--program", "reply"), "ran mark, not reply")
        self.assertNotIn(b"the first of several", barebpf(*guest).stdout)
        done = barebpf("run", program("globals"), "--pcap", "x", "--from-guest", "x", "--repeat", "2")
        self.says_no(done, "does not", status=2)
        self.says_no(barebpf("run", program("globals"), "--pcap", "x", "--from-guest", "/no/such"), "/no/such: No such")


class Pack(Scratch):
    def pack(self, path, *options):
        out = self.file("out.bundle")
        done = barebpf("pack", path, "--out", out, *options)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        with open(out, "rb") as file:
            return file.read()

    def test_every_example(self):
        maps_alone = program("map_objects")
        self.says_no(barebpf("pack", maps_alone, "--out", self.file("out.bundle")), "holds no BPF program")
        paths = sorted(glob.glob(os.path.join(cli_support.PROGRAMS, "*.bpf.o")))
        self.assertGreater(len(paths), 7)
        for path in paths:
            if path == maps_alone:
                continue
            bundle = self.pack(path)
            self.assertEqual(bundle[:8], b"barebpf\0")
            self.assertEqual(struct.unpack_from("<II", bundle, 8), (1, len(bundle)))
            self.assertEqual(bundle, self.pack(path), "the same object makes the same bundle")

    def test_no_probe_is_in_it(self):
        out = self.file("out.bundle")
        status, result = as_json("pack", program("xdp_tail"), "--out", out)
        self.assertEqual((status, result["programs"], result["maps"]), (0, 4, 2))
        self.assertEqual(result["bytes"], os.path.getsize(out))

    def test_one_program_and_what_it_needs(self):
        out = self.file("out.bundle")
        for name, expected in ("on_ipv4", (1, 1)), ("dispatch", (4, 2)), ("forever", (3, 2)):
            _, result = as_json("pack", program("xdp_tail"), "--program", name, "--out", out)
            self.assertEqual((result["programs"], result["maps"]), expected, name)

    def test_refusals(self):
        out = self.file("out.bundle")
        self.says_no(barebpf("pack", own("rejected"), "--out", out), "the verifier rejects out_of_packet")
        self.says_no(barebpf("pack", program("globals")), "pack needs --out", status=2)
        self.says_no(barebpf("pack", program("globals"), "--out", out, "--program", "x"), "no program 'x'", status=2)
        self.says_no(barebpf("pack", "/no/such.o", "--out", out), "/no/such.o")
        self.assertFalse(os.path.exists(out))
        self.says_no(barebpf("pack", program("globals"), "--out", "/no/such/x"), "/no/such/x: No such file")
        self.says_no(barebpf("pack", program("globals"), "--out", "/dev/full"), "/dev/full: No space left")


class Exec(unittest.TestCase):
    def test_conformance_cases(self):
        good = [case for case in isa_cases() if "result" in case]
        bad = [case for case in isa_cases() if "error" in case]
        self.assertGreater(len(good), 300)
        lines = "".join(f"{expand(c['code'])} {expand(c.get('memory', ''))}\n" for c in good).encode()
        for engine in "jit", "interpreter":
            done = barebpf("exec", "--batch", "--show-memory", "--engine", engine, stdin=lines)
            self.assertEqual(done.returncode, 0, done.stdout.decode()[-500:])
            answers = done.stdout.decode().split("\n")[:-1]
            self.assertEqual(len(answers), len(good))
            for case, answer in zip(good, answers):
                memory = expand(case.get("memory_after", case.get("memory", "")))
                self.assertEqual(answer.rstrip(), f"{case['result']} {memory}".rstrip(), case["case"])
        lines = "".join(f"{expand(c['code'])} {expand(c.get('memory', ''))}\n" for c in bad).encode()
        answers = barebpf("exec", "--batch", stdin=lines).stdout.decode().split("\n")[:-1]
        self.assertEqual([c["case"] for c, a in zip(bad, answers) if not a.startswith("error: ")], [])
        self.assertEqual(len(answers), len(bad))

    def test_one_program(self):
        for engine in "jit", "interpreter":
            done = barebpf("exec", "--engine", engine, stdin=b"b7 00 00 00 2a 00 00 00\n95 00 00 00 00 00 00 00")
            self.assertEqual((done.returncode, done.stdout), (0, b"2a\n"))

    def test_memory(self):
        load = b"71100000000000009500000000000000"
        self.assertEqual(barebpf("exec", "--memory", "7f", stdin=load).stdout, b"7f\n")
        self.assertEqual(barebpf("exec", "7f 01", stdin=load).stdout, b"7f\n")
        self.assertEqual(as_json("exec", "7f01", stdin=load)[1]["memory"], "7f01")

    def test_rejected_and_unverified(self):
        load = b"71100000000000009500000000000000"
        done = barebpf("exec", stdin=load)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"rejected (EACCES)", done.stderr)
        for engine in "jit", "interpreter":
            done = barebpf("exec", "--unverified", "--engine", engine, stdin=load)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b"Segmentation fault at address 0x0", done.stderr)

    def test_endless_for_the_verifier(self):
        # r9 = 0; again: r9 += -1; if r9 != 0 goto again: no log could hold the way to the limit.
        code = struct.pack("<BBhiBBhiBBhiBBhiBBhi", 0xB7, 9, 0, 0, 0x07, 9, 0, -1, 0x55, 9, -2, 0,
                           0xB7, 0, 0, 0, 0x95, 0, 0, 0)
        done = barebpf("exec", stdin=code.hex().encode())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"BPF program is too large", done.stderr)

    def test_timeout(self):
        for engine in "jit", "interpreter":
            done = barebpf("exec", "--unverified", "--timeout", "1", "--engine", engine,
                           stdin=b"0500ffff000000009500000000000000")
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"still ran after 1 s", done.stderr)

    def test_what_is_no_program(self):
        for text in b"", b"9", b"95", b"xx", b"95000000000000zz":
            done = barebpf("exec", stdin=text)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"program: ", done.stderr)


class Usage(unittest.TestCase):
    def test_help(self):
        for arguments in ["--help"], ["help"], ["run", "--help"], ["help", "exec"], ["verify", "-h"]:
            done = barebpf(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"barebpf", done.stdout)
        for command in "run", "verify", "disasm", "exec", "pack":
            self.assertIn(b"Examples:", barebpf("help", command).stdout)

    def test_mistakes(self):
        for arguments, phrase in (
            ([], "which command"),
            (["rum"], "did you mean run?"),
            (["run"], "needs OBJECT"),
            (["run", "x.o"], "needs --pcap"),
            (["run", "x.o", "--pcpa", "y"], "did you mean --pcap?"),
            (["run", "x.o", "--pcap"], "needs a value"),
            (["run", "x.o", "--pcap", "y", "--pcap", "z"], "given twice"),
            (["run", "x.o", "y.o", "--pcap", "y"], "what is 'y.o'"),
            (["run", "x.o", "--pcap", "y", "--repeat", "0"], "from 1 to"),
            (["run", "x.o", "--pcap", "y", "--engine", "steam"], "jit or interpreter"),
            (["verify", "x.o", "--log-level", "9"], "from 0 to 7"),
            (["verify", "-x"], "options are long"),
            (["exec", "00", "--memory", "00"], "given twice"),
            (["exec", "--json=yes"], "takes no value"),
            (["help", "run", "verify"], "one command at a time"),
        ):
            done = barebpf(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(phrase, done.stderr.decode())

    def test_a_program_that_is_not_there(self):
        done = barebpf("run", program("globals"), "--pcap", capture("arp"), "--program", "globls")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"did you mean globals?", done.stderr)

    def test_errors_as_json(self):
        for arguments in ["run", "/no/such.o", "--pcap", capture("arp")], ["run", "x.o"], ["verify", "/"]:
            status, result = as_json(*arguments)
            self.assertIn(status, (1, 2))
            self.assertTrue(result["error"])

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([cli_support.BAREBPF, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)


if __name__ == "__main__":
    cli_support.main()
