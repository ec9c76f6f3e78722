#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""qemu.py with images of a few instructions: qemu_test.py x86|arm64 COMPILER [UNITTEST-ARGUMENT...]"""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import qemu_console

HERE = os.path.dirname(os.path.abspath(__file__))
MACHINE, COMPILER, IMAGES = "", "", ""

# Prints TEXT, calls outer(), which calls inner(), which ends as END says: 0 exit with STATUS, 1 a loop with
# interrupts off, 2 a wait for an interrupt that never comes.
X86 = """
    .section .note, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long _start
    .text
    .code32
    .globl _start, outer, inner
_start:
    mov $table4, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode
    .code64
long_mode:
    mov $stack_top, %rsp
    xor %ebp, %ebp
    mov $text, %esi
    mov $0x3f8, %edx
1:  lodsb
    test %al, %al
    jz 2f
    out %al, (%dx)
    jmp 1b
2:  call outer
outer:
    push %rbp
    mov %rsp, %rbp
    call inner
inner:
    push %rbp
    mov %rsp, %rbp
#if END == 0
    mov $STATUS, %eax
    mov $0xf4, %edx
    out %eax, (%dx)
#elif END == 2
3:  hlt
    jmp 3b
#endif
4:  jmp 4b
    .data
    .balign 4096
table4: .quad table3 + 3
    .balign 4096
table3: .quad 0x83
    .balign 4096
gdt: .quad 0, 0x00af9b000000ffff
gdt_pointer: .word 15
    .long gdt
text: .asciz TEXT
    .balign 16
    .fill 4096
stack_top:
"""

ARM64 = """
    .globl _start, outer, inner
_start:
    ldr x0, =0xc4000003
    mov x1, #1
    adr x2, second
    hvc #0
    ldr x0, =stack_top
    mov sp, x0
    mov x29, #0
    ldr x0, =text
    ldr x1, =0x9000000
1:  ldrb w2, [x0], #1
    cbz w2, 2f
    str w2, [x1]
    b 1b
2:  bl outer
outer:
    stp x29, x30, [sp, #-16]!
    mov x29, sp
    bl inner
inner:
    stp x29, x30, [sp, #-16]!
    mov x29, sp
#if END == 0
    ldr x1, =block
    mov x0, #0x18
    hlt #0xf000
#elif END == 2
3:  wfi
    b 3b
#endif
4:  b 4b
second:
    wfi
    b second
    .data
    .balign 16
block: .quad 0x20026, STATUS
text: .asciz TEXT
    .balign 16
    .fill 4096
stack_top:
"""

SOURCES = {"x86": (X86, "0x200000"), "arm64": (ARM64, "0x40200000")}
EXIT, SPIN, WAIT = 0, 1, 2


def image(name, text, end=EXIT, status=0):
    source, base = SOURCES[MACHINE]
    path = os.path.join(IMAGES, name + ".elf")
    quoted = '"' + text.replace("\n", "\\n") + '"'
    subprocess.run([COMPILER, "-x", "assembler-with-cpp", "-g", "-nostdlib", "-static", "-no-pie",
                    f"-DTEXT={quoted}", f"-DEND={end}", f"-DSTATUS={status}", f"-Wl,-Ttext-segment={base}",
                    "-Wl,--build-id=none", "-o", path, "-"], input=source, text=True, check=True)
    return path


def qemu(*arguments, machine=None):
    done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "qemu.py"), machine or MACHINE, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120)
    return done.returncode, done.stdout


class End(unittest.TestCase):
    def test_line_and_status(self):
        self.assertEqual(qemu(image("pass", "guest: hello\nguest: PASS\n"))[0], 0)

    def test_icount(self):
        self.assertEqual(qemu(image("icount", "guest: PASS\n"), "--icount", "2", "--smp", "2")[0], 0)

    def test_status_without_line(self):
        status, text = qemu(image("silent", "guest: hello\n"))
        self.assertEqual(status, 1)
        self.assertIn("the last line is not 'guest: PASS'", text)

    def test_line_is_not_the_last(self):
        self.assertEqual(qemu(image("early", "guest: PASS\nguest: FAIL late\n"))[0], 1)

    def test_line_without_status(self):
        status, text = qemu(image("status", "guest: PASS\n", status=3))
        self.assertEqual(status, 1)
        self.assertIn("but QEMU's status is", text)

    def test_expected_failure(self):
        path = image("expected", "guest: FAIL no memory\n", status=1)
        self.assertEqual(qemu(path, "--expect-failure", "FAIL no mem")[0], 0)
        self.assertEqual(qemu(path, "--expect-failure", "no CPU")[0], 1)
        self.assertEqual(qemu(image("pass2", "guest: PASS\n"), "--expect-failure", "PASS")[0], 1)


