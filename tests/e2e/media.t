#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders: there and back, copied by hand, repaired, on file systems that hold less."""
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

TAG = "4.12.0-x86_64"


def release():
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    return source, destination


def to_dir(source, folder, **options):
    return succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
                    "--to-dir=" + folder, **options)


def upload(folder, destination, **options):
    return succeeds("image", "mirror", "--insecure", "--from-dir=" + folder,
                    "file://openshift/release:%s*" % TAG, destination.host + "/ocp4/openshift4", **options)


def check_complete(destination, text):
    check_equal(len(destination.tags()), 184, "tags after an upload from " + text)
    check_equal(destination.bad_blobs(), [], "damaged blobs after an upload from " + text)


def disk_use(folder):
    return int(subprocess.check_output(["du", "-sb", folder]).split()[0])


@test
def there_and_back_and_copied_by_hand():
    source, destination = release()
    r = to_dir(source, "mirror")
    check("--from-dir=mirror 'file://openshift/release:%s*' REGISTRY/REPOSITORY" % TAG in r.out,
          "stdout says how to upload", r.out[-600:])
    copies = {"mirror": None, "plain": ["cp", "-r"], "dereferenced": ["cp", "-rL"]}
    for name, command in copies.items():
        if command:
            subprocess.run(command + ["mirror", name], check=True)
        destination.clear()
        up = upload(name, destination)
        check_complete(destination, name)
        # The instructions of a direct mirror, though only the media know where the images came from.
        check("source: %s/%s" % (source.host, corpus.ART) in up.err, "%s: stderr shows the mirror section" % name,
              up.err[-1500:])
    grown = disk_use("plain") / disk_use("mirror")
    check(grown <= 1.05, "cp -r grows a folder by at most 5 %%: %.3f" % grown)


@test
def the_instructions_can_go_to_a_file():
    source, destination = release()
    to_dir(source, "mirror")
    succeeds("image", "mirror", "--insecure", "--from-dir=mirror", "file://openshift/release:%s*" % TAG,
             destination.host + "/ocp4/openshift4", "--mirror-instructions=section.yaml")
    with open("section.yaml") as f:
        text = f.read()
    check_match(r"(?m)^- mirrors:|^  - mirrors:|image(Content|Digest)", text, "the file")
    check("%s/%s" % (source.host, corpus.REL) in text, "it names the original repository", text)


@test
def a_second_run_fetches_nothing():
    source, _ = release()
    to_dir(source, "mirror")
    before = media("mirror")
    source.mark()
    to_dir(source, "mirror")
    blobs = [path for method, path, _ in source.lines() if "/blobs/" in path]
    check(len(blobs) <= 8, "a finished folder needs no blob but those of the payload", blobs[:10])
    check_equal(media("mirror"), before, "and stays as it is")


@test
def damage_is_named_and_repaired():
    source, destination = release()
    to_dir(source, "mirror")
    before = media("mirror")
    blobs = sorted((p for p in glob.glob("mirror/v2/openshift/release/blobs/*") if not os.path.islink(p)),
                   key=os.path.getsize)
    torn, short = blobs[-1], blobs[-2]
    with open(torn, "r+b") as f:
        f.seek(5000)
        f.write(b"damage")
    os.truncate(short, 100)
    r = ferry("image", "mirror", "--insecure", "--from-dir=mirror", "file://openshift/release:%s*" % TAG,
              destination.host + "/ocp4/openshift4")
    check_equal(r.rc, 1, "damaged media are refused")
    check(os.path.basename(torn) in r.err or os.path.basename(short) in r.err, "the blob is named", r.err)
    to_dir(source, "mirror")
    check_equal(media("mirror"), before, "the next run repairs it")
    destination.clear()
    upload("mirror", destination)
    check_complete(destination, "repaired media")


@test
def the_portable_layout_goes_there_and_back():
    source, destination = release()
    succeeds("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
             "--to-dir=mirror", "--layout=portable")
    odd = [f for w, d, fs in os.walk("mirror") for f in fs + d
           if ":" in f or os.path.islink(os.path.join(w, f)) or os.lstat(os.path.join(w, f)).st_nlink > 1
           and os.path.isfile(os.path.join(w, f))]
    check_equal(odd, [], "no ':' in names, no links")
    upload("mirror", destination)
    check_complete(destination, "portable media")
    succeeds("store", "copy", "mirror", "back", "--layout=oc")
    check_equal(bad_files("back"), [], "store copy into the other layout")
    destination.clear()
    upload("back", destination)
    check_complete(destination, "a converted folder")


