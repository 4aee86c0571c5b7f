"""Whoever is measured, started and ready to be asked: gateways, peers, any command.

Decides what a target's name means. Knows nothing of rounds and figures.
"""

import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import targets
from loadtests.bench_models import Workload
from loadtests.control import Control, expect
from loadtests.environments import PeerMissing
from loadtests.peers.base import Peer, Request, Unsupported
from loadtests.peers.catalogue import PEERS
from loadtests.processes import cpu_seconds, pss_bytes, tree
from loadtests.proof.catalogue import MOST_CONNECTIONS, Scenario, Unknown
from loadtests.proof.checking import Asked, Reader, last_output
from loadtests.proof.results import BARE, OURS
from loadtests.targets import Target

UNMONITORED = f"{OURS} without monitoring"
SHADOWED = f"{OURS} with a shadow"
NAMES = (OURS, *PEERS)
"""What can be asked for by name."""


_LIFTED = (
    "--max-connections", str(2 * MOST_CONNECTIONS), "--max-queue-ms", "60000",
    "--queue-rows", "1000000", "--max-in-flight-bytes", str(2**32),
)  # fmt: skip
"""Bounds of the queue, so that nothing is refused: peers have none, and a refusal is an error."""


class Missing(Exception):
    """A target cannot be measured; the text says why."""


@dataclass(frozen=True)
class Stand:
    """What is served: a pool of requests, and what the model answers to them."""

    scratch: Path
    pool: Sequence[Workload]
    expected: Sequence[NDArray[Any]]

    @property
    def model(self) -> str:
        """Return the model's name."""
        return self.pool[0].model

    @property
    def repository(self) -> Path:
        """Return the folder with the model in it, as version 1."""
        return self.scratch / "models"

    @property
    def file(self) -> Path:
        """Return the model's file."""
        return self.repository / self.model / "1" / "model.onnx"


@dataclass(frozen=True)
class Contestant:
    """A running server, and how it is asked."""

    name: str
    pid: int
    asked: Asked

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes so far."""
        return cpu_seconds(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send all its processes a signal."""
        for pid in tree(self.pid):
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def pss_bytes(self) -> int:
        """Return the proportional memory of all its processes."""
        total = 0
        for pid in tree(self.pid):
            with contextlib.suppress(OSError):
                total += pss_bytes(pid)
        return total


def names(scenario: Scenario, asked_for: Sequence[str], beside: Sequence[str]) -> list[str]:
    """Return the targets of a scenario, the first being what others are compared with.

    Raises:
        Unknown: a target does not exist.

    """
    more = [beside_parts(text)[0] for text in beside]
    for name in asked_for:
        if name not in NAMES:
            raise Unknown(f"no target is called {name[:80]!r}; there are {', '.join(NAMES)}")
    found = [*asked_for]
    found += [UNMONITORED] * scenario.unmonitored + [SHADOWED] * scenario.shadow
    return [*found, *more, *([BARE] * scenario.bare)]


def beside_parts(text: str) -> tuple[str, int, str]:
    """Return name, port and command of another server.

    Raises:
        Unknown: it is not NAME=PORT=COMMAND.

    """
    name, _, rest = text.partition("=")
    port, _, command = rest.partition("=")
    if not name or not port.isdecimal() or not command:
        raise Unknown(f"--beside {text[:80]!r} must be NAME=PORT=COMMAND")
    return name, int(port), command


def start(
    name: str,
    stand: Stand,
    workers: int,
    beside: Mapping[str, tuple[int, str]],
    stack: contextlib.ExitStack,
) -> Contestant:
    """Run a target until the stack is closed.

    Raises:
        Missing: it cannot be installed, does not start, or cannot take the workload.

    """
    try:
        return stack.enter_context(_started(name, stand, workers, beside))
    except (PeerMissing, Unsupported, targets.NotStarted) as error:
        raise Missing(str(error)) from error


@contextlib.contextmanager
def _started(
    name: str, stand: Stand, workers: int, beside: Mapping[str, tuple[int, str]]
) -> Iterator[Contestant]:
    if name in PEERS:
        peer = PEERS[name]
        requests = [peer.request(one) for one in stand.pool]
        with peer.start(stand.scratch, stand.repository, stand.pool[0], workers) as target:
            asked = Asked(target.port, requests, _first(peer), stand.expected)
            yield Contestant(name, target.pid, asked)
        return
    if name in beside:
        port, command = beside[name]
        running = targets.started(name, shlex.split(command), port, stand.scratch, "")
    else:
        running = _gateway(name, stand, workers)
    with running as target:
        path = f"/v2/models/{stand.model}/infer"
        requests = [Request(path, *one.body()) for one in stand.pool]
        asked = Asked(target.port, requests, last_output, stand.expected)
        yield Contestant(name, target.pid, asked)


def _first(peer: Peer) -> Reader:
    """Return what reads a peer's answers: their first number is what all can tell."""
    return lambda body, headers: np.array([peer.first_number(body, headers)])


@contextlib.contextmanager
def _gateway(name: str, stand: Stand, workers: int) -> Iterator[Target]:
    """Run a gateway with everything on, but for what its name says."""
    repository, port = stand.repository, targets.free_port()
    flags = ["--control-port", str(port), *_LIFTED]
    if name == UNMONITORED:
        flags += ["--monitor", "off"]
    if name == SHADOWED:
        repository = _with_candidate(stand)
    word = name.replace(" ", "-")
    with targets.tidegate(stand.scratch, repository, workers, word, *flags) as target:
        control = Control(port)
        control.first_live(stand.model)
        if name == SHADOWED:
            members: dict[str, Any] = {"version": "2", "actor": "measured", "reason": "measured"}
            members["sample_bp"] = 10_000
            expect(control.post(f"/v1/models/{stand.model}/release/shadow", members))
        yield target


def _with_candidate(stand: Stand) -> Path:
    """Return a repository in which the model is there twice, as the live version and as another."""
    folder = stand.scratch / "models-with-candidate" / stand.model
    for version in ("1", "2"):
        (folder / version).mkdir(parents=True)
        shutil.copy(stand.file, folder / version / "model.onnx")
    settings = 'release = "manual"\nversion_policy = "specific:1"\n'
    (folder / "model.toml").write_text(settings)
    return folder.parent