class Unusable(unittest.TestCase):
    def test_unknown_machine(self):
        status, text = qemu("image", machine="riscv")
        self.assertEqual(status, 2)
        self.assertIn("unknown machine 'riscv' (there are: arm64, x86)", text)

    def test_missing_files(self):
        status, text = qemu("/nowhere/image")
        self.assertEqual(status, 2)
        self.assertIn("no image: /nowhere/image", text)
        status, text = qemu(image("pass3", "guest: PASS\n"), "--initrd", "/nowhere/initrd")
        self.assertEqual(status, 2)
        self.assertIn("no initrd: /nowhere/initrd", text)

    def test_no_qemu(self):
        path = image("pass4", "guest: PASS\n")
        program = os.path.join(HERE, "qemu.py")
        done = subprocess.run([sys.executable, "-B", program, MACHINE, path], env={"PATH": "/nowhere"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is not installed", done.stdout)

    def test_no_elf_file(self):
        path = os.path.join(IMAGES, "text")
        with open(path, "w", encoding="ascii") as file:
            file.write("no image at all\n")
        status, text = qemu(path)
        self.assertEqual(status, 2)
        self.assertIn("not a 64-bit little-endian ELF file", text)


class Hang(unittest.TestCase):
    def hang(self, end):
        status, text = qemu(image(f"hang{end}", "[ RUN      ] Suite.Stuck\n", end), "--smp", "2", "--timeout", "4")
        self.assertEqual(status, 3, text)
        self.assertIn("hang: nothing on the console for 4 s in Suite.Stuck", text)
        first = [line for line in text.splitlines() if line.startswith("CPU 0: ")]
        second = [line for line in text.splitlines() if line.startswith("CPU 1: ")]
        self.assertRegex(first[0], r"CPU 0: 0x\w{16} inner")
        self.assertRegex(first[1], r"CPU 0: 0x\w{16} outer")
        self.assertEqual(len(first), 3, text)
        self.assertRegex(second[0], "second" if MACHINE == "arm64" else "never started")
        return first

    def test_spin(self):
        self.hang(SPIN)

    def test_halted(self):
        line = self.hang(WAIT)[0]
        if MACHINE == "x86":
            self.assertIn("(halted)", line)

    def test_endless_output(self):
        status, text = qemu(image("limit", "guest: busy\n", SPIN), "--limit", "1")
        self.assertEqual(status, 3)
        self.assertIn("hang: no end within 1 s", text)

    def test_counts_as_a_failing_case(self):
        path = os.path.join(IMAGES, "hang.xml")
        qemu(image("stuck", "[ RUN      ] Suite.Stuck\n", SPIN), "--timeout", "1", f"--gtest_output=xml:{path}")
        failure = ElementTree.parse(path).getroot().find("testsuite/testcase/failure")
        self.assertIn("hang: nothing on the console", failure.get("message"))


class Cases(unittest.TestCase):
    TEXT = ("[ RUN      ] A.One\n[       OK ] A.One (12 ms)\n[ RUN      ] A.Two\na_test.cc:3: no\n"
            "[  FAILED  ] A.Two (0 ms)\n[ RUN      ] B.Three\nwhy\n[  SKIPPED ] B.Three (0 ms)\n")

    def test_xml(self):
        path = os.path.join(IMAGES, "cases.xml")
        status, _ = qemu(image("cases", self.TEXT + "[  FAILED  ] A.Two\nguest: FAIL 1 test\n", status=1),
                         f"--gtest_output=xml:{path}")
        self.assertEqual(status, 1)
        root = ElementTree.parse(path).getroot()
        self.assertEqual([case.get("name") for case in root.iter("testcase")], ["One", "Two", "Three"])
        failures = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
        self.assertEqual(failures, ["Two"])
        self.assertEqual(root.find(".//failure").get("message"), "a_test.cc:3: no")
        self.assertEqual(root.find(".//skipped").get("message"), "why")

    def test_a_failed_case_needs_no_failing_status(self):
        self.assertEqual(qemu(image("liar", self.TEXT + "guest: PASS\n"))[0], 1)

    def test_no_case_ran(self):
        path = os.path.join(IMAGES, "none.xml")
        status, text = qemu(image("none", "guest: PASS\n"), f"--gtest_output=xml:{path}")
        self.assertEqual(status, 1)
        self.assertIn("no test ran", text)


class Dump(unittest.TestCase):
    def test_addresses_get_names(self):
        address = int(SOURCES[MACHINE][1], 16)
        text = f"guest: fault\nguest:   at 0x{address:x}\nguest:   at 0x10\nguest: FAIL fault\n"
        lines = qemu(image("dump", text, status=1))[1].splitlines()
        self.assertRegex(lines[1], rf"guest:   at 0x{address:x} \S+")
        self.assertEqual(lines[2], "guest:   at 0x10 (not in the image)")
        self.assertEqual(lines[3], "guest: FAIL fault")

    def test_lines_in_pieces(self):
        written = []
        console = qemu_console.Console(written.append, lambda addresses: [f"<{a:x}>" for a in addresses])
        for piece in (b"gue", b"st:   at 0x1", b"2\r\nguest:   freed by 0x20 0x30\nguest: PA", b"SS"):
            console.feed(piece)
        console.finish()
        self.assertEqual("".join(written), "guest:   at 0x12 <12>\nguest:   freed by 0x20 <1f>\n"
                         "guest:   freed by 0x30 <2f>\nguest: PASS\n")
        self.assertEqual(console.last_line, "guest: PASS")


if __name__ == "__main__":
    MACHINE, COMPILER = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="qemu-test-") as IMAGES:
        unittest.main(argv=sys.argv[:1] + sys.argv[3:])
