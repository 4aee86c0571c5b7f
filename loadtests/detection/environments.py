"""Programs that run in the environments of peers.

A peer that cannot be installed, or does not start, is named with its reason; the others go on.

Lifetime: `Peer` is a process that ends when its `with` block does.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from loadtests.detection.changes import Kind, Values
from loadtests.environments import PeerMissing, python_of, reason

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WINDOW_PEERS = ("evidently", "nannyml", "alibi")


def _python_of(name: str, folder: Path) -> Path:
    return python_of(HERE / "peers" / f"{name}.txt", folder)


def real_rows(folder: Path) -> dict[str, Values]:
    """Return the rows of NannyML's data sets, read in its environment.

    Raises:
        PeerMissing: it cannot be installed.

    """
    python = _python_of("nannyml", folder)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.npz"
        _run([str(python), "-m", "loadtests.detection.peers.real_rows", str(path)])
        with np.load(path) as rows:
            return dict(rows)


def river_claims(name: str, streams: Values, folder: Path) -> list[list[int]]:
    """Return the rows at which a detector of River claims drift, for each stream.

    Raises:
        PeerMissing: it cannot be installed.

    """
    python = _python_of("river", folder)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "streams.npz"
        np.savez(path, streams=streams)
        command = [str(python), "-m", "loadtests.detection.peers.river_peer", name, str(path)]
        claims: list[list[int]] = json.loads(_run(command))
        return claims


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise PeerMissing(reason(done.stderr))
    return done.stdout


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer says of windows."""

    scores: Values
    """Larger is further away, shape (windows,)."""

    alerts: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """By the peer's own default, shape (windows,)."""


class Peer:
    """A running program of a peer that compares windows with references."""

    def __init__(self, name: str, folder: Path, scratch: Path) -> None:
        self.name = name
        self._answer = scratch / f"{name}.json"
        command = [str(_python_of(name, folder)), "-m", f"loadtests.detection.peers.{name}_peer"]
        with (scratch / f"{name}.log").open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def ask(self, rows: Path, kind: Kind) -> Answer:
        """Return what it says of the windows in a file.

        Raises:
            PeerMissing: it has ended, or raised an error.

        """
        job = {"rows": str(rows), "kind": kind.value, "answer": str(self._answer)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerMissing("it has ended") from error
        if not self._process.stdout.readline():
            raise PeerMissing("it has ended")
        answer = json.loads(self._answer.read_text())
        if "error" in answer:
            raise PeerMissing(answer["error"])
        return Answer(np.array(answer["scores"], np.float64), np.array(answer["alerts"], np.bool_))


@contextmanager
def running_peers(
    names: Sequence[str], folder: Path, scratch: Path, missing: dict[str, str]
) -> Iterator[list[Peer]]:
    """Start peers that compare windows; who cannot be is put down in `missing`."""
    with ExitStack() as stack:
        peers = []
        for name in names:
            try:
                peers.append(stack.enter_context(Peer(name, folder, scratch)))
            except PeerMissing as error:
                missing[name] = str(error)
        yield peers
