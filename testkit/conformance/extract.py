#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""extract.py ARCHIVE FOLDER OUTPUT...: Linux's tests of maps out of Debian's linux-source archive into FOLDER; each OUTPUT is a
copy of the one with its name.

They are outside programs: nothing of them is part of this project. The archive is read once, up to the last of them.
"""
import os
import shutil
import subprocess
import sys

SELFTESTS = 'tools/testing/selftests/bpf/'
MEMBERS = [SELFTESTS + name for name in (
    'bpf_util.h', 'test_maps.c', 'test_maps.h', 'test_lru_map.c', 'test_lpm_map.c', 'testing_helpers.h',
    'map_tests/array_map_batch_ops.c', 'map_tests/htab_map_batch_ops.c', 'map_tests/lpm_trie_map_batch_ops.c',
    'map_tests/map_in_map_batch_ops.c', 'progs/test_map_in_map.c', 'progs/test_map_in_map_invalid.c')] + [
    'tools/include/' + name for name in ('linux/compiler.h', 'linux/compiler_types.h', 'linux/compiler-gcc.h',
                                         'linux/err.h', 'linux/filter.h', 'linux/types.h')]


def main():
    archive, folder = sys.argv[1:3]
    top = os.path.basename(archive).split('.tar')[0]
    os.makedirs(folder, exist_ok=True)
    subprocess.run(['tar', '--extract', '--file', archive, '--directory', folder, '--strip-components=1',
                    '--occurrence=1', '--touch', *[f'{top}/{name}' for name in MEMBERS]], check=True)
    paths = {os.path.basename(name): name for name in MEMBERS}
    for output in sys.argv[3:]:
        shutil.copyfile(os.path.join(folder, paths[os.path.basename(output)]), output)


if __name__ == '__main__':
    main()
