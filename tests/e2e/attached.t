#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes along with images: sigstore's tags and OCI referrers, to registries and through media."""
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
from sigstore import Node, Signer, tag_of
import corpus

VERSION = "4.21.1"
TAG = VERSION + "-x86_64"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class Release:
    """A release of two components. Each image has a signature, an attestation and an SBOM; REFERRERS: each is
    referred to as well, with an index under the fallback tag where the registry has no list (FALLBACK)."""

    def __init__(self, ferry=False, referrers=False):
        self.storage = (corpus.Tree if ferry else corpus.Storage)("source")
        port = free_port()
        self.host = "127.0.0.1:%d" % port
        base = [self.storage.layer([("base", b"base" * 500, 0o644)])]
        images = [(name, self.storage.image(corpus.ART, base + [self.layer(name)])) for name in ("cli", "pod")]
        self.digest, size = self.storage.release(self.host, VERSION, [(n, i[0]) for n, i in images], base)
        self.components = [i[0] for _, i in images]
        self.referrers = {}
        for repo, digest, size in [(corpus.REL, self.digest, size)] + [(corpus.ART,) + i for _, i in images]:
            for kind in ("sig", "att", "sbom"):
                self.storage.image(repo, [self.layer(kind + digest)], tag_of(digest, kind), types=corpus.OCI)
            if referrers:
                self.refer(repo, digest, size, not ferry)
        self.reference = "%s/%s:%s" % (self.host, corpus.REL, TAG)
        self.registry = FerryRegistry(roots=["source"], port=port) if ferry else Registry("source", port=port)

    def layer(self, text):
        return self.storage.layer([("file", text.encode() * 50, 0o644)])

    def refer(self, repo, digest, size, fallback):
        found = []
        for number in (1, 2):
            found.append(self.storage.image(
                repo, [self.layer("%d %s" % (number, digest))], types=corpus.OCI, artifactType=BUNDLE,
                subject={"mediaType": corpus.DOCKER["manifest"], "digest": digest, "size": size},
                annotations={"number": str(number)}))
        self.referrers[digest] = sorted(d for d, _ in found)
        if fallback:
            self.storage.index(repo, [f + (None,) for f in found], "sha256-" + digest[7:])

    def mirror(self, *arguments, run=succeeds, **options):
        return run("adm", "release", "mirror", "--insecure", "--from=" + self.reference, *arguments, **options)


def tags(registry, repo):
    status, body, _ = registry.get("/v2/%s/tags/list" % repo)
    return set(json.loads(body).get("tags") or []) if status == 200 else set()


def digest_of(registry, repo, tag):
    return "sha256:" + hashlib.sha256(registry.manifest(repo, tag)[0]).hexdigest()


def referrers(registry, repo, digest):
    """What the registry lists, else what its fallback tag names; each must be there."""
    status, body, headers = registry.get("/v2/%s/referrers/%s" % (repo, digest))
    if status != 200:
        body, _ = registry.manifest(repo, "sha256-" + digest[7:])
    entries = json.loads(body)["manifests"] if body else []
    for entry in entries:
        body, kind = registry.manifest(repo, entry["digest"])
        check(body and "sha256:" + hashlib.sha256(body).hexdigest() == entry["digest"], "a referrer is whole")
        check_equal((kind, len(body or b""), entry.get("artifactType"), "number" in entry.get("annotations", {})),
                    (entry["mediaType"], entry["size"], BUNDLE, True), "and described")
        for layer in json.loads(body or b"{}").get("layers", []):
            check_equal(registry.get("/v2/%s/blobs/%s" % (repo, layer["digest"]))[0], 200, "with its content")
    return sorted(e["digest"] for e in entries)


def expected(release, kinds, everything):
    digests = [release.digest] + (release.components if everything else [])
    return {tag_of(d, k) for d in digests for k in kinds}


def attached_tags(registry, repo="ocp4"):
    return {t for t in tags(registry, repo) if t.startswith("sha256-") and "." in t}


