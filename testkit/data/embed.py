#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""embed.py ARRAY OUTPUT FILE...: writes C++ that holds the files as an array of DataFile."""

import os
import sys


def literal(line):
    if not line.isascii() or '\r' in line:
        sys.exit('test data are plain ASCII with \\n')
    return '"' + line.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def main():
    array, output, paths = sys.argv[1], sys.argv[2], sorted(sys.argv[3:])
    parts = ['#include "testkit/data/data_file.h"\n\nnamespace barebpf::testdata {\nnamespace {\n']
    rows = []
    for number, path in enumerate(paths):
        with open(path, encoding='ascii', newline='') as file:
            lines = file.readlines()
        parts.append(f'const char kText{number}[] =\n' + '\n'.join(map(literal, lines)) + ';\n')
        rows.append(f'    {{"{os.path.basename(path)}", kText{number}, sizeof(kText{number}) - 1}},\n')
    parts.append('}  // namespace\n\n')
    parts.append(f'extern const DataFile {array}s[] = {{\n' + ''.join(rows) + '};\n')
    parts.append(f'extern const u32 {array}Count = {len(rows)};\n\n}}  // namespace barebpf::testdata\n')
    with open(output, 'w', encoding='ascii', newline='') as file:
        file.write(''.join(parts))


if __name__ == '__main__':
    main()
