#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""adm catalog mirror, where golden-catalog.t has no recorded run: how it ends, what it says, what it sends."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import *
import catalogs
import corpus

LARGEST_PLAN = 3.5 / 1024  # MiB an image, which may be one of very many
FILES = ["catalogSource.yaml", "imageContentSourcePolicy.yaml", "imageDigestMirrorSet.yaml", "imageTagMirrorSet.yaml", "mapping.txt"]


class Shop:
    """A source registry: three packages, some images by digest, some by tag, one a list of two."""

    def __init__(self, name="src", more=(), broken=None):
        """MORE: images that beta.v2 needs besides. BROKEN: the text of a further file of the catalog."""
        self.registry = Registry(name)
        self.host = host = self.registry.host
        self.storage = s = corpus.Storage(self.registry.directory)
        base = s.layer([("base", os.urandom(3000), 0o644)])
        self.sizes = {}

        def image(repo, size, tag=None, layers=(base,), **extra):
            own = s.layer([("own", os.urandom(size), 0o644)])
            return s.image(repo, list(layers) + [own], tag, **extra)[0]
        self.operator = image("ops/alpha", 50000)
        self.shared = image("ops/shared", 20000)
        one, two = image("ops/list", 1000, arch="amd64"), image("ops/list", 1000, arch="arm64")
        self.list = s.index("ops/list", [(one, 500, "amd64", corpus.DOCKER["manifest"]), (two, 500, "arm64", corpus.DOCKER["manifest"])])[0]
        for repo in ("ops/alpha-bundle", "ops/beta-bundle", "ops/gamma-bundle"):
            image(repo, 300, "v1", layers=())
        at = lambda repo, ref: "%s/%s%s%s" % (host, repo, "@" if ref.startswith("sha") else ":", ref)
        self.packages = {
            "alpha": [("1.0.0", at("ops/alpha-bundle", "v1"), [at("ops/alpha", self.operator), at("ops/shared", self.shared)])],
            "beta": [("1.0.0", at("ops/beta-bundle", "v1"), [at("ops/shared", self.shared)]),
                     ("2.0.0", at("ops/beta-bundle", "v1"), [at("ops/shared", self.shared)] + [host + "/" + m for m in more])],
            "gamma": [("1.0.0", at("ops/gamma-bundle", "v1"), [at("ops/list", self.list)])]}
        files = {"%s/catalog.json" % n: catalogs.as_json(catalogs.package(n, *b)) for n, b in self.packages.items()}
        if broken:
            files["broken/catalog.json"] = broken
        self.index = catalogs.fbc_image(s, "cat/index", "v1", files)[0]
        self.src = host + "/cat/index:v1"
        self.images = 6  # without the index

    def blobs(self, repo, digest):
        """{digest: size} of all layers and configurations of an image."""
        body = json.loads(self.registry.manifest(repo, digest)[0])
        if "manifests" in body:
            return {d: n for m in body["manifests"] for d, n in self.blobs(repo, m["digest"]).items()}
        return {b["digest"]: b["size"] for b in body["layers"] + [body["config"]]}

    def needs(self, package):
        """{digest: size} of all blobs of a package."""
        found = {}
        for _, image, related in self.packages[package]:
            for text in [image] + related:
                ref = catalogs.parse(text)
                found.update(self.blobs(ref.path, ref.digest or ref.tag))
        return found


def mirror(*args, **options):
    return ferry("adm", "catalog", "mirror", "--insecure", *args, **options)


def exits(rc, *args, **options):
    r = mirror(*args, **options)
    require(r.rc == rc, "adm catalog mirror %s exits %d, want %d" % (" ".join(map(str, args)), r.rc, rc), r.out[-2000:], r.err[-4000:])
    return r


def read(path):
    with open(path) as f:
        return f.read()


