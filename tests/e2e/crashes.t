#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The registry dies by kill -9 while clients push, mount, move tags and delete. After each restart whatever was
acknowledged is there and verifies, what was removed stays away, and no tag points at nothing.

KILL_SEED chooses the moments (default 1); 20 rounds, 200 with --full.
"""
import hashlib
import http.client
import json
import os
import random
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *

ROUNDS = 200 if os.environ.get("FERRY_TEST_FULL") else 20
SEED = int(os.environ.get("KILL_SEED", "1"))
CLIENTS = 6
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DAY = 24 * 3600


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Client(threading.Thread):
    """Works on a repository of its own. What it knows survives the server: `maybe` holds what was asked for and not
    answered."""

    def __init__(self, number, port, state, seed, shared):
        super().__init__()
        self.port, self.state, self.shared = port, state, shared
        self.repo, self.rnd, self.error = "client%d/app" % number, random.Random(seed), None
        self.connection = None

    def ask(self, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.connection.request(method, path, body=body, headers=headers)
        r = self.connection.getresponse()
        data = r.read()
        return r.status, r.headers, data

    def expect(self, want, method, path, body=None, **headers):
        status, head, data = self.ask(method, path, body, **headers)
        if status != want:
            raise AssertionError("%s %s: %d instead of %d: %s" % (method, path, status, want, data[:300]))
        return head

    def blob(self, data):
        """Pushes DATA: in one piece, or in chunks."""
        d = digest_of(data)
        location = self.expect(202, "POST", "/v2/%s/blobs/uploads/" % self.repo, b"")["Location"]
        if self.rnd.random() < 0.3:
            location = self.expect(202, "PATCH", location, data[:len(data) // 2])["Location"]
            data = data[len(data) // 2:]
        self.expect(201, "PUT", location + ("&" if "?" in location else "?") + "digest=" + d, data)
        self.state["blobs"].add(d)
        return d

    def mounted(self):
        """A blob of somebody else, mounted; or None."""
        with self.shared["lock"]:
            others = list(self.shared["blobs"])
        if not others:
            return None
        repo, d, size = self.rnd.choice(others)
        status, _, _ = self.ask("POST", "/v2/%s/blobs/uploads/?mount=%s&from=%s" % (self.repo, d, repo), b"")
        if status != 201:
            raise AssertionError("mount of %s from %s: %d" % (d, repo, status))
        self.state["blobs"].add(d)
        return d, size

    def image(self):
        data = self.rnd.randbytes(self.rnd.choice((10, 3000, 70000, 400000)))
        d = self.blob(data)
        with self.shared["lock"]:
            self.shared["blobs"].append((self.repo, d, len(data)))
        layers = [(d, len(data))]
        if self.rnd.random() < 0.5:
            layers += [m for m in [self.mounted()] if m]
        config = json.dumps({"n": self.rnd.random()}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.blob(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": d, "size": n} for d, n in layers]}).encode()
        tag = self.rnd.choice(("v1", "v2", "latest"))
        self.state["maybe"] = {tag: digest_of(manifest)}
        self.expect(201, "PUT", "/v2/%s/manifests/%s" % (self.repo, tag), manifest, Content_Type=MANIFEST)
        self.state["manifests"][digest_of(manifest)] = manifest
        self.state["tags"][tag] = digest_of(manifest)
        self.state["maybe"] = {}

    def untag(self):
        tags = list(self.state["tags"])
        if not tags:
            return
        tag = self.rnd.choice(tags)
        self.state["maybe"] = {tag: None}
        self.expect(202, "DELETE", "/v2/%s/manifests/%s" % (self.repo, tag))
        del self.state["tags"][tag]
        self.state["maybe"] = {}

    def remove(self):
        if not self.state["manifests"]:
            return
        d = self.rnd.choice(list(self.state["manifests"]))
        pointing = [t for t, to in self.state["tags"].items() if to == d]
        self.state["maybe"] = dict({t: None for t in pointing}, **{d: None})
        self.expect(202, "DELETE", "/v2/%s/manifests/%s" % (self.repo, d))
        self.state["removed"].add(d)
        del self.state["manifests"][d]
        for t in pointing:
            del self.state["tags"][t]
        self.state["maybe"] = {}

    def run(self):
        try:
            while True:
                self.rnd.choices((self.image, self.untag, self.remove), (8, 1, 1))[0]()
                self.shared["done"] += 1
        except (OSError, http.client.HTTPException):
            pass  # the server is gone
        except AssertionError as e:
            self.error = str(e)


def look(registry, repo, state, number):
    """Compares what the server has with what was acknowledged; then what might have been becomes known."""
    what = "round %d, %s: " % (number, repo)
    get = lambda path: registry.get("/v2/%s/%s" % (repo, path))
    wrong = [d for d in state["blobs"] if digest_of(get("blobs/" + d)[1]) != d]
    require(wrong == [], what + "acknowledged blobs are lost or damaged", wrong[:5])
    maybe = state["maybe"]
    for d in list(state["manifests"]):
        status, body, _ = get("manifests/" + d)
        if status == 404 and d in maybe:
            del state["manifests"][d]
            continue
        require(status == 200 and digest_of(body) == d, what + "manifest %s: %d" % (d, status))
    back = [d for d in state["removed"] if get("manifests/" + d)[0] != 404]
    require(back == [], what + "removed manifests are back", back[:5])
    status, body, _ = get("tags/list")
    listed = json.loads(body).get("tags") or [] if status == 200 else []
    for tag in set(listed) | set(state["tags"]) | {t for t in maybe if ":" not in t}:
        status, body, _ = get("manifests/" + tag)
        found = digest_of(body) if status == 200 else None
        allowed = {state["tags"].get(tag)} | ({maybe[tag]} if tag in maybe else set())
        require(found in allowed, what + "tag %s is %s, not one of %s" % (tag, found, allowed))
        require((tag in listed) == (found is not None), what + "tag %s is listed and points at nothing" % tag)
        state["tags"].pop(tag, None)
        if found:
            state["tags"][tag] = found
            state["manifests"][found] = body
            for child in [json.loads(body)["config"]] + json.loads(body)["layers"]:
                require(digest_of(get("blobs/" + child["digest"])[1]) == child["digest"], what + "a child of tag " + tag)
                state["blobs"].add(child["digest"])
    state["maybe"] = {}


def strays(store):
    """Files of the store's own folder that are neither content nor its bookkeeping."""
    found = []
    for sub in ("up", "part", "tmp", "trash"):
        for folder, _, files in os.walk(os.path.join(store, ".store", sub)):
            found += [os.path.join(folder, f) for f in files]
    return found


