#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The registry with other people's clients: skopeo, podman, buildah and curl, in every way to log in."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

USER, PASSWORD = "alice", "open sesame"

# name: (arguments, users, does a pull need a login, does a push)
MODES = {
    "open": ([], [], False, False),
    "basic": ([], [(USER, PASSWORD)], True, True),
    "token": (["--auth=token"], [(USER, PASSWORD)], True, True),
    "anonymous_pull": (["--anonymous-pull"], [(USER, PASSWORD)], False, True),
}


def image_folder(name="image"):
    """An OCI layout with one image, made by skopeo out of a tree of ours; returns its digest."""
    need("skopeo")
    tree = corpus.Tree("tree-" + name)
    digest, _ = tree.image("app", [tree.layer([("etc/os-release", b"NAME=test\n", 0o644)]),
                                   tree.layer([("data", os.urandom(3 << 20), 0o644)])], "v1", types=corpus.OCI)
    place = FerryRegistry(roots=["tree-" + name])
    r = run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false",
             "docker://%s/app:v1" % place.host, "oci:%s:v1" % name])
    require(r.rc == 0, "skopeo writes an OCI layout", r.err)
    return digest


def raw(path):
    """The manifest that an OCI layout's tag v1 names."""
    with open(path + "/index.json") as f:
        digest = json.load(f)["manifests"][0]["digest"]
    check_equal(file_digest("%s/blobs/%s" % (path, digest.replace(":", "/"))), digest[7:], "the manifest in " + path)
    return digest


class Client:
    """One registry and how clients are told to reach it."""

    def __init__(self, mode, tls, name="ours"):
        need("htpasswd")
        arguments, users, self.pull_needs, self.push_needs = MODES[mode]
        self.registry = FerryRegistry(name, users=users, tls=certificate() if tls else None, arguments=arguments)
        self.users = users
        self.tls = tls
        self.auth = os.path.abspath("auth.json")
        self.nobody = os.path.abspath("nobody.json")
        for path in (self.auth, self.nobody):
            with open(path, "w") as f:
                f.write("{}")
        if tls:
            self.certs = os.path.abspath("certs")
            os.makedirs(self.certs, exist_ok=True)
            shutil.copy(self.registry.tls[0], self.certs + "/ca.crt")

    @property
    def host(self):
        return self.registry.host

    def way(self, prefix="", login=True):
        """Flags for TLS and credentials."""
        flags = ["--%scert-dir=%s" % (prefix, self.certs)] if self.tls else ["--%stls-verify=false" % prefix]
        return flags + ["--%sauthfile=%s" % (prefix, self.auth if login else self.nobody)]

    def skopeo(self, *arguments):
        return run(["skopeo", "--insecure-policy", *arguments])

    def push(self, folder, name, login=True):
        return self.skopeo("copy", "--preserve-digests", *self.way("dest-", login), "oci:%s:v1" % folder,
                           "docker://%s/%s" % (self.host, name))

    def pull(self, name, folder, login=True):
        return self.skopeo("copy", "--preserve-digests", *self.way("src-", login), "docker://%s/%s" % (self.host, name),
                           "oci:%s:v1" % folder)

    def login(self, program, storage=(), password=PASSWORD):
        argv = [program, *storage, "login", "--authfile=" + self.auth, "--username=" + USER, "--password-stdin"]
        argv += ["--cert-dir=" + self.certs] if self.tls else ["--tls-verify=false"]
        with tempfile.TemporaryFile() as f:
            f.write(password.encode())
            f.seek(0)
            return run(argv + [self.host], stdin=f)


def check_done(r, text):
    return check_equal(r.rc, 0, "%s: %s" % (text, (r.out + r.err)[-700:]))


def check_refused(r, text):
    check(r.rc != 0, text + " is refused", r.out, r.err)
    check_match(r"(?i)unauthorized|authentication required|denied|401", r.out + r.err, text)


