#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs that end early: kill -9 at any moment, Ctrl-C. The next run completes, as if nothing had been.

KILL_SEED chooses the moments (default 1); 4 of them each way, 20 with --full.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import corpus

MOMENTS = 20 if os.environ.get("FERRY_TEST_FULL") else 4
SEED = int(os.environ.get("KILL_SEED", "1"))
TAG = "4.12.0-x86_64"


def begin(argv):
    return subprocess.Popen([FERRY, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, env=environment(), start_new_session=True)


def die_after(argv, registry, share, total):
    """Kills it when REGISTRY's log says that SHARE of its TOTAL work is done, or a little later. True if it was still
    running then. A clock would measure the machine's load instead."""
    start = os.path.getsize(registry.log)
    process = begin(argv)
    while process.poll() is None and os.path.getsize(registry.log) - start < share * total:
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.01))
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def download(source, folder):
    return ["adm", "release", "mirror", "--insecure", "--from=%s/%s:%s" % (source.host, corpus.REL, TAG),
            "--to-dir=" + folder]


def upload(folder, destination):
    return ["image", "mirror", "--insecure", "--from-dir=" + folder, "file://openshift/release:%s*" % TAG,
            destination.host + "/ocp4/openshift4"]


def moments():
    rnd = random.Random(SEED)
    return [rnd.uniform(0, 0.99) for _ in range(MOMENTS)]


@test
def kill_at_any_moment_of_a_download():
    source = Registry("source")
    corpus.write("sample", "source", source.host)
    start = os.path.getsize(source.log)
    succeeds(*download(source, "undisturbed"))
    total, want, killed = os.path.getsize(source.log) - start, media("undisturbed"), 0
    for i, moment in enumerate(moments()):
        folder = "mirror%d" % i
        killed += die_after(download(source, folder), source, moment, total)
        if os.path.isdir(folder):
            torn = [p for p in bad_files(folder) if not p.endswith(".download")]
            check_equal(torn, [], "files with a final name and wrong bytes, killed at %.3f of it" % moment)
        succeeds(*download(source, folder))
        check(media(folder) == want, "killed at %.3f of it: the next run ends the same" % moment,
              sorted(set(media(folder).items()) ^ set(want.items()))[:6])
        check_equal(leftovers(folder), [], "killed at %.3f of it: nothing is left over" % moment)
    check(killed >= MOMENTS // 2, "%d of %d kills hit a running program" % (killed, MOMENTS))


@test
def kill_at_any_moment_of_an_upload():
    source, destination = Registry("source"), Registry("destination")
    corpus.write("sample", "source", source.host)
    succeeds(*download(source, "mirror"))
    start = os.path.getsize(destination.log)
    succeeds(*upload("mirror", destination))
    total, want, killed = os.path.getsize(destination.log) - start, destination.tags(), 0
    for moment in moments():
        destination.clear()
        killed += die_after(upload("mirror", destination), destination, moment, total)
        succeeds(*upload("mirror", destination))
        check(destination.tags() == want, "killed at %.3f of it: the next run ends the same" % moment)
        check_equal(destination.bad_blobs(), [], "killed at %.3f of it: damaged blobs" % moment)
    check_equal(bad_files("mirror"), [], "the media are untouched")
    check(killed >= MOMENTS // 2, "%d of %d kills hit a running program" % (killed, MOMENTS))


@test
def one_interrupt_stops_at_once_and_a_second_run_continues():
    source = Registry("source")
    corpus.write("sample", "source", source.host)
    for attempt in range(5):  # on a busy machine it may be through before it is told to stop
        shutil.rmtree("mirror", ignore_errors=True)
        source.mark()
        process = begin(download(source, "mirror"))
        wait_for(lambda: os.path.getsize(source.log) - source.offset > 4000 or process.poll() is not None, "the first blobs")
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1].decode(errors="replace")
        seconds = time.monotonic() - interrupted
        if process.returncode != 0:
            break
    check_equal(process.returncode, 130, "exit status: " + error[-1500:])
    check(seconds < 5, "it stops at once: %.1f s" % seconds)
    check_equal(bad_files("mirror") if os.path.isdir("mirror") else [], [], "wrong files")
    source.mark()
    succeeds(*download(source, "mirror"))
    check_equal(bad_files("mirror"), [], "wrong files after the second run")
    check_equal(leftovers("mirror"), [], "left over after the second run")


main()
