"""Checks in a process of their own: verdicts, refusals, crashes, time-outs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from server.controlplane.verifying import Verifier, Verifiers
from server.errors import ModelInvalid
from server.repository.verdict import VerificationOrder
from tests.support import models

T = TypeVar("T")


def _order(tmp_path: Path, content: bytes, name: str = "model") -> VerificationOrder:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(content)
    return VerificationOrder(
        model_file=path,
        golden_file=None,
        samples_file=tmp_path / f"{name}.npz",
        threads=1,
        max_rows=8,
        may_batch=True,
    )


def _with_verifier(use: Callable[[Verifier], Awaitable[T]], timeout_seconds: float = 60.0) -> T:
    async def run() -> T:
        verifier = Verifier(timeout_seconds)
        try:
            return await use(verifier)
        finally:
            await verifier.close()

    return asyncio.run(run())


def test_a_good_model_gets_a_verdict_and_samples(tmp_path: Path) -> None:
    """What the process finds out comes back whole, and the inputs it tried are left behind."""
    order = _order(tmp_path, models.affine())

    verdict = _with_verifier(lambda verifier: verifier.verify(order))

    assert [spec.name for spec in verdict.signature.inputs] == ["x"]
    assert verdict.is_batched
    assert verdict.batch_seconds > 0
    assert order.samples_file.exists()


def test_a_refusal_keeps_its_cause_and_its_fix(tmp_path: Path) -> None:
    """What is wrong with a model is told as the process says it."""
    order = _order(tmp_path, b"rubbish")

    with pytest.raises(ModelInvalid) as caught:
        _with_verifier(lambda verifier: verifier.verify(order))

    assert str(caught.value)
    assert caught.value.fix


def test_a_check_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The process is killed at the limit, and the text names the limit and the setting."""
    order = _order(tmp_path, models.affine())

    with pytest.raises(ModelInvalid, match=r"^checking it took longer than 0\.001 s") as caught:
        _with_verifier(lambda verifier: verifier.verify(order), timeout_seconds=0.001)

    assert caught.value.fix == (
        "raise verify_timeout_seconds, or make the model faster to open and run"
    )


def test_checks_asked_for_at_once_are_made_one_by_one(tmp_path: Path) -> None:
    """Answers reach whoever asked, also those after one that was refused."""
    orders = [
        _order(tmp_path, content, f"model-{number}")
        for number, content in enumerate(
            [models.affine(), b"rubbish", models.two_outputs(), models.mixed()]
        )
    ]

    async def ask(verifier: Verifier) -> list[object]:
        return await asyncio.gather(
            *(verifier.verify(order) for order in orders), return_exceptions=True
        )

    first, refused, second, third = _with_verifier(ask)

    assert isinstance(refused, ModelInvalid)
    names = [[spec.name for spec in one.signature.outputs] for one in (first, second, third)]  # type: ignore[attr-defined]
    assert names == [["y"], ["double", "total"], ["name_out", "count_out", "price_out"]]


def test_a_model_that_is_slow_to_check_does_not_hold_up_the_next_one(tmp_path: Path) -> None:
    """Another process takes over from one that is kept; a model that hangs costs one of them."""
    slow = _order(tmp_path, models.slow(steps=3000), "slow")
    good = _order(tmp_path, models.affine(), "good")

    async def check() -> None:
        verifiers = Verifiers(2, 60.0, patience_seconds=0.1)
        hanging = asyncio.create_task(verifiers.verify(slow))
        try:
            for _ in range(2):
                assert (await verifiers.verify(good)).is_batched
            assert not hanging.done()
        finally:
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            await verifiers.close()

    asyncio.run(check())


def test_versions_that_are_quick_to_check_share_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting another one would take longer than checking them all."""
    orders = [_order(tmp_path, models.affine(), f"model-{number}") for number in range(4)]
    started = []
    real = asyncio.create_subprocess_exec

    async def start(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(command)
        return await real(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)

    async def check() -> None:
        verifiers = Verifiers(2, 60.0, patience_seconds=60.0)
        try:
            verdicts = await asyncio.gather(*map(verifiers.verify, orders))
        finally:
            await verifiers.close()
        assert all(verdict.is_batched for verdict in verdicts)

    asyncio.run(check())
    assert len(started) == 1
