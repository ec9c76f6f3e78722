#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Copies a capture and inserts VLAN tags: add_vlan_tags.py IN OUT

Of each three packets the first gets one 802.1Q tag, the second an 802.1ad tag outside an 802.1Q tag, the
third none. Nothing else changes.
"""
import struct
import sys

LITTLE_ENDIAN_MICROSECONDS = 0xA1B2C3D4
CUSTOMER, SERVICE = 0x8100, 0x88A8
TAGS = [
    struct.pack(">HH", CUSTOMER, 10),
    struct.pack(">HHHH", SERVICE, 100, CUSTOMER, 3 << 13 | 20),  # priority 3
    b"",
]


def main(source, target):
    with open(source, "rb") as file:
        data = file.read()
    magic, = struct.unpack_from("<I", data)
    if magic != LITTLE_ENDIAN_MICROSECONDS:
        sys.exit(f"{source}: not a little-endian pcap file")
    with open(target, "wb") as out:
        out.write(data[:24])
        offset, number = 24, 0
        while offset < len(data):
            seconds, micros, captured, length = struct.unpack_from("<IIII", data, offset)
            packet = data[offset + 16:offset + 16 + captured]
            tag = TAGS[number % len(TAGS)]
            out.write(struct.pack("<IIII", seconds, micros, captured + len(tag), length + len(tag)))
            out.write(packet[:12] + tag + packet[12:])
            offset += 16 + captured
            number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
