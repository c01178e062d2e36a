# SPDX-License-Identifier: Apache-2.0
"""Replaying recorded runs of the reference: what golden.t and golden-catalog.t share.

A suite is a folder of cases (tests/data/golden*/README.md says what a case consists of), a table of
deviations and a folder with what is expected where ferry deviates. Compared: exit code, stdout as
sorted lines, names and sizes of files (modes, link counts and whether a blob is a link are not),
tags and manifests of the destination registries, output of the case's own look afterwards; a suite
may compare more. --record writes the expected files for the aspects that the table names.
"""
import collections
import difflib
import fnmatch
import glob
import os
import re
import shutil
import stat
import subprocess
import sys

import e2e

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENCES = os.path.join(e2e.TOP, "docs/differences.md")
ARCHIVES = (".tar.gz", ".zip")  # how well they are packed is not compared; extract.t looks into them

Deviation = collections.namedtuple("Deviation", "case aspects reason")


def read(path, default=""):
    if not os.path.exists(path):
        return default
    with open(path) as f:
        return f.read()


class Deviations:
    """The table: rows about a case, patterns of stdout lines and of paths that are not compared anywhere."""

    def __init__(self, path):
        self.rows, self.lines, self.paths, self.reasons = {}, [], [], []
        for number, text in enumerate(read(path).splitlines(), 1):
            if not text.strip() or text.startswith("#"):
                continue
            fields = re.split(r"\t+", text)
            if len(fields) != 3:
                sys.exit("%s:%d: want CASE, ASPECTS and REASON, separated by tabs" % (path, number))
            case, aspects, reason = fields
            self.reasons.append(reason)
            if case == "*":
                kind, _, pattern = aspects.partition(" ")
                {"line": self.lines, "path": self.paths}[kind].append(re.compile(pattern))
            else:
                self.rows[case] = Deviation(case, aspects.split(","), reason)

    def undocumented(self, word):
        """Numbers behind WORD in the reasons that no row of docs/differences.md begins with."""
        named = {n for reason in self.reasons for n in re.findall(word + r"-(\d+)", reason)}
        heading = r"(?m)^\| %s \| reference \| ferry \| reason \|\n\|[-|]*\|\n((?:\|.*\n|\n(?=\|))*)" % word
        rows = {n for table in re.findall(heading, read(DIFFERENCES))
                for cell in re.findall(r"(?m)^\| ([^|]*) \|", table) for n in re.findall(r"\d+", cell)}
        return sorted(named - rows, key=int)


class Suite:
    """CASES, EXPECTED: folders. TABLE: of deviations. WORD: what the numbers in its reasons are called."""

    def __init__(self, cases, expected, table, word):
        self.cases, self.expected, self.word = cases, expected, word
        self.deviations = Deviations(table)

    def names(self):
        return sorted(n for n in os.listdir(self.cases) if os.path.exists(os.path.join(self.cases, n, "cmd")))


