"""The models of the repository, kept in step with its files; whatever fails changes nothing."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.controlplane.intake import Intake
from server.repository.staging import StillChanging, Store
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control


def _with_control(repository: Path, use: Callable[[Control], Awaitable[None]]) -> None:
    """Run control with one obedient worker."""

    async def run() -> None:
        async with running_control(repository, ToldWorker(0)) as control:
            await use(control)

    asyncio.run(run())


def test_a_folder_becomes_a_model_with_a_plan(repository: Path) -> None:
    """A good version is copied, checked and counted, and its plan names the copy."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        known = control.catalog.models["m"].versions["1"]
        assert known.plan is not None
        assert Path(known.plan.path).is_relative_to(control.settings.state_dir / "store")
        assert known.verdict is not None
        assert control.catalog.loads == {("m", "ok"): 1}
        assert control.catalog.digests() == {known.plan.digest}
        assert control.catalog.verdict_keys() == {known.verdict_key}
        assert not control.catalog.is_checking

    _with_control(repository, use)


def test_what_has_not_changed_is_not_checked_again(repository: Path) -> None:
    """Looking again costs no check and tells nobody anything."""
    models.put(repository, "m", 1, models.affine())
    models.put(repository, "broken", 1, b"rubbish")

    async def use(control: Control) -> None:
        changes = control.changes
        for _ in range(3):
            await control.catalog.refresh()
            assert not control.catalog.is_checking
        assert control.changes == changes
        assert control.catalog.loads == {("m", "ok"): 1, ("broken", "failed"): 1}

    _with_control(repository, use)


def test_a_broken_change_keeps_the_plan_before_it(repository: Path) -> None:
    """After a failed check the version has an error and a fix, and is served as it was."""
    folder = models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        before = control.catalog.models["m"].versions["1"].plan
        (folder / "model.onnx").write_bytes(b"rubbish")
        await control.look()
        known = control.catalog.models["m"].versions["1"]
        assert known.plan is before
        assert known.error
        assert known.fix
        assert control.row("m")["state"] == "READY"

        (folder / "model.onnx").write_bytes(models.affine(offset=2))
        await control.look()
        assert known.error == known.fix == ""
        assert known.plan is not None
        assert before is not None
        assert known.plan.digest != before.digest

    _with_control(repository, use)


def test_a_removed_model_leaves_nothing_behind(repository: Path) -> None:
    """A model without a folder is forgotten, with the counts of its checks."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        shutil.rmtree(repository / "m")
        await control.look()
        assert control.catalog.models == {}
        assert control.catalog.loads == {}
        assert control.router.state.models == {}

    _with_control(repository, use)


def test_a_removed_live_version_stays_until_another_can_answer(repository: Path) -> None:
    """What answers is not taken away while the version before it is being loaded."""
    models.put(repository, "m", 1, models.affine(offset=1))
    models.put(repository, "m", 2, models.affine(offset=2))

    async def use(control: Control) -> None:
        assert control.router.state.models["m"].live == "2"
        generations: list[str | None] = []
        shutil.rmtree(repository / "m" / "2")
        await control.catalog.refresh()
        async with asyncio.timeout(60):
            while generations[-1:] != ["1"] or not control.router.is_stable:
                generations.append(control.router.state.models["m"].live)
                await asyncio.sleep(0)
        assert control.router.state.models["m"].live == "1"
        assert None not in generations
        assert set(control.router.state.models["m"].versions) == {"1", "2"}
        reason = "its files are gone; it stays to be rolled back to"
        assert (control.row("m", "2")["state"], control.row("m", "2")["reason"]) == (
            "READY",
            reason,
        )

    _with_control(repository, use)


def test_an_unreadable_repository_changes_nothing(repository: Path) -> None:
    """While the repository is away its models stay known, and the reason is kept."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        shutil.move(repository, repository.with_name("away"))
        await control.look()
        assert "No such file" in control.catalog.repository_error
        assert control.row("m")["state"] == "READY"

        shutil.move(repository.with_name("away"), repository)
        await control.look()
        assert control.catalog.repository_error == ""

    _with_control(repository, use)