def skopeo_does_everything(mode, tls):
    digest = image_folder()
    c = Client(mode, tls)
    if c.users:
        wrong = c.login("skopeo", password="wrong")
        check(wrong.rc != 0, "a wrong password is refused", wrong.out, wrong.err)
        with open(c.auth, "w") as f:
            f.write("{}")
    if c.push_needs:
        check_refused(c.push("image", "a/app:v1", login=False), "a push without a login")
        check_equal(c.registry.tags(), {}, "nothing was pushed")
    if c.users:
        check_done(c.login("skopeo"), "skopeo login")
    check_done(c.push("image", "a/app:v1"), "push")
    check_equal(c.registry.tags(), {"a/app:v1": digest}, "the tag")
    r = c.pull("a/app:v1", "anonymous", login=False)
    if c.pull_needs:
        check_refused(r, "a pull without a login")
    else:
        check_done(r, "a pull without a login")
        check_equal(raw("anonymous"), digest, "the digest pulled without a login")
    check_done(c.pull("a/app@" + digest, "back"), "pull by digest")
    check_equal(raw("back"), digest, "the digest pulled")
    # Copies within the registry: mounts.
    c.registry.mark()
    check_done(c.skopeo("copy", "--preserve-digests", *c.way("src-"), *c.way("dest-"), "docker://%s/a/app:v1" % c.host,
                        "docker://%s/b/app:v2" % c.host), "copy inside")
    sent = [l for l in c.registry.lines() if l[0] == "PATCH"]
    check(len(sent) <= 1, "layers are mounted; skopeo always sends a config", sent)
    r = c.skopeo("inspect", *c.way(), "docker://%s/b/app:v2" % c.host)
    check_done(r, "inspect")
    check_equal(json.loads(r.out or "{}").get("Digest"), digest, "inspect's digest")
    r = c.skopeo("list-tags", *c.way(), "docker://%s/b/app" % c.host)
    check_equal(json.loads(r.out or "{}").get("Tags"), ["v2"], "list-tags")
    if c.push_needs:
        check_refused(c.skopeo("delete", *c.way(login=False), "docker://%s/b/app:v2" % c.host), "a delete without a login")
    check_done(c.skopeo("delete", *c.way(), "docker://%s/b/app:v2" % c.host), "delete")
    check_equal(c.registry.tags(), {"a/app:v1": digest}, "the tags after a delete")
    check_equal(c.registry.bad_blobs(), [], "damaged blobs")
    check(PASSWORD not in c.registry.text() and "Basic" not in c.registry.text(), "the log has no secrets")
    check(not [l for l in c.registry.lines() if l[2][0] == "5"], "no 5xx", c.registry.text()[-2000:])


def storage_of(program):
    """Flags for PROGRAM's own storage, short-lived."""
    need(program)
    folder = tempfile.mkdtemp(prefix="p", dir="/tmp")  # podman wants short names
    at_end_of_scenario(shutil.rmtree, folder, True)
    flags = ["--root", folder + "/root", "--runroot", folder + "/run", "--storage-driver", "vfs"]
    return flags + (["--tmpdir", folder + "/tmp"] if program == "podman" else [])


def podman_logs_in_pushes_pulls_and_logs_out(mode, tls):
    image_folder()
    c, storage = Client(mode, tls), storage_of("podman")
    podman = lambda *a: run(["podman", *storage, *a])
    r = podman("pull", "--quiet", "oci:image:v1")
    if r.rc != 0:
        raise Skip("podman cannot pull here: " + r.err.strip().splitlines()[-1][:120])
    image = r.out.strip()
    at_end_of_scenario(podman, "system", "reset", "--force")
    name = "%s/p/app:v1" % c.host
    if c.push_needs:
        check_refused(podman("push", *c.way(login=False), image, name), "a push without a login")
    if c.users:
        check_done(c.login("podman", storage), "podman login")
    # podman compresses layers anew, so the digest is its own.
    check_done(podman("push", *c.way(), "--digestfile=pushed", image, name), "podman push")
    with open("pushed") as f:
        pushed = f.read()
    check_equal(c.registry.tags(), {"p/app:v1": pushed}, "the tag")
    podman("rmi", "--force", image)
    r = podman("pull", "--quiet", *c.way(login=c.pull_needs), name)
    check_done(r, "podman pull")
    r = podman("image", "inspect", "--format", "{{.Digest}}", name)
    check_equal(r.out.strip(), pushed, "the digest podman knows")
    if c.users:
        check_done(podman("logout", "--authfile=" + c.auth, c.host), "podman logout")
        check_refused(podman("push", *c.way(), name, name), "a push after logout")
    check_equal(c.registry.bad_blobs(), [], "damaged blobs")


def buildah_builds_pushes_and_pulls(mode, tls):
    c, storage = Client(mode, tls), storage_of("buildah")
    buildah = lambda *a: run(["buildah", *storage, *a])
    with open("file", "wb") as f:
        f.write(os.urandom(1 << 20))
    r = buildah("from", "scratch")
    if r.rc != 0:
        raise Skip("podman cannot pull here: buildah: " + (r.err.strip().splitlines() or ["?"])[-1][:120])
    container = r.out.strip()
    check_done(buildah("copy", container, "file", "/file"), "buildah copy")
    check_done(buildah("commit", container, "built"), "buildah commit")
    if c.users:
        check_done(c.login("buildah", storage), "buildah login")
    name = "docker://%s/b/built:v1" % c.host
    check_done(buildah("push", *c.way(), "--digestfile=pushed", "built", name), "buildah push")
    with open("pushed") as f:
        check_equal(c.registry.tags(), {"b/built:v1": f.read()}, "the tag")
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
    r = buildah("from", *c.way(login=c.pull_needs), name)
    check_done(r, "buildah from")
    r = buildah("mount", r.out.strip())
    if check_done(r, "buildah mount"):
        check_equal(file_digest(r.out.strip() + "/file"), file_digest("file"), "the file in the image")
    buildah("rm", "--all")
    check_equal(c.registry.bad_blobs(), [], "damaged blobs")


