#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes a guest's initial RAM disk, an uncompressed newc cpio archive: make_initrd.py OUT NAME=FILE..."""
import sys


def padded(data):
    return data + bytes(-len(data) % 4)


def entry(inode, name, data, mode=0o100644):
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return padded(header + name.encode() + b"\0") + padded(data)


def make(files):
    """The archive of {name: bytes}."""
    archive = b"".join(entry(number, name, data) for number, (name, data) in enumerate(files.items(), 1))
    return archive + entry(0, "TRAILER!!!", b"", 0)


def main(out, *pairs):
    files = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        with open(path, "rb") as file:
            files[name] = file.read()
    with open(out, "wb") as file:
        file.write(make(files))


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all("=" in pair for pair in sys.argv[2:]):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"make_initrd.py: {error.filename}: {error.strerror}")
