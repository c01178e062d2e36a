#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the recorded cases of the reference with ferry called as `oc`, against real registries.

usage: golden.t [-k] [--record] [GLOB...]

Compared: exit code, stdout as sorted lines, names, sizes and contents of files (modes, link counts
and whether a blob is a link are not), tags and manifests of the destination registry, output of the
case's own look afterwards. golden/deviations lists where ferry does otherwise on purpose, and
golden/expected/CASE/ holds what is expected there instead. --record writes those files for the
aspects that the table names.
"""
import collections
import difflib
import fnmatch
import glob
import json
import os
import re
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "golden")]
import e2e
import payload

CASES = os.path.join(e2e.TOP, "tests/data/golden")
EXPECTED = os.path.join(HERE, "golden/expected")
PORTS = {"source": 5101, "destination": 5102, "basic": 5103, "token": 5104, "static": 5105, "tls": 5108}
ARCHIVES = (".tar.gz", ".zip")  # how well they are packed is not compared; extract.t looks into them
ASPECTS = ("rc", "stdout", "tree", "registry", "post")

Deviation = collections.namedtuple("Deviation", "case aspects reason")


def read(path, default=""):
    if not os.path.exists(path):
        return default
    with open(path) as f:
        return f.read()


def load_deviations():
    """(rows about a case, patterns of stdout lines and of paths that are not compared anywhere)"""
    rows, lines, paths = {}, [], []
    for number, text in enumerate(read(os.path.join(HERE, "golden/deviations")).splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        fields = re.split(r"\t+", text)
        if len(fields) != 3:
            sys.exit("deviations:%d: want CASE, ASPECTS and REASON, separated by tabs" % number)
        case, aspects, reason = fields
        if case == "*":
            kind, _, pattern = aspects.partition(" ")
            {"line": lines, "path": paths}[kind].append(re.compile(pattern))
        else:
            rows[case] = Deviation(case, aspects.split(","), reason)
    return rows, lines, paths


class Environment:
    """The endpoints the cases know: see PORTS; 5107 is for flaky.py, nothing listens on 5109."""

    def __init__(self, root):
        self.run, self.bin = root + "/run", root + "/bin"
        os.makedirs(self.run + "/reg")
        os.makedirs(self.run + "/tls")
        os.makedirs(self.bin)
        shutil.copy(e2e.FERRY, self.bin + "/ferry")
        shutil.copy(e2e.PLAIN, self.bin + "/ferry-plain")
        os.symlink("ferry", self.bin + "/oc")
        digests = payload.write(self.run + "/reg/5101")
        with open(self.run + "/payload.json", "w") as f:
            json.dump(digests, f)
        self.faithful = digests == json.loads(read(CASES + "/payload.json"))
        certificate = e2e.certificate(self.run + "/tls/tls")
        self.registries = {
            5101: self.registry(5101, extra="compatibility: {schema1: {enabled: true}}\n"),
            5102: self.registry(5102),
            5103: self.registry(5103, user="mirror", password="s3cret"),
            5108: self.registry(5108, tls=certificate)}
        e2e.start([sys.executable, HERE + "/golden/tokenproxy.py", "5104", "127.0.0.1:5102", self.run + "/token.log"])
        self.keep_signatures(digests)
        e2e.start([sys.executable, "-m", "http.server", "5105", "--bind", "127.0.0.1", "--directory",
                   self.run + "/static"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for port in (5104, 5105):
            e2e.wait_for(lambda: e2e.listening(port), "port %d" % port)

    def keep_signatures(self, digests):
        """golden/signatures/NAME-N is signature N of that release of payload.json, served by port 5105."""
        for path in glob.glob(HERE + "/golden/signatures/*"):
            name, _, number = os.path.basename(path).rpartition("-")
            folder = "%s/static/signatures/openshift/release/%s" % (self.run, digests[name].replace(":", "="))
            os.makedirs(folder, exist_ok=True)
            shutil.copy(path, "%s/signature-%s" % (folder, number))

    def registry(self, port, **options):
        return e2e.Registry("%s/reg/%d" % (self.run, port), port=port, **options)


class Case:
    def __init__(self, name, environment, deviations, ignored_lines, ignored_paths):
        self.name, self.folder, self.environment = name, os.path.join(CASES, name), environment
        self.deviation = deviations.get(name)
        self.ignored_lines, self.ignored_paths = ignored_lines, ignored_paths
        self.command = self.recorded("cmd")
        self.options = {"reset": ["5102"], "state": ["5102"], "trees": ["."]}
        for line in self.recorded("options").splitlines():
            key, *values = line.split(" ")
            self.options[key] = values

    def recorded(self, name):
        return read(os.path.join(self.folder, name))

    # ---- running

    def shell(self, text):
        script = read(HERE + "/golden/shell.sh") + text
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
            "WORK": self.work, "BIN": e.bin, "RUN": e.run, "FLAKY": HERE + "/golden/flaky.py",
            "PYTHONDONTWRITEBYTECODE": "1"}
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
        self.tree = self.look()
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
            base = os.path.join(self.work, top)
            if not os.path.lexists(base):
                continue
            for where, folders, files in os.walk(base):
                folders[:] = [f for f in folders if f != ".store"]
                found[os.path.relpath(where, self.work)] = "d"
                for name in files + [f for f in folders if os.path.islink(os.path.join(where, f))]:
                    path = os.path.join(where, name)
                    found[os.path.relpath(path, self.work)] = self.look_at(path)
        return {p: v for p, v in found.items() if self.is_compared(p)}

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
        return path != "req.log" and not any(p.search(path) for p in self.ignored_paths)

    def recorded_tree(self, text):
        found = {}
        for line in text.splitlines():
            m = re.match(r"([dfl]) \d{4} +(\S+) nlink=\S+ (.*)", line)
            if not m:
                continue
            kind, size, path = m.groups()
            path, _, target = path.partition(" -> ")
            found[path] = "d" if kind == "d" else os.path.basename(target) if kind == "l" else \
                "archive" if path.endswith(ARCHIVES) else size
        return {p: v for p, v in found.items() if self.is_compared(p)}

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
        if "2>&1" in self.command:  # a mixture with what is for people: only the results
            return sorted(line for line in stdout.splitlines() if line.startswith("sha256:"))
        lines = [re.sub(r"\b[1-9]y\b", "1y", line) for line in stdout.splitlines()]  # ages go on
        kept = [line for line in lines if not any(p.search(line) for p in self.ignored_lines)]
        if len(kept) != len(lines) or self.ignored_in_recording(stdout):
            kept = [line for line in kept if line]
        return sorted(kept)

    def ignored_in_recording(self, _):
        return any(p.search(line) for p in self.ignored_lines for line in self.recorded("stdout").splitlines())

    # ---- comparing

    def actual(self, aspect):
        """The aspect as lines."""
        if aspect == "rc":
            return [self.rc.strip()]
        if aspect == "stdout":
            return self.lines_of(self.stdout)
        if aspect == "tree":
            return sorted("%s %s" % item for item in self.tree.items())
        if aspect == "registry":
            return self.registry
        return self.post.splitlines() if hasattr(self, "post") else []

    def of_reference(self, aspect):
        if aspect == "rc":
            return [self.recorded("rc").strip()]
        if aspect == "stdout":
            return self.lines_of(self.recorded("stdout"))
        if aspect == "tree":
            return sorted("%s %s" % item for item in self.recorded_tree(self.recorded("tree.txt")).items())
        if aspect == "registry":
            return self.recorded_registries()
        return self.recorded("post.out").splitlines()

    def expected_path(self, aspect):
        return os.path.join(EXPECTED, self.name, aspect)

    def differs_on_purpose(self, aspect):
        return self.deviation is not None and aspect in self.deviation.aspects

    def compare(self, record):
        findings = []
        for aspect in ASPECTS:
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


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    record, keep = "--record" in sys.argv, "-k" in sys.argv
    e2e._scratch(keep)
    isolated = e2e.isolate()
    if not isolated and any(e2e.listening(p) for p in PORTS.values()):
        print("1..0 # SKIP no network namespace and ports 5101-5109 are taken")
        return 0
    root = e2e.SCRATCH
    os.chdir(root)
    environment = Environment(root)
    deviations, ignored_lines, ignored_paths = load_deviations()
    names = sorted(n for n in os.listdir(CASES) if os.path.isdir(os.path.join(CASES, n)))
    number, failed = 1, 0
    print("%s 1 - the payload has the digests of the recordings" % ("ok" if environment.faithful else "not ok"))
    failed += not environment.faithful
    unknown = sorted(set(deviations) - set(names))
    number += 1
    failed += bool(unknown)
    print("%s 2 - every deviation is about a case %s" % ("not ok" if unknown else "ok", " ".join(unknown)))
    for name in names:
        if arguments and not any(fnmatch.fnmatch(name, a) for a in arguments):
            continue
        number += 1
        case = Case(name, environment, deviations, ignored_lines, ignored_paths)
        missing = [p for p in ("strace", "setpriv") if p + " " in case.command and not shutil.which(p)]
        if missing:
            print("ok %d - %s # SKIP %s is not installed" % (number, name, missing[0]), flush=True)
            continue
        try:
            broken = case.run(root)
            findings = [broken] if broken else case.compare(record)
        except subprocess.TimeoutExpired:
            findings = ["still running after 120 s"]
        for finding in findings:
            e2e.note(finding)
        if findings:
            failed += 1
            e2e.note("$ " + case.command)
            e2e.note("stderr: " + getattr(case, "stderr", "")[-1500:])
        suffix = " (deviates: %s)" % case.deviation.reason if case.deviation else ""
        print("%s %d - %s%s" % ("not ok" if findings else "ok", number, name, suffix), flush=True)
    print("1..%d" % number)
    return failed != 0


sys.exit(main())
