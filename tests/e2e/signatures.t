#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signed releases: verified from servers, folders and media, and refused for the right reason."""
import glob
import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus
import openpgp

VERSION = "4.18.1"
TAG = VERSION + "-x86_64"
SIGNER = openpgp.Key("signer")
PREFIX = "/signatures"


class Store:
    """A signature store: FILES by path (bytes, or a status), and what was asked of it."""

    def __init__(self, tls=None):
        self.files, self.asked, self.headers = {}, [], []
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                store.asked.append(self.path)
                store.headers.append(dict(self.headers))
                found = store.files.get(self.path, 404)
                self.send_response(found if isinstance(found, int) else 200)
                body = b"" if isinstance(found, int) else found
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://127.0.0.1:%d%s" % ("https" if tls else "http", self.server.server_port, PREFIX)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        at_end_of_scenario(self.server.shutdown)

    def put(self, digest, number, content):
        self.files["%s/%s/signature-%d" % (PREFIX, digest.replace(":", "="), number)] = content


class Release:
    """A release of two components whose payload names KEYS and STORES."""

    def __init__(self, store, keys=None, stores=None, multi=False, tls=None):
        self.source = Registry("source", tls=tls)
        self.storage = corpus.Storage("source")
        self.store = store
        components = [(name, self.storage.image(corpus.ART, [self.layer("bin/" + name, name * 2000)])[0])
                      for name in ("cli", "pod")]
        files = {"0000_90_keys.yaml": openpgp.verifier_map(
            {"test": SIGNER} if keys is None else keys, {"test": store.url} if stores is None else stores)}
        files["image-references"] = json.dumps({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": VERSION},
            "spec": {"tags": [{"name": name, "from": {"kind": "DockerImage", "name": "%s/%s@%s" % (
                self.source.host, corpus.ART, digest)}} for name, digest in components]}}).encode()
        layer = self.storage.layer([("release-manifests/" + n, files[n], 0o644) for n in sorted(files)])
        if multi:
            self.children = [self.storage.image(corpus.REL, [layer], arch=arch) + (arch,) for arch in ("amd64", "arm64")]
            self.digest = self.storage.index(corpus.REL, self.children, TAG)[0]
        else:
            self.digest = self.storage.image(corpus.REL, [layer], TAG)[0]
        self.reference = "%s/%s:%s" % (self.source.host, corpus.REL, TAG)

    def layer(self, name, text):
        return self.storage.layer([(name, text.encode(), 0o755)])

    def sign(self, number=1, key=SIGNER, digest=None, **options):
        digest = digest or self.digest
        self.store.put(digest, number, key.sign(digest, "quay.io/test/release:" + TAG, **options))

    def mirror(self, *arguments, run=ferry, **options):
        return run("adm", "release", "mirror", "--insecure", "--from=" + self.reference, *arguments, **options)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def config_map(folder, digest):
    return "%s/signature-sha256-%s.json" % (folder, digest[7:23])


@test
def a_signed_release_is_verified_through_server_media_and_far_side():
    store, destination = Store(), Registry("destination")
    release = Release(store)
    release.sign(version=3)
    r = release.mirror("--to-dir=mirror", "--require-signature", run=succeeds)
    check("info: Verified %s: signed as quay.io/test/release:%s by key %s at 2025-03-03T" % (
        release.digest, TAG, SIGNER.name) in r.err, "stderr says who signed what", r.err)
    path = config_map("mirror/config", release.digest)
    check(r.out.endswith("Configmap signature file %s created\n" % path), "stdout says where it is", r.out)
    check_equal(store.asked, ["%s/%s/signature-1" % (PREFIX, release.digest.replace(":", "="))], "requests")

    # No source, no store: only what was carried.
    stop(release.source.process)
    asked = len(store.asked)
    for name in ("mirror", "copied", "portable"):
        if name == "copied":
            subprocess.run(["cp", "-rL", "mirror", name], check=True)
        elif name == "portable":
            r = succeeds("store", "copy", "mirror", name, "--layout=portable")
            check("info: Copied signatures of releases: 1\n" in r.err, "store copy says so", r.err)
        destination.clear()
        r = succeeds("adm", "release", "mirror", "--insecure", "--from-dir=" + name, "--require-signature",
                     "--from=file://openshift/release:" + TAG, "--to=%s/ocp4" % destination.host,
                     "--release-image-signature-to-dir=far")
        check("info: Verified %s" % release.digest in r.err, "the far side verifies", r.err)
        check_equal(file_digest(config_map("far", release.digest)), file_digest(path), "and keeps the same file")
        check_equal(len(destination.tags()), 3, "everything arrives")
    check_equal(len(store.asked), asked, "the store is not asked by the far side")


