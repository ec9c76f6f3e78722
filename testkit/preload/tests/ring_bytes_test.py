#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ring_bytes_test.py CLIENT COMMAND...: what a client has mapped of a ring buffer is the same to the byte on the running
kernel and as COMMAND runs it, with the library preloaded. Skipped (77) where the kernel permits no bpf(2)."""

import subprocess
import sys

client, *command = sys.argv[1:]
kernel = subprocess.run([client, '--dump'], stdout=subprocess.PIPE, check=False)
if kernel.returncode == 77:
    sys.exit(77)
ours = subprocess.run([*command, '--dump'], stdout=subprocess.PIPE, check=False)
if kernel.returncode or ours.returncode:
    sys.exit(f'exit status {kernel.returncode} on the kernel, {ours.returncode} on the library')
if len(kernel.stdout) < 100_000:
    sys.exit(f'{len(kernel.stdout)} bytes: nothing was compared')
if kernel.stdout != ours.stdout:
    where = next((i for i, pair in enumerate(zip(kernel.stdout, ours.stdout)) if pair[0] != pair[1]), None)
    sys.exit(f'they differ at byte {where} of {len(kernel.stdout)} and {len(ours.stdout)}')
