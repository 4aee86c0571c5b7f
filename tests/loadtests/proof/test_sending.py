"""Requests are whole, and what the client at a rate saw is told."""

import socketserver
import threading

from loadtests.peers.base import Request
from loadtests.proof import sending


def test_a_request_is_whole() -> None:
    """Its headers are those of the target, and its connection ends if it should."""
    request = Request("/v2/models/a/infer", b'{"a":1}', {"Content-Type": "application/json"})

    head, body = sending.whole(request, closes=True).split(b"\r\n\r\n")

    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v2/models/a/infer HTTP/1.1"
    assert {"Content-Length: 7", "Connection: close"} <= set(lines)
    assert b"close" not in sending.whole(request)
    assert body == b'{"a":1}'


class Answering(socketserver.StreamRequestHandler):
    """Answers every request with status 200 or 500, in turn, and with chunks."""

    def handle(self) -> None:
        status = 200
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            head = f"HTTP/1.1 {status} it\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.wfile.write(head.encode() + b"2\r\nok\r\n0\r\n\r\n")
            status = 700 - status


def test_at_a_rate_each_request_counts_and_failures_are_told() -> None:
    """Half of the answers are bad; all have a latency."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        request = sending.whole(Request("/", b"row"))
        seen = sending.due(port, [request], connections=2, rate=100.0, seconds=1)
        server.shutdown()

    assert 90 <= seen.requests <= 101
    assert 0 < seen.errors < seen.requests
    assert 0 < seen.p50_seconds <= seen.p999_seconds
