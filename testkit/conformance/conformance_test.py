#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One subtest of an outside program against barebpf, preloaded.

    conformance_test.py [--if-kernel-passes] NOBPF LIBRARY FOLDER COMMAND [ARGUMENT...]

NOBPF starts the program under a filter that kills whoever calls the kernel's bpf(2); FOLDER is where it finds its objects.
With --if-kernel-passes the subtest first runs on the running kernel, and is skipped (77) if it fails or is not permitted
there: what the machine's kernel does not do is not asked of us.
"""
import os
import subprocess
import sys

LIMIT_S = 280


def run(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return 1, f'no end within {LIMIT_S} s'
    return done.returncode, done.stdout


def main():
    arguments = sys.argv[1:]
    compares = arguments[0] == '--if-kernel-passes'
    nobpf, library, folder, program = map(os.path.abspath, arguments[compares:compares + 4])
    command = [program, *arguments[compares + 4:]]
    if compares:
        status, text = run(command, folder)
        if status:
            print(f'the running kernel: status {status}\n{text}')
            return 77
    status, text = run([nobpf, '-p', library, *command], folder)
    print(text, end='')
    if status:
        print(f'status {status}')
    return 1 if status else 0


if __name__ == '__main__':
    sys.exit(main())