class Faults:
    """faultreg.py, which answers as RULES say."""

    def __init__(self, *rules, name="faults"):
        argv = [sys.executable, os.path.join(HERE, "faultreg.py"), "--log", name + ".log"]
        for r in rules:
            argv += ["--rule", r]
        self.log = os.path.abspath(name + ".log")
        self.host = "127.0.0.1:%s" % start(argv, stdout=subprocess.PIPE, text=True).stdout.readline().split()[0]

    def entries(self):
        return [json.loads(line) for line in read(self.log).splitlines()]

    def done(self, method, part):
        return [e["path"] for e in self.entries() if e["method"] == method and part in e["path"] and e["status"] == 201]


# ---- how it ends --------------------------------------------------------------------------------

@test
def a_whole_catalog_is_a_success_and_a_second_run_sends_nothing():
    shop, to = Shop(), Registry("dst")
    r = exits(0, shop.src, to.host + "/olm", "--to-manifests=m")
    check_equal(sorted(os.listdir("m")), FILES, "the files")
    lines = [l for l in r.out.splitlines() if l.startswith("sha256:")]
    check_equal(len(lines), shop.images + 1 + 2, "result lines, two of them children of a list")
    check_equal(lines, sorted(lines), "their order")
    check_equal(to.tags()["olm/cat-index:v1"], shop.index, "the index")
    check_equal(to.bad_blobs(), [], "damaged blobs")
    before = to.manifests()
    to.mark()
    again = exits(0, shop.src, to.host + "/olm", "--to-manifests=m")
    sent = to.requests()
    check_equal([m for m in sent if m not in ("GET", "HEAD")], [], "requests of the second run that are not only questions")
    check(sent["GET"] + sent["HEAD"] <= 2 * (shop.images + 3) + 8, "few questions", sent)
    check_equal(again.out, r.out, "the output of the second run")
    check_equal(to.manifests(), before, "manifests")


@test
def what_is_missing_is_listed_with_its_bundles_and_the_rest_is_mirrored():
    shop, to = Shop(more=["ops/gone:v9", "Ops/Upper:1"]), Registry("dst")
    r = exits(3, shop.src, to.host + "/olm", "--to-manifests=m")
    check_equal(read("m/missing.txt").splitlines(),
                ['%s/Ops/Upper:1\tnot an image of a registry: "%s/Ops/Upper:1" is not a valid image reference: '
                 "repository name must be lowercase\tbeta: beta.v2.0.0" % (shop.host, shop.host),
                 "%s/ops/gone:v9\tnot found at the source\tbeta: beta.v2.0.0" % shop.host], "missing.txt")
    check_match(r"(?m)^  not found at the source \(1\)\n    \S+/ops/gone:v9, for beta: beta\.v2\.0\.0$", r.err, "standard error")
    check_match(r"(?m)^error: errors during mirroring\. .*: 2 of 9 images are missing, named in m/missing\.txt$", r.err, "standard error")
    check("cat-index:v1" in r.out and "wrote mirroring manifests to m\n" in r.out, "the index is there, the files are", r.out)
    check("%s/ops/gone:v9=" % shop.host in read("m/mapping.txt"), "mapping.txt has it, for another try")


@test
def skip_missing_passes_over_what_the_source_does_not_have():
    shop, to = Shop(more=["ops/gone:v9"]), Registry("dst")
    r = exits(0, shop.src, to.host + "/olm", "--to-manifests=m", "--skip-missing")
    check_match(r"not found at the source \(1\)", r.err, "standard error")
    check(os.path.exists("m/missing.txt"), "it is listed")
    shop.storage.image("ops/gone", [shop.storage.layer([("late", b"late", 0o644)])], "v9")
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m")
    check(not os.path.exists("m/missing.txt"), "nothing is missing any more")
    check("olm/ops-gone:v9" in to.tags(), "and it was mirrored")