@test
def the_signature_of_the_release_image_goes_along():
    release = Release()
    for destination in (Registry("docker"), FerryRegistry("ferry")):
        to = "--to=%s/ocp4" % destination.host
        r = release.mirror(to, "--no-signatures")
        check_equal(attached_tags(destination), set(), "not with --no-signatures")
        plain = r.out
        r = release.mirror(to)
        check_equal(attached_tags(destination), expected(release, ["sig"], False), "by default its signature")
        check_equal(r.out, plain, "stdout knows nothing of it")
        name = tag_of(release.digest)
        check("/ocp4:" + name in r.err and "info: Attached sha256:" in r.err, "stderr does", r.err)
        check_equal(destination.manifest("ocp4", name)[0], release.registry.manifest(corpus.REL, name)[0], "the same bytes")
        destination.mark()
        r = release.mirror(to)
        got = destination.requests()
        check(got["POST"] == 0 and got["PUT"] == 0 and "Attached" not in r.err, "nothing to do: nothing is sent", got)
        r = release.mirror(to, "--include-signatures")
        check_equal(attached_tags(destination), expected(release, ["sig", "att", "sbom"], True), "all of every image")
        check_equal(r.out, plain, "stdout knows nothing of these either")


PUBLISHED = "quay.io/openshift-release-dev"  # where the signatures say that the images are


@test
def every_tenth_image_is_signed_and_a_node_that_insists_takes_what_was_signed():
    source, signer = Registry("source"), Signer("cosign")
    storage = corpus.write("release", "source", source.host, scale=0.001)
    with open("source/plan") as f:
        images = [line.split()[1:3] for line in f if line.startswith("manifest ")]
    signed = [(repo, digest) for n, (repo, digest) in enumerate(images) if n % 10 == 0 or repo == corpus.REL]
    release, = [digest for repo, digest in images if repo == corpus.REL]
    want = {tag_of(d): signer.sign(storage, repo, d, PUBLISHED + repo[repo.index("/"):]) for repo, d in signed}
    check_equal((len(images), len(want)), (191, 20), "images, signatures")
    mirror = ["adm", "release", "mirror", "--insecure", "--from=%s/%s:4.18.1-x86_64" % (source.host, corpus.REL)]
    direct, far, least = Registry("direct"), FerryRegistry("far"), Registry("least")
    succeeds(*mirror, "--to=%s/ocp4" % direct.host, "--include-signatures")
    succeeds(*mirror, "--to=%s/ocp4" % least.host)
    succeeds(*mirror, "--to-dir=media", "--include-signatures")
    stop(source.process)
    succeeds("image", "mirror", "--insecure", "--from-dir=media", "file://openshift/release:4.18.1*", far.host + "/ocp4")
    for registry in (direct, far):
        got = {t: digest_of(registry, "ocp4", t) for t in attached_tags(registry)}
        check_equal(got, want, "the signatures have their digests")
    check_equal(attached_tags(least), {tag_of(release)}, "by default it is the release's")
    unsigned = "%s/ocp-v4.0-art-dev@%s" % (PUBLISHED, images[1][1])
    for registry in (direct, far):
        node = Node("node-%d" % registry.port, signer, registry.host + "/ocp4", PUBLISHED + "/ocp-release",
                    PUBLISHED + "/ocp-v4.0-art-dev")
        for repo, digest in signed:
            name = PUBLISHED + repo[repo.index("/"):]
            check_equal(node.signed("%s@%s" % (name, digest)), {(name, digest)}, "skopeo finds the signature")
        check(node.pull("%s/ocp-release@%s" % (PUBLISHED, release)) is not False, "a node takes the release")
        check(node.pull(unsigned) is False, "and refuses what nobody signed")
        stranger = Node("stranger-%d" % registry.port, Signer("other"), registry.host + "/ocp4", PUBLISHED + "/ocp-release")
        check_equal(stranger.signed("%s/ocp-release@%s" % (PUBLISHED, release)), set(), "another key has signed nothing")


@test
def a_list_is_signed_with_its_entries():
    source, signer = Registry("source"), Signer("cosign")
    storage = corpus.Storage("source")
    children = [storage.image("org/app", [storage.layer([("a", a.encode(), 0o644)])], arch=a, types=corpus.OCI) + (a,) for a in ("amd64", "arm64")]
    index = storage.index("org/app", children, "v1")[0]
    want = {tag_of(d): signer.sign(storage, "org/app", d, "quay.io/org/app") for d in [index] + [c[0] for c in children]}
    direct, far = Registry("direct"), Registry("far")
    image = "%s/org/app@%s" % (source.host, index)
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", "--include-signatures", image, direct.host + "/mirror:v1")
    direct.mark()
    r = succeeds("image", "mirror", "--insecure", "--keep-manifest-list", "--include-signatures", image, direct.host + "/mirror:v1")
    check(direct.requests()["PUT"] == 0 and "Attached" not in r.err, "then nothing is sent", r.err)
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", "--include-signatures", image, "file://app:v1")
    succeeds("image", "mirror", "--insecure", "file://app:v1", far.host + "/mirror:v1")
    for registry in (direct, far):
        check_equal(attached_tags(registry, "mirror"), set(want), "signatures")
        node = Node("node-%d" % registry.port, signer, registry.host + "/mirror", "quay.io/org/app")
        check_equal(node.signed("quay.io/org/app@" + index), {("quay.io/org/app", d) for d in [index] + [c[0] for c in children]},
                    "skopeo finds those of the list and of its entries")
        check(node.pull("quay.io/org/app@" + index) is not False, "a node takes all of them")


