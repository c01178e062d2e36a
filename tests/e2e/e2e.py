# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: TAP lines, a network of their own, registries, running ferry.

A test file is a list of functions marked @test, each one scenario; main() runs them in order in a
temporary folder inside a fresh network namespace (loopback only), prints TAP, and stops whatever
was started. Checks report and go on, as in tests/tap.h; `require` ends the scenario.

  FERRY        the binary under test (default: build-asan/ferry, else build/ferry)
  FERRY_PLAIN  an uninstrumented one, for memory and time (default: build/ferry)
"""
import atexit
import base64
import collections
import contextlib
import ctypes
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "bench"))
sys.dont_write_bytecode = True


def _binary(variable, *candidates):
    named = os.environ.get(variable)
    if named:
        return os.path.abspath(named)
    for c in candidates:
        path = os.path.join(TOP, c)
        if os.path.exists(path):
            return path
    return os.path.join(TOP, candidates[-1])


FERRY = _binary("FERRY", "build-asan/ferry", "build/ferry")
PLAIN = _binary("FERRY_PLAIN", "build/ferry")


# ---- TAP ----------------------------------------------------------------------------------------

class Skip(Exception):
    """The scenario cannot run here; the text says why."""


class Stop(Exception):
    """A required check failed."""


_tests, _findings = [], []
_output = threading.Lock()


def test(function):
    _tests.append(function)
    return function


def note(text):
    with _output:
        for line in str(text).splitlines():
            print("# " + line, flush=True)


def check(condition, text, *details):
    _findings.append(bool(condition))
    if not condition:
        note(text)
        for d in details:
            note("  " + str(d).replace("\n", "\n  "))
    return bool(condition)


def require(condition, text, *details):
    if not check(condition, text, *details):
        raise Stop


def check_equal(got, want, text):
    return check(got == want, text, "got:  %s" % (got,), "want: %s" % (want,))


def check_match(pattern, text, what):
    return check(re.search(pattern, text), "%s does not match /%s/" % (what, pattern), text)


def main():
    """Runs every @test. Arguments: parts of names to run, -k keeps the folder."""
    keep = "-k" in sys.argv
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    # A shell that runs the tests in the background has SIGINT ignored, and what they start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _scratch(keep)
    isolate()
    number = failed = 0
    for function in _tests:
        name = function.__name__.replace("_", " ")
        if wanted and not any(w in function.__name__ for w in wanted):
            continue
        number += 1
        _findings.clear()
        work = os.path.join(SCRATCH, function.__name__)
        os.makedirs(work, exist_ok=True)
        os.chdir(work)
        try:
            with contextlib.ExitStack() as stack:
                global _scenario
                _scenario = stack
                function()
        except Skip as reason:
            print("ok %d - %s # SKIP %s" % (number, name, reason), flush=True)
            continue
        except Stop:
            pass
        except Exception:
            _findings.append(False)
            note(traceback.format_exc())
        if not _findings:
            note("%s made no check" % name)
        good = bool(_findings) and all(_findings)
        failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", number, name), flush=True)
        os.chdir(SCRATCH)
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    print("1..%d" % number, flush=True)
    sys.exit(failed != 0)


_scenario = None
SCRATCH = None


def at_end_of_scenario(function, *args):
    _scenario.callback(function, *args)


def _scratch(keep):
    global SCRATCH
    SCRATCH = tempfile.mkdtemp(prefix="ferry-e2e-")
    os.chmod(SCRATCH, 0o755)
    owner = os.getpid()
    # A child that dies by an exception must not remove its parent's folder.
    atexit.register(lambda: os.getpid() == owner and not keep and shutil.rmtree(SCRATCH, ignore_errors=True))
    if keep:
        note("keeping " + SCRATCH)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


# ---- a network of our own -----------------------------------------------------------------------

ISOLATED = False


def isolate():
    """Enters a network namespace with nothing but loopback; says so loudly where that is refused."""
    global ISOLATED
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net = 0x10000000, 0x40000000
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(new_net) != 0:
        if libc.unshare(new_user | new_net) != 0:
            note("WARNING: no network namespace (%s); using the host's loopback"
                 % os.strerror(ctypes.get_errno()))
            return False
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid), ("gid_map", "0 %d 1" % gid)):
            with open("/proc/self/" + name, "w") as f:
                f.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
    ISOLATED = True
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("waited %d s for %s" % (seconds, what))
        time.sleep(0.01)


def listening(port, host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        return s.connect_ex((host, port)) == 0


# ---- processes ----------------------------------------------------------------------------------

def start(argv, **options):
    """A server that ends with the scenario (or with the program, outside of one)."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    if _scenario is not None:
        at_end_of_scenario(stop, process)
    else:
        atexit.register(stop, process)
    return process


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def need(*programs):
    for p in programs:
        if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            raise Skip("%s is not installed" % p)


