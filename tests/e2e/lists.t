#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists and indexes: kept whole, nested, sparse, sharing children, with gaps."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus


def setup():
    source, destination = Registry("source"), Registry("destination")
    return source, destination, corpus.Storage("source")


def children(s, repo, *archs):
    return [s.image(repo, [s.layer([("arch", a.encode() * 100, 0o644)])], arch=a, types=corpus.OCI) + (a,)
            for a in archs]


def forget(source, repo, digest):
    """The source has lost a manifest that a list still names."""
    link = os.path.join(source.directory, "docker/registry/v2/repositories", repo, "_manifests/revisions/sha256",
                        digest[7:], "link")
    os.unlink(link)


@test
def lists_that_share_children_all_arrive():
    source, destination, s = setup()
    kids = children(s, "multi", "amd64", "arm64", "s390x")
    want = {"all": s.index("multi", kids, "all")[0], "two": s.index("multi", kids[1:], "two")[0],
            "one": s.index("multi", kids[:1], "one")[0]}
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", source.host + "/multi",
             destination.host + "/multi")
    check_equal(destination.tags(), {"multi:" + t: d for t, d in want.items()}, "tags")
    check_equal(len(destination.manifests()), 6, "three lists and three children")


@test
def a_nested_index_arrives_with_its_grandchildren():
    source, destination, s = setup()
    inner = s.index("n", children(s, "n", "amd64", "arm64"))
    outer = s.index("n", [inner + (None, corpus.OCI["index"])] + children(s, "n", "ppc64le"), "nested")
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", source.host + "/n:nested",
             destination.host + "/n:nested")
    check_equal(destination.tags(), {"n:nested": outer[0]}, "the tag names the outer index")
    check_equal(len(destination.manifests()), 5, "two indexes and three images")


@test
def a_list_named_by_digest_is_kept_whole():
    source, destination, s = setup()
    index = s.index("multi", children(s, "multi", "amd64", "arm64"), "latest")[0]
    r = succeeds("image", "mirror", "--insecure", "%s/multi@%s" % (source.host, index), destination.host + "/copy")
    check("%s %s/copy\n" % (index, destination.host) in r.out, "the list's own digest is reported", r.out)
    check_equal(len(destination.manifests()), 3, "the list and its children")


@test
def a_tag_is_filtered_to_this_platform_and_that_is_said():
    source, destination, s = setup()
    kids = children(s, "multi", "amd64", "arm64")
    s.index("multi", kids, "latest")
    r = succeeds("image", "mirror", "--insecure", "--filter-by-os=linux/arm64", source.host + "/multi:latest",
                 destination.host + "/copy:v1")
    check_equal(destination.tags(), {"copy:v1": kids[1][0]}, "the tag names the child")


@test
def nothing_for_the_platform_is_an_error():
    source, destination, s = setup()
    s.index("multi", children(s, "multi", "s390x", "ppc64le"), "latest")
    r = ferry("image", "mirror", "--insecure", "--filter-by-os=linux/amd64", source.host + "/multi:latest",
              destination.host + "/copy:v1")
    check_equal(r.rc, 1, "exit status")
    check_match(r"linux/amd64", r.err, "stderr")
    check_equal(destination.tags(), {}, "nothing arrives")


@test
def skip_missing_skips_tags_digests_and_children():
    source, destination, s = setup()
    kids = children(s, "multi", "amd64", "arm64")
    s.index("multi", kids, "latest")
    good = s.image("single", [s.layer([("x", b"y", 0o644)])], "v1")[0]
    forget(source, "multi", kids[1][0])
    none = "sha256:" + "0" * 64
    r = ferry("image", "mirror", "--insecure", "--keep-manifest-list", "--skip-missing",
              *["%s/%s=%s/%s" % (source.host, a, destination.host, b) for a, b in (
                  ("multi:latest", "multi:latest"), ("single:nope", "d/one:a"), ("single@" + none, "d/one:b"),
                  ("single:v1", "d/one:c"))])
    check_equal(r.rc, 0, "asked-for gaps are no failure: " + r.err)
    check_equal(destination.tags().get("d/one:c"), good, "what exists arrives")
    for name in ("single:nope", none):
        check(name in r.err, "stderr names %s" % name, r.err)
    check_match(r"multi", r.err, "stderr")
    r = ferry("image", "mirror", "--insecure", "--keep-manifest-list", "--skip-missing",
              source.host + "/multi:latest", "file://multi:latest", "--dir=media")
    check_equal(r.rc, 0, "a folder takes a sparse index: " + r.err)
    check(os.path.exists("media/v2/multi/manifests/latest"), "the index is there, sparse")
    check_equal(bad_files("media"), [], "and its bytes are unchanged")


@test
def without_skip_missing_a_gap_is_an_error_that_names_it():
    source, destination, s = setup()
    kids = children(s, "multi", "amd64", "arm64")
    s.index("multi", kids, "latest")
    forget(source, "multi", kids[1][0])
    r = ferry("image", "mirror", "--insecure", "--keep-manifest-list", source.host + "/multi:latest",
              destination.host + "/multi:latest")
    check_equal(r.rc, 1, "exit status")
    check("multi" in r.err and "manifest" in r.err, "stderr names the image", r.err)
    check_equal(destination.tags(), {}, "no tag appears")


@test
def continue_on_error_reports_an_incomplete_run():
    source, destination, s = setup()
    good = s.image("single", [s.layer([("x", b"y", 0o644)])], "v1")[0]
    r = ferry("image", "mirror", "--insecure", "--continue-on-error",
              "%s/single:nope=%s/d:a" % (source.host, destination.host),
              "%s/single:v1=%s/d:b" % (source.host, destination.host))
    check_equal(r.rc, 3, "finished but incomplete: " + r.err)
    check_equal(destination.tags(), {"d:b": good}, "what exists arrives")
    check_match(r"single(:| by tag )nope", r.err, "stderr")


main()
