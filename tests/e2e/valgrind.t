#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job under valgrind: no leak, no bad access, in both directions."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"


def clean(text, *args):
    r = run(["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
             "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=99", PLAIN, *args], timeout=1800)
    check(r.rc == 0, "%s: exit status %d" % (text, r.rc), r.err[-4000:])


@test
def a_release_to_a_folder_and_from_there_to_a_registry():
    if not os.environ.get("FERRY_TEST_FULL"):
        raise Skip("long: runs with --full")
    need("valgrind")
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    release = "--from=%s/%s:%s" % (source.host, corpus.REL, TAG)
    clean("to a folder", "adm", "release", "mirror", "--insecure", release, "--to-dir=mirror")
    clean("from the folder", "image", "mirror", "--insecure", "--from-dir=mirror",
          "file://openshift/release:%s*" % TAG, destination.host + "/ocp4/openshift4")
    check_equal(len(destination.tags()), 184, "images that arrive")
    destination.clear()
    clean("registry to registry", "adm", "release", "mirror", "--insecure", release,
          "--to=%s/ocp4/openshift4" % destination.host)
    check_equal(len(destination.tags()), 184, "images that arrive")
    clean("a missing tag", "image", "mirror", "--insecure", "--skip-missing", source.host + "/nothing:here",
          "file://nothing:here")


main()