def test_looking_at_one_model_leaves_the_others(repository: Path) -> None:
    """A load call of one model neither adds nor removes another."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        models.put(repository, "other", 1, models.affine())
        shutil.rmtree(repository / "m")
        await control.catalog.refresh("none")
        assert set(control.catalog.models) == {"m"}
        await control.catalog.refresh("other")
        await control.catalog.checks_of("other")
        assert set(control.catalog.models) == {"m", "other"}
        await control.catalog.refresh("m")
        assert set(control.catalog.models) == {"other"}

    _with_control(repository, use)


def test_an_unloaded_model_is_not_checked(repository: Path) -> None:
    """Nothing is copied or opened for a model that nobody wants."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        await control.operations.unload("m")
        models.put(repository, "m", 2, models.affine(offset=2))
        await control.look()
        assert control.catalog.models["m"].versions["2"].plan is None
        assert control.catalog.loads == {("m", "ok"): 1}

    _with_control(repository, use)


def test_a_version_that_changes_while_it_is_read_is_read_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check goes on until what was checked is what lies there."""
    accept = Intake.accept
    tries = []

    async def changing(self: Intake, *arguments: object) -> object:
        tries.append(arguments)
        if len(tries) < 3:
            raise StillChanging("model.onnx")
        return await accept(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "accept", changing)
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        assert len(tries) == 3
        assert control.row("m")["live"]

    _with_control(repository, use)


def test_a_failure_of_ours_is_not_a_silence(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in a check, the version has a reason, and others are checked."""
    accept = Intake.accept

    async def failing(self: Intake, folder: object, setup: object) -> object:
        if "bad" in str(folder):
            raise RuntimeError("a bug")
        return await accept(self, folder, setup)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "accept", failing)
    models.put(repository, "bad", 1, models.affine())
    models.put(repository, "good", 1, models.affine())

    async def use(control: Control) -> None:
        row = control.row("bad")
        assert (row["reason"], row["fix"]) == ("checking it failed", "see control's log")
        assert control.row("good")["live"]
        await control.catalog.refresh()
        assert not control.catalog.is_checking

    _with_control(repository, use)


@pytest.mark.parametrize("watch", ["auto", "poll"])
def test_watching_finds_what_is_new(repository: Path, watch: str) -> None:
    """Both ways of watching look again and again, for as long as they run."""

    async def run() -> None:
        async with running_control(repository, ToldWorker(0), watch=watch) as control:
            watching = asyncio.create_task(control.catalog.watch())
            for version in ("1", "2"):
                models.put(repository, "m", version, models.affine(offset=float(version)))
                async with asyncio.timeout(60):
                    await control.router.until(lambda: _live(control) == version)  # noqa: B023
            watching.cancel()

    asyncio.run(run())


def _live(control: Control) -> str | None:
    rows = [row for row in control.operations.index() if row["live"]]
    return rows[0]["version"] if rows else None


def test_without_watching_there_is_nothing_to_wait_for(repository: Path) -> None:
    """With `watch` off the task ends at once."""

    async def run() -> None:
        async with running_control(repository, watch="off") as control:
            await control.catalog.watch()

    asyncio.run(run())


def _remove(copy: Path) -> None:
    copy.parent.chmod(0o755)
    copy.unlink()


def test_a_private_copy_that_was_removed_is_made_anew(repository: Path) -> None:
    """Of files that are there still; of others it is said that a worker could not load them."""
    folder = models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        known = control.catalog.models["m"].versions["1"]
        assert known.plan is not None
        plan, copy = known.plan, Path(known.plan.path)
        await control.catalog.mend()
        assert not control.catalog.is_checking

        _remove(copy)
        await control.catalog.mend()
        assert control.row("m")["reason"] == "its private copy is gone and is to be made anew"
        await control.catalog.all_checks()
        assert plan.is_on_disk()
        assert (known.plan, control.row("m")["reason"]) == (plan, "")

        models.put(repository, "m", 2, models.affine(offset=2))
        await control.look()
        _remove(copy)
        shutil.rmtree(folder)
        await control.look()
        await control.catalog.mend()
        assert control.row("m")["reason"].startswith("its files are gone; so is its private copy")
        assert not control.catalog.is_checking

    _with_control(repository, use)


def test_what_could_not_be_copied_is_tried_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to load it when the disk has room again; until then it is reported once."""
    models.put(repository, "m", 1, models.affine())
    is_full = True

    def check_room(_store: Store, _needed_bytes: int) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "_check_room", check_room)

    async def use(control: Control) -> None:
        nonlocal is_full
        for _ in range(3):
            assert control.row("m")["reason"].endswith("No space left on device")
            await control.catalog.mend()
            await control.catalog.all_checks()
        assert control.catalog.loads == {("m", "failed"): 1}

        is_full = False
        await control.catalog.mend()
        await control.catalog.all_checks()
        assert control.catalog.models["m"].versions["1"].plan is not None

    _with_control(repository, use)