def check_on(folder, source, destination, env=None):
    options = {"env": env} if env else {}
    r = to_dir(source, folder, **options)
    check_match(r"portable", r.err, "stderr of the run")
    upload(folder, destination, **options)
    check_complete(destination, folder)


@test
def a_real_exfat_file_system():
    need("mkfs.exfat", "mount.exfat-fuse", "losetup")
    source, destination = release()
    with open("disk", "wb") as f:
        f.truncate(256 << 20)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    loop = subprocess.run(["losetup", "--find", "--show", "disk"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={"PATH": path})
    if loop.returncode:
        raise Skip("no loop devices: " + loop.stderr.strip())
    device = loop.stdout.strip()
    at_end_of_scenario(subprocess.run, ["losetup", "--detach", device])
    subprocess.run(["mkfs.exfat", device], check=True, stdout=subprocess.DEVNULL, env={"PATH": path})
    os.makedirs("exfat")
    mount = subprocess.run(["mount.exfat-fuse", device, "exfat"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env={"PATH": path})
    if mount.returncode:
        raise Skip("exfat-fuse cannot mount: " + mount.stdout.strip().splitlines()[-1])
    at_end_of_scenario(subprocess.run, ["umount", os.path.abspath("exfat")])
    check_on("exfat/mirror", source, destination)


@test
def a_file_system_that_refuses_links_and_colons():
    need("gcc")
    shim = glob.glob(os.path.join(HERE, "shim/*.c"))
    source, destination = release()
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", "shim.so", *shim, "-ldl"], check=True)
    env = environment(LD_PRELOAD=os.path.abspath("shim.so"))
    r = ferry("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
              "--to-dir=mirror", env=env, binary=PLAIN)
    require(r.rc == 0, "the run succeeds", r.err[-3000:])
    check_match(r"portable", r.err, "stderr of the run")
    r = ferry("image", "mirror", "--insecure", "--from-dir=mirror", "file://openshift/release:%s*" % TAG,
              destination.host + "/ocp4/openshift4", env=env, binary=PLAIN)
    require(r.rc == 0, "the upload succeeds", r.err[-3000:])
    check_complete(destination, "a folder without links")


@test
def two_processes_may_write_one_folder():
    source, destination = release()
    argv = [FERRY, "adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
            "--to-dir=mirror"]
    both = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             env=environment()) for _ in range(2)]
    errors = [p.communicate()[1].decode() for p in both]
    check_equal([p.returncode for p in both], [0, 0], "both succeed: " + "".join(errors)[-2000:])
    check_equal(bad_files("mirror"), [], "damaged files")
    upload("mirror", destination)
    check_complete(destination, "a shared folder")


@test
def the_space_is_checked_before_blobs_move():
    source, _ = release()
    os.makedirs("small")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", "small"], stderr=subprocess.PIPE)
    if mount.returncode:
        raise Skip("no user namespaces: cannot mount a tmpfs")
    at_end_of_scenario(subprocess.run, ["umount", os.path.abspath("small")])
    source.mark()
    r = ferry("adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
              "--to-dir=small/mirror")
    check_equal(r.rc, 1, "exit status")
    check_match(r"(?i)space", r.err, "stderr")
    blobs = [p for _, p, _ in source.lines() if "/blobs/" in p]
    check(len(blobs) <= 8, "no blob but the payload's was fetched", len(blobs))
    check_equal(leftovers("small"), [], "nothing half-written")


@test
def blobs_above_4_gib_go_there_and_back():
    if not os.environ.get("FERRY_TEST_FULL"):
        raise Skip("long: runs with --full")
    source, destination = Registry("source"), Registry("destination")
    s = corpus.Storage("source")
    size = (4 << 30) + 12345
    zeros = bytes(1 << 24)
    huge = s.blob(zeros[:min(1 << 24, size - at)] for at in range(0, size, 1 << 24))
    data = s.blob_path(huge[0])
    os.unlink(data)
    with open(data, "wb") as f:
        f.truncate(size)  # sparse: the same bytes
    digest = s.image("huge", [huge], "v1")[0]
    succeeds("image", "mirror", "--insecure", source.host + "/huge:v1", "file://huge:v1", "--dir=media",
             binary=PLAIN, timeout=1200)
    succeeds("image", "mirror", "--insecure", "--from-dir=media", "file://huge:v1", destination.host + "/huge:v1",
             binary=PLAIN, timeout=1200)
    check_equal(destination.tags(), {"huge:v1": digest}, "the tag")
    check_equal(os.path.getsize(corpus.Storage("destination").blob_path(huge[0])), size, "size of the blob")
    shutil.rmtree("media")


main()
