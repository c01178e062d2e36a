# SPDX-License-Identifier: Apache-2.0
"""What a cluster does with YAML it is given: checks it against its schemas, and makes a node's registries.conf of it.

complaints() is the API server: openAPIV3Schema of the CRDs in tests/data/crds (strictly: unknown fields are refused), their
x-kubernetes-validations, names, labels. registries_conf() is the machine-config operator: mirror sets of one source are merged,
digest and tag mirrors are kept apart, insecure and blocked scopes go down to nested ones.
"""
import functools
import glob
import os
import re
import subprocess

import jsonschema
import yaml

CRDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data/crds")

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAME_PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
METADATA = {"name", "namespace", "labels", "annotations"}


# ---- the API server -----------------------------------------------------------------------------

def tag_of(ref):
    """What follows the last ':' a greedy search would find first: ':.*$' of the whole text."""
    m = re.search(r":.*$", ref)
    return m.group()[1:] if m else ""


# The rules of the schemas, by message. A rule that is not here is a complaint: nothing goes unchecked.
RULES = {
    "must start with a valid domain": lambda v: re.search(
        r"^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])((\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))+)?(:[0-9]+)?\b", v),
    "a valid name is required": lambda v: re.search(r"/[a-z0-9]", v),
    "must end with a digest or a tag": lambda v: re.search(r"@.*:", v) or re.search(r":.*$", v),
    "tag is invalid. the tag must not": lambda v: re.search(r"@.*:", v) or len(tag_of(v)) <= 127,
    "tag is invalid. valid tags": lambda v: re.search(r"@.*:", v) or not tag_of(v) or re.search(r":\w[\w.-]*$", v),
    "digest algorithm is not valid": lambda v: "@" not in v or re.search(r"@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:", v),
    "digest is not valid. the encoded string must be": lambda v: "@" not in v or len(tag_of(v)) >= 32,
    "digest is not valid. the encoded string must only": lambda v: "@" not in v or re.search(r":[0-9A-Fa-f]*$", v),
    "cannot specify pollIntervalMinutes": lambda v: "@" not in v.get("ref", "") or "pollIntervalMinutes" not in v,
    "image is required when source type": lambda v: (v.get("type") == "Image") == ("image" in v),
}


@functools.lru_cache(maxsize=None)
def _matches(pattern, text):
    """As the API server matches: without backtracking, which these patterns would make endless in Python."""
    ere = pattern.replace("(?:", "(")
    return subprocess.run(["grep", "-Eqxe", ere], input=text + "\n", text=True).returncode == 0 and "\n" not in text


def _pattern(validator, pattern, value, schema):
    if isinstance(value, str) and not _matches(pattern, value):
        yield jsonschema.ValidationError("%r does not match %s" % (value, pattern[:60]))


def _list_type(validator, kind, value, schema):
    if kind == "set" and isinstance(value, list) and len(set(map(str, value))) != len(value):
        yield jsonschema.ValidationError("%r has duplicates" % (value,))


def _rules(validator, rules, value, schema):
    for rule in rules:
        known = [test for start, test in RULES.items() if rule["message"].startswith(start)]
        if not known:
            yield jsonschema.ValidationError("no test for the rule: " + rule["message"])
        elif not known[0](value):
            yield jsonschema.ValidationError("%r: %s" % (value, rule["message"]))


def _format(validator, kind, value, schema):
    if kind == "int32" and isinstance(value, int) and not -(1 << 31) <= value < 1 << 31:
        yield jsonschema.ValidationError("%r is no int32" % value)


Validator = jsonschema.validators.extend(jsonschema.Draft4Validator, {
    "pattern": _pattern, "x-kubernetes-list-type": _list_type, "x-kubernetes-validations": _rules, "format": _format})


def _strict(schema):
    """The same schema with no room for unknown fields."""
    if isinstance(schema, list):
        return [_strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: _strict(v) for k, v in schema.items() if k != "description" or not isinstance(v, str)}
    if "properties" in out and isinstance(out["properties"], dict) and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    if out.get("nullable") is True and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    if out.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    return out


@functools.lru_cache(maxsize=None)
def kinds():
    """{(apiVersion, kind): (schema, scope)}"""
    out = {}
    for path in sorted(glob.glob(CRDS + "/*.yaml")):
        with open(path) as f:
            spec = yaml.safe_load(f)["spec"]
        for version in spec["versions"]:
            out["%s/%s" % (spec["group"], version["name"]), spec["names"]["kind"]] = (
                _strict(version["schema"]["openAPIV3Schema"]), spec["scope"])
    return out


def _metadata(meta, scope):
    if not isinstance(meta, dict) or "name" not in meta:
        return ["metadata has no name"]
    bad = ["metadata.%s is unknown" % k for k in meta if k not in METADATA]
    if not re.fullmatch(r"%s(\.%s)*" % (LABEL, LABEL), str(meta["name"])) or len(str(meta["name"])) > 253:
        bad.append("%r is no name (RFC 1123 subdomain)" % meta["name"])
    if scope == "Namespaced" and not re.fullmatch(LABEL, str(meta.get("namespace", ""))):
        bad.append("%r is no namespace" % meta.get("namespace"))
    if scope == "Cluster" and "namespace" in meta:
        bad.append("a cluster-wide object has no namespace")
    for key, value in meta.get("labels", {}).items():
        prefix, _, name = key.rpartition("/")
        if not re.fullmatch(NAME_PART, name) or (prefix and not re.fullmatch(r"%s(\.%s)*" % (LABEL, LABEL), prefix)):
            bad.append("label %r" % key)
        if not isinstance(value, str) or (value and not re.fullmatch(NAME_PART, value)):
            bad.append("label %r: %r" % (key, value))
    return bad


