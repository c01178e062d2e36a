#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installers, tools, manifests and files out of releases and images, from registries and from media."""
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

VERSION = "4.18.1"
TIME = 1741000000
PROGRAM = r"""
#include <stdio.h>
#define ROOM16 "XXXXXXXXXXXXXXXX"
#define ROOM64 ROOM16 ROOM16 ROOM16 ROOM16
#define ROOM300 ROOM64 ROOM64 ROOM64 ROOM64 ROOM16 ROOM16 "XXXXXXXXXXXX"
static const char image[] = "\0_RELEASE_IMAGE_LOCATION_\0" ROOM300;
static const char version[] = "\0_RELEASE_VERSION_LOCATION_\0" ROOM64;
static const char architecture[] = "\0_RELEASE_ARCHITECTURE_LOCATION_\0" ROOM64;
static const char *volatile values[] = {image, version, architecture};
int main(void)
{
	for (int i = 0; i < 3; i++)
		printf("%s\n", values[i][0] ? values[i] : "unpatched");
	return 0;
}
"""
BARE = "#include <stdio.h>\nint main(void) { puts(\"bare\"); return 0; }\n"


def compiled(source):
    """The bytes of a program."""
    need("gcc")
    with open("program.c", "w") as f:
        f.write(source)
    subprocess.run(["gcc", "-O1", "-o", "program", "program.c"], check=True)
    with open("program", "rb") as f:
        return f.read()


def manifest(kind, name, **more):
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **more}}).encode()


class Release:
    """A release on a registry, whose installer and clients are programs that say what was written into them."""

    def __init__(self, arch="amd64", source=None, host=None, installer=PROGRAM, multi=False, manifests=(), below=()):
        """HOST: where the components claim to be. BELOW: layers under the installer's."""
        self.source = source or Registry("source")
        self.storage = s = corpus.Storage(self.source.directory)
        self.program = program = compiled(installer)
        share = "usr/share/openshift/"
        files = {
            "cli": [("usr/bin/oc", program)],
            "cli-artifacts": [(share + "mac/oc", program), (share + "windows/oc.exe", program),
                              (share + "linux_amd64/oc", program), (share + "linux_arm64/oc", program),
                              (share + "linux_amd64/oc.rhel9", program)],
            "installer": [("usr/bin/openshift-install", program)],
            "installer-artifacts": [(share + "mac/openshift-install", program),
                                    (share + "linux_amd64/openshift-install", program)],
            "cloud-credential-operator": [("usr/bin/ccoctl", b"#!/bin/sh\n")]}
        self.components = {}
        for name, members in files.items():
            layer = s.layer([(n, c, 0o755) for n, c in members])
            self.components[name] = s.image(corpus.ART, (list(below) if name == "installer" else []) + [layer], arch=arch)
        tags = [{"name": n, "from": {"kind": "DockerImage", "name": "%s/%s@%s" % (
            host or self.source.host, corpus.ART, c[0])}} for n, c in sorted(self.components.items())]
        payload = {"image-references": json.dumps({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": VERSION},
            "spec": {"tags": tags}}).encode(),
            "release-metadata": json.dumps({"kind": "cincinnati-metadata-v0", "version": VERSION}).encode(),
            **dict(manifests)}
        layer = s.layer([("release-manifests/" + n, payload[n], 0o644) for n in sorted(payload)])
        self.tag = VERSION + "-" + arch
        image = s.image(corpus.REL, [layer], None if multi else self.tag, arch=arch)
        self.digest = image[0]
        if multi:
            self.digest = s.index(corpus.REL, [image + (arch,)], self.tag, types=corpus.DOCKER)[0]
        self.repository = "%s/%s" % (self.source.host, corpus.REL)
        self.reference = "%s:%s" % (self.repository, self.tag)

    def extract(self, *arguments, run=succeeds, reference=None, **options):
        return run("adm", "release", "extract", "--insecure", *arguments, reference or self.reference, **options)


