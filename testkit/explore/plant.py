#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""plant.py SOURCE OUTPUT BUG: writes a copy of a file of the source with a bug in it. Of a header OUTPUT is left empty; the
copy is named BUG/kernel/..., next to it, so that an include path can put it before the real one.

plant.py --check SOURCE BUG...: fails if one of the bugs does not fit the source any more. (Then its copy is written
without it, so that only tests fail, not the build.)

BUG is a file of planted/. Its first line names the source, then come the text that is taken out between lines
`<<<<` and `====`, and the text that stands there instead, up to `>>>>`. The text must be there exactly once."""

import os
import sys


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def plant(source_root, bug):
    """The name of the file, its text with the bug in it, and what is wrong with that."""
    lines = [line for line in read(bug).split('\n') if not line.startswith('#')]
    name = lines[0].strip()
    begin, middle, end = (lines.index(mark) for mark in ('<<<<', '====', '>>>>'))
    right = '\n'.join(lines[begin + 1:middle])
    wrong = '\n'.join(lines[middle + 1:end])
    text = read(os.path.join(source_root, name))
    if text.count(right) != 1:
        return name, text, f'{bug}: what it replaces stands {text.count(right)} times in {name}; write it as it is now'
    return name, text.replace(right, wrong), None


def main():
    if sys.argv[1] == '--check':
        complaints = [plant(sys.argv[2], bug)[2] for bug in sys.argv[3:]]
        sys.exit('\n'.join(filter(None, complaints)) or 0)
    source_root, output, bug = sys.argv[1:]
    name, text, _ = plant(source_root, bug)
    if name.endswith('.h'):
        write(output, '')
        folder = os.path.splitext(os.path.basename(bug))[0]
        output = os.path.join(os.path.dirname(output), folder, name)
    write(output, text)


if __name__ == '__main__':
    main()
