#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verify: what is missing or damaged in a folder of each layout, and in a registry, is found and named."""
import base64
import glob
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus
import openpgp

VERSION = "4.18.1"
TAG = VERSION + "-x86_64"
MEDIA = "file://openshift/release:" + TAG
SIGNER = openpgp.Key("signer")
COMPLETE = "complete: 4.18.1 x86_64, 4 images, 10 blobs, signature good\n"


class Signatures:
    """A signature store that has CONTENT for every digest; None: nothing."""

    def __init__(self):
        self.content = None
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = store.content if self.path.endswith("/signature-1") else None
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/signatures" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        at_end_of_scenario(self.server.shutdown)


class Release:
    """A signed release of two images and a list of two, in a registry."""

    def __init__(self):
        self.registry = Registry("source")
        self.signatures = Signatures()
        s = self.storage = corpus.Storage("source")
        self.layers = {n: s.layer([("bin/" + n, n.encode() * 3000, 0o755)]) for n in ("cli", "pod", "amd64", "arm64")}
        self.images = {n: s.image(corpus.REL, [self.layers[n]])[0] for n in ("cli", "pod")}
        self.children = {a: s.image(corpus.REL, [self.layers[a]], arch=a) for a in ("amd64", "arm64")}
        self.images["tools"] = s.index(corpus.REL, [c + (a,) for a, c in self.children.items()])[0]
        files = {
            "0000_90_keys.yaml": openpgp.verifier_map({"test": SIGNER}, {"test": self.signatures.url}),
            "image-references": json.dumps({
                "kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": VERSION},
                "spec": {"tags": [{"name": n, "from": {"kind": "DockerImage", "name": "%s/%s@%s" % (
                    self.registry.host, corpus.REL, d)}} for n, d in self.images.items()]}}).encode()}
        self.layers["release"] = s.layer([("release-manifests/" + n, files[n], 0o644) for n in sorted(files)])
        self.digest = s.image(corpus.REL, [self.layers["release"]], TAG, {"io.openshift.release": VERSION})[0]
        self.repository = "%s/%s" % (self.registry.host, corpus.REL)
        self.sign()

    def sign(self, **options):
        self.signatures.content = SIGNER.sign(self.digest, "quay.io/test/release:" + TAG, **options)

    def config_map(self, folder, content):
        """Replaces the signature that is kept in FOLDER."""
        path = glob.glob(folder + "/config/signature-*.json")[0]
        with open(path) as f:
            document = json.load(f)
        document["binaryData"] = {k: base64.b64encode(content).decode() for k in document["binaryData"]}
        os.chmod(path, 0o644)
        with open(path, "w") as f:
            json.dump(document, f)


def folders(release):
    """A folder of each layout."""
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s:%s" % (release.repository, TAG), "--to-dir=oc",
             "--require-signature")
    succeeds("store", "copy", "oc", "portable", "--layout=portable")
    subprocess.run(["cp", "-r", "oc", "linked"], check=True)
    FerryRegistry("linked").end()
    return ["oc", "portable", "linked"]


def names_of(root, digest):
    """Every name of the content DIGEST below ROOT."""
    return [os.path.join(where, n) for where, _, files in os.walk(root) for n in files if digest[7:] in n] + \
        glob.glob("%s/docker/registry/v2/blobs/sha256/*/%s/data" % (root, digest[7:]))


def remove(root, digest):
    names = names_of(root, digest)
    require(names, "%s is in %s" % (digest, root))
    for name in names:
        os.unlink(name)


def rewrite(root, digest, change):
    done = set()
    for name in names_of(root, digest):
        inode = os.stat(name).st_ino
        if inode in done:
            continue
        with open(name, "rb") as f:
            data = bytearray(f.read())
        os.chmod(name, 0o644)
        with open(name, "wb") as f:
            f.write(change(data))
        done.add(os.stat(name).st_ino)
    require(done, "%s is in %s" % (digest, root))


def truncate(root, digest):
    rewrite(root, digest, lambda data: data[:-1])


