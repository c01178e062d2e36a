#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders served in place, as ferry, the reference and skopeo wrote them; image serve."""
import concurrent.futures
import glob
import hashlib
import http.client
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"
RELEASE = "openshift/release"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = corpus.DOCKER["manifest"]


def to_dir(folder, *more, **options):
    """A release in FOLDER as --to-dir writes it."""
    port = free_port()
    corpus.write("sample", "quay", "127.0.0.1:%d" % port, storage=corpus.Tree)
    quay = FerryRegistry(roots=["quay"], port=port)
    argv = ["adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (quay.host, corpus.REL, TAG),
            "--to-dir=" + folder, *more]
    r = ferry(*argv, **options)
    require(r.rc == 0, "the mirror run to a folder succeeds", r.err[-3000:])
    return quay


def image_serve(folder, *more, binary=None):
    """`image serve` over FOLDER: something to ask, with .log."""
    port = free_port()
    log = os.path.abspath("image-serve.log")
    with open(log, "wb") as f:
        process = start([binary or FERRY, "image", "serve", "--dir=" + folder, "--listen=127.0.0.1:%d" % port, *more],
                        stdout=f, stderr=f, env=environment())
    wait_for(lambda: b"Serving" in open(log, "rb").read() or process.poll() is not None, "image serve")
    r = FerryRegistry.__new__(FerryRegistry)
    r.process, r.log, r.port, r.host, r.tls = process, log, port, "127.0.0.1:%d" % port, None
    r.directory, r.roots = None, [os.path.abspath(folder)]
    r.mark()
    at_end_of_scenario(r.end_well, process)
    return r


# ---- what a cluster's nodes do

def install_plan(server, repo):
    """[(path, digest)] of every manifest and blob behind the tags of REPO."""
    status, body, _ = server.get("/v2/%s/tags/list" % repo)
    require(status == 200, "tags/list of " + repo, status, body)
    plan = {}
    for tag in json.loads(body)["tags"]:
        status, manifest, headers = server.get("/v2/%s/manifests/%s" % (repo, tag))
        require(status == 200, "manifest of " + tag, status)
        digest = headers["Docker-Content-Digest"]
        plan["/v2/%s/manifests/%s" % (repo, digest)] = digest
        parsed = json.loads(manifest)
        for d in [parsed["config"]] + parsed["layers"]:
            plan["/v2/%s/blobs/%s" % (repo, d["digest"])] = d["digest"]
    return sorted(plan.items())


def pull_all(port, plan, first):
    """One client over one connection; what was wrong."""
    connection, bad = http.client.HTTPConnection("127.0.0.1", port, timeout=120), []
    for path, digest in plan[first:] + plan[:first]:
        connection.request("GET", path)
        r = connection.getresponse()
        if r.status != 200 or "sha256:" + hashlib.sha256(r.read()).hexdigest() != digest:
            bad.append((path, r.status))
    connection.close()
    return bad


def some_clients(port, plan, clients, at, queue):
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        runs = [pool.submit(pull_all, port, plan, (at + i) * 37 % len(plan)) for i in range(clients)]
        bad = []
        for r in runs:
            try:
                bad += r.result()
            except Exception as e:
                bad.append(repr(e))
        queue.put(bad[:5])


def many_clients_pull_everything(server, repo, clients=64, processes=4):
    plan = install_plan(server, repo)
    check(len(plan) > 600, "a release has that many parts", len(plan))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    each = clients // processes
    children = [context.Process(target=some_clients, args=(server.port, plan, each, i * each, queue))
                for i in range(processes)]
    for c in children:
        c.start()
    bad = [b for _ in children for b in queue.get(timeout=600)]
    for c in children:
        c.join()
    check_equal(bad, [], "%d clients at once get %d parts each, byte-identical" % (clients, len(plan)))


class Witness:
    """Every name below FOLDER with all that stat tells. Times of access are set back first, so that
    one read shows even where the system notes only the first."""

    def __init__(self, folder):
        self.folder = folder
        self.paths = self._paths()
        for p in self.paths:
            st = os.lstat(p)
            os.utime(p, ns=(st.st_mtime_ns - 10 ** 9 * 86400, st.st_mtime_ns), follow_symlinks=False)
        self.before = self._stats()

    def _paths(self):
        return sorted([self.folder] + [os.path.join(w, n) for w, ds, fs in os.walk(self.folder) for n in ds + fs])

    def _stats(self):
        out = {}
        for p in self.paths:
            st = os.lstat(p)
            # Looking up a link's target is the kernel's business, whoever asks.
            atime = 0 if os.path.islink(p) else st.st_atime_ns
            out[p] = (st.st_ino, st.st_mode, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns, atime)
        return out

    def check(self, text):
        now = self._stats()
        changed = [(p, now[p], self.before[p]) for p in self.paths if now[p] != self.before[p]]
        check_equal(changed[:5], [], "%s: size, links and times of %d names are as they were" % (text, len(now)))
        check_equal(self._paths(), self.paths, text + ": no name came or went")


