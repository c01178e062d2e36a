# SPDX-License-Identifier: Apache-2.0
"""The catalogs and images that golden-catalog.t's cases were recorded with, written as registry storage.

Everything is fixed, so that digests are those of the recordings; write() returns them by name and
golden-catalog.t compares them with digests.json. Texts that are longer than a few lines, databases
(their bytes depend on the version of sqlite) and a layer compressed by zstd are in
tests/data/golden-catalog/sources.

  ops/… beta/… gamma/… shared/… org/… ubi-minimal   what the catalogs list
  cat/fbc             three packages as JSON and YAML, .indexignore files; a list of two
  cat/alpha           one package of it                redhat/sub/fbc-single  all of it, below a deeper path
  cat/fbc-variants, -ociindex, -noamd, -sparse         gamma as other kinds of lists; -sparse lacks an entry
  cat/fbc-bad         references that are wrong, missing, refused     cat/ref-sparse  one to a sparse list
  cat/sqlite…         databases                        redhat/redhat-operator-index  names of real registries
  the others          one trick each: see tricks()
"""
import collections
import glob
import gzip
import hashlib
import io
import json
import os
import tarfile

import e2e
from corpus import DOCKER, OCI, Storage, digest_of

SOURCES = os.path.join(e2e.TOP, "tests/data/golden-catalog/sources")
HOST = "127.0.0.1:5111"
MTIME, CREATED = 1700000000, "2024-01-01T00:00:00Z"
CONFIGS = "operators.operatorframework.io.index.configs.v1"
DATABASE = "operators.operatorframework.io.index.database.v1"
BUNDLE = "operators.operatorframework.io.bundle."

Link = collections.namedtuple("Link", "target")
BASE = [("etc/", None), ("etc/os-release", "ID=golden\n"), ("bin/", None), ("bin/opm", "not really opm\n"),
        ("tmp/", None)]


