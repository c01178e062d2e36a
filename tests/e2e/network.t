#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How registries are reached: TLS and its folders, client certificates, proxies, tokens, redirects."""
import os
import select
import shutil
import socket
import subprocess
import sys
import threading

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")]
from e2e import *
import corpus
import proxy


def image(directory="source", size=40000):
    s = corpus.Storage(directory)
    return s.image("app", [s.layer([("a", os.urandom(size), 0o644)]), s.layer([("b", b"b" * 900, 0o644)])], "v1")[0]


def serve_thread(handler, server=proxy.Server):
    """A server of ours on a free port, until the scenario ends."""
    s = server(("127.0.0.1", 0), handler)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    at_end_of_scenario(s.shutdown)
    return s.server_address[1]


def arrives(folder="v2"):
    check(os.path.exists(folder + "/app/manifests/v1"), "the image arrives")
    check_equal(bad_files(os.path.dirname(folder) or "."), [], "damaged files")


# ---- TLS

@test
def a_certificate_authority_is_added_by_flag():
    crt, key = certificate()
    image()
    source = Registry("source", tls=(crt, key))
    r = ferry("image", "mirror", source.host + "/app:v1", "file://app:v1")
    check_equal(r.rc, 1, "without it the certificate is refused")
    succeeds("image", "mirror", "--certificate-authority=" + crt, source.host + "/app:v1", "file://app:v1")
    arrives()


@test
def certs_d_of_the_user_is_read():
    crt, key = certificate()
    image()
    source = Registry("source", tls=(crt, key))
    folder = os.path.join(os.getcwd(), "home/.config/containers/certs.d", source.host)
    os.makedirs(folder)
    shutil.copy(crt, folder + "/ca.crt")
    succeeds("image", "mirror", source.host + "/app:v1", "file://app:v1")
    arrives()


@test
def a_client_certificate_from_certs_d_is_shown():
    crt, key = certificate()
    image()
    source = Registry("source", tls=(crt, key))
    stop(source.process)
    config = source.directory + ".yml"
    with open(config) as f:
        text = f.read().replace("key: " + key, "key: %s, clientcas: [%s]" % (key, crt))
    with open(config, "w") as f:
        f.write(text)
    start(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: listening(source.port), "docker-registry")
    folder = os.path.join(os.getcwd(), "home/.config/containers/certs.d", source.host)
    os.makedirs(folder)
    shutil.copy(crt, folder + "/ca.crt")
    r = ferry("image", "mirror", source.host + "/app:v1", "file://app:v1")
    check_equal(r.rc, 1, "without a client certificate it is refused")
    shutil.copy(crt, folder + "/client.cert")
    shutil.copy(key, folder + "/client.key")
    succeeds("image", "mirror", source.host + "/app:v1", "file://app:v1")
    arrives()


@test
def a_certificate_without_subject_alternative_name_is_refused_by_that_name():
    crt, key = certificate(san=None)
    image()
    source = Registry("source", tls=(crt, key))
    r = ferry("image", "mirror", "--certificate-authority=" + crt, source.host + "/app:v1", "file://app:v1")
    check_equal(r.rc, 1, "exit status")
    check_match(r"subjectAltName", r.err, "stderr")


@test
def plain_http_needs_insecure():
    image()
    source = Registry("source")
    r = ferry("image", "mirror", source.host + "/app:v1", "file://app:v1")
    check_equal(r.rc, 1, "exit status")
    check_match(r"--insecure", r.err, "stderr")
    check_equal(source.requests(), {}, "nothing is asked in the clear")


# ---- proxies

class ForwardProxy(proxy.Handler):
    """GET http://host/…: forwards to the upstream, whatever the host, and remembers it."""

    def handle_request(self, body):
        self.asked.append(self.path)
        path = "/" + self.path.split("/", 3)[3] if self.path.startswith("http://") else self.path
        self.reply(*self.forward(path, body, "registry.test"))

    def do_CONNECT(self):
        self.asked.append("CONNECT " + self.path)
        if self.tunnel is None:
            self.send_error(502)
            return
        with socket.create_connection(("127.0.0.1", self.tunnel)) as there:
            self.send_response(200)
            self.end_headers()
            while True:
                ready, _, _ = select.select([self.connection, there], [], [], 30)
                for a in ready:
                    data = a.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    (there if a is self.connection else self.connection).sendall(data)


def forward_proxy(upstream, tunnel=None):
    handler = type("Proxy", (ForwardProxy,), {"upstream": upstream, "tunnel": tunnel, "asked": []})
    return serve_thread(handler), handler.asked


