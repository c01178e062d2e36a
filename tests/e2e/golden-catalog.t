#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the recorded cases of `adm catalog mirror` with ferry called as `oc`, against real registries.

usage: golden-catalog.t [-k] [--record] [GLOB...]

golden/replay.py says what is compared; here it is also the files that were written (files), byte for
byte, and those that only ferry writes (more). golden/catalog/deviations lists where ferry does
otherwise on purpose, and golden/catalog/expected/CASE/ holds what is expected there instead.
"""
import json
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "golden")]
import e2e
import catalog_payload
import replay

CASES = os.path.join(e2e.TOP, "tests/data/golden-catalog")
OURS = re.compile(r"(^|/)(imageTagMirrorSet\.yaml|missing\.txt)$")


class Environment:
    """5111 has the catalogs, 5112 and 5113 are destinations, 5114 wants a login; nothing listens on 5998, 5999."""

    variables = {}

    def __init__(self, root):
        self.run, self.bin = root + "/run", root + "/bin"
        os.makedirs(self.run + "/reg")
        os.makedirs(self.bin)
        shutil.copy(e2e.FERRY, self.bin + "/ferry")
        os.symlink("ferry", self.bin + "/oc")
        shutil.copy(CASES + "/mini.json", self.run)
        e2e.credentials(self.run + "/badauth.json", ("127.0.0.1:5114", "mirror", "wrong"))
        digests = catalog_payload.write(self.run + "/reg/5111")
        self.faithful = digests == json.loads(replay.read(CASES + "/digests.json"))
        self.registries = {port: self.registry(port) for port in (5111, 5112, 5113)}
        self.registries[5114] = self.registry(5114, user="mirror", password="secret")

    def registry(self, port, **options):
        return e2e.Registry("%s/reg/%d" % (self.run, port), port=port, **options)


def fold(text):
    """Without the time in the name of a folder."""
    return re.sub(r"(manifests-[^ \n]*)-[0-9]{10}\b", r"\1-TIME", text)


def lines_of_file(path, name):
    with open(path, errors="replace") as f:
        text = f.read()
    lines = ["== " + name] + text.splitlines()
    return lines if text.endswith("\n") or not text else lines + ["== no newline"]


class CatalogCase(replay.Case):
    ASPECTS = ("rc", "stdout", "tree", "files", "more", "registry")

    def placed(self, text):
        return fold(super().placed(text))

    @staticmethod
    def is_in_store(path):
        return "v2" in path.split("/")

    def look(self):
        """Of files outside of stores the contents and the mode count."""
        found = super().look()
        self.contents = {fold(p): os.path.join(self.work, p) for p, v in found.items()
                         if not self.is_in_store(p) and v.isdigit()}
        modes = {p: "%04o" % (os.stat(f).st_mode & 0o7777) for p, f in self.contents.items()}
        return {fold(p): modes.get(fold(p), v) for p, v in found.items()}

    def recorded_tree(self):
        modes = dict(reversed(m) for m in re.findall(r"(?m)^f (\d{4}) +\d+ (.*)$", self.recorded("tree.txt")))
        return {p: modes[p] if p in modes and not self.is_in_store(p) else v
                for p, v in super().recorded_tree().items()}

    def is_compared(self, path):
        return super().is_compared(path) and not OURS.search(path)

    def recorded_files(self):
        top = self.folder + "/files"
        return {os.path.relpath(os.path.join(where, f), top): os.path.join(where, f)
                for where, _, files in os.walk(top) for f in files}

    @staticmethod
    def lines_of_files(files):
        return [line for name in sorted(files) for line in lines_of_file(files[name], name)]

    def actual(self, aspect):
        if aspect == "files":
            return self.lines_of_files({p: f for p, f in self.contents.items() if not OURS.search(p)})
        if aspect == "more":
            return self.lines_of_files({p: f for p, f in self.contents.items() if OURS.search(p)})
        return super().actual(aspect)

    def of_reference(self, aspect):
        if aspect == "files":
            return self.lines_of_files(self.recorded_files())
        if aspect == "more":
            return self.tag_mirrors()
        return super().of_reference(aspect)

    def tag_mirrors(self):
        """The ImageTagMirrorSets that belong to the recorded files: mapping.txt has the tags, and the index
        image, which catalogSource.yaml names, needs none."""
        lines, files = [], self.recorded_files()
        for folder in sorted(os.path.dirname(f) for f in files if f.endswith("catalogSource.yaml")):
            mapping, source = (replay.read(files["%s/%s" % (folder, f)]) for f in ("mapping.txt", "catalogSource.yaml"))
            index, name = (re.search(r"(?m)^  %s: (.*)$" % member, source).group(1) for member in ("image", "name"))
            mirrors = {}
            for line in mapping.splitlines():
                image, _, place = line.partition("=")
                if "@" not in image and place != index:
                    mirrors[image.rpartition(":")[0]] = place.rpartition(":")[0]
            if mirrors:
                lines += ["== %s/imageTagMirrorSet.yaml" % folder, "---",
                          "apiVersion: config.openshift.io/v1", "kind: ImageTagMirrorSet", "metadata:", "  labels:",
                          '    operators.openshift.org/catalog: "true"', "  name: %s-0" % name.replace("/", "-"), "spec:",
                          "  imageTagMirrors:"]
            for image in sorted(mirrors):
                lines += ["  - mirrors:", "    - " + mirrors[image], "    source: " + image]
        return lines


os.umask(0o022)  # as it was when the cases were recorded
sys.exit(replay.main(
    replay.Suite(CASES, HERE + "/golden/catalog/expected", HERE + "/golden/catalog/deviations", "CAT"),
    (5111, 5112, 5113, 5114), Environment, CatalogCase))