Result = collections.namedtuple("Result", "rc out err seconds rss cpu")


def environment(**more):
    """A clean one: no proxies, no credentials of the user who runs the tests."""
    home = os.path.join(os.getcwd(), "home")
    os.makedirs(home, exist_ok=True)
    env = {"HOME": home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC",
           "XDG_STATE_HOME": os.path.join(home, "state")}
    for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(more)
    return env


def run(argv, env=None, timeout=300, measured=False, **options):
    """Runs to the end; stdin is empty. MEASURED: rss is the peak in MiB, seconds of CPU are cpu."""
    usage = os.path.abspath(".usage")
    argv = [str(a) for a in argv]
    if measured:
        # Not wait4: a child starts with its parent's peak, and this program is larger than most.
        argv = ["/usr/bin/time", "--quiet", "--output=" + usage, "--format=%M %U %S"] + argv
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, env=env or environment(), stdout=out, stderr=err,
                                   stdin=options.pop("stdin", subprocess.DEVNULL), start_new_session=True, **options)
        timer = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        process.wait()
        timer.cancel()
        seconds, texts = time.monotonic() - began, []
        for f in (out, err):
            f.seek(0)
            texts.append(f.read().decode(errors="replace"))
    rss = cpu = 0.0
    if measured and os.path.exists(usage):
        with open(usage) as f:
            fields = [float(x) for x in f.read().split()]
        os.unlink(usage)
        rss, cpu = fields[0] / 1024, fields[1] + fields[2]
    return Result(process.returncode, texts[0], texts[1], seconds, rss, cpu)


def ferry(*args, binary=None, **options):
    return run([binary or FERRY, *args], **options)


def succeeds(*args, **options):
    r = ferry(*args, **options)
    require(r.rc == 0, "ferry %s exits %d" % (" ".join(map(str, args)), r.rc), r.out[-2000:], r.err[-4000:])
    return r


# ---- registries ---------------------------------------------------------------------------------

ACCESS = re.compile(r'"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/[12][.0-9]*" (\d+)')


class Registry:
    """Debian's docker-registry over DIR. Its access log is the witness of what was sent."""

    def __init__(self, directory, port=0, user=None, password=None, tls=None, extra=""):
        self.port = port or free_port()
        self.host = "127.0.0.1:%d" % self.port
        self.directory = os.path.abspath(directory)
        self.tls = tls
        os.makedirs(self.directory, exist_ok=True)
        self.log = self.directory + ".log"
        auth = ""
        if user:
            htpasswd = self.directory + ".htpasswd"
            with open(htpasswd, "w") as f:
                subprocess.run(["htpasswd", "-Bbn", user, password], stdout=f, check=True)
            auth = "auth: {htpasswd: {realm: test, path: %s}}\n" % htpasswd
        http = "addr: 127.0.0.1:%d" % self.port
        if tls:
            http += ", tls: {certificate: %s, key: %s}" % tls
        config = self.directory + ".yml"
        with open(config, "w") as f:
            f.write("version: 0.1\nlog: {accesslog: {disabled: false}, level: error}\n"
                    "storage:\n  filesystem: {rootdirectory: %s, maxthreads: 100}\n  delete: {enabled: true}\n"
                    "  maintenance: {uploadpurging: {enabled: false}}\n"
                    "http: {%s}\n%s%s" % (self.directory, http, auth, extra))
        with open(self.log, "ab") as log:
            self.process = start(["docker-registry", "serve", config], stdout=log, stderr=log,
                                 env=dict(os.environ, OTEL_TRACES_EXPORTER="none"))
        wait_for(lambda: listening(self.port) or self.process.poll() is not None, "docker-registry")
        if self.process.poll() is not None:
            with open(self.log) as f:
                raise RuntimeError("docker-registry does not start: " + f.read()[-1000:])
        self.mark()

    def mark(self):
        self.offset = os.path.getsize(self.log)

    def lines(self):
        """(method, path, status) since mark()."""
        with open(self.log, "rb") as f:
            f.seek(self.offset)
            return [m.groups() for m in map(ACCESS.search, f.read().decode(errors="replace").splitlines()) if m]

    def requests(self):
        """Requests since mark(), by method. A last request of our own tells that the log is complete."""
        last = "/v2/?end=%d" % time.monotonic_ns()
        self.get(last)
        wait_for(lambda: any(path == last for _, path, _ in self.lines()), "the access log")
        return collections.Counter(m for m, path, _ in self.lines() if "?end=" not in path)

    def get(self, path, accept="*/*"):
        """(status, body, headers); no credentials."""
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Accept": accept})
            r = connection.getresponse()
            return r.status, r.read(), r.headers

    def manifest(self, repo, reference):
        """(bytes, media type) as the registry keeps them."""
        accept = ", ".join("application/vnd." + t for t in (
            "oci.image.index.v1+json", "oci.image.manifest.v1+json",
            "docker.distribution.manifest.list.v2+json", "docker.distribution.manifest.v2+json"))
        status, body, headers = self.get("/v2/%s/manifests/%s" % (repo, reference), accept)
        return (body, headers["Content-Type"]) if status == 200 else (None, None)

    def tags(self):
        """{"repository:tag": digest}"""
        return {k: v for k, v in registry_state(self.directory) if v}

    def manifests(self):
        """{"repository@digest"}"""
        return {k for k, v in registry_state(self.directory) if not v}

    def bad_blobs(self):
        """Every byte in the storage against its name."""
        root, bad = os.path.join(self.directory, "docker/registry/v2/blobs/sha256"), []
        for folder, _, files in os.walk(root):
            if "data" in files and file_digest(os.path.join(folder, "data")) != os.path.basename(folder):
                bad.append(os.path.basename(folder))
        return bad

    def clear(self):
        """Forgets everything; works while the registry runs, as it keeps no cache."""
        shutil.rmtree(os.path.join(self.directory, "docker"), ignore_errors=True)


