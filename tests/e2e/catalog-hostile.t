#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Catalogs that are broken or mean harm: each is refused in one line that names what is wrong, or left out and told; nothing is
written or mirrored by halves, nothing leads out of the image, nothing costs much.

Places and bytes are sampled; FERRY_TEST_FULL=1 tries them all. CATALOG_SEED chooses (default 1).
"""
import glob
import gzip
import itertools
import json
import os
import random
import re
import sqlite3
import string
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import catalogs
import corpus
import yaml
from catalogs import DEVICE, FIFO, HARDLINK, LINK

FULL = bool(os.environ.get("FERRY_TEST_FULL"))
RND = random.Random(int(os.environ.get("CATALOG_SEED", "1")))
# Of one run over something hostile: far above what any takes, even on a machine that is busy, far below what bombs would.
SECONDS, CPU, RSS = 60, 5, 300
LONG = 180  # seconds, of the large ones

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd\u202a-\u202e\u2066-\u2069]")
ABSENT = "sha256:" + "a" * 64


def some(items, n):
    """N of the ITEMS in their order; all of them in a full run."""
    items = list(items)
    return items if FULL or len(items) <= n else [items[i] for i in sorted(RND.sample(range(len(items)), n))]


class Place:
    """A source with an image that is all right, a destination, and runs from one to the other."""

    def __init__(self):
        self.source, self.destination = Registry("source"), Registry("destination")
        self.storage = corpus.Storage("source")
        s = self.storage
        self.digest = s.image("ok/app", [s.layer([("app", b"all right", 0o755)])], "v1")[0]
        self.good = "%s/ok/app@%s" % (self.source.host, self.digest)
        self.mirrored = catalogs.mounted(self.good, "x/olm").partition("/")[2]
        self.runs = 0

    def good_file(self):
        return catalogs.as_json(catalogs.package("fine", ("1.0.0", self.good, [])))

    def image(self, files, **more):
        """A catalog of FILES; returns its reference."""
        name = "c/t%d" % self.runs
        self.runs += 1
        catalogs.fbc_image(self.storage, name, "v1", files, **more)
        return "%s/%s:v1" % (self.source.host, name)

    def layers(self, layers, *args, **more):
        name = "c/t%d" % self.runs
        self.runs += 1
        catalogs.index_image(self.storage, name, "v1", layers, *args, **more)
        return "%s/%s:v1" % (self.source.host, name)

    def run(self, reference, *flags, to="m", **options):
        shutil.rmtree(to, ignore_errors=True)
        return ferry("adm", "catalog", "mirror", "--insecure", reference, self.destination.host + "/olm", "--to-manifests=" + to, *flags, **options)

    def sane(self, r, what, seconds=SECONDS):
        """What holds for every run, whatever it came to."""
        text = r.out + r.err
        good = check("Sanitizer" not in text and "runtime error" not in text, what + ": no finding of a sanitizer", text[-4000:])
        good &= check(r.rc in (0, 1, 3), "%s: exits %d" % (what, r.rc), r.err[-2000:])
        good &= check(r.seconds < seconds, "%s: takes %.1f s" % (what, r.seconds))
        good &= check(not CONTROL.search(text), what + ": nothing but text is printed", repr(CONTROL.search(text)), repr(text[-600:]))
        good &= check(not re.search("(?m)^.{0,2}INJECTED", text), what + ": no line is made up", text[-1500:])
        good &= check(max(map(len, text.splitlines()), default=0) < 6000, what + ": lines are short", max(map(len, text.splitlines()), default=0))
        return good

    def refused(self, what, reference, *patterns, flags=("--continue-on-error=false",), **options):
        """Exit 1, one line, nothing written, nothing mirrored."""
        r = self.run(reference, *flags, **options)
        self.sane(r, what)
        lines = [l for l in r.err.splitlines() if not l.startswith(("hint:", "info:", "warning: sqlite", "notice:"))]
        errors = [l for l in r.err.splitlines() if l.startswith("error:")]
        check(r.rc == 1, "%s: exits %d" % (what, r.rc), r.out[-800:], r.err[-800:])
        check(len(errors) == 1 and len(errors[0]) < 1000, "%s: one line" % what, r.err[-1500:])
        for p in patterns:
            check(errors and re.search(p, errors[0]), "%s: the line says /%s/" % (what, p), r.err[-800:])
        check(not os.path.exists("m"), what + ": no folder of manifests is left")
        check_equal(self.destination.tags(), {}, what + ": nothing is mirrored")
        check(not leftovers("."), what + ": no temporary files are left")
        return r

    def accepted(self, what, reference, *flags, images=None, **options):
        """Exit 0; the good image, and nothing else but IMAGES, is mapped."""
        r = self.run(reference, "--manifests-only", *flags, **options)
        self.sane(r, what)
        if not check(r.rc == 0, "%s: exits %d" % (what, r.rc), r.err[-1500:]):
            return r
        with open("m/mapping.txt") as f:
            got = sorted(l.partition("=")[0] for l in f.read().splitlines() if l.partition("=")[0] != reference)
        check_equal(got, sorted([self.good] if images is None else images), what + ": the images")
        return r

    def either(self, what, reference, *flags, **options):
        """Whatever comes out of it, it is a result: one line, or a mapping."""
        r = self.run(reference, "--manifests-only", *flags, **options)
        self.sane(r, what)
        if r.rc == 1:
            check(sum(l.startswith("error:") for l in r.err.splitlines()) == 1, "%s: one line" % what, r.err[-1500:])
            check(not os.path.exists("m"), what + ": no folder of manifests is left")
        else:
            check(os.path.exists("m/mapping.txt"), what + ": a mapping")
        return r


def named(files):
    """{file: how often missing.txt names it}"""
    out = {f: 0 for f in files}
    with open("m/missing.txt") as f:
        for name in re.findall(r"configs/([\w-]+\.(?:json|yaml))", f.read()):
            if name in out:
                out[name] += 1
    return out


# ---- broken text ---------------------------------------------------------------------------------

def is_json_stream(data):
    try:
        text, at, decoder = data.decode(), 0, json.JSONDecoder()
        while text[at:].strip(" \t\r\n"):
            at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))
            value, at = decoder.raw_decode(text, at)
            if not isinstance(value, dict):
                return False
        return True
    except ValueError:
        return False


def mirror_the_rest(p, files, broken):
    """One run over a good file and FILES, of which those in BROKEN must be told, once each, and no other."""
    reference = p.image(dict(files, **{"fine/catalog.json": p.good_file()}))
    r = p.run(reference, "--continue-on-error")
    p.sane(r, "the rest is mirrored", LONG)
    check_equal(r.rc, 3, "the exit status: %s" % r.err[-1500:])
    told = named(files)
    check_match(r"configs/%s: .+" % re.escape(min(broken)), r.err, "stderr names the first")
    check_equal([f for f in files if f in broken and told[f] != 1][:5], [], "broken files that are not told, once")
    check_equal([f for f in files if f not in broken and told[f]][:5], [], "files that are told though nothing is wrong")
    check(p.mirrored in p.destination.tags(), "the good image is mirrored", p.destination.tags())
    check(os.path.exists("m/imageDigestMirrorSet.yaml"), "and the manifests are written")
    p.destination.clear()
    with open("m/missing.txt") as f:
        return f.read()


@test
def json_that_is_cut_at_any_byte_is_named():
    p = Place()
    text = catalogs.as_json(catalogs.package("a", ("1.0.0", p.good, [p.good])))[:700].encode()
    text = text[:text.rindex(b"\n")]
    files = {"cut-%04d.json" % n: text[:n] for n in range(len(text))}
    broken = {f for f, t in files.items() if not is_json_stream(t)}
    check(len(broken) > 500, "most of them are broken: %d" % len(broken))
    mirror_the_rest(p, files, broken)


@test
def json_with_any_byte_spoiled_is_named():
    p = Place()
    text = json.dumps(catalogs.bundle("a.v1.0.0", "a", p.good)).encode()
    for byte in (b"\x00", b"\xff") if not FULL else (b"\x00", b"\xff", b"\x80", b"}", b"\x1b", b"\xc0"):
        files = {"bad-%04d.json" % n: text[:n] + byte + text[n + 1:] for n in range(1, len(text))}
        mirror_the_rest(p, files, {f for f, t in files.items() if not is_json_stream(t)})


@test
def yaml_that_is_cut_at_any_byte_is_read_or_named():
    p = Place()
    text = catalogs.as_yaml(catalogs.package("a", ("1.0.0", p.good, [p.good])) + [{"quoted": "a\n\"b", "list": [[], {}], "x": "'"}]).encode()
    files = {"cut-%04d.yaml" % n: text[:n] for n in range(3, len(text))}
    reference = p.image(dict(files, **{"fine/catalog.json": p.good_file()}))
    r = p.run(reference, "--continue-on-error")
    p.sane(r, "yaml, cut", LONG)
    check_equal(r.rc, 3, "the exit status: %s" % r.err[-800:])
    told = named(files)

    def parses(data):
        try:
            for chunk in re.split(rb"(?m)^---[ \t]*$", data):
                list(yaml.parse(chunk))
            return True
        except yaml.YAMLError:
            return False
    check_equal([f for f, t in files.items() if not parses(t) and told[f] != 1][:5], [], "broken files that are not told, once")
    check(p.mirrored in p.destination.tags(), "the good image is mirrored")


@test
def a_broken_file_is_named_with_its_document_and_line():
    p = Place()
    good = catalogs.as_json(catalogs.package("a", ("1.0.0", p.good, [])))
    third = good + '{\n  "schema": "olm.bundle",\n  "image": nonsense\n}\n'
    for what, files, patterns in (
            ("JSON", {"alpha/catalog.json": third}, [r"configs/alpha/catalog\.json", r"document 4", r"line \d+"]),
            ("YAML", {"beta/index.yaml": catalogs.as_yaml(catalogs.package("a", ("1.0.0", p.good, []))) + "---\na: [1\n---\nb: 1\n"},
             [r"configs/beta/index\.yaml", r"document 4", r"line \d+"]),
            ("a plain text", {"README": "Hello world\n"}, [r"configs/README"]),
            ("an odd separator", {"x.yaml": "a: 1\n----\nb: 1\n"}, [r"configs/x\.yaml", r"[Ss]eparator"]),
            ("binary", {"logo.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256))}, [r"configs/logo\.png"]),
            ("UTF-16", {"u.json": '{"image":"x"}'.encode("utf-16")}, [r"configs/u\.json"])):
        p.refused(what, p.image(dict(files, **{"zz/catalog.json": p.good_file()})), *patterns)
        # The reference goes on by default and writes empty files; here something is left out, and it is said.
        r = p.run(p.image(dict(files, **{"zz/catalog.json": p.good_file()})), "--continue-on-error", "--manifests-only")
        check(r.rc == 3 and re.search(patterns[0], r.err), "%s, going on: exits %d" % (what, r.rc), r.err)
    r = p.run(p.image({"only.json": "{"}), "--continue-on-error")
    check(r.rc == 1 and "only.json" in r.err, "nothing but a broken file: exits %d" % r.rc, r.err)
    check_equal(p.destination.tags(), {}, "nothing is mirrored")


WRONG = [{"image": 5}, {"image": True}, {"image": []}, {"image": {}}, {"image": 1.5}, {"relatedImages": "x"}, {"relatedImages": 5},
         {"relatedImages": {"image": "x"}}, {"relatedImages": [5]}, {"relatedImages": ["x"]}, {"relatedImages": [["x"]]},
         {"relatedImages": [{"image": 5}]}, {"relatedImages": [{"image": ["x"]}]}, {"relatedImages": [{"image": False}]},
         {"IMAGE": 7}, {"RelatedImages": True}]
RIGHT = [{}, {"image": ""}, {"image": None}, {"relatedImages": None}, {"relatedImages": []}, {"relatedImages": [{}]},
         {"relatedImages": [{"image": None}]}, {"relatedImages": [{"image": ""}]}, {"relatedImages": [{"name": "x"}]}, {"schema": None},
         {"schema": "olm.bundle"}, {"schema": "olm.bundle", "name": "x"}, {"schema": "olm.channel"}, {"schema": "olm.deprecations"},
         {"properties": [{"image": 5}]}, {"entries": {"a": 5}}, {"unknown": {"image": 5}}]


@test
def wrong_types_are_named_and_missing_fields_are_fine():
    p = Place()
    files, broken = {}, set()
    for i, value in enumerate(WRONG + RIGHT):
        for suffix, text in (("json", json.dumps(value)), ("yaml", yaml.safe_dump(value))):
            files["t-%02d.%s" % (i, suffix)] = text
            if i < len(WRONG):
                broken.add("t-%02d.%s" % (i, suffix))
    for line in mirror_the_rest(p, files, broken).splitlines():
        if re.search(r"t-\d\d\.", line):
            check_match(r"(?i)image", line, "the line names the member")
    for i, text in enumerate(("[]", '"x"', "5", "null", "[{}]", '{"a":1} []', "{} {} 5", "- a\n- b\n", "just text", "true", "--- \n- x\n")):
        p.refused("no object: " + text, p.image({"odd.yaml": text, "zz.json": p.good_file()}), r"configs/odd\.yaml") \
            if text != "null" else p.either("null", p.image({"odd.yaml": text, "zz.json": p.good_file()}))


@test
def graphs_of_channels_are_nobodys_business():
    p = Place()
    b = lambda n: catalogs.bundle(n, "a", p.good)
    channel = lambda *entries: {"schema": "olm.channel", "package": "a", "name": "c", "entries": list(entries)}
    for what, entries in (
            ("a cycle", [{"name": "x", "replaces": "y"}, {"name": "y", "replaces": "x"}]), ("itself", [{"name": "x", "replaces": "x", "skips": ["x"]}]),
            ("nothing", [{"name": "x", "replaces": "gone"}]), ("twice", [{"name": "x"}] * 3), ("none", []), ("odd", [5, None, "x", {"name": 5}]),
            ("two heads", [{"name": "x"}, {"name": "y"}]), ("long", [{"name": "n%d" % i, "replaces": "n%d" % (i + 1)} for i in range(20000)])):
        p.accepted("channel: " + what, p.image({"c.json": catalogs.as_json([{"schema": "olm.package", "name": "a"}, channel(*entries), b("x"), b("y"), b("x")])}))


# ---- bombs ---------------------------------------------------------------------------------------

def laughs(levels, width):
    lines = ["a0: &a0 [lol, lol]"] + ["a%d: &a%d [%s]" % (i, i, ", ".join(["*a%d" % (i - 1)] * width)) for i in range(1, levels)]
    return "\n".join(lines) + "\n"


@test
def bombs_in_text_are_refused_and_cost_little():
    p = Place()
    big = "x" * (17 << 20)
    deep = 200000
    for what, name, text in (
            ("aliases of aliases", "b.yaml", laughs(30, 10)), ("wide aliases", "b.yaml", laughs(4, 1000)),
            ("an alias of itself", "b.yaml", "image: &a [*a]\n"), ("merged bombs", "b.yaml", "a: &a {x: 1}\n" + "".join(
                "b%d: &b%d {<<: [%s]}\n" % (i, i, ", ".join(["*a" if i == 0 else "*b%d" % (i - 1)] * 20)) for i in range(20)) + "<<: *b19\n"),
            ("relatedImages of aliases", "b.yaml", "x: &x [" + "{image: a/b}, " * 100 + "]\n" + "".join(
                "y%d: &y%d [%s]\n" % (i, i, ", ".join(["*x" if i == 0 else "*y%d" % (i - 1)] * 30)) for i in range(10)) + "relatedImages: *y9\n"),
            ("flow depth", "b.yaml", "a: " + "[" * deep), ("closed flow depth", "b.yaml", "a: " + "[" * 5000 + "]" * 5000),
            ("block depth", "b.yaml", "- " * deep + "x"), ("mappings in mappings", "b.yaml", "\n".join(" " * i + "a:" for i in range(3000))),
            ("explicit keys", "b.yaml", "? " * deep), ("JSON depth", "b.json", '{"a":' + "[" * deep + "]" * deep + "}"),
            ("JSON objects", "b.json", '{"a":' * deep + "1" + "}" * deep), ("a huge JSON document", "b.json", '{"a":"%s"}' % big),
            ("a huge YAML document", "b.yaml", "a: %s\n" % big), ("an endless JSON string", "b.json", '{"a":"' + big),
            ("a million values", "b.json", '{"a":[' + "0," * 1000000 + '0]}'), ("a million keys", "b.yaml", "{" + ", ".join("a%d: 1" % i for i in range(600000)) + "}"),
            ("an endless number", "b.json", '{"image":' + "9" * 1000000 + "}"), ("unknown alias", "b.yaml", "image: *nothing\n"),
            ("an object of Python", "b.yaml", "image: !!python/object/apply:os.system [id]\n")):
        reference = p.image({name: text, "zz.json": p.good_file()})
        if FULL or len(text) < 300000:  # the sanitizers make the large ones take long
            p.refused(what, reference, r"configs/b\.(yaml|json)")
        r = p.run(reference, "--continue-on-error=false", binary=PLAIN, measured=True)
        check(r.rc == 1 and "configs/b." in r.err and r.rss < RSS and r.cpu < CPU, "%s: %.0f MiB, %.1f s of CPU" % (what, r.rss, r.cpu), r.err[-500:])
    for what, name, text in (
            ("many anchors", "b.yaml", "\n".join("a%d: &a%d x" % (i, i) for i in range(20000)) + "\nimage: %s\n" % p.good),
            ("a large document", "b.json", json.dumps({"image": p.good, "icon": "x" * (15 << 20)})), ("a long line of blanks", "b.json", " " * (20 << 20) + p.good_file()),
            ("many documents", "b.yaml", "---\n" * 1000000 + "image: %s\n" % p.good), ("many values", "b.json", "{}\n" * 300000 + p.good_file()),
            ("comments", "b.yaml", "# x\n" * 1000000 + "image: %s\n" % p.good)):
        p.either(what, p.image({name: text}))


@test
def bombs_in_layers_are_refused_and_cost_little():
    p = Place()
    good = ("configs/a.json", p.good_file().encode())
    zeros = catalogs.packed(bytes(64 << 20))
    entry = lambda name, size: tar_header(name, size)

    def stream(name, size, fill):
        """A layer with one file of SIZE, of one byte again and again, in many gzip members."""
        pad = (-size) % 512
        member = gzip.compress(fill * (16 << 20), 9, mtime=0)
        assert size % (16 << 20) == 0
        return gzip.compress(entry(name, size), 1, mtime=0) + member * (size >> 24) + gzip.compress(bytes(pad + 1024), 1, mtime=0)

    p.refused("a file of zeros", p.layers([[good], stream("configs/z.json", 1 << 30, b"\0")]), r"configs/z\.json")
    for what, layer in (("blanks", stream("configs/z.json", 1 << 30 if FULL else 1 << 28, b" ")), ("zeros elsewhere", stream("other/z", 1 << 30 if FULL else 1 << 28, b"\0")),
                        ("a petabyte that is not there", gzip.compress(entry("other/z", 1 << 50), mtime=0)),
                        ("zeros for a tar", zeros), ("nothing", b""), ("a web page", b"<html><body>502 Bad Gateway</body></html>" * 30),
                        ("a gzip in a gzip", catalogs.packed(catalogs.packed(catalogs.tar([good])))), ("half of a gzip", catalogs.packed(catalogs.tar([good]))[:-40]),
                        ("garbage behind the end", catalogs.packed(catalogs.tar([good])) + b"garbage" * 100),
                        ("xz", b"\xfd7zXZ\x00" + bytes(100)), ("random bytes", RND.randbytes(100000)), ("tar with garbage behind", catalogs.tar([good]) + RND.randbytes(100000))):
        reference = p.layers([[good], layer])
        p.either(what, reference)
        r = p.run(reference, "--manifests-only", binary=PLAIN, measured=True)
        check(r.rss < RSS and r.cpu < CPU, "%s: %.0f MiB, %.1f s of CPU" % (what, r.rss, r.cpu))
    for what, data in (("ends", catalogs.packed(entry("configs/z.json", 5000) + b"{}")), ("is cut", catalogs.packed(catalogs.tar([("configs/z.json", RND.randbytes(90000).hex().encode())]))[:-20000])):
        p.refused("a layer that %s inside of a file" % what, p.layers([data]), r"configs/z\.json")
    p.refused("nothing but a bomb", p.layers([stream("configs/z.yaml", 1 << 28, b"[")]), r"configs/z\.yaml")


def tar_header(name, size):
    """A header that says SIZE, whatever follows."""
    h = bytearray(512)
    h[0:len(name)] = name.encode()
    h[100:108], h[108:116], h[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    h[124:136] = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    h[136:148], h[156:157], h[257:265] = b"00000000000\0", b"0", b"ustar\x0000"
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


@test
def a_layer_that_is_not_its_digest_changes_nothing():
    p = Place()
    entries = [("configs", None), ("configs/a.json", p.good_file().encode())] + [("other/%d" % i, RND.randbytes(3000)) for i in range(50)]
    raw = catalogs.tar(entries)
    for what, data, at in (("plain, last byte", raw, -1), ("gzip, last byte", catalogs.packed(raw), -1), ("gzip, its time", catalogs.packed(raw), 4),
                           ("plain, in the file", raw, 1100), ("gzip, in the middle", catalogs.packed(raw), 5000)):
        reference = p.layers([data])
        path = p.storage.blob_path(corpus.digest_of(data))
        with open(path, "r+b") as f:
            f.seek(at, 2 if at < 0 else 0)
            byte = f.read(1)
            f.seek(at, 2 if at < 0 else 0)
            f.write(bytes([byte[0] ^ 1]))
        for flags in (("--continue-on-error=false",), ("--continue-on-error",)):
            p.refused("%s, %s" % (what, flags[0]), reference, r"sha256:|[Dd]igest|configs/a", flags=flags)
        # Over a folder, too: nothing there and no manifests.
        r = ferry("adm", "catalog", "mirror", "--insecure", reference, "file://local/index", "--dir=out", "--to-manifests=m")
        check(r.rc == 1 and not os.path.exists("m") and not media("out"), "%s, to a folder: exits %d" % (what, r.rc), r.err, media("out") if os.path.exists("out") else "")
        shutil.rmtree("out", ignore_errors=True)
        with open(path, "r+b") as f:
            f.truncate(len(data) // 2)
        p.refused(what + ", cut", reference)
        os.unlink(path)
        p.refused(what + ", gone", reference)


# ---- the tree of an image ------------------------------------------------------------------------

@test
def links_whiteouts_and_names_lead_nowhere_else():
    os.makedirs("etc/configs")
    with open("etc/configs/secret.json", "w") as f:
        f.write('{"image": "example.com/hidden:1"}')
    p = Place()
    a = ("configs/a.json", p.good_file().encode())
    bad = ("configs/b.json", b"{broken")
    moved = ("real/a.json", a[1])
    outside = os.path.abspath("etc/configs")
    fine = {
        "configs is a link inside": [[moved, ("configs", (LINK, "real"))]],
        "configs is an absolute link": [[moved, ("configs", (LINK, "/real"))]],
        "a chain of links": [[moved, ("configs", (LINK, "x")), ("x", (LINK, "./y/../y")), ("y", (LINK, "/real"))]],
        "a file that is a link": [[("data/x", a[1]), ("configs/a.json", (LINK, "../data/x"))]],
        "a file that is an absolute link": [[("data/x", a[1]), ("configs/a.json", (LINK, "/data/x"))]],
        "a hard link": [[("data/x", a[1]), ("configs/a.json", (HARDLINK, "data/x"))]],
        "the root's whiteout": [[bad], [("x", b"")], [(".wh.configs", b"")], [a]],
        "a whiteout above its own new files": [[bad], [(".wh.configs", b""), a]],
        "a whiteout of a file": [[a, bad], [("configs/.wh.b.json", b"")]],
        "an opaque folder": [[bad], [("configs/.wh..wh..opq", b""), a]],
        "a whiteout of nothing": [[a], [("configs/.wh.nothing", b""), (".wh.other", b"")]],
        "a file replaced": [[("configs/a.json", b"{broken")], [a]],
        "a file twice": [[("configs/a.json", b"{broken"), a]],
        "a folder replaced": [[("configs/a.json/x.json", b"{broken")], [a]],
        "absolute names": [[("/configs", None), ("/configs/a.json", a[1])]],
        "dots": [[("./configs/", None), ("./configs/./a.json", a[1])]],
        "no folders": [[a]],
        "an ignored file": [[a, bad, ("configs/.indexignore", b"b.json\n")]],
        "an ignored folder": [[a, ("configs/no/b.json", b"{broken"), ("configs/.indexignore", b"no/\n")]],
        "the ignores come last": [[a, bad], [("configs/.indexignore", b"b.json\n")]],
        "a device elsewhere": [[a, ("dev/zero", (DEVICE,)), ("run/fifo", (FIFO,))]],
    }
    for what, layers in fine.items():
        p.accepted(what, p.layers(layers))
    refused = {
        "a link out of the image": ([[moved, ("configs", (LINK, "../../.." + outside))]], "configs"),
        "a file's link out of the image": ([[a, ("configs/b.json", (LINK, "../../../etc/passwd"))]], r"configs/b\.json"),
        "links in a circle": ([[("configs", (LINK, "x")), ("x", (LINK, "configs"))]], "configs"),
        "a file's link in a circle": ([[a, ("configs/b.json", (LINK, "b.json"))]], r"configs/b\.json"),
        "a link to nothing": ([[("configs", (LINK, "nothing"))]], "configs"),
        "a file's link to nothing": ([[a, ("configs/b.json", (LINK, "nothing"))]], r"configs/b\.json"),
        "a hard link to nothing": ([[a, ("configs/b.json", (HARDLINK, "nothing"))]], r"configs/b\.json|nothing"),
        "a hard link to itself": ([[a, ("configs/b.json", (HARDLINK, "configs/b.json"))]], r"configs/b\.json"),
        "a name that leads out": ([[a, ("../configs/b.json", b"{}")]], r"\.\./configs/b\.json"),
        "a name of two lines that leads out": ([[a, ("../configs/b\nINJECTED", b"{}")]], "configs/b"),
        "a link to a name of two lines": ([[a, ("configs/b\nINJECTED", (LINK, "x\nINJECTED"))]], "configs/b"),
        "a link of two lines that leads out": ([[a, ("configs/b\nINJECTED", (LINK, "../../x\nINJECTED"))]], "configs/b"),
        "a hard link of two lines": ([[a, ("configs/b\nINJECTED", (HARDLINK, "x\nINJECTED"))]], "configs/b"),
        "a name of two lines, too long": ([[a, ("configs/b\nINJECTED" + "x" * 5000, b"{}")]], "configs/b"),
        "folders of two lines, too deep": ([[a, ("configs/" + "\nINJECTED/" * 150 + "x", b"{}")]], "configs/"),
        "nothing there": ([[("other", b"x")]], "configs"),
        "all of it is gone": ([[a], [(".wh.configs", b"")]], "configs"),
        "all of it is ignored": ([[a, ("configs/.indexignore", b"*\n")]], "configs"),
        "empty files": ([[("configs/a.json", b""), ("configs/b.yaml", b"# nothing\n---\n---\n")]], "configs"),
    }
    for what, (layers, pattern) in refused.items():
        r = p.refused(what, p.layers(layers), pattern)
        check("hidden" not in r.out + r.err, what + ": nothing of the host is read", r.err)
    either = {
        "an absolute link": [[a, ("configs/b.json", (LINK, outside + "/secret.json"))]],
        "a link to a folder": [[a, ("other/x.json", a[1]), ("configs/b", (LINK, "../other"))]],
        "a device": [[a, ("configs/zero", (DEVICE,))]], "a fifo": [[a, ("configs/fifo", (FIFO,))]],
        "configs is a file": [[("configs", a[1])]], "configs is a device": [[("configs", (DEVICE,))]],
        "a link to a device": [[a, ("zero", (DEVICE,)), ("configs/b.json", (LINK, "../zero"))]],
        "below a file": [[a, ("configs/a.json/b.json", b"{broken")]],
        "the ignores are a link": [[a, bad, ("ig", b"b.json\n"), ("configs/.indexignore", (LINK, "../ig"))]],
        "the ignores are a folder": [[a, ("configs/.indexignore/x", b"*\n")]],
        "the ignores are binary": [[a, ("configs/.indexignore", RND.randbytes(10000))]],
        "large ignores": [[a, ("configs/.indexignore", b"x" * (5 << 20))]],
        "many ignores": [[a, ("configs/.indexignore", b"*.x\n" * 20000)]],
        "slow ignores": [[a, ("configs/" + "a" * 200 + ".json", a[1]), ("configs/.indexignore", b"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\n" * 300)]],
        "slow folders": [[a, ("configs/" + "a/" * 90 + "a.json", a[1]), ("configs/.indexignore", b"**/a/**/a/**/a/**/a/**/a/**/a/**/b\n" * 100)]],
        "a whiteout of everything": [[a], [(".wh..", b"")]], "a whiteout without a name": [[a], [(".wh.", b""), ("configs/.wh.", b"")]],
        "deep": [[a, ("configs/" + "d/" * 120 + "x.json", a[1])]], "too deep": [[a, ("configs/" + "d/" * 1500 + "x.json", a[1])]],
        "a long name": [[a, ("configs/" + "n" * 5000, a[1])]],
        "many links": [[a] + [("configs/l%05d.json" % i, (LINK, "a.json")) for i in range(11000)]],
        "a ladder of links": [[a] + [("configs/l%03d.json" % i, (LINK, "l%03d.json" % (i + 1))) for i in range(200)]],
    }
    for what, layers in either.items():
        r = p.either(what, p.layers(layers))
        check("hidden" not in r.out + r.err and not (os.path.exists("m") and "hidden" in open("m/mapping.txt").read()), what + ": nothing of the host is read")
    for flags in (("--continue-on-error",),):
        for what in ("a file's link out of the image", "a file's link in a circle", "a file's link to nothing", "a hard link to itself"):
            r = p.run(p.layers(refused[what][0]), *flags, "--manifests-only")
            check(r.rc in (1, 3), "%s, going on: exits %d" % (what, r.rc), r.err)


@test
def layers_with_tricks_are_layers():
    """The layers that extraction is tested with, as catalogs."""
    p = Place()
    good = [("configs/a.json", p.good_file().encode())]
    for path in some(sorted(glob.glob(TOP + "/tests/data/layers/*.tgz")), 12):
        with open(path, "rb") as f:
            data = f.read()
        p.either(os.path.basename(path), p.layers([good, data], "/"))


# ---- sqlite --------------------------------------------------------------------------------------

SQLITE = ("/database/index.db", catalogs.DATABASE)


def rows(image):
    return {"a": [("a.v1", image, [image])]}


def database_image(p, data):
    return p.layers([[("database/index.db", data)]], *SQLITE)


@test
def a_database_that_is_cut_or_spoiled_is_refused():
    p = Place()
    whole = catalogs.database(rows(p.good), statements=["CREATE TABLE filler (x TEXT)", "INSERT INTO filler VALUES (hex(randomblob(30000)))"],
                              pragmas=("page_size=1024",))
    p.accepted("the whole one", database_image(p, whole))
    for n in [0, 1, 15, 16, 99, 100, 1023, 1024, 1025] + some(range(2048, len(whole), 512), 6):
        r = p.either("cut at byte %d" % n, database_image(p, whole[:n]))
        if n <= 8192:
            check(r.rc == 1 and "index.db" in r.err, "cut at byte %d: exits %d" % (n, r.rc), r.err)
    for at in some(range(100), 10) + some(range(100, 9000, 3), 10):
        data = bytearray(whole)
        data[at] ^= RND.choice((0xff, 1, 0x80))
        r = p.either("byte %d" % at, database_image(p, bytes(data)))
        check(r.rc == 0 or "index.db" in r.err, "byte %d: the database is named" % at, r.err)
    for i in range(200 if FULL else 5):
        data = bytearray(whole)
        for _ in range(30):
            data[RND.randrange(100, len(data))] = RND.randrange(256)
        p.either("thirty random bytes, %d" % i, database_image(p, bytes(data)))
    for what, data in (("text", b"hello"), ("a wrong magic", b"SQLite format 2\0" + whole[16:]), ("zeros", bytes(8192)), ("a zip", b"PK\3\4" + bytes(4000)),
                       ("pages of three bytes", whole[:16] + b"\0\3" + whole[18:]), ("a page for a billion", whole[:28] + b"\xff" * 4 + whole[32:])):
        r = p.either(what, database_image(p, data))
        check(r.rc == 1 and "index.db" in r.err or what.startswith("a page for"), "%s: exits %d" % (what, r.rc), r.err)


@test
def a_database_with_tricks_is_read_or_refused():
    p = Place()
    other = "%s/ok/app:v1" % p.source.host
    base = dict(schema=catalogs.SCHEMA)
    without_related = catalogs.SCHEMA.replace("CREATE TABLE related_image (image TEXT, operatorbundle_name TEXT);", "")
    endless = "CREATE VIEW related_image AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT 'example.com/x:' || i AS image, '' AS operatorbundle_name FROM r"
    empty = {"a": [("a.v1", p.good, [])]}
    wal = bytearray(catalogs.database(rows(p.good)))
    wal[18:20] = b"\2\2"
    fine = {"a header that says WAL": bytes(wal), "UTF-16": catalogs.database(rows(p.good), pragmas=("encoding='UTF-16'",)),
            "pages of 512 bytes": catalogs.database(rows(p.good), pragmas=("page_size=512",)), "pages of 64 KiB": catalogs.database(rows(p.good), pragmas=("page_size=65536",)),
            "blanks, nulls and nothing": catalogs.database(rows(p.good), statements=["INSERT INTO related_image VALUES (NULL, NULL), ('', 'x'), ('  %s ', 'x')" % p.good]),
            "an index on it": catalogs.database(rows(p.good), statements=["CREATE INDEX i ON related_image (image)", "CREATE UNIQUE INDEX u ON operatorbundle (name, bundlepath)"]),
            "no related_image": catalogs.database({}, schema=without_related, statements=["INSERT INTO operatorbundle (name, bundlepath) VALUES ('a', '%s')" % p.good])}
    for what, data in fine.items():
        p.accepted(what, database_image(p, data))
    harm = {
        "a view for a table": catalogs.database(empty, schema=without_related, statements=["CREATE VIEW related_image AS SELECT 'example.com/evil:1' AS image, 'x' AS operatorbundle_name"]),
        "an endless view": catalogs.database(empty, schema=without_related, statements=[endless]),
        "a view over files": catalogs.database(empty, schema=without_related, statements=["CREATE VIEW related_image AS SELECT readfile('/etc/passwd') AS image, '' AS operatorbundle_name"]),
        "an endless generated column": catalogs.database(empty, schema=without_related, statements=[
            "CREATE TABLE related_image (n INTEGER, operatorbundle_name TEXT, image TEXT AS (hex(zeroblob(n))))", "INSERT INTO related_image (n) VALUES (400000000)"]),
        "a large value": catalogs.database(empty, statements=["INSERT INTO related_image VALUES (hex(zeroblob(2000000)), 'a.v1')"]),
        "a blob": catalogs.database(empty, statements=["INSERT INTO related_image VALUES (x'001b5b33316d', 'a.v1')"]),
        "a number": catalogs.database(empty, statements=["INSERT INTO related_image VALUES (5, 'a.v1'), (1.5, 'a.v1')"]),
        "a zero in it": catalogs.database(empty, statements=["INSERT INTO related_image VALUES ('%s' || char(0) || 'x', 'a.v1')" % other]),
        "escapes": catalogs.database(empty, statements=["INSERT INTO related_image VALUES (char(27) || '[31mred', 'a' || char(10) || 'b')"]),
        "a trigger": catalogs.database(rows(p.good), statements=["CREATE TRIGGER t AFTER INSERT ON related_image BEGIN SELECT load_extension('x'); END"]),
        "a virtual table": written_schema(catalogs.database(empty, schema=without_related), "CREATE VIRTUAL TABLE related_image USING fts5(image)"),
        "nonsense for a schema": written_schema(catalogs.database(empty), "CREATE TABLE x (y DEFAULT (load_extension('x')))"),
        "many tables": catalogs.database(empty, statements=["CREATE TABLE t%d (x)" % i for i in range(5000)]),
        "many columns": catalogs.database(empty, schema=without_related, statements=["CREATE TABLE related_image (image, operatorbundle_name, %s)" % ", ".join("c%d" % i for i in range(1900))]),
        "an index by an unknown collation": written_schema(catalogs.database(empty), "CREATE INDEX i ON related_image (image COLLATE nonsense)"),
        "another table's name": catalogs.database({}, schema="CREATE TABLE x (y);"),
        "a journal beside it": catalogs.database(rows(p.good)),
    }
    for what, data in harm.items():
        entries = [("database/index.db", data)] + ([("database/index.db-journal", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(2000)),
                                                    ("database/index.db-wal", b"\x37\x7f\x06\x82" + bytes(5000))] if "journal" in what else [])
        reference = p.layers([entries], *SQLITE)
        r = p.either(what, reference)
        text = open("m/mapping.txt").read() if r.rc != 1 else ""
        check("root:" not in text + r.err and "evil" not in text, what + ": nothing is made up", text[:500], r.err[:500])
        check(all(re.fullmatch(r"[\w.:/@-]+=[\w.:/-]+", l) for l in text.splitlines()), what + ": mapping.txt is a mapping", repr(text[:500]))
    for what, entries, label in (("a folder", [("database/index.db/x", b"y")], SQLITE[0]), ("a link out", [("database/index.db", (LINK, "../../../../etc/passwd"))], SQLITE[0]),
                                 ("no such file", [("database/other", b"y")], SQLITE[0]), ("a device", [("database/index.db", (DEVICE,))], SQLITE[0]),
                                 ("a glob", [("database/[", b"x")], "/database/["), ("nothing in the image", [("x", b"y")], "/")):
        p.refused("the database is " + what, p.layers([entries], label, catalogs.DATABASE))
    check_equal(glob.glob("/tmp/ferry-database*"), [], "no temporary databases are left")


def written_schema(data, sql):
    """The database with one more row in its schema, as no SQL would have put it there."""
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/x.db", "wb") as f:
            f.write(data)
        db = sqlite3.connect(folder + "/x.db", isolation_level=None)
        db.execute("PRAGMA writable_schema=1")
        kind = sql.split()[1].lower()
        name = re.search(r"(?:TABLE|INDEX) (\w+)", sql).group(1)
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, 0, ?)", ("table" if kind == "virtual" else kind, name, name if kind != "index" else "related_image", sql))
        db.close()
        with open(folder + "/x.db", "rb") as f:
            return f.read()


# ---- the image itself ----------------------------------------------------------------------------

@test
def absurd_labels_and_configurations():
    p = Place()
    layers = [[("configs/a.json", p.good_file().encode())]]
    for label in ("/configs", "configs", "/configs/", "./configs/", "//configs//", "/configs/.", "/configs/../configs"):
        p.accepted("label %s" % label, p.layers(layers, label))
    for label in ("/../..", "..", "/../../etc", "/nothing", "/configs\x00", "/configs\nINJECTED", "/\x1b[31mred", "\u202e/sgifnoc", "/" + "a/" * 3000, "x" * (1 << 20), "*", "/[", "~", "%s%n"):
        r = p.refused("label %r" % label[:30], p.layers(layers, label))
    for label in ("", "/", ".", "/configs/a.json", "/configs/*"):
        p.either("label %r" % label, p.layers(layers, label))
    # The configuration, as bytes.
    good = p.layers(layers)
    name = good.partition("/")[2].rpartition(":")[0]
    body, kind = p.source.manifest(name, "v1")
    m = json.loads(body)

    def with_config(text, size=None, digest=None, **changes):
        d, n = p.storage.blob(text)
        p.storage.attach(name, d, n)
        config = dict(m["config"], digest=digest or d, size=n if size is None else size)
        p.storage.manifest(name, json.dumps(dict(m, config=config, **changes)).encode(), kind, "odd")
        return "%s/%s:odd" % (p.source.host, name)
    config = lambda c: json.dumps({"architecture": "amd64", "os": "linux", "config": c, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    for what, text in (("no JSON", b"{"), ("a list", b"[]"), ("nothing", b""), ("100 MB", config({"Labels": {catalogs.CONFIGS: "/configs"}, "x": "y" * (100 << 20)})),
                       ("deep", b'{"config":' + b"[" * 100000 + b"]" * 100000 + b"}"), ("labels are a list", config({"Labels": [1]})), ("a label is a number", config({"Labels": {catalogs.CONFIGS: 5}})),
                       ("config is text", config("x")), ("many labels", config({"Labels": {"l%d" % i: "x" for i in range(100000)}}))):
        p.either("configuration: " + what, with_config(text))
    for what, reference in (("wrong size", with_config(config({"Labels": {catalogs.CONFIGS: "/configs"}}), size=5)),
                            ("absent", with_config(b"{}", digest=ABSENT)), ("a petabyte", with_config(b"{}", size=1 << 50)), ("a negative size", with_config(b"{}", size=-1))):
        p.refused("configuration: " + what, reference)
    text = config({"Labels": {catalogs.CONFIGS: "/configs"}, "x": 1})
    reference = with_config(text)
    with open(p.storage.blob_path(corpus.digest_of(text)), "r+b") as f:
        f.write(b"{ ")
    p.refused("configuration: wrong digest", reference, r"sha256:|[Dd]igest|size")
    for what, changes in (("no layers", {"layers": []}), ("10,001 layers", {"layers": m["layers"] * 10001}), ("200 layers", {"layers": m["layers"] * 200}), ("a layer without a digest", {"layers": [{"size": 5}]}),
                          ("a layer by another name", {"layers": [dict(m["layers"][0], digest="sha256:../../../etc/passwd")]}), ("schema 1", {"schemaVersion": 1})):
        p.either("manifest: " + what, with_config(config({"Labels": {catalogs.CONFIGS: "/configs"}}), **changes))


@test
def lists_with_ten_thousand_entries_and_other_oddities():
    p = Place()
    child = catalogs.fbc_image(p.storage, "c/list", None, {"a.json": p.good_file()})
    reference = "%s/c/list:v1" % p.source.host
    fake = lambda i: (corpus.digest_of(b"%d" % i), 500, "arch%d" % i)
    p.storage.index("c/list", [fake(i) for i in range(9999)] + [child + ("amd64",)], "v1")
    p.accepted("the right one is the last", reference)
    p.storage.index("c/list", [child + ("amd64",)] * 100, "v1")
    p.either("a hundred right ones", reference)
    p.storage.index("c/list", [fake(i) for i in range(10000)], "v1")
    r = p.run(reference, "--manifests-only")
    p.sane(r, "none is right")
    check(r.rc == 1 and not os.path.exists("m"), "none is right: exits %d" % r.rc)
    for what, children in (("empty", []), ("another's child", [(ABSENT, 100, "amd64")]), ("no platform", [child + (None,)]),
                           ("itself", None), ("a list in a list", "nested")):
        if children is None:
            d, n = p.storage.index("c/list", [child + ("s390x",)], "v0")
            p.storage.index("c/list", [(d, n, "amd64", corpus.OCI["index"])], "v1")
        elif children == "nested":
            d, n = p.storage.index("c/list", [child + ("amd64",)], None)
            for _ in range(40):
                d, n = p.storage.index("c/list", [(d, n, "amd64", corpus.OCI["index"])], "v1")
        else:
            p.storage.index("c/list", children, "v1")
        p.either("list: " + what, reference)
    p.storage.manifest("c/list", json.dumps({"schemaVersion": 2, "mediaType": corpus.OCI["index"], "manifests": [
        {"digest": child[0], "size": child[1], "mediaType": corpus.DOCKER["manifest"], "platform": {"os": "\x1b[31m" + "x" * 5000, "architecture": "a\nb"}}] * 3}).encode(),
        corpus.OCI["index"], "v1")
    p.either("escapes in a platform", reference)


# ---- what images are called ----------------------------------------------------------------------

BAD_REFERENCES = ["file://secret/app:v1", "file:///secret/app:v1", "s3://bucket/region/x:1", "docker://quay.io/a/b:1", "oci:/tmp/x:1", "oci-archive:x.tar", "dir:/etc",
                  "http://x/y:1", "https://x.io/y:1", "UPPER/case:1", "x.io/Upper:1", "x.io/a:bad tag", "x.io/a b:1", "x.io/a@sha256:short", "x.io/a@sha256:" + "g" * 64,
                  "x.io/a@md5:" + "a" * 32, "x.io/../../etc:1", "x.io//a:1", "/a/b:1", "x.io/a/:1", "x.io/a:", "x.io/a@", ":", "@", "@" + ABSENT, "x.io/" + "a" * 300 + ":1", "x.io/a:" + "t" * 129,
                  "x.io/\x1b[31mred:1", "x.io/a\nINJECTED=evil.io/x:1", "x.io/a\rb:1", "x.io/a\x00b:1", "x.io/a\u202eb:1", "x.io/a\u00e9:1", "x.io/a=b:1", "x.io:99999999/a:1", "-x.io/a:1",
                  "x.io/a:v1@" + ABSENT + "@" + ABSENT, "$(id)", "`id`", "%n%n%n%s", "x.io/a:v1 --insecure", "a" * 5000]


@test
def references_that_are_none_are_listed_and_harm_nobody():
    p = Place()
    # A store on this machine: a catalog must not be able to read it.
    succeeds("image", "mirror", "--insecure", p.source.host + "/ok/app:v1", "file://secret/app:v1")
    for suffix in ("json", "yaml"):
        documents = catalogs.package("fine", ("1.0.0", p.good, [])) + [catalogs.bundle("bad%02d.v1" % i, "bad", "", [b]) for i, b in enumerate(BAD_REFERENCES)]
        text = catalogs.as_json(documents) if suffix == "json" else "".join("---\n" + json.dumps(d) + "\n" for d in documents)
        reference = p.image({"all." + suffix: text})
        r = p.run(reference, "--continue-on-error")
        p.sane(r, suffix)
        check(r.rc in (1, 3), "%s: exits %d" % (suffix, r.rc), r.err[-800:])
        tags = p.destination.tags()
        check_equal(sorted(t for t in tags if not t.startswith("olm/c-")), [p.mirrored] if r.rc == 3 else [], suffix + ": what is mirrored")
        check("secret" not in " ".join(tags), suffix + ": nothing of this machine is mirrored", tags)
        if r.rc == 3:
            for name in os.listdir("m"):
                with open("m/" + name, "rb") as f:
                    data = f.read()
                check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", data), "%s: %s is text" % (suffix, name), data[:3000])
                check(b"secret" not in data or name == "missing.txt", "%s: %s" % (suffix, name), data)
            with open("m/mapping.txt") as f:
                lines = f.read().splitlines()
            check(all(re.fullmatch(r"[\w.:/@-]+=[\w.:/-]+", l) for l in lines), "mapping.txt is a mapping", lines)
        p.destination.clear()
    for i, bad in enumerate(some(BAD_REFERENCES, 12)):
        r = p.run(p.image({"one.json": json.dumps({"image": bad}), "fine.json": p.good_file()}), "--continue-on-error=false")
        p.sane(r, repr(bad[:40]))
        check(r.rc == 1 and not os.path.exists("m"), "%r, not going on: exits %d" % (bad[:40], r.rc), r.err[-800:])
        check_equal(p.destination.tags(), {}, "%r, not going on: nothing is mirrored" % bad[:40])


NASTY = ["\x1b[31mred\x1b[0m", "two\nINJECTED", "bell\x07", "\u202eesrever", "a\x00b", "\x9b31m", "tab\there", "..", "/etc/passwd", "x" * 3000, "", " ", "\ufeff", "'quoted\"", "%s%n", "</script>", "=cmd|' /C calc'!A0"]


@test
def names_never_reach_the_terminal_as_they_are():
    p = Place()
    documents = []
    for i, name in enumerate(NASTY):
        documents += [{"schema": "olm.package", "name": name}, dict(catalogs.bundle(name, name, p.good), schema="olm.bundle"),
                      catalogs.bundle("%s.v%d" % (name, i), "p" + name, "%s/ok/none%d:v1" % (p.source.host, i))]
    reference = p.image({"a.json": catalogs.as_json(documents)})
    for flags in (["--dry-run"], ["--dry-run", "-o", "json"], []):
        r = p.run(reference, "--continue-on-error", *flags)
        p.sane(r, " ".join(flags) or "mirrored")
        check(r.rc in (0, 1, 3), "exits %d" % r.rc)
        if "json" in flags and r.rc == 0:
            start = r.out.find("{")
            try:
                json.loads(r.out[start:] if start >= 0 else r.out)
            except ValueError as e:
                check(False, "-o json is JSON: %s" % e, r.out[-500:])
        for name in os.listdir("m") if os.path.exists("m") else []:
            with open("m/" + name, "rb") as f:
                check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", f.read()), name + " is text")
    # Names of files, broken ones.
    for i, name in enumerate(n for n in NASTY if n not in ("", "..") and "\x00" not in n):
        name = name.replace("/", "_")[:240]
        p.refused("a file called %r" % name[:30], p.layers([[("configs/" + name, b"{broken"), ("configs/zz.json", p.good_file().encode())]]))
    for name in (b"\xff\xfe.json", b"\xc3(.json"):
        raw = catalogs.tar([("configs/XXXXXX", b"{broken")]).replace(b"XXXXXX", name[:6])
        header = bytearray(raw[:512])
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        p.refused("a file called %r" % name, p.layers([catalogs.packed(bytes(header) + raw[512:])]))


@test
def images_that_would_be_called_the_same_are_found_before_a_byte_moves():
    p = Place()
    s = p.storage
    one, two = (s.image(r, [s.layer([("app", r.encode(), 0o755)])], "v1")[0] for r in ("a/b-c/d", "a/b/c-d"))
    host = p.source.host
    by_tag = {"one.json": json.dumps({"image": "%s/a/b-c/d:v1" % host}), "two.json": json.dumps({"image": "%s/a/b/c-d:v1" % host})}
    p.destination.mark()
    r = p.refused("two images, one name", p.image(by_tag), "a/b-c/d", "a/b/c-d", flags=())
    check_equal(p.destination.requests()["PUT"], 0, "nothing was sent")
    check_match(r"max-components", r.err, "the remedy")
    r = p.run(p.image(by_tag), "--max-components=0")
    check_equal(r.rc, 0, "with --max-components=0: " + r.err[-500:])
    p.destination.clear()
    # By digest they have tags of their own, and share a repository.
    r = p.run(p.image({"one.json": json.dumps({"image": "%s/a/b-c/d@%s" % (host, one)}), "two.json": json.dumps({"image": "%s/a/b/c-d@%s" % (host, two)})}))
    check_equal(r.rc, 0, "by digest: " + r.err[-500:])
    p.destination.clear()
    # A catalog that names an image as its own index would be called, and one that names its own index.
    r = p.run(p.image({"x.json": json.dumps({"image": "%s/c/t%d:v1" % (host, p.runs)}), "fine.json": p.good_file()}))
    check(r.rc in (0, 1), "the index itself: exits %d" % r.rc, r.err[-500:])


# ---- too much ------------------------------------------------------------------------------------

def measured(p, what, reference, *flags, seconds=LONG, rss=RSS):
    r = p.run(reference, "--manifests-only", *flags, binary=PLAIN, measured=True, timeout=seconds * 2)
    p.sane(r, what, seconds)
    note("%s: exit %d, %.1f s of CPU, %.0f MiB" % (what, r.rc, r.cpu, r.rss))
    check(r.rss < rss and r.cpu < 10 * CPU, "%s: %.0f MiB, %.1f s of CPU" % (what, r.rss, r.cpu))
    if r.rc == 1:
        check(sum(l.startswith("error:") for l in r.err.splitlines()) == 1, what + ": one line", r.err[-800:])
        check(not os.path.exists("m"), what + ": no folder of manifests is left")
    return r


@test
def more_files_than_anybody_has():
    p = Place()
    text = json.dumps({"image": p.good}).encode()
    header = bytearray(tar_header("", len(text)))
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    pieces = []
    for i in range(200001):
        name = b"configs/d%03d/f%06d.json" % (i // 1000, i)
        pieces += [name.ljust(148 - 48, b"\0"), header[100:148], b"%06o\0 " % (total + sum(name)), header[156:], text.ljust(512, b"\0")]
    many = catalogs.packed(b"".join(pieces) + bytes(1024))
    r = measured(p, "200,001 files", p.layers([many]), rss=400)
    check(r.rc == 1 and "200000 files" in r.err, "one more than is allowed: exits %d" % r.rc, r.err)
    r = measured(p, "200,000 files", p.layers([many, [("configs/d007/.wh.f007007.json", b"")]]), rss=400)
    check(r.rc == 0, "as many as are allowed: exits %d" % r.rc, r.err[-500:])
    broken = [("configs/b%05d.json" % i, b"{") for i in range(20000)]
    r = measured(p, "20,000 broken files", p.layers([broken + [("configs/good.json", text)]]), "--continue-on-error")
    check(r.rc == 3, "broken files: exits %d" % r.rc, r.err[-500:])
    pipes = [("configs/p%06d" % i, (FIFO,)) for i in range(200001)]
    r = measured(p, "200,001 pipes", p.layers([pipes]), "--continue-on-error")
    check(r.rc == 1 and "200000 files" in r.err, "pipes: exits %d" % r.rc, r.err[-500:])
    turns = [("configs/x", b"{}"), ("configs/x", None)] * 10000
    r = measured(p, "a file and a folder in turns, beside 20,000 files", p.layers([broken + turns]))
    check(r.rc == 1 and "too much to follow" in r.err, "in turns: exits %d" % r.rc, r.err[-500:])


@test
def more_images_than_anybody_has():
    p = Place()
    host = p.source.host

    def catalog(n):
        return "".join('{"schema":"olm.bundle","package":"p%d","name":"b%d","relatedImages":[%s]}\n' % (i % 50, i, ",".join(
            '{"image":"%s/r%d/i:%d"}' % (host, j % 100, j) for j in range(i * 100, i * 100 + 100))) for i in range(n // 100))
    r = measured(p, "100,000 images", p.image({"a.json": catalog(100000)}))
    check(r.rc == 0, "exits %d" % r.rc, r.err[-500:])
    with open("m/mapping.txt") as f:
        check_equal(sum(1 for _ in f), 100001, "lines of mapping.txt")
    r = measured(p, "1,200,000 images", p.image({"a.json": catalog(1200000)}), rss=700)
    check(r.rc in (0, 1), "exits %d" % r.rc, r.err[-500:])
    names = itertools.islice(itertools.product(string.ascii_lowercase + string.digits, repeat=4), 420000)
    reference = p.image({"a.json": "".join('{"image":"a.b/%s:d"}\n' % "".join(n) for n in names)})
    r = ferry("adm", "catalog", "mirror", "--insecure", reference, "a:1", "--manifests-only", "--to-manifests=n", binary=PLAIN)
    check(r.rc == 0, "420,000 images without a digest: exits %d" % r.rc, r.err[-500:])
    check_equal(r.out.count("no digest mapping available"), 2 * 420001, "two notices for each")
    one = {"image": host + "/a/b:1"}
    r = measured(p, "100,000 packages", p.image({"a.json": catalogs.as_json([{"schema": "olm.package", "name": "p%d" % i} for i in range(100000)] + [one])}))
    r = measured(p, "an image in 300,000 bundles", p.image({"a.json": "".join(json.dumps({"schema": "olm.bundle", "name": "b%d" % i, "package": "p", "image": p.good}) + "\n" for i in range(300000))}))


main()
