"""One version of a model as a worker serves it.

Decides how a session and its settings become something that answers requests. Does not know
routes, connections or other versions.

Concurrency: event loop only.
Lifetime: made by the loader before the route table names it, drained after it no longer does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.dataplane.suspects import ModelSuspects
from server.dataplane.telemetry import VersionTelemetry
from server.engine.admission import Holder
from server.engine.batcher import Batcher, BatcherLimits, Owner
from server.engine.batching import BatchPolicy, Execution
from server.engine.running import FinishedBatch
from server.engine.runs import Hang
from server.engine.session import Session
from server.engine.watchdog import Watchdog
from server.errors import DataCheckFailed, TidegateError
from server.monitoring.checks import Guard
from server.protocol.answers import AnswerStyle, AnswerWriter
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.tensors import Array, Signature, TensorSpec
from server.wire.desired import VersionPlan


@dataclass(frozen=True, slots=True)
class VersionName:
    """Which version of which model, and exactly which files."""

    model: str
    version: str
    digest: str


class ServedVersion:
    """What a route points to."""

    def __init__(
        self,
        name: VersionName,
        plan: VersionPlan,
        session: Session,
        telemetry: VersionTelemetry,
        *,
        features: Mapping[str, Sequence[str]],
        max_output_bytes: int,
    ) -> None:
        self.name = name
        self.model = name.model
        self.version = name.version
        self.plan = plan
        self.settings = settings = plan.settings
        is_batched = plan.is_batched
        self.telemetry = telemetry
        self.features = features
        """Names of the columns of an input, where they are known."""
        self.signature: Signature = session.signature
        # What can never fit into the queue is too large, not early: no retry would help.
        max_request_rows = min(settings.max_request_rows, settings.queue_rows)
        self.contract = Contract(session.signature, is_batched, max_request_rows)
        self.writer = AnswerWriter(
            name.model,
            name.version,
            session.signature,
            AnswerStyle(is_batched, settings.non_finite == "token", max_output_bytes),
        )
        self.guard = Guard(plan.checks, session.signature) if plan.checks else None
        """What looks at the values of requests; None if they are held to nothing."""
        self.max_entry_rows = settings.max_rows if is_batched else 1
        """Rows that one entry of the queue may have; unbatched requests count as one row."""
        self.suspects: ModelSuspects | None = None
        """Requests that may kill this worker; None if there are none, as nearly always."""
        self.holder = Holder()
        """What the requests of its model hold; all versions of a model are given the same one."""
        self.batcher: Batcher
        self.probe_inputs: Sequence[Array] | None = None
        """What it is asked with to show that it answers; None if nothing is known to work."""
        self._session: Session | None = session
        self.has_fixed_rows = all(spec.row_items is not None for spec in session.signature.inputs)
        """Whether rows of all requests have one shape, so that any two may share a batch."""

    def open(
        self,
        on_finished: Callable[["ServedVersion", FinishedBatch], None],
        on_dropped: Callable[[Any, TidegateError | None], None],
        on_hang: Callable[[VersionName, Hang], None],
        watchdog: Watchdog,
    ) -> None:
        """Open the queue."""
        settings = self.settings
        assert self._session is not None, "a version is opened once"
        self.batcher = Batcher(
            self._session,
            BatchPolicy(settings.max_rows, settings.max_delay_ms / 1000, self.contract.is_batched),
            BatcherLimits(
                settings.queue_rows,
                settings.instances,
                Execution(settings.execution),
                settings.hang_kill_seconds,
                settings.max_queue_ms / 1000,
            ),
            Owner(
                label=f"{self.model}/{self.version}",
                on_finished=lambda batch: on_finished(self, batch),
                on_dropped=on_dropped,
                on_hang=lambda hang: on_hang(self.name, hang),
            ),
            watchdog,
        )
        self.batcher.expect(self.plan.batch_seconds)

    def check(self, request: InferRequest) -> None:
        """Hold a request's values to the checks: count what breaks one, and warn of it.

        Raises:
            DataCheckFailed: a value breaks a check whose policy is to refuse.

        """
        assert self.guard is not None, "who has no checks is not asked to check"
        findings = self.guard.look(request.tensors, request.shapes)
        if findings is None:
            return
        self.telemetry.broken(findings.rows)
        if findings.refusals:
            raise DataCheckFailed("; ".join(findings.refusals))
        if findings.warnings:
            request.warnings = tuple(findings.warnings)
            request.is_plain = request.is_binary = False

    async def drain(self) -> None:
        """Return when every request has its answer, and let go of the session's memory."""
        await self.batcher.drain()
        # Version, batcher and callbacks hold each other; the memory must not wait for a collector.
        del self.batcher
        self._session = None

    def rows_first(self, outputs: list[Array]) -> list[Array]:
        """Return outputs with rows as their first dimension; unbatched ones become row 0."""
        if self.contract.is_batched:
            return outputs
        return [np.asarray(output)[np.newaxis] for output in outputs]

    def empty_outputs(self) -> list[Array]:
        """Return what the model would answer to no rows at all."""
        return [_empty(spec) for spec in self.signature.outputs]


def _empty(spec: TensorSpec) -> Array:
    return np.empty((0, *(max(size, 0) for size in spec.shape[1:])), spec.datatype.numpy)
