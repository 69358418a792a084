#!/usr/bin/env python3
"""Stands in for a Mesos master: serves one document on loopback. usage: fake_master.py STATE.json PORT

The document is read once and written in one piece, so that what is measured is the reader."""
import http.server, sys

body = open(sys.argv[1], "rb").read()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if not self.path.split("?")[0].endswith("/state"): self.send_error(404); return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
