"""A real shadow process, and control's end of its socket in the hands of a test."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from server.release.evidence import ShadowEvidence
from server.settings import Settings
from server.wire import record, shadow
from server.wire.channel import Charter, encode_charter
from server.wire.frames import FrameReader, Kind, frame
from server.wire.record import BatchRecords
from server.wire.shadow import ComparisonPlan, EvidenceDelta, Run, ShadowStatus

PATIENCE_SECONDS = 60.0
T = TypeVar("T")


class ShadowProcess:
    """The process, what it was told, and everything that it has said."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.process = process
        self.deltas: list[EvidenceDelta] = []
        self.runs: list[Run | None] = []
        self.statuses: list[ShadowStatus] = []
        self.answers: list[BatchRecords] = []
        self._control = control
        self._reader = FrameReader()

    def plan(self, *plans: ComparisonPlan) -> None:
        """Send plans, and wait until their candidates can be run."""
        self._control.sendall(frame(Kind.SHADOW_PLAN, shadow.encode_plans(plans)))
        wanted = sorted(one.epoch for plan in plans for one in plan.candidates)
        self.until(lambda: self._epochs() == wanted)

    def _epochs(self) -> list[str]:
        """Return the epochs that can be run, as the process said last; none before that."""
        loaded = self.statuses[-1].loaded if self.statuses else {}
        return sorted(epoch for epochs in loaded.values() for epoch in epochs)

    def send_plan(self, *plans: ComparisonPlan) -> None:
        """Send plans, and wait for nothing."""
        self._control.sendall(frame(Kind.SHADOW_PLAN, shadow.encode_plans(plans)))

    def mirror(self, versions: Sequence[str], records: BatchRecords) -> None:
        """Send a record."""
        message = b"".join(record.encode(records))
        self._control.sendall(frame(Kind.MIRROR, *shadow.mirror_parts(versions, message)))

    def until(self, condition: Callable[[], T]) -> T:
        """Read what comes until a condition holds; fail if it does not, or nothing more comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := condition()):
            assert self.read(), "the process has closed its socket"
            assert time.monotonic() < deadline
        return value

    def read(self) -> bool:
        """Read some more; say whether there was any."""
        chunk = self._control.recv(1 << 20)
        for kind, payload in self._reader.feed(chunk):
            if kind is Kind.SHADOW_EVIDENCE:
                self.deltas.append(shadow.decode_evidence(payload))
            elif kind is Kind.SHADOW_RUN:
                self.runs.append(shadow.decode_run(payload))
            elif kind is Kind.SHADOW_ANSWERS:
                self.answers.append(record.decode(payload))
            elif kind is Kind.SHADOW_STATUS:
                self.statuses.append(shadow.decode_status(payload))
        return bool(chunk)

    def read_to_end(self) -> int:
        """Read until the process closes its socket; return its exit code."""
        with contextlib.suppress(ConnectionError):
            while self.read():
                pass
        return self.process.wait(PATIENCE_SECONDS)

    def hang_up(self) -> None:
        """Close control's end of the socket."""
        self._control.close()

    def evidence(self, version: str) -> ShadowEvidence:
        """Return all that was said of a candidate."""
        total = ShadowEvidence()
        for delta in self.deltas:
            if delta.version == version:
                total.add(delta.evidence)
        return total


@contextlib.contextmanager
def running_shadow(folder: Path, **settings: Any) -> Iterator[ShadowProcess]:
    """Run a shadow process until the block ends."""
    control_path = str(folder / "control.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(shadow.socket_path(control_path))
    listener.listen()
    listener.settimeout(PATIENCE_SECONDS)
    charter = Charter(Settings(**settings), "shadow", -1, 1, 0, control_path)
    ours, theirs = socket.socketpair()
    with listener, ours:
        with theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.start_child",
                    "server.shadow.start",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
            )
        ours.sendall(encode_charter(charter))
        try:
            control, _ = listener.accept()
            control.settimeout(PATIENCE_SECONDS)
            with control:
                yield ShadowProcess(process, control)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
