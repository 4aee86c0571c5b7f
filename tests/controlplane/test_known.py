"""What is said of a version: its state, the reason, and what would help."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.controlplane.known import KnownModel, KnownVersion, describe
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.policy import NO_ROUTE, Route
from server.repository.verdict import Verdict
from server.settings import ModelSettings
from server.tensors import Signature
from server.wire.desired import VersionPlan
from server.wire.status import Failure

DIGEST = "d" * 64


def _model(*versions: str, live: str | None = "1") -> KnownModel:
    """Return a model whose versions were all checked, and one of which is live."""
    model = KnownModel("m", ModelFolder(Path("m"), {}, ()), setup=ModelSetup(ModelSettings()))
    for version in versions:
        plan = VersionPlan(DIGEST, "", "", ModelSettings(), is_batched=True, batch_seconds=0.0)
        verdict = Verdict(Signature((), ()), True, 0.0, 0, ())
        folder = VersionFolder(Path(version), (), ())
        model.versions[version] = KnownVersion(folder, plan=plan, verdict=verdict)
    model.route = Route(live, frozenset({live})) if live else NO_ROUTE
    return model


def _unchecked(model: KnownModel) -> None:
    model.versions["1"].plan = None


def _checking(model: KnownModel) -> None:
    _unchecked(model)
    model.versions["1"].is_checking = True


def _broken(model: KnownModel) -> None:
    _unchecked(model)
    model.versions["1"].error, model.versions["1"].fix = "torn", "mend it"


def _spoilt(model: KnownModel) -> None:
    model.versions["1"].error, model.versions["1"].fix = "torn", "mend it"


def _misconfigured(model: KnownModel) -> None:
    model.setup_error, model.setup_fix = "bad line", "mend the file"


def _unloaded(model: KnownModel) -> None:
    model.is_unloaded = True


def _unselected(model: KnownModel) -> None:
    model.route = NO_ROUTE


def _gone(model: KnownModel) -> None:
    model.versions["1"].is_gone = True


@pytest.mark.parametrize(
    ("change", "state", "reason", "fix"),
    [
        (lambda _: None, "READY", "", None),
        (_unchecked, "UNAVAILABLE", "it has not been checked yet", None),
        (_checking, "LOADING", "it is being checked", None),
        (_broken, "UNAVAILABLE", "torn", "mend it"),
        (_spoilt, "READY", "its files have changed and cannot be served: torn", "mend it"),
        (
            _misconfigured,
            "READY",
            "its files have changed and cannot be served: bad line",
            "mend the file",
        ),
        (
            _unloaded,
            "UNAVAILABLE",
            "unloaded by an operator",
            "load it again with a load call",
        ),
        (_unselected, "UNAVAILABLE", "the version policy 'latest:1' does not load it", None),
        (_gone, "READY", "its files are gone; it answers until another version can", None),
    ],
)
def test_each_state_has_its_reason(
    change: Callable[[KnownModel], None], state: str, reason: str, fix: str | None
) -> None:
    """Whatever has happened to a version, one row says what, why and what would help."""
    model = _model("1")
    change(model)

    row = describe(model, "1", {("1", DIGEST)}, {}, is_live=True)

    assert (row["state"], row["reason"], row.get("fix")) == (state, reason, fix)


def test_a_version_is_ready_when_every_worker_has_these_files() -> None:
    """A worker that still has other files under the same number keeps it loading."""
    row = describe(_model("1"), "1", {("1", "e" * 64)}, {}, is_live=True)

    assert (row["state"], row["reason"]) == ("LOADING", "workers are loading it")


def test_a_workers_failure_is_told_for_the_files_it_is_about() -> None:
    """A failure with another digest belongs to files that are not there any more."""
    about_these = {"1": Failure(DIGEST, "no memory", "buy some")}
    about_others = {"1": Failure("e" * 64, "no memory", "buy some")}

    told = describe(_model("1"), "1", set(), about_these, is_live=False)
    other = describe(_model("1"), "1", {("1", DIGEST)}, about_others, is_live=False)

    assert (told["state"], told["reason"], told["fix"]) == ("UNAVAILABLE", "no memory", "buy some")
    assert (other["state"], other["reason"]) == ("READY", "")


def test_warnings_of_settings_and_of_the_check_are_told() -> None:
    """A row carries what is odd about a version that is served all the same."""
    model = _model("1")
    model.setup = ModelSetup(ModelSettings(), warnings=("a setting has no effect",))
    model.versions["1"].verdict = Verdict(Signature((), ()), False, 0.0, 0, ("unbatched",))

    row = describe(model, "1", set(), {}, is_live=False)

    assert row["warnings"] == ["a setting has no effect", "unbatched"]


def test_what_is_gone_is_forgotten_when_it_does_not_answer() -> None:
    """Only the live version outlives its files, and only while another may follow it."""
    model = _model("1", "2", "3", live="3")
    for version in ("2", "3"):
        model.versions[version].is_gone = True

    model.forget_gone(None)
    assert set(model.versions) == {"1", "3"}
    assert model.selected() == ["1"]

    model.versions["1"].plan = None  # Nothing can follow any more.
    model.forget_gone(None)
    assert set(model.versions) == {"1"}


def test_what_is_gone_waits_for_a_check() -> None:
    """A renamed version answers from its old copy until the new folder has been checked."""
    model = _model("1", "2", live="1")
    model.versions["1"].is_gone = True
    model.versions["2"].plan = None
    model.versions["2"].is_checking = True

    model.forget_gone(None)

    assert set(model.versions) == {"1", "2"}
