#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""release info and image info: what they ask for, what mirror policies change, and what is never taken for good."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus
import openpgp

VERSION = "4.18.1"
TAG = VERSION + "-x86_64"
DEAD = "127.0.0.1:9"


class Release:
    """A release of three components that says they are at HOST, in a registry."""

    def __init__(self, folder="source", host=None, version=VERSION, tls=None, changed=(), registry=None):
        self.registry = registry or Registry(folder, tls=tls)
        self.storage = corpus.Storage(folder)
        self.names = ["cli", "installer", "pod"]
        base = self.storage.layer([("base", b"base" * 5000, 0o644)])
        self.digests = {n: self.storage.image(corpus.ART, [base, self.storage.layer(
            [("bin/" + n, (n + (version if n in changed else "")).encode() * 900, 0o755)])])[0] for n in self.names}
        self.digest = self.storage.release(host or self.registry.host, version, sorted(self.digests.items()), [base])[0]
        self.reference = "%s/%s:%s-x86_64" % (self.registry.host, corpus.REL, version)

    def component(self, name):
        return "%s/%s@%s" % (self.registry.host, corpus.ART, self.digests[name])


def policy(name, source, *mirrors, never=False, kind="ImageDigestMirrorSet", key="imageDigestMirrors"):
    with open(name, "a") as f:
        f.write("---\napiVersion: config.openshift.io/v1\nkind: %s\nmetadata:\n  name: x\nspec:\n  %s:\n"
                "  - source: %s\n    mirrors:%s\n" % (kind, key, source, "".join("\n    - " + m for m in mirrors) or " []"))
        if never:
            f.write("    mirrorSourcePolicy: NeverContactSource\n")
    return "--idms-file=" + name


def info(*arguments, run=succeeds):
    return run("adm", "release", "info", *arguments)


@test
def a_release_is_shown_without_a_look_at_its_components():
    release = Release()
    release.registry.mark()
    r = info("--insecure", release.reference, "--pullspecs")
    for name in release.names:
        check(re.search(r"^  %s +%s$" % (name, re.escape(release.component(name))), r.out, re.M), name, r.out)
    asked = [path for _, path, _ in release.registry.lines() if corpus.ART in path]
    check_equal(asked, [], "requests for components")
    check(sum(release.registry.requests().values()) <= 4, "few requests", str(release.registry.lines()))


@test
def every_image_is_asked_for_once_where_sizes_are_wanted():
    release = Release()
    release.registry.mark()
    r = info("--insecure", release.reference, "--size")
    check(" across 4 layers" in r.out, "layers that are shared count once", r.out)
    asked = [path for method, path, _ in release.registry.lines() if corpus.ART + "/manifests" in path]
    check_equal(len(asked), 3, "manifests")


@test
def images_are_read_through_the_mirrors_of_a_policy():
    release = Release(host=DEAD)
    flag = policy("idms.yaml", DEAD, release.registry.host)
    r = info("--insecure", release.reference, "--size", flag)
    check(" across 4 layers" in r.out, "components are found", r.out)
    check("only applies to images referenced by digest" in r.err, "a warning about the tag", r.err)
    for form in ([], ["-o", "json"]):
        succeeds("image", "info", "--insecure", "%s/%s@%s" % (DEAD, corpus.ART, release.digests["cli"]), flag, *form)
    r = ferry("image", "info", "--insecure", "%s/%s@%s" % (DEAD, corpus.ART, release.digests["cli"]))
    check_equal(r.rc, 1, "without it they are not")


@test
def the_order_of_a_policy_is_kept_and_what_one_mirror_lacks_the_next_has():
    release, empty, source = Release(host=DEAD), Registry("empty"), Registry("other")
    flag = policy("idms.yaml", source.host, DEAD + "/x", empty.host + "/x", release.registry.host)
    image = "%s/%s@%s" % (source.host, corpus.ART, release.digests["cli"])
    for registry in (empty, release.registry, source):
        registry.mark()
    succeeds("image", "info", "--insecure", image, flag)
    check(empty.requests()["GET"] > 1, "the first mirror that answers is asked first")
    check(release.registry.requests()["GET"] > 1, "then the next")
    check_equal([p for _, p, _ in source.lines()], [], "the source is left alone")


