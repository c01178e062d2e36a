# SPDX-License-Identifier: Apache-2.0
"""Operator catalogs for the tests: the index images, the images that they list, and where each of them belongs by the book."""
import collections
import gzip
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile

import corpus

CONFIGS = "operators.operatorframework.io.index.configs.v1"
DATABASE = "operators.operatorframework.io.index.database.v1"
LINK, HARDLINK, DEVICE, FIFO = "link", "hard link", "device", "fifo"


# ---- index images -------------------------------------------------------------------------------

def tar(entries, form=tarfile.GNU_FORMAT):
    """ENTRIES: (name, content). Content: bytes, None for a folder, (LINK or HARDLINK, target), (DEVICE,), (FIFO,)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as t:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = corpus.MTIME, 0o644
            data = None
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, tuple):
                info.type = {LINK: tarfile.SYMTYPE, HARDLINK: tarfile.LNKTYPE, DEVICE: tarfile.CHRTYPE, FIFO: tarfile.FIFOTYPE}[content[0]]
                info.linkname = content[1] if len(content) > 1 else ""
                info.devmajor, info.devminor = 1, 5
            else:
                info.size, data = len(content), io.BytesIO(content)
            t.addfile(info, data)
    return out.getvalue()


def packed(raw):
    return gzip.compress(raw, 1, mtime=0)


def index_image(storage, repo, tag, layers, label="/configs", kind=CONFIGS, **more):
    """LAYERS: lists of entries, or bytes of a layer as they are. LABEL: None for an image without one."""
    blobs = []
    for layer in layers:
        raw = None if isinstance(layer, bytes) else tar(layer)
        blobs.append(storage.blob(layer if raw is None else packed(raw)) + (corpus.digest_of(layer if raw is None else raw),))
    return storage.image(repo, blobs, tag, {} if label is None else {kind: label}, **more)


def fbc_image(storage, repo, tag, files, **more):
    """FILES: {path below configs: text or bytes}."""
    entries = [("configs", None)]
    for path in sorted(files):
        for i in (i for i, c in enumerate(path) if c == "/"):
            if ("configs/" + path[:i], None) not in entries:
                entries.append(("configs/" + path[:i], None))
        text = files[path]
        entries.append(("configs/" + path, text.encode() if isinstance(text, str) else text))
    return index_image(storage, repo, tag, [entries], **more)


def bundle(name, package, image, related=()):
    return {"schema": "olm.bundle", "name": name, "package": package, "image": image,
            "properties": [{"type": "olm.package", "value": {"packageName": package, "version": name.rpartition(".v")[2]}}],
            "relatedImages": [{"name": "", "image": image}] + [{"name": "r%d" % i, "image": r} for i, r in enumerate(related)]}


def package(name, *bundles):
    """A package with one channel; BUNDLES: (version, image, related images)."""
    names = ["%s.v%s" % (name, b[0]) for b in bundles]
    entries = [dict({"name": n}, **({"replaces": names[i - 1]} if i else {})) for i, n in enumerate(names)]
    return [{"schema": "olm.package", "name": name, "defaultChannel": "stable"},
            {"schema": "olm.channel", "package": name, "name": "stable", "entries": entries}] + [
                bundle(n, name, b[1], b[2]) for n, b in zip(names, bundles)]


def as_json(documents):
    return "\n".join(json.dumps(d, indent=4) for d in documents) + "\n"


def as_yaml(documents):
    import yaml
    return "".join("---\n" + yaml.safe_dump(d) for d in documents)


SCHEMA = """
CREATE TABLE operatorbundle (name TEXT PRIMARY KEY, csv TEXT, bundle TEXT, bundlepath TEXT, skiprange TEXT, version TEXT,
                             replaces TEXT, skips TEXT, substitutesfor TEXT);
CREATE TABLE package (name TEXT PRIMARY KEY, default_channel TEXT);
CREATE TABLE channel (name TEXT, package_name TEXT, head_operatorbundle_name TEXT, PRIMARY KEY(name, package_name));
CREATE TABLE channel_entry (entry_id INTEGER PRIMARY KEY, channel_name TEXT, package_name TEXT, operatorbundle_name TEXT,
                            replaces INTEGER, depth INTEGER);
CREATE TABLE related_image (image TEXT, operatorbundle_name TEXT);
"""


def database(packages, schema=SCHEMA, statements=(), pragmas=("page_size=4096",)):
    """The bytes of an index.db. PACKAGES: {name: [(bundle, image, [related images])]}."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "index.db")
        db = sqlite3.connect(path, isolation_level=None)
        for p in ("synchronous=OFF", "journal_mode=MEMORY") + tuple(pragmas):
            db.execute("PRAGMA " + p)
        db.executescript(schema)
        db.execute("BEGIN")
        for name, bundles in packages.items():
            db.execute("INSERT INTO package VALUES (?, 'stable')", (name,))
            db.execute("INSERT INTO channel VALUES ('stable', ?, ?)", (name, bundles[-1][0]))
            for text, image, related in bundles:
                db.execute("INSERT INTO operatorbundle (name, bundlepath, version) VALUES (?, ?, '1.0.0')", (text, image))
                db.execute("INSERT INTO channel_entry (channel_name, package_name, operatorbundle_name, depth) "
                           "VALUES ('stable', ?, ?, 0)", (name, text))
                if related:
                    db.executemany("INSERT INTO related_image VALUES (?, ?)", [(r, text) for r in related])
        db.execute("COMMIT")
        for s in statements:
            db.execute(s)
        db.close()
        with open(path, "rb") as f:
            return f.read()


# ---- where images belong ------------------------------------------------------------------------

Ref = collections.namedtuple("Ref", "registry path tag digest")


def parse(text):
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    registry, path = ("", name)
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    path, _, tag = path.partition(":")
    return Ref(registry, path, tag, digest)


def hash_tag(text):
    """FNV-1a, 32 bits, of a reference by digest, in hex without leading zeros."""
    h = 0x811c9dc5
    for c in text.encode():
        h = (h ^ c) * 0x01000193 & 0xffffffff
    return "%x" % h


def mounted(image, destination, components=2):
    """"host/path:tag" of an image of a catalog below DESTINATION (a registry, or one with a path)."""
    ref = parse(image)
    host, _, below = destination.partition("/")
    parts = (below.split("/") if below else []) + ref.path.split("/")
    if components > 1 and len(parts) > components:
        parts = parts[:components - 1] + ["-".join(parts[components - 1:])]
    tag = ref.tag or (hash_tag("%s/%s@%s" % (ref.registry, ref.path, ref.digest)) if ref.digest else "latest")
    return "%s/%s:%s" % (host, "/".join(parts), tag)


def by_repository(images, destination, tags):
    """{source repository: mirror repository} of the IMAGES that have a digest, or (TAGS) have none."""
    out = {}
    for image in images:
        ref = parse(image)
        if bool(ref.digest) != tags:
            out["%s/%s" % (ref.registry, ref.path)] = mounted(image, destination).rpartition(":")[0]
    return out


def mirrors_of(objects, kind):
    """{source: [mirrors]} of the mirror sets of one KIND."""
    field = {"ImageDigestMirrorSet": "imageDigestMirrors", "ImageTagMirrorSet": "imageTagMirrors",
             "ImageContentSourcePolicy": "repositoryDigestMirrors"}[kind]
    return {i["source"]: i["mirrors"] for o in objects if o["kind"] == kind for i in o["spec"][field]}
