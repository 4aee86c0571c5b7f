"""What operators may ask of control, and what each answer waits for and says."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.controlplane.intents import Intents
from server.controlplane.operations import ready_filter
from server.errors import (
    InvalidRequest,
    ModelInvalid,
    ModelNotFound,
    TidegateError,
    VersionNotFound,
)
from server.operator_errors import LoadTimeout
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control


def _with_control(
    repository: Path,
    use: Callable[[Control], Awaitable[None]],
    *workers: ToldWorker,
    **settings: Any,
) -> None:
    """Run control, with one obedient worker if none is given."""

    async def run() -> None:
        told = workers or (ToldWorker(0),)
        async with running_control(repository, *told, **settings) as control:
            await use(control)

    asyncio.run(run())


async def _refusal(call: Awaitable[object], kind: type[TidegateError]) -> str:
    with pytest.raises(kind) as caught:
        await call
    return str(caught.value)


def test_load_returns_when_every_worker_has_the_model(repository: Path) -> None:
    """A model that appeared a moment ago is live everywhere when the call comes back."""

    async def use(control: Control) -> None:
        models.put(repository, "m", 1, models.affine())
        rows = await control.operations.load("m", {})
        assert [(row["version"], row["state"], row["live"]) for row in rows] == [
            ("1", "READY", True)
        ]

    _with_control(repository, use, ToldWorker(0), ToldWorker(1))


def test_a_version_that_a_worker_cannot_load_fails_the_call(repository: Path) -> None:
    """One worker's failure is the answer, with its reason, and the version before stays live."""

    async def use(control: Control) -> None:
        models.put(repository, "m", 2, models.affine(offset=2))
        text = await _refusal(control.operations.load("m", {}), ModelInvalid)
        assert text == "model 'm' version 2: no memory"
        assert control.row("m", "1")["live"]
        row = control.row("m", "2")
        assert (row["state"], row["fix"]) == ("UNAVAILABLE", "try another")

    models.put(repository, "m", 1, models.affine())
    fails = {("m", "2"): "no memory"}
    _with_control(repository, use, ToldWorker(0), ToldWorker(1, fails=fails))


def test_a_version_that_a_worker_cannot_load_is_tried_once(repository: Path) -> None:
    """A failure is no reason to go round in circles: the next try comes with the next call."""

    async def use(control: Control) -> None:
        assert control.row("m")["reason"] == "no memory"
        generation = control.router.state.generation
        for _ in range(3):
            await control.look()
        assert control.router.state.generation == generation

        await _refusal(control.operations.load("m", {}), ModelInvalid)
        assert control.row("m")["reason"] == "no memory"
        assert control.router.state.models["m"].pending == {"1": False}

        worker.fails = {}
        await control.operations.load("m", {})
        assert control.row("m")["live"]

    worker = ToldWorker(0, fails={("m", "1"): "no memory"})
    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use, worker)


def test_a_worker_that_does_not_follow_is_a_timeout(repository: Path) -> None:
    """Load and unload give up after `load_timeout_seconds` and say that it goes on."""

    async def use(control: Control) -> None:
        text = await _refusal(control.operations.load("m", {}), LoadTimeout)
        assert text.startswith("model 'm' is still being loaded after 0.3 seconds; the index")
        text = await _refusal(control.operations.unload("m"), LoadTimeout)
        assert text == "model 'm' is still being unloaded"

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use, ToldWorker(0, is_obedient=False), load_timeout_seconds=0.3)


def test_wishes_are_on_disk_before_the_call_returns(repository: Path) -> None:
    """What was answered holds after a crash: unloads and overrides are read by the next start."""

    async def use(control: Control) -> None:
        state_dir = control.settings.state_dir
        await control.operations.load("m", {"config": '{"max_batch_size": 7}'})
        assert Intents.read(state_dir).overrides == {"m": {"max_rows": 7}}
        await control.operations.unload("m")
        saved = Intents.read(state_dir)
        assert (saved.unloaded, saved.overrides) == ({"m"}, {})
        await control.operations.load("m", {})
        assert Intents.read(state_dir).unloaded == set()

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use)


def test_unload_empties_the_state_that_workers_are_told(repository: Path) -> None:
    """An unloaded model is in no plan, its row says why, and asking twice is no error."""

    async def use(control: Control) -> None:
        await control.operations.unload("m")
        await control.operations.unload("m")
        assert control.router.state.models == {}
        row = control.row("m")
        assert (row["state"], row["reason"], row["live"]) == (
            "UNAVAILABLE",
            "unloaded by an operator",
            False,
        )

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use)


def test_unknown_models_and_versions(repository: Path) -> None:
    """Every call that names one says that it is not there."""

    async def use(control: Control) -> None:
        operations = control.operations
        for call in (operations.load("x", {}), operations.unload("x")):
            assert await _refusal(call, ModelNotFound) == "model 'x' is not in the repository"
        with pytest.raises(ModelNotFound):
            operations.statistics("x", None)
        with pytest.raises(VersionNotFound, match="model 'm' has no version '9'"):
            operations.statistics("m", "9")

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use)