def scenario(function, mode, tls):
    def named():
        function(mode, tls)
    named.__name__ = "%s_%s_%s" % (function.__name__, mode, "over_tls" if tls else "plain")
    test(named)


for mode_ in MODES:
    for tls_ in (False, True):
        scenario(skopeo_does_everything, mode_, tls_)
scenario(podman_logs_in_pushes_pulls_and_logs_out, "open", False)
scenario(podman_logs_in_pushes_pulls_and_logs_out, "basic", True)
scenario(podman_logs_in_pushes_pulls_and_logs_out, "anonymous_pull", False)
scenario(podman_logs_in_pushes_pulls_and_logs_out, "anonymous_pull", True)
scenario(buildah_builds_pushes_and_pulls, "open", False)
scenario(buildah_builds_pushes_and_pulls, "basic", False)
scenario(buildah_builds_pushes_and_pulls, "anonymous_pull", True)


@test
def curl_with_a_password_needs_no_token():
    need("curl")
    digest = image_folder()
    for mode in ("basic", "token", "anonymous_pull"):
        c = Client(mode, tls=True, name="curl-" + mode)
        check_done(c.login("skopeo"), "login")
        check_done(c.push("image", "app:v1"), "push")
        curl = ["curl", "--silent", "--fail", "--cacert", c.registry.tls[0]]
        url = "https://%s/v2/app/manifests/v1" % c.host
        r = run(curl + ["--user", "%s:%s" % (USER, PASSWORD), "--output", "got", url])
        check_done(r, "curl with basic, " + mode)
        check_equal(file_digest("got"), digest[7:], "the manifest")
        r = run(curl + ["--user", "%s:wrong" % USER, url])
        check_equal(r.rc, 22, "a wrong password, " + mode)
        r = run(curl + ["--user", "%s:%s" % (USER, PASSWORD), "--request", "DELETE", url])
        check_done(r, "curl deletes with basic, " + mode)
        check_equal(c.registry.tags(), {}, "the tag is gone")


@test
def ferry_itself_logs_in_in_every_way():
    source = Registry("source")
    s = corpus.Storage("source")
    digest = s.image("app", [s.layer([("a", os.urandom(100000), 0o644)])], "v1")[0]
    for mode in MODES:
        c = Client(mode, tls=True, name="ferry-" + mode)
        secret = credentials("pull-secret", (c.host, USER, PASSWORD)) if c.users else c.nobody
        succeeds("image", "mirror", "--insecure", "--certificate-authority=" + c.registry.tls[0], "-a", secret,
                 source.host + "/app:v1", c.host + "/app:v1")
        check_equal(c.registry.tags(), {"app:v1": digest}, "pushed, " + mode)
        r = ferry("image", "mirror", "--certificate-authority=" + c.registry.tls[0], "-a", c.nobody,
                  c.host + "/app:v1", "file://app:v1", "--dir=" + mode)
        check_equal(r.rc, 1 if c.pull_needs else 0, "an anonymous pull, %s: %s" % (mode, r.err))
        r = ferry("image", "mirror", "--certificate-authority=" + c.registry.tls[0], "-a", c.nobody,
                  c.host + "/app:v1", c.host + "/other:v1")
        check_equal(r.rc, 1 if c.push_needs else 0, "an anonymous push, %s: %s" % (mode, r.err))


@test
def deletes_and_pushes_can_be_refused():
    digest = image_folder()
    c = Client("open", tls=False)
    check_done(c.push("image", "app:v1"), "push")
    check_equal(c.registry.end(), 0, "the end")
    for flag, push, text in (("--no-delete", 0, "no deletes"), ("--read-only", 1, "read only")):
        c.registry = FerryRegistry("ours", arguments=[flag])
        r = c.skopeo("delete", *c.way(), "docker://%s/app:v1" % c.host)
        check(r.rc != 0, text + ": a delete is refused", r.out, r.err)
        check_equal(c.registry.ask("DELETE", "/v2/app/manifests/v1")[0], 405, text + ": DELETE")
        r = c.push("image", "more/app:v1")
        check_equal(r.rc == 0, push == 0, "%s: a push: %s" % (text, r.err))
        check_done(c.pull("app:v1", "back" + flag), text + ": a pull")
        check_equal(raw("back" + flag), digest, "the digest")
        check_equal(c.registry.end(), 0, "the end")


main()
