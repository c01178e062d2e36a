#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""adm samples mirror: a registry with stand-ins for the images of a release's sample image streams, directly and over
media. What the Config must say is computed here, from the map and from what the source has."""
import json
import os
import shutil
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import cluster
import corpus

MAP = os.path.join(TOP, "tests/data/samples/imagestreamtag-to-image.x86_64-4.18.yaml")
HOSTS = ("registry.redhat.io", "registry.access.redhat.com")


def config_map(path=MAP):
    with open(path) as f:
        return yaml.safe_load(f)["data"]


def with_tag(spec):
    return spec if ":" in spec.rsplit("/", 1)[1] else spec + ":latest"


def there(spec):
    """REPOSITORY:TAG of an image at the mirror, behind its registry and path."""
    return with_tag(spec).split("/", 1)[1]


def streams(data):
    out = {}
    for key, spec in data.items():
        out.setdefault(key.split("_", 1)[0], []).append(there(spec))
    return out


def stand_ins(folder, data, leave_out=()):
    """A registry with an image for each of DATA but those of the streams in LEAVE_OUT; {REPOSITORY:TAG: digest}."""
    registry, storage = Registry(folder), corpus.Storage(folder)
    base, out = storage.layer([("base", b"base" * 1000, 0o644)]), {}
    gone = {i for s in leave_out for i in streams(data)[s]}
    for n, image in enumerate(sorted({there(s) for s in data.values()} - gone)):
        repo, tag = image.rsplit(":", 1)
        layers = [base, storage.layer([("name", image.encode(), 0o644)])]
        if n % 10:
            out[image] = storage.image(repo, layers, tag)[0]
            continue
        children = [storage.image(repo, layers, arch=a) + (a,) for a in ("amd64", "arm64")]
        out[image] = storage.index(repo, children, tag, types=corpus.DOCKER)[0]
    return registry, out


def redirected(registry, name="itms.yaml"):
    """Flags that have the images of Red Hat's registries read from REGISTRY, and from nowhere else."""
    with open(name, "w") as f:
        yaml.safe_dump({"apiVersion": "config.openshift.io/v1", "kind": "ImageTagMirrorSet", "metadata": {"name": "x"},
                        "spec": {"imageTagMirrors": [
                            {"source": h, "mirrors": [registry.host], "mirrorSourcePolicy": "NeverContactSource"}
                            for h in HOSTS]}}, f)
    return ["--insecure", "--idms-file=" + name]


def samples(*arguments, rc=0, binary=None):
    r = ferry("adm", "samples", "mirror", *arguments, binary=binary)
    require(r.rc == rc, "exit status %d, not %d" % (r.rc, rc), r.out[-1000:], r.err[-4000:])
    return r


def at(registry, path="samples/"):
    """{REPOSITORY:TAG: digest} below PATH."""
    return {k[len(path):]: v for k, v in registry.tags().items() if k.startswith(path)}


def check_config(folder, registry, skipped):
    """The Config and the patch say what they must, and a cluster would take the Config."""
    with open(folder + "/config.yaml") as f:
        config = yaml.safe_load(f)
    with open(folder + "/patch.json") as f:
        patch = json.load(f)
    spec = {"managementState": "Managed", "samplesRegistry": registry, "skippedImagestreams": sorted(skipped)}
    check_equal(config["spec"], spec, "the Config")
    check_equal(patch, {"spec": spec}, "the patch")
    check_equal(cluster.complaints(config), [], "what a cluster has against the Config")


def mapping(folder):
    with open(folder + "/mapping.txt") as f:
        return f.read().splitlines()


def missing_of(data, leave_out):
    """Streams that have an image of those left out; some share images."""
    gone = {i for s in leave_out for i in streams(data)[s]}
    return [s for s, images in streams(data).items() if gone & set(images)]


LEFT_OUT = ("ruby", "fuse7-eap-openshift", "jboss-eap74-openjdk11-openshift")


