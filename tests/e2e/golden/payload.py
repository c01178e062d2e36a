# SPDX-License-Identifier: Apache-2.0
"""The releases and images that the golden cases were recorded with, written as registry storage.

Everything is fixed (times, pseudo-random bytes, compression), so that digests are those of the
recordings; write() returns them by name and golden.t compares them with payload.json.

  ocp-release:4.18.7-x86_64   A  names a verifier map; seven components, pod is a list of three
  ocp-release:4.18.8-x86_64   B  its references point at a dead port, as on a disconnected host
  ocp-release:4.18.9-x86_64   C  as A, with one manifest that is invalid
  ocp-release:no-refs         N  without image-references
  ocp-release:4.18.11-x86_64  U  no verifier map       4.18.12 O  OCI media types
  ocp-release:4.18.13-x86_64  L  a component that is a list with one entry
  ocp-release:4.18.14-x86_64  W  installer without patch markers
  ocp-release:4.18.15-x86_64  X  signature store is dead   4.18.16 G, 4.18.17 H  as A
  ocp-release:4.18.7-multi    M  list of two releases, every component is a list
  test/…                         single oci multi index layers shared race-a race-b holes
"""
import gzip
import hashlib
import io
import json
import os
import random
import tarfile

from corpus import ART, DOCKER, OCI, REL, Storage, digest_of

HERE = os.path.dirname(os.path.abspath(__file__))
HOST, DEAD = "127.0.0.1:5101", "127.0.0.1:5109"
SIGNATURES = "http://127.0.0.1:5105/signatures/openshift/release"
MTIME, CREATED = 1741000000, "2025-03-03T11:06:40Z"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

IMAGE_MARK = b"\0_RELEASE_IMAGE_LOCATION_\0" + b"X" * 300 + b"\0"
VERSION_MARK = b"\0_RELEASE_VERSION_LOCATION_\0" + b"X" * 64 + b"\0"
ARCH_MARK = b"\0_RELEASE_ARCHITECTURE_LOCATION_\0" + b"X" * 64 + b"\0"
INSTALLER, CLIENT = [IMAGE_MARK, VERSION_MARK, ARCH_MARK], [VERSION_MARK]


