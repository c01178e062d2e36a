# SPDX-License-Identifier: Apache-2.0
"""Sigstore signatures as cosign attaches them, made with openssl, and skopeo as a node that insists on them."""
import base64
import glob
import json
import os
import subprocess

import corpus
from e2e import environment, need, run

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"


def tag_of(digest, kind="sig"):
    return "sha256-%s.%s" % (digest[7:], kind)


class Signer:
    """A key pair in NAME.key and NAME.pub."""

    def __init__(self, name):
        need("openssl")
        self.key, self.public = os.path.abspath(name + ".key"), os.path.abspath(name + ".pub")
        quiet = {"check": True, "stderr": subprocess.DEVNULL}
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key], **quiet)
        subprocess.run(["openssl", "ec", "-in", self.key, "-pubout", "-out", self.public], **quiet)

    def sign(self, storage, repo, digest, name):
        """Attaches to the image DIGEST of REPO the statement that it is NAME; returns the digest of that."""
        payload = json.dumps({"critical": {"identity": {"docker-reference": name},
                                           "image": {"docker-manifest-digest": digest},
                                           "type": "cosign container image signature"}, "optional": None}).encode()
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=payload,
                                   stdout=subprocess.PIPE, check=True).stdout
        blobs = [storage.blob(json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}).encode()),
                 storage.blob(payload)]
        for blob in blobs:
            storage.attach(repo, *blob)
        body = {"schemaVersion": 2, "mediaType": corpus.OCI["manifest"],
                "config": {"mediaType": corpus.OCI["config"], "digest": blobs[0][0], "size": blobs[0][1]},
                "layers": [{"mediaType": PAYLOAD, "digest": blobs[1][0], "size": blobs[1][1],
                            "annotations": {SIGNATURE: base64.b64encode(signature).decode()}}]}
        return storage.manifest(repo, json.dumps(body).encode(), corpus.OCI["manifest"], tag_of(digest))[0]


    def has_signed(self, payload, signature):
        with open(self.public + ".payload", "wb") as f:
            f.write(payload)
        with open(self.public + ".signature", "wb") as f:
            f.write(signature)
        return run(["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", self.public + ".signature",
                    self.public + ".payload"]).rc == 0


class Node:
    """What a cluster's node does: pulls images of SOURCES from their MIRROR, if SIGNER has signed them."""

    def __init__(self, name, signer, mirror, *sources):
        need("skopeo")
        self.folder, self.signer = os.path.abspath(name), signer
        for folder in ("registries.d", ".config/containers"):
            os.makedirs(os.path.join(self.folder, folder))
        self.write("insist.json", json.dumps({"default": [{"type": "reject"}], "transports": {"docker": {
            s: [{"type": "sigstoreSigned", "keyPath": signer.public}] for s in sources}}}))
        self.write("take.json", json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        self.write("registries.d/sigstore.yaml", "docker:\n" + "".join(
            "  %s:\n    use-sigstore-attachments: true\n" % s for s in sources + (mirror,)))
        self.write(".config/containers/registries.conf", "".join(
            '[[registry]]\nlocation = "%s"\nmirror-by-digest-only = true\n'
            '[[registry.mirror]]\nlocation = "%s"\ninsecure = true\n' % (s, mirror) for s in sources))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(text)

    def copy(self, image, policy):
        subprocess.run(["rm", "-rf", self.folder + "/image"], check=True)
        return run(["skopeo", "--policy", os.path.join(self.folder, policy), "--registries.d", self.folder + "/registries.d",
                    "copy", "--all", "--preserve-digests", "docker://" + image, "dir:%s/image" % self.folder], env=environment(HOME=self.folder))

    def pull(self, image):
        """True: taken; False: refused, as nobody has signed it; None: signed, but this skopeo cannot verify (Debian's)."""
        r = self.copy(image, "insist.json")
        if r.rc == 0:
            return True
        if "sigstore disabled" in r.err:
            return None
        if "no signature exists" in r.err or "not trusted" in r.err or "cryptographic signature verification failed" in r.err:
            return False
        raise RuntimeError("skopeo: " + r.err)

    def signed(self, image):
        """What skopeo finds to be signed by SIGNER: {(name, digest)} of the image, or of a list and its entries."""
        r, found = self.copy(image, "take.json"), set()
        if r.rc:
            raise RuntimeError("skopeo: " + r.err)
        for path in glob.glob(self.folder + "/image/*signature-*"):
            with open(path, "rb") as f:
                signature = json.loads(f.read().split(b"\n", 1)[1])
            payload = base64.b64decode(signature["payload"])
            if self.signer.has_signed(payload, base64.b64decode(signature["annotations"][SIGNATURE])):
                critical = json.loads(payload)["critical"]
                found.add((critical["identity"]["docker-reference"], critical["image"]["docker-manifest-digest"]))
        return found