@test
def all_samples_of_a_release_are_mirrored():
    data = config_map()
    source, images = stand_ins("source", data)
    destination = Registry("destination")
    flags = redirected(source)
    check_equal((len(data), len(images), len(streams(data))), (248, 228, 47), "the map, one image of which is named in two ways")
    r = samples("-f", MAP, *flags, "--to-manifests=out", destination.host + "/samples")
    check_equal(at(destination), images, "what is in the mirror")
    check_equal(destination.bad_blobs(), [], "damaged blobs")
    check_config("out", destination.host + "/samples", [])
    lines = mapping("out")
    check_equal(lines, sorted(lines), "sorted lines")
    check_equal(sorted(l.split("=")[1] for l in lines), sorted("%s/samples/%s" % (destination.host, i) for i in images),
                "destinations")
    check_equal(sorted(l for l in r.out.splitlines() if ":" in l.rsplit("/", 1)[1]),
                sorted("%s %s/samples/%s" % (d, destination.host, i) for i, d in images.items()), "stdout")
    check_equal({l.split("=")[0] for l in lines}, {with_tag(s) for s in data.values()}, "sources")
    steps = [r.err.find(s) for s in ("The mirror is filled", "set data secret/pull-secret", "registry-config -n openshift-config "
                                     "--from-file=%s=" % destination.host.replace(":", ".."), "Removed", "Managed",
                                     "--patch-file=out/patch.json", "out/config.yaml")]
    check(-1 not in steps and steps == sorted(steps), "what to do, in order", steps, r.err[-3000:])
    destination.mark()
    samples("-f", MAP, *flags, "--to-manifests=again", destination.host + "/samples")
    sent = destination.requests()
    check(not sent["PUT"] and not sent["POST"], "a second run sends nothing", sent)
    check_equal(mapping("again"), lines, "the same file")


@test
def the_config_names_exactly_the_streams_that_are_missing():
    data = config_map()
    source, images = stand_ins("source", data, LEFT_OUT)
    destination = Registry("destination")
    flags = redirected(source)
    skipped = missing_of(data, LEFT_OUT)
    check(set(LEFT_OUT) <= set(skipped), "left out")
    r = samples("-f", MAP, *flags, "--to-manifests=out", destination.host, rc=3)
    check_equal(at(destination, ""), images, "what is in the mirror")
    check_config("out", destination.host, skipped)
    for s in skipped:
        check_match(r"(?m)^  %s: " % s, r.err, "stderr")
    check_match(r"(?m)^warning: not in the mirror: 20 of 248 tags, in %d of 47 image streams:$" % len(skipped), r.err, "stderr")
    check_match(r"(?m)^error: 20 of 248 image stream tags are not in the mirror$", r.err, "stderr")
    check_equal(len(mapping("out")), 228, "all of them are in mapping.txt, to be tried again")
    samples("-f", MAP, *flags, "--to-manifests=skip", "--skip-missing", destination.host)
    check_config("skip", destination.host, skipped)


@test
def media_carry_all_that_the_far_side_needs():
    data = config_map()
    source, images = stand_ins("source", data, LEFT_OUT)
    destination = Registry("destination")
    skipped = missing_of(data, LEFT_OUT)
    r = samples("-f", MAP, *redirected(source), "--dir=media", "--to-manifests=near", "file://local/samples", rc=3)
    check("ferry adm samples mirror --from-dir=media file://local/samples REGISTRY[/PATH]" in r.err,
          "what to do on the other side", r.err[-1500:])
    check_match(r"(?m)^warning: not on the media: 20 of 248 tags", r.err, "stderr")
    check_equal(os.listdir("near"), ["mapping.txt"], "no Config on this side")
    stop(source.process)
    shutil.copytree("media", "far/media", symlinks=True)
    samples("--insecure", "--from-dir=far/media", "--to-manifests=far/out", "file://local/samples",
            destination.host + "/samples", rc=3)
    check_equal(at(destination), images, "what is in the mirror")
    check_config("far/out", destination.host + "/samples", skipped)
    samples("--insecure", "--from-dir=far/media", "--to-manifests=far/skip", "--skip-missing", "file://local/samples",
            destination.host + "/samples")
    check_config("far/skip", destination.host + "/samples", skipped)
    succeeds("image", "mirror", "--insecure", "--keep-manifest-list", "--skip-missing", "--from-dir=media",
             "-f", "far/out/mapping.txt")
    served = FerryRegistry(roots=["media"])
    check_equal(at(served, "local/samples/"), images, "served in place")


