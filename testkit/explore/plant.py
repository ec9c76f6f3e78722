#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""plant.py SOURCE OUTPUT BUG...: writes copies of files of the source into the folder OUTPUT that have all these bugs in
them; which one shows is said by barebpf_bug when the program runs: its number in this order, beginning with 1. A
header is found by its name in the source if the include path has OUTPUT/tree in front. OUTPUT/bugs.h lists the names.

plant.py --check SOURCE BUG...: fails if one of the bugs does not fit the source any more. (Then the copy is written
without it, so that only tests fail, not the build.)

BUG is a file of planted/. Its first line names the source, then come the text that is right between lines `<<<<` and
`====`, and the wrong text that stands there instead, up to `>>>>`. The right text must be there exactly once. Both are
whole statements, of which one or the other is run; a wrong text that cannot be that asks for itself whether it is
wanted: PLANTED."""

import os
import sys

SWITCH = 'barebpf_bug'


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


class Bug:
    def __init__(self, source_root, path, number):
        lines = [line for line in read(path).split('\n') if not line.startswith('#')]
        begin, middle, end = (lines.index(mark) for mark in ('<<<<', '====', '>>>>'))
        right = '\n'.join(lines[begin + 1:middle])
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.file = lines[0].strip()
        self.wrong = '\n'.join(lines[middle + 1:end])
        self.number = number
        text = read(os.path.join(source_root, self.file))
        found = text.count(right)
        self.complaint = None
        if found != 1:
            self.complaint = f'{path}: what it replaces stands {found} times in {self.file}; write it as it is now'
        self.begin = text.find(right)
        self.end = self.begin + len(right)

    def test(self):
        return f'({SWITCH} == {self.number})'

    def apply(self, text, begin, end):
        """The text from begin to end with this bug, and only this one, in it."""
        wrong = self.wrong.replace('PLANTED', self.test())
        return text[begin:self.begin] + wrong + text[self.end:end]


def groups(bugs):
    """Those that touch the same text together."""
    bugs = sorted(bugs, key=lambda bug: (bug.begin, -bug.end))
    together = []
    for bug in bugs:
        if together and bug.begin < max(other.end for other in together[-1]):
            together[-1].append(bug)
        else:
            together.append([bug])
    return together


def plant_all(text, bugs):
    for group in reversed(groups(bugs)):
        begin, end = min(bug.begin for bug in group), max(bug.end for bug in group)
        alone = len(group) == 1 and 'PLANTED' in group[0].wrong
        if alone:
            replacement = group[0].apply(text, begin, end)
        else:
            replacement = ''.join(f'if {bug.test()} {{\n{bug.apply(text, begin, end)}\n}} else ' for bug in group)
            replacement += f'{{\n{text[begin:end]}\n}}'
        text = text[:begin] + replacement + text[end:]
    return f'extern unsigned {SWITCH};\n{text}'


def main():
    checking = sys.argv[1] == '--check'
    source_root, paths = sys.argv[2 if checking else 1], sys.argv[3:]
    bugs = [Bug(source_root, path, number) for number, path in enumerate(paths, 1)]
    if checking:
        sys.exit('\n'.join(filter(None, (bug.complaint for bug in bugs))) or 0)
    output = os.path.abspath(sys.argv[2])
    for name in {bug.file for bug in bugs}:
        fitting = [bug for bug in bugs if bug.file == name and not bug.complaint]
        copy = os.path.join(output, os.path.basename(name))
        write(copy, plant_all(read(os.path.join(source_root, name)), fitting))
        if name.endswith('.h'):
            up = '../' * (name.count('/') + 1)
            write(os.path.join(output, 'tree', name), f'#include "{up}{os.path.basename(name)}"\n')
    write(os.path.join(output, 'bugs.h'), ''.join(f'"{bug.name}",\n' for bug in bugs))


if __name__ == '__main__':
    main()
