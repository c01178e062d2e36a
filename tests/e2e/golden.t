#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the recorded cases of the reference with ferry called as `oc`, against real registries.

usage: golden.t [-k] [--record] [GLOB...]

golden/replay.py says what is compared. golden/deviations lists where ferry does otherwise on
purpose, and golden/expected/CASE/ holds what is expected there instead.
"""
import glob
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "golden")]
import e2e
import payload
import replay

CASES = os.path.join(e2e.TOP, "tests/data/golden")
PORTS = {"source": 5101, "destination": 5102, "basic": 5103, "token": 5104, "static": 5105, "tls": 5108}


class Environment:
    """The endpoints the cases know: see PORTS; 5107 is for flaky.py, nothing listens on 5109."""

    variables = {"FLAKY": HERE + "/golden/flaky.py"}

    def __init__(self, root):
        self.run, self.bin = root + "/run", root + "/bin"
        os.makedirs(self.run + "/reg")
        os.makedirs(self.run + "/tls")
        os.makedirs(self.bin)
        shutil.copy(e2e.FERRY, self.bin + "/ferry")
        shutil.copy(e2e.PLAIN, self.bin + "/ferry-plain")
        os.symlink("ferry", self.bin + "/oc")
        digests = payload.write(self.run + "/reg/5101")
        with open(self.run + "/payload.json", "w") as f:
            json.dump(digests, f)
        self.faithful = digests == json.loads(replay.read(CASES + "/payload.json"))
        certificate = e2e.certificate(self.run + "/tls/tls")
        self.registries = {
            5101: self.registry(5101, extra="compatibility: {schema1: {enabled: true}}\n"),
            5102: self.registry(5102),
            5103: self.registry(5103, user="mirror", password="s3cret"),
            5108: self.registry(5108, tls=certificate)}
        e2e.start([sys.executable, HERE + "/golden/tokenproxy.py", "5104", "127.0.0.1:5102", self.run + "/token.log"])
        self.keep_signatures(digests)
        e2e.start([sys.executable, "-m", "http.server", "5105", "--bind", "127.0.0.1", "--directory",
                   self.run + "/static"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for port in (5104, 5105):
            e2e.wait_for(lambda: e2e.listening(port), "port %d" % port)

    def keep_signatures(self, digests):
        """golden/signatures/NAME-N is signature N of that release of payload.json, served by port 5105."""
        for path in glob.glob(HERE + "/golden/signatures/*"):
            name, _, number = os.path.basename(path).rpartition("-")
            folder = "%s/static/signatures/openshift/release/%s" % (self.run, digests[name].replace(":", "="))
            os.makedirs(folder, exist_ok=True)
            shutil.copy(path, "%s/signature-%s" % (folder, number))

    def registry(self, port, **options):
        return e2e.Registry("%s/reg/%d" % (self.run, port), port=port, **options)


sys.exit(replay.main(
    replay.Suite(CASES, HERE + "/golden/expected", HERE + "/golden/deviations", "WEAK"),
    PORTS.values(), Environment))
