#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a release costs: requests counted in the registries' access logs, and memory.

For M manifests and B blobs that go to an empty repository the least is a GET of each manifest and
blob at the source, POST and PUT of each blob and PUT of each manifest at the destination: 2M + 3B.
What may be added: the payload (a tag, a manifest, its layers), probes of both registries. With
nothing to do, one HEAD a manifest and the payload.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"
MAY_ADD = 30
CEILING = 64  # MiB
NOTHING_TO_DO, WITH_SIGNATURES = 240, 450  # of the release that is measured


def counts(directory):
    with open(os.path.join(directory, "plan")) as f:
        kinds = [line.split()[0] for line in f]
    repositories_share = 4  # base layers and their copies in the payload's own repository
    return kinds.count("manifest"), kinds.count("blob") - repositories_share + 1


def mirror(source, *to, **options):
    return succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG), *to,
                    **options)


def total(*registries):
    out = sum((r.requests() for r in registries), collections.Counter())
    note(" ".join("%s=%d" % kv for kv in sorted(out.items())) + " total=%d" % sum(out.values()))
    for r in registries:
        r.mark()
    return out


@test
def a_cold_run_takes_the_fast_path():
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    manifests, blobs = counts("source")
    to = "--to=%s/ocp4/openshift4" % destination.host
    r = mirror(source, to, binary=PLAIN, measured=True)
    got = total(source, destination)
    check(sum(got.values()) <= 2 * manifests + 3 * blobs + MAY_ADD,
          "cold: %d requests for %d manifests and %d blobs" % (sum(got.values()), manifests, blobs))
    check(got["PATCH"] == 0 and got["DELETE"] == 0, "one PUT a blob, nothing to clean up")
    check(0 < r.rss <= CEILING, "cold: %.0f MiB of memory" % r.rss)
    check_equal(len(destination.tags()), manifests, "every image arrives under a tag")

    again = mirror(source, to, binary=PLAIN, measured=True)
    got = total(source, destination)
    check(sum(got.values()) <= manifests + MAY_ADD, "nothing to do: %d requests" % sum(got.values()))
    check(got["POST"] == 0 and got["PUT"] == 0, "nothing to do: nothing is sent")
    check_equal(again.out, r.out, "and the same is reported")
    check(again.rss <= CEILING, "nothing to do: %.0f MiB of memory" % again.rss)


@test
def folders_take_the_fast_path_both_ways():
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    manifests, blobs = counts("source")
    r = mirror(source, "--to-dir=mirror", binary=PLAIN, measured=True)
    got = total(source)
    check(sum(got.values()) <= manifests + blobs + MAY_ADD, "to a folder: %d requests" % sum(got.values()))
    check(0 < r.rss <= CEILING, "to a folder: %.0f MiB of memory" % r.rss)
    r = succeeds("image", "mirror", "--insecure", "--from-dir=mirror", "file://openshift/release:%s*" % TAG,
                 destination.host + "/ocp4/openshift4", binary=PLAIN, measured=True)
    got = total(destination)
    check(sum(got.values()) <= manifests + 2 * blobs + MAY_ADD, "from a folder: %d requests" % sum(got.values()))
    check(0 < r.rss <= CEILING, "from a folder: %.0f MiB of memory" % r.rss)
    check_equal(len(destination.tags()), manifests, "every image arrives under a tag")