@test
def nothing_mirrored_is_a_failure_and_the_files_are_there():
    shop, locked = Shop(), Registry("locked", user="mirror", password="secret")
    credentials("bad.json", (locked.host, "mirror", "wrong"))
    nobody = "127.0.0.1:%d" % free_port()
    for i, (host, more, why) in enumerate(((locked.host, [], "no basic auth credentials"),
                                           (locked.host, ["-a", "bad.json"], "unauthorized"), (nobody, [], "connection refused"))):
        r = exits(1, shop.src, host + "/olm", "--to-manifests=m%d" % i, *more)
        check_match(r"(?m)^error: nothing was mirrored: .*%s" % why, r.err, "standard error")
        check_equal(sorted(os.listdir("m%d" % i)), FILES + ["missing.txt"], "the files")
        check_equal(len(read("m%d/missing.txt" % i).splitlines()), shop.images + 1, "lines of missing.txt")
        check("sha256:" not in r.out, "no result line", r.out)
    check_equal(locked.manifests(), set(), "manifests of the destination")


@test
def without_continue_on_error_a_failure_ends_it_before_anything_is_put():
    shop, to = Shop(more=["ops/gone:v9"]), Registry("dst")
    r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m", "--continue-on-error=false")
    check_match(r"(?m)^error: errors during mirroring\. .* an error occurred during planning$", r.err, "standard error")
    check_equal((to.manifests(), os.path.exists("m")), (set(), False), "manifests, and the folder")


@test
def an_interrupted_run_writes_no_files():
    shop, to = Shop(), Faults("PUT /blobs/ 2:* stall")
    argv = [FERRY, "adm", "catalog", "mirror", "--insecure", shop.src, to.host + "/olm", "--to-manifests=m"]
    with open("err", "wb") as err:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err, env=environment(), start_new_session=True)
    wait_for(lambda: len(to.done("PUT", "/blobs/")) == 2, "two blobs")
    process.send_signal(signal.SIGINT)
    check_equal(process.wait(60), 130, "the exit status")
    check(not os.path.exists("m"), "no folder")
    check_equal(to.done("PUT", "/manifests/"), [], "manifests")


@test
def a_file_that_cannot_be_read_ends_it_unless_that_was_asked_for():
    shop, to = Shop(broken='{"schema": "olm.bundle",\n "image": 5}'), Registry("dst")
    for more in ([], ["--continue-on-error=false"]):
        r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m", *more)
        check_match(r"(?m)^error: .*configs/broken/catalog\.json: document 1", r.err, "standard error")
        check_equal((to.manifests(), os.path.exists("m")), (set(), False), "manifests, and the folder")
    r = exits(3, shop.src, to.host + "/olm", "--to-manifests=m", "--continue-on-error")
    check_match(r"(?m)^warning: left out: configs/broken/catalog\.json", r.err, "standard error")
    check_match(r"(?m)^-\ta file of the catalog cannot be read: configs/broken/catalog\.json", read("m/missing.txt"), "missing.txt")
    check_equal(len(to.tags()), shop.images + 1, "tags")


# ---- a destination that takes no nested names ---------------------------------------------------

@test
def a_nested_path_that_is_refused_names_the_flag_to_use():
    shop = Shop()
    for status in (401, 403, 404):
        to = Faults("* /v2/olm/[^/]+/.* * %d" % status, name="faults%d" % status)
        r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m", "--max-components=0")
        check_match(r"(?m)^hint: .* use --max-components=2$", r.err, "standard error for %d" % status)
        r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m")
        check("--max-components" not in r.err, "where paths are short already it is no help", r.err)


@test
def what_is_pasted_from_the_guide_is_told_how_to_be_written():
    r = mirror("src.example.com/cat/index:v1", "dst.example.com/olm", "--max-components", "=", "2")
    check(r.rc == 1 and "--max-components=" in r.err and "blanks" in r.err, "it says how", r.err)
    r = mirror("src.example.com/cat/index:v1", "dst.example.com/olm", "--max-components=", "2")
    check(r.rc == 1 and "--max-components" in r.err, "it names the flag", r.err)
    r = mirror("src.example.com/cat/index:v1", "dst.example.com/olm", "more")
    check_match(r"^error: only a source and a dest are accepted, and 'more' is neither\n", r.err, "standard error")


