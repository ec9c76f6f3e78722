#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs isa/*.isa on the running kernel: it must agree with every case.

    check_isa_on_kernel.py [FILE...]     all files by default

Value cases are loaded as socket filters and test-run: R1 is the value of an array map, R0 goes into
another one. The verifier's listing must spell each instruction as the case does. Rejected cases must
fail to load, and the good programs beside them must load. Nothing is attached to anything.
Exit status: 0 agreed, 1 not, 77 not possible here: bpf(2) is not permitted, or the kernel is too old.
"""

import ctypes
import errno
import os
import platform
import re
import struct
import sys
from contextlib import contextmanager

import isa_rejects
from isa_asm import assemble, encode, format_insn, insn
from isa_model import decode
from make_isa import FILES, rejects, value_cases

SYSCALL = {'x86_64': 321, 'aarch64': 280}
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD, TEST_RUN = 0, 1, 2, 5, 10
LOG_LEVEL_2, LOG_FIXED = 2, 8
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    """(result or -errno, the attr afterwards)"""
    size = max(len(attr), 128)
    buffer = ctypes.create_string_buffer(attr.ljust(size, b'\0'), size)
    number = SYSCALL[platform.machine()]
    result = LIBC.syscall(number, ctypes.c_int(command), buffer, ctypes.c_uint(size))
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def load(code, log_size=0):
    """(descriptor or -errno, verifier log)"""
    text = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b'Dual BSD/GPL')
    log = ctypes.create_string_buffer(log_size or 1)
    fd, _ = bpf(PROG_LOAD, struct.pack('<IIQQIIQ', 1, len(code) // 8, ctypes.addressof(text),
                                       ctypes.addressof(licence), LOG_LEVEL_2 | LOG_FIXED if log_size else 0,
                                       log_size, ctypes.addressof(log) if log_size else 0))
    return fd, log.value.decode()


def loads(code):
    fd, _ = load(code)
    if fd >= 0:
        os.close(fd)
    return fd


class Value:
    """An array map with one value."""

    def __init__(self, data):
        self.size = len(data)
        self.fd, _ = bpf(MAP_CREATE, struct.pack('<IIII', 2, 4, self.size, 1))
        if self.fd < 0:
            raise OSError(-self.fd, os.strerror(-self.fd))
        self.key = ctypes.create_string_buffer(4)
        self.data = ctypes.create_string_buffer(data, self.size)
        self.call(MAP_UPDATE)

    def call(self, command):
        result, _ = bpf(command, struct.pack('<IIQQQ', self.fd, 0, ctypes.addressof(self.key),
                                             ctypes.addressof(self.data), 0))
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    def read(self):
        self.call(MAP_LOOKUP)
        return self.data.raw

    def load_address(self, register):
        return insn(0x18, register, 2, 0, self.fd).encode() + insn(0).encode()


@contextmanager
def value(data):
    made = Value(data)
    try:
        yield made
    finally:
        os.close(made.fd)


def wrap(code, memory, result):
    """The case between a prologue, and an epilogue that its outermost exits jump back to."""
    epilogue = result.load_address(1) + insn(0x7b, 1, 0).encode() + insn(0xb7).encode() + insn(0x95).encode()
    prologue = memory.load_address(1) if memory else insn(0xb7, 1).encode()
    prologue += insn(0xb7, 2, 0, 0, memory.size if memory else 0).encode()
    prologue += insn(0x05, 0, 0, len(epilogue) // 8).encode()
    target = len(prologue) // 8
    start = target + len(epilogue) // 8
    slots = decode(code)
    calls = [at + 1 + s[4] for at, s in enumerate(slots) if s[0] == 0x85 and s[2] == 1]
    end = min(calls, default=len(slots))
    body = bytearray(code)
    for at in range(end):
        if slots[at][0] == 0x95:
            body[8 * at:8 * at + 8] = insn(0x06, 0, 0, 0, target - (start + at) - 1).encode()
    return prologue + epilogue + bytes(body)


def listing(code):
    """What the verifier prints for each slot. It lists all before it works, and here has no work: the
    first instruction reads what was never written."""
    fd, log = load(insn(0xbf, 0, 9).encode() + code, 256 * len(code) // 8 + (1 << 12))
    if fd >= 0:
        os.close(fd)
    lines = re.findall(r'^ *(?:\d+ +)?(\d+): [.0-9]{10} \(..\) (.*)$', log, re.MULTILINE)
    return {int(at) - 1: text for at, text in lines if at != '0'}


def spelling_faults(case):
    seen = listing(case.code)
    at = 0
    for one in case.insns:
        text = format_insn(one)
        if seen.get(at) != text:
            yield f'{case.name}: slot {at} is "{seen.get(at)}" to the kernel, "{text}" here'
        at += one.slots


def run_case(case):
    """Faults found, as text."""
    with value(bytes(8)) as result, value(case.memory or bytes(8)) as memory:
        code = wrap(case.code, memory if case.memory else None, result)
        fd, _ = load(code)
        if fd < 0:
            _, log = load(code, 1 << 20)
            return [f'{case.name}: load fails with {errno.errorcode[-fd]}: ' + '; '.join(log.splitlines()[-3:])]
        try:
            packet = ctypes.create_string_buffer(64)
            status, _ = bpf(TEST_RUN, struct.pack('<IIIIQQII', fd, 0, 64, 0, ctypes.addressof(packet), 0, 1, 0))
        finally:
            os.close(fd)
        if status < 0:
            return [f'{case.name}: test run fails with {errno.errorcode[-status]}']
        faults = []
        r0 = int.from_bytes(result.read(), 'little')
        if r0 != case.result:
            faults.append(f'{case.name}: R0 is {r0:x} in the kernel, {case.result:x} here')
        if case.memory and memory.read() != case.memory_after:
            faults.append(f'{case.name}: memory is {memory.read().hex()} in the kernel')
        return faults + list(spelling_faults(case))


def run_rejects():
    for row in rejects():
        if loads(row.code) >= 0:
            yield f'{row.name}: the kernel takes it'
        if loads(row.good) < 0:
            yield f'{row.name}: the kernel refuses its good twin'


def why_not():
    """The reason to skip, or None."""
    end = insn(0xb7).encode() + insn(0x95).encode()
    if platform.machine() not in SYSCALL or loads(end) < 0:
        return 'bpf(2) is not permitted here (needs root)'
    newest = assemble('*(u64 *)(r10 -8) = 0\n r0 = load_acquire((u64 *)(r10 -8))\n may_goto +0\n exit')
    if loads(encode(newest)) < 0:
        return 'this kernel does not know the newest instructions'
    return None if listing(end) else 'this kernel does not list the instructions (6.18 does)'


def main():
    reason = why_not()
    if reason:
        print(f'skipped: {reason}')
        sys.exit(77)
    wanted = sys.argv[1:] or list(FILES) + ['reject']
    total = failed = 0
    for file, cases in value_cases().items():
        if file in wanted:
            faults = [fault for case in cases for fault in run_case(case)]
            total, failed = total + len(cases), failed + len(faults)
            print(f'{file:10} {len(cases):5} cases, {len(faults)} faults', *faults, sep='\n    ')
    if 'reject' in wanted:
        faults = list(run_rejects())
        count = len(list(isa_rejects.reject_cases()))
        total, failed = total + count, failed + len(faults)
        print(f'{"reject":10} {count:5} cases, {len(faults)} faults', *faults, sep='\n    ')
    print(f'{total} cases, {failed} faults')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