def said(path):
    """What the extracted program prints."""
    return subprocess.run([os.path.abspath(path)], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()


def names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def sent(registry, since):
    """{path: bytes} that the registry's log has from SINCE on."""
    registry.requests()
    with open(registry.log, "rb") as f:
        f.seek(since)
        found = re.findall(r'"GET (/v2/\S+) HTTP/1\.1" 200 (\d+)', f.read().decode(errors="replace"))
    return {path: int(n) for path, n in found}


# ---- installers

@test
def an_installer_is_bound_to_where_it_was_read():
    r = Release()
    r.extract("--command=openshift-install", "--to=out")
    check_equal(said("out/openshift-install"), [r.repository + "@" + r.digest, VERSION, "linux/amd64"], "it says")
    st = os.stat("out/openshift-install")
    check_equal(stat.S_IMODE(st.st_mode), 0o755, "its mode")
    check_equal(int(st.st_mtime), corpus.MTIME, "its time")
    check_equal(st.st_size, len(r.program), "its length is as it was")
    check_equal(names("out"), ["openshift-install"], "nothing else is there")
    r.extract("--command=oc", "--to=out", reference=r.repository + "@" + r.digest)
    check_equal(said("out/oc"), ["unpatched", VERSION, "unpatched"], "a client knows its version only")


@test
def through_a_policy_it_is_bound_to_the_mirror_it_was_named_by():
    dead = "127.0.0.1:%d" % free_port()
    r, mirror = Release(host=dead), Registry("mirror")
    for name, (digest, _) in r.components.items():
        succeeds("image", "mirror", "--insecure", "%s/%s@%s" % (r.source.host, corpus.ART, digest),
                 "%s/ocp4/release:%s" % (mirror.host, name))
    succeeds("image", "mirror", "--insecure", r.reference, "%s/ocp4/release:%s" % (mirror.host, r.tag))
    stop(r.source.process)
    with open("idms.yaml", "w") as f:
        f.write("apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {name: x}\nspec:\n"
                "  imageDigestMirrors:\n  - mirrors: [%s/ocp4/release]\n    source: %s/%s\n" % (
                    mirror.host, dead, corpus.ART))
    r.extract("--command=openshift-install", "--idms-file=idms.yaml",
              reference="%s/ocp4/release:%s" % (mirror.host, r.tag))
    check_equal(said("openshift-install"), ["%s/ocp4/release@%s" % (mirror.host, r.digest), VERSION, "linux/amd64"],
                "it says")


@test
def from_media_it_is_bound_to_the_registry_they_were_made_from():
    r = Release()
    succeeds("adm", "release", "mirror", "--insecure", "--from=" + r.reference, "--to-dir=mirror")
    stop(r.source.process)
    reference = "file://openshift/release:%s-x86_64" % VERSION
    subprocess.run(["cp", "-rL", "mirror", "copied"], check=True)
    succeeds("store", "copy", "mirror", "portable", "--layout=portable")
    for media in ("mirror", "copied", "portable"):
        r.extract("--command=openshift-install", "--dir=" + media, "--to=" + media + "-out", reference=reference)
        check_equal(said(media + "-out/openshift-install"),
                    [r.repository + "@" + r.digest, VERSION, "linux/amd64"], "it says, from " + media)
    r.extract("--command=openshift-install", "--dir=mirror", "--release-image=far.local:5000/ocp4/release:any",
              reference=reference)
    check_equal(said("openshift-install")[0], "far.local:5000/ocp4/release@" + r.digest, "--release-image decides")
    os.unlink("openshift-install")
    wrong = r.extract("--command=openshift-install", "--dir=mirror", run=ferry, reference=reference, *[
        "--release-image=far.local:5000/ocp4/release@sha256:" + "1" * 64])
    check(wrong.rc == 1 and "but the release is " + r.digest in wrong.err, "another digest is refused", wrong.err)
    shutil.rmtree("mirror/.store")
    unknown = r.extract("--command=openshift-install", "--dir=mirror", run=ferry, reference=reference)
    check(unknown.rc == 1 and "--release-image" in unknown.err, "without a record it must be named", unknown.err)
    check(not os.path.exists("openshift-install"), "nothing is there")
    r.extract("--command=oc", "--dir=mirror", reference=reference)
    check_equal(said("oc")[1], VERSION, "a client needs no record")


@test
def each_architecture_is_named():
    source = Registry("source")
    for arch in ("amd64", "arm64", "s390x", "ppc64le"):
        r = Release(arch, source)
        r.extract("--command=openshift-install", "--command-os=linux/" + arch, "--to=" + arch)
        check_equal(said(arch + "/openshift-install")[2], "linux/" + arch, "the installer says")
    multi = Release("amd64", source, multi=True)
    multi.extract("--command=openshift-install", "--to=multi")
    check_equal(said("multi/openshift-install"), [multi.repository + "@" + multi.digest, VERSION, "multi (linux/amd64)"],
                "of a list the list counts")


@test
def a_tool_without_room_for_its_release_is_refused():
    r = Release(installer=BARE)
    for arguments in (["--command=openshift-install"], ["--tools"]):
        refused = r.extract(*arguments, "--to=out", run=ferry)
        check(refused.rc == 1 and "remaining: release" in refused.err, "refused", refused.err)
        check_equal(names("out"), [], "and nothing is there")
    r.extract("--command=openshift-install", "--to=out", "--allow-unpatched")
    check_equal(said("out/openshift-install"), ["bare"], "unless that is asked for")


@test
def a_flipped_bit_anywhere_leaves_no_file():
    r = Release()
    for digest in [r.components["installer"][0], r.digest]:
        path = r.storage.blob_path(digest)
        with open(path, "rb") as f:
            manifest_bytes = f.read()
        layer = json.loads(manifest_bytes)["layers"][-1]["digest"]
        for damaged in (path, r.storage.blob_path(layer)):
            with open(damaged, "r+b") as f:
                content = f.read()
                f.seek(len(content) - 12)
                f.write(bytes([content[-12] ^ 1]))
            bad = r.extract("--command=openshift-install", "--to=out", run=ferry)
            check(bad.rc == 1, "refused", bad.err)
            check_equal(names("out"), [], "and nothing is there")
            with open(damaged, "wb") as f:
                f.write(content)
    r.extract("--command=openshift-install", "--to=out")
    check_equal(names("out"), ["openshift-install"], "mended, it is")


# ---- only what is needed

def huge_layer(storage, size):
    """An uncompressed layer of zeros that takes no room on the disk."""
    info = tarfile.TarInfo("zeros")
    info.size, info.mtime = size, TIME
    head, end = info.tobuf(tarfile.USTAR_FORMAT), bytes(1024)
    sha, piece = hashlib.sha256(head), bytes(1 << 20)
    for _ in range(size >> 20):
        sha.update(piece)
    sha.update(end)
    digest = "sha256:" + sha.hexdigest()
    path = storage.blob_path(digest)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + size + len(end))
    return digest, len(head) + size + len(end), digest, "application/vnd.docker.image.rootfs.diff.tar"


