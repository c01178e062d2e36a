#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong is said in one line that names the thing and the remedy; nothing half-written stays."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus


def image(directory="source"):
    source = Registry(directory)
    s = corpus.Storage(directory)
    s.image("app", [s.layer([("usr/bin/app", os.urandom(3 << 20), 0o755)]), s.layer([("b", b"b" * 9000, 0o644)])], "v1")
    return source


def check_said(r, names, remedy, text):
    """Exit 1; one error line for each cause, that names NAMES; REMEDY somewhere in what was said."""
    check_equal(r.rc, 1, "%s: exit status\n%s" % (text, r.err))
    errors = [line for line in r.err.splitlines() if line.startswith("error: ")]
    check(1 <= len(errors) <= 2, "%s: one line says it (or one more that sums up)" % text, r.err)
    for name in names:
        check(any(name in line for line in errors), "%s: the error names '%s'" % (text, name), r.err)
    check(re.search(remedy, r.err, re.IGNORECASE), "%s: a remedy (/%s/)" % (text, remedy), r.err)
    check_equal(r.out, "", "%s: stdout" % text)


@test
def wrong_password():
    source = image()
    destination = Registry("destination", user="mirror", password="s3cret")
    credentials("auth.json", (destination.host, "mirror", "wrong"))
    r = ferry("image", "mirror", "--insecure", "-a", "auth.json", source.host + "/app:v1", destination.host + "/app:v1")
    check_said(r, [destination.host], r"auth\.json|password|login|credential", "wrong password")
    check_equal(destination.tags(), {}, "nothing arrives")


@test
def unknown_host():
    source = image()
    r = ferry("image", "mirror", "--insecure", "nowhere.invalid/app:v1", "file://app:v1")
    check_said(r, ["nowhere.invalid"], r"DNS|resolve|name|spell", "unknown host")
    check(not os.path.exists("v2"), "no folder appears")


@test
def refused_port():
    image()
    port = free_port()
    r = ferry("image", "mirror", "--insecure", "127.0.0.1:%d/app:v1" % port, "file://app:v1")
    check_said(r, ["127.0.0.1:%d" % port, "refused"], r"running|listen|port|firewall|started", "refused port")
    check(not os.path.exists("v2"), "no folder appears")


@test
def untrusted_certificate():
    s = corpus.Storage("source")
    s.image("app", [s.layer([("a", b"a", 0o644)])], "v1")
    source = Registry("source", tls=certificate())
    r = ferry("image", "mirror", source.host + "/app:v1", "file://app:v1")
    check_said(r, [source.host], r"--certificate-authority|certs\.d", "untrusted certificate")
    check(not os.path.exists("v2"), "no folder appears")


@test
def missing_tag():
    source, destination = image(), Registry("destination")
    r = ferry("image", "mirror", "--insecure", source.host + "/app:nope", destination.host + "/app:v1")
    check_said(r, [source.host + "/app", "nope"], r"tag|--skip-missing|manifest unknown", "missing tag")
    check_equal(destination.tags(), {}, "nothing arrives")


@test
def full_disk():
    source = image()
    os.makedirs("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "small"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no user namespaces: cannot mount a tmpfs")
    at_end_of_scenario(subprocess.run, ["umount", os.path.abspath("small")])
    r = ferry("image", "mirror", "--insecure", source.host + "/app:v1", "file://app:v1", "--dir=small")
    check_said(r, ["small"], r"space|free", "full disk")
    check_equal(leftovers("small") + bad_files("small"), [], "nothing half-written")


@test
def read_only_folder():
    source = image()
    shutil.copy(FERRY, os.path.join(os.path.dirname(os.getcwd()), "ferry-for-nobody"))
    os.makedirs("ro")
    r = run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "../ferry-for-nobody", "image", "mirror",
             "--insecure", source.host + "/app:v1", "file://app:v1", "--dir=ro"], env=environment(HOME="/nonexistent"))
    check_said(r, ["ro"], r"permission|chown|writ", "read-only folder")
    check_equal(os.listdir("ro"), [], "the folder stays empty")


@test
def malformed_mapping_line():
    source = image()
    with open("map.txt", "w") as f:
        f.write("# a comment\n%s/app:v1=file://app:v1\nnonsense\n" % source.host)
    r = ferry("image", "mirror", "--insecure", "-f", "map.txt")
    check_said(r, ["map.txt", "line 3"], r"SRC", "malformed mapping line")
    check(not os.path.exists("v2"), "no folder appears")


@test
def corrupted_blob_on_media():
    source, destination = image(), Registry("destination")
    succeeds("image", "mirror", "--insecure", source.host + "/app:v1", "file://app:v1", "--dir=media")
    blobs = "media/v2/app/blobs"
    torn = max((os.path.join(blobs, f) for f in os.listdir(blobs)), key=os.path.getsize)
    with open(torn, "r+b") as f:
        f.seek(1 << 20)
        f.write(b"damage")
    r = ferry("image", "mirror", "--insecure", "--from-dir=media", "file://app:v1", destination.host + "/app:v1")
    check_said(r, [os.path.basename(torn)], r"damaged|again|copy", "corrupted blob")
    check_equal(destination.tags(), {}, "no tag appears")
    check_equal(destination.bad_blobs(), [], "no damaged blob arrives")


main()
