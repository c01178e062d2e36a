#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mirror registry among hostile peers and on hostile media.

One scenario for each threat that docs/reliability.md lists. A scenario attacks a server and then asks
it for an ordinary pull; what it holds in memory is looked at where the binary has no sanitizers.
"""
import resource
import socket
import stat
import sys
import os

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ABSENT = "sha256:" + "1" * 64
SECRET = b"this is not yours to read"
RSS_MAX = 64 * 1024  # KiB, without the page cache

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(data, media_type, **more):
    return dict(mediaType=media_type, digest=digest(data), size=len(data), **more)


CONFIG = b'{"os":"linux","architecture":"amd64"}'
LAYER = bytes(range(256)) * 400
IMAGE = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(CONFIG, CONFIG_TYPE),
                    "layers": [descriptor(LAYER, LAYER_TYPE)]}).encode()


def basic(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


# ---- a server under attack ------------------------------------------------------------------------

def push(server, repo, data, **headers):
    """A blob."""
    status, body, _ = server.ask("POST", "/v2/%s/blobs/uploads/?digest=%s" % (repo, digest(data)), data, headers)
    require(status == 201, "a blob is pushed", status, body)
    return digest(data)


def put(server, repo, reference, document, media_type=OCI_MANIFEST, **headers):
    """(status, body) of a manifest."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers["Content-Type"] = media_type
    return server.ask("PUT", "/v2/%s/manifests/%s" % (repo, reference), data, headers)[:2]


