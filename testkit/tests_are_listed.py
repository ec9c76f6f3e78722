#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""tests_are_listed.py SOURCE ARCH FILE...: every *_test.cc of the tree is among the files.

Tests of another architecture's folder are not expected, nor those of the test kernel itself."""

import os
import sys


def main():
    source, arch = os.path.realpath(sys.argv[1]), sys.argv[2]
    listed = {os.path.relpath(os.path.realpath(os.path.join(source, name)), source)
              for name in sys.argv[3:]}
    missing = []
    for folder in ['arch/' + arch, 'kernel', 'testkit', 'uapi']:
        for where, _, names in os.walk(os.path.join(source, folder)):
            here = os.path.relpath(where, source)
            if here.startswith('testkit/guest'):
                continue
            found = [os.path.join(here, name) for name in names if name.endswith('_test.cc')]
            missing += [name for name in found if name not in listed]
    for name in sorted(missing):
        print(f'{name}: in no list of its meson.build (unit_tests, user_tests, unit_test_parts)')
    sys.exit(bool(missing))


if __name__ == '__main__':
    main()
