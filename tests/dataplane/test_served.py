"""What a session and its settings become when they are served."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from server.dataplane.served import ServedVersion, VersionName
from server.dataplane.telemetry import Telemetry
from server.engine.session import Session
from server.engine.watchdog import Watchdog
from tests.dataplane.conftest import PlanOf


def serve(plan_of: PlanOf, name: str, **settings: object) -> ServedVersion:
    """Serve one of the test models."""
    plan = plan_of(name, **settings)
    session = Session.open(Path(plan.path))
    telemetry = Telemetry(0, lambda _kind, _parts: True, 0).of_version(
        name, "7", plan.digest, session.signature, is_batched=plan.is_batched
    )
    return ServedVersion(
        VersionName(name, "7", plan.digest),
        plan,
        session,
        telemetry,
        features={"x": ["a", "b", "c"]},
        max_output_bytes=1000,
    )


def on_loop(function: object, *arguments: object, **more: object) -> ServedVersion:
    """Call a function on a running event loop."""

    async def call() -> ServedVersion:
        served: ServedVersion = function(*arguments, **more)  # type: ignore[operator]
        return served

    return asyncio.run(call())


def test_settings_become_contract_and_queue(plan_of: PlanOf) -> None:
    """Limits of rows and queue, delay and execution are those of the model's settings."""

    def opened() -> ServedVersion:
        served = serve(
            plan_of,
            "affine",
            max_rows=5,
            max_delay_ms=3,
            queue_rows=50,
            max_request_rows=40,
            instances=2,
            execution="thread",
        )
        served.open(
            lambda _served, _batch: None,
            lambda _entry, _error: None,
            lambda _name, _hang: None,
            Watchdog(lambda _label: None),
        )
        return served

    served = on_loop(opened)

    assert (served.model, served.version) == ("affine", "7")
    assert served.contract.max_request_rows == 40
    assert served.contract.is_batched
    policy, limits = served.batcher.policy, served.batcher.limits
    assert (policy.max_rows, policy.max_delay_seconds, policy.is_batched) == (5, 0.003, True)
    assert (limits.queue_rows, limits.instances, limits.execution.value) == (50, 2, "thread")
    assert served.features == {"x": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("name", "has_fixed_rows"), [("affine", True), ("mixed", True), ("open", False)]
)
def test_rows_are_fixed_if_every_input_says_so(
    plan_of: PlanOf, name: str, *, has_fixed_rows: bool
) -> None:
    """Only where a row can have other sizes must shapes be compared before a batch."""
    assert on_loop(serve, plan_of, name).has_fixed_rows is has_fixed_rows


def test_no_rows_have_the_shapes_of_the_outputs(plan_of: PlanOf) -> None:
    """The answer to no rows has each output's datatype and trailing shape, open ones as 0."""
    empty = on_loop(serve, plan_of, "two-outputs").empty_outputs()
    assert [(array.shape, array.dtype.name) for array in empty] == [
        ((0, 2), "float32"),
        ((0,), "float32"),
    ]
    assert on_loop(serve, plan_of, "open").empty_outputs()[0].shape == (0, 0)


def test_unbatched_outputs_become_row_zero(plan_of: PlanOf) -> None:
    """Outputs of a model without rows are one caller's as they are, numbers without shape too."""
    outputs = [np.zeros((2, 3)), np.float32(1)]

    unbatched = on_loop(serve, plan_of, "fixed").rows_first(outputs)  # type: ignore[arg-type]
    assert [array.shape for array in unbatched] == [(1, 2, 3), (1,)]
    assert on_loop(serve, plan_of, "affine").rows_first(outputs[:1]) == outputs[:1]  # type: ignore[arg-type]


def test_draining_lets_go_of_queue_and_session(plan_of: PlanOf) -> None:
    """After draining, a version holds no queue that could be asked again."""

    async def drained() -> ServedVersion:
        served = serve(plan_of, "affine")
        served.open(
            lambda _served, _batch: None,
            lambda _entry, _error: None,
            lambda _name, _hang: None,
            Watchdog(lambda _label: None),
        )
        await served.drain()
        return served

    served = asyncio.run(drained())
    assert not hasattr(served, "batcher")
    assert served._session is None


def test_a_request_that_the_queue_could_never_hold_is_too_large(plan_of: PlanOf) -> None:
    """A caller must not be told to try again later when later cannot help."""
    served = on_loop(serve, plan_of, "affine", max_request_rows=40, queue_rows=30)

    assert served.contract.max_request_rows == 30
