#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every row of the endpoint table over the wire, read-write and read-only, for sha256 and sha512.

A test names its row (docs of the API number them as here) and the section of the OCI distribution-spec
v1.1 that it covers; "dev" is the text after v1.1.
"""
import email
import http.client
import json
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *

ALGOS = ("sha256", "sha512")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ARTIFACT = "application/vnd.example.signature"
ABSENT = {"sha256": "sha256:" + "1" * 64, "sha512": "sha512:" + "1" * 128}


def digest(algo, data):
    return "%s:%s" % (algo, hashlib.new(algo, data).hexdigest())


def descriptor(algo, data, media_type, **more):
    return dict(mediaType=media_type, digest=digest(algo, data), size=len(data), **more)


# ---- asking -------------------------------------------------------------------------------------

class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, name):
        return self.headers.get(name)

    @property
    def code(self):
        """The code of the first error, whose shape is checked as well."""
        try:
            entries = json.loads(self.body)["errors"]
            assert all({"code", "message"} <= set(e) <= {"code", "message", "detail"} for e in entries)
            return entries[0]["code"]
        except (ValueError, KeyError, AssertionError, IndexError):
            return None


class Wire:
    """One connection to a registry; checks what all answers have in common (table, 1.1)."""

    def __init__(self, registry, authorization=None):
        self.registry, self.authorization = registry, authorization
        self.connection = registry.connection()
        at_end_of_scenario(self.connection.close)

    def __call__(self, method, path, body=None, chunked=False, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
        if self.authorization:
            headers["Authorization"] = self.authorization
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = iter([body[i:i + 1000] for i in range(0, len(body), 1000)])
        try:
            self.connection.request(method, path, body, headers, encode_chunked=chunked)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused without reading the body: the answer is there
        r = self.connection.getresponse()
        a = Answer(r.status, r.headers, r.read())
        what = "%s %s" % (method, path[:80])
        check_equal(a["Docker-Distribution-API-Version"], "registry/2.0", what + ": API version")
        check_equal(a["X-Content-Type-Options"], "nosniff", what + ": nosniff")
        check_equal((a["Transfer-Encoding"], a["Server"], a["Content-Encoding"]), (None, None, None),
                    what + ": no chunks, no Server, no encoding")
        if a.status not in (204, 304):
            check(a["Content-Length"] is not None, what + " has a length", a.headers)
        if a.status >= 400 and method != "HEAD":
            check(a.code and a["Content-Type"] == "application/json", what + ": the shape of an error", a.body)
        if r.will_close:
            self.connection.close()
        return a

    def fails(self, status, code, method, path, body=None, chunked=False, **more):
        a = self(method, path, body, chunked, **more)
        what = "%s %s" % (method, path[:120])
        check_equal(a.status, status, what)
        if method != "HEAD":
            check_equal(a.code, code, what)
        return a

    def works(self, status, method, path, body=None, chunked=False, **more):
        a = self(method, path, body, chunked, **more)
        check_equal(a.status, status, "%s %s %s" % (method, path[:120], a.body[:300] if status >= 300 else ""))
        return a

    # What clients do.

    def push_blob(self, repo, data, algo="sha256"):
        d = digest(algo, data)
        a = self("POST", "/v2/%s/blobs/uploads/?digest=%s" % (repo, d), data)
        require(a.status == 201, "a blob is pushed", a.status, a.body)
        return d

    def push_manifest(self, repo, reference, document, media_type=None):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        a = self("PUT", "/v2/%s/manifests/%s" % (repo, reference), data,
                 Content_Type=media_type or json.loads(data)["mediaType"])
        require(a.status == 201, "a manifest is pushed", a.status, a.body)
        return a

    def start(self, repo, query=""):
        return self.works(202, "POST", "/v2/%s/blobs/uploads/%s" % (repo, query))["Location"]


def with_digest(location, d):
    return "%s%sdigest=%s" % (location, "&" if "?" in location else "?", d)


class Content:
    """What the pulling rows find: an image, a sparse index over it and a signature, in repo/app."""

    REPO = "repo/app"

    def __init__(self, algo):
        self.algo = algo
        self.layer = bytes(range(256)) * 40
        self.config = json.dumps({"os": "linux", "architecture": "amd64", "of": algo}).encode()
        self.image = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor(algo, self.config, CONFIG_TYPE),
            "layers": [descriptor(algo, self.layer, LAYER_TYPE)]}, indent=3).encode()
        self.index = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_INDEX,
            "manifests": [descriptor(algo, self.image, OCI_MANIFEST),
                          {"mediaType": OCI_MANIFEST, "digest": ABSENT[algo], "size": 7}]}).encode()
        self.signature = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": ARTIFACT,
            "config": descriptor(algo, self.config, CONFIG_TYPE), "layers": [],
            "subject": descriptor(algo, self.image, OCI_MANIFEST), "annotations": {"a": "b"}}).encode()

    def push(self, wire):
        for data in (self.layer, self.config):
            wire.push_blob(self.REPO, data, self.algo)
        for data, tag in ((self.image, "v1"), (self.index, "all"), (self.signature, None)):
            query = "?tag=%s-%s" % (tag, self.algo) if tag else ""
            wire.push_manifest(self.REPO, self.d(data) + query, data)

    def d(self, data):
        return digest(self.algo, data)


def filled():
    """(name, wire) of a writable registry, the same one read-only, and its folder served in place."""
    registry = FerryRegistry("store")
    wire = Wire(registry)
    for algo in ALGOS:
        Content(algo).push(wire)
    yield "read-write", wire
    yield "read-only", Wire(FerryRegistry("store", arguments=["--read-only"], name="ro"))
    yield "in place", Wire(FerryRegistry(roots=["store"], name="root"))


def pulls(function):
    """The scenario for each mode and algorithm: function(wire, content)."""
    def scenario():
        for name, wire in filled():
            for algo in ALGOS:
                before = len(failures())
                function(wire, Content(algo))
                if len(failures()) != before:
                    note("... %s, %s" % (name, algo))
    scenario.__name__ = function.__name__
    return test(scenario)


def failures():
    import e2e
    return [f for f in e2e._findings if not f]


# ---- rows 1 to 4, 18 to 20: pulling; in all modes -------------------------------------------------

@pulls
def row_1_base_determining_support(wire, content):
    for path in ("/v2/", "/v2"):
        check_equal(wire.works(200, "GET", path).body, b"{}", "the body")
        a = wire.works(200, "HEAD", path)
        check_equal((a.body, a["Content-Length"]), (b"", "2"), "HEAD has the length of GET")
    wire.works(200, "GET", "/")
    wire.works(200, "GET", "/healthz")
    wire.fails(404, "NAME_UNKNOWN", "GET", "/nothing")
    wire.fails(405, "UNSUPPORTED", "DELETE", "/v2/")


def check_blob_headers(a, d, size, text):
    check_equal((a["Content-Length"], a["Docker-Content-Digest"], a["Content-Type"], a["ETag"], a["Accept-Ranges"]),
                (str(size), d, "application/octet-stream", '"%s"' % d, "bytes"), text)


@pulls
def row_2_head_of_a_blob_checking_if_content_exists(wire, content):
    d = content.d(content.layer)
    a = wire.works(200, "HEAD", "/v2/repo/app/blobs/" + d)
    check_blob_headers(a, d, len(content.layer), "headers of HEAD")
    check_equal(a.body, b"", "no body")
    for path, status in (("repo/app/blobs/" + ABSENT[content.algo], 404), ("repo/other/blobs/" + d, 404),
                         ("repo/app/blobs/sha256:12", 400), ("repo/app/blobs/md5:" + "0" * 32, 400),
                         ("repo/app/blobs/" + d.upper(), 400), ("Repo/app/blobs/" + d, 400), ("a..b/blobs/" + d, 400)):
        a = wire.works(status, "HEAD", "/v2/" + path)
        check_equal(a.body, b"", "no body of an error")


@pulls
def row_3_get_of_a_blob_pulling_blobs(wire, content):
    d, data = content.d(content.layer), content.layer
    path = "/v2/repo/app/blobs/" + d
    a = wire.works(200, "GET", path)
    check(a.body == data, "the bytes")
    check_blob_headers(a, d, len(data), "headers of GET")
    wire.fails(404, "BLOB_UNKNOWN", "GET", "/v2/repo/app/blobs/" + ABSENT[content.algo])
    wire.fails(404, "BLOB_UNKNOWN", "GET", "/v2/repo/other/blobs/" + d)
    wire.fails(400, "DIGEST_INVALID", "GET", "/v2/repo/app/blobs/sha256:12")
    wire.fails(400, "NAME_INVALID", "GET", "/v2/Repo/app/blobs/" + d)
    a = wire.works(304, "GET", path, If_None_Match='"%s"' % d)
    check_equal((a.body, a["ETag"]), (b"", '"%s"' % d), "304")
    check(wire.works(200, "GET", "/v2/repo/app/blobs/" + content.d(content.image)).body == content.image,
          "a manifest's bytes are a blob, too")


@pulls
def row_3_ranges_of_a_blob_pulling_blobs(wire, content):
    d, data = content.d(content.layer), content.layer
    path, size = "/v2/repo/app/blobs/" + d, len(content.layer)
    for text, first, last in (("0-0", 0, 0), ("5-99", 5, 99), ("100-", 100, size - 1), ("-7", size - 7, size - 1),
                              ("10-99999999", 10, size - 1), ("-99999999", 0, size - 1)):
        a = wire.works(206, "GET", path, Range="bytes=" + text)
        check(a.body == data[first:last + 1], "bytes of " + text)
        check_equal((a["Content-Range"], a["Content-Length"]),
                    ("bytes %d-%d/%d" % (first, last, size), str(last - first + 1)), text)
    for text in ("bytes=%d-" % size, "bytes=%d-%d" % (size, size + 9), "bytes=-0"):
        a = wire("GET", path, Range=text)
        check_equal((a.status, a["Content-Range"]), (416, "bytes */%d" % size), text)
        check_equal(int(a["Content-Length"]), len(a.body), "a true length")
    for text in ("bytes=x", "lines=1-2", "bytes 1-2", "bytes=", "bytes=0-9,5-20",
                 "bytes=" + ",".join("%d-%d" % (3 * i, 3 * i) for i in range(65))):
        check(wire.works(200, "GET", path, Range=text).body == data, "all of it for " + text[:40])
    check(wire.works(206, "GET", path, Range="bytes=1-2", If_Range='"%s"' % d).body == data[1:3], "If-Range holds")
    check(wire.works(200, "GET", path, Range="bytes=1-2", If_Range='"other"').body == data, "If-Range does not")


@pulls
def row_3_several_ranges_come_in_the_order_asked_for(wire, content):
    data, size = content.layer, len(content.layer)
    wanted = [(500, 600), (0, 9), (size - 5, size - 1)]
    a = wire.works(206, "GET", "/v2/repo/app/blobs/" + content.d(data), Range="bytes=500-600,0-9,-5")
    check_match(r"^multipart/byteranges; *boundary=", a["Content-Type"], "Content-Type")
    message = email.message_from_bytes(b"Content-Type: " + a["Content-Type"].encode() + b"\r\n\r\n" + a.body)
    parts = message.get_payload() if message.is_multipart() else []
    check_equal([p["Content-Range"] for p in parts], ["bytes %d-%d/%d" % (f, l, size) for f, l in wanted], "the ranges")
    for first, last in wanted:
        check(data[first:last + 1] in a.body, "bytes %d-%d" % (first, last))


@pulls
def row_4_manifests_by_tag_and_digest_pulling_manifests(wire, content):
    for data, tag, media_type in ((content.image, "v1-" + content.algo, OCI_MANIFEST),
                                  (content.index, "all-" + content.algo, OCI_INDEX)):
        for reference in (tag, content.d(data)):
            for accept in (None, "*/*", "text/plain", DOCKER_MANIFEST):
                a = wire.works(200, "GET", "/v2/repo/app/manifests/" + reference, Accept=accept)
                check(a.body == data, "the bytes pushed")
                head = wire.works(200, "HEAD", "/v2/repo/app/manifests/" + reference, Accept=accept)
                check_equal(head.body, b"", "HEAD has no body")
                for one in (a, head):
                    check_equal((one["Content-Type"], one["Content-Length"], one["ETag"]),
                                (media_type, str(len(data)), '"%s"' % one["Docker-Content-Digest"]), "headers")
                    check_equal(one["Docker-Content-Digest"], content.d(data), "digest")
    wire.fails(404, "MANIFEST_UNKNOWN", "GET", "/v2/repo/app/manifests/nothing")
    wire.fails(404, "MANIFEST_UNKNOWN", "GET", "/v2/repo/app/manifests/" + ABSENT[content.algo])
    wire.fails(404, "NAME_UNKNOWN", "GET", "/v2/repo/other/manifests/v1")
    wire.fails(400, "DIGEST_INVALID", "GET", "/v2/repo/app/manifests/sha256:12")
    wire.fails(400, "MANIFEST_INVALID", "GET", "/v2/repo/app/manifests/.v1")
    wire.works(404, "HEAD", "/v2/repo/app/manifests/nothing")


@pulls
def row_18_tags_listing_tags(wire, content):
    tags = sorted("%s-%s" % (t, a) for t in ("v1", "all") for a in ALGOS)
    path = "/v2/repo/app/tags/list"

    def listed(query):
        a = wire.works(200, "GET", path + query)
        check_equal(json.loads(a.body)["name"], "repo/app", "the name")
        return json.loads(a.body)["tags"], a["Link"]

    check_equal(listed(""), (tags, None), "all of them, in byte order")
    check_equal(listed("?n=0"), ([], None), "n=0")
    check_equal(listed("?n=99"), (tags, None), "more than there are")
    check_equal(listed("?last=" + tags[1])[0], tags[2:], "last without n")
    check_equal(listed("?last=b")[0], [t for t in tags if t > "b"], "last need not exist")
    found, query = [], "?n=3"
    for _ in range(9):
        page, link = listed(query)
        found += page
        if not link:
            break
        match = re.match(r'^</v2/repo/app/tags/list(\?[^>]*)>; rel="next"$', link)
        require(match, "the form of a Link", link)
        query = match[1]
    check_equal(found, tags, "page by page")
    wire.fails(404, "NAME_UNKNOWN", "GET", "/v2/repo/other/tags/list")
    for n in ("x", "-1", "1.5"):
        wire.fails(400, "UNSUPPORTED", "GET", path + "?n=" + n)
    wire.works(200, "HEAD", path)


@pulls
def row_19_the_catalog(wire, content):
    a = wire.works(200, "GET", "/v2/_catalog")
    check_equal(json.loads(a.body), {"repositories": ["repo/app"]}, "the catalog")
    check_equal(json.loads(wire.works(200, "GET", "/v2/_catalog?n=1").body), {"repositories": ["repo/app"]}, "n=1")
    check_equal(json.loads(wire.works(200, "GET", "/v2/_catalog?last=repo/app").body), {"repositories": []}, "last")


@pulls
def row_20_referrers_listing_referrers(wire, content):
    path = "/v2/repo/app/referrers/" + content.d(content.image)
    a = wire.works(200, "GET", path)
    want = descriptor(content.algo, content.signature, OCI_MANIFEST, artifactType=ARTIFACT, annotations={"a": "b"})
    check_equal(a["Content-Type"], OCI_INDEX, "an index")
    check_equal(a["OCI-Filters-Applied"], None, "no filter")
    document = json.loads(a.body)
    check_equal((document["schemaVersion"], document["mediaType"], document["manifests"]), (2, OCI_INDEX, [want]),
                "the referrers")
    for artifact, entries in ((ARTIFACT, [want]), ("application/other", [])):
        a = wire.works(200, "GET", path + "?artifactType=" + artifact.replace("/", "%2F"))
        check_equal((json.loads(a.body)["manifests"], a["OCI-Filters-Applied"]), (entries, "artifactType"), artifact)
    for empty in ("/v2/repo/app/referrers/" + ABSENT[content.algo], "/v2/no/where/referrers/" + content.d(content.image)):
        a = wire.works(200, "GET", empty)
        check_equal((json.loads(a.body)["manifests"], a["Content-Type"]), ([], OCI_INDEX), "never 404")
    wire.fails(400, "DIGEST_INVALID", "GET", "/v2/repo/app/referrers/sha256:12")


@test
def row_21_what_is_read_only_takes_nothing():
    for name, wire in filled():
        for algo in ALGOS:
            c = Content(algo)
            d, m = c.d(c.layer), c.d(c.image)
            if name == "read-write":
                location = wire.start("repo/app")
                continue
            for method, path in (("POST", "/v2/repo/app/blobs/uploads/"), ("POST", "/v2/repo/app/blobs/uploads/?digest=" + d),
                                 ("POST", "/v2/new/blobs/uploads/?from=repo/app&mount=" + d), ("PATCH", location),
                                 ("PUT", location + "?digest=" + d), ("DELETE", location),
                                 ("PUT", "/v2/repo/app/manifests/v2"), ("PUT", "/v2/repo/app/manifests/" + m),
                                 ("DELETE", "/v2/repo/app/manifests/v1-sha256"), ("DELETE", "/v2/repo/app/manifests/" + m),
                                 ("DELETE", "/v2/repo/app/blobs/" + d)):
                a = wire.fails(405, "UNSUPPORTED", method, path, None if method == "DELETE" else b"x" * 10)
                check("GET, HEAD" in (a["Allow"] or ""), "Allow", a["Allow"])
            # A large body is not read: the connection ends instead.
            a = wire.fails(405, "UNSUPPORTED", "PUT", "/v2/repo/app/manifests/v2", b"x" * (20 << 20))
            check_equal(a["Connection"], "close", "the end of the connection")
            wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "GET", location)
            wire.works(200, "GET", "/v2/repo/app/manifests/v1-" + algo)


# ---- rows 5 to 8: manifests -----------------------------------------------------------------------

def writable(*arguments):
    return Wire(FerryRegistry("store", arguments=arguments))


@test
def row_5_a_manifest_is_stored_as_it_came_pushing_manifests():
    wire = writable()
    for algo in ALGOS:
        c = Content(algo)
        wire.push_blob("a/b", c.layer, algo)
        wire.push_blob("a/b", c.config, algo)
        for media_type in (OCI_MANIFEST, DOCKER_MANIFEST):
            data = c.image.replace(OCI_MANIFEST.encode(), media_type.encode())
            for reference, d in (("v1", digest("sha256", data)), (c.d(data), c.d(data))):
                for content_type in (media_type, media_type + "; charset=utf-8", None):
                    for chunked in (False, True):
                        a = wire.works(201, "PUT", "/v2/a/b/manifests/" + reference, data, chunked,
                                       Content_Type=content_type)
                        check_equal((a["Location"], a["Docker-Content-Digest"], a["OCI-Subject"], a["OCI-Tag"]),
                                    ("/v2/a/b/manifests/" + d, d, None, None), "headers")
                a = wire.works(200, "GET", "/v2/a/b/manifests/" + reference)
                check(a.body == data and a["Content-Type"] == media_type, "bytes and type", a["Content-Type"])


@test
def row_5_what_is_wrong_with_a_manifest_pushing_manifests():
    wire = writable()
    c = Content("sha256")
    wire.push_blob("a", c.layer)
    image = json.loads(c.image)
    for algo in ALGOS:
        wire.fails(400, "DIGEST_INVALID", "PUT", "/v2/a/manifests/" + ABSENT[algo], c.image, Content_Type=OCI_MANIFEST)
    for text, data, content_type in (
            ("nothing", b"", OCI_MANIFEST), ("no JSON", b"{", OCI_MANIFEST), ("no object", b"[]", OCI_MANIFEST),
            ("another type", c.image, OCI_INDEX),
            ("two kinds", json.dumps(dict(image, manifests=[])).encode(), OCI_MANIFEST),
            ("a key twice", c.image.replace(b"{", b'{"mediaType":"%s",' % OCI_INDEX.encode(), 1), OCI_MANIFEST),
            ("schema 1", b'{"schemaVersion":1,"fsLayers":[]}', "application/vnd.docker.distribution.manifest.v1+json"),
            ("too deep", c.image.replace(b"{", b'{"x":' + b"[" * 65 + b"]" * 65 + b",", 1), OCI_MANIFEST),
            ("too many", json.dumps(dict(image, layers=image["layers"] * 10001)).encode(), OCI_MANIFEST),
            ("an unknown type", b'{"mediaType":"application/x+json"}', "application/x+json")):
        a = wire.fails(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", data, Content_Type=content_type)
        wire.works(404, "HEAD", "/v2/a/manifests/v1")
    a = wire.fails(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/manifests/v1", c.image, Content_Type=OCI_MANIFEST)
    check_equal([e["message"].split()[0] for e in json.loads(a.body)["errors"]], [c.d(c.config)], "one entry for each")
    wire.fails(413, "SIZE_INVALID", "PUT", "/v2/a/manifests/v1", b" " * (8 << 20) + b" ", Content_Type=OCI_MANIFEST)
    wire.fails(413, "SIZE_INVALID", "PUT", "/v2/a/manifests/v1", b" " * (8 << 20) + b" ", True, Content_Type=OCI_MANIFEST)
    wire.connection.putrequest("PUT", "/v2/a/manifests/v1")
    wire.connection.endheaders()
    check_equal(wire.connection.getresponse().status, 411, "neither length nor chunks")


@test
def row_5_a_manifest_of_four_megabytes_pushing_manifests():
    wire = writable()
    c = Content("sha256")
    wire.push_blob("a", c.layer)
    wire.push_blob("a", c.config)
    data = json.dumps(dict(json.loads(c.image), annotations={"x": "y" * 3900000})).encode()
    wire.push_manifest("a", "v1", data)
    check(wire("GET", "/v2/a/manifests/v1").body == data, "it comes back")


@test
def row_5_sparse_indexes_and_images_pushing_manifests():
    wire = writable()
    loose = Wire(FerryRegistry("loose", arguments=["--allow-sparse-images", "--allow-unknown-manifests"]))
    strict = Wire(FerryRegistry("strict", arguments=["--refuse-sparse-indexes"]))
    for algo in ALGOS:
        c = Content(algo)
        for media_type in (OCI_INDEX, DOCKER_LIST):
            data = c.index.replace(OCI_INDEX.encode(), media_type.encode())
            wire.push_manifest("a", "v1", data, media_type)
            check(wire("GET", "/v2/a/manifests/v1").body == data, "a sparse index comes back")
            strict.fails(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/manifests/v1", data, Content_Type=media_type)
        wire.fails(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/manifests/v1", c.image, Content_Type=OCI_MANIFEST)
        loose.push_manifest("a", c.d(c.image), c.image)
    loose.push_manifest("a", "unknown", b'{"mediaType":"application/x+json"}', "application/x+json")
    check_equal(loose("GET", "/v2/a/manifests/unknown")["Content-Type"], "application/x+json", "an unknown type")


@test
def row_5_a_subject_need_not_be_there_pushing_manifests_with_subject():
    wire = writable()
    for algo in ALGOS:
        c = Content(algo)
        wire.push_blob("a", c.config, algo)
        a = wire.push_manifest("a", c.d(c.signature), c.signature)
        check_equal(a["OCI-Subject"], c.d(c.image), "OCI-Subject")
        entries = json.loads(wire("GET", "/v2/a/referrers/" + c.d(c.image)).body)["manifests"]
        check_equal([e["digest"] for e in entries], [c.d(c.signature)], "it is listed")


@test
def row_6_several_tags_at_once_dev():
    wire = writable()
    for algo in ALGOS:
        c = Content(algo)
        path = "/v2/a/manifests/" + c.d(c.index)
        tags = ["one", "two.2", "_three-3"]
        a = wire.works(201, "PUT", path + "?" + "&".join("tag=" + t for t in tags), c.index, Content_Type=OCI_INDEX)
        check_equal([t.strip() for t in a["OCI-Tag"].split(",")], tags, "OCI-Tag")
        for t in tags:
            check_equal(wire("HEAD", "/v2/a/manifests/" + t)["Docker-Content-Digest"], c.d(c.index), t)
        many = ["t%d" % i for i in range(101)]
        wire.works(201, "PUT", path + "?" + "&".join("tag=" + t for t in many[:100]), c.index, Content_Type=OCI_INDEX)
        wire.works(202, "DELETE", path)
        for bad in ("tag=.x", "tag=good&tag=a%2Fb", "tag=", "&".join("tag=" + t for t in many)):
            wire.fails(400, "MANIFEST_INVALID", "PUT", path + "?" + bad, c.index, Content_Type=OCI_INDEX)
            wire.works(404, "GET", path)
    long = Wire(wire.registry)
    check_equal(long("PUT", path + "?" + "tag=x&" * 2000, c.index).status, 414, "a URL over 8 KiB")


@test
def row_7_a_tag_is_removed_deleting_tags():
    wire = writable()
    for algo in ALGOS:
        c = Content(algo)
        wire.push_manifest("a", c.d(c.index) + "?tag=one&tag=two", c.index)
        wire.works(202, "DELETE", "/v2/a/manifests/one")
        wire.fails(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/manifests/one")
        wire.fails(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/one")
        wire.works(200, "GET", "/v2/a/manifests/two")
        wire.works(200, "GET", "/v2/a/manifests/" + c.d(c.index))


@test
def row_8_a_manifest_is_removed_with_its_tags_deleting_manifests():
    wire = writable()
    for algo in ALGOS:
        c = Content(algo)
        c.push(wire)
        path = "/v2/repo/app/manifests/"
        wire.works(202, "DELETE", path + c.d(c.signature))
        wire.works(202, "DELETE", path + c.d(c.image))
        for reference in (c.d(c.image), "v1-" + algo, c.d(c.signature)):
            wire.fails(404, "MANIFEST_UNKNOWN", "GET", path + reference)
        wire.fails(404, "MANIFEST_UNKNOWN", "DELETE", path + c.d(c.image))
        check(("v1-" + algo) not in json.loads(wire("GET", "/v2/repo/app/tags/list").body)["tags"], "its tag is gone")
        check_equal(json.loads(wire("GET", "/v2/repo/app/referrers/" + c.d(c.image)).body)["manifests"], [],
                    "its entry among the referrers is gone")
        wire.works(200, "HEAD", "/v2/repo/app/blobs/" + c.d(c.layer))
        wire.works(200, "GET", path + "all-" + algo)


@test
def rows_7_to_9_without_deletes_deleting():
    wire = writable("--no-delete")
    c = Content("sha256")
    c.push(wire)
    for path in ("manifests/v1-sha256", "manifests/" + c.d(c.image), "blobs/" + c.d(c.layer)):
        wire.fails(405, "UNSUPPORTED", "DELETE", "/v2/repo/app/" + path)
        wire.works(200, "HEAD", "/v2/repo/app/" + path)
    # Cancelling an upload removes nothing that was pushed.
    wire.works(204, "DELETE", wire.start("repo/app"))


# ---- rows 9 to 17: blobs --------------------------------------------------------------------------

@test
def row_9_a_blob_is_removed_from_one_repository_deleting_blobs():
    wire = writable()
    for algo in ALGOS:
        d = wire.push_blob("a", b"hello", algo)
        wire.push_blob("b", b"hello", algo)
        check_equal(wire.works(202, "DELETE", "/v2/a/blobs/" + d)["Warning"], None, "no warning")
        wire.works(404, "HEAD", "/v2/a/blobs/" + d)
        wire.works(200, "HEAD", "/v2/b/blobs/" + d)
        wire.fails(404, "BLOB_UNKNOWN", "DELETE", "/v2/a/blobs/" + d)
        wire.fails(400, "DIGEST_INVALID", "DELETE", "/v2/a/blobs/sha256:12")
        c = Content(algo)
        c.push(wire)
        a = wire.works(202, "DELETE", "/v2/repo/app/blobs/" + c.d(c.layer))
        check_match('^299 - "', a["Warning"] or "", "Warning")


@test
def row_10_a_session_starts_pushing_a_blob_in_chunks():
    wire = writable("--max-uploads=1")
    for query in ("", "?digest-algorithm=sha256", "?digest-algorithm=sha512"):
        a = wire.works(202, "POST", "/v2/a/blobs/uploads/" + query, Content_Type="application/json")
        uuid = a["Docker-Upload-UUID"]
        check_match(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", uuid, "the UUID")
        check_equal((a["Location"], a["Range"], a["Content-Length"], a.body),
                    ("/v2/a/blobs/uploads/" + uuid, "0-0", "0", b""), "the answer")
    wire.fails(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5")
    wire.fails(400, "NAME_INVALID", "POST", "/v2/A/blobs/uploads/")
    wire.works(202, "PATCH", a["Location"], b"data")
    a = wire.fails(429, "TOOMANYREQUESTS", "POST", "/v2/a/blobs/uploads/")
    check(a["Retry-After"], "Retry-After")
    full = Wire(FerryRegistry("full", arguments=["--disk-reserve=1000000GiB"]))
    a = full.fails(503, "TOOMANYREQUESTS", "POST", "/v2/a/blobs/uploads/")
    check(a["Retry-After"], "Retry-After")


@test
def row_11_a_blob_in_one_request_single_post():
    wire = writable()
    for algo in ALGOS:
        for data in (b"", b"x", os.urandom(3 << 20)):
            for chunked in (False, True):
                d = digest(algo, data)
                a = wire.works(201, "POST", "/v2/a/blobs/uploads/?digest=" + d.replace(":", "%3A"), data, chunked)
                check_equal((a["Location"], a["Docker-Content-Digest"]), ("/v2/a/blobs/" + d, d), "the answer")
                check(wire("GET", "/v2/a/blobs/" + d).body == data, "the bytes")
                wire.works(202, "DELETE", "/v2/a/blobs/" + d)
        wire.fails(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest=" + ABSENT[algo], b"x")
        wire.fails(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest=%s:12" % algo, b"x")
        wire.works(404, "HEAD", "/v2/a/blobs/" + ABSENT[algo])


@test
def row_12_a_mount_from_a_repository_mounting_a_blob():
    wire = writable()
    for algo in ALGOS:
        d = wire.push_blob("src/app", b"hello", algo)
        q = d.replace(":", "%3A")
        a = wire.works(201, "POST", "/v2/dst/blobs/uploads/?mount=%s&from=src%%2Fapp&origin=example.com" % q)
        check_equal((a["Location"], a["Docker-Content-Digest"]), ("/v2/dst/blobs/" + d, d), "the answer")
        check_equal(wire("GET", "/v2/dst/blobs/" + d).body, b"hello", "the bytes")
        for query in ("mount=%s&from=no/where" % q, "mount=%s&from=../../etc" % q, "mount=%s&from=NO" % q,
                      "mount=%s&from=src/app" % ABSENT[algo], "mount=sha256:12&from=src/app"):
            a = wire.works(202, "POST", "/v2/dst/blobs/uploads/?" + query)
            wire.works(204, "DELETE", a["Location"])
    check_equal(os.listdir("store/.store/up") if os.path.isdir("store/.store/up") else [], [],
                "a session that was not used left nothing")


@test
def row_13_a_mount_from_anywhere_mounting_a_blob():
    wire = writable()
    for algo in ALGOS:
        d = wire.push_blob("src", b"hello", algo)
        wire.works(201, "POST", "/v2/dst/blobs/uploads/?mount=" + d)
        wire.works(200, "HEAD", "/v2/dst/blobs/" + d)
        wire.works(202, "POST", "/v2/dst/blobs/uploads/?mount=" + ABSENT[algo])


def basic(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def token(registry, *scopes):
    query = "&".join("scope=repository:%s" % s for s in scopes)
    status, body, _ = registry.ask("GET", "/token?service=ferry&" + query, headers={"Authorization": basic("ann", "secret")})
    require(status == 200, "a token", status, body)
    return "Bearer " + json.loads(body)["token"]


@test
def rows_12_and_13_tell_nobody_what_they_may_not_read_mounting_a_blob():
    registry = FerryRegistry("store", users=[("ann", "secret")], arguments=["--auth=token"])
    for algo in ALGOS:
        d = Wire(registry, basic("ann", "secret")).push_blob("src", b"hello", algo)
        narrow = Wire(registry, token(registry, "dst:pull,push"))
        wide = Wire(registry, token(registry, "dst:pull,push", "src:pull"))
        for query in ("mount=%s&from=src" % d, "mount=" + d):
            there = narrow.works(202, "POST", "/v2/dst/blobs/uploads/?" + query)
            absent = narrow.works(202, "POST", "/v2/dst/blobs/uploads/?" + query.replace(d, ABSENT[algo]))
            check_equal(sorted(there.headers), sorted(absent.headers), "no sign of it")
        narrow.works(404, "HEAD", "/v2/dst/blobs/" + d)
        wide.works(202, "POST", "/v2/dst/blobs/uploads/?mount=" + d)
        wide.works(201, "POST", "/v2/dst/blobs/uploads/?mount=%s&from=src" % d)
        wide.works(200, "HEAD", "/v2/dst/blobs/" + d)
        Wire(registry, basic("ann", "secret")).works(201, "POST", "/v2/else/blobs/uploads/?mount=" + d)


@test
def row_13_with_anonymous_pull_everything_can_be_mounted_mounting_a_blob():
    registry = FerryRegistry("store", users=[("ann", "secret")], arguments=["--anonymous-pull"])
    for algo in ALGOS:
        d = Wire(registry, basic("ann", "secret")).push_blob("src", b"hello", algo)
        wire = Wire(registry, token(registry, "dst:pull,push"))
        wire.works(201, "POST", "/v2/dst/blobs/uploads/?mount=" + d)
        Wire(registry).works(200, "HEAD", "/v2/dst/blobs/" + d)
        Wire(registry).fails(401, "UNAUTHORIZED", "POST", "/v2/dst/blobs/uploads/?mount=" + d)


@test
def row_14_chunks_in_the_shapes_that_clients_send_pushing_a_blob_in_chunks():
    wire = writable()
    for algo in ALGOS:
        at = wire.start("a", "?digest-algorithm=" + algo)
        for data, chunked, content_range, end in ((b"12345", False, None, 4), (b"67890", True, None, 9),
                                                  (b"abc", False, "10-12", 12), (b"de", False, "bytes 13-14", 14)):
            a = wire.works(202, "PATCH", at, data, chunked, Content_Range=content_range)
            check_equal((a["Location"], a["Range"], a["Content-Length"]), (at, "0-%d" % end, "0"), "the answer")
            check(at.endswith(a["Docker-Upload-UUID"]), "Docker-Upload-UUID", a.headers)
        d = digest(algo, b"1234567890abcde")
        wire.works(201, "PUT", with_digest(at, d))
        check_equal(wire("GET", "/v2/a/blobs/" + d).body, b"1234567890abcde", "the bytes")


@test
def row_14_chunks_that_do_not_fit_pushing_a_blob_in_chunks():
    wire = writable("--max-blob-size=1000")
    at = wire.start("a")
    wire.works(202, "PATCH", at, b"12345")
    for content_range, status, code in (("0-4", 416, "BLOB_UPLOAD_INVALID"), ("6-10", 416, "BLOB_UPLOAD_INVALID"),
                                        ("5-10", 400, "SIZE_INVALID"), ("9-5", 400, "BLOB_UPLOAD_INVALID"),
                                        ("x", 400, "BLOB_UPLOAD_INVALID")):
        a = wire.fails(status, code, "PATCH", at, b"67890", Content_Range=content_range)
        if status == 416:
            check_equal((a["Location"], a["Range"]), (at, "0-4"), "where to go on")
        check_equal(wire.works(204, "GET", at)["Range"], "0-4", "nothing was stored")
    wire.fails(413, "SIZE_INVALID", "PATCH", at, b"x" * 996)
    wire.fails(413, "SIZE_INVALID", "PATCH", at, b"x" * 996, True)
    wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", "/v2/a/blobs/uploads/6a3f2c1e-0000-4000-8000-000000000000", b"x")
    wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", wire.start("b").replace("/b/", "/a/"), b"x")


def begin(registry, method, path, length, first, **headers):
    """A request whose body stops behind FIRST; the socket."""
    s = socket.create_connection(("127.0.0.1", registry.port))
    at_end_of_scenario(s.close)
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: x", "Content-Length: %d" % length]
    lines += ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items()]
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + first)
    return s


def hold(wire, at, length, first, **headers):
    """A PATCH that has the upload AT: as soon as its head was read. Asking whether it does takes the upload for a
    moment, too; where that came first the PATCH was answered, and begins again."""
    s = begin(wire.registry, "PATCH", at, length, first, **headers)
    while wire("GET", at).status != 503:
        if select.select([s], [], [], 0.01)[0]:
            s = begin(wire.registry, "PATCH", at, length, first, **headers)
    return s


@test
def row_14_the_loser_of_a_race_and_a_connection_that_dies_pushing_a_blob_in_chunks():
    wire = writable()
    registry = wire.registry
    at = wire.start("a")
    wire.works(202, "PATCH", at, b"12345")
    for more, left in (({}, "0-9"), ({"Content_Range": "10-109"}, "0-9")):
        s = hold(wire, at, 100, b"67890", **more)
        a = wire.fails(416, "BLOB_UPLOAD_INVALID", "PATCH", at, b"abcde")
        check_equal(a["Location"], at, "where it is")
        s.close()
        wait_for(lambda: wire("GET", at).status == 204, "the session to be free")
        check_equal(wire.works(204, "GET", at)["Range"], left, "what is kept")
    d = digest("sha256", b"1234567890")
    wire.works(201, "PUT", with_digest(at, d))


@test
def rows_14_to_17_a_session_belongs_to_who_started_it():
    registry = FerryRegistry("store", users=[("ann", "secret"), ("bob", "sesame")])
    ann, bob = Wire(registry, basic("ann", "secret")), Wire(registry, basic("bob", "sesame"))
    at = ann.start("a")
    ann.works(202, "PATCH", at, b"12345")
    for method in ("PATCH", "PUT", "GET", "DELETE"):
        bob.fails(404, "BLOB_UPLOAD_UNKNOWN", method, with_digest(at, digest("sha256", b"12345")), b"")
    ann.works(201, "PUT", with_digest(at, digest("sha256", b"12345")))


@test
def rows_11_to_15_a_disk_that_fills_up_is_503_and_free_again():
    os.mkdir("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", "disk"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no filesystem can be mounted")
    at_end_of_scenario(subprocess.run, ["umount", "-l", os.path.abspath("disk")])
    registry = FerryRegistry("disk/store", arguments=["--disk-reserve=0"], name="full")
    wire, data = Wire(registry), os.urandom(20 << 20)
    at = wire.start("a")
    # With a length it is known before; in chunks it is noticed when it happens.
    a = wire.fails(503, "TOOMANYREQUESTS", "PATCH", at, data)
    check(a["Retry-After"], "Retry-After")
    a = wire.fails(503, "TOOMANYREQUESTS", "PATCH", at, data, True)
    check(a["Retry-After"], "Retry-After")
    wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "GET", at)
    check_equal(os.listdir("disk/store/.store/up"), [], "the disk is free again")
    wire.push_blob("a", data[:8 << 20])


@test
def row_15_the_end_of_a_session_post_then_put():
    wire = writable()
    for algo in ALGOS:
        for first, last in ((b"", b"1234567890"), (b"1234567890", b""), (b"12345", b"67890")):
            for started in ALGOS:
                at = wire.start("a", "?digest-algorithm=" + started)
                if first:
                    wire.works(202, "PATCH", at, first)
                d = digest(algo, first + last)
                wire.fails(400, "DIGEST_INVALID", "PUT", at, last)
                wire.fails(400, "DIGEST_INVALID", "PUT", with_digest(at, algo + ":12"), last)
                if first:
                    a = wire.fails(416, "BLOB_UPLOAD_INVALID", "PUT", with_digest(at, d), b"67890", Content_Range="7-11")
                    check_equal((a["Location"], a["Range"]), (at, "0-%d" % (len(first) - 1)), "where to go on")
                    wire.fails(400, "SIZE_INVALID", "PUT", with_digest(at, d), b"678",
                               Content_Range="%d-%d" % (len(first), len(first) + 9))
                a = wire.works(201, "PUT", with_digest(at, d), last)
                check_equal((a["Location"], a["Docker-Content-Digest"], a["Content-Length"]),
                            ("/v2/a/blobs/" + d, d, "0"), "the answer")
                check_equal(wire("GET", "/v2/a/blobs/" + d).body, first + last, "the bytes")
                # The answer was lost, and the client asks again.
                wire.works(201, "PUT", with_digest(at, d), last)
                wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "PUT", with_digest(at, ABSENT[algo]), last)
                wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "DELETE", at)
                wire.works(202, "DELETE", "/v2/a/blobs/" + d)
        at = wire.start("a")
        wire.works(202, "PATCH", at, b"12345")
        wire.fails(400, "DIGEST_INVALID", "PUT", with_digest(at, ABSENT[algo]))
        wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "GET", at)
        wire.works(404, "HEAD", "/v2/a/blobs/" + ABSENT[algo])
        wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "PUT",
                   "/v2/a/blobs/uploads/6a3f2c1e-0000-4000-8000-000000000000?digest=" + ABSENT[algo])


@test
def row_15_a_session_goes_on_after_a_restart_pushing_a_blob_in_chunks():
    registry = FerryRegistry("store")
    wire = Wire(registry)
    for algo in ALGOS:
        at = wire.start("a", "?digest-algorithm=" + algo)
        wire.works(202, "PATCH", at, b"12345")
        registry.end()
        registry.begin()
        wire = Wire(registry)
        check_equal(wire.works(204, "GET", at)["Range"], "0-4", "what is there")
        d = digest(algo, b"1234567890")
        wire.works(201, "PUT", with_digest(at, d), b"67890")
        registry.end()
        registry.begin()
        wire = Wire(registry)
        wire.works(201, "PUT", with_digest(at, d))
        wire.works(202, "DELETE", "/v2/a/blobs/" + d)


@test
def row_15_expect_100_continue_is_answered_before_the_body():
    wire = writable("--max-blob-size=1000")
    for length, status in ((10, b"HTTP/1.1 100 "), (1001, b"HTTP/1.1 413 ")):
        s = begin(wire.registry, "PUT", with_digest(wire.start("a"), digest("sha256", b"1234567890")), length, b"",
                  Expect="100-continue")
        got = s.recv(4096)
        check(got.startswith(status), "the first answer", got)
        if length == 10:
            s.sendall(b"1234567890")
            check(s.recv(4096).startswith(b"HTTP/1.1 201 "), "the second answer")


@test
def row_16_the_status_of_a_session_pushing_a_blob_in_chunks():
    wire = writable()
    at = wire.start("a")
    for expected, data in (("0-0", b"1"), ("0-0", b"2345"), ("0-4", b"")):
        for method in ("GET", "HEAD"):
            a = wire.works(204, method, at)
            check_equal((a["Location"], a["Range"], a.body), (at, expected, b""), "the answer")
            check(at.endswith(a["Docker-Upload-UUID"]), "Docker-Upload-UUID", a.headers)
        wire.works(202, "PATCH", at, data)
    wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "GET", "/v2/a/blobs/uploads/nothing")


@test
def row_17_a_session_is_cancelled_dev():
    wire = writable()
    for data in (b"", b"12345"):
        at = wire.start("a")
        wire.works(202, "PATCH", at, data)
        a = wire.works(204, "DELETE", at)
        check_equal(a.body, b"", "no body")
        wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "DELETE", at)
        wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "GET", at)
        wire.fails(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", at, b"x")
    check_equal([n for n in os.listdir("store/.store/up")], [], "nothing is left")


# ---- several rows ---------------------------------------------------------------------------------

@test
def rows_1_to_20_need_a_user_where_there_are_users():
    registry = FerryRegistry("store", users=[("ann", "secret")])
    ann = Wire(registry, basic("ann", "secret"))
    for algo in ALGOS:
        Content(algo).push(ann)
    c = Content("sha256")
    for method, path in (("GET", "/v2/"), ("GET", "/v2/repo/app/blobs/" + c.d(c.layer)),
                         ("GET", "/v2/repo/app/manifests/v1-sha256"), ("PUT", "/v2/repo/app/manifests/v1"),
                         ("DELETE", "/v2/repo/app/manifests/v1-sha256"), ("DELETE", "/v2/repo/app/blobs/" + c.d(c.layer)),
                         ("POST", "/v2/repo/app/blobs/uploads/"), ("GET", "/v2/repo/app/tags/list"),
                         ("GET", "/v2/_catalog"), ("GET", "/v2/repo/app/referrers/" + c.d(c.image))):
        a = Wire(registry).fails(401, "UNAUTHORIZED", method, path)
        check_match("^Basic ", a["WWW-Authenticate"] or "", "the challenge")
    Wire(registry).works(200, "GET", "/healthz")
    for path in ("/v2/", "/v2/repo/app/manifests/v1-sha256", "/v2/_catalog"):
        ann.works(200, "GET", path)


@test
def the_same_over_tls():
    registry = FerryRegistry("store", tls=certificate())
    wire = Wire(registry)
    for algo in ALGOS:
        c = Content(algo)
        c.push(wire)
        check(wire("GET", "/v2/repo/app/blobs/" + c.d(c.layer)).body == c.layer, "a blob")
        check(wire("GET", "/v2/repo/app/manifests/v1-" + algo).body == c.image, "a manifest")


main()
