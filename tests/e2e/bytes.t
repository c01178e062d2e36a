#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What arrives is what was sent, byte for byte, as other programs see it."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus


def two_registries():
    source, destination = Registry("source"), Registry("destination")
    return source, destination, corpus.Storage("source")


def skopeo_raw(host, repo, reference):
    sign = "@" if reference.startswith("sha256:") else ":"
    return subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false",
                           "docker://%s/%s%s%s" % (host, repo, sign, reference)],
                          check=True, stdout=subprocess.PIPE, env=environment()).stdout


def check_same_raw(source, destination, repo, target, reference, text):
    check(skopeo_raw(source.host, repo, reference) == skopeo_raw(destination.host, target, reference), text)


@test
def a_release_arrives_byte_for_byte():
    need("skopeo")
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:4.12.0-x86_64" % (source.host, corpus.REL),
             "--to=%s/ocp4/openshift4" % destination.host)
    tags = destination.tags()
    check_equal(len(tags), 184, "one tag for each of 183 components and the release")
    check_equal(destination.bad_blobs(), [], "blobs of the destination whose bytes are not their name")
    check(all(source.manifest(corpus.REL if d == source.tags()[corpus.REL + ":4.12.0-x86_64"] else corpus.ART, d)[0]
              == destination.manifest("ocp4/openshift4", d)[0] for d in tags.values()), "manifests are the same bytes")
    for name in ("cli", "installer"):
        digest = tags["ocp4/openshift4:4.12.0-x86_64-" + name]
        check_same_raw(source, destination, corpus.ART, "ocp4/openshift4", digest, "skopeo sees the same " + name)


@test
def every_kind_of_manifest_keeps_its_bytes():
    need("skopeo")
    source, destination, s = two_registries()
    layer = s.layer([("a", b"text\n" * 1000, 0o644)])
    zstd = s.blob(b"\x28\xb5\x2f\xfd" + os.urandom(3000)) + (corpus.digest_of(b"x"),
                                                             "application/vnd.oci.image.layer.v1.tar+zstd")
    oci = s.image("kinds", [layer], "oci", types=corpus.OCI)
    docker = s.image("kinds", [layer], "docker")
    s.image("kinds", [layer, zstd], "zstd", types=corpus.OCI)
    s.image("kinds", [layer], "artifact", types=corpus.OCI, artifactType="application/vnd.example+type",
            subject={"mediaType": corpus.OCI["manifest"], "digest": oci[0], "size": oci[1]})
    index = s.index("kinds", [oci + ("amd64",), docker + ("arm64", corpus.DOCKER["manifest"])], "index")
    s.index("kinds", [index + (None, corpus.OCI["index"])], "nested")
    s.index("kinds", [docker + ("amd64",)], "list", types=corpus.DOCKER)
    r = succeeds("image", "mirror", "--insecure", "--keep-manifest-list",
                 source.host + "/kinds", destination.host + "/copy/kinds")
    for tag in ("oci", "docker", "zstd", "artifact", "index", "nested", "list"):
        check_same_raw(source, destination, "kinds", "copy/kinds", tag, "%s is the same" % tag)
        check(" %s/copy/kinds:%s\n" % (destination.host, tag) in r.out, "stdout has a line for %s" % tag, r.out)
    check_equal(destination.bad_blobs(), [], "damaged blobs")


@test
def bytes_on_disk_are_what_their_names_say():
    source = Registry("source")
    corpus.write("sample", "source", source.host)
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:4.12.0-x86_64" % (source.host, corpus.REL),
             "--to-dir=mirror")
    names = [os.path.join(w, f) for w, _, fs in os.walk("mirror/v2") for f in fs if f.startswith("sha256:")]
    require(len(names) > 600, "manifests and blobs are on disk", len(names))
    lines = "".join("%s  %s\n" % (os.path.basename(n)[7:], n) for n in names)
    r = subprocess.run(["sha256sum", "--check", "--strict", "--quiet"], input=lines, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check_equal((r.returncode, r.stdout), (0, ""), "sha256sum agrees")
    check_equal(leftovers("mirror"), [], "nothing temporary is left")


@test
def podman_pulls_what_was_mirrored():
    need("podman")
    source, destination, s = two_registries()
    base = s.layer([("etc/os-release", b"NAME=test\n", 0o644)])
    digest = s.image("app", [base, s.layer([("usr/bin/app", b"#!/bin/sh\n", 0o755)])], "v1")[0]
    succeeds("image", "mirror", "--insecure", source.host + "/app:v1", destination.host + "/app:v1")
    storage = tempfile.mkdtemp(prefix="p", dir="/tmp")  # podman wants short names
    at_end_of_scenario(shutil.rmtree, storage, True)
    podman = ["podman", "--root", storage + "/root", "--runroot", storage + "/run", "--storage-driver", "vfs",
              "--tmpdir", storage + "/tmp"]
    pull = podman + ["pull", "--quiet", "--tls-verify=false"]
    r = run(pull + ["%s/app@%s" % (source.host, digest)])
    if r.rc != 0:
        raise Skip("podman cannot pull here: " + r.err.strip().splitlines()[-1][:120])
    r = run(pull + ["%s/app@%s" % (destination.host, digest)])
    check_equal(r.rc, 0, "podman pull %s" % r.err)
    listed = run(podman + ["image", "inspect", "--format", "{{.Digest}}", "%s/app@%s" % (destination.host, digest)])
    check_equal(listed.out.strip(), digest, "the digest podman knows")
    run(podman + ["system", "reset", "--force"])


main()
