#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ferry's own registry with ferry's own mirror commands: to it, from it, between two, through folders."""
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"
IMAGES = 184
TARGET = "ocp4/openshift4"


def sample():
    """A release in a registry of another kind."""
    source = Registry("source")
    corpus.write("sample", "source", source.host)
    return source


def served_sample(name="quay"):
    """The same in a folder that ferry serves in place."""
    port = free_port()
    corpus.write("sample", name, "127.0.0.1:%d" % port, storage=corpus.Tree)
    return FerryRegistry(roots=[name], port=port)


def mirror_release(source, destination, *more, **options):
    return succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
                    "--to=%s/%s" % (destination.host, TARGET), *more, **options)


def release_tags(registry, repo=TARGET):
    return {t: d for t, d in registry.tags().items() if t.startswith(repo + ":")}


def check_release(registry, text, repo=TARGET):
    check_equal(len(release_tags(registry, repo)), IMAGES, "tags " + text)
    check_equal(registry.bad_blobs(), [], "damaged blobs " + text)


def check_same_manifests(a, b, repo_a, repo_b, tags):
    for tag in tags:
        one, other = a.manifest(repo_a, tag), b.manifest(repo_b, tag)
        check(one[0] is not None and one == other, "%s is the same, bytes and type" % tag, one[1], other[1])


def writes(registry):
    return [line for line in registry.lines() if line[0] not in ("GET", "HEAD")]


@test
def a_release_goes_into_it_and_a_second_run_sends_nothing():
    source, ours, theirs = sample(), FerryRegistry("ours"), Registry("theirs")
    mirror_release(source, ours)
    mirror_release(source, theirs)
    check_release(ours, "in ours")
    check_equal(ours.tags(), theirs.tags(), "the tags docker-registry got")
    check_same_manifests(ours, theirs, TARGET, TARGET, [TAG, TAG + "-cli"])
    ours.mark()
    mirror_release(source, ours)
    check_equal(writes(ours), [], "a second run sends nothing")
    check(not [l for l in ours.lines() if l[2][0] == "5"], "no request fails with 5xx", ours.text()[-2000:])


@test
def a_release_goes_out_of_it_to_a_registry_and_to_a_folder():
    source, ours, theirs = sample(), FerryRegistry("ours"), Registry("theirs")
    mirror_release(source, ours)
    succeeds("image", "mirror", "--insecure", "%s/%s:%s*" % (ours.host, TARGET, TAG), theirs.host + "/copy")
    check_equal({t.split(":")[1]: d for t, d in theirs.tags().items()},
                {t.split(":", 1)[1]: d for t, d in release_tags(ours).items()}, "tags in docker-registry")
    check_equal(theirs.bad_blobs(), [], "damaged blobs in docker-registry")
    succeeds("image", "mirror", "--insecure", "%s/%s:%s*" % (ours.host, TARGET, TAG), "file://copy", "--dir=media")
    check_equal(bad_files("media"), [], "damaged files")
    check_equal(len([f for f in os.listdir("media/v2/copy/manifests") if not f.startswith("sha")]), IMAGES, "tags")


@test
def a_release_goes_from_one_to_another():
    near, far = served_sample(), FerryRegistry("far")
    check_equal(near.what, os.path.abspath("quay") + " (read-only)", "what the ready line says")
    before = media("quay")
    mirror_release(near, far)
    check_release(far, "in the second one")
    check_equal(media("quay"), before, "the folder that was served is as it was")
    again = FerryRegistry("again")
    succeeds("image", "mirror", "--insecure", "%s/%s:%s*" % (far.host, TARGET, TAG), again.host + "/" + TARGET)
    check_equal(again.tags(), far.tags(), "and on to a third one")
    check_same_manifests(far, again, TARGET, TARGET, [TAG, TAG + "-installer", TAG + "-cli"])
    writes_of_source = [l for l in near.lines() if l[0] not in ("GET", "HEAD")]
    check_equal(writes_of_source, [], "nobody writes to a source")