# ---- the plan -----------------------------------------------------------------------------------

@test
def a_dry_run_says_what_each_package_needs():
    shop, to = Shop(more=["ops/gone:v9"]), Registry("dst")
    needs = {p: shop.needs(p) for p in ("alpha", "gamma")}
    shop.packages["beta"][1][2].pop()
    needs["beta"] = shop.needs("beta")
    to.mark()
    r = exits(3, shop.src, to.host + "/olm", "--to-manifests=m", "--dry-run")
    check_equal(sum(to.requests().values()), 0, "requests to the destination")
    check_match(r"(?m)^  PACKAGE +BUNDLES +IMAGES +UNIQUE +SHARED$", r.err, "standard error")
    rows = re.findall(r"(?m)^  (\S.*?)  +(\d+) +(\d+) +(\S+) +(\S+)(?:  1 missing)?$", r.err)
    check_equal([row[0] for row in rows], ["alpha", "beta", "gamma", "(the catalog itself)"], "packages, the largest first")
    check_equal(sorted(os.listdir("m")), sorted(FILES + ["missing.txt"]), "the files")
    check("sha256:" not in r.out and "wrote mirroring manifests to m\n" in r.out, "standard output", r.out)

    j = exits(3, shop.src, to.host + "/olm", "--to-manifests=m", "--dry-run", "-o", "json")
    plan = json.loads(j.out)
    check("wrote mirroring manifests to m" in j.err, "the other lines are on standard error")
    shared = {d for d in needs["alpha"] if sum(d in n for n in needs.values()) > 1}
    for p in plan["packages"]:
        if not p["name"]:
            continue
        blobs, others = needs[p["name"]], [n for name, n in needs.items() if name != p["name"]]
        unique = sum(n for d, n in blobs.items() if not any(d in o for o in others))
        check_equal((p["uniqueBytes"], p["sharedBytes"], p["bytes"]),
                    (unique, sum(blobs.values()) - unique, sum(blobs.values())), "bytes of " + p["name"])
        check_equal(p["bundles"], len(shop.packages[p["name"]]), "bundles of " + p["name"])
    check_equal([p["name"] for p in plan["packages"]], ["alpha", "beta", "gamma", ""], "packages")
    check_equal({i["source"]: (i["status"], i["bundles"]) for i in plan["images"]}[shop.host + "/ops/gone:v9"],
                ("missing", ["beta.v2.0.0"]), "the image that is missing")
    check_equal(plan["totals"]["images"], shop.images + 1, "images")
    index = shop.blobs("cat/index", "v1")
    everything = dict(index, **{d: n for blobs in needs.values() for d, n in blobs.items()})
    check_equal((plan["totals"]["blobs"], plan["totals"]["bytes"]), (len(everything), sum(everything.values())), "in all")
    check(shared and plan["totals"]["sharedBytes"] > 0, "something is shared")
    check_equal(to.manifests(), set(), "manifests of the destination")


@test
def the_plan_for_programs_goes_with_a_dry_run_only():
    for args in (["-o", "json"], ["-o", "json", "--dry-run", "--manifests-only"], ["-o", "yaml", "--dry-run"]):
        r = mirror("src.example.com/cat/index:v1", "dst.example.com/olm", *args)
        check(r.rc == 1 and "--output" in r.err and not r.out, "%s is refused" % args, r.err, r.out)


