"""The hot path and Starlette's answer the same question with the same bytes."""

import json
import re
from collections.abc import Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tests.support.asking import ask, cut, send_pieces, turn
from tests.support.dataplane import InProcessWorker
from tests.support.raw import RawAnswer, connected

Tensor = dict[str, Any]
_RANDOM_ID = re.compile(rb"\b(?:[0-9a-f]{16}|[0-9a-f]{13}-[0-9a-f]{8})\b")


def _tensor(rows: int, **changes: Any) -> Tensor:
    data = [[row + 0.1, -row * 1e10, float(row % 3)] for row in range(rows)]
    return {"name": "x", "datatype": "FP32", "shape": [rows, 3], "data": data, **changes}


def _json(*inputs: Tensor, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


_BINARY_ROWS = np.array([[1, 2, 3], [4, 5, 6]], "<f4").tobytes()
_BINARY_TENSOR = {
    "name": "x",
    "datatype": "FP32",
    "shape": [2, 3],
    "parameters": {"binary_data_size": 24},
}
_BINARY_HEAD = _json(_BINARY_TENSOR, parameters={"binary_data_output": True})

BODIES: dict[str, tuple[bytes, str | None]] = {
    "one row": (_json(_tensor(1)), None),
    "several rows": (_json(_tensor(5)), None),
    "rows in parts": (_json(_tensor(20)), None),
    "no rows": (_json(_tensor(0, data=[])), None),
    "too many rows": (_json(_tensor(21)), None),
    "id": (_json(_tensor(1), id="snø"), None),
    "outputs": (_json(_tensor(2), outputs=[{"name": "y"}]), None),
    "unknown output": (_json(_tensor(2), outputs=[{"name": "z"}]), None),
    "binary output": (
        _json(_tensor(2), outputs=[{"name": "y", "parameters": {"binary_data": True}}]),
        None,
    ),
    "binary both ways": (_BINARY_HEAD + _BINARY_ROWS, str(len(_BINARY_HEAD))),
    "binary cut off": (_BINARY_HEAD + _BINARY_ROWS[:-1], str(len(_BINARY_HEAD))),
    "raw": (_BINARY_ROWS[:12], "0"),
    "bad json length": (_json(_tensor(1)), "12x"),
    "json length beyond": (_json(_tensor(1)), "99999"),
    "not json": (b"{", None),
    "not an object": (b"[1, 2]", None),
    "nothing": (b"", None),
    "nan": (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[NaN,1,2]}]}', None),
    "wrong datatype": (_json(_tensor(1, datatype="INT32")), None),
    "wrong shape": (_json(_tensor(1, shape=[1, 4])), None),
    "wrong element": (_json(_tensor(1, data=["1", 2, 3])), None),
    "unknown input": (_json(_tensor(1, name="z")), None),
    "unsupported": (_json(_tensor(1), parameters={"sequence_id": 3}), None),
    "bad timeout": (_json(_tensor(1), parameters={"timeout": "soon"}), None),
    "two columns": (_json(_tensor(2, shape=[2, 2], data=[1, 2, 0, 0.5])), None),
    "binary infinity": (
        _json(
            _tensor(2, shape=[2, 2], data=[1, 2, 0, 0.5]), parameters={"binary_data_output": True}
        ),
        None,
    ),
    "mixed columns": (
        _json(
            _tensor(2, name="price", shape=[2, 1], data=[1.5, 2]),
            _tensor(2, name="name", shape=[2, 1], datatype="BYTES", data=[["ä"], [""]]),
            _tensor(2, name="count", shape=[2, 1], datatype="INT64", data=[[1], [-(2**63)]]),
        ),
        None,
    ),
    "long": (_json(_tensor(20)) + b" " * 70_000, None),
}

_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Request-Id": st.sampled_from(
            ["abc-1.2_3", "x" * 64, "x" * 65, "a b", "0123456789abcdef"]
        ),
        "Accept-Encoding": st.sampled_from(["gzip", "deflate, gzip;q=0.5", "br", "*", "gzip;q=0"]),
        "X-Request-Timeout-Ms": st.sampled_from(["1000", "999999999", "0", "-1", "soon"]),
        "X-Model-Version": st.sampled_from(["1", "2", "x" * 40, "\xfc"]),
        "X-Routing-Key": st.sampled_from(["user", "", "k" * 257]),
        "X-Prediction-Id": st.sampled_from(["order:17", "0123456789abcdef", "a/b", "x" * 129]),
        "Connection": st.sampled_from(["close", "keep-alive", "Keep-Alive, X-Any"]),
        "Expect": st.sampled_from(["100-continue", "100-Continue"]),
        "Content-Type": st.just("text/plain"),
        "User-Agent": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    },
)

# A percent-encoded letter is not in the table of hot paths, but names the same model.
PATHS = {
    "/v2/models/affine/infer": "/v2/models/affin%65/infer",
    "/v2/models/affine/versions/1/infer": "/v2/models/affine/versions/%31/infer",
    "/v2/models/reciprocal/infer": "/v2/models/%72eciprocal/infer",
    "/v2/models/two-outputs/infer": "/v2/models/two%2Doutputs/infer",
    "/v2/models/mixed/infer": "/v2/models/m%69xed/infer",
    "/v2/models/batch-mean/infer": "/v2/models/batch%2dmean/infer",
}