def signatures_cost_little(source, storage, destination):
    """Every tenth image is signed, every twentieth is referred to as well."""
    with open("source/plan") as f:
        images = [line.split()[1:3] for line in f if line.startswith("manifest ")]
    for number, (repo, digest) in enumerate(images):
        if number % 10 == 0 or repo == corpus.REL:
            layer = storage.layer([("signature", digest.encode(), 0o644)])
            storage.image(repo, [layer], "sha256-%s.sig" % digest[7:], types=corpus.OCI)
        if number % 20 == 0 or repo == corpus.REL:
            referrer = storage.image(repo, [layer], types=corpus.OCI, artifactType="application/x-test", subject={
                "mediaType": corpus.DOCKER["manifest"], "digest": digest, "size": 1})
            if not isinstance(storage, corpus.Tree):  # which lists them by itself
                storage.index(repo, [referrer + (None,)], "sha256-" + digest[7:])
    command = ["adm", "release", "mirror", "--insecure", "--from=%s/%s:4.18.1-x86_64" % (source.host, corpus.REL),
               "--to=%s/ocp4/openshift4" % destination.host]
    for flags, most in (([], NOTHING_TO_DO), (["--include-signatures"], WITH_SIGNATURES)):
        succeeds(*command, *flags, binary=PLAIN)
        total(source, destination)
        succeeds(*command, *flags, binary=PLAIN)
        got = total(source, destination)
        check(sum(got.values()) <= most, "%s: %d requests" % (" ".join(flags) or "by default", sum(got.values())))
        check(got["POST"] == 0 and got["PUT"] == 0, "nothing is sent")


@test
def signatures_cost_little_where_there_is_nothing_to_do():
    source, destination = Registry("source"), FerryRegistry("destination", binary=PLAIN)
    storage = corpus.write("release", "source", source.host, scale=0.001)
    signatures_cost_little(source, storage, destination)


@test
def and_where_each_image_is_asked_for_its_referrers():
    port = free_port()
    storage = corpus.write("release", "source", "127.0.0.1:%d" % port, scale=0.001, storage=corpus.Tree)
    source = FerryRegistry(roots=["source"], port=port, binary=PLAIN)
    signatures_cost_little(source, storage, Registry("destination"))


@test
def shared_blobs_are_mounted_not_sent_twice():
    source, destination = Registry("source"), Registry("destination")
    s = corpus.Storage("source")
    base = s.layer([("base", os.urandom(1 << 20), 0o644)])
    pairs = []
    for i in range(6):
        s.image("app%d" % i, [base, s.layer([("own%d" % i, b"x" * 5000, 0o644)])], "v1")
        pairs.append("%s/app%d:v1=%s/copy/app%d:v1" % (source.host, i, destination.host, i))
    succeeds("image", "mirror", "--insecure", *pairs)
    fetched = [p for m, p, _ in source.lines() if m == "GET" and p.endswith("/blobs/" + base[0])]
    check_equal(len(fetched), 1, "the shared layer is fetched once")
    mounted = [p for m, p, st in destination.lines() if m == "POST" and "mount=" + base[0].replace(":", "%3A") in p
               or m == "POST" and "mount=" + base[0] in p]
    check_equal(len(mounted), 5, "and mounted into the five other repositories")


@test
def new_repositories_cost_one_question_each():
    source, destination = Registry("source"), Registry("destination")
    s = corpus.Storage("source")
    for i in range(8):
        s.image("op%d" % i, [s.layer([("own%d" % i, b"x" * 5000, 0o644)])], "v1")
    pairs = ["%s/op%d:v1=%s/new/op%d:v1" % (source.host, i, destination.host, i) for i in range(8)]
    succeeds("image", "mirror", "--insecure", "--max-per-registry=1", *pairs)
    asked = [p for m, p, _ in destination.lines() if m in ("GET", "HEAD") and "/v2/new/" in p]
    check(len([p for p in asked if "/tags/list" in p]) <= 8 and len([p for p in asked if "/manifests/" in p]) <= 1,
          "one question a repository, and one more for the first: %s" % asked)


@test
def memory_is_bounded_by_large_layers_too():
    source, destination = Registry("source"), Registry("destination")
    corpus.write("big", "source", source.host, scale=0.3)
    pairs = ["%s/big/img%d:v1=%s/big/img%d:v1" % (source.host, i, destination.host, i) for i in range(2)]
    r = succeeds("image", "mirror", "--insecure", *pairs, binary=PLAIN, measured=True)
    check(0 < r.rss <= CEILING, "two layers of 150 MB: %.0f MiB of memory" % r.rss)
    r = succeeds("image", "mirror", "--insecure", source.host + "/big/img0:v1", "file://big:v1", binary=PLAIN, measured=True)
    check(0 < r.rss <= CEILING, "a layer of 150 MB to disk: %.0f MiB of memory" % r.rss)


main()