@test
def memory_grows_little_with_the_number_of_repositories():
    registry, n = Registry("src"), 3000
    s = corpus.Storage(registry.directory)
    layer = s.layer([("file", b"hello", 0o644)])
    digest = s.image("ops/0", [layer], "v1")[0]
    body, media_type = registry.manifest("ops/0", digest)[0], corpus.DOCKER["manifest"]
    for i in range(n):
        s.manifest("ops/%d" % i, body, media_type)
    images = ["%s/ops/%d@%s" % (registry.host, i, digest) for i in range(n)]
    files = {"many/catalog.json": catalogs.as_json(catalogs.package("many", ("1.0.0", images[0], images[1:])))}
    catalogs.fbc_image(s, "cat/index", "v1", files)
    rss = [exits(0, registry.host + "/cat/index:v1", "dst.example.com/olm", "--to-manifests=m", flag, binary=PLAIN, measured=True).rss
           for flag in ("--manifests-only", "--dry-run")]
    note("%d repositories: %.0f MiB to list them, %.0f MiB to plan" % (n, *rss))
    check(rss[1] - rss[0] < n * LARGEST_PLAN, "an image in a repository of its own takes %.1f KiB to plan" % ((rss[1] - rss[0]) * 1024 / n))


# ---- folders ------------------------------------------------------------------------------------

@test
def dir_and_from_dir_are_honoured_everywhere_and_the_hint_is_a_command():
    shop, to = Shop(), Registry("dst")
    plans = [json.loads(exits(0, shop.src, dst, "--dir=media", "--to-manifests=plan", "--dry-run", "-o", "json").out)
             for dst in ("file://local/index", to.host + "/olm")]
    check_equal(plans[0]["totals"], plans[1]["totals"], "the plan for a folder and that for a registry")
    check(plans[0]["totals"]["bytes"] > 70000 and not os.path.exists("media"), "nothing is made", plans[0]["totals"])
    shutil.rmtree("plan")
    r = exits(0, shop.src, "file:///local/index", "--dir=media", "--to-manifests=m1")
    check_equal(sorted(os.listdir(".")), ["dst", "dst.log", "dst.yml", "home", "m1", "media", "src", "src.log", "src.yml"], "files")
    check_equal(os.listdir("m1"), ["mapping.txt"], "files for a folder")
    command = re.search(r"(?m)^To upload local images to a registry, run:\n\n\tferry adm catalog mirror (.*) REGISTRY/REPOSITORY$", r.out)
    require(command, "there is a hint", r.out)
    check_equal(command[1], "--from-dir=media file://local/index/cat/index:v1", "the hint")
    exits(0, *command[1].split(), to.host + "/olm", "--to-manifests=m2")
    check_equal(len(to.tags()), shop.images + 1, "tags")
    check("source: %s/ops/alpha\n" % shop.host in read("m2/imageDigestMirrorSet.yaml"), "sources are those of the catalog")
    check("name: index-cat-index\n" in read("m2/catalogSource.yaml"), "a name that clusters take")
    exits(0, "file://local/index/cat/index:v1", "file://copy", "--dir=media", "--to-manifests=m3")
    check(os.path.isdir("media/v2/copy/local/index/cat/index"), "from a folder to the same folder")


# ---- the files ----------------------------------------------------------------------------------

@test
def mapping_txt_can_be_trimmed_and_mirrored():
    shop, to = Shop(), Registry("dst")
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m", "--manifests-only")
    lines = read("m/mapping.txt").splitlines()
    check_equal((len(lines), lines), (shop.images + 1, sorted(lines)), "mapping.txt")
    check_equal(to.manifests(), set(), "manifests of the destination")
    with open("some.txt", "w") as f:
        f.write("\n".join(l for l in lines if "gamma" in l or "list" in l) + "\n")
    succeeds("image", "mirror", "-f", "some.txt", "--insecure", "--keep-manifest-list=true", "--filter-by-os=.*")
    check_equal(sorted(t.rpartition(":")[0] for t in to.tags()), ["olm/ops-gamma-bundle", "olm/ops-list"], "tags")
    check("olm/ops-list@" + shop.list in to.manifests(), "the list is whole")


