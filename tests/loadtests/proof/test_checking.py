"""Wrong numbers are found, in JSON and in binary answers, before a run and during it."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from loadtests.peers.base import Request
from loadtests.proof.checking import Asked, Checker, check, last_output
from tests.support.gateway import eventually

EXPECTED = [np.array([0.25, 0.75]), np.array([0.5, 0.5])]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what it is sent as the last output's numbers."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = [{"name": "label", "data": ["a"]}, {"name": "scores", "data": data}]
        body = json.dumps({"outputs": outputs}).encode()
        self.send_response(200 if data else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Yield a server that answers as expected."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        requests = [Request("/", json.dumps(one.tolist()).encode()) for one in EXPECTED]
        yield Asked(server.server_port, requests, last_output, EXPECTED)
        server.shutdown()


def test_right_answers_are_right(asked: Asked) -> None:
    """Each request of the pool has its own answer."""
    assert not check(asked)


def test_a_wrong_number_is_named_before_anything_is_measured(asked: Asked) -> None:
    """With the request, what came and what should have come."""
    wrong = replace(asked, expected=[EXPECTED[0], np.array([0.5, 0.6])])

    assert check(wrong) == "request 1 is answered 0.5, not 0.6"


def test_a_server_that_is_not_there_is_no_right_answer(asked: Asked) -> None:
    """The error is told."""
    assert "Error" in check(replace(asked, port=1))


def test_answers_are_checked_while_something_else_goes_on(asked: Asked) -> None:
    """Wrong ones are found afterwards; those without status 200 are errors, not wrong."""
    requests = [*asked.requests, Request("/", b"[]")]
    mixed = replace(asked, requests=requests, expected=[EXPECTED[0], EXPECTED[0], EXPECTED[0]])
    with Checker(mixed) as checker:
        eventually(lambda: checker.answered >= 3)

    failed, wrong = checker.problems()
    assert wrong[0] == "request 1 is answered 0.5, not 0.25"
    assert failed[0].startswith("status 500")


def test_the_last_output_of_binary_answers_is_read() -> None:
    """It lies behind the JSON and the other outputs, in its own datatype."""
    scores = np.array([0.25, 0.75], np.float32)
    outputs = [
        {"name": "label", "datatype": "INT64", "parameters": {"binary_data_size": 8}},
        {"name": "scores", "datatype": "FP32", "parameters": {"binary_data_size": 8}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}

    read = last_output(head + bytes(8) + scores.tobytes(), headers)

    assert read.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"outputs": []}', "an answer cannot be read"),
        (b'{"outputs": [{"data": []}]}', "0 numbers, where the model gives 2"),
        (b'{"outputs": [{"data": [1, 2, 3]}]}', "3 numbers, where the model gives 2"),
    ],
)
def test_answers_of_another_form_are_wrong(asked: Asked, body: bytes, words: str) -> None:
    """Too few numbers, too many, or none that can be found."""
    assert words in asked.judge(0, 200, {}, body)