class Case:
    ASPECTS = ("rc", "stdout", "tree", "registry", "post")
    OPTIONS = {"reset": ["5102"], "state": ["5102"], "trees": ["."]}

    def __init__(self, name, suite, environment):
        """ENVIRONMENT: run and bin are folders, registries servers by port, variables more of them."""
        self.name, self.folder = name, os.path.join(suite.cases, name)
        self.suite, self.environment = suite, environment
        self.deviation = suite.deviations.rows.get(name)
        self.command = self.recorded("cmd")
        self.options = dict(self.OPTIONS)
        for line in self.recorded("options").splitlines():
            key, *values = line.split(" ")
            self.options[key] = values

    def recorded(self, name):
        return read(os.path.join(self.folder, name))

    # ---- running

    def shell(self, text):
        script = read(HERE + "/shell.sh") + text
        return subprocess.run(["bash", "-c", script], cwd=self.work, env=self.variables, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)

    def run(self, root):
        self.work, home = root + "/w", root + "/home"
        for folder in (self.work, home):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        for port in self.options["reset"]:
            self.environment.registries[int(port)].clear()
        e = self.environment
        self.variables = {
            "HOME": home, "PATH": e.bin + ":/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "ROOT": root,
            "WORK": self.work, "BIN": e.bin, "RUN": e.run, "PYTHONDONTWRITEBYTECODE": "1"}
        self.variables.update(e.variables)
        for line in self.recorded("env").splitlines():
            name, _, value = line.partition("=")
            self.variables[name] = re.sub(r"\$(\w+)", lambda m: self.variables[m.group(1)], value)
        if os.path.exists(self.folder + "/setup"):
            r = self.shell("set -e\n" + self.recorded("setup"))
            if r.returncode:
                return "setup exits %d\n%s" % (r.returncode, (r.stdout + r.stderr).decode(errors="replace"))
        command = self.command
        if "strace " in command:  # the leak checker cannot work under a tracer
            command = command.replace(" oc ", " ferry-plain ")
        r = self.shell(command)
        self.rc = "%d\n" % r.returncode
        self.stderr = r.stderr.decode(errors="replace")
        self.stdout = self.placed(r.stdout.decode(errors="replace"))
        if re.search(r"(Address|Leak|Thread|Undefined)Sanitizer|runtime error:", self.stderr):
            return "sanitizer\n" + self.stderr
        if r.returncode < 0 or r.returncode in (134, 139):
            return "killed by a signal (%d)\n%s" % (r.returncode, self.stderr)
        self.found = self.look()
        self.registry = self.registries_now()
        if os.path.exists(self.folder + "/post"):
            p = self.shell("set -e\n" + self.recorded("post"))
            self.post = self.placed((p.stdout + p.stderr).decode(errors="replace"))
        return None

    def placed(self, text):
        for name in ("WORK", "HOME", "BIN", "RUN", "ROOT"):
            text = text.replace(self.variables[name], "$" + name)
        return text

    # ---- what is there now, in comparable form

    def look(self):
        """{path: kind or size or digest a tag names} of the folders of the case."""
        found = {}
        for top in self.options["trees"]:
            for base in glob.glob(os.path.join(self.work, top)):
                for where, folders, files in os.walk(base):
                    folders[:] = [f for f in folders if f != ".store"]
                    found[os.path.relpath(where, self.work)] = "d"
                    for name in files + [f for f in folders if os.path.islink(os.path.join(where, f))]:
                        path = os.path.join(where, name)
                        found[os.path.relpath(path, self.work)] = self.look_at(path)
        return found

    @staticmethod
    def is_tag(path):
        return "/manifests/" in path and ":" not in os.path.basename(path)

    def look_at(self, path):
        in_store = "/blobs/" in path or "/manifests/" in path
        if not os.path.exists(path) or os.path.islink(path) and not in_store:
            return os.path.basename(os.readlink(path))
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "d"
        if path.endswith(ARCHIVES):
            return "archive"
        if self.is_tag(path) and os.path.islink(path):
            return "sha256:" + e2e.file_digest(path)
        return str(os.path.getsize(path))

    def is_compared(self, path):
        return path != "req.log" and not any(p.search(path) for p in self.suite.deviations.paths)

    def recorded_tree(self):
        found = {}
        for line in self.recorded("tree.txt").splitlines():
            m = re.match(r"([dfl]) \d{4} +(\S+) (?:nlink=\S+ )?(.*)", line)
            if not m:
                continue
            kind, size, path = m.groups()
            path, _, target = path.partition(" -> ")
            found[path] = "d" if kind == "d" else os.path.basename(target) if kind == "l" else \
                "archive" if path.endswith(ARCHIVES) else size
        return found

    def tree_lines(self, found):
        return sorted("%s %s" % item for item in found.items() if self.is_compared(item[0]))

    def registries_now(self):
        out = []
        for port in self.options["state"]:
            for name, digest in e2e.registry_state(self.environment.registries[int(port)].directory if port else ""):
                out.append("%s %s %s" % (port, name, digest) if digest else "%s %s" % (port, name))
        return out

    def recorded_registries(self):
        out = []
        for path in sorted(glob.glob(self.folder + "/registry-*.txt")):
            port = path.rsplit("-", 1)[1][:-4]
            if port in self.options["state"]:
                out += ["%s %s" % (port, line) for line in read(path).splitlines() if line]
        return out

    def lines_of(self, stdout):
        if "2>&1" in self.command.replace(">/dev/null 2>&1", ""):  # mixed with what is for people: only the results
            return sorted(line for line in stdout.splitlines() if line.startswith("sha256:"))
        lines = [re.sub(r"\b[1-9]y\b", "1y", line) for line in stdout.splitlines()]  # ages go on
        ignored = self.suite.deviations.lines
        kept = [line for line in lines if not any(p.search(line) for p in ignored)]
        if any(p.search(line) for p in ignored for line in self.recorded("stdout").splitlines()):
            kept = [line for line in kept if line]
        return sorted(kept)

    # ---- comparing

    def actual(self, aspect):
        """The aspect as lines."""
        if aspect == "rc":
            return [self.rc.strip()]
        if aspect == "stdout":
            return self.lines_of(self.stdout)
        if aspect == "tree":
            return self.tree_lines(self.found)
        if aspect == "registry":
            return self.registry
        return self.post.splitlines() if hasattr(self, "post") else []

    def of_reference(self, aspect):
        if aspect == "rc":
            return [self.recorded("rc").strip()]
        if aspect == "stdout":
            return self.lines_of(self.recorded("stdout"))
        if aspect == "tree":
            return self.tree_lines(self.recorded_tree())
        if aspect == "registry":
            return self.recorded_registries()
        return self.recorded("post.out").splitlines()

    def expected_path(self, aspect):
        return os.path.join(self.suite.expected, self.name, aspect)

    def differs_on_purpose(self, aspect):
        return self.deviation is not None and aspect in self.deviation.aspects

    def compare(self, record):
        findings = []
        for aspect in self.ASPECTS:
            got, reference = self.actual(aspect), self.of_reference(aspect)
            if aspect == "post" and not os.path.exists(self.folder + "/post"):
                continue
            want = reference
            if self.differs_on_purpose(aspect):
                if record:
                    os.makedirs(os.path.dirname(self.expected_path(aspect)), exist_ok=True)
                    with open(self.expected_path(aspect), "w") as f:
                        f.write("".join(line + "\n" for line in got))
                want = read(self.expected_path(aspect)).splitlines()
                if want == reference:
                    findings.append("%s: listed as a deviation, but expected as the reference has it" % aspect)
            if got != want:
                difference = list(difflib.unified_diff(want, got, "expected", "got", lineterm="", n=1))
                findings.append("%s differs\n%s" % (aspect, "\n".join(difference[:40])))
        if "--skip-verification" not in self.command:
            findings += self.wrong_contents()
        return findings

    def wrong_contents(self):
        if self.deviation is None and self.recorded("rc") != "0\n":
            return []
        tops = [os.path.join(self.work, t) for t in os.listdir(self.work)] + [self.work]
        return ["damaged: " + path for top in tops for path in (e2e.bad_files(top) if "tampered" not in self.name else [])]