@test
def media_without_a_signature_ask_no_server():
    store, destination = Store(), Registry("destination")
    release = Release(store)
    release.mirror("--to-dir=mirror", run=succeeds)
    release.sign()
    asked = len(store.asked)
    arguments = ["adm", "release", "mirror", "--insecure", "--from-dir=mirror",
                 "--from=file://openshift/release:" + TAG, "--to=%s/ocp4" % destination.host]
    r = ferry(*arguments, "--require-signature")
    check(r.rc == 1 and "no signature found" in r.err, "refused", r.err)
    check_equal(len(store.asked), asked, "the server that the release names is not asked")
    r = succeeds(*arguments)
    check_equal(r.err.count("warning: "), 1, "one warning without --require-signature")
    r = succeeds(*arguments, "--require-signature", "--signature-store=" + store.url)
    check(len(store.asked) > asked, "the one that the user names is")


@test
def what_is_not_good_is_refused_before_the_first_blob_and_told():
    store, destination = Store(), Registry("destination")
    expired = openpgp.Key("expired", lasts=openpgp.DAY)
    revoked = openpgp.Key("revoked", revoked=True)
    release = Release(store, {"test": SIGNER})
    other = "sha256:" + "1" * 64
    good = SIGNER.sign(release.digest)
    rows = [
        (None, None, "no signature found"),
        (SIGNER.sign(other), None, "signature-1: it is about " + other),
        (openpgp.Key("other").sign(release.digest), None, "signed by unknown key"),
        (expired.sign(release.digest), expired, "key %s expired on 2023-11-15T" % expired.name),
        (revoked.sign(release.digest), revoked, "key %s was revoked" % revoked.name),
        (SIGNER.sign(release.digest, lasts=openpgp.DAY), None, "expired on 2025-03-04T"),
        (SIGNER.sign(release.digest, when=4000000000), None, "is in the future"),
        (openpgp.cleartext(openpgp.claim(release.digest, "a/b")), None, "cleartext"),
        (openpgp.unsigned(openpgp.claim(release.digest, "a/b")), None, "not signed"),
        (good[:-40], None, "truncated or damaged"),
        (b"<html>no such page</html>", None, "not an OpenPGP message"),
        (b"", None, "the message is empty"),
        (SIGNER.message(openpgp.claim(release.digest, "a/b", "something else")), None, "critical.type"),
        (SIGNER.message(openpgp.claim(release.digest, "")), None, "critical.identity.docker-reference"),
        (SIGNER.message(b"This is not JSON"), None, "not a claim"),
    ]
    for content, key, reason in rows:
        name = "%s/%s/signature-1" % (PREFIX, release.digest.replace(":", "="))
        store.files.clear()
        if content is not None:
            store.files[name] = content
        more = []
        if key:
            with open("key.asc", "w") as f:
                f.write(key.armored)
            more = ["--keyring=key.asc"]
        destination.mark()
        r = release.mirror("--to=%s/ocp4" % destination.host, "--require-signature", *more)
        check(r.rc == 1, "%s: refused" % reason, r.err)
        check("error: the release is not verified: unable to verify %s against keyrings: " % release.digest in r.err
              and reason in r.err, "%s: told" % reason, r.err)
        check_equal(destination.lines(), [], "%s: nothing is sent" % reason)
    # Without the flag it is one warning.
    r = release.mirror("--to=%s/ocp4" % destination.host, run=succeeds)
    check_equal(r.err.count("warning: "), 1, "one warning")
    check_equal(len(destination.tags()), 3, "and everything is mirrored")
    r = release.mirror("--to-dir=mirror", run=succeeds)
    check("Configmap" not in r.out and not os.path.exists("mirror/config"), "media without a config map", r.out)
    r = release.mirror("--to-dir=mirror", "--release-image-signature-to-dir=named")
    check(r.rc == 1 and r.err.endswith("error: failed to retrieve cached signatures\n"),
          "who asked for the file by name is told", r.err)


