#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes an index image that is as large as Red Hat's of 4.22: 170 packages, 118 MB of JSON.

usage: catalog.py DIR [--seed N] [--scale X]

DIR becomes a folder as `mirror --dir` makes it, with the catalog twice, each in one gzip layer:

  catalog/index:many    configs/PACKAGE/catalog.json for each package
  catalog/index:single  configs/catalog.json with the same documents

and DIR/expected.json, which counts what is in it. Documents are indented as opm writes them; an
olm.bundle has olm.gvk, olm.package and olm.csv.metadata properties and relatedImages, and says most
of what the version before it said, so that the layers compress about as real ones do (12:1). The same seed gives
the same bytes.
"""
import argparse
import base64
import gzip
import io
import json
import os
import random
import tarfile

import corpus

PACKAGES, BYTES = 170, 118e6
LABEL = {"operators.operatorframework.io.index.configs.v1": "/configs"}
WORDS = """the a of to and in for is with on as by from that this are can be it an or all which when
cluster operator OpenShift Kubernetes namespace resource custom configuration deployment pod service
storage network policy security monitoring metrics logging database cache queue gateway mesh virtual
machine migration backup restore snapshot volume node machine-config certificate secret token user
role permission quota limit scale upgrade install subscription channel version release image registry
container workload application pipeline trigger event function serverless model training inference
GPU accelerator scheduler autoscaler topology replica primary standby failover recovery disaster data
center region zone edge device driver kernel module firmware telemetry trace alert rule dashboard
console plug-in API endpoint route ingress load balancer DNS proxy firewall encryption key audit
compliance profile scan report remediation baseline template parameter value default option feature
— you’ll “managed” µs""".split()


def text(rnd, size):
    """Markdown of about SIZE bytes."""
    out, n = [], 0
    while n < size:
        sentence = " ".join(rnd.choice(WORDS) for _ in range(rnd.randint(6, 22))).capitalize()
        lead = rnd.choice(["", "", "", "* ", "## ", "`oc get pods -n x` "])
        out.append("%s%s.%s" % (lead, sentence, rnd.choice([" ", "\n", "\n\n"])))
        n += len(out[-1])
    return "".join(out)


def name(rnd, parts=2):
    return "-".join(rnd.choice(WORDS[25:110]).lower() for _ in range(parts))


def digest(rnd):
    return "sha256:%064x" % rnd.getrandbits(256)


class Package:
    """What the versions of one operator have in common, and what changes between them."""

    def __init__(self, rnd, number):
        self.rnd = rnd
        self.name = "%s-%03d" % (name(rnd), number)
        self.title = self.name.replace("-", " ").title()
        self.org = name(rnd, 1) + str(rnd.randint(1, 9))
        self.paragraphs = [text(rnd, 300) for _ in range(rnd.choice([5, 12, 24, 36]))]
        self.kinds = [name(rnd).title().replace("-", "") for _ in range(rnd.randint(2, 9))]
        self.crds = [{"name": "%ss.%s.example.com" % (kind.lower(), self.org), "version": "v1alpha1",
                      "kind": kind, "displayName": kind, "description": text(rnd, 120)} for kind in self.kinds]
        self.examples = [self.example(kind) for kind in self.kinds]
        self.components = ["%s/%s-%s-rhel9" % (self.org, self.name, name(rnd, 1) + str(i))
                           for i in range(rnd.randint(4, 18))]
        self.digests = {c: digest(rnd) for c in self.components}
        self.versions = []

    def example(self, kind):
        spec = {name(self.rnd): self.rnd.choice([True, 3, "auto", {"enabled": False, "size": "10Gi"},
                                                 ["a", "b"], {"matchLabels": {"app": "<none>"}}])
                for _ in range(self.rnd.randint(2, 12))}
        return {"apiVersion": self.org + ".example.com/v1alpha1", "kind": kind,
                "metadata": {"name": kind.lower(), "namespace": "openshift-" + self.org}, "spec": spec}

    def image(self, component):
        return "registry.redhat.io/%s@%s" % (component, self.digests[component])

    def next_version(self):
        for component in self.components:
            if self.rnd.random() < 0.13:
                self.digests[component] = digest(self.rnd)
        for i in range(len(self.paragraphs)):
            if self.rnd.random() < 0.4:
                self.paragraphs[i] = text(self.rnd, 300)
        self.examples[self.rnd.randrange(len(self.kinds))] = self.example(self.rnd.choice(self.kinds))
        n = len(self.versions)
        self.versions.append("%d.%d.%d" % (1 + n // 40, n // 8 % 5, n % 8))
        return self.versions[-1]

    def bundle(self):
        version = self.next_version()
        bundle = "registry.redhat.io/%s/%s-bundle@%s" % (self.org, self.name, digest(self.rnd))
        related = [{"name": c.rsplit("/", 1)[1].replace("-", "_"), "image": self.image(c)} for c in self.components]
        annotations = {
            "alm-examples": json.dumps(self.examples, indent=2).replace("<", "\\u003c").replace(">", "\\u003e"),
            "capabilities": "Seamless Upgrades", "categories": "Integration & Delivery, Storage",
            "containerImage": self.image(self.components[0]),
            "createdAt": "2026-%02d-%02dT10:%02d:00Z" % tuple(self.rnd.randint(1, 12) for _ in range(3)),
            "features.operators.openshift.io/disconnected": "true",
            "features.operators.openshift.io/fips-compliant": "true",
            "operatorframework.io/suggested-namespace": "openshift-" + self.org,
            "operators.openshift.io/valid-subscription": '["OpenShift Container Platform", "OpenShift Plus"]'}
        metadata = {
            "annotations": annotations, "apiServiceDefinitions": {},
            "crdDescriptions": {"owned": self.crds},
            "description": "".join(self.paragraphs),
            "displayName": self.title,
            "installModes": [{"type": t, "supported": t != "MultiNamespace"} for t in
                             ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")],
            "keywords": self.name.split("-"),
            "links": [{"name": "Documentation", "url": "https://docs.example.com/" + self.name}],
            "maintainers": [{"name": "Red Hat", "email": self.org + "@example.com"}],
            "maturity": "stable", "minKubeVersion": "1.27.0", "provider": {"name": "Red Hat"}}
        properties = [{"type": "olm.gvk", "value": {"group": self.org + ".example.com", "kind": kind,
                                                    "version": "v1alpha1"}} for kind in self.kinds]
        properties += [{"type": "olm.package", "value": {"packageName": self.name, "version": version}},
                       {"type": "olm.csv.metadata", "value": metadata}]
        return {"schema": "olm.bundle", "name": "%s.v%s" % (self.name, version), "package": self.name,
                "image": bundle, "properties": properties,
                "relatedImages": related + [{"name": "", "image": bundle}]}

    def package(self):
        icon = base64.b64encode(self.rnd.randbytes(self.rnd.choice([2000, 9000, 30000]))).decode()
        return {"schema": "olm.package", "name": self.name, "defaultChannel": "stable",
                "description": self.paragraphs[0], "icon": {"base64data": icon, "mediatype": "image/svg+xml"}}

    def channel(self):
        names = ["%s.v%s" % (self.name, v) for v in self.versions]
        entries = [dict({"name": n, "skipRange": ">=1.0.0 <" + v}, **({"replaces": names[i - 1]} if i else {}))
                   for i, (n, v) in enumerate(zip(names, self.versions))]
        return {"schema": "olm.channel", "name": "stable", "package": self.name, "entries": entries}

    def documents(self, size):
        """Text of about SIZE bytes: the package, its bundles, its channel."""
        out = [json.dumps(self.package(), indent=4, ensure_ascii=False)]
        images, n = set(), len(out[0])
        while n < size or not self.versions:
            bundle = self.bundle()
            images.update(i["image"] for i in bundle["relatedImages"])
            out.append(json.dumps(bundle, indent=4, ensure_ascii=False))
            n += len(out[-1])
        out.insert(1, json.dumps(self.channel(), indent=4, ensure_ascii=False))
        return ("\n".join(out) + "\n").encode(), images


def generate(seed=1, scale=1.0):
    """([(package, JSON)], counts)."""
    rnd = random.Random(seed)
    weights = [rnd.lognormvariate(0, 0.8) for _ in range(PACKAGES)]
    files, images, bundles = [], set(), 0
    for i, weight in enumerate(weights):
        package = Package(random.Random(rnd.getrandbits(64)), i)
        # What a package has beyond its share is what its last bundle is longer than what was left.
        data, named = package.documents(BYTES * scale * weight / sum(weights) - 10000)
        files.append((package.name, data))
        images |= named
        bundles += len(package.versions)
    return files, {"packages": len(files), "bundles": bundles, "images": len(images),
                   "bytes": sum(len(data) for _, data in files)}


def add_file(tar, path, parts):
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = sum(map(len, parts)), 0o644, corpus.MTIME
    tar.addfile(info, io.BytesIO(b"".join(parts)))


def layer(files):
    """FILES: (path, [bytes]). Compressed as layers of images are, at the usual level."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as f:
        with tarfile.open(fileobj=f, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
            for path, parts in files:
                add_file(tar, path, parts)
    return out.getvalue()


def write(directory, seed=1, scale=1.0):
    files, counts = generate(seed, scale)
    storage = corpus.Tree(directory)
    many = layer([("configs/%s/catalog.json" % n, [data]) for n, data in files])
    single = layer([("configs/catalog.json", [data for _, data in files])])
    counts["compressed"] = len(many)
    for tag, data in ("many", many), ("single", single):
        storage.image("catalog/index", [storage.blob(data)], tag, LABEL)
    with open(os.path.join(directory, "expected.json"), "w") as f:
        json.dump(counts, f)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    a = parser.parse_args()
    print(json.dumps(write(a.directory, a.seed, a.scale)))


if __name__ == "__main__":
    main()