def main(suite, ports, make_environment, make_case=Case):
    """Runs the cases named by patterns among the arguments, or all; returns the exit status."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    record, keep = "--record" in sys.argv, "-k" in sys.argv
    e2e._scratch(keep)
    isolated = e2e.isolate()
    if not isolated and any(e2e.listening(p) for p in ports):
        print("1..0 # SKIP no network namespace and ports %d-%d are taken" % (min(ports), max(ports)))
        return 0
    root = e2e.SCRATCH
    os.chdir(root)
    environment = make_environment(root)
    number = failed = 0

    def result(good, text):
        nonlocal number, failed
        number += 1
        failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", number, text), flush=True)

    result(environment.faithful, "the payload has the digests of the recordings")
    unknown = sorted(set(suite.deviations.rows) - set(suite.names()))
    result(not unknown, "every deviation is about a case " + " ".join(unknown))
    missing = suite.deviations.undocumented(suite.word)
    result(not missing, "every deviation has its row in docs/differences.md " + " ".join(missing))
    for name in suite.names():
        if arguments and not any(fnmatch.fnmatch(name, a) for a in arguments):
            continue
        case = make_case(name, suite, environment)
        programs = [p for p in ("strace", "setpriv", "jq") if re.search(r"(^|\s)%s " % p, case.command)]
        absent = [p for p in programs if not shutil.which(p)]
        if absent:
            result(True, "%s # SKIP %s is not installed" % (name, absent[0]))
            continue
        try:
            broken = case.run(root)
            findings = [broken] if broken else case.compare(record)
        except subprocess.TimeoutExpired:
            findings = ["still running after 120 s"]
        for finding in findings:
            e2e.note(finding)
        if findings:
            e2e.note("$ " + case.command)
            e2e.note("stderr: " + getattr(case, "stderr", "")[-1500:])
        suffix = " (deviates: %s)" % case.deviation.reason if case.deviation else ""
        result(not findings, name + suffix)
    print("1..%d" % number)
    return failed != 0