@test
def media_serve_an_install_and_stay_as_they_are():
    to_dir("mirror")
    witness = Witness(os.path.abspath("mirror"))
    place = FerryRegistry(roots=["mirror"])
    check_equal(place.what, os.path.abspath("mirror") + " (read-only)", "the ready line")
    many_clients_pull_everything(place, RELEASE)
    check_equal(place.get("/v2/_catalog")[1], b'{"repositories":["openshift/release"]}', "the catalog")
    check_equal(place.ask("PUT", "/v2/openshift/release/manifests/x", "{}", {"Content-Type": OCI_MANIFEST})[0], 405,
                "a push")
    check_equal(place.ask("DELETE", "/v2/openshift/release/manifests/" + TAG)[0], 405, "a delete")
    check_equal(place.end(), 0, "the end")
    witness.check("the oc layout")


@test
def portable_media_of_a_file_system_without_links_do_too():
    need("gcc")
    shim = glob.glob(os.path.join(HERE, "shim/*.c"))
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", "shim.so", *shim, "-ldl"], check=True)
    env = environment(LD_PRELOAD=os.path.abspath("shim.so"))
    to_dir("mirror", env=env, binary=PLAIN)
    require(os.path.exists("mirror/store/seal"), "the portable layout was written")
    witness = Witness(os.path.abspath("mirror"))
    place = FerryRegistry(roots=["mirror"], env=env, binary=PLAIN)
    many_clients_pull_everything(place, RELEASE, 16, 2)
    check_equal(place.end(), 0, "the end")
    witness.check("the portable layout")
    # Once more with the sanitizers, which do not go together with the shim.
    witness = Witness(os.path.abspath("mirror"))
    place = FerryRegistry(roots=["mirror"])
    many_clients_pull_everything(place, RELEASE)
    check_equal(place.end(), 0, "the end")
    witness.check("the portable layout, without the shim")


