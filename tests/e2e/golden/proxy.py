# SPDX-License-Identifier: Apache-2.0
"""A forwarding HTTP/1.1 server: what tokenproxy.py and flaky.py have in common.

A handler subclass answers in handle_request(body); forward() asks the upstream, reply() answers.
"""
import http.client
import http.server
import threading

HOP_BY_HOP = ("connection", "transfer-encoding", "date")
NOT_FORWARDED = ("host", "authorization", "transfer-encoding", "content-length", "accept-encoding")


class Log:
    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()

    def write(self, line):
        with self.lock, open(self.path, "a") as f:
            f.write(line + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = None  # HOST:PORT

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def reply(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def forward(self, path, body, host, keep=()):
        """(status, headers, body) of the upstream, told that it is HOST. KEEP: headers to pass on."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_FORWARDED or k.lower() in keep}
        headers["Host"] = host
        if self.command in ("PUT", "PATCH", "POST"):
            headers["Content-Length"] = str(len(body))
        if self.headers.get_all("Accept"):
            headers["Accept"] = ", ".join(self.headers.get_all("Accept"))
        connection = http.client.HTTPConnection(self.upstream)
        connection.request(self.command, path, body or None, headers)
        r = connection.getresponse()
        data = r.read()
        connection.close()
        return r.status, [(k, v) for k, v in r.getheaders() if k.lower() not in HOP_BY_HOP], data

    def answer(self):
        self.handle_request(self.read_body())

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):  # a client that goes away is not news
        pass


def serve(port, handler):
    Server(("127.0.0.1", port), handler).serve_forever()