@test
def http_proxy_carries_what_is_not_loopback():
    image()
    source = Registry("source")
    port, asked = forward_proxy(source.host)
    where = "http://127.0.0.1:%d" % port
    succeeds("image", "mirror", "--insecure", "registry.test/app:v1", "file://app:v1",
             env=environment(HTTP_PROXY=where, HTTPS_PROXY=where))
    arrives()
    check(any(a.startswith("http://registry.test/v2/app/blobs/") for a in asked), "the proxy was asked", asked)
    asked.clear()
    succeeds("image", "mirror", "--insecure", source.host + "/app:v1", "file://other:v1",
             env=environment(HTTP_PROXY=where, HTTPS_PROXY=where))
    check_equal(asked, [], "loopback is never proxied")
    r = ferry("image", "mirror", "--insecure", "registry.test/app:v1", "file://third:v1",
              env=environment(HTTP_PROXY=where, HTTPS_PROXY=where, NO_PROXY=".test"))
    check_equal((r.rc, asked), (1, []), "NO_PROXY keeps a domain away from it")


@test
def https_goes_through_a_tunnel():
    crt, key = certificate(san="DNS:registry.test")
    image()
    source = Registry("source", tls=(crt, key))
    port, asked = forward_proxy(source.host, tunnel=source.port)
    succeeds("image", "mirror", "--certificate-authority=" + crt, "registry.test/app:v1", "file://app:v1",
             env=environment(HTTPS_PROXY="http://127.0.0.1:%d" % port))
    arrives()
    check(asked and all(a == "CONNECT registry.test:443" for a in asked), "only tunnels", asked)


# ---- tokens

def token_registry(upstream, lifetime=300):
    port = free_port()
    start([sys.executable, HERE + "/golden/tokenproxy.py", str(port), upstream.host, os.path.abspath("token.log"),
           str(lifetime)])
    wait_for(lambda: listening(port), "tokenproxy")
    return "127.0.0.1:%d" % port


def token_log():
    with open("token.log") as f:
        return f.read().splitlines()


@test
def tokens_are_asked_for_once_a_scope():
    source, destination = Registry("source"), Registry("destination")
    s = corpus.Storage("source")
    for i in range(8):
        s.image("app", [s.layer([("f%d" % i, os.urandom(3000), 0o644)])], "v%d" % i)
    host = token_registry(destination)
    succeeds("image", "mirror", "--insecure", source.host + "/app", host + "/copy/app")
    asked = [line for line in token_log() if line.startswith("TOKEN")]
    check(1 <= len(asked) <= 3, "one or two tokens do for one repository", asked)
    check_equal(len(destination.tags()), 8, "all images arrive")


@test
def a_token_that_runs_out_is_renewed_in_the_run():
    source, destination = Registry("source"), Registry("destination")
    s = corpus.Storage("source")
    for i in range(60):
        s.image("app", [s.layer([("f%d" % i, os.urandom(3000), 0o644)])], "v%d" % i)
    host = token_registry(destination, lifetime=0.2)
    succeeds("image", "mirror", "--insecure", "--max-per-registry=2", source.host + "/app", host + "/copy/app")
    check_equal(len(destination.tags()), 60, "all images arrive")
    check(sum(line.startswith("TOKEN") for line in token_log()) > 1, "more than one token was needed")


@test
def each_repository_gets_its_own_credentials():
    source = Registry("source")
    digest = image()
    destination = Registry("destination", user="mirror", password="s3cret")
    credentials("auth.json", (destination.host + "/d", "mirror", "s3cret"), (destination.host + "/e", "mirror", "wrong"))
    r = ferry("image", "mirror", "--insecure", "--continue-on-error", "-a", "auth.json",
              "%s/app:v1=%s/d/one:a" % (source.host, destination.host),
              "%s/app:v1=%s/e/two:a" % (source.host, destination.host))
    check_equal(r.rc, 3, "one of two is missing: " + r.err)
    check_equal(destination.tags(), {"d/one:a": digest}, "the one with the right password arrives")


# ---- redirects

@test
def no_credential_follows_a_redirect_to_another_origin():
    digest = image()
    source = Registry("source", user="mirror", password="s3cret")
    storage, seen = corpus.Storage("source"), []

    class Elsewhere(proxy.Handler):
        def handle_request(self, body):
            seen.append((self.path, self.headers.get("Authorization")))
            with open(storage.blob_path(self.path.rsplit("/", 1)[1]), "rb") as f:
                self.reply(200, [], f.read())

    elsewhere = serve_thread(Elsewhere)

    class Front(proxy.Handler):
        upstream = source.host

        def handle_request(self, body):
            if "/blobs/sha256:" in self.path and self.headers.get("Authorization"):
                target = "http://127.0.0.1:%d/%s" % (elsewhere, self.path.rsplit("/", 1)[1])
                return self.reply(307, [("Location", target)], b"")
            self.reply(*self.forward(self.path, body, front, keep=("authorization",)))

    front = "127.0.0.1:%d" % serve_thread(Front)
    credentials("auth.json", (front, "mirror", "s3cret"))
    succeeds("image", "mirror", "--insecure", "-a", "auth.json", front + "/app@" + digest, "file://app:v1")
    arrives()
    check(len(seen) >= 3, "blobs came from elsewhere", seen)
    check_equal([a for _, a in seen if a], [], "credentials seen elsewhere")


main()