@test
def a_real_exfat_disk_does_too():
    need("mkfs.exfat", "mount.exfat-fuse", "losetup")
    with open("disk", "wb") as f:
        f.truncate(256 << 20)
    path = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    loop = subprocess.run(["losetup", "--find", "--show", "disk"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=path)
    if loop.returncode:
        raise Skip("no loop devices: " + loop.stderr.strip())
    device = loop.stdout.strip()
    at_end_of_scenario(subprocess.run, ["losetup", "--detach", device])
    subprocess.run(["mkfs.exfat", device], check=True, stdout=subprocess.DEVNULL, env=path)
    os.makedirs("exfat")
    mount = subprocess.run(["mount.exfat-fuse", device, "exfat"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env=path)
    if mount.returncode:
        raise Skip("exfat-fuse cannot mount: " + mount.stdout.strip().splitlines()[-1])
    at_end_of_scenario(subprocess.run, ["umount", os.path.abspath("exfat")])
    to_dir("exfat/mirror")
    place = FerryRegistry(roots=["exfat/mirror"], name=os.path.abspath("exfat"))
    many_clients_pull_everything(place, RELEASE)
    check_equal(place.end(), 0, "the end")


@test
def a_folder_that_cannot_be_written_is_served():
    to_dir("mirror")
    os.makedirs("mounted")
    mount = lambda *a: subprocess.run(["mount", *a], stderr=subprocess.PIPE).returncode == 0
    if not mount("--bind", "mirror", "mounted"):
        raise Skip("no user namespaces: cannot bind a mount")
    at_end_of_scenario(subprocess.run, ["umount", os.path.abspath("mounted")])
    require(mount("-o", "remount,bind,ro", "mounted"), "the mount becomes read-only")
    place = FerryRegistry(roots=["mounted"])
    check_equal(place.end(), 0, "the end")
    place = FerryRegistry("mounted", arguments=["--read-only"], name=os.path.abspath("ro"))
    check_equal(place.what, os.path.abspath("mounted") + " (read-only)", "--dir with --read-only")
    plan = install_plan(place, RELEASE)
    check_equal(pull_all(place.port, plan, 0), [], "everything comes, byte-identical")
    check_equal(place.end(), 0, "the end")
    r = ferry("registry", "serve", "--dir=mounted", "--listen=127.0.0.1:0", timeout=20)
    check_equal(r.rc, 1, "as a store for pushes it is refused")
    check_match(r"(?i)read-only", r.err, "stderr")


@test
def copies_made_by_hand_are_served():
    to_dir("mirror")
    plan = None
    for name, command in (("plain", ["cp", "-r"]), ("dereferenced", ["cp", "-rL"])):
        subprocess.run(command + ["mirror", name], check=True)
        place = FerryRegistry(roots=[name])
        plan = plan or install_plan(place, RELEASE)
        check_equal(pull_all(place.port, plan, 0), [], "a copy by %s" % " ".join(command))
        check_equal(place.end(), 0, "the end")


@test
def the_first_root_that_has_it_wins_and_damage_falls_through():
    need("skopeo")
    trees = {}
    for name, tag in (("one", "v1"), ("two", "v2")):
        t = corpus.Tree(name)
        layer = t.layer([("same", b"s" * 100000, 0o644)])
        trees[name] = t.image("app", [layer], tag, labels={"from": name})[0], layer[0]
        t.image("only/" + name, [layer], "latest")
    succeeds("store", "copy", "one", "stick", "--layout=portable")
    place = FerryRegistry("store", roots=["stick", "two"])
    check_equal(json.loads(place.get("/v2/app/tags/list")[1])["tags"], ["v1", "v2"], "tags of both")
    check_equal(json.loads(place.get("/v2/_catalog")[1])["repositories"], ["app", "only/one", "only/two"], "catalog")
    check_equal(place.get("/v2/app/manifests/v2")[2]["Docker-Content-Digest"], trees["two"][0], "a tag of the second")
    # A file without its whole content is never handed out: the second root has a good one.
    layer = trees["one"][1]
    os.truncate("stick/store/pool/sha256/%s/%s" % (layer[7:9], layer[7:]), 10)
    status, body, _ = place.get("/v2/app/blobs/" + layer)
    check_equal((status, "sha256:" + hashlib.sha256(body).hexdigest()), (200, layer), "a blob that the first has torn")
    check(place.get("/v2/only/one/blobs/" + layer)[0] >= 400, "where no other root has it, it is an error")
    # What is pushed goes to the store, and hides the roots.
    r = run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false",
             "--dest-tls-verify=false", "docker://%s/app:v2" % place.host, "docker://%s/app:v1" % place.host])
    check_equal(r.rc, 0, "a push over a tag of a root: " + r.err)
    check_equal(place.get("/v2/app/manifests/v1")[2]["Docker-Content-Digest"], trees["two"][0], "the new tag")
    check_equal(place.end(), 0, "the end")
    alone = FerryRegistry(roots=["stick"])
    check_equal(alone.get("/v2/app/manifests/v1")[2]["Docker-Content-Digest"], trees["one"][0],
                "the root is as it was")


@test
def an_oci_layout_made_by_skopeo_is_served():
    need("skopeo")
    tree = corpus.Tree("tree")
    digest = tree.image("app", [tree.layer([("a", os.urandom(500000), 0o644)])], "v1", types=corpus.OCI)[0]
    source = FerryRegistry(roots=["tree"])
    r = run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false",
             "docker://%s/app:v1" % source.host, "oci:layout:v1"])
    require(r.rc == 0, "skopeo writes the layout", r.err)
    witness = Witness(os.path.abspath("layout"))
    place = FerryRegistry(roots=["layout"])
    repos = json.loads(place.get("/v2/_catalog")[1])["repositories"]
    require(len(repos) == 1, "the catalog has one repository", repos)
    check_equal(json.loads(place.get("/v2/%s/tags/list" % repos[0])[1])["tags"], ["v1"], "its tags")
    r = run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false",
             "docker://%s/%s:v1" % (place.host, repos[0]), "oci:back:v1"])
    check_equal(r.rc, 0, "skopeo pulls it: " + r.err)
    with open("back/index.json") as f:
        check_equal(json.load(f)["manifests"][0]["digest"], digest, "the digest")
    check_equal(place.end(), 0, "the end")
    witness.check("the layout")


# ---- image serve: the reference's command, its recorded runs e10 and e11