SERVING = re.compile(r"(?m)^serving (.*) on (https?)://(\S+):(\d+)$")
SERVED = re.compile(r'^\S+Z \S+ (\S+) (GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) (\d{3}) (\d+) (\d+) [0-9.]+ms ')


class FerryRegistry:
    """ferry's own registry: a store in DIRECTORY, ROOTS served in place behind it, or only those."""

    def __init__(self, directory=None, roots=(), port=0, users=(), tls=None, arguments=(), binary=None,
                 env=None, name=None):
        """USERS: (user, password) pairs. ENV: for the server, as environment() makes it."""
        self.directory = os.path.abspath(directory) if directory else None
        self.roots = [os.path.abspath(r) for r in roots]
        self.tls = tls
        base = self.directory or self.roots[0].rstrip("/")
        self.log = "%s.%s.log" % (name or base, time.monotonic_ns())
        argv = [binary or FERRY, "registry", "serve", "--listen=127.0.0.1:%d" % port]
        if directory:
            argv += ["--dir=" + self.directory]
        if tls:
            argv += ["--tls-crt=" + tls[0], "--tls-key=" + tls[1]]
        if users:
            self.htpasswd = base + ".htpasswd"
            self.set_users(*users)
            argv += ["--htpasswd=" + self.htpasswd]
        self.argv = argv + list(arguments) + self.roots
        self.env = env or environment()
        self.port = port
        self.begin()

    def set_users(self, *users):
        text = b"".join(subprocess.run(["htpasswd", "-nbB", "-C", "4", u, p], stdout=subprocess.PIPE,
                                       check=True).stdout.strip() + b"\n" for u, p in users)
        with open(self.htpasswd + ".new", "wb") as f:
            f.write(text)
        os.rename(self.htpasswd + ".new", self.htpasswd)

    def begin(self):
        """Starts the server (again), on the port it had."""
        argv = [a if not a.startswith("--listen=") else "--listen=127.0.0.1:%d" % self.port for a in self.argv]
        before = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = start(argv, stdout=log, stderr=log, env=self.env)
        if _scenario is not None:
            at_end_of_scenario(self.end_well, self.process)
        ready = lambda: SERVING.search(self.text(before))
        wait_for(lambda: ready() or self.process.poll() is not None, "ferry registry serve")
        if not ready():
            raise RuntimeError("ferry registry serve does not start: " + self.text(before)[-3000:])
        self.what, self.scheme, _, port = ready().groups()
        self.port = int(port)
        self.host = "127.0.0.1:%d" % self.port
        self.mark()

    def text(self, offset=0):
        with open(self.log, "rb") as f:
            f.seek(offset)
            return f.read().decode(errors="replace")

    def signal(self, number):
        os.kill(self.process.pid, number)

    def end(self):
        """SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(60)

    def end_well(self, process):
        """At the end of a scenario: no sanitizer has complained, and SIGTERM is a success."""
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        check(process.returncode in (0, -signal.SIGKILL), "ferry registry serve exits %s" % process.returncode,
              self.text()[-3000:])
        check("runtime error" not in self.text() and "Sanitizer" not in self.text(), "no finding of a sanitizer",
              self.text()[-6000:])

    def mark(self):
        self.offset = os.path.getsize(self.log)

    def lines(self):
        """(method, path, status) since mark(); paths have no query."""
        return [(m[2], m[3], m[4]) for m in map(SERVED.match, self.text(self.offset).splitlines()) if m]

    def requests(self):
        """Requests since mark(), by method."""
        last = "/v2/end-%d/tags/list" % time.monotonic_ns()
        self.get(last)
        wait_for(lambda: any(path == last for _, path, _ in self.lines()), "the access log")
        return collections.Counter(m for m, path, _ in self.lines() if not path.startswith("/v2/end-"))

    def connection(self):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl._create_unverified_context())
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def ask(self, method, path, body=None, headers=None):
        """(status, body, headers); no credentials but those in HEADERS."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body, headers or {})
            r = connection.getresponse()
            return r.status, r.read(), r.headers

    def get(self, path, accept="*/*"):
        return self.ask("GET", path, headers={"Accept": accept})

    manifest = Registry.manifest

    def _names(self):
        """(repository, name, path) of everything below manifests/."""
        for root in [self.directory] + self.roots if self.directory else self.roots:
            for folder, folders, files in os.walk(os.path.join(root, "v2")):
                if os.path.basename(folder) == "manifests":
                    repo = os.path.relpath(os.path.dirname(folder), os.path.join(root, "v2"))
                    for name in files:
                        yield repo, name, os.path.join(folder, name)

    def tags(self):
        """{"repository:tag": digest}"""
        return {"%s:%s" % (repo, name): os.readlink(path) for repo, name, path in self._names()
                if not name.startswith("sha")}

    def manifests(self):
        """{"repository@digest"}"""
        return {"%s@%s" % (repo, name) for repo, name, _ in self._names() if name.startswith("sha")}

    def bad_blobs(self):
        """Every byte in the store against its name."""
        return bad_files(self.directory)