@test
def names_and_places_can_be_chosen():
    shop, to = Shop(), Registry("dst")
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m", "--index-dest=%s/catalogs/mine:v7" % to.host, "--name=mine",
          "--olm-v1", "--max-components=3")
    check_equal(to.tags()["catalogs/mine:v7"], shop.index, "the index is where it was asked for")
    check("olm/ops/alpha-bundle:v1" in to.tags(), "three components", to.tags())
    check("  name: mine\n" in read("m/catalogSource.yaml") and "%s/catalogs/mine:v7" % to.host in read("m/catalogSource.yaml"),
          "the source", read("m/catalogSource.yaml"))
    check("kind: ClusterCatalog" in read("m/clusterCatalog.yaml"), "OLM v1")


@test
def the_files_of_the_catalog_can_be_looked_at():
    shop = Shop()
    args = [shop.src, "dst.example.com/olm", "--manifests-only", "--to-manifests=m", "--path=/configs/:out/sub"]
    r = exits(0, *args)
    check_equal(sorted(os.listdir("out/sub")), ["alpha", "beta", "gamma"], "packages")
    check_match(r"(?m)^info: wrote the files of the catalog to out/sub$", r.err, "standard error")
    shutil.rmtree("m")
    r = exits(1, *args)
    check("'out/sub' is not empty" in r.err and not os.path.exists("m"), "what is there is left alone", r.err)


@test
def a_folder_that_cannot_be_made_is_found_before_anything_moves():
    shop, to = Shop(), Registry("dst")
    with open("m", "w") as f:
        f.write("x")
    shop.registry.mark()
    r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m")
    check_equal(r.err, "error: mkdir m: not a directory\n", "standard error")
    check_equal(sum(shop.registry.requests().values()), 0, "requests")


@test
def old_names_of_flags_work_and_say_so():
    shop = Shop()
    r = exits(0, shop.src, "dst.example.com/olm", "--manifests-only", "--to-manifests=m", "--filter-by-os=linux/arm64",
              "--icsp-scope=repository", "--max-icsp-size=4000", "--index-filter-by-os=.*")
    for name in ("--filter-by-os has been deprecated, use --index-filter-by-os instead", "--icsp-scope has been deprecated",
                 "--max-icsp-size has been deprecated"):
        check("Flag " + name in r.err, "a notice of " + name, r.err)


# ---- what else goes along -----------------------------------------------------------------------

@test
def signatures_go_along_when_asked():
    shop, to = Shop(), Registry("dst")
    tag = "sha256-%s.sig" % shop.operator[7:]
    shop.storage.image("ops/alpha", [shop.storage.layer([("sig", b"sig", 0o644)])], tag)
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m")
    check("olm/ops-alpha:" + tag not in to.tags(), "not unless asked")
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m", "--include-signatures")
    check("olm/ops-alpha:" + tag in to.tags(), "when asked", to.tags())
    r = mirror(shop.src, to.host + "/olm", "--include-signatures", "--no-signatures")
    check(r.rc == 1 and "may not both" in r.err, "not both", r.err)


@test
def two_images_with_one_name_are_found_before_the_first_byte():
    shop, to = Shop(more=["ops-alpha/bundle:v1"]), Registry("dst")
    shop.storage.image("ops-alpha/bundle", [shop.storage.layer([("other", b"other", 0o644)])], "v1")
    r = exits(1, shop.src, to.host + "/olm", "--to-manifests=m")
    check_match(r"^error: \S+/ops-alpha/bundle:v1 and \S+/ops/alpha-bundle:v1 would both become \S+/olm/ops-alpha-bundle:v1\nhint: .*--max-components", r.err, "standard error")
    check("--continue-on-error" not in r.err, "no other advice", r.err)
    check_equal((to.manifests(), os.path.exists("m")), (set(), False), "manifests, and the folder")
    exits(0, shop.src, to.host + "/olm", "--to-manifests=m", "--max-components=3")


main()