@test
def a_file_of_a_megabyte_costs_no_layer_below_it():
    source = Registry("source")
    storage = corpus.Storage(source.directory)
    huge = huge_layer(storage, 1 << 30)
    r = Release(source=source, below=[huge])
    top = storage.layer([("usr/bin/tool", os.urandom(1 << 20), 0o755)])
    storage.image("test/big", [huge, top], "v1")
    since = os.path.getsize(source.log)
    succeeds("image", "extract", "--insecure", "--file=usr/bin/tool", source.host + "/test/big:v1")
    check_equal(os.path.getsize("tool"), 1 << 20, "the file is there")
    bytes_sent = sent(source, since)
    check(sum(bytes_sent.values()) < 1200000, "the server sent little more than it", bytes_sent)
    since = os.path.getsize(source.log)
    r.extract("--command=openshift-install")
    check_equal(said("openshift-install")[1], VERSION, "the installer runs")
    bytes_sent = sent(source, since)
    check(not any(huge[0] in path for path in bytes_sent), "the layer below it is not read", bytes_sent)
    check(sum(bytes_sent.values()) < 100000, "the server sent little more than it", bytes_sent)


# ---- archives

def locked_key_signs_with_its_passphrase(r, gpg, quiet):
    locked = [*gpg[:-1], "open sesame"]
    subprocess.run(locked + ["--quick-gen-key", "locked@example.com", "rsa2048", "sign", "never"], **quiet)
    with open("locked.asc", "wb") as f:
        subprocess.run(locked + ["--armor", "--export-secret-keys", "locked@example.com"], stdout=f, **quiet)
    for name, text in (("right", "open sesame\n"), ("wrong", "open\n"), ("empty", "")):
        with open(name, "w") as f:
            f.write(text)
    extract = ["--command=oc", "--command-os=*", "--to=locked", "--signing-key=locked.asc"]
    for more, reason in (([], "--signing-key: the secret key is protected by a passphrase\nhint: --passphrase-file FILE"),
                         (["--passphrase-file=wrong"], "the passphrase does not open the secret key"),
                         (["--passphrase-file=empty"], "'empty' is empty"), (["--passphrase-file=none"], "none: no such file")):
        refused = r.extract(*extract, *more, run=ferry)
        check(refused.rc == 1 and reason in refused.err, reason, refused.err)
        check_equal(names("locked"), [], "nothing is there")
    r.extract(*extract, "--passphrase-file=right")
    subprocess.run(gpg + ["--verify", "locked/sha256sum.txt.asc", "locked/sha256sum.txt"], **quiet)