@test
def a_dry_run_says_what_there_is_to_attach():
    release, destination = Release(referrers=True), Registry("destination")
    r = release.mirror("--to=%s/ocp4" % destination.host, "--dry-run")
    planned = "info: To be attached: "
    found = {line[len(planned):] for line in r.err.splitlines() if line.startswith(planned)}
    want = {digest_of(release.registry, corpus.REL, tag_of(release.digest)) + " %s/ocp4:%s" % (
        destination.host, tag_of(release.digest))} | {
            "%s %s/ocp4" % (d, destination.host) for d in release.referrers[release.digest]}
    check_equal(found, want, "of the release image")
    check_equal(destination.lines(), [], "the destination is not asked")
    r = release.mirror("--to-dir=media", "--dry-run", "--include-signatures")
    check_equal(r.err.count("info: To be attached: "), 3 * (3 + 2), "of every image")
    check(not os.path.exists("media"), "nothing is written")
    r = release.mirror("--to-dir=media", "--dry-run", "--no-signatures")
    check("To be attached" not in r.err, "or not", r.err)


@test
def a_folder_that_has_them_is_left_alone_and_mended():
    release = Release(referrers=True)
    release.mirror("--to-dir=media", "--include-signatures")
    before = {path: os.stat(os.path.join("media", path)).st_ino for path in media("media")}
    release.registry.mark()
    r = release.mirror("--to-dir=media", "--include-signatures")
    check("Attached" not in r.err, "nothing is attached again", r.err)
    blobs = [p for m, p, _ in release.registry.lines() if "/blobs/" in p]
    release.registry.mark()
    release.mirror("--to-dir=media", "--no-signatures")
    check_equal(blobs, [p for m, p, _ in release.registry.lines() if "/blobs/" in p], "blobs: only the payload")
    check_equal({path: os.stat(os.path.join("media", path)).st_ino for path in media("media")}, before, "the same files")
    name = tag_of(release.digest)
    layer = json.loads(release.registry.manifest(corpus.REL, name)[0])["layers"][0]["digest"]
    damaged = [os.path.join(where, f) for where, _, files in os.walk("media") for f in files if f.endswith(layer)]
    for path in damaged:
        if not os.path.islink(path):
            with open(path, "r+b") as f:
                f.write(b"x")
    r = release.mirror("--to-dir=media", "--include-signatures")
    check_equal((r.err.count("info: Attached "), bad_files("media")), (1, []), "what is damaged is fetched again")


def broken(root, digest, change):
    """CHANGE of every file that holds the content DIGEST below ROOT."""
    paths = {os.path.realpath(os.path.join(where, f)) for where, _, files in os.walk(root) for f in files if digest[7:] in f}
    paths |= set(glob.glob("%s/docker/registry/v2/blobs/sha256/*/%s/data" % (root, digest[7:])))
    require(paths, "%s is in %s" % (digest, root))
    done = set()
    for path in paths:
        inode = os.stat(path).st_ino
        if change is os.unlink or inode not in done:
            change(path)
        done.add(inode)


def flip(path):
    with open(path, "r+b") as f:
        f.seek(20)
        byte = f.read(1)[0]
        f.seek(20)
        f.write(bytes([byte ^ 1]))


