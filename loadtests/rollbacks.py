"""Roll back under load from a version that hangs: what is lost, and when answers are good again.

Version 1 answers; version 2 has passed its check and its warm-up, and never ends on what callers
send. It is promoted under load, and rolled back a moment later. Nothing may be lost: what runs in
it is answered by version 1 as well.
"""

import contextlib
import http.client
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from loadtests import targets
from loadtests.clients import Crew
from loadtests.control import Control, expect
from loadtests.switches import MANUAL

WORKERS = 2
CLIENTS = 16
HANG_SECONDS = 0.5
"""How long version 2 is live before somebody notices."""
WATCH_SECONDS = 2.0
"""How long answers are watched after the roll back."""
GIVE_UP_SECONDS = 4.0
BODY = orjson.dumps(
    {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [2**60]}]}
)


@dataclass(frozen=True)
class Asked:
    """One request. Times are of time.perf_counter."""

    sent: float
    answered: float | None
    """None if there was no answer in GIVE_UP_SECONDS."""
    version: str
    """Who says to have answered; the status if it was not 200."""


@dataclass
class Round:
    """One promotion and one roll back."""

    asked: list[Asked] = field(default_factory=list)
    called: float = 0.0
    returned: float = 0.0

    @property
    def lost(self) -> list[Asked]:
        """What had no good answer."""
        return [one for one in self.asked if one.answered is None or one.version != "1"]

    @property
    def lost_after_the_call(self) -> int:
        """What was sent after the call and had no good answer."""
        return sum(one.sent >= self.called for one in self.lost)

    @property
    def last_wait_seconds(self) -> float:
        """How long after the call the last of those answered that were sent before it."""
        waits = [
            one.answered - self.called
            for one in self.asked
            if one.answered is not None and one.sent < self.called < one.answered
        ]
        return max(waits, default=0.0)

    @property
    def first_good_seconds(self) -> float:
        """How long after the call the first request that was sent after it had its answer."""
        good = [one.answered for one in self.asked if one.sent >= self.called and one.answered]
        return min(good) - self.called


def measure(rounds: int) -> str:
    """Promote and roll back so many times, each with a gateway of its own."""
    done = [_round() for _ in range(rounds)]
    rows = [
        "| round | roll back returned, ms | first good answer to a new request, ms "
        "| last answer to one that waited, ms | lost, sent before | lost, sent after |",
        "|---|---|---|---|---|---|",
    ]
    for number, one in enumerate(done, 1):
        rows.append(
            f"| {number} | {(one.returned - one.called) * 1000:.0f} "
            f"| {one.first_good_seconds * 1000:.0f} | {one.last_wait_seconds * 1000:.0f} "
            f"| {len(one.lost) - one.lost_after_the_call} | {one.lost_after_the_call} |"
        )
    slowest = median(one.returned - one.called for one in done) * 1000
    rows.append(f"\nmedian of the roll backs: {slowest:.0f} ms; {WORKERS} workers")
    return "\n".join(rows)


def _round() -> Round:
    done = Round()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        _put(scratch / "models")
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port), "--drain-timeout-seconds", "0")
        target = stack.enter_context(
            targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags)
        )
        if control.first_live("hangs") != "1":
            expect(control.promote("hangs", "1"))
        stack.enter_context(_Clients(target.port, done.asked))
        time.sleep(HANG_SECONDS)
        expect(control.promote("hangs", "2"))
        time.sleep(HANG_SECONDS)
        done.called = time.perf_counter()
        expect(control.rollback("hangs"))
        done.returned = time.perf_counter()
        time.sleep(WATCH_SECONDS)
    return done


class _Clients(Crew):
    """Ask without a pause, on a new connection each time, so that all workers are asked."""

    def __init__(self, port: int, asked: list[Asked]) -> None:
        super().__init__([self._run] * CLIENTS)
        self._port = port
        self._asked = asked
        self._lock = threading.Lock()

    def _run(self) -> None:
        while not self.stop.is_set():
            asked = _ask(self._port)
            with self._lock:
                self._asked.append(asked)


def _ask(port: int) -> Asked:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_SECONDS)
    ) as connection:
        sent = time.perf_counter()
        answered, version = None, "none"
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v2/models/hangs/infer", BODY)
            answer = connection.getresponse()
            content = answer.read()
            answered = time.perf_counter()
            is_good = answer.status == 200
            version = orjson.loads(content)["model_version"] if is_good else str(answer.status)
    return Asked(sent, answered, version)


def _put(repository: Path) -> None:
    for version, content in (("1", _model(hangs=False)), ("2", _model(hangs=True))):
        folder = repository / "hangs" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)
    (repository / "hangs" / "model.toml").write_text(MANUAL)


def _model(*, hangs: bool) -> bytes:
    """Answer with x; if it hangs, count to the largest x before."""
    kind = TensorProto.INT64
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", kind, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("count", kind, (1,)),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", kind, (1,)),
        ],
    )
    counting = [
        helper.make_node("ReduceMax", ["x"], ["turns"], keepdims=0),
        helper.make_node("Loop", ["turns", "", "zero"], ["counted"], body=body),
        helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        counting if hangs else [helper.make_node("Add", ["x", "zero"], ["y"])],
        "hangs",
        [helper.make_tensor_value_info("x", kind, ["N", 1])],
        [helper.make_tensor_value_info("y", kind, ["N", 1])],
        [
            numpy_helper.from_array(np.zeros(1, np.int64), "zero"),
            numpy_helper.from_array(np.ones(1, np.int64), "one"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())