@test
def a_source_that_must_not_be_contacted_is_not():
    release, empty = Release(), Registry("empty")
    image = release.component("cli")
    allowed = policy("allowed.yaml", release.registry.host, empty.host)
    never = policy("never.yaml", release.registry.host, empty.host, never=True)
    release.registry.mark()
    r = ferry("image", "info", "--insecure", image, never)
    check_equal(r.rc, 1, "nothing is found")
    check_equal([p for _, p, _ in release.registry.lines()], [], "requests to the source")
    succeeds("image", "info", "--insecure", image, allowed)
    general = policy("general.yaml", release.registry.host, never=True)
    policy("general.yaml", "%s/%s" % (release.registry.host, corpus.ART), empty.host + "/x")
    succeeds("image", "info", "--insecure", image, general)
    r = ferry("image", "info", "--insecure", "%s/%s@%s" % (release.registry.host, corpus.REL, release.digest), general)
    check("NeverContactSource" in r.err and r.rc == 1, "a source without mirrors is told", r.err)


@test
def mirrors_are_trusted_no_more_than_registries():
    crt, key = certificate()
    release = Release(host=DEAD, tls=(crt, key))
    flag = policy("idms.yaml", DEAD, release.registry.host)
    image = "%s/%s@%s" % (DEAD, corpus.ART, release.digests["cli"])
    r = ferry("image", "info", image, flag)
    check_equal(r.rc, 1, "an unknown certificate is refused")
    check("certificate" in r.err, "and told", r.err)
    succeeds("image", "info", image, flag, "--certificate-authority=" + crt)
    succeeds("image", "info", image, flag, "--insecure")


@test
def the_section_that_a_mirror_run_prints_is_a_policy():
    release, destination = Release(), Registry("destination")
    for kind, key in (("icsp", "imageContentSources"), ("idms", "imageDigestSources")):
        r = succeeds("adm", "release", "mirror", "--insecure", "--from=" + release.reference, "--to=%s/ocp4" % destination.host,
                     "--print-mirror-instructions=" + kind)
        section = re.search(r"^%s:\n(?:[- ].*\n)+" % key, r.out, re.M)
        require(section, "the section is printed", r.out)
        with open(kind + ".yaml", "w") as f:
            f.write(section.group(0))
        destination.mark()
        succeeds("image", "info", "--insecure", release.component("pod"), "--idms-file=%s.yaml" % kind)
        check(destination.requests()["GET"] > 1, "the mirror is asked")


@test
def tags_have_mirrors_of_their_own():
    release = Release()
    flag = policy("itms.yaml", DEAD, release.registry.host, kind="ImageTagMirrorSet", key="imageTagMirrors")
    r = info("--insecure", "%s/%s:%s" % (DEAD, corpus.REL, TAG), flag, "-o", "name")
    check_equal(r.out, "cli\ninstaller\npod\n", "stdout")
    check("only applies" not in r.err, "no warning", r.err)


@test
def files_that_are_no_policy_are_refused_at_once():
    release = Release()
    for name, text, why in (("foo.yaml", "kind: Foo\n", "Object 'apiVersion' is missing"), ("empty.yaml", "", "no mirror policy"),
                            ("open.yaml", "a: [\n", "line 2"), ("bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
                                "%s: &%s [%s]\n" % (n, n, ",".join(["*" + p] * 10)) for p, n in zip("abcdefg", "bcdefgh")), "values")):
        with open(name, "w") as f:
            f.write(text)
        release.registry.mark()
        r = info("--insecure", release.reference, "--idms-file=" + name, run=ferry)
        check_equal(r.rc, 1, name)
        check(why in r.err, "the reason", r.err)
        check_equal(release.registry.lines(), [], "requests")
    check_equal(info("--insecure", release.reference, "--idms-file=missing.yaml", run=ferry).rc, 1, "a missing file")


@test
def what_could_not_be_read_is_never_taken_for_good():
    release = Release()
    lost = release.digests["installer"]
    os.unlink(release.storage.blob_path(lost))
    r = info("--insecure", release.reference, "--size", run=ferry)
    check_equal(r.rc, 3, "incomplete")
    check('\nWarnings:\n* tag "installer": ' in r.out, "told in the text", r.out)
    r = info("--insecure", release.reference, "--include-images", "-o", "json", run=ferry)
    check_equal(r.rc, 3, "incomplete as JSON")
    shown = json.loads(r.out)
    check_equal(sorted(shown["images"]), ["cli", "pod"], "images")
    check_equal(len(shown["warnings"]), 1, "warnings")
    r = info("--insecure", release.reference, "--verify", run=ferry)
    check_equal((r.rc, r.out), (1, ""), "--verify")


