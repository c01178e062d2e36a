#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Operator catalogs to where there is no network: two places that cannot reach each other, and a folder that is carried.

Each side has a network namespace of its own (loopback only) and a folder; the connected one is gone before the other begins.
PULL_SEED chooses the images that podman pulls.
"""
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e
from e2e import *
import catalogs
import cluster
import corpus

HOSTS = "127.0.0.1:5001", "127.0.0.1:5002"  # where images come from; the second wants a login
USER, PASSWORD = "reader", "open sesame"
MIRROR = 6001
SEED = int(os.environ.get("PULL_SEED") or time.time())
INDEX = "file://local/index/cat/fbc:v4.18"


class Side:
    """A network namespace and a folder. `with side:` is there: this thread and all that it starts."""

    def __init__(self, name):
        if not e2e.ISOLATED:
            raise Skip("no user namespaces")
        self.folder = os.path.abspath(name)
        os.makedirs(self.folder)
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        require(LIBC.unshare(NEW_NET) == 0, "a network namespace")
        loopback_up()
        self.net = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.leave(outside)
        at_end_of_scenario(os.close, self.net)

    @staticmethod
    def leave(fd):
        if LIBC.setns(fd, NEW_NET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.getcwd()
        LIBC.setns(self.net, NEW_NET)
        os.chdir(self.folder)
        return self

    def __exit__(self, *_):
        fd, folder = self.before
        self.leave(fd)
        os.chdir(folder)


LIBC, NEW_NET = ctypes.CDLL(None, use_errno=True), 0x40000000


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS


def check_no_way(connected, far, source_port, far_port):
    """Servers listen on both sides; nobody gets across."""
    with connected:
        here = os.stat("/proc/thread-self/ns/net").st_ino
        check_equal([n for _, n in socket.if_nameindex()], ["lo"], "interfaces of the connected side")
        check(listening(source_port), "the source answers on its own side")
        check(not listening(far_port), "the connected side does not reach the mirror")
    with far:
        check(os.stat("/proc/thread-self/ns/net").st_ino != here, "two namespaces")
        check_equal([n for _, n in socket.if_nameindex()], ["lo"], "interfaces of the far side")
        with open("/proc/thread-self/net/route") as f:
            check_equal(len(f.readlines()), 1, "lines of its routing table: the heading")
        check(listening(far_port), "the mirror answers on its own side")
        check(not listening(source_port), "the far side does not reach the source")
        r = ferry("image", "info", "--insecure", "%s/cat/fbc:v4.18" % HOSTS[0])
        check(r.rc == 1 and "refused" in r.err.lower(), "ferry does not reach the source either", r.out, r.err)


# ---- the sources --------------------------------------------------------------------------------

class Sources:
    """Two registries with a catalog. `images` is {reference as the catalog writes it: digest}."""

    def __init__(self, directory="."):
        self.stores = [corpus.Storage(os.path.join(directory, "source%d" % i)) for i in (1, 2)]
        self.images, self.children = {}, {}
        self.make()

    def add(self, where, repo, tag=None, arches=(), reference="{host}/{repo}@{digest}", types=corpus.DOCKER, size=3000):
        s = self.stores[where]
        base = s.layer([("licenses/COMMON", b"shared by all\n" * 100, 0o644)])

        def one(arch, name):
            layer = s.layer([("app/" + repo.replace("/", "-"), random.Random(repo + str(tag) + arch).randbytes(size), 0o755)])
            return s.image(repo, [base, layer], name, arch=arch, types=types)
        if arches:
            children = [one(a, None) + (a,) for a in arches]
            digest = s.index(repo, children, tag, types)[0]
            self.children[digest] = [c[0] for c in children]
        else:
            digest = one("amd64", tag)[0]
        text = reference.format(host=HOSTS[where], repo=repo, digest=digest, tag=tag)
        self.images[text] = digest
        return text

    def make(self):
        add, arches = self.add, ("amd64", "arm64")
        tag = "{host}/{repo}:{tag}"
        proxy = add(0, "shared/kube-rbac-proxy", "v4", arches, types=corpus.OCI)
        operand = add(0, "ops/alpha-operand", "1.2", arches + ("s390x",))
        alpha = [(v, add(0, "ops/alpha-bundle", "v" + v), [add(0, "ops/alpha-operator", "v" + v), proxy, operand])
                 for v in ("1.0.0", "1.1.0", "1.2.0")]
        deep = add(0, "org/team/sub/deep", "1.0", types=corpus.OCI)
        beta = [("2.0.0", add(0, "beta/beta-bundle", "v2.0.0", reference=tag), [add(0, "beta/tools", "latest", reference="{host}/{repo}"), proxy]),
                ("2.1.0", add(0, "beta/beta-bundle", "v2.1.0", reference=tag),
                 [add(0, "beta/beta-operator", "2.1.0", reference="{host}/{repo}:{tag}@{digest}"), add(0, "beta/tools", "v3", arches, tag),
                  add(0, "ubi-minimal", "8"), deep, add(0, "org/team/sub/deeper/still", "2", reference=tag)])]
        gamma = [("0.1.0", add(1, "rhel/gamma-bundle", "v0.1.0"), [add(1, "rhel/gamma", "1", size=300000), add(1, "rhel/sub/tool", "1", arches, tag)])]
        files = {"alpha/catalog.json": catalogs.as_json(catalogs.package("alpha", *alpha)),
                 "beta/catalog.yaml": catalogs.as_yaml(catalogs.package("beta", *beta)),
                 "gamma/index.yaml": catalogs.as_yaml(catalogs.package("gamma", *gamma)),
                 ".indexignore": "ignored/\n", "ignored/catalog.json": "{broken"}
        s = self.stores[0]
        children = [catalogs.fbc_image(s, "cat/fbc", None, files, arch=a) + (a,) for a in arches]
        self.fbc = s.index("cat/fbc", children, "v4.18", corpus.DOCKER)[0]
        self.children[self.fbc] = [c[0] for c in children]
        self.sqlite_images = [proxy, operand, alpha[2][1], beta[0][1], beta[1][2][0]]
        rows = {"alpha": [("alpha.v1.2.0", alpha[2][1], [proxy, operand])],
                "beta": [("beta.v2.0.0", beta[0][1], [proxy, beta[1][2][0]])]}
        self.sqlite = catalogs.index_image(s, "cat/sqlite", "v1", [[("database/index.db", catalogs.database(rows))]],
                                           "/database/index.db", catalogs.DATABASE)[0]

    def serve(self):
        first = Registry("source1", port=5001)
        return [first, Registry("source2", port=5002, user=USER, password=PASSWORD)]

    def expected(self, destination, images=None):
        """{"repository:tag": digest} of the mirror, without the index."""
        out = {}
        for image in images or self.images:
            out[catalogs.mounted(image, destination).partition("/")[2]] = self.images[image]
        return out


def connected_side(*runs, side=None):
    """Both sides, the connected one with its sources served and the RUNS (SRC, DEST, more...) done."""
    connected, far = side or (Side("connected"), Side("far"))
    with connected:
        sources = Sources()
        servers = sources.serve()
        login = credentials("pull-secret.json", (HOSTS[1], USER, PASSWORD))
        for source, *more in runs:
            succeeds("adm", "catalog", "mirror", "--insecure", "-a", login, HOSTS[0] + "/" + source, *more)
    return connected, far, sources, servers


def carry(connected, far, folder="v2"):
    """The only thing that passes; what is left of the connected side is taken away."""
    subprocess.run(["cp", "-r", os.path.join(connected.folder, folder), far.folder], check=True)


def end_of(connected, servers):
    for s in servers:
        stop(s.process)
    shutil.rmtree(connected.folder)


def manifests_folder(where="."):
    found = [w for w, _, files in os.walk(where) if "mapping.txt" in files and "/v2" not in w]
    require(len(found) == 1, "one folder of manifests in %s" % where, found)
    return found[0]


# ---- what a run has written ----------------------------------------------------------------------

def check_written(folder, sources, destination, index, images=None, index_digest=None):
    """mapping.txt, the mirror sets and the CatalogSource, against the book and against the cluster's schemas."""
    images = images or sources.images
    objects = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".yaml"):
            continue
        for document in cluster.documents(os.path.join(folder, name)):
            check_equal(cluster.complaints(document), [], "what a cluster says to %s" % name)
            objects.append(document)
    kinds = sorted({o["kind"] for o in objects})
    check_equal(kinds, ["CatalogSource", "ImageContentSourcePolicy", "ImageDigestMirrorSet", "ImageTagMirrorSet"], "kinds of objects")
    digests = {s: [m] for s, m in catalogs.by_repository(images, destination, tags=False).items()}
    for kind in ("ImageDigestMirrorSet", "ImageContentSourcePolicy"):
        check_equal(catalogs.mirrors_of(objects, kind), digests, kind)
    tags = {s: [m] for s, m in catalogs.by_repository(images, destination, tags=True).items()}
    got = catalogs.mirrors_of(objects, "ImageTagMirrorSet")
    check_equal({s: m for s, m in got.items() if "/cat/" not in s}, tags, "ImageTagMirrorSet")
    source = [o for o in objects if o["kind"] == "CatalogSource"]
    check_equal([o["spec"].get("image") for o in source], [index], "the CatalogSource's image")
    with open(os.path.join(folder, "mapping.txt")) as f:
        lines = f.read().splitlines()
    check_equal(lines, sorted(lines), "mapping.txt is sorted")
    to = {l.partition("=")[2] for l in lines}
    check_equal(sorted(t for t in to if t != index), sorted({catalogs.mounted(i, destination) for i in images}), "destinations in mapping.txt")
    return objects