@test
def verify_looks_at_what_is_attached():
    release = Release(referrers=True)
    docker, own = Registry("docker"), FerryRegistry("own")
    for to in ("--to=%s/ocp4" % docker.host, "--to=%s/ocp4" % own.host, "--to-dir=oc", "--to-dir=portable"):
        release.mirror(to, "--include-signatures", *(["--layout=portable"] if "portable" in to else []))
    places = {"oc": ["--dir=oc"], "portable": ["--dir=portable"], "docker": ["--insecure", docker.host + "/ocp4"],
              "own": ["--insecure", own.host + "/ocp4"]}
    sig = json.loads(release.registry.manifest(corpus.REL, tag_of(release.digest))[0])["layers"][0]["digest"]
    sbom = digest_of(release.registry, corpus.ART, tag_of(release.components[0], "sbom"))
    referrer = release.referrers[release.components[1]][0]
    lists = json.loads(release.registry.manifest(corpus.ART, referrer)[0])["layers"][0]["digest"]
    for name, arguments in places.items():
        r = succeeds("verify", *arguments)
        check(r.out.startswith("complete: 4.21.1 x86_64, 3 images, 7 blobs, 15 attachments, "), name + " is complete", r.out)
        subprocess.run(["cp", "-a", name, name + ".good"], check=True)
        for change, digest, line in (
                (os.unlink, sig, "missing: layer %s of signature of release image" % sig),
                (os.unlink, lists, "missing: layer %s of referrer of pod" % lists),
                (flip, sbom, "(damaged: image %s|missing: tag) of SBOM of cli: .*" % sbom)):
            if change is flip and "--dir" not in arguments[0]:
                continue  # registries say 500 to it
            broken(name, digest, change)
            r = ferry("verify", *arguments)
            check(r.rc == 3 and re.search("(?m)^%s$" % line, r.out), "%s: %s" % (name, line), r.out, r.err)
            check_equal(len(re.findall("(?m)^(?:missing|damaged|not checked): ", r.out)), 1, "and nothing else: " + r.out)
            if name == "own":  # it may hold its files open
                own.end()
            shutil.rmtree(name)
            subprocess.run(["cp", "-a", name + ".good", name], check=True)
            if name == "own":
                own.begin()
    shutil.rmtree("oc")
    release.mirror("--to-dir=oc")
    check("3 images, 7 blobs, 3 attachments, " in succeeds("verify", "--dir=oc").out, "those of the release image alone")


TSAN = os.environ.get("FERRY_TSAN") or os.path.join(TOP, "build-tsan/ferry")


@test
def its_threads_do_not_race():
    if not os.path.exists(TSAN):
        raise Skip("there is no build with the thread sanitizer")
    release, far = Release(ferry=True, referrers=True), Registry("far")
    for to in (["--to=%s/ocp4" % far.host], ["--to-dir=media"], ["--to-dir=media"], ["--to-dir=media", "--dry-run"]):
        r = release.mirror(*to, "--include-signatures", binary=TSAN)
        check("ThreadSanitizer" not in r.err, " ".join(to), r.err)
    r = succeeds("image", "mirror", "--insecure", "--from-dir=media", "file://openshift/release:%s*" % TAG,
                 far.host + "/again", binary=TSAN)
    check("ThreadSanitizer" not in r.err, "from media", r.err)
    r = succeeds("verify", "--dir=media", binary=TSAN)
    check("ThreadSanitizer" not in r.err, "verify", r.err)


@test
def skopeo_finds_them():
    need("skopeo")
    release, destination = Release(), Registry("destination")
    release.mirror("--to=%s/ocp4" % destination.host, "--include-signatures")
    for tag in sorted(attached_tags(destination)):
        copy = run(["skopeo", "copy", "--src-tls-verify=false", "docker://%s/ocp4:%s" % (destination.host, tag),
                    "dir:" + tag])
        check(copy.rc == 0, "skopeo copies " + tag, copy.err)


@test
def referrers_go_along_between_registries_of_both_kinds():
    for ferry_source in (False, True):
        os.makedirs("from-%d" % ferry_source)
        os.chdir("from-%d" % ferry_source)
        release = Release(ferry_source, referrers=True)
        for destination in (Registry("docker"), FerryRegistry("ferry")):
            to = "--to=%s/ocp4" % destination.host
            release.mirror(to)
            check_equal(referrers(destination, "ocp4", release.digest), release.referrers[release.digest], "those of the release")
            check_equal(referrers(destination, "ocp4", release.components[0]), [], "not those of components")
            release.mirror(to, "--include-signatures")
            for digest in [release.digest] + release.components:
                check_equal(referrers(destination, "ocp4", digest), release.referrers[digest], "those of every image")
            destination.mark()
            r = release.mirror(to, "--include-signatures")
            got = destination.requests()
            check(got["POST"] == 0 and got["PUT"] == 0 and "Attached" not in r.err, "then nothing is sent",
                  destination.lines(), r.err)
            check("warning: what is attached" not in r.err, "and nothing warned of", r.err)
        os.chdir("..")