def registry_state(directory):
    """[("repo:tag", digest)], then [("repo@digest", None)] of each repository, in order."""
    root, out = os.path.join(directory, "docker/registry/v2/repositories"), []
    for folder, _, _ in sorted(os.walk(root)):
        if not folder.endswith("/_manifests"):
            continue
        repo = os.path.relpath(os.path.dirname(folder), root)
        for tag in sorted(_listdir(folder + "/tags")):
            with contextlib.suppress(FileNotFoundError):
                with open("%s/tags/%s/current/link" % (folder, tag)) as f:
                    out.append(("%s:%s" % (repo, tag), f.read()))
        for revision in sorted(_listdir(folder + "/revisions/sha256")):
            if os.path.exists("%s/revisions/sha256/%s/link" % (folder, revision)):
                out.append(("%s@sha256:%s" % (repo, revision), None))
    return out


def _listdir(path):
    return os.listdir(path) if os.path.isdir(path) else []


def certificate(name="tls", san="IP:127.0.0.1,DNS:localhost"):
    """A self-signed (certificate, key)."""
    need("openssl")
    crt, key = os.path.abspath(name + ".crt"), os.path.abspath(name + ".key")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", crt, "-days", "3650", "-subj", "/CN=127.0.0.1"]
    if san:
        argv += ["-addext", "subjectAltName=" + san]
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    return crt, key


def credentials(path, *entries):
    """entries: (host, user, password)."""
    auths = {h: {"auth": base64.b64encode(("%s:%s" % (u, p)).encode()).decode()} for h, u, p in entries}
    with open(path, "w") as f:
        json.dump({"auths": auths}, f)
    return path


# ---- folders ------------------------------------------------------------------------------------

def file_digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            sha.update(chunk)
    return sha.hexdigest()


def bad_files(folder):
    """Files named by a digest (alone or after 'sha256:') whose bytes are something else."""
    bad = []
    for where, _, files in os.walk(os.path.join(folder, "v2")):
        for name in files:
            m = re.fullmatch(r"(?:sha256[:-])?([0-9a-f]{64})", name)
            path = os.path.join(where, name)
            if m and (not os.path.exists(path) or file_digest(path) != m.group(1)):
                bad.append(path)
    return bad


def media(folder):
    """{path: content digest} of a folder's v2/ tree, links followed."""
    out = {}
    for where, _, files in os.walk(os.path.join(folder, "v2")):
        for name in files:
            path = os.path.join(where, name)
            out[os.path.relpath(path, folder)] = file_digest(path) if os.path.exists(path) else "dangling"
    return out


def leftovers(folder):
    """Temporary and partial files."""
    out = []
    for where, _, files in os.walk(folder):
        out += [os.path.join(where, f) for f in files
                if f.endswith(".download") or ".tmp" in f or where.endswith(("/.store/part", "/.store/tmp"))]
    return out
