"""Reference profiles in the repository: found, followed, and never in the way of serving."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from server.monitoring.profile import Profile
from server.repository.layout import PROFILE_FILE
from server.repository.reference import save_profile
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control
from tests.support.reference_rows import built, layout_for


def made(seed: int = 0, columns: int = 3) -> Profile:
    """Return a profile of the model below, x to y, or of one with other columns."""
    rows = np.random.default_rng(seed).standard_normal((100, columns)).astype(np.float32)
    inputs, outputs = {"x": rows}, {"y": rows}
    return built(layout_for(inputs, outputs), inputs, outputs)[0]


def _with_control(repository: Path, use: Callable[[Control], Awaitable[None]]) -> None:
    """Run control with one obedient worker."""

    async def run() -> None:
        async with running_control(repository, ToldWorker(0)) as control:
            await use(control)

    asyncio.run(run())


def test_a_profile_is_followed_without_loading_the_model_again(repository: Path) -> None:
    """One that is added, changed or removed is noticed; the plan, and so the workers, stay."""
    folder = models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        known = control.catalog.models["m"].versions["1"]
        plan = known.plan
        state = control.router.state
        assert known.profile is None
        for profile in (made(0), made(1)):
            save_profile(folder / PROFILE_FILE, profile)
            await control.look()
            assert known.profile is not None
            assert known.profile.hash == profile.hash
            assert "other files" in control.row("m")["warnings"][0]
        (folder / PROFILE_FILE).unlink()
        await control.look()
        assert known.profile is None
        assert "warnings" not in control.row("m")
        assert known.plan == plan
        assert control.router.state.generation == state.generation

    _with_control(repository, use)


def test_a_profile_that_cannot_be_used_does_not_keep_a_version_from_serving(
    repository: Path,
) -> None:
    """The index has the reason, and the version answers."""
    damaged = models.put(repository, "m", 1, models.affine())
    (damaged / PROFILE_FILE).write_text("{")
    other = models.put(repository, "n", 1, models.affine())
    save_profile(other / PROFILE_FILE, made(columns=2))

    async def use(control: Control) -> None:
        for name, reason in (
            ("m", "profile.json is not used: it is not JSON"),
            ("n", "profile.json is not used, because it does not fit the model: it is of model"),
        ):
            row = control.row(name)
            assert row["state"] == "READY"
            assert [warning[: len(reason)] for warning in row["warnings"]] == [reason]
            assert control.catalog.models[name].versions["1"].profile is None

    _with_control(repository, use)


def test_a_broken_model_keeps_the_profile_of_what_is_served(repository: Path) -> None:
    """As it keeps the plan."""
    folder = models.put(repository, "m", 1, models.affine())
    save_profile(folder / PROFILE_FILE, made())

    async def use(control: Control) -> None:
        (folder / "model.onnx").write_bytes(b"rubbish")
        (folder / PROFILE_FILE).unlink()
        await control.look()
        assert control.catalog.models["m"].versions["1"].error
        assert control.catalog.models["m"].versions["1"].profile is not None

    _with_control(repository, use)


def test_features_are_checked_against_the_profile_if_the_model_says_so(repository: Path) -> None:
    """With a policy that warns, workers are told what the profile knows, but for model.toml's."""
    folder = models.put(repository, "m", 1, models.affine())
    save_profile(folder / PROFILE_FILE, made())
    toml = 'check_policy = "warn"\n[checks."x[1]"]\nmaximum = 7\npolicy = "count"\n'
    (folder.parent / "model.toml").write_text(toml)

    async def use(control: Control) -> None:
        plan = control.router.state.models["m"].versions["1"]
        policies = {check.feature: check.policy.value for check in plan.checks}
        assert policies == {"x[1]": "count", "x[0]": "warn", "x[2]": "warn"}
        assert plan.checks[0].maximum == 7

    _with_control(repository, use)