@test
def streams_are_chosen_by_globs():
    data = config_map()
    source, images = stand_ins("source", data)
    destination = Registry("destination")
    flags = redirected(source)
    everything = streams(data)
    r = samples("-f", MAP, *flags, "--include=ruby,p*", "--include=perl", "--exclude=postgresql*", "--exclude=nothing*",
                "--to-manifests=out", destination.host)
    wanted = {s for s in everything if s == "ruby" or s.startswith("p") and not s.startswith("postgresql")}
    check_equal(at(destination, ""), {i: images[i] for s in wanted for i in everything[s]}, "what is in the mirror")
    check_config("out", destination.host, set(everything) - wanted)
    check("no image stream is called 'nothing*'" in r.err, "a glob that matches nothing is told", r.err)
    r = samples("-f", MAP, *flags, "--include=nothing", destination.host, rc=1)
    check("leave none of the 47 image streams" in r.err, "nothing to do", r.err)
    # Media tell the far side what was left out on purpose.
    samples("-f", MAP, *flags, "--exclude=*openshift*", "--dir=media", "--to-manifests=near", "file://samples")
    destination.clear()
    samples("--insecure", "--from-dir=media", "--to-manifests=far", "file://samples", destination.host)
    check_config("far", destination.host, {s for s in everything if "openshift" in s})
    samples("--insecure", "--from-dir=media", "--to-manifests=less", "--exclude=ruby", "file://samples", destination.host)
    check_config("less", destination.host, {s for s in everything if "openshift" in s or s == "ruby"})
    samples("--insecure", "--from-dir=media", "--to-manifests=gap", "--include=sso75*,ruby", "file://samples",
            destination.host, rc=3)
    check_config("gap", destination.host, set(everything) - {"ruby"})
    # What was brought by one run is not forgotten by the next.
    samples("-f", MAP, *flags, "--include=sso75*", "--dir=media", "--to-manifests=near", "file://samples")
    samples("--insecure", "--from-dir=media", "--to-manifests=both", "file://samples", destination.host)
    check_config("both", destination.host, {s for s in everything if "openshift" in s and not s.startswith("sso75")})


def small(source, **tags):
    """A map of images at SOURCE: stream_tag=REPOSITORY:TAG."""
    with open("map.yaml", "w") as f:
        yaml.safe_dump({k.replace("__", "-"): "%s/%s" % (source.host, v) for k, v in tags.items()}, f)
    return "map.yaml"


def push(folder, repo, tag, text):
    storage = corpus.Storage(folder)
    return storage.image(repo, [storage.layer([("x", text.encode(), 0o644)])], tag)[0]


@test
def lenient_skips_only_what_is_missing_altogether():
    source, destination = Registry("source"), Registry("destination")
    push("source", "a/x", "1", "x1")
    push("source", "a/y", "1", "y1")
    file = small(source, half_1="a/x:1", half_2="a/x:2", none_1="a/z:1", whole_1="a/y:1")
    samples("-f", file, "--insecure", "--to-manifests=strict", destination.host, rc=3)
    check_config("strict", destination.host, ["half", "none"])
    samples("-f", file, "--insecure", "--to-manifests=lenient", "--lenient", destination.host, rc=3)
    check_config("lenient", destination.host, ["none"])


@test
def media_may_be_of_the_portable_layout():
    source, destination = Registry("source"), Registry("destination")
    digest = push("source", "a/x", "1", "x1")
    file = small(source, one_1="a/x:1", none_1="a/z:1")
    samples("-f", file, "--insecure", "--dir=media", "--layout=portable", "file://samples", rc=3)
    samples("--insecure", "--from-dir=media", "--to-manifests=out", "file://samples", destination.host, rc=3)
    check_equal(at(destination, ""), {"a/x:1": digest}, "what is in the mirror")
    check_config("out", destination.host, ["none"])
    samples("-f", file, "--insecure", "--dir=hosts", "--layout=portable", "file://h.io:5000/s", rc=3)
    destination.clear()
    samples("--insecure", "--from-dir=hosts", "file://h.io:5000/s", destination.host, rc=3)
    check_equal(at(destination, ""), {"a/x:1": digest}, "what is in the mirror")
    names = {n for _, folders, files in os.walk("hosts") for n in folders + files}
    check(not any(":" in n for n in names), "names that any file system takes", names)
    r = samples("--insecure", "--from-dir=media", "file://other", destination.host, rc=1)
    check("is --from-dir right?" in r.err, "a repository that was not filled", r.err)
    with open("media/config/samples/samples/imagestreamtag-to-image.yaml", "w") as f:
        f.write("\x1b[31m: x\n")
    for arguments in (["--from-dir=media", "file://samples", destination.host], ["-f", file, "--dir=media", "file://samples"]):
        r = samples("--insecure", *arguments, rc=1)
        check("media/config/samples" in r.err and "\x1b" not in r.err, "a map that was damaged is named", r.err)