@test
def tools_are_archived_with_their_digests():
    need("gpg")
    r = Release()
    os.makedirs("gnupg", mode=0o700)
    gpg = ["gpg", "--batch", "--homedir", os.path.abspath("gnupg"), "--pinentry-mode", "loopback", "--passphrase", ""]
    quiet = {"stderr": subprocess.DEVNULL, "check": True}
    subprocess.run(gpg + ["--quick-gen-key", "tools@example.com", "rsa2048", "sign", "never"], **quiet)
    with open("key.asc", "wb") as f:
        subprocess.run(gpg + ["--armor", "--export-secret-keys"], stdout=f, **quiet)
    r.extract("--tools", "--command-os=*", "--to=tools", "--signing-key=key.asc")
    check_equal(names("tools"), [
        "ccoctl-linux-4.18.1.tar.gz", "openshift-client-linux-4.18.1.tar.gz",
        "openshift-client-linux-amd64-rhel9-4.18.1.tar.gz", "openshift-client-linux-arm64-4.18.1.tar.gz",
        "openshift-client-mac-4.18.1.tar.gz", "openshift-client-windows-4.18.1.zip",
        "openshift-install-linux-4.18.1.tar.gz", "openshift-install-mac-4.18.1.tar.gz",
        "release.txt", "sha256sum.txt", "sha256sum.txt.asc"], "files")
    subprocess.run(["sha256sum", "--quiet", "-c", "sha256sum.txt"], cwd="tools", check=True)
    with open("tools/sha256sum.txt") as f:
        check_equal(sorted(line.split()[1] for line in f), names("tools")[:-2], "every file has its digest")
    subprocess.run(gpg + ["--verify", "tools/sha256sum.txt.asc", "tools/sha256sum.txt"], **quiet)
    locked_key_signs_with_its_passphrase(r, gpg, quiet)
    with tarfile.open("tools/openshift-client-linux-4.18.1.tar.gz") as t:
        check_equal([(m.name, m.mode, m.uid, int(m.mtime), m.linkname) for m in t.getmembers()], [
            ("README.md", 0o644, 0, corpus.MTIME, ""), ("oc", 0o755, 0, corpus.MTIME, ""),
            ("kubectl", 0o755, 0, corpus.MTIME, "oc")], "members")
        t.extract("oc")
        check_equal(said("oc")[1], VERSION, "the client in it is patched")
    with tarfile.open("tools/openshift-install-linux-4.18.1.tar.gz") as t:
        check_equal(t.getnames(), ["README.md", "openshift-install"], "members")
        t.extract("openshift-install")
        check_equal(said("openshift-install")[0], r.repository + "@" + r.digest, "the installer in it is bound")
    with zipfile.ZipFile("tools/openshift-client-windows-4.18.1.zip") as z:
        check_equal(z.namelist(), ["README.md", "oc.exe"], "members")
        check(b"\r\n" in z.read("README.md"), "lines end as they do there")
        check(VERSION.encode() + b"\0" in z.read("oc.exe"), "the client in it is patched")
    with open("tools/release.txt") as f:
        check(r.repository + "@" + r.digest in f.read(), "release.txt names the release")
    r.extract("--tools", "--to=again", "--command-os=*", "--signing-key=key.asc")
    with open("tools/sha256sum.txt") as a, open("again/sha256sum.txt") as b:
        check_equal(sorted(a), sorted(b), "the same release gives the same archives")


