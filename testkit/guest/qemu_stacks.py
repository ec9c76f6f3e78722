# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where every CPU of a guest is, seen from outside: by QEMU's monitor and the image's debug information.

Nothing is asked of the guest, so that it works for CPUs that spin with interrupts off.
"""
import json
import re
import shutil
import socket
import struct
import subprocess

MAX_FRAMES = 64
SYMBOLIZERS = ["llvm-symbolizer-19", "llvm-symbolizer"]


class Machine:
    """How a machine's registers are called in `info registers`, where a leaf's caller may stand."""

    def __init__(self, pc, frame, link=None):
        self.pc = pc
        self.frame = frame
        self.link = link


MACHINES = {"x86": Machine("RIP", "RBP"), "arm64": Machine("PC", "X29", "X30")}


class Monitor:
    """QMP over a socket that QEMU listens on."""

    def __init__(self, path, timeout=10):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._lines = self._socket.makefile("r", encoding="utf-8", errors="replace")
        self._lines.readline()  # greeting
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        request = {"execute": name, **({"arguments": arguments} if arguments else {})}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            line = self._lines.readline()
            if not line:
                raise OSError("QEMU closed its monitor")
            answer = json.loads(line)
            if "error" in answer:
                raise OSError(f"{name}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def human(self, line, cpu=0):
        return self.command("human-monitor-command", **{"command-line": line, "cpu-index": cpu})

    def words(self, cpu, address, count):
        """64-bit words of that CPU's address space; None where nothing is mapped."""
        text = self.human(f"x/{count}gx {address:#x}", cpu)
        words = [int(word, 16) for line in text.splitlines() if ":" in line
                 for word in line.split(":", 1)[1].split()
                 if re.fullmatch(r"0x[0-9a-f]+", word)]
        return words if len(words) == count and "annot access" not in text else None

    def close(self):
        self._socket.close()


class Symbols:
    """Names for addresses of one ELF image, linked or physical (before the page tables are on)."""

    def __init__(self, image):
        self._image = image
        self._segments = load_segments(image)
        self._tool = next((tool for tool in SYMBOLIZERS if shutil.which(tool)), None)

    def linked(self, address):
        for virtual, physical, size in self._segments:
            if virtual <= address < virtual + size:
                return address
            if physical <= address < physical + size:
                return address - physical + virtual
        return None

    def names(self, addresses):
        """`function file:line` for each, with what was inlined; what it is, if it is not in the image."""
        linked = [self.linked(address) for address in addresses]
        found = iter(self._ask([address for address in linked if address is not None]))
        return [next(found) if address is not None else "(not in the image)" for address in linked]

    def _ask(self, addresses):
        if not addresses:
            return []
        if self._tool is None:
            return ["(no llvm-symbolizer-19)"] * len(addresses)
        done = subprocess.run([self._tool, "--output-style=JSON", "--relativenames", "-e", self._image],
                              input="".join(f"{address:#x}\n" for address in addresses),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        texts = [describe(answer) for answer in answers]
        return texts + ["?"] * (len(addresses) - len(texts))


def describe(answer):
    frames = answer.get("Symbol") or []
    parts = []
    for frame in frames:
        function = frame.get("FunctionName") or "?"
        file = frame.get("FileName") or ""
        while file.startswith("../"):
            file = file[3:]
        parts.append(f"{function} {file}:{frame.get('Line')}" if file else function)
    return ", inlined in ".join(parts) or "?"


def load_segments(image):
    """(virtual, physical, size) of each PT_LOAD."""
    with open(image, "rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        start, = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        segments = []
        for index in range(count):
            file.seek(start + index * size)
            kind, _, _, virtual, physical, _, memory, _ = struct.unpack("<IIQQQQQQ", file.read(56))
            if kind == 1 and memory:
                segments.append((virtual, physical, memory))
    return segments


def registers_by_cpu(text):
    """`info registers -a`, parted: {CPU: {register: value}}."""
    cpus = {}
    for part in re.split(r"^(?=CPU#\d+)", text, flags=re.M):
        number = re.match(r"CPU#(\d+)", part)
        if number:
            pairs = re.findall(r"\b([A-Z][A-Z0-9]*)\s*=\s*([0-9a-f]{16}|[01]\b)", part)
            values = {}
            for name, value in pairs:
                values.setdefault(name, int(value, 16))
            cpus[int(number.group(1))] = (values, part)
    return cpus


def walk(monitor, cpu, frame):
    """Return addresses, by frame pointers: [frame] = the caller's frame, [frame + 8] = where it goes on."""
    addresses = []
    while frame and frame % 8 == 0 and len(addresses) < MAX_FRAMES:
        words = monitor.words(cpu, frame, 2)
        if words is None or words[1] == 0:
            break
        addresses.append(words[1])
        frame = words[0]
    return addresses


def report(machine, monitor, symbols, write):
    """Stops the guest and writes where each of its CPUs is."""
    monitor.command("stop")
    kind = MACHINES[machine]
    for cpu, (registers, text) in sorted(registers_by_cpu(monitor.human("info registers -a")).items()):
        pc = registers.get(kind.pc)
        if pc is None:
            write(f"CPU {cpu}: not in 64-bit mode (never started)\n{interesting(text)}\n")
            continue
        returns = walk(monitor, cpu, registers.get(kind.frame, 0))
        link = registers.get(kind.link, 0) if kind.link else 0
        leaf = [link] if link and symbols.linked(link) is not None and link not in returns[:1] else []
        # A return address is that of the instruction after the call.
        names = symbols.names([pc] + [address - 1 for address in leaf + returns])
        halted = " (halted)" if registers.get("HLT") else ""
        for index, (address, name) in enumerate(zip([pc] + leaf + returns, names)):
            note = halted if index == 0 else " (perhaps: link register)" if leaf and index == 1 else ""
            write(f"CPU {cpu}: {address:#018x} {name}{note}\n")
        write(f"{interesting(text)}\n")


def interesting(text):
    """The general registers of one CPU: what stands before the segments and the vector registers."""
    lines = []
    for line in text.splitlines()[1:]:
        if re.match(r"\s*(ES |CS |FCW|FPCR|P0|Q00|SVCR|XMM)", line):
            break
        if line.strip():
            lines.append("       " + line.strip())
    return "\n".join(lines)
