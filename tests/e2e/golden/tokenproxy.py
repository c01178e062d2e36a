#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that wants bearer tokens, in front of one that wants nothing.

usage: tokenproxy.py PORT UPSTREAM LOG [LIFETIME]

A token is the base64 of the scopes it was asked for. LOG gets a line for each request:
"TOKEN METHOD as=USER scopes=[…]" or "METHOD PATH STATUS token=[scopes]". The user "bad" is refused.
A pull needs no scope here; a push without its scope is refused, and so is a token older than
LIFETIME seconds (default 300).
"""
import base64
import json
import sys
import time
import urllib.parse

import proxy

PORT, UPSTREAM, LOG = int(sys.argv[1]), sys.argv[2], proxy.Log(sys.argv[3])
LIFETIME = float(sys.argv[4]) if len(sys.argv) > 4 else 300
JSON = [("Content-Type", "application/json")]
UNAUTHORIZED = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'


class Handler(proxy.Handler):
    upstream = UPSTREAM

    def give_token(self, query, body):
        asked = urllib.parse.parse_qs(query if self.command == "GET" else body.decode())
        scopes = asked.get("scope", [])
        basic = self.headers.get("Authorization", "")
        who = base64.b64decode(basic[6:]).decode() if basic.startswith("Basic ") else "anonymous"
        LOG.write("TOKEN %s as=%s scopes=%s" % (self.command, who.split(":")[0], json.dumps(scopes)))
        if who.startswith("bad:"):
            return self.reply(401, JSON, UNAUTHORIZED)
        token = base64.urlsafe_b64encode(("%f %s" % (time.time(), " ".join(scopes))).encode()).decode()
        self.reply(200, JSON, json.dumps({"token": token, "expires_in": max(1, int(LIFETIME))}).encode())

    def refused(self, granted, path):
        if granted is None:
            return True
        issued, _, scopes = granted.partition(" ")
        if time.time() - float(issued) > LIFETIME:
            return True
        if self.command in ("GET", "HEAD"):
            return False
        repo = path.split("/v2/", 1)[1].rsplit("/blobs/", 1)[0].rsplit("/manifests/", 1)[0]
        return not any(s.startswith("repository:%s:" % repo) and "push" in s for s in scopes.split(" "))

    def handle_request(self, body):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/token":
            return self.give_token(url.query, body)
        header = self.headers.get("Authorization", "")
        granted = base64.urlsafe_b64decode(header[7:]).decode() if header.startswith("Bearer ") else None
        if self.refused(granted, url.path):
            LOG.write("%s %s 401" % (self.command, url.path))
            challenge = 'Bearer realm="http://127.0.0.1:%d/token",service="synthetic"' % PORT
            return self.reply(401, [("WWW-Authenticate", challenge),
                                    ("Docker-Distribution-Api-Version", "registry/2.0")] + JSON, UNAUTHORIZED)
        status, headers, data = self.forward(self.path, body, "127.0.0.1:%d" % PORT)
        LOG.write("%s %s %d token=[%s]" % (self.command, url.path, status, granted.partition(" ")[2]))
        self.reply(status, headers, data)


proxy.serve(PORT, Handler)