def flip(root, digest):
    def change(data):
        data[len(data) // 2] ^= 1
        return data
    rewrite(root, digest, change)


def damages(release):
    """(what is done, to what, what is said about it)"""
    layer, image, child = release.layers["cli"][0], release.images["pod"], release.children["arm64"][0]
    return [
        (remove, layer, r"missing: layer %s of cli" % layer),
        (truncate, layer, r"damaged: layer %s of cli: .*bytes instead of \d+" % layer),
        (flip, layer, r"damaged: layer %s of cli: its bytes have the digest sha256:[0-9a-f]{64}" % layer),
        (remove, child, r"missing: list entry %s of tools" % child),
        (remove, image, r"missing: image %s of pod" % image),
        (truncate, release.layers["release"][0], r"damaged: layer %s of release image: .*" % release.layers["release"][0]),
    ]


def finds(pattern, *arguments):
    r = ferry("verify", *arguments)
    name = " ".join(arguments[:2]) + ": " + pattern
    check_equal(r.rc, 3, name + ": exit status")
    check(re.search("(?m)^%s$" % pattern, r.out), name, r.out, r.err)
    check_equal(len(re.findall("(?m)^(?:missing|damaged): ", r.out)), 1, name + ": nothing else")
    check_equal(len(re.findall("(?m)^incomplete: ", r.out)), 1, name + ": summary")
    check_equal(len(r.out.splitlines()), 2, name + ": lines")


@test
def folders_of_each_layout_are_complete_until_something_is_done_to_them():
    release = Release()
    for folder in folders(release):
        r = succeeds("verify", "--dir=" + folder, "--require-signature")
        check_equal(r.out, COMPLETE, folder)
        check("info: Verified %s: signed as quay.io/test/release:%s by key %s" % (release.digest, TAG, SIGNER.name) in r.err,
              "who signed", r.err)
        for damage, digest, pattern in damages(release):
            shutil.rmtree("bad", ignore_errors=True)
            subprocess.run(["cp", "-a", folder, "bad"], check=True)
            damage("bad", digest)
            finds(pattern, "--dir=bad")
        shutil.rmtree("bad")
        subprocess.run(["cp", "-a", folder, "bad"], check=True)
        release.config_map("bad", SIGNER.sign(release.digest, lasts=openpgp.DAY))
        finds(r"damaged: signature %s of release image: .*expired on 2025-03-04T.*" % release.digest, "--dir=bad")


@test
def a_registry_is_complete_until_something_is_done_to_it():
    release = Release()
    destination = Registry("destination")
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s:%s" % (release.repository, TAG),
             "--to=%s/ocp4" % destination.host)
    subprocess.run(["cp", "-a", "destination/docker", "good"], check=True)
    repository = destination.host + "/ocp4"
    for more in ([], ["--deep"], [TAG], [VERSION], [release.digest]):
        r = succeeds("verify", "--insecure", repository, *more)
        check_equal(r.out, COMPLETE, " ".join(more))
    destination.mark()
    succeeds("verify", "--insecure", repository)
    check(not any(m == "GET" and "/blobs/" in path and release.layers["cli"][0] in path
                  for m, path, _ in destination.lines()), "layers are asked for, not read")
    for damage, digest, pattern in damages(release):
        shutil.rmtree("destination/docker")
        subprocess.run(["cp", "-a", "good", "destination/docker"], check=True)
        damage("destination", digest)
        finds(pattern, "--insecure", repository, "--deep")
        if damage is not flip:
            finds(pattern, "--insecure", repository)
    shutil.rmtree("destination/docker")
    subprocess.run(["cp", "-a", "good", "destination/docker"], check=True)
    release.sign(lasts=openpgp.DAY)
    finds(r"damaged: signature %s of release image: .*expired on 2025-03-04T.*" % release.digest, "--insecure", repository)
    release.signatures.content = None
    r = succeeds("verify", "--insecure", repository)
    check("no signature" in r.out and "warning: " in r.err, "no signature is a warning", r.out, r.err)
    finds(r"missing: signature %s of release image: .*no signature found.*" % release.digest, "--insecure", repository,
          "--require-signature")


@test
def the_result_is_json_where_a_program_wants_it():
    release = Release()
    folders(release)
    document = json.loads(succeeds("verify", "--dir=oc", "-o", "json").out)
    check_equal(document["problems"], [], "no tag is unreadable")
    one, = document["releases"]
    check_equal((one["name"], one["digest"], one["version"], one["architecture"], one["complete"], one["images"], one["blobs"]),
                (MEDIA, release.digest, VERSION, "x86_64", True, 4, 10), "the release")
    check_equal(one["signature"], {"good": True, "keys": [SIGNER.name]}, "its signature")
    remove("oc", release.layers["pod"][0])
    r = ferry("verify", "--dir=oc", "-o", "json")
    check_equal(r.rc, 3, "exit status")
    problem, = json.loads(r.out)["releases"][0]["problems"]
    check_equal((problem["problem"], problem["part"], problem["digest"], problem["images"]),
                ("missing", "layer", release.layers["pod"][0], ["pod"]), "the problem")


@test
def what_cannot_be_looked_at_is_no_verdict():
    release = Release()
    os.makedirs("empty")
    for arguments in (["--dir=nowhere"], ["--dir=empty"], ["127.0.0.1:9/ocp4"], ["--insecure", release.repository, "4.18.2"],
                      ["--insecure", release.repository, "--keyring=nowhere"], ["-o", "yaml"]):
        r = ferry("verify", *arguments)
        check_equal((r.rc, r.out), (1, ""), " ".join(arguments))
        check("error: " in r.err, "the reason is told", r.err)


main()