def noise(seed, n):
    blocks = (hashlib.sha256(("%s:%d" % (seed, i)).encode()).digest() for i in range((n + 31) // 32))
    return b"".join(blocks)[:n]


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def layer(files):
    """FILES: (path, bytes | None for a folder | link target, mode) → (archive, compressed)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data, mode in files:
            info = tarfile.TarInfo(path)
            info.mtime, info.mode, info.uname, info.gname = MTIME, mode, "root", "root"
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as f:
        f.write(raw.getvalue())
    return raw.getvalue(), packed.getvalue()


def program(name, arch, marks):
    """Text, filler that crosses a 4096 byte window, the markers."""
    out = b"#!/bin/false " + name.encode() + b" " + arch.encode() + b"\n" + noise(name + arch, 6000)
    for mark in marks:
        out += b"<<" + mark + b">>" + noise(name + arch + str(len(mark)), 2500)
    return out + b"\nEND\n"


BASE = layer([("etc/", None, 0o755), ("etc/os-release", b'NAME="synthetic"\n', 0o644),
              ("usr/", None, 0o755), ("usr/share/", None, 0o755),
              ("usr/share/base.bin", noise("base", 40960), 0o644)])

DEPLOYMENT = b"""# a comment that is lost on extraction
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cluster-version-operator
  namespace: openshift-cluster-version
  annotations:
    include.release.openshift.io/self-managed-high-availability: "true"
spec:
  replicas: 1
---
apiVersion: v1
kind: Service
metadata:
  name: cluster-version-operator
  namespace: openshift-cluster-version
"""
FROM_JSON = (b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"from-json","namespace":"default"},'
             b'"data":{"a":"1"}}\n')
BROKEN = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"


def credentials_request(name, kind):
    return ("""apiVersion: cloudcredential.openshift.io/v1
kind: CredentialsRequest
metadata:
  name: %s
  namespace: openshift-cloud-credential-operator
spec:
  providerSpec:
    apiVersion: cloudcredential.openshift.io/v1
    kind: %s
""" % (name, kind)).encode()


def verifier_map(store):
    with open(os.path.join(HERE, "keys/release.asc")) as f:
        key = "\n".join("    " + line for line in f.read().strip().split("\n"))
    return ("""apiVersion: v1
data:
  store-synthetic: %s
  verifier-public-key-synthetic: |
%s
kind: ConfigMap
metadata:
  annotations:
    include.release.openshift.io/self-managed-high-availability: "true"
    release.openshift.io/verification-config-map: ""
  creationTimestamp: null
  name: release-verification
  namespace: openshift-config-managed
  namespace: openshift-config-managed
""" % (store, key)).encode()


def image_stream(version, components, host):
    tags = []
    for name in sorted(components):
        notes = {"io.openshift.build.commit.id": COMMIT, "io.openshift.build.commit.ref": "release-4.18",
                 "io.openshift.build.source-location": "https://github.com/openshift/" + name}
        if name in ("cli", "cli-artifacts"):
            notes["io.openshift.build.versions"] = "kubectl=1.31.1"
        if name == "cluster-version-operator":
            notes["io.openshift.build.versions"] = "kubernetes=1.31.6"
            notes["io.openshift.build.version-display-names"] = "kubernetes=Kubernetes"
        tags.append({"name": name, "annotations": notes,
                     "from": {"kind": "DockerImage", "name": "%s/%s@%s" % (host, ART, components[name])},
                     "generation": 2, "importPolicy": {}, "referencePolicy": {"type": "Source"}})
    return json.dumps({
        "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
        "metadata": {"name": version, "creationTimestamp": CREATED,
                     "annotations": {"release.openshift.io/from-image-stream": "ocp/4.18-art-latest"}},
        "spec": {"lookupPolicy": {"local": False}, "tags": tags},
        "status": {"dockerImageRepository": ""}}, indent=2).encode()


def release_metadata(version, extra):
    return json.dumps({
        "kind": "cincinnati-metadata-v0", "version": version, "previous": ["4.17.20", "4.18.5", "4.18.6"],
        "metadata": {"url": "https://access.redhat.com/errata/RHBA-2025:0001", **extra}}, indent=2).encode()


class Payload:
    def __init__(self, directory):
        self.storage = Storage(directory)

    def image(self, repo, layers, arch="amd64", labels=None, types=DOCKER, tags=(None,), typed=True):
        layers = [BASE] + layers
        config = compact({
            "architecture": arch, "os": "linux", "created": CREATED,
            "config": {"Env": ["PATH=/usr/bin:/bin"], "Entrypoint": ["/usr/bin/true"],
                       "Labels": labels or {"io.openshift.synthetic": "true"}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(raw) for raw, _ in layers]},
            "history": [{"created": CREATED, "created_by": "synthetic"} for _ in layers]})
        for blob in [config] + [packed for _, packed in layers]:
            self.storage.attach(repo, *self.storage.blob(blob))
        body = {"schemaVersion": 2}
        if typed:
            body["mediaType"] = types["manifest"]
        body["config"] = {"mediaType": types["config"], "size": len(config), "digest": digest_of(config)}
        body["layers"] = [{"mediaType": types["layer"], "size": len(p), "digest": digest_of(p)} for _, p in layers]
        return self.manifest(repo, body, types["manifest"], tags)

    def manifest(self, repo, body, media_type, tags=(None,)):
        for tag in tags:
            got = self.storage.manifest(repo, compact(body), media_type, tag)
        return got

    def index(self, repo, children, types=DOCKER, tags=(None,)):
        """CHILDREN: ((digest, size), architecture, variant)."""
        entries = []
        for (digest, size), arch, variant in children:
            platform = {"architecture": arch, "os": "linux"}
            if variant:
                platform["variant"] = variant
            entries.append({"mediaType": types["manifest"], "digest": digest, "size": size, "platform": platform})
        return self.manifest(repo, {"schemaVersion": 2, "mediaType": types["index"], "manifests": entries},
                             types["index"], tags)

    def components(self, arch):
        def one(*files):
            return self.image(ART, [layer([(p, d, 0o777 if isinstance(d, str) else 0o755) for p, d in files])], arch)

        share = "usr/share/openshift/"
        return {
            "cli": one(("usr/bin/oc", program("oc", arch, CLIENT)), ("usr/bin/kubectl", "oc")),
            "cli-artifacts": one(
                (share + "mac/oc", program("oc", "darwin-amd64", CLIENT)),
                (share + "mac_arm64/oc", program("oc", "darwin-arm64", CLIENT)),
                (share + "windows/oc.exe", program("oc", "windows-amd64", CLIENT)),
                (share + "linux_amd64/oc", program("oc", "linux-amd64", CLIENT)),
                (share + "linux_amd64/oc.rhel8", program("oc.rhel8", "linux-amd64", CLIENT)),
                (share + "linux_amd64/oc.rhel9", program("oc.rhel9", "linux-amd64", CLIENT)),
                (share + "linux_arm64/oc", program("oc", "linux-arm64", CLIENT))),
            "cloud-credential-operator": one(("usr/bin/ccoctl", program("ccoctl", arch, []))),
            "cluster-version-operator": one(("usr/bin/cluster-version-operator", noise("cvo" + arch, 20000))),
            "installer": one(("usr/bin/openshift-install", program("openshift-install", arch, INSTALLER))),
            "installer-artifacts": one(
                (share + "mac/openshift-install", program("openshift-install", "darwin-amd64", INSTALLER)),
                (share + "linux_amd64/openshift-install", program("openshift-install", "linux-amd64", INSTALLER)),
                (share + "linux_arm64/openshift-install", program("openshift-install", "linux-arm64", INSTALLER))),
        }

    def pods(self, types=DOCKER):
        return [(self.image(ART, [layer([("usr/bin/pod", b"pod " + arch.encode() + b"\n", 0o755)])], arch, types=types),
                 arch, variant) for arch, variant in (("amd64", ""), ("arm64", "v8"), ("s390x", ""))]

    def release(self, version, components, tag=None, host=HOST, store=None, arch="amd64", types=DOCKER,
                extra=None, broken=False, references=True):
        """COMPONENTS: {name: digest}. STORE: the signature store its verifier map names."""
        top = "release-manifests/"
        files = [(top, None, 0o755),
                 (top + "0000_00_cluster-version-operator_03_deployment.yaml", DEPLOYMENT, 0o644),
                 (top + "0000_30_example_00_credreq-aws.yaml",
                  credentials_request("example-aws", "AWSProviderSpec"), 0o644),
                 (top + "0000_30_example_01_credreq-gcp.yaml",
                  credentials_request("example-gcp", "GCPProviderSpec"), 0o644),
                 (top + "0000_50_example_99_cm.json", FROM_JSON, 0o644)]
        if broken:
            files.append((top + "0000_60_broken.yaml", BROKEN, 0o644))
        if store:
            files.append((top + "0000_90_cluster-update-keys_configmap.yaml", verifier_map(store), 0o644))
        files.append((top + "README.txt", b"unknown file\n", 0o644))
        if references:
            files.append((top + "image-references", image_stream(version, components, host), 0o644))
        files.append((top + "release-metadata", release_metadata(version, extra or {}), 0o644))
        operator = layer([("usr/bin/cluster-version-operator", noise("cvo" + arch, 20000), 0o755)])
        labels = {"io.openshift.release": version,
                  "io.openshift.release.base-image-digest": components.get("cluster-version-operator", "")}
        return self.image(REL, [operator, layer(files)], arch, labels, types, (tag,))


def write_releases(p, info):
    amd64 = p.components("amd64")
    names = {name: digest for name, (digest, _) in amd64.items()}
    with_pod = dict(names, pod=p.index(ART, p.pods())[0])
    info["components"] = with_pod
    info["A"] = p.release("4.18.7", with_pod, "4.18.7-x86_64", store=SIGNATURES)[0]
    info["B"] = p.release("4.18.8", names, "4.18.8-x86_64", host=DEAD)[0]
    info["C"] = p.release("4.18.9", names, "4.18.9-x86_64", store=SIGNATURES, broken=True)[0]

    arm64 = p.components("arm64")
    multi = {"pod": p.index(ART, p.pods(OCI), OCI)[0]}
    for name in amd64:
        multi[name] = p.index(ART, [(amd64[name], "amd64", ""), (arm64[name], "arm64", "")])[0]
    children = []
    for arch in ("amd64", "arm64"):
        got = p.release("4.18.7", multi, store=SIGNATURES, arch=arch,
                        extra={"release.openshift.io/architecture": "multi"})
        children.append((got, arch, ""))
        info["M-" + arch] = got[0]
    info["M"] = p.index(REL, children, tags=("4.18.7-multi",))[0]
    info["M-components"] = multi

    info["U"] = p.release("4.18.11", names, "4.18.11-x86_64")[0]
    info["O"] = p.release("4.18.12", names, "4.18.12-x86_64", types=OCI)[0]
    info["one-list"] = p.index(ART, p.pods()[:1])[0]
    info["L"] = p.release("4.18.13", dict(names, single_arch_list=info["one-list"]), "4.18.13-x86_64")[0]
    plain = p.image(ART, [layer([("usr/bin/openshift-install",
                                  program("openshift-install", "nomarks", [IMAGE_MARK]), 0o755)])])[0]
    info["W"] = p.release("4.18.14", dict(names, installer=plain), "4.18.14-x86_64")[0]
    info["X"] = p.release("4.18.15", names, "4.18.15-x86_64", store="http://%s/sig" % DEAD)[0]
    info["G"] = p.release("4.18.16", names, "4.18.16-x86_64", store=SIGNATURES)[0]
    info["H"] = p.release("4.18.17", names, "4.18.17-x86_64", store=SIGNATURES)[0]
    info["N"] = p.release("4.18.10", names, "no-refs", references=False)[0]


def write_images(p, info):
    def hello(repo, text, **options):
        return p.image(repo, [layer([("hello.txt", text, 0o644)])], **options)[0]

    def arch_image(repo, arch, **options):
        return p.image(repo, [layer([("arch.txt", arch.encode() + b"\n", 0o644)])], arch, **options)

    info["single"] = hello("test/single", b"hello\n", tags=("v1", "v1.0", "mysql-5", "mysql-8"))
    info["oci"] = hello("test/oci", b"hello oci\n", types=OCI, tags=("v1",))
    info["oci-nomt"] = hello("test/oci", b"hello oci no mediatype\n", types=OCI, tags=("nomt",), typed=False)

    children = [(arch_image("test/multi", arch), arch, variant)
                for arch, variant in (("amd64", ""), ("arm64", "v8"), ("s390x", ""))]
    info["multi-children"] = [child[0][0] for child in children]
    info["multi"] = p.index("test/multi", children, tags=("latest",))[0]
    info["multi-noamd64"] = p.index("test/multi", children[1:], tags=("noamd64",))[0]
    info["multi-one"] = p.index("test/multi", children[:1], tags=("one",))[0]

    pair = [(arch_image("test/index", arch, types=OCI), arch, "") for arch in ("amd64", "arm64")]
    index = p.index("test/index", pair, OCI, ("latest",))
    info["index"] = index[0]
    info["nested"] = p.manifest("test/index", {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [
        {"mediaType": OCI["index"], "digest": index[0], "size": index[1]},
        {"mediaType": OCI["manifest"], "digest": pair[0][0][0], "size": pair[0][0][1],
         "platform": {"architecture": "amd64", "os": "linux"}}]}, OCI["index"], ("nested",))[0]

    info["layers"] = p.image("test/layers", [
        layer([("a/", None, 0o755), ("a/one", b"1\n", 0o644), ("a/two", b"2\n", 0o600), ("b", b"b\n", 0o755)]),
        layer([("a/.wh.one", b"", 0o644), ("a/three", b"3\n", 0o640), ("ln", "a/two", 0o777)])], tags=("v1",))[0]
    info["shared"] = p.image("test/shared", [layer([("x.bin", noise("x", 30000), 0o644)])], tags=("v1",))[0]
    big = layer([("big.bin", random.Random(7).randbytes(24 << 20), 0o644)])
    info["race-layer"] = digest_of(big[1])
    for name in "ab":
        p.image("test/race-" + name, [big, layer([("n", name.encode(), 0o644)])], tags=("v1",))

    # A list of two whose second child is gone.
    arch_image("test/holes", "amd64")
    info["holes"] = p.index("test/holes", children[:2], tags=("latest",))[0]


def write(directory):
    """Storage below DIRECTORY; returns {name: digest}."""
    p, info = Payload(directory), {}
    write_releases(p, info)
    write_images(p, info)
    return info
