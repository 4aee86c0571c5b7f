"""Versions that have to be signed, as control serves and refuses them, also after a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.errors import ModelInvalid
from server.protocol.errors import error_answer
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control
from tests.support.signing import Author, write_signers


class Bench:
    """A repository, somebody who may sign, somebody who may not, and control over it."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.ann = Author(repository.parent, "ann")
        self.eve = Author(repository.parent, "eve")
        self.signers = write_signers(repository.parent, self.ann)

    def put(self, version: int, author: Author | None, offset: float = 1.0) -> Path:
        """Put a version, signed or not."""
        folder = models.put(self.repository, "m", version, models.affine(offset=offset))
        if author is not None:
            author.sign(folder)
        return folder

    def play(self, *scenes: Callable[[Control], Awaitable[None]], **settings: Any) -> None:
        """Run control for each scene, one after another, over the same state directory."""
        given = {"signatures": "require", "signers_file": str(self.signers), **settings}

        async def run(scene: Callable[[Control], Awaitable[None]]) -> None:
            async with running_control(self.repository, ToldWorker(0), **given) as control:
                await scene(control)

        for scene in scenes:
            asyncio.run(run(scene))


@pytest.fixture
def bench(repository: Path) -> Bench:
    """All of it, in a folder of its own."""
    return Bench(repository)


def test_a_signed_version_goes_live_and_others_say_what_they_lack(bench: Bench) -> None:
    """The index names the signer of what is served, and the problem of what is not."""
    bench.put(1, bench.ann)
    bench.put(2, None)
    bench.put(3, bench.eve)
    tampered = bench.put(4, bench.ann)
    (tampered / "model.onnx").write_bytes(models.affine(offset=9.0))

    async def scene(control: Control) -> None:
        one = control.row("m", "1")
        assert (one["state"], one["live"], one["signer"]) == ("READY", True, "ann")
        assert "problem" not in one
        for version, problem in (("2", "unsigned"), ("3", "unknown_signer"), ("4", "tampered")):
            row = control.row("m", version)
            assert (row["state"], row["problem"]) == ("UNAVAILABLE", problem)
            assert row["fix"]
        assert control.catalog.models["m"].versions["4"].verdict is None
        assert control.router.state.is_signed

    bench.play(scene)


def test_a_load_call_says_what_is_wrong_with_the_signature(bench: Bench) -> None:
    """In words and for programs; once it is signed, the same call loads it."""
    folder = bench.put(1, None)

    async def scene(control: Control) -> None:
        with pytest.raises(ModelInvalid) as caught:
            await control.operations.load("m", {})
        assert b'"problem":"unsigned"' in error_answer(caught.value, "r").body

        bench.ann.sign(folder)
        (row,) = await control.operations.load("m", {})
        assert (row["state"], row["signer"]) == ("READY", "ann")

    bench.play(scene)


def test_files_that_change_under_a_signature_change_nothing(bench: Bench) -> None:
    """What was signed is served on, and the row says why the new files are not."""
    folder = bench.put(1, bench.ann)

    async def scene(control: Control) -> None:
        before = control.row("m")["digest"]
        (folder / "model.onnx").write_bytes(models.affine(offset=9.0))
        await control.look()
        row = control.row("m")
        assert (row["state"], row["digest"], row["problem"]) == ("READY", before, "tampered")

    async def after_a_restart(control: Control) -> None:
        assert control.row("m")["state"] == "READY"

    bench.play(scene, after_a_restart)


def test_nothing_is_served_on_trust_when_signatures_are_first_required(bench: Bench) -> None:
    """A version that was served unsigned is not any more, nor is any worker told to load it."""
    bench.put(1, None)

    async def before(control: Control) -> None:
        assert control.row("m")["live"]

    async def after(control: Control) -> None:
        assert control.row("m")["problem"] == "unsigned"
        assert control.router.state.models["m"].versions == {}

    bench.play(before, signatures="off")
    bench.play(after)


def test_what_a_lost_key_has_signed_is_not_served_after_a_restart(bench: Bench) -> None:
    """Its entry is taken out of the file, and nobody vouches for the version any more."""
    bench.put(1, bench.ann)

    async def before(control: Control) -> None:
        assert control.row("m")["live"]
        write_signers(bench.repository.parent, bench.eve)

    async def after(control: Control) -> None:
        row = control.row("m")
        assert (row["state"], row["problem"]) == ("UNAVAILABLE", "unknown_signer")

    bench.play(before, after)