@test
def what_was_acknowledged_survives_every_kill():
    registry = FerryRegistry("store", arguments=["--max-uploads=10000"])  # each kill leaves some behind
    rnd = random.Random(SEED)
    states = [dict(blobs=set(), manifests={}, removed=set(), tags={}, maybe={}) for _ in range(CLIENTS)]
    shared = dict(lock=threading.Lock(), blobs=[], done=0)
    for number in range(ROUNDS):
        clients = [Client(i, registry.port, states[i], rnd.random(), shared) for i in range(CLIENTS)]
        goal = shared["done"] + rnd.randrange(1, 25)
        for c in clients:
            c.start()
        wait_for(lambda: shared["done"] >= goal or not any(c.is_alive() for c in clients), "some pushes")
        time.sleep(rnd.uniform(0, 0.01))
        registry.process.kill()
        registry.process.wait()
        for c in clients:
            c.join()
        require([c.error for c in clients if c.error] == [], "round %d: a request was refused" % number,
                [c.error for c in clients])
        registry.begin()
        for c, state in zip(clients, states):
            look(registry, c.repo, state, number)
    note("%d operations, %d blobs, %d manifests" % (shared["done"], sum(len(s["blobs"]) for s in states),
                                                    sum(len(s["manifests"]) for s in states)))
    check(True, "%d rounds" % ROUNDS)
    registry.end()
    for path in strays("store"):
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    registry.begin()
    wait_for(lambda: strays("store") == [], "old temporary files to be removed: %s" % strays("store")[:5])
    check_equal(strays("store"), [], "no temporary file survives its grace time")
    inodes = {}
    for folder, _, files in os.walk("store"):
        for f in files:
            path = os.path.join(folder, f)
            if ("/blobs" in folder or "/manifests" in folder) and not os.path.islink(path) and f.startswith("sha256"):
                inodes.setdefault(f, set()).add(os.stat(path).st_ino)
    check_equal({f: i for f, i in inodes.items() if len(i) > 1}, {}, "content is there once")


main()
