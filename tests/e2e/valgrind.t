#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job and the registry under valgrind: no leak, no bad access, in all directions."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"


VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=99"]


def clean(text, *args):
    r = run([*VALGRIND, PLAIN, *args], timeout=1800)
    check(r.rc == 0, "%s: exit status %d" % (text, r.rc), r.err[-4000:])


@test
def a_release_to_a_folder_and_from_there_to_a_registry():
    if not os.environ.get("FERRY_TEST_FULL"):
        raise Skip("long: runs with --full")
    need("valgrind")
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    release = "--from=%s/%s:%s" % (source.host, corpus.REL, TAG)
    clean("to a folder", "adm", "release", "mirror", "--insecure", release, "--to-dir=mirror")
    clean("from the folder", "image", "mirror", "--insecure", "--from-dir=mirror",
          "file://openshift/release:%s*" % TAG, destination.host + "/ocp4/openshift4")
    check_equal(len(destination.tags()), 184, "images that arrive")
    destination.clear()
    clean("registry to registry", "adm", "release", "mirror", "--insecure", release,
          "--to=%s/ocp4/openshift4" % destination.host)
    check_equal(len(destination.tags()), 184, "images that arrive")
    clean("a missing tag", "image", "mirror", "--insecure", "--skip-missing", source.host + "/nothing:here",
          "file://nothing:here")


@test
def a_registry_through_pushes_pulls_and_deletes():
    if not os.environ.get("FERRY_TEST_FULL"):
        raise Skip("long: runs with --full")
    need("valgrind", "htpasswd")
    with open("ferry", "w") as f:
        f.write('#!/bin/sh\nexec %s "%s" "$@"\n' % (" ".join(VALGRIND), PLAIN))
    os.chmod("ferry", 0o755)
    server = FerryRegistry("store", binary=os.path.abspath("ferry"), tls=certificate(), users=[("ann", "secret")],
                           arguments=["--anonymous-pull"])
    check("valgrind" in os.readlink("/proc/%d/exe" % server.process.pid), "valgrind runs it")
    login = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}

    def ask(status, method, path, body=None, **headers):
        headers = dict({k.replace("_", "-"): v for k, v in headers.items()}, **login)
        got, text, answer = server.ask(method, path, body, headers)
        check_equal(got, status, "%s %s %s" % (method, path, text[:200]))
        return text, answer
    digest = lambda data: "sha256:" + hashlib.sha256(data).hexdigest()
    config, layer = b'{"os":"linux","architecture":"amd64"}', os.urandom(3 << 20)
    ask(201, "POST", "/v2/a/blobs/uploads/?digest=" + digest(config), config)
    at = ask(202, "POST", "/v2/a/blobs/uploads/")[1]["Location"]
    ask(202, "PATCH", at, iter([layer[:1 << 20], layer[1 << 20:2 << 20]]))
    ask(204, "GET", at)
    ask(201, "PUT", at + "?digest=" + digest(layer), layer[2 << 20:])
    at = ask(202, "POST", "/v2/a/blobs/uploads/")[1]["Location"]
    ask(202, "PATCH", at, b"nobody finishes this")
    ask(204, "DELETE", ask(202, "POST", "/v2/a/blobs/uploads/")[1]["Location"])
    oci = "application/vnd.oci.image.%s.v1+json"
    of = lambda data, kind: {"mediaType": oci % kind, "digest": digest(data), "size": len(data)}
    image = json.dumps({"schemaVersion": 2, "mediaType": oci % "manifest", "config": of(config, "config"),
                        "layers": [of(layer, "layer")]}).encode()
    signature = json.dumps({"schemaVersion": 2, "mediaType": oci % "manifest", "artifactType": "application/x",
                            "config": of(config, "config"), "layers": [], "subject": of(image, "manifest")}).encode()
    for reference, data in (("v1", image), (digest(image) + "?tag=v2&tag=v3", image), (digest(signature), signature)):
        ask(201, "PUT", "/v2/a/manifests/" + reference, data, Content_Type=oci % "manifest")
    ask(400, "PUT", "/v2/a/manifests/bad", b"{", Content_Type=oci % "manifest")
    ask(201, "POST", "/v2/b/blobs/uploads/?from=a&mount=" + digest(layer))
    for path, want in (("blobs/" + digest(layer), layer), ("manifests/v2", image), ("manifests/" + digest(signature), signature)):
        check(ask(200, "GET", "/v2/a/" + path)[0] == want, path)
        check(server.get("/v2/a/" + path)[1] == want, path + ", anonymously")
    for ranges in ("0-9", "0-9,100-200,-5"):
        ask(206, "GET", "/v2/a/blobs/" + digest(layer), Range="bytes=" + ranges)
    for path in ("/v2/a/tags/list?n=2", "/v2/_catalog?n=1", "/v2/a/referrers/" + digest(image), "/healthz", "/",
                 "/token?service=ferry&scope=repository:a:pull,push"):
        ask(200, "GET", path)
    for path in ("manifests/v3", "manifests/" + digest(signature), "manifests/" + digest(image), "blobs/" + digest(layer)):
        ask(202, "DELETE", "/v2/a/" + path)
    ask(404, "GET", "/v2/a/manifests/v1")
    server.signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in server.text(), "the reload", 60)
    check_equal(server.end(), 0, "no error, and nothing is leaked: " + server.text()[-6000:])
    check("==" not in server.text(), "valgrind says nothing", server.text()[-6000:])


main()
