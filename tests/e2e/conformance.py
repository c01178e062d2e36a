# SPDX-License-Identifier: Apache-2.0
"""A client that sends what Go's net/http would, and content to push with it, for conformance.t.

"end-" and a number is an endpoint of the OCI distribution-spec's table; "dev" is its text after v1.1.
"""
import base64
import gzip
import hashlib
import io
import json
import random
import tarfile
import urllib.parse

from e2e import at_end_of_scenario, check, require

ALGOS = ("sha256", "sha512")
REPO, OTHER_REPO = "conformance/one", "conformance/two"
CHUNK = 1024
OCTETS = "application/octet-stream"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EXAMPLE = "application/vnd.example.conformance.v1"
OTHER_EXAMPLE = "application/vnd.example.conformance.v2"
ACCEPT = [("Accept", INDEX), ("Accept", IMAGE)]  # in lines of their own


def digest_of(algo, data):
    return "%s:%s" % (algo, hashlib.new(algo, data).hexdigest())


def with_query(url, *pairs):
    """URL with PAIRS added to its query; sorted by name, as url.Values.Encode leaves it."""
    u = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(u.query, keep_blank_values=True) + list(pairs)
    return u._replace(query=urllib.parse.urlencode(sorted(query, key=lambda pair: pair[0]))).geturl()


# ---- asking -------------------------------------------------------------------------------------

class Answer:
    def __init__(self, request, url, response):
        self.request, self.url = request, url
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def __str__(self):
        return "%d %s, %d bytes %r" % (self.status, dict(self.headers), len(self.body), self.body[:200])

    def wants(self, *statuses, body=None, **headers):
        """One check: the status is one of STATUSES, the body is BODY, each header has this value (True: any)."""
        wrong = []
        if self.status not in statuses:
            wrong.append("status %s" % " or ".join(map(str, statuses)))
        if body is not None and self.body != body:
            wrong.append("a body of %d bytes %r" % (len(body), body[:200]))
        for name, value in headers.items():
            name = name.replace("_", "-")
            values = self.headers.get_all(name, [])
            if not values or value is not True and str(value) not in values:
                wrong.append("%s: %s" % (name, "any" if value is True else value))
        check(not wrong, self.request, "answer: %s" % self, "wanted: " + ", ".join(wrong))
        return self

    def holds(self, condition, wanted):
        """One check of what only the caller can judge."""
        check(condition, self.request, "answer: %s" % self, "wanted: %s" % (wanted,))

    def listed(self, name):
        """The members of a header that is a list, on one line or many."""
        return [v.strip() for line in self.headers.get_all(name, []) for v in line.split(",")]

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            require(False, self.request, "answer: %s" % self, "wanted: JSON")

    @property
    def location(self):
        require(self.headers["Location"], self.request, "answer: %s" % self, "wanted: a Location")
        return urllib.parse.urljoin(self.url, self.headers["Location"])