def _head(method: str, path: str, version: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} {version}", "Host: test"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    pieces = []
    rest = body
    for size in sizes:
        if rest:
            pieces.append(b"%x\r\n%b\r\n" % (len(rest[:size]), rest[:size]))
            rest = rest[size:]
    if rest:
        pieces.append(b"%X;note=1\r\n%b\r\n" % (len(rest), rest))
    return b"".join(pieces) + b"0\r\n\r\n"


def _everything(worker: InProcessWorker, pieces: Sequence[bytes], *, stays_open: bool) -> bytes:
    """Send a request in pieces, and a plain one after it if the connection stays open.

    Returns all that was answered, with what differs from one request to the next blanked.
    """
    with connected(worker.url) as client:
        send_pieces(worker, client, pieces)
        if stays_open:
            client.send(b"GET /v2/health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answer = client.read_to_end()
    assert answer.count(b"HTTP/1.1 200 OK") >= stays_open
    return _blanked(answer)


def _whole(answer: RawAnswer) -> bytes:
    return answer.head + b"\r\n\r\n" + answer.body


def _blanked(answer: bytes) -> bytes:
    answer = re.sub(rb"\r\ndate: [^\r]*", b"", answer)
    return _RANDOM_ID.sub(b"*", answer)


@hypothesis.settings(max_examples=250, deadline=None)
@hypothesis.given(data=st.data())
def test_both_paths_answer_the_same_bytes(worker: InProcessWorker, data: st.DataObject) -> None:
    """Whatever is asked, however it is framed and cut, the hot and the cold path say the same."""
    method = data.draw(st.sampled_from(["POST"] * 12 + ["GET", "HEAD", "PUT"]))
    version = data.draw(st.sampled_from(["HTTP/1.1"] * 3 + ["HTTP/1.0"]))
    hot, cold = data.draw(st.sampled_from(sorted(PATHS.items())))
    body, json_length = BODIES[data.draw(st.sampled_from(sorted(BODIES)))]
    headers = data.draw(_HEADERS)
    if json_length is not None:
        headers["Inference-Header-Content-Length"] = json_length
    if version == "HTTP/1.1" and data.draw(st.booleans()):
        headers["Transfer-Encoding"] = "chunked"
        framed = _chunked(body, data.draw(st.lists(st.integers(1, 500), max_size=5)))
    else:
        headers["Content-Length"] = str(len(body))
        framed = body
    cuts = data.draw(st.lists(st.integers(0, 1 << 20), max_size=5))
    stays_open = version == "HTTP/1.1" and headers.get("Connection") != "close"

    answers = [
        _everything(
            worker,
            cut(_head(method, path, version, headers) + framed, cuts),
            stays_open=stays_open,
        )
        for path in (hot, cold)
    ]

    assert answers[0] == answers[1]
    hypothesis.event(answers[0].split(b"\r\n", 1)[0].decode())


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_any_cut_gives_the_same_answer(worker: InProcessWorker, kind: str) -> None:
    """A request that comes in two pieces is answered as if it had come in one."""
    body, json_length = BODIES[kind]
    headers = {"Content-Length": str(len(body)), "X-Request-Id": "same"}
    if json_length is not None:
        headers["Inference-Header-Content-Length"] = json_length
    request = _head("POST", "/v2/models/affine/infer", "HTTP/1.1", headers) + body
    whole = _everything(worker, [request], stays_open=True)
    places = sorted({1, 20, 30, request.index(b"\r\n\r\n") + 2, len(request) - len(body), -1})

    for place in places:
        pieces = [request[:place], request[place:]]
        assert _everything(worker, pieces, stays_open=True) == whole, place
    turn(worker)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    kinds=st.lists(st.sampled_from(sorted(BODIES.keys() - {"long"})), min_size=2, max_size=6),
    request_id=st.sampled_from([None, "same"]),
    in_pieces=st.booleans(),
)
def test_a_client_that_repeats_its_head_is_answered_as_if_each_time_were_the_first(
    worker: InProcessWorker, kinds: list[str], request_id: str | None, *, in_pieces: bool
) -> None:
    """Requests with one head and different bodies, one after the other, are each read afresh."""
    requests = []
    for kind in kinds:
        body, json_length = BODIES[kind]
        headers = {"Content-Length": str(len(body))}
        if json_length is not None:
            headers["Inference-Header-Content-Length"] = json_length
        if request_id is not None:
            headers["X-Request-Id"] = request_id
        requests.append(_head("POST", "/v2/models/affine/infer", "HTTP/1.1", headers) + body)
    alone = [_blanked(_whole(ask(worker, request))) for request in requests]
    with connected(worker.url) as client:
        for request, expected in zip(requests, alone, strict=True):
            send_pieces(worker, client, cut(request, [30] if in_pieces else []))
            assert _blanked(_whole(client.read())) == expected


def test_one_byte_at_a_time_gives_the_same_answer(worker: InProcessWorker) -> None:
    """A request that comes byte by byte is answered as if it had come at once."""
    body = BODIES["one row"][0]
    headers = {"Content-Length": str(len(body)), "X-Request-Id": "same"}
    request = _head("POST", "/v2/models/affine/infer", "HTTP/1.1", headers) + body
    pieces = [request[at : at + 1] for at in range(len(request))]

    assert _everything(worker, pieces, stays_open=True) == _everything(
        worker, [request], stays_open=True
    )