@test
def a_signing_key_must_be_usable():
    need("gpg")
    r = Release()
    for name, content, why in (("missing", None, "no such file"), ("empty", "", "the keys cannot be read"),
                               ("words", "no key at all\n", "key")):
        if content is not None:
            with open(name, "w") as f:
                f.write(content)
        refused = r.extract("--tools", "--to=tools", "--signing-key=" + name, run=ferry)
        check(refused.rc == 1 and "--signing-key" in refused.err and why in refused.err, "refused: " + name, refused.err)
    os.makedirs("gnupg", mode=0o700)
    gpg = ["gpg", "--batch", "--homedir", os.path.abspath("gnupg"), "--pinentry-mode", "loopback", "--passphrase", "secret"]
    quiet = {"stderr": subprocess.DEVNULL, "check": True}
    subprocess.run(gpg + ["--quick-gen-key", "tools@example.com", "rsa2048", "sign", "never"], **quiet)
    for name, export, why in (("locked", "--export-secret-keys", "protected by a passphrase"),
                              ("public", "--export", "no secret key in it")):
        with open(name, "wb") as f:
            subprocess.run(gpg + [export], stdout=f, **quiet)
        refused = r.extract("--tools", "--to=tools", "--signing-key=" + name, run=ferry)
        check(refused.rc == 1 and why in refused.err, "refused: " + name, refused.err)
    check_equal(names("tools"), [], "before anything is written")


# ---- manifests

MANIFESTS = {
    "10_all.yaml": b"kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: all\n  annotations:\n"
                   b"    include.release.openshift.io/self-managed-high-availability: 'true'\n",
    "20_none.yaml": manifest("ConfigMap", "none"),
    "30_preview.yaml": manifest("ConfigMap", "preview", annotations={
        "include.release.openshift.io/self-managed-high-availability": "true",
        "release.openshift.io/feature-set": "TechPreviewNoUpgrade"}),
    "40_console.yaml": manifest("ConfigMap", "console", annotations={
        "include.release.openshift.io/self-managed-high-availability": "true",
        "capability.openshift.io/name": "Console"}),
    "50_notes.txt": b"no manifest",
}
for cloud, kind in (("aws", "AWSProviderSpec"), ("gcp", "GCPProviderSpec")):
    MANIFESTS["60_%s.yaml" % cloud] = json.dumps({
        "apiVersion": "cloudcredential.openshift.io/v1", "kind": "CredentialsRequest",
        "metadata": {"name": cloud, "annotations": {
            "include.release.openshift.io/self-managed-high-availability": "true"}},
        "spec": {"providerSpec": {"kind": kind}}}).encode()


@test
def manifests_of_a_cluster_are_those_that_it_would_have():
    r = Release(manifests=MANIFESTS.items())
    rows = [
        ("platform: {aws: {}}", [], ["10_all", "40_console", "60_aws", "60_gcp"]),
        ("platform: {none: {}}\ncapabilities: {baselineCapabilitySet: None}", [], ["10_all", "60_aws", "60_gcp"]),
        ("platform: {none: {}}\ncapabilities: {baselineCapabilitySet: None, additionalEnabledCapabilities: [Console]}",
         [], ["10_all", "40_console", "60_aws", "60_gcp"]),
        ("platform: {none: {}}\nfeatureSet: TechPreviewNoUpgrade", [], ["30_preview", "10_all", "40_console", "60_aws", "60_gcp"]),
        ("platform: {aws: {}}", ["--credentials-requests"], ["60_aws"]),
        ("platform: {none: {}}", ["--credentials-requests"], []),
        ("platform: {none: {}}", ["--credentials-requests", "--cloud=gcp"], ["60_gcp"]),
    ]
    for number, (config, arguments, want) in enumerate(rows):
        with open("install-config.yaml", "w") as f:
            f.write("apiVersion: v1\n" + config + "\n")
        to = "out%d" % number
        r.extract("--included", "--install-config=install-config.yaml", "--to=" + to, *arguments)
        got = [n[:-5] for n in names(to) if n.endswith(".yaml")]
        check_equal(got, sorted(want), "with " + " ".join(config.split() + arguments))
    for text, why in (("a: [", "line 2"), ("platform: {aws: {}, gcp: {}}", "not exactly one platform"),
                      ("platform: {aws: {}}\ncapabilities: {baselineCapabilitySet: v9}", "unknown set")):
        with open("install-config.yaml", "w") as f:
            f.write(text + "\n")
        refused = r.extract("--included", "--install-config=install-config.yaml", "--to=no", run=ferry)
        check(refused.rc == 1 and why in refused.err, "refused: " + text, refused.err)
    check_equal(names("no"), [], "nothing is written then")