@test
def a_fallback_tag_keeps_what_it_has():
    release, destination = Release(referrers=True), Registry("destination")
    storage = corpus.Storage("destination")
    old = storage.image("ocp4", [storage.layer([("old", b"old", 0o644)])], types=corpus.OCI, artifactType=BUNDLE,
                        subject={"mediaType": corpus.DOCKER["manifest"], "digest": release.digest, "size": 1})
    storage.index("ocp4", [old + (None,)], "sha256-" + release.digest[7:])
    release.mirror("--to=%s/ocp4" % destination.host)
    index = json.loads(destination.manifest("ocp4", "sha256-" + release.digest[7:])[0])
    check_equal([e["digest"] for e in index["manifests"]][0], old[0], "the old one")
    check_equal(sorted(e["digest"] for e in index["manifests"][1:]), release.referrers[release.digest], "and the new ones")


@test
def media_of_both_layouts_carry_them():
    for layout in ("oc", "portable"):
        os.makedirs(layout)
        os.chdir(layout)
        release = Release(referrers=True)
        release.mirror("--to-dir=one", "--layout=" + layout)
        release.mirror("--to-dir=all", "--layout=" + layout, "--include-signatures")
        release.mirror("--to-dir=none", "--layout=" + layout, "--no-signatures")
        stop(release.registry.process)
        for folder, everything in (("one", False), ("all", True), ("none", None)):
            for kind in (Registry, FerryRegistry):
                destination = kind("%s-%s" % (folder, kind.__name__))
                r = succeeds("image", "mirror", "--insecure", "--from-dir=" + folder,
                             "file://openshift/release:%s*" % TAG, destination.host + "/ocp4")
                kinds = [] if everything is None else ["sig", "att", "sbom"] if everything else ["sig"]
                check_equal(attached_tags(destination), expected(release, kinds, everything), "tags from %s" % folder)
                check("sha256-" not in r.out, "not on stdout", r.out)
                for digest in [release.digest] + release.components:
                    want = release.referrers[digest] if everything or (digest == release.digest and everything is False) else []
                    check_equal(referrers(destination, "ocp4", digest), want, "referrers from %s" % folder)
                destination.mark()
                again = succeeds("image", "mirror", "--insecure", "--from-dir=" + folder,
                                 "file://openshift/release:%s*" % TAG, destination.host + "/ocp4")
                got = destination.requests()
                check(got["POST"] == 0 and got["PUT"] == 0, "then nothing is sent", destination.lines(), again.err)
                check_equal(again.out, r.out, "and the same is reported")
        destination = Registry("release-mirror")
        succeeds("adm", "release", "mirror", "--insecure", "--from-dir=one", "--from=file://openshift/release:" + TAG,
                 "--to=%s/ocp4" % destination.host)
        check_equal(attached_tags(destination), expected(release, ["sig"], False), "by release mirror as well")
        destination = Registry("unwanted")
        succeeds("image", "mirror", "--insecure", "--from-dir=all", "file://openshift/release:%s*" % TAG,
                 destination.host + "/ocp4", "--no-signatures")
        check_equal(attached_tags(destination), set(), "unless they are not wanted")
        os.chdir("..")


@test
def image_mirror_takes_them_along_when_asked():
    release, destination = Release(referrers=True), Registry("destination")
    image = "%s/%s@%s" % (release.host, corpus.ART, release.components[0])
    mirror = ["image", "mirror", "--insecure", image, destination.host + "/org/cli:v1"]
    succeeds(*mirror)
    check_equal(tags(destination, "org/cli"), {"v1"}, "not by default")
    succeeds(*mirror, "--include-signatures")
    digest = release.components[0]
    check_equal(attached_tags(destination, "org/cli"), {tag_of(digest, k) for k in ("sig", "att", "sbom")}, "when asked")
    check_equal(referrers(destination, "org/cli", digest), release.referrers[digest], "referrers, too")
    r = ferry(*mirror, "--include-signatures", "--no-signatures")
    check(r.rc == 1 and "may not both be specified" in r.err, "not both flags", r.err)


@test
def what_fails_is_a_warning():
    release, destination = Release(), Registry("destination")
    name = tag_of(release.digest)
    body = json.loads(release.registry.manifest(corpus.REL, name)[0])
    os.unlink(release.storage.blob_path(body["layers"][0]["digest"]))
    r = release.mirror("--to=%s/ocp4" % destination.host)
    check("warning: something that is attached is not mirrored: " in r.err, "said", r.err)
    check("error:" not in r.err and "Success" in r.out, "and no failure", r.err)
    check_equal(tags(destination, "ocp4"), {TAG, TAG + "-cli", TAG + "-pod"}, "the images are there, the signature is not")


main()
