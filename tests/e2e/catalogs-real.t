#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Catalogs that projects publish are listed completely: images, bundles and packages are those that
Python counts with its own readers of JSON, YAML and sqlite.

tests/data/catalogs holds some; FERRY_CATALOGS names a folder with more, of the same form: archives
whole/*.tar.zst, databases sqlite/*.db, and every other folder that has JSON or YAML files, with all
that is below it. Any file may be compressed, with .zst behind its name.
"""
import collections
import gzip
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e
from corpus import Storage, digest_of

TOP = os.environ.get("FERRY_CATALOGS") or os.path.join(e2e.TOP, "tests/data/catalogs")
LABEL = "operators.operatorframework.io.index."
MIRROR = "mirror.example.com:5000/olm"

# PACKAGES: names; BUNDLES: (package, name); IMAGES: {as the catalog writes it: names of bundles that need it}.
Count = collections.namedtuple("Count", "packages bundles images")


# ---- the catalogs of a folder

def uncompressed(path):
    """(name without .zst, bytes)"""
    if path.endswith(".zst"):
        return path[:-4], subprocess.run(["zstd", "-qdc", path], stdout=subprocess.PIPE, check=True).stdout
    with open(path, "rb") as f:
        return path, f.read()


def is_part(name):
    return re.search(r"\.(json|ya?ml)(\.zst)?$", name)


def catalogs_below(top):
    """[(name, kind, path)]"""
    found = [("whole/" + f, "archive", os.path.join(top, "whole", f)) for f in e2e._listdir(top + "/whole")]
    found += [("sqlite/" + f, "database", os.path.join(top, "sqlite", f)) for f in e2e._listdir(top + "/sqlite")]
    for kind in ("products", "test"):
        for folder, _, files in os.walk(os.path.join(top, kind)):
            if any(is_part(f) for f in files):
                found.append((os.path.relpath(folder, top), "folder", folder))
    return sorted(found)


def files_of(kind, path):
    """{path in the catalog: bytes}"""
    if kind == "archive":
        with tarfile.open(fileobj=io.BytesIO(uncompressed(path)[1])) as tar:
            return {m.name.partition("/")[2]: tar.extractfile(m).read() for m in tar if m.isfile()}
    found = {}
    for folder, _, names in os.walk(path):
        for name in filter(is_part, names):
            plain, data = uncompressed(os.path.join(folder, name))
            found[os.path.relpath(plain, path)] = data
    return found


# ---- counted independently

def values_of(data):
    text = data.decode("utf-8-sig")
    if text.lstrip().startswith("{"):
        decoder, at = json.JSONDecoder(), 0
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            value, at = decoder.raw_decode(text, at)
            yield value
        return
    import yaml
    yield from yaml.load_all(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def count_files(files):
    packages, bundles, images = set(), set(), collections.defaultdict(set)
    for value in (v for data in files.values() for v in values_of(data) if v):
        named = [value.get("image")] + [r.get("image") for r in value.get("relatedImages") or []]
        schema, name, package = (value.get(m) or "" for m in ("schema", "name", "package"))
        for image in filter(None, named):
            images[image].add(name)
        if schema == "olm.package":
            packages.add(name)
        elif schema == "olm.bundle" or any(named):
            bundles.add((package, name))
            packages.add(package)
    return Count(packages - {""}, bundles, images)


def count_database(data):
    with open("counted.db", "wb") as f:
        f.write(data)
    base = sqlite3.connect("counted.db")
    images = collections.defaultdict(set)
    for image, bundle in base.execute("SELECT image, operatorbundle_name FROM related_image UNION "
                                      "SELECT bundlepath, name FROM operatorbundle"):
        if image:
            images[image].add(bundle)
    bundles = set(base.execute("SELECT DISTINCT coalesce(package_name, ''), name FROM operatorbundle "
                               "LEFT JOIN channel_entry ON operatorbundle_name = name"))
    packages = {name for name, in base.execute("SELECT name FROM package")}
    base.close()
    return Count(packages, bundles, images)


REFERENCE = re.compile(r"(?P<name>(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
                       r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


def source_of(image):
    """As mapping.txt names it: Docker's defaults filled in, by digest where there is one; None: no reference."""
    m = REFERENCE.fullmatch(image.strip())
    if not m:
        return None
    first, slash, rest = m["name"].partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "docker.io", m["name"]
    if first == "docker.io" and "/" not in rest:
        rest = "library/" + rest
    return "%s/%s%s" % (first, rest, "@" + m["digest"] if m["digest"] else ":" + (m["tag"] or "latest"))


# ---- as ferry lists them

def layer_of(kind, files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(("database/" if kind == "database" else "configs/") + name)
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))
    return raw.getvalue()


def publish(storage, repo, kind, files):
    raw = layer_of(kind, files)
    digest, size = storage.blob(gzip.compress(raw, 1, mtime=0))
    label = {LABEL + "database.v1": "/database/index.db"} if kind == "database" else {LABEL + "configs.v1": "/configs"}
    storage.image(repo, [(digest, size, digest_of(raw))], "v1", label)


def mirror(source, *flags):
    """Real registries are behind a proxy that is not there."""
    nowhere = "http://127.0.0.1:9"
    env = e2e.environment(HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere, NO_PROXY="127.0.0.1")
    return e2e.ferry("adm", "catalog", "mirror", source, MIRROR, "--insecure", *flags, env=env)


def mapping_in(folder):
    """{source: destination}"""
    with open(folder + "/mapping.txt") as f:
        return dict(line.rstrip("\n").partition("=")[::2] for line in f)


def compare_sets(what, got, want):
    e2e.check(got == want, "%s: %d, counted %d" % (what, len(got), len(want)),
              "missing: %s" % sorted(want - got)[:5], "too many: %s" % sorted(got - want)[:5])


def check_listing(source, want):
    needs = collections.defaultdict(set)
    for image, bundles in want.images.items():
        needs[source_of(image)] |= bundles
    complete = needs.pop(None, None) is None
    r = mirror(source, "--manifests-only", "--to-manifests=m")
    e2e.require(os.path.exists("m/mapping.txt"), "mapping.txt is written, exit %d" % r.rc, r.err[-2000:])
    e2e.check_equal(r.rc, 0 if complete else 3, "exit status")
    compare_sets("sources in mapping.txt", set(mapping_in("m")) - {source}, set(needs))

    # No image but the index is there to be asked for, and the plan tells of all the same.
    r = mirror(source, "--dry-run", "-o", "json", "--to-manifests=dry")
    e2e.require(r.out.strip(), "a plan is printed, exit %d" % r.rc, r.err[-2000:])
    plan, count = json.loads(r.out), collections.Counter(package for package, _ in want.bundles)
    compare_sets("packages and how many bundles they have",
                 {(p["name"], p["bundles"]) for p in plan["packages"] if p["name"] or p["bundles"]},
                 {(p, count[p]) for p in want.packages | set(count)})
    compare_sets("images and the bundles that need them",
                 {(source_of(i["source"]), b) for i in plan["images"] for b in i["bundles"]},
                 {(image, b) for image, bundles in needs.items() for b in bundles})
    e2e.check_equal(mapping_in("dry"), mapping_in("m"), "mapping.txt of the dry run")
    e2e.note("%d packages, %d bundles, %d images" % tuple(map(len, want)))


def add_test(name, kind, path):
    def scenario():
        e2e.need("docker-registry", "zstd")
        files = {"index.db": uncompressed(path)[1]} if kind == "database" else files_of(kind, path)
        want = count_database(files["index.db"]) if kind == "database" else count_files(files)
        publish(Storage("reg"), "real/catalog", kind, files)
        registry = e2e.Registry("reg")
        if want.packages or want.images:
            check_listing(registry.host + "/real/catalog:v1", want)
            return
        e2e.check_equal(mirror(registry.host + "/real/catalog:v1", "--manifests-only").rc, 1, "exit status of what is no catalog")

    scenario.__name__ = "%s_is_listed_completely" % re.sub(r"(\.tar)?\.zst$", "", name)
    e2e.test(scenario)


for entry in catalogs_below(TOP):
    add_test(*entry)
e2e.main()
