#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Records in `barebpf run`: cli_records_test.py BAREBPF PROGRAMS OBJECTS [UNITTEST-ARGUMENT...]"""
import json
import struct
import subprocess
import threading

import cli_support
from cli_support import Scratch, as_json, barebpf, capture, own, program, read_pcap


class Records(Scratch):
    """What programs hand to readers: one record or more of each of ten packets."""

    def run_it(self, name, *options, packets="arp"):
        status, result = as_json("run", own("records"), "--pcap", capture(packets), "--program", name, *options)
        self.assertEqual(status, 0, result)
        return result

    def text(self, name, *options):
        done = barebpf("run", own("records"), "--pcap", capture("arp"), "--program", name, *options)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode()

    def test_ring_buffer(self):
        records = self.run_it("one_each", "--record-type", "events=event")["records"]
        self.assertEqual([record["packet"] for record in records], list(range(1, 11)))
        for number, record in enumerate(records):
            value = {"number": number, "size": 42, "verdict": "pass", "source_addr": "0a000001"}
            self.assertEqual(record["value"], value)
            self.assertEqual((record["map"], record["size"]), ("events", 20))
            self.assertEqual(record["bytes"], struct.pack("<IH10s4s", number, 42, b"pass", b"\n\0\0\1").hex())
            self.assertNotIn("cpu", record)

    def test_a_ring_is_read_before_it_is_full(self):
        # 172 records of 1 KiB and more, and a ring of 4.
        result = self.run_it("any_length", packets="mixed")
        self.assertEqual(len(result["records"]), 172)
        self.assertEqual({record["size"] for record in result["records"]}, {0, 7, 28, 1024})
        self.assertTrue(all(record["value"] is None for record in result["records"]))

    def test_lengths_other_than_the_type_has(self):
        records = self.run_it("any_length", "--record-type", "events=struct event")["records"]
        self.assertEqual([(record["size"], record["value"] and record["value"]["number"]) for record in records[:4]],
                         [(28, 0), (7, None), (0, None), (1024, 3)])
        text = self.text("any_length", "--record-type", "events=event")
        for phrase in ("source_addr: 0a000001}, and behind it 8 bytes\n", "|and more|\n",
                       "    2: events, 7 bytes, fewer than event has\n        0000  01 00 00 00 2a 00 70  ",
                       "    3: events, 0 bytes, fewer than event has\n    4: ", "        (748 more bytes; --json has all)\n"):
            self.assertIn(phrase, text)

    def test_perf_events(self):
        records = self.run_it("perf", "--record-type", "samples=event_header")["records"]
        packets = [data for _, _, _, data in read_pcap(capture("arp"))]
        self.assertEqual(len(records), 10)
        for number, record in enumerate(records):
            self.assertEqual((record["packet"], record["map"]), (number + 1, "samples"))
            self.assertEqual(record["value"], {"number": number, "kind": "xdp"})
            self.assertGreaterEqual(record["cpu"], 0)
            taken = packets[number][:14] if number % 2 else b""
            padded = (struct.pack("<I4s", number, b"xdp") + taken).ljust(28 if taken else 12, b"\0")
            self.assertEqual((record["size"], record["bytes"]), (len(padded), padded.hex()))
        text = self.text("perf", "--record-type", "samples=event_header")
        self.assertRegex(text, r"    1: samples, cpu \d+, 12 bytes: {number: 0, kind: xdp}\n    2: ")
        self.assertIn("kind: xdp}, and behind it 20 bytes\n", text)

    def test_lost_perf_events_are_told(self):
        result = self.run_it("flood")
        variables = [m for m in result["maps"] if m["name"] == ".bss"][0]["elements"][0]["value"]
        self.assertGreater(variables["refused"], 0)
        self.assertEqual(result["records_lost"], variables["refused"])
        self.assertEqual(sum(loss["records"] for loss in result["losses"]), variables["refused"])
        self.assertEqual(sorted({loss["packet"] for loss in result["losses"]}), list(range(1, 11)))
        self.assertEqual(len(result["records"]) + result["records_lost"], 10 * 512)
        text = self.text("flood", "--records", "600")
        self.assertRegex(text, r"    1: samples, cpu \d+, \d+ records lost: there was no room\n    2: ")
        self.assertRegex(text, r"    \([\d,]+ more; --records \d+ shows them\)\n    \([\d,]+ more were lost")

    def test_text_comes_before_the_summary(self):
        text = self.text("both", "--record-type", "samples=event,events=event")
        self.assertTrue(text.startswith("records (packet: map, size: contents)\n    1: events, 20 bytes: {number: 0, "))
        self.assertLess(text.index("    10: samples, cpu "), text.index("both (xdp, "))
        self.assertNotIn("--record-type", text)
        plain = self.text("both")
        self.assertIn("        0010  0a 00 00 01                                       |....|\n", plain)
        self.assertEqual(plain.count("--record-type events=STRUCT"), 1)
        self.assertEqual(plain.count("--record-type"), 1)

    def test_text_comes_while_packets_do(self):
        command = [cli_support.BAREBPF, "run", own("records"), "--program", "one_each", "--pcap", "-", "--record-type", "events=event"]
        with open(capture("arp"), "rb") as file:
            data = file.read()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            patience = threading.Timer(60, process.kill)
            self.addCleanup(patience.cancel)
            patience.start()
            process.stdin.write(data[: 24 + 16 + 42])  # one packet, and nothing behind it yet
            process.stdin.flush()
            self.assertIn(b"records (", process.stdout.readline())
            self.assertIn(b"    1: events, 20 bytes: {number: 0, ", process.stdout.readline())
            process.stdin.close()
            self.assertIn(b"1 packet, 42 bytes", process.stdout.read())

    def test_limits(self):
        text = self.text("both", "--records", "3")
        self.assertIn("    2: events, ", text)
        self.assertNotIn("    2: samples, ", text)
        self.assertIn("    (17 more; --records 20 shows them)\n\nboth (xdp, ", text)
        self.assertNotIn("more; --records", self.text("both", "--records", "20"))
        self.assertTrue(self.text("both", "--records", "0").startswith("    (20 more; "))
        result = self.run_it("both", "--records", "3")
        self.assertEqual((len(result["records"]), result["records_dropped"]), (3, 17))

    def test_repeats_are_not_shown_and_find_room(self):
        for name in "needs_room", "perf":
            result = self.run_it(name)
            done = barebpf("run", own("records"), "--pcap", capture("arp"), "--program", name, "--repeat", "2000",
                           "--json", timeout=60)
            often = json.loads(done.stdout)
            self.assertEqual([(r["packet"], r["bytes"]) for r in often["records"]],
                             [(r["packet"], r["bytes"]) for r in result["records"]])
            self.assertEqual((often["repeat"], often["records_lost"]), (2000, 0))
            self.assertGreater(often["nanoseconds_per_packet"], 0)

    def test_objects_without(self):
        _, result = as_json("run", program("globals"), "--pcap", capture("arp"))
        self.assertEqual((result["records"], result["records_lost"]), ([], 0))
        done = barebpf("run", program("globals"), "--pcap", capture("arp"))
        self.assertNotIn(b"record", done.stdout)

    def test_types_that_are_none(self):
        for text, *phrases in (
            ("events=evnt", "no type 'evnt'", "event, event_header", "*unused __attribute__((unused));"),
            ("events=struct xdp", "no type 'xdp'", "xdp_md"),
            ("event", "which map's records?", "events, samples", "--record-type events=TYPE"),
            ("evnts=event", "no map 'evnts' with records", "did you mean events?", "events, samples"),
            (".bss=event", "no map '.bss' with records"),
            ("events=event,events=event", "gives events two types"),
            ("events=", "no type ''"),
        ):
            done = barebpf("run", own("records"), "--pcap", capture("arp"), "--record-type", text)
            self.says_no(done, *phrases, status=2)
        done = barebpf("run", program("globals"), "--pcap", capture("arp"), "--record-type", "event")
        self.says_no(done, "has no map with records", status=2)

    def test_a_type_for_the_only_map(self):
        arguments = ["--program", "reserve", "--record-type", "ring_orders", "--pcap", capture("arp")]
        _, result = as_json("run", program("ring"), *arguments)
        self.assertEqual([record["value"]["number"] for record in result["records"]], list(range(10)))


if __name__ == "__main__":
    cli_support.main()
