"""What a load test asks of a peer: to be started, a request for it, and the number in its answer.

All peers are in `catalogue.PEERS`, by name. A load test starts one, sends what `request` returns to
`http://127.0.0.1:{target.port}{request.path}`, and checks that `first_number` of the answer is what
onnxruntime alone gives.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loadtests.bench_models import Workload
from loadtests.targets import Target


class Unsupported(Exception):
    """A peer cannot take a workload; the text says why."""


@dataclass(frozen=True)
class Request:
    """One POST request, to be sent again and again."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """A server beside which the gateway is measured."""

    @property
    def name(self) -> str:
        """Return the name by which it is asked for."""

    def start(
        self, scratch: Path, repository: Path, workload: Workload, workers: int
    ) -> AbstractContextManager[Target]:
        """Serve the workload's model until the block ends; it answers when the block begins.

        `workers` is how many processes run the model, each with one thread of onnxruntime.
        The target's tree of processes has all that the peer starts.

        Raises:
            PeerMissing: it cannot be installed, or does not start; the text says why.

        """

    def request(self, workload: Workload) -> Request:
        """Return a request with the workload's rows, as the peer takes it.

        Raises:
            Unsupported: it cannot take such rows.

        """

    def first_number(self, body: bytes, headers: Mapping[str, str]) -> float:
        """Return the first number of the model's last output, out of an answer."""