@test
def every_form_of_the_map_is_read():
    data = {k: v for k, v in config_map().items() if k.startswith("ruby_")}
    source, images = stand_ins("source", data)
    destination = Registry("destination")
    flags = redirected(source)
    whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "imagestreamtag-to-image"}, "data": data}
    forms = {"map": whole, "data": data, "list": {"apiVersion": "v1", "kind": "List", "items": [whole]}}
    for name, form in forms.items():
        for dump, how in ((json.dumps, "json"), (lambda v: json.dumps(v, indent="\t"), "tabs"), (yaml.safe_dump, "yaml")):
            with open("in", "w") as f:
                f.write(dump(form))
            destination.clear()
            with open("in") as f:
                r = ferry("adm", "samples", "mirror", "-f", "-", *flags, "--to-manifests=out", destination.host, stdin=f)
            check_equal((r.rc, at(destination, "")), (0, images), "%s as %s" % (name, how))
            check_config("out", destination.host, [])


@test
def what_is_wrong_with_a_map_is_said_in_one_line():
    for text, message in (("ruby: r/a/b:1", 'key "ruby" is not STREAM_TAG'), ("a_1: 7", "has a value that is no text"),
                          ("kind: Secret", 'of kind "Secret", not a ConfigMap'), ("a_1: ''", "has no image"),
                          ("data: [1]", "not an object"), ("", "it is empty"), ("{}", "names no image stream tags"),
                          ("a_1: b\na_1: c", "duplicate key"), ("a_1: [", "line 2"), ("---\na_1: b\n---\na_2: c\n", "more than one"),
                          ("a_1: 'Not/A Ref'", "image stream tag a:1"), ("a_1: r.io:5000/x:1", "where no image can be")):
        with open("map.yaml", "w") as f:
            f.write(text)
        r = ferry("adm", "samples", "mirror", "-f", "map.yaml", "127.0.0.1:9/x")
        lines = [l for l in r.err.splitlines() if not l.startswith("hint: ")]
        check(r.rc == 1 and len(lines) == 1 and message in lines[0], message, r.err)
        check(not any(n.startswith("manifests-") for n in os.listdir(".")), "nothing is written")


@test
def two_images_with_one_name_are_refused_before_anything_moves():
    one, other, destination = Registry("one"), Registry("other"), Registry("destination")
    push("one", "ubi/x", "1", "same")
    push("other", "ubi/x", "1", "same")
    push("other", "ubi/x", "2", "only here")
    with open("map.yaml", "w") as f:
        for n, host in enumerate((one.host, other.host)):
            f.write("s%d_1: %s/ubi/x:1\ns%d_2: %s/ubi/x:2\n" % (n, host, n, host))
    r = samples("-f", "map.yaml", "--insecure", "--to-manifests=out", destination.host)
    check_equal(sorted(at(destination, "")), ["ubi/x:1", "ubi/x:2"], "the same image, and one that only one of them has")
    check_config("out", destination.host, [])
    push("other", "ubi/x", "1", "another")
    destination.clear()
    destination.mark()
    r = samples("-f", "map.yaml", "--insecure", "--to-manifests=second", destination.host, rc=1)
    for name in ("%s/ubi/x:1" % one.host, "%s/ubi/x:1" % other.host, "%s/ubi/x:1" % destination.host):
        check(name in r.err, "the error names " + name, r.err)
    check_equal(destination.lines(), [], "requests to the destination")
    check(not os.path.exists("second"), "nothing is written")
    samples("-f", "map.yaml", "--insecure", "--exclude=s1", "--to-manifests=third", destination.host, rc=3)


