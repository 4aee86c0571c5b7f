"""From a version's folder to a plan: settle, copy, check."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from server.controlplane.intake import Accepted, Intake
from server.controlplane.verifying import Verifiers
from server.errors import ModelInvalid
from server.repository.layout import VersionFolder, scan
from server.repository.model_settings import ModelSetup
from server.repository.verdict import Verdict, VerificationOrder
from server.settings import ModelSettings, Settings
from tests.support import models


def _version(repository: Path) -> VersionFolder:
    return scan(repository).models["m"].versions["1"]


def _accept(repository: Path, *setups: ModelSetup) -> list[Accepted]:
    """Take version 1 of model m in, once for each setup."""

    async def run() -> list[Accepted]:
        settings = Settings(repository=repository, state_dir=repository.parent / "state")
        intake = Intake(settings)
        await intake.prepare()
        try:
            return [await intake.accept(_version(repository), setup) for setup in setups]
        finally:
            await intake.close()

    (repository.parent / "state").mkdir(exist_ok=True)
    return asyncio.run(run())


SETUP = ModelSetup(ModelSettings())


def test_a_plan_names_a_private_copy_with_its_samples(repository: Path) -> None:
    """The plan points into the state directory, at files that equal the uploaded ones."""
    folder = models.put(repository, "m", 1, models.affine())

    (accepted,) = _accept(repository, SETUP)

    copy = Path(accepted.plan.path)
    assert copy.read_bytes() == (folder / "model.onnx").read_bytes()
    assert copy.is_relative_to(repository.parent / "state")
    assert copy.parent.name == accepted.plan.digest
    assert Path(accepted.plan.samples).exists()
    assert accepted.plan.is_batched


def test_a_verdict_is_kept_for_the_next_start(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files under the same settings are not opened twice, not even after a restart."""
    models.put(repository, "m", 1, models.affine())
    (first,) = _accept(repository, SETUP)
    monkeypatch.setattr("sys.executable", "/bin/false")  # No checking process can be started.

    (second,) = _accept(repository, SETUP)

    assert second == first


def test_the_same_files_are_not_checked_twice_at_a_time(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models of the same files are both accepted by one check, though they come at once."""
    orders = []
    verify = Verifiers.verify

    async def counted(verifiers: Verifiers, order: VerificationOrder) -> Verdict:
        orders.append(order)
        return await verify(verifiers, order)

    async def run() -> list[Accepted]:
        intake = Intake(Settings(repository=repository, state_dir=repository.parent / "state"))
        await intake.prepare()
        found = scan(repository).models
        folders = [found[name].versions["1"] for name in ("a", "b", "c")]
        try:
            return await asyncio.gather(*[intake.accept(folder, SETUP) for folder in folders])
        finally:
            await intake.close()

    monkeypatch.setattr(Verifiers, "verify", counted)
    (repository.parent / "state").mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        models.put(repository, name, 1, models.affine())

    accepted = asyncio.run(run())

    assert len({one.verdict_key for one in accepted}) == len(orders) == 1


def test_settings_that_change_the_check_call_for_another(repository: Path) -> None:
    """Rows of a batch, threads and the leave to batch are part of what was checked."""
    models.put(repository, "m", 1, models.affine())
    setups = [
        SETUP,
        ModelSetup(ModelSettings(max_rows=8)),
        ModelSetup(ModelSettings(threads=2)),
        ModelSetup(ModelSettings(), may_batch=False),
        ModelSetup(ModelSettings(max_delay_ms=3.0)),
    ]

    accepted = _accept(repository, *setups)

    keys = [one.verdict_key for one in accepted]
    assert len(set(keys[:4])) == 4
    assert keys[4] == keys[0]
    assert [one.plan.is_batched for one in accepted] == [True, True, True, False, True]
    assert accepted[4].plan.settings.max_delay_ms == 3.0


def test_a_state_directory_that_cannot_be_written_is_the_reason(repository: Path) -> None:
    """A copy that fails names the disk's complaint, and what to do."""
    models.put(repository, "m", 1, models.affine())
    store = repository.parent / "state" / "store"

    async def run() -> None:
        settings = Settings(repository=repository, state_dir=repository.parent / "state")
        intake = Intake(settings)
        await intake.prepare()
        store.rmdir()
        store.write_text("in the way")
        try:
            await intake.accept(_version(repository), SETUP)
        finally:
            await intake.close()

    with pytest.raises(ModelInvalid) as caught:
        asyncio.run(run())
    assert str(caught.value).startswith("it cannot be copied to the state directory: ")
    assert "--state-dir" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "setup", "problem"),
    [
        ("other.onnx", SETUP, "it has no model.onnx (found other.onnx)"),
        ("model.onnx", ModelSetup(ModelSettings(), model_file="net.onnx"), "it has no net.onnx"),
        (
            "model.onnx",
            ModelSetup(ModelSettings(), features={"z": ["a"]}),
            "model.toml names features of 'z', which is no input",
        ),
        (
            "model.onnx",
            ModelSetup(ModelSettings(), features={"x": ["a", "b"]}),
            "model.toml names 2 features of 'x', which has 3",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    repository: Path, name: str, setup: ModelSetup, problem: str
) -> None:
    """Settings and files must agree; the text names both sides."""
    folder = models.put(repository, "m", 1, models.affine())
    (folder / "model.onnx").rename(folder / name)

    with pytest.raises(ModelInvalid) as caught:
        _accept(repository, setup)

    assert problem in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("age_seconds", "wait_seconds"),
    [(0.0, 10.0), (4.0, 6.0), (11.0, 0.0), (-3600.0, 0.0)],
)
def test_a_folder_settles(repository: Path, age_seconds: float, wait_seconds: float) -> None:
    """A version waits until nothing in it is newer than the limit; a clock set back is no trap."""
    folder = models.put(repository, "m", 1, models.affine())
    changed = time.time() - age_seconds
    os.utime(folder / "model.onnx", (changed, changed))
    found = _version(repository)
    entry = found.fingerprint[0]
    aged = ((entry[0], entry[1], entry[2], entry[2], entry[4]),)
    settings = Settings(repository=repository, settle_seconds=10)

    wait = Intake(settings).seconds_to_settle(VersionFolder(found.path, found.files, aged))

    assert wait == pytest.approx(wait_seconds, abs=1.0)