def complaints(document):
    """Why an API server would refuse it; [] if it would not."""
    if not isinstance(document, dict):
        return ["%r is no object" % (document,)]
    kind = document.get("apiVersion"), document.get("kind")
    if kind not in kinds():
        return ["no schema for %s %s" % kind]
    schema, scope = kinds()[kind]
    bad = ["%s: %s" % ("/".join(map(str, e.path)), e.message) for e in Validator(schema).iter_errors(document)]
    bad += _metadata(document.get("metadata"), scope)
    if kind[1] == "CatalogSource":
        # OLM derives a service and a pod from it: their names are labels.
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", str(document["metadata"].get("name"))):
            bad.append("%r is no name for a service (RFC 1035 label)" % document["metadata"].get("name"))
        spec = document.get("spec", {})
        if spec.get("sourceType") == "grpc" and not (spec.get("image") or spec.get("address")):
            bad.append("grpc wants an image or an address")
    return bad


def documents(path):
    """The objects of a file; what lies between two '---' must be one."""
    with open(path) as f:
        text = f.read()
    if not text.strip():
        raise ValueError("%s is empty" % path)
    return [d for d in yaml.safe_load_all(text) if d is not None]


# ---- the machine-config operator ----------------------------------------------------------------

def _nested(scope, outer):
    return scope == outer or scope.startswith(outer + "/")


def _merged(source, lists):
    """Mirrors in an order that suits every list; the source itself, when it would come last anyway, goes."""
    after = {}
    for mirrors in lists:
        chain = mirrors if source in mirrors else mirrors + [source]
        for a, b in zip(chain, chain[1:]):
            after.setdefault(a, []).append(b)
            after.setdefault(b, [])
    order, state = [], {}

    def visit(node):
        if state.get(node) == "open":
            return  # the lists disagree: any order will do
        if node not in state:
            state[node] = "open"
            for following in reversed(after[node]):
                visit(following)
            state[node] = "done"
            order.insert(0, node)
    for node in sorted(after, reverse=True):
        visit(node)
    return order[:-1] if order[-1] == source else order


def registries_conf(objects, insecure=(), blocked=()):
    """The text of /etc/containers/registries.conf on a node of a cluster with these OBJECTS."""
    entries = {}  # location → {"blocked", "insecure", "mirrors": [[location, pull-from-mirror, insecure]]}

    def entry(location):
        return entries.setdefault(location, {"blocked": False, "insecure": False, "mirrors": []})

    groups = (("digest-only", (("ImageDigestMirrorSet", "imageDigestMirrors"), ("ImageContentSourcePolicy", "repositoryDigestMirrors"))),
              ("tag-only", (("ImageTagMirrorSet", "imageTagMirrors"),)))
    for pull, sets in groups:
        by_source = {}
        for kind, field in sets:
            for item in (i for o in objects if o["kind"] == kind for i in o["spec"].get(field) or []):
                if all(m == item["source"] for m in item.get("mirrors") or []):
                    continue  # no mirror but itself
                lists = by_source.setdefault(item["source"], [])
                lists.append(item["mirrors"])
                if item.get("mirrorSourcePolicy") == "NeverContactSource":
                    entry(item["source"])["blocked"] = True
        for source in sorted(by_source):
            entry(source)["mirrors"] += [[m, pull, False] for m in _merged(source, by_source[source])]
    mirrored = [s for s in entries if entries[s]["mirrors"]]
    for scope in list(insecure) + list(blocked):
        entry(scope)
    for scope in insecure:
        for location, e in entries.items():
            e["insecure"] |= _nested(location, scope)
            for mirror in e["mirrors"]:
                mirror[2] |= _nested(mirror[0], scope)
    for scope in blocked:
        for location, e in entries.items():
            e["blocked"] |= _nested(location, scope)
    for outer in mirrored:
        for location, e in entries.items():
            if location != outer and _nested(location, outer) and not e["mirrors"]:
                e["mirrors"] = [[m + location[len(outer):], p, i] for m, p, i in entries[outer]["mirrors"]]
    out = ['unqualified-search-registries = ["registry.access.redhat.com", "docker.io"]', 'short-name-mode = ""']
    for location, e in entries.items():
        out += ["", "[[registry]]", 'prefix = ""', 'location = "%s"' % location]
        out += ["%s = true" % k for k in ("blocked", "insecure") if e[k]]
        for mirror, pull, is_insecure in e["mirrors"]:
            out += ["", "  [[registry.mirror]]", '  location = "%s"' % mirror, '  pull-from-mirror = "%s"' % pull]
            out += ["  insecure = true"] if is_insecure else []
    return "\n".join(out) + "\n"
