#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry in memory that misbehaves as told.

Prints "PORT OTHER" once it listens (OTHER is the same registry on another origin). Everything it
holds is pushed to it. Requests are logged as JSON lines to --log, and by GET /_log.

Rules (--rule, may be given several times; or POST /_rules, one a line, which also empties the log):

    METHOD PATH-REGEX COUNT ACTION      METHOD may be *; COUNT is N, SKIP:N or *

Actions:
    NNN[=SECONDS]   that status, as a registry words it, with Retry-After
    NNNtext         that status with a plain text body
    reset           no answer, connection reset
    cut[=N]         N bytes of the body, then reset; of the request's body for PUT, PATCH and POST
    corrupt         the last byte of the body is wrong
    stall           no answer until the client leaves
    slow=N          N bytes of body a second
    wrongdigest     another Docker-Content-Digest
    nomount         a mount is answered by 202
    drop            a reused connection is closed instead of answered (a fresh one is served)
    redirect[=URL]  307 to the same path at URL, or at OTHER
    revoke          every token given out so far is void: 401
    linkloop        the next page is the first one
    forget          the upload session is lost: 404
    latecut         the request is done, but its answer never arrives
"""
import argparse, base64, hashlib, itertools, json, re, socket, ssl, struct, threading, time
import urllib.parse

NAME = r"[a-z0-9]+(?:[._/-][a-z0-9]+)*"
CODES = {400: "DIGEST_INVALID", 401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 405: "UNSUPPORTED",
         416: "RANGE_INVALID", 429: "TOOMANYREQUESTS"}
REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
           307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 416: "Range Not Satisfiable", 429: "Too Many Requests", 503: "Service Unavailable"}
BODY_METHODS = ("PUT", "PATCH", "POST")


class Gone(Exception):
    """The connection is over."""


class Rule:
    def __init__(self, line):
        self.method, path, count, self.action = line.split(None, 3)
        self.path = re.compile(path)
        skip, _, n = count.rpartition(":")
        self.skip = int(skip or 0)
        self.left = float("inf") if n == "*" else int(n)

    def take(self, method, path):
        if self.method not in ("*", method) or not self.path.search(path) or self.left <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.left -= 1
        return True


class State:
    def __init__(self, opt):
        self.opt, self.lock = opt, threading.Lock()
        self.rules = [Rule(r) for r in opt.rule]
        self.blobs, self.manifests, self.tags = {}, {}, {}  # repository → digest → ..., repository → tag → digest
        self.uploads, self.tokens, self.log = {}, {}, []
        self.ids = itertools.count(1)
        self.logfile = open(opt.log, "a", buffering=1) if opt.log else None

    def note(self, entry):
        with self.lock:
            self.log.append(entry)
            if self.logfile:
                self.logfile.write(json.dumps(entry) + "\n")

    def fault(self, method, path, reused):
        with self.lock:
            for r in self.rules:
                if r.action == "drop" and not reused:
                    continue
                if r.take(method, path):
                    return r.action
        return ""


class Connection:
    def __init__(self, state, sock, port, scheme):
        self.s, self.opt, self.sock, self.port, self.scheme = state, state.opt, sock, port, scheme
        self.id, self.served = next(state.ids), 0
        self.file = sock.makefile("rb", 256 * 1024)

    def run(self):
        try:
            if self.file.peek(1)[:1] == b"\x16":  # a TLS client at the wrong door
                self.reset()
            while self.one():
                self.served += 1
        except (Gone, OSError, ValueError):
            pass
        finally:
            try:
                self.file.close()
                self.sock.close()
            except OSError:
                pass

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.file.close()
        self.sock.close()
        raise Gone

    # --- reading and answering ---

    def one(self):
        line = self.file.readline(65536)
        if not line:
            return False
        self.method, target, _ = line.decode("latin-1").split()
        self.headers = {}
        while (line := self.file.readline(65536).strip()):
            k, _, v = line.decode("latin-1").partition(":")
            k = k.strip().lower()
            self.headers[k] = f"{self.headers[k]}, {v.strip()}" if k in self.headers else v.strip()
        self.path, _, query = target.partition("?")
        self.query = urllib.parse.parse_qs(query, keep_blank_values=True)
        self.received = 0
        self.body_left = int(self.headers.get("content-length", 0))
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.entry = {"method": self.method, "path": self.path, "query": query, "auth": self.who_asks(), "conn": self.id,
                      "reused": self.served > 0, "port": self.port, "range": self.headers.get("range", ""),
                      "content_range": self.headers.get("content-range", ""), "fault": "", "status": 0}
        if self.path.startswith("/_"):
            self.control()
            return True
        self.fault = self.entry["fault"] = self.s.fault(self.method, target, self.served > 0)
        if self.headers.get("expect", "").lower() == "100-continue" and self.fault not in ("stall", "reset", "drop"):
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            self.misbehave() or self.route()
        finally:
            self.note()
        return self.headers.get("connection", "").lower() != "close"

    def note(self):
        """Logs the request; before it is answered, so that whoever has the answer finds it logged."""
        if self.entry:
            self.entry["in"] = self.received
            self.s.note(self.entry)
            self.entry = None

    def who_asks(self):
        kind, _, value = self.headers.get("authorization", "-").partition(" ")
        if kind == "Basic":
            return "basic " + base64.b64decode(value).decode().partition(":")[0]
        return "bearer " + " ".join(self.s.tokens.get(value, ["void"])) if kind == "Bearer" else kind

    def read_body(self, sink):
        """Feeds the body to SINK piece by piece; a cut leaves what came until then."""
        limit = float("inf")
        if self.fault.startswith("cut"):
            limit = int(self.fault[4:] or 0)
        while True:
            if self.chunked and not self.body_left:
                self.body_left = int(self.file.readline().split(b";")[0], 16)
                if not self.body_left:
                    self.file.readline()
                    return
            if not self.body_left:
                return
            want = min(self.body_left, 256 * 1024, limit - self.received)
            piece = self.file.read1(int(want)) if want > 0 else b""
            if not piece:
                self.reset()
            self.received += len(piece)
            self.body_left -= len(piece)
            sink(piece)
            if self.chunked and not self.body_left:
                self.file.readline()

    def answer(self, status, headers=(), body=b""):
        self.read_body(lambda piece: None)
        self.entry["status"] = status
        if not self.path.startswith("/_"):
            self.note()
        if self.fault == "latecut":
            self.reset()
        out = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        headers = dict(headers)
        headers.setdefault("Content-Length", str(len(body)))
        headers.setdefault("Docker-Distribution-Api-Version", "registry/2.0")
        if self.fault == "wrongdigest":
            headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        if self.fault == "corrupt" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        out += [f"{k}: {v}" for k, v in headers.items()]
        head = ("\r\n".join(out) + "\r\n\r\n").encode("latin-1")
        if self.method == "HEAD" or status in (204, 304):
            body = b""
        if self.fault.startswith("cut") and self.method not in BODY_METHODS:
            self.sock.sendall(head + body[:int(self.fault[4:] or 0)])
            time.sleep(0.05)  # a reset throws away what has not been read yet
            self.reset()
        if self.fault.startswith("slow"):
            self.sock.sendall(head)
            rate = int(self.fault[5:])
            for at in range(0, len(body), max(rate // 10, 1)):
                self.sock.sendall(body[at:at + max(rate // 10, 1)])
                time.sleep(0.1)
            return
        self.sock.sendall(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self.sock.sendall(body)

    def refuse(self, status, code=None, message="", detail="?", headers=()):
        error = {"code": code or CODES.get(status, "UNKNOWN"), "message": message, "detail": detail}
        body = json.dumps({"errors": [error]}).encode() + b"\n"
        self.answer(status, dict(headers, **{"Content-Type": "application/json"}), body)

    def misbehave(self):
        act, _, value = self.fault.partition("=")
        if re.fullmatch(r"\d{3}", act):
            self.refuse(int(act), headers={"Retry-After": value} if value else {})
        elif re.fullmatch(r"\d{3}text", act):
            self.answer(int(act[:3]), {"Content-Type": "text/plain"}, b"no good\n")
        elif act in ("reset", "drop"):
            self.reset()
        elif act == "stall":
            while self.sock.recv(65536):
                pass
            raise Gone
        elif act == "redirect":
            query = f"?{self.entry['query']}" if self.entry["query"] else ""
            self.answer(307, {"Location": (value or f"{self.scheme}://127.0.0.1:{self.opt.other}") + self.path + query})
        elif act == "forget":
            self.refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        elif act == "revoke":
            self.s.tokens.clear()
            return False
        else:
            return False
        return True

    def control(self):
        body = bytearray()
        self.fault = ""
        self.read_body(body.extend)
        if self.path == "/_rules":
            with self.s.lock:
                self.s.rules = [Rule(r) for r in body.decode().splitlines() if r.strip()]
                self.s.log.clear()
        with self.s.lock:
            lines = "".join(json.dumps(e) + "\n" for e in self.s.log)
        self.answer(200, {"Content-Type": "application/json"}, lines.encode())

    # --- who may do what ---

    def token(self):
        o, form = self.opt, bytearray()
        self.read_body(form.extend)
        ask = urllib.parse.parse_qs(form.decode()) if self.method == "POST" else self.query
        scopes = " ".join(ask.get("scope", [])).split()
        self.entry["scopes"] = scopes
        good = f"basic {o.user.partition(':')[0]}" == self.entry["auth"] and self.password_ok()
        if self.method == "POST":
            good = ask.get("refresh_token") == [o.identity] and ask.get("grant_type") == ["refresh_token"]
        if not good and (self.entry["auth"] != "-" or not o.anonymous_pull):
            return self.refuse(401, message="authentication required", detail=None)
        value = f"t{next(self.s.ids)}"
        self.s.tokens[value] = scopes if good else [s.rpartition(":")[0] + ":pull" for s in scopes]
        answer = {"access_token" if self.method == "POST" else "token": value}
        if o.expires:
            answer["expires_in"] = o.expires
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def password_ok(self):
        value = self.headers.get("authorization", "").partition(" ")[2]
        return base64.b64decode(value).decode() == self.opt.user

    def allowed(self, repository, action):
        o = self.opt
        if o.auth == "none" or self.port == o.other:
            return True
        if o.auth == "basic":
            if (action == "pull" and o.anonymous_pull) or \
                    (self.entry["auth"].startswith("basic") and self.password_ok()):
                return True
            self.refuse(401, message="authentication required", headers={"WWW-Authenticate": 'Basic realm="faultreg"'})
            return False
        scopes = self.s.tokens.get(self.headers.get("authorization", "").partition(" ")[2])
        wanted = [repository] + (self.query.get("from", []) if action == "push" else [])
        if scopes is not None and all(any(s.startswith(f"repository:{name}:") and (
                (action if name == repository else "pull") in s.rpartition(":")[2].split(",")) for s in scopes)
                for name in wanted if name):
            return True
        realm = o.realm or f"{self.scheme}://127.0.0.1:{self.port}/token"
        scope = f',scope="repository:{repository}:{"pull,push" if action == "push" else "pull"}"' if repository else ""
        self.refuse(401, message="authentication required",
                    headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="faultreg"{scope}'})
        return False

    # --- the API ---

    def route(self):
        if self.path == "/token":
            return self.token()
        if self.path in ("/v2", "/v2/"):
            return self.allowed("", "pull") and self.answer(200, {"Content-Type": "application/json"}, b"{}")
        for pattern, handler in ((rf"/v2/({NAME})/tags/list", self.do_tags), (rf"/v2/({NAME})/manifests/([^/]+)", self.do_manifest),
                                 (rf"/v2/({NAME})/referrers/([^/]+)", self.do_referrers),
                                 (rf"/v2/({NAME})/blobs/uploads/", self.do_start),
                                 (rf"/v2/({NAME})/blobs/uploads/(\d+)", self.do_upload),
                                 (rf"/v2/({NAME})/blobs/([^/]+)", self.do_blob)):
            if m := re.fullmatch(pattern, self.path):
                if self.allowed(m[1], "pull" if self.method in ("GET", "HEAD") and "uploads" not in self.path else "push"):
                    handler(*m.groups())
                return
        self.answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")

    def known(self, repository):
        return repository in self.s.blobs or repository in self.s.manifests

    def do_tags(self, repository):
        if not self.known(repository):
            return self.refuse(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": repository})
        tags = sorted(self.s.tags.get(repository, {}))
        n, last = int(self.query.get("n", [self.opt.page])[0]), self.query.get("last", [""])[0]
        page = [t for t in tags if t > last][:n]
        headers = {"Content-Type": "application/json"}
        if page and page[-1] != tags[-1]:
            last = "" if self.fault == "linkloop" else page[-1]
            headers["Link"] = f'</v2/{repository}/tags/list?n={n}&last={last}>; rel="next"'
        self.answer(200, headers, json.dumps({"name": repository, "tags": page}).encode())

    def do_referrers(self, repository, subject):
        if not self.opt.referrers:
            return self.answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        found = sorted((d, kind, len(body)) for d, (kind, body) in self.s.manifests.get(repository, {}).items()
                       if json.loads(body).get("subject", {}).get("digest") == subject)
        last = self.query.get("last", [""])[0]
        rest = [f for f in found if f[0] > last]
        page = rest[:self.opt.page]
        headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        if len(rest) > len(page):
            headers["Link"] = f'</v2/{repository}/referrers/{subject}?last={page[-1][0]}>; rel="next"'
        self.answer(200, headers, json.dumps({
            "schemaVersion": 2, "mediaType": headers["Content-Type"],
            "manifests": [{"mediaType": kind, "digest": d, "size": size} for d, kind, size in page]}).encode())

    def do_manifest(self, repository, ref):
        store = self.s.manifests.setdefault(repository, {}) if self.method == "PUT" else self.s.manifests.get(repository, {})
        if self.method == "PUT":
            body = bytearray()
            self.read_body(body.extend)
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            if ":" in ref and ref != digest:
                return self.refuse(400)
            store[digest] = (self.headers.get("content-type", ""), bytes(body))
            if ":" not in ref:
                self.s.tags.setdefault(repository, {})[ref] = digest
            return self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/manifests/{digest}"})
        digest = self.s.tags.get(repository, {}).get(ref, ref)
        if digest not in store:
            return self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": repository})
        kind, body = store[digest]
        self.answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest}, body)

    def do_blob(self, repository, digest):
        data = self.s.blobs.get(repository, {}).get(digest)
        if data is None:
            return self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        if m and not self.opt.no_ranges:
            first = int(m[1])
            if first >= len(data):
                return self.refuse(416)
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return self.answer(206, headers, data[first:])
        self.answer(200, headers, data)

    def location(self, repository, upload, headers=()):
        path = f"/v2/{repository}/blobs/uploads/{upload}?_state=s{upload}%2Fa%3D"
        if self.opt.location != "relative":
            port = self.port if self.opt.location == "absolute" else self.opt.other
            path = f"{self.scheme}://127.0.0.1:{port}{path}"
        size = len(self.s.uploads.get(upload, b""))
        return dict(headers, Location=path, Range=f"0-{max(size - 1, 0)}")

    def do_start(self, repository):
        if self.method != "POST":
            return self.refuse(405)
        digest, source = self.query.get("mount", [""])[0], self.query.get("from", [""])[0]
        data = self.s.blobs.get(source, {}).get(digest)
        if data is not None and self.fault != "nomount":
            self.s.blobs.setdefault(repository, {})[digest] = data
            return self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/blobs/{digest}"})
        upload = str(next(self.s.ids))
        self.s.uploads[upload] = bytearray()
        self.answer(202, self.location(repository, upload))

    def do_upload(self, repository, upload):
        data = self.s.uploads.get(upload)
        if data is None or self.query.get("_state") != [f"s{upload}/a="]:
            return self.refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.method == "GET":
            return self.answer(204, self.location(repository, upload))
        if self.method == "DELETE":
            del self.s.uploads[upload]
            return self.answer(204)
        m = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("content-range", ""))
        if m and int(m[1]) != len(data):
            return self.refuse(416)
        if self.opt.no_resume and (data or m):
            return self.refuse(400, "BLOB_UPLOAD_INVALID", "blob upload invalid")
        try:
            self.read_body(data.extend)
        except (Gone, OSError):
            if self.opt.no_resume:
                self.s.uploads.pop(upload, None)
            raise
        if self.method == "PATCH":
            return self.answer(202, self.location(repository, upload))
        digest = self.query.get("digest", [""])[0]
        del self.s.uploads[upload]
        if digest != "sha256:" + hashlib.sha256(data).hexdigest():
            return self.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.s.blobs.setdefault(repository, {})[digest] = bytes(data)
        self.answer(201, {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/blobs/{digest}"})


def serve(state, listener, port, context):
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=greet, args=(state, sock, port, context), daemon=True).start()


def greet(state, sock, port, context):
    try:
        sock = context.wrap_socket(sock, server_side=True) if context else sock
    except OSError:
        return
    Connection(state, sock, port, "https" if context else "http").run()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--log", help="append each request to this file")
    p.add_argument("--rule", action="append", default=[])
    p.add_argument("--auth", choices=("none", "basic", "token"), default="none")
    p.add_argument("--user", default="user:secret", help="NAME:PASSWORD")
    p.add_argument("--identity", default="identity", help="the refresh token")
    p.add_argument("--anonymous-pull", action="store_true")
    p.add_argument("--realm", help="the token realm to name")
    p.add_argument("--expires", type=int, default=300, help="expires_in of tokens; 0: not said")
    p.add_argument("--location", choices=("relative", "absolute", "other"), default="relative")
    p.add_argument("--no-resume", action="store_true", help="a broken upload session is lost")
    p.add_argument("--no-ranges", action="store_true", help="Range is ignored")
    p.add_argument("--page", type=int, default=100, help="tags and referrers a page")
    p.add_argument("--referrers", action="store_true", help="referrers are listed")
    p.add_argument("--cert"), p.add_argument("--key")
    opt = p.parse_args()
    context = None
    if opt.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(opt.cert, opt.key)
    listeners = [socket.create_server(("127.0.0.1", port), backlog=256) for port in (opt.port, 0)]
    opt.main, opt.other = (l.getsockname()[1] for l in listeners)
    state = State(opt)
    print(opt.main, opt.other, flush=True)
    for l, port in zip(listeners, (opt.main, opt.other)):
        threading.Thread(target=serve, args=(state, l, port, context), daemon=True).start()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