@test
def a_folder_goes_into_it_and_is_served_as_it_is():
    near, far = served_sample(), FerryRegistry("far")
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (near.host, corpus.REL, TAG), "--to-dir=disk")
    succeeds("image", "mirror", "--insecure", "--from-dir=disk", "file://openshift/release:%s*" % TAG,
             far.host + "/" + TARGET)
    check_release(far, "from the folder")
    place = FerryRegistry(roots=["disk"])
    copy = FerryRegistry("copy")
    succeeds("image", "mirror", "--insecure", "%s/openshift/release:%s*" % (place.host, TAG), copy.host + "/" + TARGET)
    check_equal(copy.tags(), far.tags(), "from the folder that is served in place")
    check_equal(copy.bad_blobs(), [], "damaged blobs")


@test
def images_lists_and_sparse_lists_keep_their_bytes():
    source, ours, other = Registry("source"), FerryRegistry("ours"), FerryRegistry("other")
    s = corpus.Storage("source")
    base = s.layer([("base", os.urandom(300000), 0o644)])
    kids = [s.image("multi", [base, s.layer([("arch", a.encode() * 100, 0o644)])], arch=a, types=corpus.OCI) + (a,)
            for a in ("amd64", "arm64", "s390x")]
    inner = s.index("multi", kids[:2])
    digests = {"list": s.index("multi", kids, "list")[0],
               "nested": s.index("multi", [inner + (None, corpus.OCI["index"]), kids[2]], "nested")[0],
               "plain": s.image("multi", [base], "plain")[0]}
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", source.host + "/multi", ours.host + "/a/multi")
    check_equal(ours.tags(), {"a/multi:" + t: d for t, d in digests.items()}, "tags")
    check_same_manifests(source, ours, "multi", "a/multi", digests)
    # By digest, without a tag.
    succeeds("image", "mirror", "--insecure", "%s/a/multi@%s" % (ours.host, kids[0][0]), other.host + "/by-digest")
    check_equal(other.manifests(), {"by-digest@" + kids[0][0]}, "an image without a tag")
    # One platform of a list, whose bytes stay.
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", "--filter-by-os=linux/arm64",
             ours.host + "/a/multi:list", other.host + "/sparse:list")
    check("sparse@" + kids[1][0] in other.manifests(), "the platform that was asked for is there")
    # Into another repository of the same registry: mounts only.
    ours.mark()
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", ours.host + "/a/multi:list",
             ours.host + "/b/multi:list")
    check_equal([l for l in ours.lines() if l[0] == "PATCH"], [], "no byte is sent to mount")
    check_equal(ours.tags()["b/multi:list"], digests["list"], "the list in the second repository")
    pool = [os.path.join(w, f) for w, _, fs in os.walk("ours/v2") for f in fs
            if f.startswith("sha256:") and not os.path.islink(os.path.join(w, f))]
    inodes = {os.stat(p).st_ino for p in pool}
    check_equal(len(inodes), len({os.path.basename(p) for p in pool}), "each content is one file")


