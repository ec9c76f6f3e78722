#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""libxdp's xdp-dispatcher.o, as Debian ships it, loaded, verified and run on every capture.

    dispatcher_test.py ORACLE CAPTURES

Preloaded and under the filter by whoever starts this. With no program configured the dispatcher passes every
packet and leaves it as it is. Exits 77 where libxdp1 is not installed.
"""
import glob
import json
import os
import subprocess
import sys


def main():
    oracle, captures = sys.argv[1:]
    objects = glob.glob('/usr/lib/*/bpf/xdp-dispatcher.o')
    if not objects:
        print('libxdp1 is not installed')
        return 77
    runs = 0
    for capture in sorted(glob.glob(os.path.join(captures, '*.pcap'))):
        run = subprocess.run([oracle, objects[0], 'xdp_dispatcher', capture], capture_output=True, text=True)
        assert run.returncode == 0, f'{capture}: {run.stderr}'
        result = json.loads(run.stdout)
        passed = result['verdicts'].get('2', 0)
        refused = sum(result['errors'].values())
        assert passed and passed + refused == result['packets'], f'{capture}: {result}'
        runs += 1
    assert runs >= 10, f'only {runs} captures in {captures}'
    print(f'{runs} captures, every packet passed')
    return 0


if __name__ == '__main__':
    sys.exit(main())