class Client:
    """One connection; LOGIN, a (user, password), is shown once Basic is asked for."""

    def __init__(self, registry, login=None):
        self.base = "%s://%s" % (registry.scheme, registry.host)
        self.connection = registry.connection()
        self.login, self.authorization = login, []
        at_end_of_scenario(self.connection.close)

    def ask(self, method, url, *headers, body=None, chunked=False):
        """HEADERS: (name, value), sent line by line. Go sends a body of no or unknown length in chunks."""
        answer = self._once(method, url, headers, body, chunked)
        if answer.status == 401 and self.login and not self.authorization:
            answer.holds((answer.headers["WWW-Authenticate"] or "").startswith("Basic realm="), "WWW-Authenticate: Basic")
            self.authorization = [("Authorization", "Basic " + base64.b64encode(":".join(self.login).encode()).decode())]
            answer = self._once(method, url, headers, body, chunked)
        return answer

    def _once(self, method, url, headers, body, chunked):
        url = urllib.parse.urljoin(self.base, url)
        headers, sent = list(headers) + self.authorization, body
        if body is not None and (chunked or not body):
            headers.insert(0, ("Transfer-Encoding", "chunked"))
            sent = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        elif body is not None or method in ("POST", "PUT", "PATCH"):
            headers.insert(0, ("Content-Length", str(len(body or b""))))
        self.connection.putrequest(method, url[len(self.base):], skip_accept_encoding=True)
        for name, value in headers:
            self.connection.putheader(name, value)
        try:
            self.connection.endheaders(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused without reading the body: the answer is there
        shown = ["%s: %s" % h for h in headers if h[0] != "Authorization"]
        size = "" if body is None else ", %d bytes" % len(body)
        return Answer("%s %s %s%s" % (method, url, shown, size), url, self.connection.getresponse())

    # What the endpoints are asked for.

    def blob(self, method, repo, digest, *headers):
        """end-2, end-10"""
        return self.ask(method, "/v2/%s/blobs/%s" % (repo, digest), *headers)

    def post(self, repo, *query, body=None):
        """end-4a, end-4b, end-11"""
        content_type = [("Content-Type", OCTETS)] if body is not None else []
        return self.ask("POST", with_query("/v2/%s/blobs/uploads/" % repo, *query), *content_type, body=body)

    def manifest(self, method, reference):
        """end-3, end-9"""
        return self.ask(method, "/v2/%s/manifests/%s" % (REPO, reference), *(ACCEPT if method != "DELETE" else []))

    def put_manifest(self, reference, data, tags=()):
        """end-7; with tag parameters (dev) a digest gets its tags at once."""
        url = with_query("/v2/%s/manifests/%s" % (REPO, reference), *[("tag", t) for t in tags])
        return self.ask("PUT", url, ("Content-Type", json.loads(data)["mediaType"]), body=data, chunked=True)

    def tags(self, *query):
        """end-8a, end-8b"""
        return self.ask("GET", with_query("/v2/%s/tags/list" % REPO, *query))

    def referrers(self, digest, *query):
        """end-12a, end-12b"""
        a = self.ask("GET", with_query("/v2/%s/referrers/%s" % (REPO, digest), *query)).wants(200, Content_Type=INDEX)
        document = a.json()
        a.holds((document.get("schemaVersion"), document.get("mediaType")) == (2, INDEX), "an index")
        return a, document.get("manifests") or []


# ---- uploading: each way takes (client, repository, digest, data) ---------------------------------

def close_upload(client, url, digest, data, *headers, body=None):
    """end-6, with the last chunk or without a body."""
    content_type = [("Content-Type", OCTETS)]
    uploaded(client, client.ask("PUT", with_query(url, ("digest", digest)), *content_type, *headers, body=body), digest, data)


def uploaded(client, answer, digest, data):
    """An upload's last ANSWER: the blob is where Location says; if DATA is not what DIGEST names, it is refused."""
    if digest_of(digest.split(":")[0], data) != digest:
        answer.wants(400)
        return
    answer.wants(201, Location=True, Docker_Content_Digest=digest)
    client.ask("GET", answer.location).wants(200, body=data)


def post_alone(client, repo, digest, data):
    """end-4b"""
    uploaded(client, client.post(repo, ("digest", digest), body=data), digest, data)


def post_and_put(client, repo, digest, data):
    """end-4a, end-6"""
    close_upload(client, client.post(repo).wants(202).location, digest, data, body=data)


def stream(client, repo, digest, data):
    """end-4a, end-5 with a body of unknown length, end-6"""
    url = client.post(repo).wants(202).location
    a = client.ask("PATCH", url, ("Content-Type", OCTETS), body=data, chunked=True).wants(202)
    close_upload(client, a.location, digest, data)


def chunks(client, repo, digest, data, last_in_put=False, out_of_order=False):
    """end-4a, end-5 for each chunk, end-6; "Pushing a blob in chunks" """
    url = client.post(repo).wants(202).location
    for start in range(0, len(data), CHUNK):
        in_put = last_in_put and start + CHUNK >= len(data)
        if out_of_order:
            skip_ahead(client, url, digest, data, start, last_in_put)
        part = data[start:start + CHUNK]
        place = ("Content-Range", "%d-%d" % (start, start + len(part) - 1))
        if in_put:
            close_upload(client, url, digest, data, place, body=part)
        else:
            url = client.ask("PATCH", url, ("Content-Type", OCTETS), place, body=part).wants(202).location
    if not last_in_put:
        close_upload(client, url, digest, data)


def skip_ahead(client, url, digest, data, start, last_in_put):
    """Behind START sends the chunk after the next (at the end, the first) and is told 416; end-13 says where to go on.

    Before the first byte that is 0-0, as ranges have no way to say nothing.
    """
    wrong = start + CHUNK if start + CHUNK < len(data) else 0
    part = data[wrong:wrong + CHUNK]
    in_put = last_in_put and wrong + len(part) == len(data)
    target = with_query(url, ("digest", digest)) if in_put else url
    place = ("Content-Range", "%d-%d" % (wrong, wrong + len(part) - 1))
    client.ask("PUT" if in_put else "PATCH", target, ("Content-Type", OCTETS), place, body=part).wants(416)
    client.ask("GET", url).wants(204, Location=True, Range="0-%d" % max(0, start - 1))


def chunks_and_put(client, repo, digest, data):
    chunks(client, repo, digest, data, last_in_put=True)


def chunks_out_of_order(client, repo, digest, data):
    chunks(client, repo, digest, data, out_of_order=True)


def chunks_out_of_order_and_put(client, repo, digest, data):
    chunks(client, repo, digest, data, last_in_put=True, out_of_order=True)


# ---- content ------------------------------------------------------------------------------------

class DataSet:
    """What is pushed together, named by ALGO. Random, the same in every run.

    blobs: {digest: bytes}. manifests: {digest: bytes}, in the order of pushing. tags: {tag: digest}.
    referrers: {digest of the subject: [descriptor as end-12 has to give it]}.
    """

    def __init__(self, algo):
        self.algo, self.random = algo, random.Random(algo)
        self.blobs, self.manifests, self.tags, self.referrers = {}, {}, {}, {}
        self.embedding = False
        self.tagged_by_digest = algo != "sha256"  # a manifest that is put by its tag gets sha256

    def shuffled(self, things):
        return self.random.sample(list(things), len(things))

    def descriptor(self, data, media_type):
        return dict(mediaType=media_type, digest=digest_of(self.algo, data), size=len(data))

    def blob(self, data, media_type=OCTETS):
        d = self.descriptor(data, media_type)
        self.blobs[d["digest"]] = data
        if self.embedding:
            d["data"] = base64.b64encode(data).decode()
        return d

    def absent(self, media_type):
        """A descriptor of what is not in the set."""
        return self.descriptor(self.random.randbytes(512), media_type)

    def layer(self, compressed=True):
        out, text = io.BytesIO(), b"a file of a layer: %d\n" % self.random.getrandbits(63)
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo("./file.txt")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        data = out.getvalue()
        return self.blob(gzip.compress(data, mtime=0), LAYER + "+gzip") if compressed else self.blob(data, LAYER)

    def manifest(self, media_type, tag=None, annotations=None, subject=None, **fields):
        document = dict(schemaVersion=2, mediaType=media_type, **fields)
        document.update({k: v for k, v in (("annotations", annotations), ("subject", subject)) if v})
        data = json.dumps(document, separators=(",", ":")).encode()
        d = self.descriptor(data, media_type)
        self.manifests[d["digest"]] = data
        if tag:
            self.tags[tag] = d["digest"]
        if subject:
            artifact_type = fields.get("artifactType") or fields["config"]["mediaType"]
            entry = dict(d, artifactType=artifact_type, annotations=annotations)
            self.referrers.setdefault(subject["digest"], []).append(entry)
        return d

    def image(self, tag=None, layers=None, architecture="amd64", extra=None, **more):
        """EXTRA: members of the manifest and the config that no specification knows."""
        layers = [self.layer(), self.layer()] if layers is None else layers
        config = dict(architecture=architecture, os="linux", created="2026-01-01T00:00:00Z", author=str(self.random.random()),
                      rootfs=dict(type="layers", diff_ids=[l["digest"] for l in layers]), **extra or {})
        return self.manifest(IMAGE, tag, config=self.blob(json.dumps(config).encode(), CONFIG), layers=layers, **extra or {}, **more)

    def artifact(self, tag=None, artifact_type=EXAMPLE, layer_type=EXAMPLE, **more):
        layer = self.blob(self.random.randbytes(2048), layer_type)
        return self.manifest(IMAGE, tag, artifactType=artifact_type, config=self.blob(b"{}", EMPTY), layers=[layer], **more)

    def index(self, tag=None, make=None, **more):
        """Two platforms; MAKE gives the image of one."""
        make = make or (lambda architecture: self.image(architecture=architecture))
        children = [dict(make(a), platform=dict(architecture=a, os="linux")) for a in ("amd64", "arm64")]
        return self.manifest(INDEX, tag, manifests=children, **more)

    def unique(self):
        """Annotations that no other manifest has."""
        return {"org.example.greeting": "hello", "org.example.number": str(self.random.random())}