def check_mirror(registry, sources, destination, index_name, index_digest, images=None):
    tags = registry.tags()
    want = dict(sources.expected(destination, images), **{index_name: index_digest})
    check_equal(tags, want, "tags of the mirror")
    below = registry.manifests()
    for name, digest in want.items():
        for child in sources.children.get(digest, []):
            check("%s@%s" % (name.rpartition(":")[0], child) in below, "%s has all of its images" % name, child)
    check_equal(registry.bad_blobs(), [], "damaged blobs")


# ---- podman --------------------------------------------------------------------------------------

def podman_storage():
    """Flags for podman's own storage, short-lived; skips where podman cannot unpack any image."""
    need("podman", "skopeo")
    folder = tempfile.mkdtemp(prefix="p", dir="/tmp")  # podman wants short names
    at_end_of_scenario(shutil.rmtree, folder, True)
    storage = ["--root", folder + "/root", "--runroot", folder + "/run", "--storage-driver", "vfs", "--tmpdir", folder + "/tmp"]
    at_end_of_scenario(run, ["podman", *storage, "system", "reset", "--force"])
    s = corpus.Storage("probe")
    s.image("app", [s.layer([("app", b"x", 0o755)])], "v1")
    probe = Registry("probe")
    r = run(["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "docker://%s/app:v1" % probe.host, "oci:image:v1"])
    require(r.rc == 0, "skopeo writes an OCI layout", r.err)
    stop(probe.process)
    r = run(["podman", *storage, "pull", "--quiet", "oci:image:v1"])
    if r.rc != 0:
        raise Skip("podman cannot pull here: " + r.err.strip().splitlines()[-1][:120])
    return storage


def check_podman(sources, objects, destination, insecure, login, number):
    """podman pulls NUMBER images, chosen at random, by the names that the catalog has for them, from below DESTINATION."""
    with open("registries.conf", "w") as f:
        f.write(cluster.registries_conf(objects, insecure))
    storage = podman_storage()
    chosen = sorted(random.Random(SEED).sample(sorted(sources.images), number))
    note("PULL_SEED=%d" % SEED)
    env = environment(CONTAINERS_REGISTRIES_CONF=os.path.abspath("registries.conf"))
    for image in chosen:
        r = run(["podman", *storage, "--log-level=debug", "pull", *login, image], env=env)
        if not check_equal(r.rc, 0, "podman pull %s: %s" % (image, r.err[-1500:])):
            return
        tried = re.findall(r'Trying to access \\?"([^"\\]*)', r.err)
        want = catalogs.mounted(image, destination).rpartition(":")[0]
        check(tried and all(re.fullmatch(re.escape(want) + "[:@].*", t) for t in tried), "%s comes from %s" % (image, want), tried)
        ref = catalogs.parse(image)
        name = "%s/%s@%s" % (ref.registry, ref.path, ref.digest) if ref.digest else image  # podman drops a tag beside a digest
        r = run(["podman", *storage, "image", "inspect", "--format", "{{json .RepoDigests}}", name])
        check(sources.images[image] in r.out, "%s has the digest that it had at the source" % image, r.out, r.err)


# ---- scenarios -----------------------------------------------------------------------------------

@test
def a_catalog_crosses_in_a_folder():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index"))
    with connected:
        folder = manifests_folder()
        check_match(r"^\./manifests-fbc-\d+$", folder, "the folder's name")
        check_equal(os.listdir(folder), ["mapping.txt"], "all that a run to a folder writes")
    with far:
        mirror = FerryRegistry("mirror", port=MIRROR)
    check_no_way(connected, far, 5001, MIRROR)
    carry(connected, far)
    end_of(connected, servers)
    with far:
        destination = mirror.host + "/olm"
        r = succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--to-manifests=m")
        check_mirror(mirror, sources, destination, "olm/local-index-cat-fbc:v4.18", sources.fbc)
        check_written("m", sources, destination, destination + "/local-index-cat-fbc:v4.18")
        check("wrote mirroring manifests to m" in r.out, "stdout says where they are", r.out)
        # And again: nothing is sent twice, and the same is written.
        mirror.mark()
        succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--to-manifests=again")
        sent = mirror.requests()
        check(not sent["PUT"] and not sent["PATCH"] and not sent["POST"], "a second run sends nothing", sent)
        for name in os.listdir("m"):
            with open("m/" + name, "rb") as one, open("again/" + name, "rb") as two:
                check(one.read() == two.read(), "%s is the same the second time" % name)


def crossed(**registry):
    """The far side with a docker-registry that was filled from the media, and what was written for it."""
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file:///local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        mirror = Registry("mirror", port=MIRROR, **registry) if registry else FerryRegistry("mirror", port=MIRROR)
        flags = ["--certificate-authority=" + registry["tls"][0], "-a", credentials("login.json", (mirror.host, "writer", "let me"))] \
            if registry else ["--insecure"]
        succeeds("adm", "catalog", "mirror", *flags, INDEX, mirror.host + "/olm", "--to-manifests=m")
        objects = [d for name in sorted(os.listdir("m")) if name.endswith(".yaml") for d in cluster.documents("m/" + name)]
    return far, sources, mirror, objects


@test
def podman_pulls_by_the_old_names():
    far, sources, mirror, objects = crossed()
    with far:
        check_podman(sources, objects, mirror.host + "/olm", [mirror.host], ["--tls-verify=false"], 10)


@test
def podman_pulls_over_tls_with_a_login():
    need("htpasswd")
    tls = certificate()
    far, sources, mirror, objects = crossed(user="writer", password="let me", tls=tls)
    with far:
        os.makedirs("certs")
        shutil.copy(tls[0], "certs/ca.crt")
        check_podman(sources, objects, mirror.host + "/olm", [], ["--cert-dir=certs", "--authfile=login.json"], 3)


@test
def a_login_and_tls_on_the_far_side():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file:///local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        need("htpasswd")
        tls = certificate()
        mirror = Registry("mirror", port=MIRROR, user="writer", password="let me", tls=tls)
        nobody, login = credentials("nobody.json"), credentials("login.json", (mirror.host, "writer", "let me"))
        trust = "--certificate-authority=" + tls[0]
        for what, flags, pattern in (
                ("without a login", [trust, "-a", nobody], r"(?i)unauthorized|authentication required|no basic auth credentials"),
                ("with a wrong password", [trust, "-a", credentials("wrong.json", (mirror.host, "writer", "wrong"))], r"(?i)unauthorized|authentication required"),
                ("with an unknown authority", ["-a", login], r"(?i)certificate")):
            r = ferry("adm", "catalog", "mirror", *flags, INDEX, mirror.host, "--to-manifests=no")
            check_equal(r.rc, 1, "%s nothing is mirrored: %s" % (what, r.err[-800:]))
            check_match(pattern, r.err, "stderr " + what)
            check_equal(mirror.tags(), {}, "tags of a run " + what)
        r = succeeds("adm", "catalog", "mirror", trust, "-a", login, INDEX, mirror.host, "--to-manifests=m")
        check_mirror(mirror, sources, mirror.host, "local/index-cat-fbc:v4.18", sources.fbc)
        check_written("m", sources, mirror.host, mirror.host + "/local/index-cat-fbc:v4.18")
        check("let me" not in r.out + r.err, "no secrets in what is printed")


@test
def an_sqlite_catalog_crosses_too():
    connected, far, sources, servers = connected_side(("cat/sqlite:v1", "file://local/index"), ("cat/fbc:v4.18", "file://local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        mirror = FerryRegistry("mirror", port=MIRROR)
        destination = mirror.host + "/olm"
        r = succeeds("adm", "catalog", "mirror", "--insecure", "file://local/index/cat/sqlite:v1", destination, "--to-manifests=m")
        check("/database/index.db" in r.out, "stdout names the database", r.out)
        images = sources.sqlite_images
        check_mirror(mirror, sources, destination, "olm/local-index-cat-sqlite:v1", sources.sqlite, images)
        check_written("m", sources, destination, destination + "/local-index-cat-sqlite:v1", images)
        # The other catalog of the same media goes to the same mirror.
        succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--to-manifests=n")
        check_equal(len(mirror.tags()), len(sources.expected(destination)) + 2, "tags of both catalogs")


@test
def the_old_third_step_says_the_same():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        mirror = FerryRegistry("mirror", port=MIRROR)
        for path, name in (("", "local/index-cat-fbc:v4.18"), ("/olm", "olm/local-index-cat-fbc:v4.18")):
            destination, index = mirror.host + path, "%s/%s" % (mirror.host, name)
            second, third = "second" + path.strip("/"), "third" + path.strip("/")
            succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--to-manifests=" + second)
            mirror.mark()
            succeeds("adm", "catalog", "mirror", "--insecure", index, destination, "--manifests-only", "--to-manifests=" + third)
            check(not mirror.requests()["PUT"], "the third step sends nothing")
            mine = check_written(second, sources, destination, index)
            theirs = check_written(third, sources, destination, index)
            for kind in ("ImageDigestMirrorSet", "ImageContentSourcePolicy"):
                check_equal(catalogs.mirrors_of(theirs, kind), catalogs.mirrors_of(mine, kind), "%s of the third step" % kind)
            r = ferry("image", "mirror", "--insecure", "--dry-run", "--keep-manifest-list", "-f", third + "/mapping.txt")
            check("may not be the same" not in r.err, "mapping.txt has no line from a place to itself", r.err)


@test
def folders_of_other_names_work_everywhere():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index", "--dir=media", "--to-manifests=m"))
    with connected:
        check(os.path.isdir("media/v2/local/index/cat/fbc"), "--dir is where the media are")
        check(not os.path.exists("v2"), "and nowhere else")
    carry(connected, far, "media")
    end_of(connected, servers)
    with far:
        for flag in ("--from-dir=media", "--dir=media"):
            mirror = FerryRegistry("mirror" + flag[2:5])
            destination = mirror.host + "/olm"
            succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, flag, "--to-manifests=m" + flag[2:5])
            check_mirror(mirror, sources, destination, "olm/local-index-cat-fbc:v4.18", sources.fbc)
        check(not os.path.exists("v2"), "nothing is written beside the media")
        r = ferry("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--from-dir=nowhere", "--to-manifests=no")
        check(r.rc == 1 and not os.path.exists("no"), "no media: exit 1, and no folder of manifests", r.rc, r.err)


@test
def media_can_be_served_as_they_are():
    """The folder is a registry: a cluster can pull from it without an upload."""
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        place = FerryRegistry(roots=["."], port=MIRROR)
        for image, digest in sources.images.items():
            ref = catalogs.parse(image)
            body, _ = place.manifest("local/index/cat/fbc/" + ref.path, digest)
            if not check(body and corpus.digest_of(body) == digest, "%s is served" % image):
                break


@test
def an_upload_that_was_killed_goes_on():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index"))
    carry(connected, far)
    end_of(connected, servers)
    with far:
        argv = [sys.executable, os.path.join(HERE, "faultreg.py"), "--log", "faults.log", "--rule", "PUT /blobs/ 9:* stall"]
        server = start(argv, stdout=subprocess.PIPE, text=True)
        host = "127.0.0.1:%s" % server.stdout.readline().split()[0]
        command = [FERRY, "adm", "catalog", "mirror", "--insecure", INDEX, host + "/olm", "--to-manifests=m"]

        def put():
            """[(repository, digest)] of the blobs, "repository:tag" of the manifests that were acknowledged."""
            blobs, manifests = [], []
            with open("faults.log") as f:
                for line in f.read().splitlines():
                    e = json.loads(line)
                    repo, _, rest = e["path"][4:].partition("/blobs/" if "/blobs/" in e["path"] else "/manifests/")
                    if e["method"] == "PUT" and e["status"] == 201 and "/blobs/" in e["path"]:
                        blobs.append((repo, re.search(r"digest=([^&]+)", e["query"]).group(1)))
                    elif e["method"] == "PUT" and e["status"] == 201:
                        manifests.append(repo + ":" + rest)
            return blobs, manifests
        with open("killed.out", "wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(), start_new_session=True)
        wait_for(lambda: len(put()[0]) == 9, "the ninth blob")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        first, manifests = put()
        check(not any("local-index" in m for m in manifests), "the index is not there before its images", manifests)
        urllib.request.urlopen(urllib.request.Request("http://%s/_rules" % host, b"", method="POST")).read()
        succeeds(*command[1:])
        second = put()[0][len(first):]
        check(len(second) > 9, "there was more to send", len(second))
        check_equal(sorted(set(first) & set(second)), [], "blobs that were sent twice")
        check_written("m", sources, host + "/olm", host + "/olm/local-index-cat-fbc:v4.18")
        for name, digest in sources.expected(host + "/olm").items():
            repo, _, tag = name.rpartition(":")
            request = urllib.request.Request("http://%s/v2/%s/manifests/%s" % (host, repo, tag), headers={"Accept": "*/*"})
            body = urllib.request.urlopen(request).read()
            if not check_equal(corpus.digest_of(body), digest, name):
                break


@test
def a_mapping_trimmed_by_hand_and_the_rest_later():
    connected, far, sources, servers = connected_side(("cat/fbc:v4.18", "file://local/index", "--dir=media"))
    carry(connected, far, "media")
    with connected:
        # The connected side's mapping works the same way: here, one package of it to a folder.
        succeeds("adm", "catalog", "mirror", "--insecure", "-a", "pull-secret.json", HOSTS[0] + "/cat/fbc:v4.18", "file://local/index",
                 "--manifests-only", "--to-manifests=m")
        with open("m/mapping.txt") as f:
            lines = f.read().splitlines()
        with open("alpha.txt", "w") as f:
            f.write("".join(l + "\n" for l in lines if "/ops/" in l))
        succeeds("image", "mirror", "--insecure", "-f", "alpha.txt", "--dir=part", "--keep-manifest-list", "--filter-by-os=.*")
        check_equal(sorted(os.listdir("part/v2/local/index/cat/fbc")), ["ops"], "only what is left in the mapping")
    end_of(connected, servers)
    with far:
        mirror = FerryRegistry("mirror", port=MIRROR)
        destination = mirror.host + "/olm"
        succeeds("adm", "catalog", "mirror", "--insecure", INDEX, destination, "--from-dir=media", "--manifests-only", "--to-manifests=m")
        check_equal(mirror.tags(), {}, "--manifests-only mirrors nothing")
        with open("m/mapping.txt") as f:
            lines = f.read().splitlines()
        for name, chosen in (("first", [l for l in lines if "/beta" in l]), ("rest", [l for l in lines if "/beta" not in l])):
            check(chosen, "lines for the %s run" % name)
            with open(name + ".txt", "w") as f:
                f.write("".join(l + "\n" for l in chosen))
            succeeds("image", "mirror", "--insecure", "-f", name + ".txt", "--from-dir=media", "--keep-manifest-list", "--filter-by-os=.*")
            check(set(mirror.tags()) >= {l.partition("=")[2].partition("/")[2] for l in chosen}, "tags of the %s run" % name)
        check_mirror(mirror, sources, destination, "olm/local-index-cat-fbc:v4.18", sources.fbc)


@test
def both_routes_and_every_scope_are_valid_for_a_cluster():
    """Straight from registry to registry, with other flags, all that is written is accepted and says the same."""
    sources = Sources()
    sources.serve()
    login = credentials("pull-secret.json", (HOSTS[1], USER, PASSWORD))
    for name, destination, more in (
            ("plain", "mirror.example.com:5000/olm", []), ("none", "mirror.example.com:5000", []),
            ("olm1", "mirror.example.com:5000/olm", ["--olm-v1"]), ("sizes", "mirror.example.com:5000/olm", ["--max-idms-size=500", "--max-icsp-size=500"]),
            ("deep", "mirror.example.com:5000/a/b", ["--max-components=4"]), ("free", "mirror.example.com:5000/a/b", ["--max-components=0"])):
        r = ferry("adm", "catalog", "mirror", "--insecure", "-a", login, HOSTS[0] + "/cat/fbc:v4.18", destination, "--manifests-only",
                  "--to-manifests=" + name, *more)
        if not check_equal(r.rc, 0, "%s: %s" % (name, r.err)):
            continue
        objects = []
        for file in sorted(os.listdir(name)):
            if file.endswith(".yaml"):
                for document in cluster.documents(name + "/" + file):
                    check_equal(cluster.complaints(document), [], "what a cluster says to %s/%s" % (name, file))
                    objects.append(document)
        names = [(o["kind"], o["metadata"]["name"]) for o in objects]
        check_equal(len(names), len(set(names)), "objects have names of their own")
        components = 4 if name == "deep" else 0 if name == "free" else 2
        want = {"%s/%s" % catalogs.parse(i)[:2]: [catalogs.mounted(i, destination, components).rpartition(":")[0]]
                for i in sources.images if "@" in i}
        for kind in ("ImageDigestMirrorSet", "ImageContentSourcePolicy"):
            check_equal(catalogs.mirrors_of(objects, kind), want, "%s: %s" % (name, kind))
        kinds = {o["kind"] for o in objects}
        check_equal("ClusterCatalog" in kinds, name == "olm1", "%s: a ClusterCatalog" % name)
        check("ImageTagMirrorSet" in kinds and "CatalogSource" in kinds, "%s: kinds" % name, kinds)
        if name == "sizes":
            check(sum(o["kind"] == "ImageDigestMirrorSet" for o in objects) > 1, "a size makes several objects")


main()