@test
def subkeys_stand_and_fall_with_their_key():
    store, destination = Store(), Registry("destination")
    release = Release(store)
    sub = openpgp.Key("sub")
    release.sign(key=sub)
    rows = [
        (openpgp.Key("owner").with_subkey(sub), None),
        (openpgp.Key("owner", revoked=True).with_subkey(sub), "was revoked"),
        (openpgp.Key("owner", lasts=openpgp.DAY).with_subkey(sub), "expired on 2023-11-15T"),
        (openpgp.Key("sub", flags=1).public, "key %s may not sign" % sub.name),
    ]
    for public, reason in rows:
        with open("key.gpg", "wb") as f:
            f.write(public)
        r = release.mirror("--to=%s/ocp4" % destination.host, "--dry-run", "--require-signature", "--keyring=key.gpg")
        if reason:
            check(r.rc == 1 and reason in r.err, reason, r.err)
        else:
            check(r.rc == 0 and "by key " + sub.name in r.err, "a subkey that signs", r.err)


@test
def one_flipped_bit_anywhere_fails():
    store, destination = Store(), Registry("destination")
    release = Release(store)
    good = SIGNER.sign(release.digest, compressed=False)
    claim_at, signature_at = good.index(b"critical"), len(good) - 100
    release.store.put(release.digest, 1, good)
    release.mirror("--to-dir=mirror", "--require-signature", run=succeeds)

    def upload(folder):
        return ferry("adm", "release", "mirror", "--insecure", "--from-dir=" + folder, "--require-signature",
                     "--from=file://openshift/release:" + TAG, "--to=%s/ocp4" % destination.host)

    for what, at in (("claim", claim_at), ("signature", signature_at)):
        bad = bytearray(good)
        bad[at] ^= 1
        store.put(release.digest, 1, bytes(bad))
        r = release.mirror("--to=%s/ocp4" % destination.host, "--require-signature")
        check(r.rc == 1 and "the signature of key %s is wrong" % SIGNER.name in r.err, "a bit of the " + what, r.err)
    store.put(release.digest, 1, good)

    blobs = {os.path.basename(p): p for p in glob.glob("mirror/v2/openshift/release/blobs/*")}
    with open("mirror/v2/openshift/release/manifests/" + release.digest) as f:
        manifest = json.load(f)
    layer = manifest["layers"][-1]["digest"]
    files = {"manifest": "manifests/" + release.digest, "layer": "blobs/" + layer,
             "config map": "../../../config/" + os.path.basename(config_map("", release.digest))}
    check(layer in blobs, "the layer is on the media")
    for what, name in files.items():
        shutil.rmtree("bad", ignore_errors=True)
        subprocess.run(["cp", "-r", "mirror", "bad"], check=True)
        with open(os.path.join("bad/v2/openshift/release", name), "rb") as f:
            data = f.read()
        bad = bytearray(data)
        bad[data.rindex(b'"') - 100 if what == "config map" else len(data) // 2] ^= 1
        for path in glob.glob("bad/**/*", recursive=True):  # media may hold a second copy, which would do
            if os.path.isfile(path) and not os.path.islink(path) and file_digest(path) == sha256(data):
                with open(path, "wb") as f:
                    f.write(bad)
        destination.clear()
        r = upload("bad")
        check(r.rc == 1 and r.err.strip(), "a bit of the %s on media" % what, r.err)
        check(not destination.tags(), "nothing is tagged")
    r = upload("mirror")
    check(r.rc == 0, "the media themselves are good", r.err)


@test
def keys_and_stores_of_the_user_come_first():
    store, destination = Store(), Registry("destination")
    mine = openpgp.Key("mine")
    release = Release(store)
    with open("mine.asc", "w") as f:
        f.write(mine.armored)
    with open("both.gpg", "wb") as f:
        f.write(openpgp.Key("other").public + mine.public)
    os.makedirs("plain/" + release.digest.replace(":", "="))
    with open("plain/%s/signature-1" % release.digest.replace(":", "="), "wb") as f:
        f.write(mine.sign(release.digest))
    to = "--to=%s/ocp4" % destination.host
    for arguments in (["--keyring=mine.asc"], ["--keyring=both.gpg"], ["--keyring=%s/mine.asc" % os.getcwd()]):
        r = release.mirror(to, "--require-signature", "--signature-store=plain", *arguments)
        check(r.rc == 0 and "by key " + mine.name in r.err, "with " + arguments[0], r.err)
    r = release.mirror(to, "--require-signature", "--signature-store=file://%s/plain" % os.getcwd(), "--keyring=mine.asc")
    check(r.rc == 0, "a file:// store", r.err)
    check_equal(store.asked, [], "the store that the release names is not asked")
    r = release.mirror(to, "--require-signature", "--signature-store=plain")
    check(r.rc == 1 and "signed by unknown key " + mine.name in r.err, "with the keys of the release", r.err)
    r = release.mirror("--to-dir=media", "--signature-store=plain", "--keyring=mine.asc",
                       "--release-image-signature-to-dir=far", run=succeeds)
    r = release.mirror(to, "--require-signature", "--signature-store=far", "--keyring=mine.asc")
    check(r.rc == 0, "a folder of config maps", r.err)
    r = release.mirror(to, "--require-signature", "--signature-store=" + config_map("far", release.digest),
                       "--keyring=mine.asc")
    check(r.rc == 0, "a config map", r.err)
    check(os.path.exists(config_map("media/config", release.digest)), "media keep it wherever else it goes")
    for arguments, reason in ((["--keyring=none.asc"], "none.asc"), (["--signature-store=ftp://x"], "neither http"),
                              (["--keyring=plain"], "unable to load keyring")):
        r = release.mirror(to, *arguments)
        check(r.rc == 1 and reason in r.err, "refused: " + arguments[0], r.err)


@test
def every_keyring_of_the_release_must_have_signed():
    store, destination = Store(), Registry("destination")
    second = openpgp.Key("second")
    release = Release(store, {"one": SIGNER, "two": second})
    to = ["--to=%s/ocp4" % destination.host, "--require-signature", "--release-image-signature-to-dir=sigs"]
    release.sign(1)
    r = release.mirror(*to)
    check(r.rc == 1 and "verifier-public-key-one, verifier-public-key-two" in r.err, "one of two", r.err)
    store.put(release.digest, 2, b"garbage")
    release.sign(3, second)
    release.sign(4, second)
    store.asked.clear()
    r = release.mirror(*to)
    check(r.rc == 0 and r.err.count("info: Verified ") == 2, "both", r.err)
    check_equal(len(store.asked), 3, "the search ends there")
    with open(config_map("sigs", release.digest)) as f:
        data = json.load(f)["binaryData"]
    name = release.digest.replace(":", "-")
    check_equal(sorted(data), [name + "-1", name + "-2"], "what verified is kept, numbered from 1")


@test
def of_a_list_its_own_signature_counts_and_a_childs_is_accepted():
    store, destination = Store(), Registry("destination")
    release = Release(store, multi=True)
    to = ["--to=%s/ocp4" % destination.host, "--keep-manifest-list", "--require-signature"]
    r = release.mirror(*to)
    check(r.rc == 1 and release.digest in r.err, "nobody signed it", r.err)
    child = release.children[0][0]
    release.sign(digest=child)
    r = release.mirror(*to, "--release-image-signature-to-dir=sigs")
    check(r.rc == 0 and "info: The list %s is not signed, its linux/amd64 image is" % release.digest in r.err,
          "a notice about the child", r.err)
    check(os.path.exists(config_map("sigs", child)), "the child's signature is kept")
    release.sign()
    r = release.mirror(*to, "--release-image-signature-to-dir=sigs")
    check(r.rc == 0 and "Verified " + release.digest in r.err, "its own", r.err)
    check(os.path.exists(config_map("sigs", release.digest)), "and is kept")


@test
def stores_are_asked_with_care():
    store, second, destination = Store(certificate("store")), Store(), Registry("destination")
    dead = "http://127.0.0.1:%d/sig" % free_port()
    release = Release(second, stores={"a": dead, "b": store.url, "c": second.url + "/"})
    release.sign()
    auth = credentials("auth.json", *((s.url.split("/")[2], "me", "secret") for s in (store, second)))
    to = ["--to=%s/ocp4" % destination.host, "--require-signature", "-a", auth]
    started = time.monotonic()
    r = release.mirror(*to)
    check(r.rc == 0, "stores that are dead or have nothing do not matter", r.err)
    check(time.monotonic() - started < 15, "and are not waited for")
    check_equal(len(store.asked), 1, "--insecure is for stores too")
    store.put(release.digest, 1, 403)
    r = release.mirror(*to)
    check(r.rc == 0, "403 is how object stores say that there is nothing", r.err)
    second.files.clear()
    release.store = store
    release.sign()
    r = release.mirror(*to)
    check(r.rc == 0, "any store will do", r.err)
    check(not any("Authorization" in h for h in store.headers + second.headers), "no credentials are sent")


@test
def certificates_of_stores_are_verified():
    tls, other = certificate("source-tls"), certificate("store-tls")
    store = Store(other)
    release = Release(store, tls=tls)
    release.sign()
    with open("both.crt", "w") as out:
        for path in (tls[0], other[0]):
            with open(path) as f:
                out.write(f.read())
    arguments = ["adm", "release", "mirror", "--from=" + release.reference, "--to-dir=mirror", "--require-signature"]
    r = ferry(*arguments, "--certificate-authority=" + tls[0])
    check(r.rc == 1 and "certificate" in r.err and not os.path.exists("mirror/v2"), "an unknown authority", r.err)
    check_equal(store.asked, [], "nothing was asked of it")
    r = ferry(*arguments, "--certificate-authority=both.crt")
    check(r.rc == 0 and "Verified " + release.digest in r.err, "a known one", r.err)


@test
def flags_work_together():
    store, destination = Store(), Registry("destination")
    release = Release(store)
    release.sign()
    to = "--to=%s/ocp4" % destination.host
    r = release.mirror(to, "--dry-run", "--release-image-signature-to-dir=sigs", run=succeeds)
    check(r.out.endswith("\nTo apply signature configmaps use 'oc apply' on files found in sigs\n\n"
                         "info: Write configmap signature file %s\n" % config_map("sigs", release.digest)), "dry run", r.out)
    check(not os.path.exists("sigs"), "a dry run writes nothing")
    r = release.mirror(to, "--skip-release-image", "--release-image-signature-to-dir=sigs", run=succeeds)
    check(os.path.exists(config_map("sigs", release.digest)), "without the release image its signature is kept")
    r = release.mirror("--to-mirror", "--require-signature", run=succeeds)
    check("Configmap" not in r.out, "--to-mirror prints mappings only", r.out)
    store.files.clear()
    r = release.mirror("--to-mirror", "--require-signature")
    check(r.rc == 1 and r.out == "", "and none of what is not verified", r.out + r.err)
    release.sign()
    os.makedirs("sigs", exist_ok=True)
    with open(config_map("sigs", release.digest), "w") as f:
        f.write("old")
    release.mirror(to, "--release-image-signature-to-dir=sigs/", run=succeeds)
    with open(config_map("sigs", release.digest)) as f:
        check(json.load(f)["kind"] == "ConfigMap", "an old file is replaced")
    r = release.mirror(to, "--apply-release-image-signature")
    check(r.rc == 1 and "needs a cluster" in r.err, "applying needs a cluster", r.err)


main()
