"""A server whose every answer is well formed and wrong: python wrong_server.py PORT."""

import http.server
import sys


class Wrong(http.server.BaseHTTPRequestHandler):
    """Answers ten zeros."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer any request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"outputs": [{"name": "probabilities", "data": [0,0,0,0,0,0,0,0,0,0]}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Wrong).serve_forever()