@test
def what_contradicts_itself_is_refused():
    rows = [
        (["--tools", "--command=oc", "x/y:z"], "only one of --tools, --command, --credentials-requests, --file, or --git"),
        (["--git=src", "x/y:z"], "--git is not supported"),
        (["--output=commit", "x/y:z"], "--output is only supported with --git"),
        (["--file=a", "--to=b", "x/y:z"], "only one of --to and --file may be set"),
        (["--from=x/y:z", "x/y:z"], "you may only specify a single image via --from or argument"),
        (["--install-config=a", "x/y:z"], "--install-config is only supported with --included"),
        (["--included", "x/y:z"], "needs a cluster"),
        (["--cloud=aws", "x/y:z"], "--cloud is only supported with --credentials-requests"),
        (["--credentials-requests", "--cloud=moon", "x/y:z"], "--cloud must be one of alibabacloud, aws"),
        (["--signing-key=k", "--command=oc", "x/y:z"], "--signing-key signs archives"),
        (["--max-size=lots", "x/y:z"], "'lots' is not a size"),
        (["--max-files=-1", "x/y:z"], "--max-files must not be negative"),
        (["4.18.7"], "is a version, not an image"),
        (["x/y"], "must be named by tag or digest"),
        ([], "must specify a release image"),
    ]
    for arguments, why in rows:
        r = ferry("adm", "release", "extract", *arguments)
        check(r.rc == 1 and why in r.err, "refused: " + " ".join(arguments), r.err)


# ---- files of images

