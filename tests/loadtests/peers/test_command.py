"""What is wrong with a peer is said in its row, and what there is not is refused."""

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest

from loadtests.bench_models import Workload
from loadtests.peers import command, messages
from loadtests.peers.base import Request
from loadtests.targets import Target

ROW = Workload("w", "m", {"input": np.ones((1, 4), np.float32)}, is_binary=False)


class Answering:
    """A peer at an address that somebody else serves."""

    name = "fake"

    def start(self, *_: object) -> AbstractContextManager[Target]:
        """Not asked: it runs already."""
        raise AssertionError

    def request(self, workload: Workload) -> Request:
        """Return the protocol's request."""
        return messages.v2_request(workload, "/{model}", takes_binary=False)

    def first_number(self, body: bytes, headers: Mapping[str, str]) -> float:
        """Read the protocol's answer."""
        return messages.first_of_v2(body, headers)


class Fake(BaseHTTPRequestHandler):
    """Answers 0.5 to a good request and 500 to any other path."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"outputs":[{"data":[0.5]}]}'
        self.send_response(200 if self.path == "/m" else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_answer_is_right_or_its_row_says_what_it_is() -> None:
    """Right, wrong, an error, and nobody there."""
    server = HTTPServer(("127.0.0.1", 0), Fake)
    thread = Thread(target=server.serve_forever)
    thread.start()
    target = Target("fake", 0, server.server_port)
    other = Workload("w", "other", ROW.inputs, is_binary=False)
    binary = Workload("w", "m", ROW.inputs, is_binary=True)
    try:
        assert command.answer(Answering(), target, ROW, 0.5) == command.RIGHT
        assert command.answer(Answering(), target, ROW, 0.6) == "wrong: 0.5"
        assert command.answer(Answering(), target, other, 0.5).startswith("status 500: ")
        assert command.answer(Answering(), target, binary, 0.5).startswith("not possible: ")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert command.answer(Answering(), target, ROW, 0.5).startswith("no answer: ")


def test_a_table_has_all_that_was_seen_of_any_peer() -> None:
    """A peer that is missing has no time to start; what broke a table's cell is kept inside."""
    text = command.table({"a": {"start": "1.0 s", "w": "right"}, "b": {"w": "missing: x | y"}})

    assert text.splitlines() == [
        "| peer | start | w |",
        "|---|---|---|",
        "| a | 1.0 s | right |",
        "| b |  | missing: x \\| y |",
    ]


def test_an_unknown_peer_is_refused_with_those_that_there_are() -> None:
    """Before anything is installed or started."""
    parser = argparse.ArgumentParser()
    command.add_options(parser)

    with pytest.raises(SystemExit, match="unknown peer torchserve: expected plain, mlserver"):
        command.run(parser.parse_args(["torchserve"]))