@test
def a_restart_in_between_loses_nothing():
    source, ours = sample(), FerryRegistry("ours")
    run_ = subprocess.Popen([FERRY, "adm", "release", "mirror", "--insecure",
                             "--from=%s/%s:%s" % (source.host, corpus.REL, TAG), "--to=%s/%s" % (ours.host, TARGET)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    wait_for(lambda: len([l for l in ours.lines() if l[0] == "PUT"]) > 40, "some uploads", 60)
    check_equal(ours.end(), 0, "the server stops well")
    ours.begin()
    text = run_.communicate(timeout=120)[1].decode()
    check_equal(run_.returncode, 0, "the mirror run gets over it: " + text[-1500:])
    check_release(ours, "after a restart")
    before = ours.tags()
    ours.signal(signal.SIGKILL)
    ours.process.wait()
    ours.begin()
    ours.mark()
    mirror_release(source, ours)
    check_equal(writes(ours), [], "after kill -9 everything is still there")
    check_equal(ours.tags(), before, "tags")


@test
def an_upload_goes_on_after_a_restart():
    ours = FerryRegistry("ours")
    data = os.urandom(3 << 20)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, _, headers = ours.ask("POST", "/v2/app/blobs/uploads/")
    check_equal(status, 202, "POST")
    status, _, headers = ours.ask("PATCH", headers["Location"], data[:1 << 20],
                                  {"Content-Type": "application/octet-stream"})
    check_equal((status, headers["Range"]), (202, "0-%d" % ((1 << 20) - 1)), "the first chunk")
    location = headers["Location"]
    check_equal(ours.end(), 0, "the server stops well")
    ours.begin()
    status, _, headers = ours.ask("GET", location)
    check_equal((status, headers["Range"]), (204, "0-%d" % ((1 << 20) - 1)), "the session is still there")
    status, _, headers = ours.ask("PATCH", location, data[1 << 20:], {"Content-Range": "%d-%d" % (1 << 20, len(data) - 1)})
    check_equal(status, 202, "the second chunk")
    location = headers["Location"] + ("&" if "?" in headers["Location"] else "?") + "digest=" + digest
    status, _, headers = ours.ask("PUT", location)
    check_equal((status, headers["Docker-Content-Digest"]), (201, digest), "the end")
    status, body, _ = ours.get("/v2/app/blobs/" + digest)
    check(status == 200 and body == data, "the blob comes back")


@test
def two_servers_share_a_store():
    source = sample()
    one = FerryRegistry("store", name="one")
    two = FerryRegistry("store", name="two")
    argv = [[FERRY, "adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
             "--to=%s/%s" % (r.host, repo)] for r, repo in ((one, TARGET), (two, TARGET), (two, "second/copy"))]
    runs = [subprocess.Popen(a, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) for a in argv]
    errors = [r.communicate()[1].decode()[-1000:] for r in runs]
    check_equal([r.returncode for r in runs], [0, 0, 0], "three runs into two servers: " + "".join(errors))
    check_release(one, "in the shared store")
    check_release(two, "of the second copy", "second/copy")
    check_same_manifests(one, two, TARGET, "second/copy", [TAG, TAG + "-cli"])
    digest = one.tags()["%s:%s" % (TARGET, TAG)]
    check_equal(two.ask("DELETE", "/v2/%s/manifests/%s" % (TARGET, TAG))[0], 202, "a tag is deleted in one")
    check_equal(one.get("/v2/%s/manifests/%s" % (TARGET, TAG))[0], 404, "and gone in the other")
    check_equal(one.get("/v2/%s/manifests/%s" % (TARGET, digest))[0], 200, "its manifest is not")


@test
def a_mirror_run_may_write_the_store_of_a_running_server():
    near, ours = served_sample(), FerryRegistry("ours")
    r = ferry("image", "mirror", "--insecure", "%s/%s:%s" % (near.host, corpus.REL, TAG), "file://side/door:v1",
              "--dir=ours")
    require(r.rc == 0, "mirror into the store's folder", r.err[-2000:])
    wait_for(lambda: ours.get("/v2/side/door/manifests/v1")[0] == 200, "the image behind the server", 20)
    check_equal(ours.manifest("side/door", "v1"), near.manifest(corpus.REL, TAG), "the manifest")
    check_equal(ours.get("/v2/side/door/tags/list")[1], b'{"name":"side/door","tags":["v1"]}', "the tags")


@test
def media_become_a_store_without_a_second_copy():
    near = served_sample()
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (near.host, corpus.REL, TAG), "--to-dir=disk")
    used = lambda: int(subprocess.check_output(["du", "-s", "--block-size=1", "disk"]).split()[0])
    before, content = used(), media("disk")
    ours = FerryRegistry("disk")
    check("disk (read-write)" in ours.what, "the ready line", ours.what)
    check(used() < before * 1.1 + (2 << 20), "the disk holds what it held: %d, %d" % (before, used()))
    now = media("disk")
    check_equal({k: v for k, v in now.items() if k in content}, content, "everything is where it was")
    check_equal(ours.get("/v2/openshift/release/manifests/" + TAG)[0], 200, "it is served")
    succeeds("image", "mirror", "--insecure", "%s/openshift/release:%s" % (ours.host, TAG), ours.host + "/more:v1")
    check_equal(ours.get("/v2/more/manifests/v1")[0], 200, "and can be pushed to")


def presented(port):
    """The certificate that a new connection is shown."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as s:
        return s.getpeercert(binary_form=True)


def der(path):
    with open(path) as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


@test
def sighup_takes_new_certificates_and_users_and_keeps_connections():
    need("htpasswd")
    crt, key = certificate("old")
    ours = FerryRegistry("ours", tls=(crt, key), users=[("alice", "one")])
    basic = lambda user, password: {"Authorization": "Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode()}
    check_equal(presented(ours.port), der(crt), "the first certificate")
    open_one = ours.connection()
    open_one.request("GET", "/v2/", headers=basic("alice", "one"))
    r = open_one.getresponse()
    check_equal((r.status, r.read()), (200, b"{}"), "alice")
    new = certificate("new")
    os.rename(new[0], crt)
    os.rename(new[1], key)
    ours.set_users(("bob", "two"))
    ours.signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in ours.text(), "the reload")
    check_equal(presented(ours.port), der(crt), "the second certificate")
    check_equal(ours.ask("GET", "/v2/", headers=basic("bob", "two"))[0], 200, "bob is known")
    check_equal(ours.ask("GET", "/v2/", headers=basic("alice", "one"))[0], 401, "alice is not")
    open_one.request("GET", "/v2/", headers=basic("bob", "two"))
    r = open_one.getresponse()
    check_equal((r.status, r.read()), (200, b"{}"), "the old connection still works")
    open_one.close()
    with open(crt, "w") as f:
        f.write("nonsense")
    ours.signal(signal.SIGHUP)
    wait_for(lambda: ours.text().count("reloaded") == 2, "the second reload")
    check_match(r"warning: .*old\.crt", ours.text(), "stderr")
    check_equal(ours.ask("GET", "/v2/", headers=basic("bob", "two"))[0], 200, "a bad certificate changes nothing")


@test
def the_access_log_can_go_to_a_file_that_is_rotated():
    source = corpus.Tree("tree")
    large = source.blob(os.urandom(32 << 20))
    source.image("app", [large], "v1")
    ours = FerryRegistry(roots=["tree"], arguments=["--access-log=access.log"])
    lines = lambda: open("access.log").read()
    ours.get("/v2/app/manifests/v1?secret=1")
    wait_for(lambda: "/v2/app/manifests/v1 200" in lines(), "the line")
    check("secret" not in lines(), "no query strings", lines())
    with contextlib.closing(ours.connection()) as c:
        c.request("GET", "/v2/app/blobs/" + large[0], headers={"User-Agent": "rude \"one\""})
        c.getresponse().read(1 << 16)
    wait_for(lambda: large[0] in lines(), "the line of a client that went away")
    check_match(r'(?m)^\S+Z 127\.0\.0\.1 - GET /v2/app/blobs/%s 200 0 \d+ \S+ms "rude \\"one\\"" broken$' % large[0],
                lines(), "the access log")
    os.rename("access.log", "access.log.1")
    ours.signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists("access.log"), "a new file")
    ours.get("/v2/app/manifests/nope")
    wait_for(lambda: "/v2/app/manifests/nope 404" in lines(), "the line in it")
    check("/v2/app" not in ours.text(), "nothing of it on stderr", ours.text())


@test
def sigterm_lets_a_pull_finish():
    tree = corpus.Tree("tree")
    digest, size = tree.blob(os.urandom(48 << 20))
    tree.image("app", [(digest, size)], "v1")
    ours = FerryRegistry(roots=["tree"])
    with contextlib.closing(ours.connection()) as c:
        c.request("GET", "/v2/app/blobs/" + digest)
        r = c.getresponse()
        sha = hashlib.sha256(r.read(1 << 20))
        ours.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in ours.text(), "the server to stop")
        wait_for(lambda: not listening(ours.port), "the listener to close")
        check(ours.process.poll() is None, "the server waits for the pull")
        while True:
            piece = r.read(1 << 20)
            if not piece:
                break
            sha.update(piece)
        check_equal("sha256:" + sha.hexdigest(), digest, "the whole blob arrives")
    check_equal(ours.process.wait(30), 0, "then the server ends, exit status")


@test
def sigterm_lets_a_push_finish():
    ours = FerryRegistry("ours")
    data = os.urandom(4 << 20)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    location = ours.ask("POST", "/v2/app/blobs/uploads/")[2]["Location"]
    with contextlib.closing(ours.connection()) as c:
        c.putrequest("PUT", location + ("&" if "?" in location else "?") + "digest=" + digest)
        c.putheader("Content-Length", str(len(data)))
        c.putheader("Expect", "100-continue")
        c.endheaders()
        # What has not been read yet is not in flight.
        check_match(b"^HTTP/1.1 100 ", c.sock.recv(4096), "the first answer")
        c.send(data[:1 << 20])
        ours.signal(signal.SIGTERM)
        wait_for(lambda: not listening(ours.port), "the listener to close")
        c.send(data[1 << 20:])
        r = c.getresponse()
        check_equal((r.status, r.headers["Docker-Content-Digest"]), (201, digest), "the push")
        check_equal(r.headers["Connection"], "close", "the connection is over")
    check_equal(ours.process.wait(30), 0, "then the server ends, exit status")
    ours.begin()
    check_equal(ours.get("/v2/app/blobs/" + digest)[1] == data, True, "the blob is there after a restart")


@test
def a_second_signal_does_not_wait():
    tree = corpus.Tree("tree")
    digest, size = tree.blob(os.urandom(48 << 20))
    tree.image("app", [(digest, size)], "v1")
    ours = FerryRegistry(roots=["tree"])
    with contextlib.closing(ours.connection()) as c:
        c.request("GET", "/v2/app/blobs/" + digest)
        c.getresponse().read(1 << 16)
        ours.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in ours.text(), "the server to stop")
        ours.signal(signal.SIGTERM)
        check_equal(ours.process.wait(5), -signal.SIGTERM, "exit status")
    ours.process.returncode = 0  # as this test wants it


# ---- each flag does what it says

OCI_MANIFEST, OCI_INDEX = corpus.OCI["manifest"], corpus.OCI["index"]


def push_manifest(registry, body, kind, tag="v1"):
    return registry.ask("PUT", "/v2/app/manifests/" + tag, json.dumps(body), {"Content-Type": kind})[0]


def absent(kind):
    return {"mediaType": kind, "digest": "sha256:" + "1" * 64, "size": 10}


@test
def manifests_that_are_not_whole_are_taken_as_the_flags_say():
    image = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": absent(corpus.OCI["config"]), "layers": []}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [absent(OCI_MANIFEST)]}
    odd = {"schemaVersion": 2, "mediaType": "application/vnd.example+json"}
    for flags, want in (([], (400, 201, 400)), (["--allow-sparse-images"], (201, 201, 400)),
                        (["--refuse-sparse-indexes"], (400, 400, 400)),
                        (["--allow-unknown-manifests"], (400, 201, 201))):
        ours = FerryRegistry("ours", arguments=flags)
        got = tuple(push_manifest(ours, body, body["mediaType"]) for body in (image, index, odd))
        check_equal(got, want, "sparse image, sparse index, unknown type with %s" % (flags or "no flag"))
        check_equal(ours.end(), 0, "the end")


def upload(registry, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return registry.ask("POST", "/v2/app/blobs/uploads/?digest=" + digest, data,
                        {"Content-Type": "application/octet-stream"})[0]


@test
def limits_limit():
    ours = FerryRegistry("ours", arguments=["--max-blob-size=1MiB"])
    check_equal(upload(ours, bytes(1 << 20)), 201, "a blob of just that size")
    check_match(r"^4(00|13)$", str(upload(ours, bytes((1 << 20) + 1))), "a blob that is larger")
    check_equal(ours.end(), 0, "the end")

    ours = FerryRegistry("ours", arguments=["--disk-reserve=1000TiB"])
    check_equal(upload(ours, b"x" * 1000), 503, "a push to a disk below its reserve")
    check_equal(ours.end(), 0, "the end")

    ours = FerryRegistry("ours", arguments=["--max-uploads=1"])
    locations = [ours.ask("POST", "/v2/app/blobs/uploads/")[2]["Location"] for _ in range(2)]
    answers = [ours.ask("PATCH", l, b"x" * 100)[0] for l in locations]
    check_equal(answers, [202, 429], "a second unfinished upload")
    check_equal(ours.end(), 0, "the end")

    ours = FerryRegistry("ours", arguments=["--max-connections-per-address=3"])
    many = [socket.create_connection(("127.0.0.1", ours.port)) for _ in range(6)]
    answered = 0
    for s in many:
        s.settimeout(2)
        with contextlib.suppress(OSError):
            s.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            answered += s.recv(100).startswith(b"HTTP/1.1 200")
    check_equal(answered, 3, "connections of one address that are served")
    for s in many:
        s.close()
    check_equal(ours.end(), 0, "the end")

    ours = FerryRegistry("ours", arguments=["--idle-timeout=1"])
    with contextlib.closing(ours.connection()) as c:
        c.request("GET", "/v2/")
        c.getresponse().read()
        c.sock.settimeout(20)
        began = time.monotonic()
        check_equal(c.sock.recv(1), b"", "a silent connection is closed")
        check(0.5 < time.monotonic() - began < 10, "after a second or so", time.monotonic() - began)
    check_equal(ours.end(), 0, "the end")

    ours = FerryRegistry("ours", arguments=["--shutdown-timeout=1"])
    with socket.create_connection(("127.0.0.1", ours.port)) as s:
        s.sendall(b"PUT /v2/app/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        check_equal(ours.end(), 0, "a request that never ends does not hold the server, exit status")
        check(time.monotonic() - began < 15, "it waits no longer than it was told", time.monotonic() - began)


def status_of(process, name):
    with open("/proc/%d/%s" % (process.pid, name)) as f:
        return f.read()


@test
def the_process_takes_descriptors_and_no_privileges():
    ours = FerryRegistry("ours", env=environment())
    soft, hard = re.search(r"Max open files +(\S+) +(\S+)", status_of(ours.process, "limits")).groups()
    check_equal(soft, hard, "open files, as many as are allowed")
    check_match(r"NoNewPrivs:\s+1", status_of(ours.process, "status"), "/proc/PID/status")


@test
def open_addresses_and_the_address_of_tokens():
    need("htpasswd")
    if ISOLATED:
        port = free_port()
        with open("open.log", "wb") as log:
            start([FERRY, "registry", "serve", "--dir=open", "--listen=:%d" % port, "--insecure-open"], stderr=log,
                  env=environment())
        wait_for(lambda: b"\nopen to everyone who reaches" in open("open.log", "rb").read(), "the ready lines")
        check(listening(port), "IPv4")
        check(listening(port, "::1"), "and IPv6 behind one --listen")
    for flags, realm in (([], r"http://127\.0\.0\.1:\d+/token"), (["--external-url=https://registry.example/"],
                                                                  r"https://registry\.example/token")):
        ours = FerryRegistry("ours", users=[("alice", "one")], arguments=["--auth=token"] + flags)
        status, _, headers = ours.get("/v2/")
        check_equal(status, 401, "GET /v2/")
        check_match('^Bearer realm="%s",service="[^"]+"' % realm, headers["WWW-Authenticate"], "the challenge")
        check_equal(ours.end(), 0, "the end")


@test
def what_is_wrong_is_said_at_the_start():
    start_ = lambda *a: ferry("registry", "serve", "--listen=127.0.0.1:0", *a, timeout=20)
    os.makedirs("empty")
    r = start_("empty")
    check_equal(r.rc, 1, "an empty folder")
    check_match(r"'empty' holds no images", r.err, "stderr")
    r = start_()
    check_match(r"nothing to serve\nhint: --dir STORE", r.err, "stderr")
    busy = FerryRegistry("store")
    r = ferry("registry", "serve", "--dir=other", "--listen=" + busy.host, timeout=20)
    check_equal(r.rc, 1, "an address that is taken")
    check_match(r"cannot listen on %s: address already in use" % re.escape(busy.host), r.err, "stderr")
    with open("users", "w") as f:
        f.write("alice:{SHA}x\n")
    r = start_("--dir=other", "--htpasswd=users")
    check_match(r"users.*1|line 1", r.err, "stderr names the line of a password that is no bcrypt")
    with open("bad.pem", "w") as f:
        f.write("x")
    r = start_("--dir=other", "--tls-crt=bad.pem", "--tls-key=bad.pem")
    check_match(r"bad\.pem", r.err, "stderr names the certificate")
    s = corpus.Tree("tree")
    s.image("app", [s.layer([("a", b"a" * 100, 0o644)])], "v1")
    succeeds("store", "copy", "tree", "stick", "--layout=portable")
    os.unlink("stick/store/seal")
    r = start_("stick")
    check_equal(r.rc, 1, "unfinished media")
    check_match(r"unfinished.*\nhint:.*--allow-unfinished", r.err, "stderr")
    place = FerryRegistry(roots=["stick"], arguments=["--allow-unfinished"])
    check_equal(place.get("/v2/app/manifests/v1")[0], 200, "--allow-unfinished serves them")


main()
