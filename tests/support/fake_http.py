"""A small HTTP server that gives fixed answers and remembers what it was asked."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

Answers = Mapping[str, tuple[int, Any]]
"""Status and body by method and path; a body that is not bytes is sent as JSON."""


@dataclass
class FakeServer:
    """A running server."""

    url: str
    port: int
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    """Method and path, and the body, of each request."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, by names in lower case."""


@contextlib.contextmanager
def answering(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    """Answer on a free port until the block ends; what is not in the table gets 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, body: bytes) -> None:
            what = f"{self.command} {self.path}"
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.asked.append((what, body))
            status, content = answers.get(what, (404, {"error": "no such route"}))
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        port = int(listener.server_address[1])
        if tls is not None:
            listener.socket = tls.wrap_socket(listener.socket, server_side=True)
        server = FakeServer(f"http://127.0.0.1:{port}", port)
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
