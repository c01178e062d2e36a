#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy that injects faults.

usage: flaky.py PORT UPSTREAM LOG RULE...
RULE: METHOD|regular expression on the path|count|action, where METHOD may be * and action is one of
503 429json 429text 500json 404text reset stall truncate corrupt nomount swap=FILE
"""
import re
import socket
import struct
import sys
import threading
import time

import proxy

PORT, UPSTREAM, LOG = int(sys.argv[1]), sys.argv[2], proxy.Log(sys.argv[3])
ANSWERS = {
    "503": (503, "text/plain", b"busy\n"),
    "429text": (429, "text/plain", b"slow down\n"),
    "429json": (429, "application/json", b'{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}'),
    "500json": (500, "application/json", b'{"errors":[{"code":"UNKNOWN","message":"oops"}]}'),
    "404text": (404, "text/plain", b"nothing here\n"),
}


class Rule:
    lock = threading.Lock()

    def __init__(self, text):
        self.method, pattern, count, self.action = text.split("|")
        self.pattern, self.left = re.compile(pattern), int(count)

    def applies(self, method, path):
        if self.left == 0 or self.method not in (method, "*") or not self.pattern.search(path):
            return False
        self.left -= 1
        return True


RULES = [Rule(text) for text in sys.argv[4:]]


class Handler(proxy.Handler):
    upstream = UPSTREAM

    def cut(self):
        self.close_connection = True
        self.connection.close()

    def handle_request(self, body):
        with Rule.lock:
            action = next((r.action for r in RULES if r.applies(self.command, self.path)), None)
        LOG.write("%s %s %s" % (self.command, self.path.split("?_state")[0], action or "-"))
        if action in ANSWERS:
            status, kind, text = ANSWERS[action]
            return self.reply(status, [("Content-Type", kind)], text)
        if action == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.cut()
        if action == "stall":
            time.sleep(120)
            return self.cut()
        path = self.path.split("?")[0] if action == "nomount" else self.path
        status, headers, data = self.forward(path, body, "127.0.0.1:%d" % PORT)
        if action == "corrupt":
            data = data[:-8] + bytes(b ^ 1 for b in data[-8:])
        elif action and action.startswith("swap="):
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
            with open(action[5:], "rb") as f:
                data = f.read()
        elif action == "truncate":
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[:len(data) // 2])
            self.wfile.flush()
            return self.cut()
        self.reply(status, headers, data)


proxy.serve(PORT, Handler)
