"""What floods on one connection cost the worker: chunks, single bytes, pipelines.

Each kind is sent on a connection of its own, while one good client asks for what it always gets. A
flood ends with its answer, or when the other side has had enough. Health and a good answer are
checked after each.
"""

import contextlib
import re
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loadtests import open_loop, processes, targets
from loadtests.hostile.models import affine, put
from loadtests.hostile.mutations import request
from loadtests.hostile.slow_clients import BODY, EXPECTED

PATH = b"/v2/models/affine/infer"
WRITE_SECONDS = 3.0
RATE = 100.0
SETTLE_SECONDS = 1.0
_CHUNKED = b"POST " + PATH + b" HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n"
_MAX_CHUNKS = 1 << 16
_GET = request(b"/v2/models/affine", method=b"GET")
_LAST = request(b"/v2/health/live", b"", b"Connection: close", method=b"GET")
_PIECE_BYTES = 64 << 10
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_STATUS_BYTES = 13


@dataclass
class Flood:
    """What came of one flood."""

    sent: int = 0
    """Bytes."""
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)


def million_chunks(count: int) -> Iterator[bytes]:
    """Yield a body of so many chunks of one byte."""
    yield _CHUNKED
    chunks = b"1\r\n \r\n" * 10_000
    for _ in range(count // 10_000):
        yield chunks
    yield b"0\r\n\r\n"


def most_chunks(count: int) -> Iterator[bytes]:
    """Yield a body of as many chunks as there may be."""
    del count
    yield _CHUNKED + b"1\r\n \r\n" * (_MAX_CHUNKS - 2) + b"0\r\n\r\n"


def single_bytes(count: int) -> Iterator[bytes]:
    """Yield a request byte by byte; most of it is the space around its JSON."""
    whole = request(PATH, b" " * (count // 10) + BODY)
    yield from (whole[at : at + 1] for at in range(len(whole)))


def pipeline(count: int) -> Iterator[bytes]:
    """Yield hot requests, some hundred in each piece."""
    one = request(PATH, BODY)
    each = _PIECE_BYTES // len(one)
    for _ in range(count // 10 // each):
        yield one * each


def cold_pipeline(count: int) -> Iterator[bytes]:
    """Yield requests that Starlette answers."""
    each = _PIECE_BYTES // len(_GET)
    for _ in range(count // 50 // each):
        yield _GET * each


KINDS: dict[str, tuple[Callable[[int], Iterator[bytes]], bool]] = {
    "a million chunks in one body": (million_chunks, True),
    "as many chunks as there may be": (most_chunks, True),
    "a request in single bytes": (single_bytes, True),
    "pipelined inferences": (pipeline, True),
    "pipelined requests for metadata": (cold_pipeline, True),
    "pipelined inferences, answers not read": (pipeline, False),
}
"""What is sent, and whether answers are read."""


def measure(count: int) -> dict[str, Any]:
    """Send every kind, `count` chunks and a share of it in requests and bytes."""
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        put(scratch / "models", "affine", affine())
        flags = ("--write-timeout-seconds", str(WRITE_SECONDS))
        target = stack.enter_context(
            targets.tidegate(scratch, scratch / "models", 1, "tidegate", *flags)
        )
        # A process of its own, so that it costs the good client's process nothing.
        pool = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
        worker = processes.worker(target.pid)
        _good(target.port, 2.0)
        for name in KINDS:
            found[name] = _flood(pool, target.port, worker, name, count)
        found["the worker is the one of the beginning"] = worker == processes.worker(target.pid)
    return found


def _flood(
    pool: ProcessPoolExecutor, port: int, worker: int, name: str, count: int
) -> dict[str, Any]:
    before, before_bytes = processes.cpu_seconds(worker), processes.resident_bytes(worker)
    beside = open_loop.Answers()
    sending = pool.submit(send, port, name, count)
    while not sending.done():
        answers = _good(port, 1.0)
        beside.latencies += answers.latencies
        beside.failures += answers.failures
    flood = sending.result()
    spent = processes.cpu_seconds(worker) - before
    time.sleep(SETTLE_SECONDS)
    after_bytes = processes.resident_bytes(worker)
    return {
        "MB sent": round(flood.sent / 1e6, 2),
        "answers by status": dict(sorted(flood.statuses.items())) or "none",
        "seconds": round(flood.seconds, 2),
        "CPU seconds of the worker, good client included": round(spent, 2),
        "MiB more": round((after_bytes - before_bytes) / (1 << 20), 1),
        "p99 ms of the good client": round(beside.quantile(0.99) * 1000, 2),
        "good requests that failed": beside.failures[:3],
    }


def send(port: int, name: str, count: int) -> Flood:
    """Send a kind until all is sent or the other side ends it; return what came of it."""
    pieces, is_read = KINDS[name]
    flood = Flood()
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 60) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = threading.Thread(target=_read, args=(link, flood.statuses))
        if is_read:
            reader.start()
        with contextlib.suppress(ConnectionError):
            for piece in pieces(count):
                link.sendall(piece)
                flood.sent += len(piece)
            link.sendall(_LAST)
        if is_read:
            reader.join()
    flood.seconds = time.monotonic() - started
    return flood


def _read(link: socket.socket, statuses: Counter[str]) -> None:
    """Count answers by status until the other side closes."""
    kept = b""
    with contextlib.suppress(ConnectionError):
        while piece := link.recv(1 << 18):
            statuses.update(found.decode() for found in _STATUS.findall(kept + piece))
            kept = (kept + piece)[1 - _STATUS_BYTES :]


def _good(port: int, seconds: float) -> open_loop.Answers:
    url = f"http://127.0.0.1:{port}/v2/models/affine/infer"
    return open_loop.run(url, BODY, EXPECTED, RATE, seconds)
