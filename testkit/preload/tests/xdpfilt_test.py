#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""libxdp's xdpfilt objects, as Debian ships them, on captures: verdicts, packets and maps as on the running kernel.

    xdpfilt_test.py NOBPF LIBRARY ORACLE CAPTURES

Each object runs once with empty filters and once with some. Where the kernel's bpf(2) is not permitted only that they load and run, and
that a denying and an allowing one differ, is looked at. Exits 77 where libxdp1 is not installed.
"""
import glob
import json
import os
import subprocess
import sys

# Ports 80 and 53 in either byte order, source and destination, TCP and UDP; the address of the captures' servers.
FILTERS = {
    'filter_ports': [(key, '0f00000000000000') for key in ('50000000', '00500000', '35000000', '00350000')],
    'filter_ipv4': [('0a000001', '0300000000000000'), ('0a000002', '0300000000000000')],
}
CAPTURES = ['mixed', 'http6', 'dns']


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)}: status {done.returncode}\n{done.stderr}')
    return json.loads(done.stdout)


def settings(path):
    with open(path, 'rb') as file:
        names = file.read()
    return [f'{name}={key}:{value}' for name, elements in FILTERS.items() if name.encode() in names
            for key, value in elements]


def main():
    nobpf, library, oracle, folder = sys.argv[1:]
    objects = sorted(glob.glob('/usr/lib/*/bpf/xdpfilt_*.o'))
    if not objects:
        print('libxdp1 is not installed')
        return 77
    captures = [path for name in CAPTURES for path in glob.glob(os.path.join(folder, name + '*.pcap'))]
    assert len(captures) >= 2, f'no captures in {folder}'
    kernel, differences, verdicts = True, [], set()
    for path in objects:
        program = os.path.basename(path)[:-2]
        for capture in captures:
            for given in ([], settings(path)):
                command = [oracle, path, program, capture, *given]
                ours = run([nobpf, '-p', library, *command])
                verdicts.add(json.dumps(ours['verdicts']))
                try:
                    theirs = run(command) if kernel else ours
                except RuntimeError as error:
                    print(f'the running kernel is not asked: {error}')
                    kernel, theirs = False, ours
                if ours != theirs:
                    differences.append(f'{command}:\n  kernel {theirs}\n  ours   {ours}')
    assert len(verdicts) > 1, 'every object let the same packets pass'
    print(*differences, f'{len(objects)} objects, {len(captures)} captures, {len(differences)} differences', sep='\n')
    return 1 if differences else 0


if __name__ == '__main__':
    sys.exit(main())
