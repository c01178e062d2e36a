#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the storage of a docker-registry (distribution's filesystem layout) that holds a corpus.

usage: corpus.py KIND DIR HOST:PORT [--tree] [--seed N] [--scale X]

KIND is one of
  sample   a small release with real component names: what quickstart.sh mirrors (4.12.0, 8 MB)
  release  190 components and the release image, 451 blobs, 383 MB; three base layers are shared
  bundles  1,500 images of 2-4 tiny layers in 300 repositories, 5,955 blobs or so
  big      two images of 500 MB

HOST:PORT is where the registry will answer; the payload of a release names its components by it.
The same seed gives the same bytes. Layers of a release are gzip-compressed tar archives whose files
hold random bytes. Beside the storage stands DIR/plan: what a client has to move, one object a line,

  manifest REPOSITORY DIGEST SIZE MEDIA-TYPE TAG|-
  blob     REPOSITORY DIGEST SIZE

in the order config, layers, manifest; each blob of a repository once. bench/floor reads it, and
DIR/mapping has SRC=DST lines with DST as a placeholder (bundles, big).

--tree writes the folder that `mirror --dir` makes instead (DIR/v2), for ferry's registry to serve.

As a module: Storage and Tree write any image a test may want, without a registry running.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
CREATED = "2026-01-01T00:00:00Z"
MTIME = 1767225600

DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files):
    """FILES: (name, bytes, mode). The archive has fixed times and owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, mode in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, MTIME
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Storage:
    """The tree below DIR that docker-registry serves with rootdirectory DIR."""

    def __init__(self, directory):
        self.root = os.path.join(directory, "docker/registry/v2")
        self.plan, self.seen = [], set()
        self.blobs = self.bytes = 0

    @staticmethod
    def _link(path, digest):
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "link"), "w") as f:
            f.write(digest)

    def blob_path(self, digest):
        return os.path.join(self.root, "blobs/sha256", digest[7:9], digest[7:], "data")

    def blob(self, chunks):
        """Stores bytes, or an iterable of them; returns (digest, size)."""
        if isinstance(chunks, bytes):
            chunks = [chunks]
        os.makedirs(self.root, exist_ok=True)
        temporary = os.path.join(self.root, ".blob")
        sha, size = hashlib.sha256(), 0
        with open(temporary, "wb") as f:
            for chunk in chunks:
                sha.update(chunk)
                size += f.write(chunk)
        digest = "sha256:" + sha.hexdigest()
        path = self.blob_path(digest)
        if os.path.exists(path):
            os.unlink(temporary)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(temporary, path)
            self.blobs += 1
            self.bytes += size
        return digest, size

    def attach(self, repo, digest, size):
        self._attach(repo, digest)
        if (repo, digest) not in self.seen:
            self.seen.add((repo, digest))
            self.plan.append("blob %s %s %d" % (repo, digest, size))

    def _attach(self, repo, digest):
        self._link(os.path.join(self.root, "repositories", repo, "_layers/sha256", digest[7:]), digest)

    def _revision(self, repo, digest, tag):
        base = os.path.join(self.root, "repositories", repo, "_manifests")
        self._link(os.path.join(base, "revisions/sha256", digest[7:]), digest)
        os.makedirs(os.path.join(self.root, "repositories", repo, "_layers"), exist_ok=True)
        if tag:
            self._link(os.path.join(base, "tags", tag, "current"), digest)
            self._link(os.path.join(base, "tags", tag, "index/sha256", digest[7:]), digest)

    def manifest(self, repo, body, media_type, tag=None):
        """Bytes as a manifest of REPO; returns (digest, size)."""
        counted = self.blobs, self.bytes
        digest, size = self.blob(body)
        self.blobs, self.bytes = counted
        self._revision(repo, digest, tag)
        self.plan.append("manifest %s %s %d %s %s" % (repo, digest, size, media_type, tag or "-"))
        return digest, size

    def layer(self, files, level=6):
        """A gzip tar layer: (digest, size, digest of the archive)."""
        raw = tar_of(files)
        return self.blob(gzip.compress(raw, level, mtime=0)) + (digest_of(raw),)

    def image(self, repo, layers, tag=None, labels=None, arch="amd64", types=None, **extra):
        """LAYERS: (digest, size[, diff id[, media type]]). Further members of the manifest as keywords."""
        types = types or DOCKER
        config = json.dumps({
            "architecture": arch, "os": "linux", "created": CREATED,
            "config": {"Labels": labels or {}},
            "rootfs": {"type": "layers", "diff_ids": [(l[2] if len(l) > 2 else l[0]) for l in layers]},
            "history": [{"created": CREATED} for _ in layers]}).encode()
        config_digest, config_size = self.blob(config)
        self.attach(repo, config_digest, config_size)
        for layer in layers:
            self.attach(repo, layer[0], layer[1])
        body = {"schemaVersion": 2, "mediaType": types["manifest"],
                "config": {"mediaType": types["config"], "size": config_size, "digest": config_digest},
                "layers": [{"mediaType": l[3] if len(l) > 3 else types["layer"], "size": l[1], "digest": l[0]}
                           for l in layers]}
        body.update(extra)
        return self.manifest(repo, json.dumps(body, indent=3).encode(), types["manifest"], tag)

    def index(self, repo, children, tag=None, types=None, **extra):
        """CHILDREN: (digest, size, architecture or None[, media type])."""
        types = types or OCI
        entries = []
        for child in children:
            entry = {"mediaType": child[3] if len(child) > 3 else types["manifest"],
                     "digest": child[0], "size": child[1]}
            if child[2]:
                entry["platform"] = {"architecture": child[2], "os": "linux"}
            entries.append(entry)
        body = {"schemaVersion": 2, "mediaType": types["index"], "manifests": entries}
        body.update(extra)
        return self.manifest(repo, json.dumps(body, indent=3).encode(), types["index"], tag)

    def release(self, host, version, components, base, arch="x86_64"):
        """COMPONENTS: (name, digest) of images in ocp-v4.0-art-dev. BASE: layers below the payload."""
        payload = {
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": version, "creationTimestamp": CREATED},
            "spec": {"lookupPolicy": {"local": False}, "tags": [
                {"name": name, "from": {"kind": "DockerImage", "name": "%s/%s@%s" % (host, ART, digest)}}
                for name, digest in components]}}
        metadata = {"kind": "cincinnati-metadata-v0", "version": version, "previous": [], "metadata": {}}
        layer = self.layer([
            ("release-manifests/image-references", json.dumps(payload, indent=2).encode(), 0o644),
            ("release-manifests/release-metadata", json.dumps(metadata).encode(), 0o644)])
        return self.image(REL, base + [layer], "%s-%s" % (version, arch),
                          {"io.openshift.release": version})


class Tree(Storage):
    """The tree below DIR that ferry serves in place: DIR/v2/REPOSITORY/{blobs,manifests}."""

    def __init__(self, directory):
        super().__init__(directory)
        self.tree = os.path.join(directory, "v2")
        self.root = os.path.join(directory, ".corpus")  # the first name of every file

    def blob_path(self, digest):
        return os.path.join(self.root, digest[7:9], digest[7:])

    def _name(self, repo, kind, digest):
        folder = os.path.join(self.tree, repo, kind)
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, digest)):
            os.link(self.blob_path(digest), os.path.join(folder, digest))
        return folder

    def _attach(self, repo, digest):
        self._name(repo, "blobs", digest)

    def _revision(self, repo, digest, tag):
        folder = self._name(repo, "manifests", digest)
        self._name(repo, "blobs", digest)
        if tag:
            path = os.path.join(folder, tag)
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(digest, path)


ART = "openshift-release-dev/ocp-v4.0-art-dev"
REL = "openshift-release-dev/ocp-release"


def component_names():
    with open(os.path.join(HERE, "data/components.txt")) as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def random_layer(storage, rnd, size):
    name = "usr/share/data/%08x" % rnd.getrandbits(32)
    return storage.layer([(name, rnd.randbytes(size), 0o644)], level=1)


ROOM = {"IMAGE": 300, "VERSION": 64, "ARCHITECTURE": 64}


def program(rnd, *markers):
    """A script with random bytes behind it; it prints what extracting it has written over its MARKERS."""
    script = b"#!/bin/sh\ntr '\\0' '\\n' <\"$0\" | sed -n 's/^release \\([a-z]*\\)=/\\1 /p'\nexit\n"
    marks = b"".join(b"\nrelease %s=\0_RELEASE_%s_LOCATION_\0%s\0" % (
        m.lower().encode(), m.encode(), b"X" * ROOM[m]) for m in markers)
    return script + marks + rnd.randbytes(1 << 18)


def write_release(storage, host, rnd, version, names, base_sizes, sizes):
    base = [random_layer(storage, rnd, n) for n in base_sizes]
    components = []
    for i, name in enumerate(names):
        own = [random_layer(storage, rnd, sizes(i))]
        if i % 3 == 0:
            own.append(random_layer(storage, rnd, 2000 + i))
        if name == "cli":
            own.append(storage.layer([("usr/bin/oc", program(rnd, "VERSION"), 0o755)]))
        elif name == "installer":
            own.append(storage.layer([("usr/bin/openshift-install", program(rnd, "IMAGE", "VERSION", "ARCHITECTURE"), 0o755)]))
        components.append((name, storage.image(ART, base + own)[0]))
    storage.release(host, version, components, base)


def write(kind, directory, host, seed=1, scale=1.0, storage=Storage):
    storage, rnd, mapping = storage(directory), random.Random(seed), []
    if kind == "sample":
        write_release(storage, host, rnd, "4.12.0", component_names(), (1 << 20, 1 << 18),
                      lambda i: 4000 + rnd.randrange(64000))
    elif kind == "release":
        names = component_names()
        names += ["component-%03d" % i for i in range(len(names), 190)]
        write_release(storage, host, rnd, "4.18.1", names[:190],
                      [int(n * scale) for n in (8e6, 2e6, 5e5)],
                      lambda i: max(1000, int(min(rnd.lognormvariate(13.914, 1.1), 3e7) * scale)))
    elif kind == "bundles":
        for i in range(int(1500 * scale)):
            repo, tag = "operators/bundle-%04d" % (i // 5), "v%d" % (i % 5)
            layers = [storage.blob(rnd.randbytes(rnd.randint(600, 30000))) for _ in range(rnd.randint(2, 4))]
            digest, _ = storage.image(repo, layers, tag)
            mapping.append("%s/%s@%s=DST/%s:%s" % (host, repo, digest, repo, tag))
    elif kind == "big":
        for i in range(2):
            left = int(500e6 * scale)
            chunks = (rnd.randbytes(min(1 << 24, left - at)) for at in range(0, left, 1 << 24))
            repo = "big/img%d" % i
            storage.image(repo, [storage.blob(chunks), storage.blob(rnd.randbytes(1000))], "v1")
            mapping.append("%s/%s:v1=DST/%s:v1" % (host, repo, repo))
    else:
        sys.exit("corpus: unknown kind '%s'" % kind)
    for name, lines in (("plan", storage.plan), ("mapping", mapping)):
        with open(os.path.join(directory, name), "w") as f:
            f.write("".join(line + "\n" for line in lines))
    return storage


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["sample", "release", "bundles", "big"])
    parser.add_argument("directory")
    parser.add_argument("host")
    parser.add_argument("--tree", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    a = parser.parse_args()
    storage = write(a.kind, a.directory, a.host, a.seed, a.scale, Tree if a.tree else Storage)
    print("%s: %d blobs, %.1f MB" % (a.kind, storage.blobs, storage.bytes / 1e6))


if __name__ == "__main__":
    main()