@test
def image_serve_answers_where_the_reference_does_and_where_it_does_not():
    to_dir("mirror")
    ours = image_serve("mirror")
    check_match(r"(?m)^Serving at %s \.\.\.$" % re.escape(ours.host), ours.text(), "stderr")
    with open("mirror/v2/%s/manifests/%s" % (RELEASE, TAG), "rb") as f:
        manifest = f.read()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    blob = json.loads(manifest)["layers"][0]["digest"]
    status, body, headers = ours.get("/v2/")
    check_equal((status, body), (200, b"{}"), "GET /v2/")
    check(headers["Docker-Distribution-Api-Version"], "the API version", headers)
    for reference in (TAG, digest):
        for method in ("GET", "HEAD"):
            status, body, headers = ours.ask(method, "/v2/%s/manifests/%s" % (RELEASE, reference))
            check_equal((status, body), (200, manifest if method == "GET" else b""), "%s %s" % (method, reference))
            check_equal(headers["Content-Type"], DOCKER_MANIFEST, method + " says the type")
            check_equal(headers["Docker-Content-Digest"], digest, method + " says the digest")
            check_equal(headers["Content-Length"], str(len(manifest)), method + " says the length")
    status, body, headers = ours.get("/v2/%s/blobs/%s" % (RELEASE, blob))
    check_equal((status, "sha256:" + hashlib.sha256(body).hexdigest(), headers["Content-Type"], headers["Accept-Ranges"]),
                (200, blob, "application/octet-stream", "bytes"), "a blob")
    status, body, _ = ours.get("/v2/%s/tags/list" % RELEASE)
    check_equal((status, len(json.loads(body)["tags"])), (200, 184), "tags/list")
    for path in ("/v2/%s/manifests/nope" % RELEASE, "/v2/openshift", "/config/"):
        check_equal(ours.get(path)[0], 404, path)
    check_equal(ours.get("/v2/%s/manifests/" % RELEASE)[0], 400, "no list of files as HTML")
    check(ours.get("/v2/../config/")[0] in (400, 404), "no way out of v2/")
    check_equal(ours.ask("PUT", "/v2/%s/manifests/x" % RELEASE, manifest, {"Content-Type": DOCKER_MANIFEST})[0], 405, "PUT")
    wait_for(lambda: any(l[1] == "/v2/%s/manifests/x" % RELEASE for l in ours.lines()), "a line for each request")
    theirs = Registry("theirs")
    succeeds("image", "mirror", "--insecure", "%s/%s:%s-cli" % (ours.host, RELEASE, TAG), theirs.host + "/served:cli")
    succeeds("image", "mirror", "--insecure", "%s/%s:4.12.0*" % (ours.host, RELEASE), theirs.host + "/all")
    check_equal(len(theirs.tags()), 185, "one image, then all of them by a wildcard")
    check_equal(ours.end(), 0, "SIGTERM, exit status")


@test
def image_serve_knows_the_type_of_an_oci_manifest_that_does_not_say_it():
    tree = corpus.Tree("tree")
    layer = tree.layer([("a", b"a" * 1000, 0o644)])
    config = tree.blob(b"{}")
    for d in (layer, config):
        tree.attach("o/c", d[0], d[1])
    body = json.dumps({"schemaVersion": 2, "config": {
        "mediaType": corpus.OCI["config"], "digest": config[0], "size": config[1]}, "layers": [
        {"mediaType": corpus.OCI["layer"], "digest": layer[0], "size": layer[1]}]}).encode()
    digest = tree.manifest("o/c", body, OCI_MANIFEST, "a")[0]
    ours, theirs = image_serve("tree"), Registry("theirs")
    for method in ("GET", "HEAD"):
        check_equal(ours.ask(method, "/v2/o/c/manifests/a")[2]["Content-Type"], OCI_MANIFEST, method)
    succeeds("image", "mirror", "--insecure", ours.host + "/o/c:a", theirs.host + "/x/y:z")
    check_equal(theirs.tags(), {"x/y:z": digest}, "it can be mirrored")


@test
def image_serve_has_the_flags_and_mistakes_of_the_reference():
    r = ferry("image", "serve", "--dir=nope", timeout=20)
    check_equal((r.rc, r.err), (1, "error: --dir must point to a directory: stat nope: no such file or directory\n"),
                "a folder that is not there")
    tree = corpus.Tree("tree")
    tree.image("app", [tree.layer([("a", b"a" * 100, 0o644)])], "v1")
    crt, key = certificate()
    ours = image_serve("tree", "--tls-crt=" + crt, "--tls-key=" + key)
    ours.tls = (crt, key)
    check_match(r"(?m)^Serving TLS at ", ours.text(), "stderr")
    check_equal(ours.get("/v2/app/manifests/v1")[0], 200, "over TLS")
    if ISOLATED:
        everywhere = start([FERRY, "image", "serve", "--dir=tree"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env=environment())
        wait_for(lambda: listening(5000) or everywhere.poll() is not None, "port 5000")
        check(listening(5000), "it listens on port 5000 without --listen")
        everywhere.send_signal(signal.SIGINT)
        check_equal(everywhere.wait(30), 0, "SIGINT, exit status")


main()
