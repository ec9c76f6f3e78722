# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a guest prints: its test cases, its last line, the addresses that its dumps want a name for."""
import re
import xml.etree.ElementTree as ElementTree

RUN = re.compile(r"\[ RUN      \] (\S+?)\.(\S+)")
END = re.compile(r"\[(       OK |  FAILED  |  SKIPPED )\] (\S+?)\.(\S+)(?: \((\d+) ms\))?\s*$")
STACK = re.compile(r"^guest:   (at|from|allocated by|freed by)((?: 0x[0-9a-f]+)+)\s*$")
OUTCOMES = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
CONTROL = re.compile(r"\x1b[\[()][0-9;?]*[A-Za-z]|[^\t\x20-\x7e\x80-\U0010ffff]")


class Case:
    def __init__(self, suite, name):
        self.suite = suite
        self.name = name
        self.outcome = None  # None: it has begun
        self.milliseconds = 0
        self.text = []


class Console:
    """Takes the guest's bytes, hands on its lines, and keeps what counts at the end.

    Lines `guest:   WORD 0xADDRESS...` (at: an instruction; from, allocated by, freed by: where calls return to)
    are held back until the stack is complete, and then handed on with what `name` calls each address, so that
    a symbolizer runs once for each stack.
    """

    def __init__(self, write, name):
        self.cases = []
        self.last_line = ""
        self.text = []  # all lines
        self._write = write
        self._name = name
        self._rest = b""
        self._addresses = []
        self._current = None

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(CONTROL.sub("", line.decode(errors="replace")))

    def finish(self):
        if self._rest:
            self.feed(b"\n")
        self.flush()

    def flush(self):
        """What was held back goes out, with names."""
        if self._addresses:
            # A return address is that of the instruction after the call.
            names = self._name([int(address, 16) - (word != "at") for word, address in self._addresses])
            for (word, address), text in zip(self._addresses, names):
                self._print(f"guest:   {word} {address} {text}")
            self._addresses = []

    def unfinished(self):
        """The case that has begun and not ended."""
        return self._current

    def _print(self, line):
        self.text.append(line)
        self._write(line + "\n")

    def _line(self, line):
        address = STACK.match(line)
        if address:
            self._addresses += [(address.group(1), number) for number in address.group(2).split()]
            return
        self.flush()
        self._print(line)
        if line.strip():
            self.last_line = line.strip()
        self._count(line)

    def _count(self, line):
        begun = RUN.search(line)
        if begun:
            self._current = Case(*begun.groups())
            self.cases.append(self._current)
            return
        if self._current is None:
            return
        ended = END.search(line)
        if ended and ended.group(2, 3) == (self._current.suite, self._current.name):
            self._current.outcome = OUTCOMES[ended.group(1).strip()]
            self._current.milliseconds = int(ended.group(4) or 0)
            self._current = None
        else:
            self._current.text.append(line)


def write_xml(path, cases, reason):
    """GoogleTest's XML, which Meson reads. reason: why the case that has not ended has not."""
    root = ElementTree.Element("testsuites", name="AllTests")
    suites = {}
    for case in cases:
        if case.suite not in suites:
            suites[case.suite] = ElementTree.SubElement(root, "testsuite", name=case.suite)
        skipped = case.outcome == "skipped"
        node = ElementTree.SubElement(suites[case.suite], "testcase", name=case.name, classname=case.suite,
                                      status="run", result="skipped" if skipped else "completed",
                                      time=f"{case.milliseconds / 1000:.3f}")
        text = "\n".join(case.text)
        if skipped:
            ElementTree.SubElement(node, "skipped", message=text)
        elif case.outcome != "passed":
            message = text if case.outcome else "\n".join([reason, text])
            ElementTree.SubElement(node, "failure", message=message[-4000:])
    for node in suites.values():
        node.set("tests", str(len(node)))
        node.set("failures", str(sum(case.find("failure") is not None for case in node)))
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
