#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""plant.py SOURCE OUTPUT BUG: writes a copy of a file of the source with a bug in it. Of a header OUTPUT is left empty; the
copy is named BUG/kernel/..., next to it, so that an include path can put it before the real one.

BUG is a file of planted/. Its first line names the source, then come the text that is taken out between lines
`<<<<` and `====`, and the text that stands there instead, up to `>>>>`. The text must be there exactly once."""

import os
import sys


def main():
    source_root, output, bug = sys.argv[1:]
    with open(bug, encoding='utf-8') as file:
        lines = [line for line in file.read().split('\n') if not line.startswith('#')]
    name = lines[0].strip()
    begin, middle, end = (lines.index(mark) for mark in ('<<<<', '====', '>>>>'))
    right = '\n'.join(lines[begin + 1:middle])
    wrong = '\n'.join(lines[middle + 1:end])
    with open(f'{source_root}/{name}', encoding='utf-8') as file:
        text = file.read()
    if text.count(right) != 1:
        sys.exit(f'{bug}: what it replaces stands {text.count(right)} times in {name}; write it as it is now:\n{right}')
    if name.endswith('.h'):
        with open(output, 'w', encoding='utf-8'):
            pass
        folder = os.path.splitext(os.path.basename(bug))[0]
        output = os.path.join(os.path.dirname(output), folder, name)
        os.makedirs(os.path.dirname(output), exist_ok=True)
    with open(output, 'w', encoding='utf-8') as file:
        file.write(text.replace(right, wrong))


if __name__ == '__main__':
    main()