def raw_layer(storage, members):
    """MEMBERS: (name, type, content or link target, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, value, mode in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, mode, TIME
            if kind == tarfile.REGTYPE:
                info.size = len(value)
                t.addfile(info, io.BytesIO(value))
            else:
                info.linkname = value
                t.addfile(info)
    raw = out.getvalue()
    return storage.blob(gzip.compress(raw, 6, mtime=0)) + (corpus.digest_of(raw),)


FILE, FOLDER, SYMLINK, HARDLINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def contents(folder):
    """{name: content, "/" or ">target"}"""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(where, name)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[key] = ">" + os.readlink(path)
            elif os.path.isdir(path):
                found[key] = "/"
            else:
                with open(path, "rb") as f:
                    found[key] = f.read().decode()
    return found


class Images:
    def __init__(self):
        self.source = Registry("source")
        self.storage = corpus.Storage(self.source.directory)

    def image(self, *layers, tag="v1"):
        self.storage.image("test/app", [raw_layer(self.storage, l) for l in layers], tag)
        return "%s/test/app:%s" % (self.source.host, tag)

    def extract(self, *arguments, rc=0, to="out"):
        """The contents of TO, made anew."""
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(to)
        self.result = ferry("image", "extract", "--insecure", *arguments)
        check_equal(self.result.rc, rc, "status of " + " ".join(arguments) + "\n" + self.result.err)
        return contents(to)


@test
def layers_are_one_tree():
    i = Images()
    image = i.image(
        [("a", FOLDER, "", 0o755), ("a/one", FILE, b"1", 0o644), ("a/two", FILE, b"2", 0o644),
         ("gone", FILE, b"x", 0o644), ("all/x", FILE, b"x", 0o644), ("lib", SYMLINK, "usr/lib", 0o777),
         ("deep/b/c", FILE, b"c", 0o644)],
        [("a/.wh.one", FILE, b"", 0o644), (".wh.gone", FILE, b"", 0o644), ("all/.wh..wh..opq", FILE, b"", 0o644),
         ("all/y", FILE, b"y", 0o644), ("a/two", FILE, b"two", 0o644), ("lib/z", FILE, b"z", 0o644),
         ("deep", FILE, b"flat", 0o644)],
        [("a/three", FILE, b"3", 0o600), ("near", HARDLINK, "a/three", 0o644), ("far", HARDLINK, "a/two", 0o644)])
    whole = {"a": "/", "a/two": "two", "a/three": "3", "all": "/", "all/y": "y", "lib": "/", "lib/z": "z",
             "deep": "flat", "near": "3", "far": "two"}
    check_equal(i.extract("--path=/:out", image), whole, "all of it")
    check(os.path.samefile("out/near", "out/a/three"), "a hard link stays one")
    check_equal(stat.S_IMODE(os.stat("out/a/three").st_mode), 0o640, "mode of a file")
    check_equal(stat.S_IMODE(os.stat("out/all").st_mode), 0o755, "mode of a folder that no layer has by itself")
    check_equal(i.extract("--path=/a/:out", image), {"two": "two", "three": "3"}, "what is in a folder")
    check_equal(i.extract("--path=/a:out", image), {"a": "/", "a/two": "two", "a/three": "3"}, "a folder")
    check_equal(i.extract("--path=/a/t*:out", image), {"two": "two", "three": "3"}, "wildcards")
    check_equal(i.extract("--path=/a/tw?:out,/f[a-b]r:out", image), {"two": "two", "far": "two"}, "more of them")
    check_equal(i.extract("--path=/:out", image + "[0]")["gone"], "x", "the lowest layer alone")
    check_equal(i.extract("--path=/:out", image + "[-1]", rc=1), {}, "a hard link to a layer that was not selected")
    check_equal(i.extract("--path=/:out", image + "[1:]"), dict(whole), "a range")
    check_equal(i.extract("--path=/:out", image + "[1:2]"),
                {"all": "/", "all/y": "y", "a": "/", "a/two": "two", "lib": "/", "lib/z": "z", "deep": "flat"}, "one layer")
    for selector, why in (("[7]", "tried to select layer 7, but image only has 3 layers"), ("[x]", "is not valid"),
                          ("[~sha256:zz]", "no layers start with"), ("[2:1]", "to must be larger than from")):
        i.extract("--path=/:out", image + selector, rc=1)
        check(why in i.result.err, "refused: " + selector, i.result.err)
    i.extract("--path=/nothing:out", image, rc=1)
    check("image did not contain nothing" in i.result.err, "what is not there is named", i.result.err)
    i.extract("--path=/a/one:out", image, rc=1)
    check_equal(contents("out"), {}, "what was removed is not there")
    # Two paths that want one file.
    os.makedirs("other")
    check_equal(i.extract("--path=/a/two:out,/a/:other", image), {"two": "two"}, "one of two folders")
    check_equal(contents("other"), {"two": "two", "three": "3"}, "the other one")


@test
def the_dry_run_lists_what_would_be_written():
    i = Images()
    image = i.image([("a", FOLDER, "", 0o755), ("a/one", FILE, b"1", 0o600), ("l", SYMLINK, "a/one", 0o777)],
                    [("a/one", FILE, b"22", 0o644)])
    here = os.getcwd()
    i.extract("--dry-run", image)
    check_equal(i.result.out.splitlines(), [
        " 1 -rw-r-----            2 %s/a/one" % here, " 0 drwxr-xr-x            0 %s/a" % here,
        " 0 Lrwxr-xr-x            0 l -> %s/a/one" % here], "each path once, from the top")
    i.extract("--dry-run", "--all-layers", "--only-files", image)
    check_equal([line.split()[0] + line.split()[3][len(here):] for line in i.result.out.splitlines()],
                ["0/a", "0/a/one", "1/a/one"], "every layer, from the bottom")


@test
def nothing_is_written_where_it_does_not_belong():
    i = Images()
    os.makedirs("outside")
    secret = os.path.abspath("outside/secret")
    with open(secret, "w") as f:
        f.write("secret")
    image = i.image([("etc/passwd", FILE, b"root", 0o644), ("in", SYMLINK, "/etc/passwd", 0o777),
                     ("d/in", SYMLINK, "/etc/passwd", 0o777), ("up", SYMLINK, "../outside/secret", 0o777),
                     ("d/root", SYMLINK, "/", 0o777), ("a/b/up", SYMLINK, "../..", 0o777),
                     ("sly", SYMLINK, "a/b/up/..", 0o777)])
    got = i.extract("--path=/:out", image, rc=3)
    check_equal(got, {"etc": "/", "etc/passwd": "root", "in": ">etc/passwd", "d": "/", "d/in": ">../etc/passwd",
                      "d/root": ">..", "a": "/", "a/b": "/", "a/b/up": ">../..", "sly": ">a/b"}, "links stay inside")
    check("warning: left out up: it links to what is outside" in i.result.err, "what leads out is named", i.result.err)
    check_equal(i.extract("--path=/:out", "--only-files", image), {"etc": "/", "etc/passwd": "root"}, "files only")
    image = i.image([("pipe", tarfile.FIFOTYPE, "", 0o644), ("null", tarfile.CHRTYPE, "", 0o644), ("f", FILE, b"f", 0o644)],
                    tag="devices")
    check_equal(i.extract("--path=/:out", image, rc=3), {"f": "f"}, "devices are left out")
    for name, members in (("up", [("good", FILE, b"g", 0o644), ("../evil", FILE, b"evil", 0o644)]),
                          ("through", [("x", SYMLINK, "y", 0o777), ("x/evil", FILE, b"evil", 0o644)])):
        check_equal(i.extract("--path=/:out", i.image(members, tag=name), rc=1), {}, "an image that tries: " + name)
    # A target that has links itself.
    image = i.image([("link/file", FILE, b"new", 0o644), ("g", FILE, b"new", 0o644)], tag="links")
    os.makedirs("target")
    os.symlink("../outside", "target/link")
    os.symlink("../outside/secret", "target/g")
    succeeds("image", "extract", "--insecure", "--confirm", "--path=/:target", image)
    check_equal(contents("target"), {"link": "/", "link/file": "new", "g": "new"}, "links in the target are replaced")
    with open(secret) as f:
        check_equal(f.read(), "secret", "nobody wrote through them")
    check_equal(names("outside"), ["secret"], "or beside it")


@test
def ceilings_hold():
    i = Images()
    image = i.image([("f%d" % n, FILE, b"0" * 1000, 0o644) for n in range(100)])
    for flag, why in (("--max-size=50K", "unpacks to more than 51200 bytes"), ("--max-files=99", "more than 99 entries")):
        check_equal(i.extract("--path=/:out", flag, image, rc=1), {}, flag)
        check(why in i.result.err, "the reason", i.result.err)
    bomb = i.storage.blob(gzip.compress(corpus.tar_of([("zeros", bytes(96 << 20), 0o644)]), 9, mtime=0))
    i.storage.image("test/app", [bomb], "bomb")
    check_equal(i.extract("--path=/:out", "--max-ratio=500", i.source.host + "/test/app:bomb", rc=1), {}, "--max-ratio")
    check("500 times its size" in i.result.err, "the reason", i.result.err)


@test
def a_damaged_layer_leaves_nothing():
    i = Images()
    image = i.image([("a", FILE, b"a" * 5000, 0o644)], [("b", FILE, os.urandom(5000).hex().encode(), 0o644)])
    body, _ = i.source.manifest("test/app", "v1")
    for layer in json.loads(body)["layers"]:
        path = i.storage.blob_path(layer["digest"])
        with open(path, "rb") as f:
            good = f.read()
        for bad in (good[:-8] + bytes([good[-8] ^ 1]) + good[-7:], good[:-3], good + b"x"):
            with open(path, "wb") as f:
                f.write(bad)
            check_equal(i.extract("--path=/:out", image, rc=1), {}, "nothing is there")
        with open(path, "wb") as f:
            f.write(good)
    check_equal(sorted(i.extract("--path=/:out", image)), ["a", "b"], "mended, it is")


main()