def archive(entries):
    """ENTRIES: (path, text | bytes | None for a folder | Link)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in entries:
            info = tarfile.TarInfo(path)
            info.mtime, info.uname, info.gname = MTIME, "root", "root"
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, Link):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content.target, 0o777
                tar.addfile(info)
            else:
                data = content.encode() if isinstance(content, str) else content
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def gzipped(data):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0, filename="") as f:
        f.write(data)
    return out.getvalue()


def tree(files, root="configs"):
    """Entries of an archive that has FILES {path: content} below ROOT, each folder before what is in it."""
    entries, known = [], set()
    for path in sorted(files):
        parts = (root + "/" + path).split("/")
        for i in range(1, len(parts)):
            folder = "/".join(parts[:i]) + "/"
            if folder not in known:
                known.add(folder)
                entries.append((folder, None))
        entries.append((root + "/" + path, files[path]))
    return entries


def source(name):
    """{path: text} of a folder of SOURCES."""
    top, out = os.path.join(SOURCES, name), {}
    for path in glob.glob(top + "/**", recursive=True, include_hidden=True):
        if os.path.isfile(path):
            with open(path) as f:
                out[os.path.relpath(path, top)] = f.read()
    return out


def database(name):
    with gzip.open(os.path.join(SOURCES, "databases", name + ".db.gz")) as f:
        return f.read()


def reference(repo, tag=None, host=HOST):
    return "%s/%s:%s" % (host, repo, tag)


def image_of(*references):
    """A YAML file with one document for each."""
    return "---\n".join("schema: olm.bundle\nimage: %s\n" % r for r in references)


class Images:
    def __init__(self, directory):
        self.storage, self.digests = Storage(directory), {}

    def blob(self, repo, data):
        digest, size = self.storage.blob(data)
        self.storage.attach(repo, digest, size)
        return {"size": size, "digest": digest}

    def manifest(self, repo, tag, body, lost=False):
        """LOST: its digest is made, but the registry does not have it."""
        data = json.dumps(body, indent=3).encode()
        if lost:
            return digest_of(data), len(data)
        digest, size = self.storage.manifest(repo, data, body["mediaType"], tag)
        if tag:
            self.digests["%s:%s" % (repo, tag)] = digest
        return digest, size

    def packed(self, repo, tag, config, layers, types, lost=False):
        """LAYERS: (media type, bytes)."""
        body = {"schemaVersion": 2, "mediaType": types["manifest"],
                "config": {"mediaType": types["config"], **self.blob(repo, json.dumps(config).encode())},
                "layers": [{"mediaType": kind, **self.blob(repo, data)} for kind, data in layers]}
        return self.manifest(repo, tag, body, lost)

    def image(self, repo, tag, layers, labels=None, types=DOCKER, arch="amd64", variant=None, lost=False):
        """LAYERS: entries of archives."""
        archives = [archive(entries) for entries in layers]
        config = {
            "created": CREATED, "architecture": arch, "os": "linux",
            "config": {"Env": ["PATH=/usr/bin"], "Entrypoint": ["/bin/opm"], "Cmd": ["serve", "/configs"],
                       "Labels": labels or {}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(a) for a in archives]},
            "history": [{"created": CREATED, "created_by": "golden layer %d" % i} for i in range(len(archives))]}
        if variant:
            config["variant"] = variant
        return self.packed(repo, tag, config, [(types["layer"], gzipped(a)) for a in archives], types, lost)

    def index(self, repo, tag, layers, platforms, types=DOCKER, lost=(), **options):
        """One image for each of PLATFORMS (architecture, variant); LAYERS(architecture, variant)."""
        entries = []
        for arch, variant in platforms:
            digest, size = self.image(repo, None, layers(arch, variant), types=types, arch=arch, variant=variant,
                                      lost=arch in lost, **options)
            platform = {"architecture": arch, "os": "linux"}
            if variant:
                platform["variant"] = variant
            entries.append({"mediaType": types["manifest"], "size": size, "digest": digest, "platform": platform})
        body = {"schemaVersion": 2, "mediaType": types["index"], "manifests": entries}
        return self.manifest(repo, tag, body)

    def catalog(self, name, tag, *layers, **options):
        """An index image with a file-based catalog."""
        return self.image(name, tag, layers, **{"labels": {CONFIGS: "/configs"}, **options})


# ---- what catalogs list

def operators(images):
    def simple(repo, tag, text, types=DOCKER):
        images.image(repo, tag, [
            [("licenses/", None), ("licenses/COMMON", "shared base layer\n")],
            [("app/", None), ("app/" + repo.replace("/", "-"), text + "\n")]], types=types)

    def program(text):
        return lambda arch, variant: [[("app/", None), ("app/bin", "%s %s%s\n" % (text, arch, variant or ""))]]

    def bundle(repo, package, version, types=DOCKER):
        csv = ("apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata:\n  name: %s.v%s\n"
               "spec:\n  version: %s\n" % (package, version, version))
        annotations = "annotations:\n  %spackage.v1: %s\n" % (BUNDLE, package)
        images.image(repo, "v" + version, [
            [("manifests/", None), ("manifests/%s.clusterserviceversion.yaml" % package, csv)],
            [("metadata/", None), ("metadata/annotations.yaml", annotations)]],
            labels={BUNDLE + "package.v1": package, BUNDLE + "manifests.v1": "manifests/"}, types=types)

    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0-rc1"):
        bundle("ops/alpha-bundle", "alpha", version)
        simple("ops/alpha-operator", "v" + version, "alpha operator " + version)
    images.index("ops/alpha-operand", "1.2", program("alpha operand"),
                 [("amd64", None), ("arm64", "v8"), ("s390x", None)])
    images.index("shared/kube-rbac-proxy", "v4", program("kube rbac proxy"), [("amd64", None), ("arm64", None)], OCI)
    bundle("beta/beta-bundle", "beta", "2.0.0", OCI)
    bundle("beta/beta-bundle", "beta", "2.1.0", OCI)
    simple("beta/beta-operator", "2.1.0", "beta operator", OCI)
    simple("beta/tools", "latest", "beta tools latest")
    simple("beta/tools", "v3", "beta tools v3")
    simple("ubi-minimal", "8", "single component repository")
    simple("org/team/sub/deep", "1.0", "deep path")
    bundle("gamma/gamma-bundle", "gamma", "0.1.0")
    images.image("gamma/big", "1", [[("data/", None), ("data/blob", hashlib.sha512(b"x").digest() * 4096)]])


# ---- catalogs

def ordinary(images, gamma):
    fbc = source("fbc")
    alpha = {path: text for path, text in fbc.items() if path.startswith("alpha/")}
    amd64_and = lambda *others: [("amd64", None), *others]
    images.index("cat/fbc", "v1", lambda *_: [BASE, tree(fbc)], amd64_and(("arm64", None)),
                 labels={CONFIGS: "/configs", "com.example": "x"})
    small = {"labels": {CONFIGS: "/configs"}}
    layers = lambda *_: [BASE, tree(gamma)]
    images.index("cat/fbc-variants", "v1", layers, amd64_and(("arm", "v7"), ("arm64", "v8")), **small)
    images.index("cat/fbc-ociindex", "v1", layers, amd64_and(("s390x", None)), OCI, **small)
    images.index("cat/fbc-noamd", "v1", layers, [("arm64", None)], **small)
    images.index("cat/fbc-sparse", "v1", layers, amd64_and(("arm64", None)), lost=["arm64"], **small)
    images.catalog("redhat/sub/fbc-single", "v4.18", BASE, tree(fbc), labels={CONFIGS: "/configs/"})
    images.catalog("cat/alpha", "v1", BASE, tree(alpha), types=OCI)
    images.catalog("cat/fbc-bad", "v1", tree(source("fbc-bad")))
    images.catalog("redhat/redhat-operator-index", "v4.18", BASE, tree(source("fbc-redhat")))
    return alpha


def layered(images, alpha, gamma):
    """Whiteouts: of files and of a whole folder below configs/, and, as a rebuilt catalog has it, of configs."""
    images.catalog(
        "cat/whiteout", "v1", BASE,
        tree({"old/catalog.yaml": image_of(reference("never/whiteout-file", 1)),
              "keep/catalog.yaml": image_of(reference("beta/tools", "v3")),
              "dir/a.yaml": image_of(reference("never/opaque", 1)),
              "gone.yaml": image_of(reference("never/whiteout-plain", 1))}),
        [("configs/", None), ("configs/.wh.old", ""), ("configs/.wh.gone.yaml", "")],
        [("configs/", None), ("configs/dir/", None), ("configs/dir/.wh..wh..opq", ""),
         ("configs/dir/b.yaml", image_of(reference("gamma/big", 1)))])
    images.catalog("cat/rebuilt", "v1", BASE, tree(alpha), [(".wh.configs", "")], tree(gamma))
    images.catalog("cat/dotslash", "v1", [("./configs/gamma/catalog.yaml", gamma["gamma/catalog.yaml"])])


def tricks(images, gamma):
    tools, big = "image: %s\n" % reference("beta/tools", "v3"), "image: %s\n" % reference("gamma/big", 1)

    def files(name, tag="v1", **contents):
        """a_yaml is the file a.yaml."""
        images.catalog("cat/" + name, tag, tree({k.replace("_", "."): v for k, v in contents.items()}))

    images.catalog("cat/badyaml", "v1", tree({"a/catalog.yaml": gamma["gamma/catalog.yaml"],
                                              "b/broken.yaml": "schema: olm.bundle\nimage: [unclosed\n"}))
    images.catalog("cat/badjson", "v1", tree({
        "a/broken.json": '{"schema":"olm.package","name":"x"}\n{"schema":"olm.bundle",\n'}))
    documents = ("Schema: olm.bundle\nIMAGE: %s\n---   # trailing comment ok\n%s--- \n\n---\nrelatedImages:\n- IMAGE: %s\n"
                 % (reference("beta/tools", "v3"), big, reference("beta/tools", "latest")))
    values = '\n\n  {"image":"%s"}{"image":"%s"}\n' % (reference("ubi-minimal", 8), reference("org/team/sub/deep", "1.0"))
    files("quirks", a_yaml=documents, b=values + "[1]\n")
    files("quirks", "v2", a_yaml=documents, b=values, c_txt="image: %s\nimage2: 1\n" % reference("ops/alpha-operand", 1.2),
          empty_yaml="", Dockerfile="# only a comment\n")
    files("quirks2", a_yaml=tools + "---- four dashes\n" + big)
    files("dupkey", a_yaml=tools + big)
    files("plaintext", a_yaml=tools, README="just some words\n")
    files("yamldirective", a_yaml="%YAML 1.2\n---\n" + tools + "...\n---\n" + big)
    files("docend", a_yaml=tools + "...\n---\n" + big,
          anchors_yaml="x: &i %s\nimage: *i\nrelatedImages:\n- &r {image: %s}\n- <<: *r\n  name: merged\n"
          % (reference("ubi-minimal", 8), reference("org/team/sub/deep", "1.0")))
    files("fileref", a_yaml="image: file://etc/secret:v1\n---\nimage: docker://%s\n---\nimage: ' %s'\n"
          % (reference("beta/tools", "v3"), reference("beta/tools", "v3")))
    real = tree({"real/a.yaml": tools})
    images.catalog("cat/symlink-out", "v1", real + [("configs/link.yaml", Link("../../etc/passwd"))])
    images.catalog("cat/symlink-todir", "v1", real + [("configs/linkdir", Link("real"))])
    images.catalog("cat/symlink-dir", "v1", [("cfg-real/", None), ("cfg-real/a.yaml", tools),
                                             ("configs", Link("cfg-real"))])
    images.catalog("cat/emptydir", "v1", BASE)
    images.image("cat/nolabel", "v1", [BASE])
    three = image_of(reference("beta/tools", "v3"), reference("beta/tools", "v3", "localhost:5111"),
                     reference("org/team/sub/deep", "1.0"))
    files("collide", c_yaml=three)
    files("collide", "v2", c_yaml=image_of(reference("beta/tools", "v3"),
                                           reference("beta/tools", "v3", "127.0.0.1:5113")))


def broken_list(images):
    """A list in the catalog of which one image is gone."""
    digest, _ = images.index("shared/sparse", "v1", lambda arch, _: [[("app/", None), ("app/x", "sparse " + arch)]],
                             [("amd64", None), ("arm64", None)], lost=["arm64"])
    big = reference("gamma/big", 1)
    images.catalog("cat/ref-sparse", "v1", tree({"c.yaml": image_of("%s/shared/sparse@%s" % (HOST, digest), big)}))


def unusual_layers(images, gamma):
    data = archive(tree(gamma))
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {CONFIGS: "/configs"}},
              "rootfs": {"type": "layers", "diff_ids": [digest_of(data)]}}
    plain = OCI["layer"].replace("+gzip", "")
    images.packed("cat/layer-plain", "v1", config, [(plain, data)], OCI)
    with open(SOURCES + "/layer.tar.zst", "rb") as f:
        images.packed("cat/layer-zstd", "v1", config, [(plain + "+zstd", f.read())], OCI)
    del config["config"]
    images.packed("cat/noconfig", "v1", config, [(OCI["layer"], gzipped(data))], OCI)


def databases(images, alpha):
    folder = lambda data: [("database/", None), ("database/index.db", data)]
    label, own = {DATABASE: "/database/index.db"}, database("self")
    images.image("cat/sqlite", "v1", [BASE, folder(own)], labels=label)
    images.image("cat/sqlite-wal", "v1", [BASE, folder(database("wal"))], labels=label)
    images.image("cat/sqlite-testdb", "v1", [BASE, folder(database("test"))], labels=label)
    images.image("cat/sqlite-old", "v1", [folder(database("old"))], labels=label)
    images.image("cat/sqlite-relpath", "v1", [BASE, [("bundles.db", own)]], labels={DATABASE: "bundles.db"})
    images.image("cat/both", "v1", [BASE, folder(own), tree(alpha)], labels={**label, CONFIGS: "/configs"})
    images.image("cat/notadb", "v1", [folder("this is not sqlite\n")], labels=label)


def write(directory):
    """Storage below DIRECTORY; returns {repository:tag: digest}."""
    images = Images(directory)
    gamma = {"gamma/catalog.yaml": source("fbc")["gamma/index.yaml"]}
    operators(images)
    alpha = ordinary(images, gamma)
    layered(images, alpha, gamma)
    tricks(images, gamma)
    broken_list(images)
    unusual_layers(images, gamma)
    databases(images, alpha)
    return images.digests
