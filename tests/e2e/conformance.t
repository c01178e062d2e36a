#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the conformance suite of opencontainers/distribution-spec asks a registry, replayed by our own reading of it.

The requests are sent as its client sends them, and are those for the text after v1.1, with sparse images
and indexes. Where the suite lets a registry do without a feature, ferry has to have it.
"""
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from conformance import *
from e2e import *

WAYS = (post_and_put, post_alone, stream, chunks)
MORE_WAYS = (chunks_and_put, chunks_out_of_order, chunks_out_of_order_and_put)


def serving(*flags):
    return Client(FerryRegistry("store", arguments=flags))


def ping(client):
    client.ask("GET", "/v2/").wants(200)


# ---- blobs --------------------------------------------------------------------------------------

def blob_is_there(client, digest, data, repo=REPO):
    client.blob("HEAD", repo, digest).wants(200, body=b"", Content_Length=len(data), Docker_Content_Digest=digest)
    client.blob("GET", repo, digest).wants(200, body=data, Content_Length=len(data), Docker_Content_Digest=digest)


def blob_goes(client, digest, repo=REPO):
    client.blob("DELETE", repo, digest).wants(202)
    client.blob("HEAD", repo, digest).wants(404)


@test
def a_ping_and_an_empty_repository():
    client = serving()
    ping(client)
    client.tags().wants(200, 404)
    for algo in ALGOS:
        client.blob("GET", REPO, digest_of(algo, b"absent")).wants(404)
        a, found = client.referrers(digest_of(algo, b"absent"))
        a.holds(not found, "no referrers")


@test
def blobs_are_uploaded_in_every_way():
    client = serving()
    for algo in ALGOS:
        content = DataSet(algo)
        large = [(upload, content.random.randbytes(3 * CHUNK - 5)) for upload in WAYS + MORE_WAYS]
        small = [(upload, data) for upload in WAYS for data in (content.random.randbytes(CHUNK // 2), b"{}", b"")]
        for upload, data in large + small:
            digest = digest_of(algo, data)
            upload(client, REPO, digest, data)
            blob_is_there(client, digest, data)
            blob_goes(client, digest)


@test
def blobs_that_are_not_what_their_digest_says_are_refused():
    client = serving()
    for algo in ALGOS:
        content = DataSet(algo)
        for upload in WAYS + MORE_WAYS:
            data = content.random.randbytes(3 * CHUNK - 5)
            digest = digest_of(algo, data)
            upload(client, REPO, digest, data + b"more")
            client.blob("HEAD", REPO, digest).wants(404)


@test
def uploads_are_cancelled():
    client = serving()
    url = client.post(REPO).wants(202).location
    client.ask("DELETE", url).wants(204)
    client.ask("GET", url).wants(404)


@test
def blobs_are_read_in_ranges():
    client = serving()
    for algo in ALGOS:
        data = DataSet(algo).random.randbytes(2048)
        digest = digest_of(algo, data)
        post_alone(client, REPO, digest, data)
        for asked, first, last in (("500-1499", 500, 1499), ("500-", 500, 2047), ("-500", 1548, 2047), ("2000-5000", 2000, 2047)):
            client.blob("GET", REPO, digest, ("Range", "bytes=" + asked)).wants(
                206, body=data[first:last + 1], Content_Length=last - first + 1, Content_Range="bytes %d-%d/2048" % (first, last))
        for asked in ("500-0", "5000-10000"):
            client.blob("GET", REPO, digest, ("Range", "bytes=" + asked)).wants(416)


@test
def blobs_are_deleted_in_one_repository_alone():
    client = serving()
    for algo in ALGOS:
        data = DataSet(algo).random.randbytes(512)
        digest = digest_of(algo, data)
        for repo in (REPO, OTHER_REPO):
            post_and_put(client, repo, digest, data)
        blob_goes(client, digest)
        client.blob("DELETE", REPO, digest).wants(404)
        blob_is_there(client, digest, data, OTHER_REPO)
        blob_goes(client, digest, OTHER_REPO)


@test
def blobs_are_mounted():
    """end-11, with and without a source"""
    client = serving()
    for algo in ALGOS:
        content = DataSet(algo)
        for source in ([("from", OTHER_REPO)], []):
            data = content.random.randbytes(512)
            digest = digest_of(algo, data)
            post_and_put(client, OTHER_REPO, digest, data)
            uploaded(client, client.post(REPO, ("mount", digest), *source), digest, data)
            blob_is_there(client, digest, data)
            blob_goes(client, digest)
            blob_goes(client, digest, OTHER_REPO)
            # Of what was never there, an upload begins instead.
            data = content.random.randbytes(512)
            digest = digest_of(algo, data)
            post = client.post(REPO, ("mount", digest), *source).wants(202)
            close_upload(client, post.location, digest, data, body=data)
            blob_goes(client, digest)


# ---- images, indexes and artifacts --------------------------------------------------------------

def put(client, content, reference, digest, tags=()):
    """end-7, then what Location names."""
    data = content.manifests[digest]
    document = json.loads(data)
    subject = {"OCI_Subject": document["subject"]["digest"]} if "subject" in document else {}
    a = client.put_manifest(reference, data, tags).wants(201, Docker_Content_Digest=digest, **subject)
    if tags:
        a.holds(set(tags) <= set(a.listed("OCI-Tag")), "OCI-Tag: " + ", ".join(tags))
    client.ask("GET", a.location, *ACCEPT).wants(200, body=data, Content_Type=document["mediaType"], Content_Length=len(data))


def push(client, content):
    """Blobs in each of the ways in turn, manifests by digest, then by tag."""
    ways = itertools.cycle(WAYS)
    for digest, data in content.shuffled(content.blobs.items()):
        next(ways)(client, REPO, digest, data)
    for digest in content.manifests:
        put(client, content, digest, digest, [t for t, d in content.tags.items() if d == digest and content.tagged_by_digest])
    if not content.tagged_by_digest:
        for tag, digest in content.shuffled(content.tags.items()):
            put(client, content, tag, digest)


def read(client, content):
    for reference, digest in content.shuffled(list(content.tags.items()) + [(d, d) for d in content.manifests]):
        data = content.manifests[digest]
        for method, body in (("HEAD", b""), ("GET", data)):
            client.manifest(method, reference).wants(200, body=body, Content_Type=json.loads(data)["mediaType"],
                                                     Content_Length=len(data), Docker_Content_Digest=digest)
    for digest, data in content.shuffled(content.blobs.items()):
        blob_is_there(client, digest, data)


def list_tags(client, content):
    """end-8a, then end-8b from the middle on."""
    tags = sorted(content.tags)
    half = len(tags) // 2
    for start, query in [(0, [])] + ([(half, [("last", tags[half - 1])])] if half else []):
        a = client.tags(*query).wants(200)
        a.holds(a.json().get("tags") == tags[start:], "tags %s" % tags[start:])


def list_referrers(client, content):
    """end-12a, then end-12b for each type."""
    in_order = lambda entries: sorted(entries, key=lambda e: e["digest"])
    for subject, entries in content.referrers.items():
        a, found = client.referrers(subject)
        a.holds(in_order(found) == in_order(entries), entries)
        for artifact_type in sorted({e["artifactType"] for e in entries}):
            a, found = client.referrers(subject, ("artifactType", artifact_type))
            a.holds("artifactType" in a.listed("OCI-Filters-Applied"), "OCI-Filters-Applied: artifactType")
            wanted = [e for e in entries if e["artifactType"] == artifact_type]
            a.holds(in_order(found) == in_order(wanted), wanted)


def delete(client, content):
    """end-9 by tag and by digest, parents first, then end-10; what is gone answers 404 at once."""
    for reference in content.shuffled(content.tags) + list(reversed(content.manifests)):
        client.manifest("DELETE", reference).wants(202)
        client.manifest("HEAD", reference).wants(404)
    for digest in content.shuffled(content.blobs):
        blob_goes(client, digest)


def go_through(client, fill, algos=ALGOS):
    for algo in algos:
        content = DataSet(algo)
        fill(content)
        push(client, content)
        list_tags(client, content)
        read(client, content)
        list_referrers(client, content)
        delete(client, content)


def data_set(fill):
    """A test: what FILL makes is pushed, listed, read, referred to and deleted."""
    def scenario():
        go_through(serving(), fill)
    scenario.__name__ = fill.__name__ + "_comes_and_goes"
    return test(scenario)


@data_set
def an_image(content):
    content.image("image")


@data_set
def an_image_without_compression(content):
    content.image("uncompressed", [content.layer(compressed=False), content.layer(compressed=False)])


@data_set
def an_image_without_layers(content):
    content.image("no-layers", [])


@data_set
def an_image_with_layers_that_are_elsewhere(content):
    foreign = [dict(content.absent(LAYER.replace("layer", "layer.nondistributable") + suffix), urls=["https://blobs.example.com/" + suffix])
               for suffix in ("+gzip", "")]
    content.image("nondistributable", foreign + [content.layer()])


@data_set
def a_manifest_of_almost_4_mib(content):
    content.image("large", annotations={"org.example.large-%d" % i: "A" * 10000 for i in range(390)})


@data_set
def an_index(content):
    content.index("index")


@data_set
def an_index_of_indexes(content):
    content.manifest(INDEX, "nested", manifests=[content.index(), content.index()])


@data_set
def an_index_of_nothing(content):
    content.manifest(INDEX, "nothing", manifests=[])


@data_set
def an_artifact(content):
    content.artifact("artifact")


@data_set
def an_index_of_artifacts(content):
    content.index("artifacts", lambda _: content.artifact(), artifactType=EXAMPLE)


@data_set
def an_artifact_without_layers(content):
    empty = content.blob(b"{}", EMPTY)
    content.manifest(IMAGE, "no-layers", artifactType=EXAMPLE, config=empty, layers=[empty])


@data_set
def an_image_with_artifacts_about_it(content):
    subject = content.image("image")
    content.image(subject=subject, annotations=content.unique())
    content.artifact("one", subject=subject, annotations=content.unique())
    content.artifact("other", OTHER_EXAMPLE, OCTETS, subject=subject, annotations=content.unique())


@data_set
def an_index_with_an_index_about_it(content):
    subject = content.index("index")
    about = lambda: dict(subject=subject, annotations=content.unique())
    content.index("about", lambda _: content.artifact(**about()), artifactType=EXAMPLE, **about())


@data_set
def an_artifact_about_nothing_here(content):
    content.artifact("artifact", subject=content.absent(IMAGE), annotations=content.unique())


@data_set
def an_image_that_embeds_its_blobs(content):
    content.embedding = True
    content.image("embedding")


@data_set
def an_index_with_members_unknown_to_any_specification(content):
    extra = {"org.example.custom": "kept"}
    content.index("custom", lambda a: content.image(architecture=a, extra=extra), **extra)


@data_set
def an_index_tagged_as_it_is_pushed_by_digest(content):
    content.tagged_by_digest = True
    content.index("index")
    content.tags.update(("tag-%d" % i, digest) for i, digest in enumerate(content.manifests))


@data_set
def a_sparse_index(content):
    content.index("index", lambda a: content.image() if a == "amd64" else content.absent(IMAGE))


@test
def a_sparse_image_comes_and_goes_where_it_is_allowed():
    go_through(serving("--allow-sparse-images"), lambda content: content.image("image", [content.layer(), content.absent(LAYER)]))


@test
def manifests_that_are_absent_or_not_what_their_digest_says_are_refused():
    client = serving()
    client.manifest("GET", "absent").wants(404)
    for algo in ALGOS:
        content = DataSet(algo)
        image = content.image()["digest"]
        client.manifest("GET", image).wants(404)
        for digest, data in content.blobs.items():
            post_alone(client, REPO, digest, data)
        client.put_manifest(image, content.manifests[image] + b"  ").wants(400)
        client.manifest("HEAD", image).wants(404)
        client.put_manifest(algo + ":baddigeststring", content.manifests[image]).wants(400)
        client.manifest("GET", algo + ":baddigeststring").wants(404, 400)


# ---- the same by other doors --------------------------------------------------------------------

def light_pass(client):
    ping(client)
    go_through(client, lambda content: content.image("image"), ["sha256"])


@test
def users_with_a_password_see_the_same():
    need("htpasswd")
    registry = FerryRegistry("store", users=[("ann", "secret")], arguments=["--auth=basic"])
    Client(registry).ask("GET", "/v2/").wants(401, WWW_Authenticate=True)
    light_pass(Client(registry, ("ann", "secret")))


@test
def tls_shows_the_same():
    light_pass(Client(FerryRegistry("store", tls=certificate())))


main()