@test
def nothing_mirrored_is_a_failure():
    source, destination = Registry("source"), Registry("destination")
    push("source", "a/x", "1", "x1")
    file = small(source, none_1="a/z:1", gone_1="a/y:1")
    r = samples("-f", file, "--insecure", "--to-manifests=out", destination.host, rc=1)
    check("the source has none of the 2 images" in r.err, "why", r.err)
    check_equal(os.listdir("out"), ["mapping.txt"], "no Config")
    file = small(source, one_1="a/x:1")
    for flag in ("--insecure", "--continue-on-error"):
        r = samples("-f", file, "--insecure", flag, "--to-manifests=dead", "127.0.0.1:9/samples", rc=1)
        check("127.0.0.1:9" in r.err, "why", r.err)
        check_equal(os.listdir("dead"), ["mapping.txt"], "no Config")
    for to, message in (("olm", "names no registry"), ("docker://h.io/x", "leave out the 'docker://'"),
                        ("h.io/x:1", "not a registry"), ("file://a:1", "must not have a tag"), ("s3://a/b", "s3")):
        r = samples("-f", file, to, rc=1)
        check(message in r.err, message, r.err)
    for arguments in ((), ("a", "b", "c"), ("h.io",), ("h.io", "i.io"), ("file://x", "h.io"), ("file://x", "file://x")):
        samples(*arguments, rc=1)


@test
def a_failure_can_be_passed_over():
    source, destination = Registry("source"), Registry("destination")
    push("source", "a/x", "1", "x1")
    push("source", "a/y", "1", "y1")
    file = small(source, good_1="a/x:1", bad_1="a/y:1")
    data, _ = source.manifest("a/y", "1")
    layer = json.loads(data)["layers"][0]["digest"]
    os.unlink(corpus.Storage("source").blob_path(layer))
    samples("-f", file, "--insecure", "--to-manifests=stop", destination.host, rc=1)
    check_equal(os.listdir("stop"), ["mapping.txt"], "no Config of a run that stopped")
    r = samples("-f", file, "--insecure", "--to-manifests=go", "--continue-on-error", destination.host, rc=3)
    check_config("go", destination.host, ["bad"])
    check_match(r"(?m)^  bad: 1$", r.err, "stderr")
    samples("-f", file, "--insecure", "--to-manifests=go", "--continue-on-error", "--skip-missing", destination.host, rc=3)


@test
def a_dry_run_contacts_no_destination():
    source, destination = Registry("source"), Registry("destination")
    push("source", "a/x", "1", "x1")
    file = small(source, one_1="a/x:1")
    r = samples("-f", file, "--insecure", "--dry-run", "--to-manifests=out", destination.host + "/p")
    check_equal(destination.lines(), [], "requests")
    check("info: Dry run complete" in r.err, "stderr", r.err)
    check_equal(os.listdir("out"), ["mapping.txt"], "files")
    samples("-f", file, "--insecure", "--dry-run", "--to-manifests=out", "--dir=media", "file://samples")
    check(not os.path.exists("media"), "nothing on media")


@test
def what_is_at_the_mirror_already_stays():
    source, destination = Registry("source"), Registry("destination")
    digest = push("source", "a/x", "1", "x1")
    push("destination", "own/y", "1", "y1")
    with open("map.yaml", "w") as f:
        f.write("a_1: %s/a/x:1\nb_1: %s/own/y:1\nc_1: %s/own/z:1\n" % (source.host, destination.host, destination.host))
    samples("-f", "map.yaml", "--insecure", "--to-manifests=out", destination.host, rc=3)
    check_equal(at(destination, "")["a/x:1"], digest, "the image")
    check_config("out", destination.host, ["c"])
    check_equal(len(mapping("out")), 1, "lines of mapping.txt")
    # What is not there under its own name comes from where another stream has it.
    with open("map.yaml", "w") as f:
        f.write("a_1: %s/a/y:1\nb_1: %s/a/y:1\n" % (destination.host, source.host))
    digest = push("source", "a/y", "1", "y1")
    samples("-f", "map.yaml", "--insecure", "--to-manifests=swap", destination.host)
    check_equal(at(destination, "").get("a/y:1"), digest, "the image")


@test
def platforms_of_lists_are_chosen():
    data = {"x_1": HOSTS[0] + "/a/x:1"}
    with open("map.yaml", "w") as f:
        yaml.safe_dump(data, f)
    source, images = stand_ins("source", data)
    destination = Registry("destination")
    samples("-f", "map.yaml", *redirected(source), "--filter-by-os=linux/arm64", destination.host)
    body, _ = destination.manifest("a/x", "1")
    check("manifests" not in json.loads(body), "one platform takes the place of the list")
    check(at(destination, "") != images, "with its own digest")


main()