def test_statistics_are_of_what_is_loaded(repository: Path) -> None:
    """All models, one model or one version: a row for each version that workers have."""

    async def use(control: Control) -> None:
        def names(name: str | None, version: str | None) -> list[tuple[str, str]]:
            rows = control.operations.statistics(name, version)["model_stats"]
            return [(row["name"], row["version"]) for row in rows]

        assert names(None, None) == [("a", "1"), ("b", "2")]
        assert names("b", None) == [("b", "2")]
        assert names("b", "2") == [("b", "2")]
        assert names("b", "1") == []

    models.put(repository, "a", 1, models.affine())
    models.put(repository, "b", 1, models.affine())
    models.put(repository, "b", 2, models.affine(offset=2))
    _with_control(repository, use)


def test_the_index_has_a_row_for_everything(repository: Path) -> None:
    """Good, broken, unselected, empty and misnamed: each has a row, and only the good are ready."""

    async def use(control: Control) -> None:
        rows = {(row["name"], row["version"]): row for row in control.operations.index()}
        assert {key: row["state"] for key, row in rows.items()} == {
            ("bad name", ""): "UNAVAILABLE",
            ("broken", "1"): "UNAVAILABLE",
            ("empty", ""): "UNAVAILABLE",
            ("good", "1"): "UNAVAILABLE",
            ("good", "2"): "READY",
        }
        for key, row in rows.items():
            assert bool(row["reason"]) == (key != ("good", "2"))
        (ready,) = control.operations.index(ready_only=True)
        assert (ready["name"], ready["version"]) == ("good", "2")

    (repository / "bad name").mkdir()
    (repository / "empty").mkdir()
    models.put(repository, "broken", 1, b"rubbish")
    models.put(repository, "good", 1, models.affine())
    models.put(repository, "good", 2, models.affine(offset=2))
    _with_control(repository, use)


def test_the_index_says_where_a_live_version_does_not_answer(repository: Path) -> None:
    """By worker, with the reason; of versions that are not live nobody asks for answers."""
    models.put(repository, "m", 1, models.affine())
    models.put(repository, "m", 2, models.affine())
    why = "it has not answered for 12 seconds"

    async def use(control: Control) -> None:
        rows = {row["version"]: row for row in control.operations.index()}
        assert rows["2"]["unready"] == {"1": why}
        assert "unready" not in rows["1"]

    workers = ToldWorker(0), ToldWorker(1, unready={"m": why})
    _with_control(repository, use, *workers, version_policy="all")


def test_a_model_without_versions_cannot_be_loaded(repository: Path) -> None:
    """The answer says where the model should be put."""

    async def use(control: Control) -> None:
        text = await _refusal(control.operations.load("empty", {}), ModelInvalid)
        assert text == "model 'empty': it has no version: put the model at empty/1/model.onnx"

    (repository / "empty").mkdir()
    _with_control(repository, use)


def test_wrong_settings_of_a_folder_fail_the_call(repository: Path) -> None:
    """A model.toml that cannot be read is named with its line, and what was served stays."""

    async def use(control: Control) -> None:
        (repository / "m" / "model.toml").write_text("\nmax_rows = 0\n")
        text = await _refusal(control.operations.load("m", {}), ModelInvalid)
        assert text.startswith("model 'm': model.toml, line 2: max_rows: ")
        assert control.row("m")["live"]

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use)


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": '{"max_batch_size": 0}'},
        {"config": '{"max_batch_size": true}'},
        {"config": "null"},
        {"config": None},
        {"file:1/model.onnx": "AAAA"},
        {"speed": "high"},
    ],
)
def test_a_wrong_parameter_is_noted_nowhere(repository: Path, parameters: dict[str, Any]) -> None:
    """A call that cannot be followed leaves settings, wishes and files as they were."""

    async def use(control: Control) -> None:
        await _refusal(control.operations.load("m", parameters), InvalidRequest)
        assert control.intents.overrides == {}
        assert Intents.read(control.settings.state_dir).overrides == {}
        assert control.row("m")["reason"] == ""

    models.put(repository, "m", 1, models.affine())
    _with_control(repository, use)


@pytest.mark.parametrize(
    ("body", "is_ready_only"),
    [
        (b"", False),
        (b"  \n", False),
        (b"{}", False),
        (b'{"ready":false}', False),
        (b'{"ready":true}', True),
        (b'{"ready":true,"other":1}', True),
    ],
)
def test_the_filter_of_an_index_request(body: bytes, is_ready_only: bool) -> None:
    """An empty body and a missing member mean every version."""
    assert ready_filter(body) is is_ready_only


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'{"ready":null}', b'{"ready":1}', b"{"])
def test_a_filter_that_cannot_be_read(body: bytes) -> None:
    """Anything but true and false is refused, not guessed."""
    with pytest.raises(InvalidRequest):
        ready_filter(body)


def test_what_a_worker_passes_on_is_answered_under_its_number(repository: Path) -> None:
    """Index and statistics, and errors with their code: callers of the data port ask for them."""
    models.put(repository, "m", 1, models.affine())

    async def use(control: Control) -> None:
        def ask(**question: object) -> dict[str, Any]:
            answer = control.operations.answered(memoryview(orjson.dumps({"number": 7} | question)))
            found: dict[str, Any] = orjson.loads(answer)
            assert found["number"] == 7
            return found

        assert ask(question="index", body="")["answer"][0]["name"] == "m"
        assert ask(question="statistics", model="m")["answer"]["model_stats"][0]["version"] == "1"
        assert ask(question="statistics", model="nobody")["code"] == "model_not_found"

    _with_control(repository, use)
