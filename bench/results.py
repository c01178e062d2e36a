# SPDX-License-Identifier: Apache-2.0
"""RESULTS.md has a part for each bench: a bench that ran replaces its own."""
import os
import platform
import re


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return "%s, %d cores, Linux %s" % (model, os.cpu_count(), platform.release())


def update(path, part, lines):
    """Writes LINES as the part PART of the file PATH; other parts stay."""
    old = ""
    if os.path.exists(path):
        with open(path) as f:
            old = f.read()
    begin, end = "<!-- %s -->\n" % part, "<!-- end of %s -->\n" % part
    text = begin + "\n".join(lines) + "\n" + end
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    if pattern.search(old):
        new = pattern.sub(lambda _: text, old)
    else:
        new = old + ("\n" if old else "") + text
    with open(path, "w") as f:
        f.write(new)