@test
def damaged_components_do_not_verify():
    release = Release()
    path = release.storage.blob_path(release.digests["pod"])
    with open(path, "r+b") as f:
        content = f.read()
        f.seek(0)
        f.write(content.replace(b"schemaVersion", b"schemaversion"))
    r = info("--insecure", release.reference, "--verify", run=ferry)
    check_equal((r.rc, r.out), (1, ""), "the release")
    check("pod" in r.err, "the component is named", r.err)


@test
def verify_says_whether_the_release_is_signed():
    release, signer, other = Release(), openpgp.Key("signer"), openpgp.Key("other")
    folder = "store/sha256=" + release.digest[7:]
    os.makedirs(folder)
    with open(folder + "/signature-1", "wb") as f:
        f.write(signer.sign(release.digest, "quay.io/test/release:" + TAG))
    for name, key in (("signer.asc", signer), ("other.asc", other)):
        with open(name, "wb") as f:
            f.write(key.public)
    line = r"^%s 20\S+Z %s\n$" % (release.digest, re.escape(VERSION))
    r = info("--insecure", release.reference, "--verify")
    check_match(line, r.out, "stdout without keys")
    check("warning: the release is not verified: " in r.err, "a warning", r.err)
    r = info("--insecure", release.reference, "--verify", "--keyring=signer.asc", "--signature-store=store", "--require-signature")
    check_match(line, r.out, "stdout")
    check("info: Verified " + release.digest in r.err, "stderr", r.err)
    r = info("--insecure", release.reference, "--verify", "--keyring=other.asc", "--signature-store=store", "--require-signature",
             run=ferry)
    check_equal((r.rc, r.out), (1, ""), "another key")
    r = info("--insecure", release.reference, "--keyring=other.asc", run=ferry)
    check("need --verify" in r.err, "flags that would do nothing", r.err)


@test
def an_upgrade_is_what_a_mirror_run_sends():
    old = Release(version="4.18.1")
    new = Release(version="4.18.2", changed=["cli", "pod"], registry=old.registry)
    destination = Registry("destination")
    r = info("--insecure", old.reference, new.reference, "--size", "-o", "json")
    upgrade = json.loads(r.out)["mirrorUpgrade"]
    check_equal((upgrade["images"], upgrade["changedImages"]), (4, 3), "images")
    for release in (old, new):
        destination.mark()
        succeeds("adm", "release", "mirror", "--insecure", "--from=" + release.reference, "--to=%s/ocp4" % destination.host)
    pushed = {p for m, p, status in destination.lines() if m == "PUT" and status == "201" and "/manifests/sha256" not in p}
    blobs = [p for p in pushed if "/uploads/" in p]
    manifests = {d for d in destination.manifests() if True}
    check_equal(upgrade["blobs"], len(blobs) + upgrade["changedImages"], "blobs and manifests that the upgrade pushes")
    text = info("--insecure", old.reference, new.reference, "--size").out
    check_match(r"\nMirror Upgrade:\n  Images:  3 of 4\n  Blobs:   %d\n  Size:    \S+kB\n" % upgrade["blobs"], text, "the text")
    check(manifests, "something was mirrored")


@test
def media_are_shown_in_every_layout():
    release = Release()
    for layout in ("oc", "portable"):
        succeeds("adm", "release", "mirror", "--insecure", "--from=" + release.reference, "--to-dir=" + layout, "--layout=" + layout)
    stop(release.registry.process)
    for layout in ("oc", "portable"):
        r = info("--dir=" + layout, "file://openshift/release:" + TAG, "--size")
        check(" across 4 layers" in r.out, layout, r.out)
        check("Pull From: file://openshift/release@" + release.digest in r.out, "the reference", r.out)
        r = succeeds("image", "info", "--dir=" + layout, "file://openshift/release:%s*" % TAG, "-o", "json")
        check_equal(r.out.count('"contentDigest"'), 4, "images of the folder")


@test
def the_files_of_a_payload_are_shown_after_each_other():
    r = info("--insecure", Release().reference, "--contents")
    check_equal(re.findall(r"(?m)^# (.*)$", r.out), ["image-references", "release-metadata"], "names")
    check('"kind": "ImageStream"' in r.out and "cincinnati-metadata-v0" in r.out, "and contents", r.out)