class Target(FerryRegistry):
    """A registry, raw connections to it, and what it holds."""

    def rss(self):
        """RssAnon in KiB."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def connect(self, source=None, timeout=10, receive=None):
        s = socket.socket()
        at_end_of_scenario(s.close)
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.settimeout(timeout)
        if source:
            s.bind((source, 0))
        s.connect(("127.0.0.1", self.port))
        return s

    def say(self, data, source=None, timeout=10):
        """What comes back until the server closes, or b"..." in the end when it does not."""
        s = self.connect(source, timeout)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
        with contextlib.closing(s):
            return drain(s)


class Besieged(Target):
    """A store with the image good/app:v1. When the scenario ends, it can still be pulled."""

    def __init__(self, *arguments, binary=None, users=(), **more):
        super().__init__(more.pop("directory", "store"), arguments=arguments, binary=binary, users=users, **more)
        self.binary = binary or FERRY
        self.login = {"Authorization": basic(*users[0])} if users else {}
        for data in (CONFIG, LAYER):
            push(self, "good/app", data, **self.login)
        status, body = put(self, "good/app", "v1", IMAGE, **self.login)
        require(status == 201, "a manifest is pushed", body)
        self.fds_before = self.fds()

    def pull(self, source=None, timeout=20):
        """Seconds that an ordinary pull takes."""
        began = time.monotonic()
        connection = self.connection()
        connection.timeout = timeout
        if source:
            connection.source_address = (source, 0)
        with contextlib.closing(connection):
            for path, want in (("manifests/v1", IMAGE), ("blobs/" + digest(CONFIG), CONFIG),
                               ("blobs/" + digest(LAYER), LAYER)):
                connection.request("GET", "/v2/good/app/" + path, headers=self.login)
                r = connection.getresponse()
                check(r.read() == want and r.status == 200, "an ordinary pull of %s: %d" % (path, r.status))
        return time.monotonic() - began

    def check_rss(self, text=""):
        if self.binary == PLAIN:
            check(self.rss() < RSS_MAX, "RssAnon %s: %d KiB" % (text, self.rss()))

    @contextlib.contextmanager
    def bounded(self):
        """Looks at what it holds all the time."""
        stop, most = threading.Event(), [0]

        def watch():
            while not stop.wait(0.005):
                most[0] = max(most[0], self.rss())
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
        note("RssAnon was at most %d KiB" % most[0])
        check(most[0] < RSS_MAX or self.binary != PLAIN, "RssAnon was at most %d KiB" % most[0])

    def survived(self, source=None):
        require(self.process.poll() is None, "the server is alive", self.text()[-6000:])
        self.check_rss("afterwards")
        self.pull(source)


def drain(s):
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except ConnectionResetError:
        return got
    except socket.timeout:
        return got + b"..."


def statuses(answer):
    return [int(m) for m in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def head(method, target, *lines, host="x"):
    return "\r\n".join(["%s %s HTTP/1.1" % (method, target), "Host: " + host, *lines, "", ""]).encode("latin-1")


def tmpfs(path, size):
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", path], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no filesystem can be mounted")
    at_end_of_scenario(subprocess.run, ["umount", "-l", os.path.abspath(path)])


def names(folder):
    return sorted(os.path.relpath(os.path.join(w, n), folder) for w, d, f in os.walk(folder) for n in d + f)


def in_parallel(function, items, workers=32):
    """[function(item)] in the order of ITEMS."""
    items, out, at = list(items), {}, iter(range(len(list(items))))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                i = next(at, None)
            if i is None:
                return
            try:
                out[i] = function(items[i])
            except Exception as e:
                out[i] = e
    threads = [threading.Thread(target=work) for _ in range(min(workers, len(items)))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [out[i] for i in range(len(items))]


# ---- passwords ------------------------------------------------------------------------------------

@test
def a_flood_of_passwords_delays_nobody_who_is_known():
    users = [("ann", "secret")]
    server = Besieged("--auth=token", "--anonymous-pull", users=users)
    # Each guess costs a quarter of a second of hashing.
    line = subprocess.run(["htpasswd", "-nbB", "-C", "12", "bob", "other"], stdout=subprocess.PIPE, check=True).stdout
    with open(server.htpasswd, "rb") as f:
        both = f.read() + line.strip() + b"\n"
    with open(server.htpasswd + ".new", "wb") as f:
        f.write(both)
    os.rename(server.htpasswd + ".new", server.htpasswd)
    wait_for(lambda: server.ask("GET", "/v2/", headers={"Authorization": basic("bob", "other")})[0] == 200, "bob")
    answers, done = [], threading.Event()

    def guess(i):
        form = "grant_type=password&service=x&scope=repository:a:push&username=bob&password=guess%d" % i
        login = ["Authorization: " + basic("bob", "guess %d" % i), "Connection: close"]
        request = (head("GET", "/v2/", *login), head("GET", "/token?service=x&scope=repository:a:push", *login),
                   head("POST", "/token", "Content-Type: application/x-www-form-urlencoded", "Content-Length: %d" % len(form),
                        "Connection: close") + form.encode())[i % 3]
        return statuses(server.say(request, "127.0.%d.%d" % (1 + i // 200, 1 + i % 200), timeout=120))[:1]

    def flood():
        answers.extend(in_parallel(guess, range(300), 150))
        done.set()
    threading.Thread(target=flood, daemon=True).start()
    waits = []
    while not done.wait(0.05):
        waits.append(server.pull())
        began = time.monotonic()
        check_equal(server.ask("GET", "/v2/", headers={"Authorization": basic("ann", "secret")})[0], 200, "ann is known")
        check_equal(server.ask("GET", "/healthz")[0], 200, "health")
        waits.append(time.monotonic() - began)
    check(waits and max(waits) < 5, "nobody else waits: %.2f s" % max(waits or [99]))
    counts = collections.Counter(a[0] if a else None for a in answers)
    check(set(counts) <= {401, 429} and counts[429] > 50 and counts[401] > 0,
          "guesses are refused, most of them without a hash", counts)
    server.survived()


@test
def an_empty_password_is_nobody_and_costs_nothing():
    server = Besieged("--auth=token", "--anonymous-pull", users=[("ann", "secret")])
    began = time.monotonic()
    for _ in range(200):
        status, _, headers = server.ask("GET", "/v2/good/app/manifests/v1", headers={"Authorization": "Basic Og=="})
        if status != 200:
            check_equal(status, 200, "anonymous pull")
            break
    check(time.monotonic() - began < 10, "no hashes")
    server.survived()


# ---- paths ----------------------------------------------------------------------------------------

UUID = "6a3f2c1e-0000-4000-8000-000000000000"


@test
def no_name_leads_out_of_the_store():
    with open("secret", "wb") as f:
        f.write(SECRET)
    server = Besieged()
    before = names(".")
    dots = ("..", ".", "%2e%2e", "%2E%2e", ".%2e", "%252e%252e", "..%2f..", "..%5c..", "..\\..", "%00", "a%00b", "%0a", "",
            "%c0%ae%c0%ae", "%u002e%u002e", "good/app/..", "good%2fapp", "~", "/etc", "-", "blobs", "uploads", ".store",
            "x" * 256, "a/" * 200 + "a")
    targets = ["/v2/../../secret", "/../../../etc/passwd", "/v2/%2e%2e/%2e%2e/secret", "//etc/passwd", "/v2//etc/passwd",
               "/v2/good/app/blobs/../../../../secret", "/v2/good/app/blobs/sha256:../../../../../secret",
               "/v2/good/app/manifests/../blobs/" + digest(CONFIG), "/v2/good/app/manifests/..%2f..%2fsecret",
               "/v2/good/app/referrers/../../../secret", "http://x/../../etc/passwd", "/v2/good/app/manifests/.lock",
               "/v2/good/app/manifests/sha256:..%2f..", "/v2/_catalog/../../secret"]
    for d in dots:
        targets += ["/v2/%s/manifests/v1" % d, "/v2/%s/tags/list" % d, "/v2/good/app/manifests/%s" % d,
                    "/v2/good/app/blobs/%s" % d, "/v2/good/app/blobs/sha256:%s" % d, "/v2/%s/referrers/%s" % (d, ABSENT),
                    "/v2/%s/blobs/uploads/%s" % (d, UUID), "/v2/good/app/blobs/uploads/%s" % d]
    for target in targets:
        for method in ("GET", "PUT", "DELETE", "PATCH", "POST"):
            if method == "POST" and target.rstrip("/").endswith("/app/blobs/uploads"):
                continue  # as it should be
            got = server.say(head(method, target, "Content-Length: 0", "Connection: close"))
            status = (statuses(got) or [0])[0]
            if not check(status in (400, 404, 405) or (method == "GET" and target.endswith("/manifests/v1") and
                                                       status == 404), "%s %s is refused" % (method, target[:99]), got[:300]):
                return
            check(SECRET not in got and b"root:" not in got, "nothing is given away", target)
    for query in ("mount=%s&from=../../secret", "mount=%s&from=..", "mount=%s&from=%%2e%%2e%%2f", "mount=%s&from=good/app/../x"):
        status, _, headers = server.ask("POST", "/v2/b/blobs/uploads/?" + query % digest(b"nowhere"))
        check_equal(status, 202, "a mount from nowhere is a new upload")
        server.ask("DELETE", headers["Location"])
    for tag in ("..", "../x", "a/b", ".", "-x", "a\\b", "x" * 129):
        status = server.ask("PUT", "/v2/good/app/manifests/%s?tag=%s" % (digest(IMAGE), tag), IMAGE,
                            {"Content-Type": OCI_MANIFEST})[0]
        check_equal(status, 400, "tag " + tag)
    check_equal([n for n in names(".") if n not in before and "/.store/" not in n], [], "nothing was written anywhere")
    server.survived()


@test
def an_upload_is_bound_to_its_repository_and_its_user():
    server = Besieged(users=[("ann", "secret"), ("bob", "other")])
    ann, bob = ({"Authorization": basic(*u)} for u in (("ann", "secret"), ("bob", "other")))
    at = server.ask("POST", "/v2/a/blobs/uploads/", headers=ann)[2]["Location"]
    check_equal(server.ask("PATCH", at, b"12345", ann)[0], 202, "some data")
    for place, who in ((at, bob), (at.replace("/a/", "/b/"), ann), (at.upper(), ann), (at + "/", ann), (at + "%00", ann),
                       (at.replace("blobs/uploads/", "blobs/uploads/../uploads/"), ann)):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            path = place + ("?digest=" + digest(b"12345") if method == "PUT" else "")
            check(server.ask(method, path, b"" if method != "GET" else None, who)[0] in (400, 404), method + " " + path)
    check_equal(server.ask("PUT", at + "?digest=" + digest(b"12345"), b"", ann)[0], 201, "it is hers")
    server.survived()


def special(path, kind):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    elif kind == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.bind(path)
    elif kind == "link":
        os.symlink(os.path.abspath("secret"), path)
    elif kind == "relative link":
        os.symlink(os.path.relpath("secret", os.path.dirname(path)), path)
    elif kind == "endless link":
        os.symlink(os.path.basename(path), path)
    elif kind == "proc link":
        os.symlink("/proc/self/environ", path)


@test
def media_with_links_and_devices_give_nothing_away_and_hold_up_nobody():
    with open("secret", "wb") as f:
        f.write(SECRET)
    os.makedirs("outside/manifests")
    os.makedirs("outside/blobs")
    secret = digest(SECRET)
    for folder in ("manifests", "blobs"):
        shutil.copy("secret", "outside/%s/%s" % (folder, secret))
    os.symlink(secret, "outside/manifests/v1")
    os.makedirs("media/v2/bad/manifests")
    os.makedirs("media/v2/bad/blobs")
    kinds = ["fifo", "directory", "socket", "link", "relative link", "endless link", "proc link"]
    if os.getuid() == 0:
        kinds.append("device")
    asked = []
    for kind in kinds:
        d = digest(kind.encode())
        for where in ("blobs/", "manifests/"):
            try:
                special("media/v2/bad/%s%s" % (where, d), kind)
            except OSError as e:  # mknod is not for everybody, a socket's path may be too long
                note("%s: %s" % (kind, e))
            asked.append(where + d)
        tag = kind.replace(" ", "-")
        with contextlib.suppress(OSError):
            special("media/v2/bad/manifests/" + tag, kind)
        asked.append("manifests/" + tag)
    for i, text in enumerate(("../../../../outside/manifests/" + secret, "../blobs/" + secret, "/etc/passwd", "..", ".",
                              "sha256:", "sha256:" + "g" * 64, os.path.abspath("outside/manifests/" + secret),
                              "sha256:" + "a" * 4000, digest(b"fifo"))):
        os.symlink(text, "media/v2/bad/manifests/tag%d" % i)
        asked.append("manifests/tag%d" % i)
    asked += ["blobs/" + secret, "manifests/" + secret]
    os.symlink(os.path.abspath("outside"), "media/v2/out")
    os.symlink("../../outside", "media/v2/bad/sub")
    os.symlink("..", "media/v2/bad/loop")
    place = Target(roots=["media"])
    began = time.monotonic()
    for repo in ("bad", "out", "bad/sub", "bad/loop", "bad/loop/bad"):
        for path in asked + ["tags/list", "referrers/" + secret]:
            for method in ("GET", "HEAD"):
                status, body, _ = place.ask(method, "/v2/%s/%s" % (repo, path))
                check(SECRET not in body and b"root:" not in body and b"PATH=" not in body, "nothing is given away", repo, path)
                good = path.startswith(("tags", "referrers"))
                if not good:
                    check(status in (404, 500, 503), "%s %s/%s is refused" % (method, repo, path), status, body)
    repos = json.loads(place.get("/v2/_catalog")[1])["repositories"]
    check(set(repos) <= {"bad"}, "the catalog stays in the tree", repos)
    check(time.monotonic() - began < 60, "nothing blocks: %.1f s" % (time.monotonic() - began))
    # The same as somebody's store: it is adopted or refused, and gives nothing away either.
    shutil.copytree("media", "adopted", symlinks=True, ignore=lambda w, n: [x for x in n if not
                    (os.path.islink(w + "/" + x) or os.path.isdir(w + "/" + x) or os.path.isfile(w + "/" + x))])
    try:
        store = Target("adopted")
    except RuntimeError as e:
        check("does not start" in str(e) and "Sanitizer" not in str(e), "it is refused in a line", e)
    else:
        for path in asked:
            for repo in ("bad", "out"):
                check(SECRET not in store.get("/v2/%s/%s" % (repo, path))[1], "nothing is given away", path)
    with open("secret", "rb") as f:
        check(f.read() == SECRET, "what links lead to is as it was")
    check_equal(len(os.listdir("outside/blobs")), 1, "nothing was written outside")


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c ^= b
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff


def portable(folder, records, sequence=1):
    """Media of the portable layout with these records, sealed as ferry seals them."""
    line = lambda text: text + b" %08x\n" % crc32c(text)
    os.makedirs(folder + "/store/index")
    os.makedirs(folder + "/store/pool/sha256")
    with open(folder + "/store/format", "w") as f:
        f.write("portable 1 00000000-0000-4000-8000-000000000000\n")
    index = b"".join(line(r if isinstance(r, bytes) else r.encode()) for r in records)
    with open(folder + "/store/index/000001.idx", "wb") as f:
        f.write(index)
    with open(folder + "/store/seal", "wb") as f:
        members = {m.groups() for m in (re.match(r"[BM] ([a-z]+) (sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}) (\d{1,18})$",
                                                 r if isinstance(r, str) else "") for r in records) if m}
        members = {m[:2] for m in members}
        f.write(line(b"S 1 %d 1 1 %d" % (sequence, len(members))))
        f.write(line(b"I 000001.idx %d %s" % (len(index), digest(index).encode())))
        f.write(line(b"E 1"))


def in_pool(folder, name, data, suffix=""):
    path = "%s/store/pool/sha256/%s" % (folder, name[:2])
    os.makedirs(path, exist_ok=True)
    with open("%s/%s%s" % (path, name, suffix), "wb") as f:
        f.write(data)


@test
def a_portable_index_that_lies_is_not_believed():
    with open("secret", "wb") as f:
        f.write(SECRET)
    hexes = ["%064x" % i for i in range(1, 9)]
    sized = ["B app sha256:%s %s" % (h, size) for h, size in zip(hexes, ("0", "5", "999999", "4611686018427387904",
                                                                      "18446744073709551615", "-1", "5", "5"))]
    records = ["B app %s %d" % (digest(CONFIG), len(CONFIG)), "B app %s %d" % (digest(LAYER), len(LAYER)),
               "M app %s %d" % (digest(IMAGE), len(IMAGE)), "T app v1 " + digest(IMAGE), *sized,
               "B ../../.. %s 5" % digest(SECRET), "B /etc %s 5" % digest(SECRET), "B app sha256:../../../secret 25",
               "B app sha512:%s 5" % ("0" * 64), "T app ../../x " + digest(IMAGE), "T app dangling " + ABSENT,
               "T app self v1", "T app x sha256:../../secret", "M app %s %d" % (ABSENT, 7), "T app bomb sha256:" + hexes[7],
               "M app sha256:%s 8388608" % hexes[7], "B", "B ", "T a", " ", "", "M app", "Z later 1 2 3", "O app x y",
               "B a" + "/a" * 3000 + " %s 5" % digest(SECRET), b"B \xff\xfe\x00 x 5", b"T app \x1b[2J " + digest(IMAGE).encode()]
    portable("media", records)
    for data in (CONFIG, LAYER, IMAGE):
        in_pool("media", digest(data)[7:], data)
    for h in hexes[:6]:
        in_pool("media", h, b"12345")
    os.makedirs("media/store/pool/sha256/00", exist_ok=True)
    os.symlink(os.path.abspath("secret"), "media/store/pool/sha256/00/" + hexes[6])
    in_pool("media", hexes[7], b"[" * (8 << 20))
    place = Target(roots=["media"])
    check(place.get("/v2/app/manifests/v1")[1] == IMAGE, "what is right is served")
    check(place.get("/v2/app/blobs/" + digest(LAYER))[1] == LAYER, "what is right is served")
    for i, h in enumerate(hexes):
        for method in ("GET", "HEAD"):
            status, body, headers = place.ask(method, "/v2/app/blobs/sha256:" + h)
            check(SECRET not in body, "nothing is given away")
            if i not in (1, 6, 7):
                check(status in (404, 500, 503), "a blob of %s is not served" % sized[i].split()[-1], status, headers)
    for tag in ("dangling", "self", "x", "bomb"):
        check(place.get("/v2/app/manifests/" + tag)[0] in (404, 500, 503), "tag " + tag)
    check_equal(json.loads(place.get("/v2/_catalog")[1])["repositories"], ["app"], "the catalog")
    # Pieces that lie about how many they are, a torn line, a seal of something else.
    in_pool("media", hexes[2], b"12345", ".001")
    check(place.get("/v2/app/blobs/sha256:" + hexes[2])[0] in (404, 500, 503), "a piece without its first")
    with open("media/store/index/000001.idx", "ab") as f:
        f.write(b"B app sha256:" + b"f" * 5000)
    place.end()
    unfinished = ferry("registry", "serve", "--listen=127.0.0.1:0", "media")
    check(unfinished.rc != 0 and "unfinished" in unfinished.err, "the seal does not fit", unfinished.err)
    place = Target(roots=["media"], arguments=["--allow-unfinished"])
    check(place.get("/v2/app/manifests/v1")[1] == IMAGE, "what is right is served still")


@test
def an_oci_layout_with_cycles_and_depth_ends():
    def layout(folder, entries, blobs):
        os.makedirs(folder + "/blobs/sha256")
        with open(folder + "/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')
        for name, data in blobs.items():
            with open("%s/blobs/sha256/%s" % (folder, name), "wb") as f:
                f.write(data)
        with open(folder + "/index.json", "w") as f:
            json.dump({"schemaVersion": 2, "manifests": entries}, f)

    def entry(d, tag=None, media_type=OCI_INDEX):
        notes = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        return dict(mediaType=media_type, digest=d, size=100, **notes)

    with open("secret", "wb") as f:
        f.write(SECRET)
    # Two that name each other, and one itself: only lies about digests can do that.
    a, b, c = ("%064x" % i for i in (1, 2, 3))
    blobs = {n: json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry("sha256:" + m)]}).encode()
             for n, m in ((a, b), (b, a), (c, c))}
    entries = [entry("sha256:" + a, "cycle"), entry("sha256:" + c, "self")]
    # A chain of honest ones, deeper than anybody looks; then one that fans out to the same over and over.
    below = IMAGE
    for depth in range(40):
        blobs[digest(below)[7:]] = below
        one = entry(digest(below), media_type=OCI_INDEX if depth else OCI_MANIFEST)
        below = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [one] * 50}).encode()
    for data in (below, CONFIG, LAYER):
        blobs[digest(data)[7:]] = data
    entries += [entry(digest(below), "deep"), entry(digest(IMAGE), "v1", OCI_MANIFEST), entry("sha256:" + "d" * 64, "../../x"),
                entry(ABSENT, "quay.io/../../etc:v1"), entry(ABSENT, "x" * 5000), entry(ABSENT, "absent")]
    layout("layout", entries, blobs)
    os.symlink(os.path.abspath("secret"), "layout/blobs/sha256/" + "e" * 64)
    os.mkfifo("layout/blobs/sha256/" + "f" * 64)
    began = time.monotonic()
    place = Target(roots=["layout"])
    check(time.monotonic() - began < 10, "it starts in %.1f s" % (time.monotonic() - began))
    repos = json.loads(place.get("/v2/_catalog")[1])["repositories"]
    require("layout" in repos and not any(".." in r for r in repos), "the repositories", repos)
    check(place.get("/v2/layout/manifests/v1")[1] == IMAGE, "what is right is served")
    check(place.get("/v2/layout/manifests/deep")[1] == below, "an index of many")
    for ref in ("cycle", "self", "absent"):
        check(place.get("/v2/layout/manifests/" + ref)[0] in (404, 500, 503), ref + " is not served")
    for h in ("e" * 64, "f" * 64):
        status, body, _ = place.get("/v2/layout/blobs/sha256:" + h)
        check(status in (404, 500, 503) and SECRET not in body, "links and pipes are not served", status)
    # One large file under the names of four thousand indexes.
    layout("links", [entry("sha256:%064x" % i) for i in range(4000)] + [entry(digest(IMAGE), "v1", OCI_MANIFEST)],
           {"%064x" % 0: b" " * (8 << 20), digest(IMAGE)[7:]: IMAGE})
    for i in range(1, 4000):
        os.link("links/blobs/sha256/%064x" % 0, "links/blobs/sha256/%064x" % i)
    began = time.monotonic()
    place = Target(roots=["links"])
    check(time.monotonic() - began < 8, "it starts in %.1f s" % (time.monotonic() - began))
    check(place.get("/v2/links/manifests/v1")[1] == IMAGE, "what is right is served")
    for name, text in (("array", "["), ("nested", "[" * 100000), ("cut", '{"manifests":[{"digest":"sha256:'),
                       ("types", '{"manifests":[{"digest":7}]}'), ("twice", '{"manifests":[],"manifests":{}}'),
                       ("digest", '{"manifests":[{"digest":"sha256:../../secret"}]}')):
        layout(name, [], {})
        with open(name + "/index.json", "w") as f:
            f.write(text)
        r = ferry("registry", "serve", "--listen=127.0.0.1:0", name, timeout=20)
        check(r.rc > 0 and r.err.count("\n") <= 3 and "Sanitizer" not in r.err, name + " is refused", r.rc, r.err)


# ---- framing --------------------------------------------------------------------------------------

SMUGGLED = head("DELETE", "/v2/good/app/manifests/v1") + head("GET", "/v2/smuggled/tags/list")
CHUNK = b"5\r\nhello\r\n0\r\n\r\n"


def framings():
    """(name, request): what two servers could read in two ways, a request hidden behind each."""
    target = "/v2/good/app/blobs/uploads/?digest=" + digest(b"hello")
    n, te = "Content-Length: ", "Transfer-Encoding: "

    def one(name, *lines, body=CHUNK + SMUGGLED, method="POST", at=target):
        return name, head(method, at, *lines) + body
    zero = b"0\r\n\r\n" + SMUGGLED
    yield one("CL.TE", n + "6", te + "chunked", body=b"0\r\n\r\nG" + SMUGGLED)
    yield one("TE.CL", te + "chunked", n + "4", body=b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n")
    yield one("CL.TE, all of it", n + str(len(zero)), te + "chunked", body=zero)
    for value in ("xchunked", "chunked, identity", "identity, chunked", "gzip, chunked", "chunked chunked", "Chunked", "chunked;q=1",
                  "\x0bchunked", "chunked\x0b", '"chunked"', "", "identity", "chunked,", ",chunked", "chun ked", "chunked\x00"):
        yield one("TE.TE %r" % value, te + value)
    yield one("TE twice", te + "chunked", te + "identity")
    yield one("TE twice, the same", te + "chunked", te + "chunked")
    for name in ("Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding\t: chunked", "X: y\n" + te + "chunked",
                 "X: y\r" + te + "chunked", "Transfer-Encoding:\r\n chunked", "\x00Transfer-Encoding: chunked", "Transfer_Encoding:\x01chunked",
                 "Transfer-Encoding chunked"):
        yield one("field %r" % name, n + "5", name, body=b"hello" + SMUGGLED)
    for value in ("5, 5", "5,6", "+5", "-5", "0x5", "5 ", "05", "5.0", "5e0", "", " ", "18446744073709551621", "99999999999999999999", "5\x0b"):
        yield one("CL %r" % value, n + value, body=b"hello" + SMUGGLED)
    yield one("CL twice", n + "5", n + "0", body=b"hello" + SMUGGLED)
    yield one("CL twice, the same", n + "5", n + "5", body=b"hello" + SMUGGLED)
    for size in ("5 ", " 5", "0x5", "+5", "-5", "5\n", "5;\n", "5;a=\"\r\n\"", "", "g", "FFFFFFFFFFFFFFFFF", "5\r\r", "5;" + "x" * 300):
        yield one("chunk %r" % size, te + "chunked", body=size.encode() + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    yield one("chunk without its end", te + "chunked", body=b"5\r\nhelloX\r\n0\r\n\r\n" + SMUGGLED)
    yield one("LF in chunks", te + "chunked", body=b"5\nhello\n0\n\n" + SMUGGLED)
    yield one("trailer with a length", te + "chunked", body=b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n" + SMUGGLED)
    yield "HTTP/0.9", b"GET /v2/\r\n" + SMUGGLED
    yield "HTTP/1.0 with TE", head("POST", target, te + "chunked").replace(b"HTTP/1.1", b"HTTP/1.0", 1) + CHUNK + SMUGGLED
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED
    yield "bare LF", head("GET", "/v2/").replace(b"\r\n", b"\n") + SMUGGLED
    yield "no Host", b"GET /v2/ HTTP/1.1\r\n\r\n" + SMUGGLED
    yield "two Hosts", head("GET", "/v2/", "Host: y") + SMUGGLED
    yield "space in the target", head("GET", "/v2/ HTTP/1.1\r\nX: y") .replace(b"/v2/ HTTP/1.1\r\nX: y", b"/v2/ x") + SMUGGLED


@test
def a_request_that_could_be_read_in_two_ways_ends_its_connection():
    server = Besieged()
    for name, request in framings():
        for split in (0, 1):
            server.mark()
            if split:  # the hidden request comes later
                s = server.connect()
                at = request.index(SMUGGLED[:20])
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.sendall(request[:at])
                    time.sleep(0.002)
                    s.sendall(request[at:])
                got = drain(s)
            else:
                got = server.say(request)
            seen = statuses(got)
            check(len(seen) == 1 and 400 <= seen[0] <= 505 and not got.endswith(b"..."),
                  "%s is refused once, and the connection closed" % name, seen, got[:500])
        if not check(not any("smuggled" in l for l in server.text(server.offset).splitlines()), name + ": nothing hidden is run"):
            break
    check_equal(server.get("/v2/good/app/manifests/v1")[0], 200, "nothing was deleted")
    server.survived()


@test
def a_body_that_nobody_reads_is_never_a_request():
    server = Besieged("--max-blob-size=200000")
    read_only = Target("store", arguments=["--read-only"], name="ro")
    hidden = SMUGGLED * 2
    wide = hidden + b"x" * (100000 - len(hidden))
    cases = [(server, "PUT", "/v2/good/app/manifests/.bad", hidden), (server, "PUT", "/nowhere", hidden),
             (server, "PATCH", "/v2/good/app/blobs/uploads/" + UUID, hidden), (server, "POST", "/v2/UPPER/blobs/uploads/", hidden),
             (server, "GET", "/v2/", hidden), (server, "GET", "/v2/good/app/manifests/v1", hidden),
             (server, "BREW", "/v2/", hidden), (server, "DELETE", "/v2/nothing/manifests/v1", hidden),
             (server, "POST", "/v2/a/blobs/uploads/?digest=" + ABSENT, wide), (read_only, "PUT", "/v2/a/manifests/v1", hidden),
             (read_only, "POST", "/v2/a/blobs/uploads/", wide), (server, "POST", "/token", hidden)]
    for s, method, path, body in cases:
        for lines, sent in (("Content-Length: %d" % len(body), body), ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" %
                                                                       (len(body), body))):
            for expect in ((), ("Expect: 100-continue",)):
                s.mark()
                got = s.say(head(method, path, lines, *expect) + sent, timeout=1)
                seen = [x for x in statuses(got) if x != 100]
                check(len(seen) == 1, "%s %s %s: one answer" % (method, path, lines), seen, got[:600])
                check("smuggled" not in s.text(s.offset), "%s %s %s: nothing hidden is run" % (method, path, lines))
    # What is sent after a good body is a request, in its order.
    got = server.say(head("POST", "/v2/a/blobs/uploads/?digest=" + digest(b"hello"), "Transfer-Encoding: chunked") + CHUNK +
                     head("GET", "/v2/a/blobs/" + digest(b"hello")) + head("GET", "/v2/", "Connection: close"))
    check_equal(statuses(got), [201, 200, 200], "a pipeline")
    server.survived()


# ---- floods ---------------------------------------------------------------------------------------

@test
def clients_that_trickle_are_cut_off_and_hold_up_nobody():
    server = Besieged("--max-uploads=300", binary=PLAIN)
    long = bool(os.environ.get("FERRY_TEST_FULL"))
    at = server.ask("POST", "/v2/a/blobs/uploads/")[2]["Location"]
    heads = [server.connect("127.0.0.%d" % (2 + i % 4), 20) for i in range(400)]
    bodies = [server.connect("127.0.0.%d" % (6 + i % 4), 60) for i in range(200)]
    began = time.monotonic()
    for s in heads:
        s.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    for i, s in enumerate(bodies):
        path = "/v2/a/blobs/uploads/?digest=" + ABSENT if i % 2 else "/v2/a/manifests/v%d" % i
        s.sendall(head("POST" if i % 2 else "PUT", path, "Content-Length: 1000000", "Content-Type: " + OCI_MANIFEST) + b"x")
    cut, waits = 0, []
    while cut < len(heads) and time.monotonic() - began < 16:
        waits.append(server.pull())
        for s in heads + bodies:
            with contextlib.suppress(OSError):
                s.send(b"x")
        cut = sum(not open_still(s) for s in heads)
        time.sleep(0.3)
    check_equal(cut, len(heads), "heads that were cut off after %.1f s" % (time.monotonic() - began))
    check(time.monotonic() - began > 8, "not before their time")
    check(sorted(waits)[len(waits) // 2] < 1, "pulls meanwhile", waits)
    server.check_rss("with bodies that trickle")
    check(put(server, "good/app", "v2", IMAGE)[0] == 201, "a manifest is pushed among them")
    if long:  # the body's window is half a minute; tests/unit/serve/test_limits.c has it finer
        wait_for(lambda: sum(open_still(s) for s in bodies) == 0, "slow bodies to be cut off", 45)
    for s in bodies:
        s.close()
    server.survived()


def open_still(s):
    try:
        s.setblocking(False)
        while s.recv(65536):
            pass
        return False
    except (BlockingIOError, socket.timeout):
        return True
    except OSError:
        return False
    finally:
        s.setblocking(True)
        s.settimeout(20)


@test
def thousands_of_idle_connections_leave_room_for_others():
    server = Besieged(binary=PLAIN)
    idle = []
    for i in range(2500):
        s = server.connect("127.1.0.%d" % (1 + i % 12))
        if i % 2:
            s.sendall(head("GET", "/v2/"))  # kept alive
        idle.append(s)
    took = server.pull()
    check(took < 2, "a pull among %d connections: %.2f s" % (len(idle), took))
    server.check_rss("with %d idle connections" % len(idle))
    # One address gets no more than its share.
    greedy = []
    for _ in range(300):
        greedy.append(server.connect("127.2.0.1"))
    time.sleep(0.3)
    alive = sum(open_still(s) for s in greedy)
    check_equal(alive, 256, "connections of one address")
    server.pull("127.2.0.2")
    for s in greedy + idle:
        s.close()
    wait_for(lambda: server.fds() <= server.fds_before + 2, "descriptors to be closed")
    server.survived("127.2.0.1")


@test
def more_connections_than_there_may_be_wait_and_then_are_served():
    server = Besieged("--max-connections=50", "--max-connections-per-address=100")
    idle = [server.connect() for _ in range(80)]
    # The first fifty are silent, and soon gone for it; until then this one waits.
    check(server.pull(timeout=30) < 25, "its turn comes")
    for s in idle:
        s.close()
    server.survived()


@test
def heads_without_end_are_refused():
    server = Besieged(binary=PLAIN)
    for name, data, want in (
            ("65 fields", head("GET", "/v2/", *["X-%d: y" % i for i in range(64)]), 431),
            ("a field of 17 KiB", head("GET", "/v2/", "X: " + "y" * 17000), 431),
            ("a name of 17 KiB", head("GET", "/v2/", "x" * 17000 + ": y"), 431),
            ("no line end", b"x" * 40000, 400), ("a target of 9 KiB", head("GET", "/v2/" + "x" * 9000), 414),
            ("a method of 17 KiB", head("X" * 17000, "/v2/"), 400), ("empty lines", b"\r\n" * 20000, 400),
            ("64 KiB of fields", head("GET", "/v2/", *["X%d: %s" % (i, "y" * 1000) for i in range(60)]), 431)):
        got = server.say(data)
        check(statuses(got)[:1] in ([want], [400], [431], [501]) and not got.endswith(b"..."), name, got[:200])
    # Many that stop just before the end hold their head, and no more.
    socks = [server.connect("127.3.0.%d" % (1 + i % 8)) for i in range(1500)]
    for s in socks:
        s.sendall(head("GET", "/v2/", "X: " + "y" * 15500)[:-2])
    server.pull()
    server.check_rss("with %d heads" % len(socks))
    for s in socks:
        s.close()
    server.survived()


@test
def a_tls_hello_on_the_plain_port_and_the_other_way_round():
    plain = Besieged()
    hello = bytes.fromhex("16030100c8010000c40303") + b"\x00" * 190
    began = time.monotonic()
    got = plain.say(hello)
    check_equal(statuses(got), [400], "a hello is answered in plain text")
    check(time.monotonic() - began < 3, "at once")
    secure = Besieged(directory="secure", tls=certificate())
    for request in (head("GET", "/v2/"), head("PUT", "/v2/good/app/manifests/v1", "Content-Length: 3") + b"abc"):
        got = secure.say(request)
        check(got.startswith(b"HTTP/1.1 400 ") and b"TLS" in got and not got.endswith(b"..."), "plain is told of TLS", got)
    for junk in (b"\x00" * 1000, b"\x16\x03\x01\xff\xff" + b"\x01" * 70000, os.urandom(5000), hello[:5], b"\x80\x2e\x01\x00\x02",
                 b"\x15\x03\x01\x00\x02\x02\x28"):
        s = secure.connect(timeout=1)
        with contextlib.suppress(OSError):
            s.sendall(junk)
        drain(s)
        s.close()
    plain.survived()
    secure.survived()


@test
def five_hundred_slow_pulls_let_others_proceed():
    tmpfs("disk", "200m")
    server = Besieged("--max-connections-per-address=600", binary=PLAIN, directory="disk/store", name="slow")
    data = os.urandom(1 << 20) * 64
    big = push(server, "good/app", data)
    slow = []
    for i in range(500):
        s = server.connect("127.4.0.%d" % (1 + i % 2), receive=4096)
        s.sendall(head("GET", "/v2/good/app/blobs/" + big))
        slow.append(s)
    for s in slow:
        s.recv(1000)
    server.check_rss("with 500 slow pulls")
    began = time.monotonic()
    status, body, _ = server.get("/v2/good/app/blobs/" + big)
    check(status == 200 and body == data, "a whole pull among them")
    check(time.monotonic() - began < 10, "and not slowly: %.1f s" % (time.monotonic() - began))
    check(server.pull() < 2, "small ones as well")
    for s in slow[:100]:
        check(len(s.recv(1000)) > 0, "the slow ones go on")
    for s in slow:
        s.close()
    wait_for(lambda: server.fds() <= server.fds_before + 2, "descriptors to be closed")
    server.survived()


@test
def five_hundred_slow_pulls_over_tls_do_too():
    server = Besieged("--max-connections-per-address=600", binary=PLAIN, tls=certificate())
    big = push(server, "good/app", os.urandom(1 << 20) * 16)
    context = ssl._create_unverified_context()

    def begin(i):
        s = context.wrap_socket(server.connect("127.4.0.%d" % (1 + i % 2), 60, receive=4096))
        at_end_of_scenario(s.close)
        s.sendall(head("GET", "/v2/good/app/blobs/" + big))
        s.recv(1000)
        return s
    slow = in_parallel(begin, range(500), 16)
    check(not any(isinstance(s, Exception) for s in slow), "all of them begin", [s for s in slow if isinstance(s, Exception)][:3])
    server.check_rss("with 500 slow pulls")
    check(server.pull() < 3, "others proceed")
    for s in slow:
        if not isinstance(s, Exception):
            s.close()
    server.survived()


# ---- bodies ---------------------------------------------------------------------------------------

def pour(s, chunk):
    """Sends chunks until the server has had enough; its answer."""
    framed, end = b"%x\r\n%s\r\n" % (len(chunk), chunk), time.monotonic() + 10
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            s.sendall(framed)
    return drain(s)


@test
def a_body_without_end_meets_the_limit():
    server = Besieged("--max-blob-size=1MiB", binary=PLAIN)
    at = lambda: server.ask("POST", "/v2/a/blobs/uploads/")[2]["Location"]
    for method, path in (("PATCH", at()), ("PUT", at() + "?digest=" + ABSENT), ("POST", "/v2/a/blobs/uploads/?digest=" + ABSENT)):
        s = server.connect()
        began = time.monotonic()
        s.sendall(head(method, path, "Transfer-Encoding: chunked"))
        got = pour(s, b"x" * 65536)
        check(time.monotonic() - began < 5, "%s is stopped after %.1f s" % (method, time.monotonic() - began))
        check(statuses(got) in ([413], []), "with 413, unless that was lost with the connection", got[:300])
        for length in (1 << 20 | 1, 1 << 62, (1 << 63) - 1):
            fresh = {"PATCH": at(), "PUT": at() + "?digest=" + ABSENT}.get(method, path)
            check_equal(statuses(server.say(head(method, fresh, "Content-Length: %d" % length)))[:1], [413],
                        "%s of %d bytes" % (method, length))
    check(sum(os.path.getsize(os.path.join("store/.store/up", n)) for n in os.listdir("store/.store/up")) <= 2 << 20,
          "no more than the limit was kept", os.listdir("store/.store/up"))
    # Chunks of one byte with the longest extension that is allowed: much to read for little to keep.
    s = server.connect()
    s.sendall(head("PATCH", at(), "Transfer-Encoding: chunked"))
    tiny, slowest, end = b"1;" + b"x" * 250 + b"\r\ny\r\n", 0, time.monotonic() + 3
    pourer = threading.Thread(target=send_until, args=(s, tiny * 200, end))
    pourer.start()
    while time.monotonic() < end:
        slowest = max(slowest, server.pull())
    pourer.join()
    check(slowest < 1, "others are served meanwhile: %.2f s" % slowest)
    s.close()
    server.survived()


def send_until(s, data, end):
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            s.sendall(data)


@test
def a_disk_reserve_is_left_alone():
    Besieged().end()
    before = names("store")
    server = Target("store", arguments=["--disk-reserve=1000000GiB"])
    for method, path, body in (("POST", "/v2/a/blobs/uploads/", None), ("POST", "/v2/a/blobs/uploads/?digest=" + digest(b"x"), b"x"),
                               ("PUT", "/v2/good/app/manifests/v2", IMAGE)):
        status, body, headers = server.ask(method, path, body, {"Content-Type": OCI_MANIFEST})
        check_equal((status, json.loads(body)["errors"][0]["code"], bool(headers["Retry-After"])), (503, "TOOMANYREQUESTS", True),
                    method + " " + path)
    wait_for(lambda: server.ask("GET", "/healthz")[0] == 503, "health to say so")
    check_equal([n for n in names("store") if n not in before and not n.startswith((".store/up", ".store/tmp"))], [],
                "nothing was written")
    check_equal(names("store/.store/up"), [], "nothing was begun")
    check_equal(server.get("/v2/good/app/manifests/v1")[1], IMAGE, "pulls go on")
    check_equal(server.ask("DELETE", "/v2/good/app/manifests/v1")[0], 202, "and space can be made")


@test
def a_disk_that_is_full_stays_whole():
    tmpfs("disk", "24m")
    server = Besieged("--disk-reserve=0", directory="disk/store", name="full")

    def attack(i):
        data = os.urandom(3 << 20)
        if i % 3 == 0:
            return server.ask("POST", "/v2/a/blobs/uploads/?digest=" + digest(data), data)[0]
        status, _, headers = server.ask("POST", "/v2/a/blobs/uploads/")
        if status != 202:
            return status
        at = headers["Location"]
        # An iterable is sent in chunks.
        first = server.ask("PATCH", at, data if i % 3 == 1 else iter([data[:1 << 20], data[1 << 20:]]))[0]
        return server.ask("PUT", at + "?digest=" + digest(data))[0] if first == 202 else first
    got = collections.Counter(str(x) for x in in_parallel(attack, range(60), 12))
    check(got["201"] > 0 and got["503"] > 0, "some fit, some do not", got)
    check(not [g for g in got if g not in ("201", "503", "404") and "Broken" not in g and "reset" not in g], "nothing else", got)
    check_equal(os.listdir("disk/store/.store/up"), [], "what did not fit is gone")
    while True:  # to the last page
        data = os.urandom(4096)
        if server.ask("POST", "/v2/a/blobs/uploads/?digest=" + digest(data), data)[0] != 201:
            break
    for path in ("v2/a/blobs", ".store/pool/sha256"):
        check_equal(bad_files("disk/store"), [], "every byte that is there is right")
    check_equal(put(server, "good/app", "v9", IMAGE + b" " * 4096)[0], 503, "a manifest does not fit")
    server.survived()
    for name in os.listdir("disk/store/v2/a/blobs")[:3]:
        server.ask("DELETE", "/v2/a/blobs/" + name)
    server.survived()


@test
def more_uploads_than_there_may_be_are_told_to_wait():
    server = Besieged("--max-uploads=20", binary=PLAIN)
    for _ in range(2000):  # without a byte they hold nothing
        status, _, headers = server.ask("POST", "/v2/a/blobs/uploads/")
        if status != 202:
            check_equal(status, 202, "an empty session")
            break
    check(len(names("store/.store/up")) < 10, "nothing on the disk")
    got = collections.Counter()
    for _ in range(40):
        status, _, headers = server.ask("POST", "/v2/a/blobs/uploads/")
        if status == 202:
            status = server.ask("PATCH", headers["Location"], b"x")[0]
        got[status] += 1
    check(got[202] == 20 and got[429] == 20, "twenty with data", got)
    for name in names("store/.store/up"):  # as if their clients had died a while ago
        os.utime("store/.store/up/" + name, (time.time() - 1200,) * 2)
    wait_for(lambda: server.ask("POST", "/v2/a/blobs/uploads/")[0] == 202, "room for others")
    server.survived()


@test
def a_thousand_clients_that_die_leave_nothing():
    server = Besieged(binary=PLAIN)
    at = server.ask("POST", "/v2/a/blobs/uploads/")[2]["Location"]
    piece = os.urandom(100000)
    stages = ((head("POST", "/v2/a/blobs/uploads/?digest=" + digest(piece), "Content-Length: 200000"), piece),
              (head("POST", "/v2/a/blobs/uploads/?digest=" + digest(piece), "Transfer-Encoding: chunked"), b"10000\r\n" + piece[:5000]),
              (head("PATCH", at, "Content-Length: 200000", "Content-Range: 0-199999"), piece),
              (head("PUT", "/v2/a/manifests/v1", "Content-Length: 200000", "Content-Type: " + OCI_MANIFEST), piece),
              (head("GET", "/v2/good/app/blobs/" + digest(LAYER)), b""), (b"GET /v2/", b""))

    def die(i):
        s = server.connect("127.5.0.%d" % (1 + i % 4))
        request, body = stages[i % len(stages)]
        with contextlib.suppress(OSError):
            s.sendall(request + body[:1 + i * 97 % 100000])
        if i % 2:  # with a reset
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def round(n):
        in_parallel(die, range(n), 20)
        wait_for(lambda: server.fds() <= server.fds_before + 2, "descriptors to be closed: %d" % server.fds(), 10)
        return server.rss()
    first = round(200)
    last = round(1000)
    check(last < first + 6000, "memory does not grow: %d, %d KiB" % (first, last))
    check_equal(len(names("store/.store/up")) <= 2, True, "nothing but the session is kept")
    server.survived()


# ---- manifests ------------------------------------------------------------------------------------

def index(n, pad=b""):
    one = json.dumps({"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}).encode()
    return b'{"schemaVersion":2,"mediaType":"%s","manifests":[%s]%s}' % (OCI_INDEX.encode(), b",".join([one] * n), pad)


BOMB_MAX = 8 << 20


def bombs():
    """(name, bytes, media type, statuses)"""
    front = b'{"schemaVersion":2,"mediaType":"%s","manifests":[],"x":' % OCI_INDEX.encode()
    for n in (65, 5000, 3 << 20):
        yield "%d arrays" % n, front + b"[" * n + b"]" * n + b"}", OCI_INDEX, (400,)
        yield "%d objects" % n, front + b'{"a":' * n + b"1" + b"}" * n + b"}", OCI_INDEX, (400, 413)
    yield "nothing but brackets", b"[" * BOMB_MAX, OCI_INDEX, (400,)
    yield "8 MiB and a byte", b" " * (BOMB_MAX + 1), OCI_INDEX, (413,)
    yield "many small values", front + b"[" + b"0," * (BOMB_MAX // 2 - 1000) + b"0]}", OCI_INDEX, (400,)
    yield "60,000 empty objects", front + b"[" + b"{}," * 60000 + b"{}]}", OCI_INDEX, (400,)
    yield "many empty objects", front + b"[" + b"{}," * (BOMB_MAX // 3 - 1000) + b"{}]}", OCI_INDEX, (400,)
    yield "10,001 entries", index(10001), OCI_INDEX, (400,)
    yield "40,000 entries", index(40000), OCI_INDEX, (400, 413)
    for name in (b"mediaType", b"schemaVersion", b"manifests", b"config", b"anything"):
        for value in (b'"%s"' % OCI_INDEX.encode(), b"[]"):
            yield "%s twice" % name.decode(), b'{"schemaVersion":2,"mediaType":"%s","%s":%s,"manifests":[],"%s":%s}' % (
                OCI_INDEX.encode(), name, value, name, value), OCI_INDEX, (400,)
    yield "an escaped name twice", b'{"schemaVersion":2,"mediaType":"%s","manifests":[],"media\\u0054ype":"x"}' % OCI_INDEX.encode(), \
        OCI_INDEX, (400,)
    yield "a huge number", b'{"schemaVersion":2%s,"manifests":[]}' % (b"0" * 100000), OCI_INDEX, (400,)
    yield "a size beyond all", IMAGE.replace(b'"size": %d' % len(LAYER), b'"size": 1e999'), OCI_MANIFEST, (400,)
    yield "a negative size", IMAGE.replace(b'"size": %d' % len(LAYER), b'"size": -1'), OCI_MANIFEST, (400,)
    yield "a NUL", IMAGE.replace(b"layers", b"lay\x00ers"), OCI_MANIFEST, (400,)
    yield "bad UTF-8", IMAGE[:-1] + b',"x":"\xff\xfe"}', OCI_MANIFEST, (400, 201)
    yield "a long string", front + b'"' + b"x" * (7 << 20) + b'"}', OCI_INDEX, (201, 400)


@test
def manifests_made_to_hurt_are_refused_cheaply():
    for server in (Besieged(), Besieged(binary=PLAIN, directory="plain")):
        for name, data, media_type, want in bombs():
            began = time.monotonic()
            try:
                status, body = put(server, "bomb", "v1", data, media_type)
            except (BrokenPipeError, ConnectionResetError):
                status, body = 413, b""  # refused before all was read
            check(status in want, "%s: %d" % (name, status), body[:300])
            check(time.monotonic() - began < 10, "%s takes %.1f s" % (name, time.monotonic() - began))
        server.check_rss("after bombs")
        server.survived()


@test
def many_manifests_at_once_share_a_budget_of_memory():
    server = Besieged("--max-connections-per-address=600", binary=PLAIN)
    kinds = [b for b in bombs() if len(b[1]) > 1 << 20]

    def attack(i):
        name, data, media_type, _ = kinds[i % len(kinds)]
        try:
            return put(server, "bomb", "v%d" % i, data, media_type)[0]
        except OSError:
            return 0
    with server.bounded():
        got = collections.Counter(in_parallel(attack, range(120), 40))
    check(set(got) <= {0, 201, 400, 413, 503, 429}, "answers", got)
    # Who announces much and sends nothing holds no part of the budget that others need.
    silent = [server.connect() for _ in range(100)]
    for s in silent:
        s.sendall(head("PUT", "/v2/bomb/manifests/v1", "Content-Length: %d" % BOMB_MAX, "Content-Type: " + OCI_INDEX) + b"{")
    check_equal(put(server, "good/app", "v2", IMAGE)[0], 201, "an honest push among them")
    for s in silent:
        s.close()
    server.survived()


@test
def large_answers_that_are_read_slowly_do_not_add_up():
    server = Besieged(binary=PLAIN)
    large = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"x": "x" * (7 << 20)}}).encode()
    check_equal(put(server, "good/app", "large", large, OCI_INDEX)[0], 201, "a large manifest")
    for i in range(9):
        data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": descriptor(IMAGE, OCI_MANIFEST),
                           "annotations": {"x": "%d" % i + "x" * (1 << 20)}}).encode()
        check_equal(put(server, "good/app", digest(data), data, OCI_INDEX)[0], 201, "a large referrer")
    with server.bounded():
        for path in ("manifests/large", "manifests/" + digest(large), "referrers/" + digest(IMAGE)):
            slow = []
            for i in range(200):
                s = server.connect("127.6.0.%d" % (1 + i % 4), receive=4096)
                s.sendall(head("GET", "/v2/good/app/" + path))
                slow.append(s)
            for s in slow:
                check(s.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503"), "an answer begins")
            check(server.pull() < 5, "others are served")
            check_equal(server.ask("POST", "/v2/a/blobs/uploads/")[0], 202, "and may push")
            if "manifests" in path:
                check(server.get("/v2/good/app/" + path)[1] == large, "others get the same manifest")
            for s in slow:
                s.close()
    check_equal(server.get("/v2/good/app/referrers/" + digest(IMAGE))[0], 200, "and its referrers")
    server.survived()


@test
def nothing_comes_back_as_what_it_is_not():
    server = Besieged("--allow-unknown-manifests")
    page = b"<html><script>alert(1)</script></html>"
    d = push(server, "good/app", page)
    for path in ("blobs/" + d, "blobs/" + digest(IMAGE)):
        for accept in ("text/html", "image/svg+xml", "*/*"):
            status, _, headers = server.ask("GET", "/v2/good/app/" + path, headers={"Accept": accept})
            check_equal((status, headers["Content-Type"], headers["X-Content-Type-Options"]),
                        (200, "application/octet-stream", "nosniff"), path)
    both = dict(json.loads(IMAGE), manifests=[])
    for document, media_type in ((json.loads(IMAGE), OCI_INDEX), (json.loads(IMAGE), DOCKER_MANIFEST), (both, OCI_MANIFEST),
                                 (both, OCI_INDEX), (dict(both, mediaType=OCI_INDEX), OCI_INDEX),
                                 (dict(json.loads(IMAGE), mediaType="text/html"), OCI_MANIFEST),
                                 (dict(json.loads(IMAGE), mediaType=OCI_INDEX), OCI_INDEX), ([], OCI_MANIFEST), ("x", OCI_MANIFEST),
                                 ({"schemaVersion": 1, "fsLayers": []}, OCI_MANIFEST),
                                 ({"schemaVersion": 1, "fsLayers": [], "history": []}, "application/vnd.docker.distribution.manifest.v1+json")):
        status, body = put(server, "good/app", "confused", document, media_type)
        check_equal((status, server.get("/v2/good/app/manifests/confused")[0]), (400, 404), "%s as %s" % (str(document)[:60], media_type))
    for media_type in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/html; charset=utf-8", "application/javascript",
                       "application/x+json\r\nX-Injected: 1", "application/x+json; a=b", "application/vnd.x+json"):
        try:
            status, _ = put(server, "good/app", "odd", {"mediaType": media_type}, media_type)
        except ValueError:  # no client sends that
            status = put(server, "good/app", "odd", {"mediaType": media_type}, "application/x+json")[0]
        got, _, headers = server.get("/v2/good/app/manifests/odd")
        check(status in (201, 400) and got in (200, 404), "an odd type", media_type, status, got)
        if got == 200:
            kind = headers["Content-Type"]
            check(kind == "application/octet-stream" or (kind.startswith("application/") and kind.endswith("+json") and ";" not in kind),
                  "a type that no browser acts upon", media_type, kind)
            check(headers["X-Injected"] is None, "no header is made of it")
            check_equal(headers["X-Content-Type-Options"], "nosniff", "nosniff")
        server.ask("DELETE", "/v2/good/app/manifests/odd")
    # On media there may be anything under a digest.
    os.makedirs("media/v2/app/manifests")
    for i, data in enumerate((page, json.dumps({"mediaType": "text/html", "x": page.decode()}).encode(),
                              b'{"mediaType":"a/b\\r\\nX-Injected: 1"}', b'{"mediaType":"image/svg+xml"}', b"\x89PNG\r\n")):
        with open("media/v2/app/manifests/" + digest(data), "wb") as f:
            f.write(data)
        os.symlink(digest(data), "media/v2/app/manifests/t%d" % i)
    place = Target(roots=["media"])
    for i in range(5):
        status, _, headers = place.get("/v2/app/manifests/t%d" % i)
        check(status in (404, 500, 503) or (headers["Content-Type"] == "application/octet-stream" and
                                            headers["X-Content-Type-Options"] == "nosniff"), "t%d" % i, status, headers)
        check(headers["X-Injected"] is None, "no header is made of it")
    server.survived()


@test
def a_mount_tells_nobody_what_they_may_not_read():
    server = Besieged("--auth=token", users=[("ann", "secret")])
    ann = {"Authorization": basic("ann", "secret")}
    there = push(server, "private/app", b"a private blob", **ann)
    put(server, "private/app", "v1", IMAGE, **ann)

    def answer(method, path, **headers):
        status, body, got = server.ask(method, path, headers=headers)
        hide = lambda text: re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|sha256:[0-9a-f]{64}|sha256%3A[0-9a-f]{64}", "*", text)
        return status, hide(body.decode()), sorted((k, hide(v)) for k, v in got.items() if k != "Date")

    def token(*scopes, **headers):
        query = "&".join("scope=repository:" + s for s in scopes)
        return {"Authorization": "Bearer " + json.loads(server.ask("GET", "/token?service=x&" + query, headers=headers)[1])["token"]}
    narrow = token("mine:pull,push", **ann)
    for who in ({}, {"Authorization": "Basic Og=="}, narrow, token("private/app:pull"), token("mine:pull")):
        for path in ("/v2/mine/blobs/uploads/?mount=%s&from=private/app", "/v2/mine/blobs/uploads/?mount=%s",
                     "/v2/mine/blobs/uploads/?mount=%s&from=mine"):
            check_equal(answer("POST", path % there, **who), answer("POST", path % ABSENT, **who), "POST " + path)
        for path in ("/v2/private/app/blobs/%s", "/v2/private/app/manifests/%s", "/v2/private/app/referrers/%s"):
            for method in ("GET", "HEAD", "DELETE"):
                check_equal(answer(method, path % there, **who), answer(method, path % ABSENT, **who), method + " " + path)
    check_equal(server.ask("HEAD", "/v2/mine/blobs/" + there, headers=narrow)[0], 404, "nothing was mounted")
    wide = token("mine:pull,push", "private/app:pull", **ann)
    check_equal(server.ask("POST", "/v2/mine/blobs/uploads/?mount=%s&from=private/app" % there, headers=wide)[0], 201,
                "with the right it is")
    server.login = ann
    server.survived()


# ---- lists ----------------------------------------------------------------------------------------

def traced_reads(pid, function):
    """How often the process reads folders meanwhile; None without strace."""
    if not shutil.which("strace"):
        return None
    out = os.path.abspath("trace")
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-c", "-e", "trace=getdents64", "-o", out, "-p", str(pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    def attached():
        with contextlib.suppress(OSError):
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                    if "TracerPid:\t0" in f.read():
                        return False
        return True
    with contextlib.suppress(RuntimeError):
        wait_for(lambda: attached() or tracer.poll() is not None, "strace", 5)
    if tracer.poll() is not None:
        return None
    function()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    with open(out) as f:
        return sum(int(line.split()[3]) for line in f if line.rstrip().endswith("getdents64"))


@test
def twenty_thousand_repositories_are_listed_page_by_page():
    tmpfs("disk", "600m")
    Besieged(binary=PLAIN, directory="disk/store", name="many").end()
    repos = ["r%03d/n%03d" % (i // 100, i % 100) for i in range(20000)]
    manifest = "disk/store/v2/good/app/manifests/" + digest(IMAGE)
    for r in repos:
        os.makedirs("disk/store/v2/%s/manifests" % r)
        os.link(manifest, "disk/store/v2/%s/manifests/%s" % (r, digest(IMAGE)))
    for i in range(20000):
        os.symlink(digest(IMAGE), "disk/store/v2/good/app/manifests/t%05d" % i)
    server = Target("disk/store", binary=PLAIN, name="many")

    def walk(path, name, query):
        found, times, connection = [], [], server.connection()
        while path:
            began = time.monotonic()
            connection.request("GET", path + query)
            r = connection.getresponse()
            page = json.loads(r.read())[name]
            times.append(time.monotonic() - began)
            check(len(page) <= 1000, "at most 1000 names on a page")
            found += page
            link = r.headers["Link"]
            path, query = (re.match("<([^>]*)>", link)[1] if link else None), ""
        connection.close()
        return found, times
    for query in ("", "?n=1000", "?n=999999"):
        found, times = walk("/v2/_catalog", "repositories", query)
        check(found == ["good/app"] + repos, "the catalog with '%s': %d names" % (query, len(found)))
        check(sorted(times)[-2] < 0.25, "pages behind the first are fast: %s" % ["%.3f" % t for t in times])
    found, times = walk("/v2/good/app/tags/list", "tags", "?n=1000")
    check_equal(len(found), 20001, "tags")
    check(max(times) < 1, "pages of tags are fast: %s" % ["%.3f" % t for t in times])
    check(server.get("/v2/good/app/tags/list?n=999999999")[2]["Link"], "a page of tags ends at 1000, whatever is asked")
    # The list is made anew every five seconds at most, however many ask for pages of it.
    asked = [0]

    def ask_for_seconds():
        end = time.monotonic() + 6
        while time.monotonic() < end:
            server.get("/v2/_catalog?n=1&last=r%03d" % (asked[0] % 200))
            asked[0] += 1
    reads = traced_reads(server.process.pid, ask_for_seconds)
    if reads is None:
        note("strace cannot be used: the folders read were not counted")
    else:
        # 20,201 folders with two calls each, in each of two walks.
        check(0 < reads <= 2 * 45000, "%d reads of folders for %d pages" % (reads, asked[0]))
        check(asked[0] > 200, "pages that were asked for: %d" % asked[0])
        note("%d reads of folders for %d pages" % (reads, asked[0]))
    rss = server.rss()
    note("RssAnon %d KiB with 20,000 repositories" % rss)
    check(rss < RSS_MAX, "RssAnon %d KiB" % rss)
    got = in_parallel(lambda i: server.get("/v2/_catalog?n=%d" % (1 + i))[0], range(200))
    check_equal(set(got), {200}, "200 catalogs at once")
    check(server.rss() < RSS_MAX, "RssAnon %d KiB after 200 at once" % server.rss())
    for bad in ("n=-1", "n=x", "n=99999999999999999999", "n=1e9"):
        check(server.get("/v2/_catalog?" + bad)[0] in (400, 200), bad)


@test
def ranges_are_not_amplified():
    server = Besieged()
    size, path = len(LAYER), "/v2/good/app/blobs/" + digest(LAYER)
    for text in ("0-," * 60 + "0-", "0-,0-", "0-%d,0-" % (size - 1), ",".join("%d-%d" % (i, i) for i in range(0, 260, 2)),
                 ",".join("%d-" % i for i in range(60)), "0-0," * 1300 + "1-1", "-1,-2,-3", "5-9,0-5", ",".join(["0-%d" % (size // 2)] * 3),
                 "-%d,0-0" % size, "0-18446744073709551615,1-18446744073709551616"):
        status, body, headers = server.ask("GET", path, headers={"Range": "bytes=" + text})
        check(len(body) <= size + 64 * 200, "%s...: %d bytes for %d" % (text[:40], len(body), size), status)
        check(status in (200, 206), text[:40], status)
    small = ",".join("%d-%d" % (3 * i, 3 * i) for i in range(64))
    status, body, _ = server.ask("GET", path, headers={"Range": "bytes=" + small})
    check(status == 206 and len(body) < 64 * 200, "64 ranges are served", status, len(body))
    for text in ("99999999-", "%d-" % size, "-0"):
        status, body, headers = server.ask("GET", path, headers={"Range": "bytes=" + text})
        check_equal((status, len(body)), (416, int(headers["Content-Length"])), text)
    server.survived()


@test
def a_flood_of_referrers_comes_in_pages():
    tmpfs("disk", "400m")
    server = Besieged(binary=PLAIN, directory="disk/store", name="refs")

    def refer(i, pad=0):
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.%s" % ("a" if i % 2 else "b"),
                    "config": descriptor(CONFIG, CONFIG_TYPE), "layers": [], "subject": descriptor(IMAGE, OCI_MANIFEST),
                    "annotations": {"n": str(i), "pad": "x" * pad}}
        data = json.dumps(document).encode()
        return put(server, "good/app", digest(data), data)[0]

    def walk(query):
        path, found, pages = "/v2/good/app/referrers/" + digest(IMAGE) + query, [], 0
        while path and pages < 200:
            began = time.monotonic()
            status, body, headers = server.get(path)
            check(status == 200 and len(body) <= (4 << 20) + 65536, "a page of %d bytes" % len(body))
            check(time.monotonic() - began < 5, "in %.1f s" % (time.monotonic() - began))
            page = json.loads(body)["manifests"]
            check(len(page) <= 1000, "of %d entries" % len(page))
            found += [m["digest"] for m in page]
            pages += 1
            path = re.match("<([^>]*)>", headers["Link"])[1] if headers["Link"] else None
        return found, pages
    check_equal(set(in_parallel(refer, range(2500), 16)), {201}, "pushed")
    found, pages = walk("")
    check_equal((len(found), len(set(found))), (2500, 2500), "all are listed, once")
    check(3 <= pages <= 5, "in %d pages" % pages)
    check_equal(len(walk("?artifactType=application/vnd.a")[0]), 1250, "filtered")
    # And few that are large.
    check_equal(set(in_parallel(lambda i: refer(i, 3 << 20), range(5000, 5012), 4)), {201}, "large ones")
    check_equal(len(walk("")[0]), 2512, "all are listed")
    with server.bounded():
        got = in_parallel(lambda i: server.get("/v2/good/app/referrers/" + digest(IMAGE))[0], range(60), 30)
    check(set(got) <= {200, 503} and 200 in got, "sixty at once", collections.Counter(got))
    server.survived()


# ---- the log --------------------------------------------------------------------------------------

@test
def the_access_log_has_one_line_for_a_request_and_no_secrets():
    server = Besieged("--access-log=" + os.path.abspath("access"), users=[("ann", "topsecret")], directory="store")
    login = "Authorization: " + basic("ann", "topsecret")
    token = basic("ann", "topsecret").split()[1]
    with open("access", "rb") as f:
        f.seek(0, 2)
        offset = f.tell()
    forged = "2026-01-01T00:00:00Z 1.2.3.4 root GET /forged 200"
    requests = [head("GET", "/v2/good/app/manifests/v1?secretquery=1", login, "User-Agent: a\x1b[2J\x9b\x85\xffb \"c\" \\ " + forged),
                head("GET", "/v2/%1b[2J%0a%0d" + forged.replace(" ", "%20"), login),
                head("GET", "/v2/\x80\xff\xc2\x85", login), head("GET", "/v2/a\"b\\c", login),
                head("POST", "/v2/a/blobs/uploads/?digest=sha256:secretdigest", login, "Content-Length: 0"),
                head("GET", "/v2/?token=secrettoken&password=topsecret", login),
                head("GET", "http://ann:topsecret@x/v2/", login), head("GET", "/v2/", "User-Agent: " + "u" * 15000, login),
                head("GET", "/v2/", "User-Agent: a", "User-Agent: b", login), head("X-Y", "/v2/", login),
                head("GET", "/v2/", "Authorization: Bearer secrettoken"), head("GET", "/v2/", "Authorization: Basic " + token + "x"),
                head("GET", "/" + "x" * 7000, login),
                head("GET", "/v2/", "Authorization: " + basic("eve\x1b[31m\n" + forged, "topsecret"))]
    for r in requests:
        server.say(r.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    server.ask("GET", "/v2/the/end/tags/list", headers=server.login)
    wait_for(lambda: b"/v2/the/end/" in open("access", "rb").read(), "the access log")
    with open("access", "rb") as f:
        f.seek(offset)
        text = f.read()
    lines = text.split(b"\n")[:-1]
    check(len(lines) <= len(requests) + 1, "one line for each request, none for what is none: %d, %d" % (len(lines), len(requests)), text)
    check(len(lines) >= len(requests) - 5, "and not fewer", text)
    for line in lines:
        check(all(0x20 <= b < 0x7f for b in line), "printable ASCII alone", line)
        check(re.match(rb"^\d{4}-\d\d-\d\dT[^ ]+Z 127\.0\.0\.1 \S+ \S+ \S+ \d{3} \d+ \d+ [0-9.]+ms \".*\"( broken)?$", line), "its form", line)
        check(len(line) < 16384, "its length", len(line))
    for word in (b"topsecret", b"secretquery", b"secrettoken", b"secretdigest", token.encode(), b"Basic", b"Bearer"):
        check(word not in text, "no %s in the log" % word.decode(), text)
    check(word not in server.text().encode(), "nor elsewhere")
    server.survived()


main()