@test
def what_needs_the_sources_of_components_is_refused_by_name():
    for flag in ("--changelog=git", "--bugs=git"):
        r = info("--insecure", "127.0.0.1:9/a:1", "127.0.0.1:9/a:2", flag, run=ferry)
        check_equal((r.rc, r.out), (1, ""), flag)
        check_equal(r.err, "error: --changelog and --bugs read the sources of components, and ferry does not\n"
                    "hint: --commits shows which commits to compare\n", "the reason")


@test
def images_of_a_list_are_chosen_or_shown_in_its_order():
    source, s = Registry("source"), corpus.Storage("source")
    entries = [s.image("a", [s.layer([("x", arch.encode(), 0o644)])], arch=arch) + (arch,) for arch in ("s390x", "amd64", "arm64")]
    index = s.index("a", entries, "v1")[0]
    image = source.host + "/a:v1"
    source.mark()
    r = ferry("image", "info", "--insecure", image)
    check_equal((r.rc, r.out), (1, ""), "a list is not an image")
    check_equal(re.findall(r"(?m)^ +linux/(\S+) +(sha256:\S+)$", r.err), [(e[2], e[0]) for e in entries], "the choice")
    check_equal(len([p for _, p, _ in source.lines() if "/manifests/" in p]), 1, "entries are not read for that")
    r = succeeds("image", "info", "--insecure", image, "--show-multiarch")
    check_equal(re.findall(r"(?m)^(?:Digest|Manifest List): +(\S+)$", r.out), [d for e in entries for d in (e[0], index)], "all")
    r = succeeds("image", "info", "--insecure", image, "--filter-by-os=linux/arm64")
    check_equal(re.findall(r"(?m)^Digest: +(\S+)$", r.out), [entries[2][0]], "one")
    r = succeeds("image", "info", "--insecure", "%s/a@%s" % (source.host, entries[1][0]))
    check("\nDigest:" not in r.out and "Arch:" in r.out, "a digest that was asked for is not repeated", r.out)
    with open("icsp.yaml", "w") as f:
        f.write("apiVersion: operator.openshift.io/v1alpha1\nkind: ImageContentSourcePolicy\nmetadata: {name: x}\nspec:\n"
                "  repositoryDigestMirrors:\n  - source: %s/b\n    mirrors: [%s/a]\n" % (DEAD, source.host))
    r = succeeds("image", "info", "--insecure", "%s/b@%s" % (DEAD, entries[1][0]), "--icsp-file=icsp.yaml")
    check_match(r"Name: +%s/b@%s\n" % (DEAD, entries[1][0]), r.out, "through a policy it keeps the name it was asked by")


@test
def texts_of_images_do_not_steer_the_terminal():
    source, s = Registry("source"), corpus.Storage("source")
    s.image("a", [s.layer([("x", b"x", 0o644)])], "v1", {"evil": "a\033]0;b\007c\tone\ntwo"})
    r = succeeds("image", "info", "--insecure", source.host + "/a:v1")
    check("evil=a?]0;b?c" in r.out and "\033" not in r.out, "text", r.out)
    r = succeeds("image", "info", "--insecure", source.host + "/a:v1", "-o", "json")
    check_equal(json.loads(r.out)["config"]["config"]["Labels"]["evil"], "a\033]0;b\007c\tone\ntwo", "JSON")


@test
def several_images_are_shown_one_after_the_other():
    source, s = Registry("source"), corpus.Storage("source")
    for tag in ("v1", "v2", "w1"):
        s.image("a", [s.layer([("x", tag.encode(), 0o644)])], tag)
    r = succeeds("image", "info", "--insecure", source.host + "/a:w1", source.host + "/a:v*")
    check_equal(re.findall(r"^Name: .*:(\S+)$", r.out, re.M), ["w1", "v1", "v2"], "arguments, then tags")
    r = succeeds("image", "info", "--insecure", source.host + "/a")
    check_equal(len(re.findall(r"^Name: ", r.out, re.M)), 3, "a repository is all of its tags")
    r = ferry("image", "info", "--insecure", source.host + "/a:x*")
    check(r.rc == 1 and "no tag of" in r.err, "no match is an error", r.err)


main()
