"""What is known of a version that is to become something."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from server.controlplane.known import KnownModel
from server.controlplane.release_candidates import candidate, check_way_back, other_files
from server.errors import VersionNotFound
from server.operator_errors import ReleaseRefused
from server.release.candidate import Candidate
from server.release.route import Canary, ReleaseRoute
from server.repository.verdict import Verdict
from server.tensors import DATATYPES, Signature, TensorSpec
from server.wire.status import Failure
from tests.support.fake_worker import known
from tests.support.releases import FullFleet

LIVE = ReleaseRoute("m", 1, live="1", live_digest="aa")


def facts(model: KnownModel, version: str = "2") -> Candidate:
    """Return what is known of a version while every worker has everything."""
    return candidate(model, version, LIVE, FullFleet({"m": model}))


def test_a_sound_version_has_nothing_against_it() -> None:
    """It is known, loaded, and the same as the live one to its callers."""
    assert facts(known("m", v1="aa", v2="bb")) == Candidate("2", "bb", is_loaded=True)


def test_an_unknown_version_is_not_found() -> None:
    """The message names model and version."""
    with pytest.raises(VersionNotFound, match="model 'm' has no version '9'"):
        facts(known("m", v1="aa"), "9")


def _fail(model: KnownModel) -> None:
    model.failures["2"] = Failure("bb", "no memory")


def _break(model: KnownModel) -> None:
    model.versions["2"].plan = None
    model.versions["2"].error = "it is torn"


def _check(model: KnownModel) -> None:
    model.versions["2"].plan = None
    model.versions["2"].is_checking = True


def _find(model: KnownModel) -> None:
    model.versions["2"].plan = None


def _unload(model: KnownModel) -> None:
    model.is_unloaded = True


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (_fail, "no memory"),
        (_break, "it is torn"),
        (_check, "it is being checked"),
        (_find, "it has not been checked yet"),
        (_unload, "the model was unloaded by an operator"),
    ],
)
def test_what_keeps_a_version_from_being_served_is_told(
    harm: Callable[[KnownModel], None], problem: str
) -> None:
    """Each cause has its words."""
    model = known("m", v1="aa", v2="bb")
    harm(model)

    assert facts(model).problem == problem


def test_a_failure_of_other_files_is_none_of_these() -> None:
    """New files under the same number get their chance."""
    model = known("m", v1="aa", v2="bb")
    model.failures["2"] = Failure("old", "no memory")

    assert facts(model).problem == ""


def test_tensors_are_held_to_those_of_the_live_version() -> None:
    """What would break callers is named; where either is not known, nothing is said."""
    model = known("m", v1="aa", v2="bb")
    spec = TensorSpec("x", DATATYPES["FP32"], (-1, 3))
    verdict = Verdict(Signature((spec,), ()), True, 0.0, 0, ())
    model.versions["1"].verdict = verdict
    assert facts(model).incompatible == ()

    renamed = Signature((replace(spec, name="z"),), ())
    model.versions["2"].verdict = replace(verdict, signature=renamed)
    assert facts(model).incompatible == ("input 'x' is called 'z'",)


def test_nothing_fits_a_live_version_whose_files_have_changed() -> None:
    """After a restart it is served from its copy, and its tensors are not known: callers may break.

    It has nothing against itself.
    """
    model = known("m", v1="aa", v2="bb")
    model.versions["1"].error = "version '1' is live, with other files"

    words = "it cannot be held to the tensors of version '1', whose files changed"
    assert facts(model).incompatible == (words,)
    assert facts(model, "1").incompatible == ()


def test_there_is_a_way_back_to_what_can_be_served() -> None:
    """A previous version that is broken or gone is no help, and its fault is told."""
    model = known("m", v1="aa", v2="bb")
    fleet = FullFleet({"m": model})
    route = replace(LIVE, previous="2", previous_digest="bb")
    check_way_back(model, LIVE, fleet)
    check_way_back(model, route, fleet)

    model.failures["2"] = Failure("bb", "no memory")
    with pytest.raises(ReleaseRefused, match="version '2' cannot be served: no memory"):
        check_way_back(model, route, fleet)
    with pytest.raises(ReleaseRefused, match="version '3' cannot be served: it is not in the rep"):
        check_way_back(model, replace(route, previous="3"), fleet)


@pytest.mark.parametrize("wait", [_check, _find])
def test_there_is_a_way_back_while_control_starts(wait: Callable[[KnownModel], None]) -> None:
    """What was live before has been served: that it is not checked anew yet says nothing of it."""
    model = known("m", v1="aa", v2="bb")
    fleet = FullFleet({"m": model})
    route = replace(LIVE, previous="2", previous_digest="bb")
    wait(model)
    check_way_back(model, route, fleet)

    model.is_unloaded = True
    with pytest.raises(ReleaseRefused, match="the model was unloaded by an operator"):
        check_way_back(model, route, fleet)


def test_files_that_a_release_names_are_not_replaced_under_their_number() -> None:
    """What was promoted is what answers; new files need a new number, unless all that is new may.

    A previous version is free again when it is not kept any more.
    """
    route = ReleaseRoute(
        "m",
        3,
        live="2",
        live_digest="bb",
        live_since_seconds=100.0,
        previous="1",
        previous_digest="aa",
        canary=Canary("3", "cc", (100,), 0, 0.0, "1", "salt"),
    )
    manual, latest = known("m", v1="aa"), known("m", v1="aa")
    assert manual.setup is not None
    settings = manual.setup.settings
    changed = settings.model_copy(update={"release": "manual", "keep_previous_seconds": 60.0})
    manual.setup = replace(manual.setup, settings=changed)

    for version, digest, part in (
        ("1", "aa", "kept to be rolled back to"),
        ("2", "bb", "live"),
        ("3", "cc", "the canary"),
    ):
        words = f"version '{version}' is {part}, with other files"
        assert other_files(manual, route, version, "new", 150.0) == words
        assert other_files(manual, route, version, digest, 150.0) == ""
        assert other_files(latest, route, version, "new", 150.0) == ""
    assert other_files(manual, route, "4", "new", 150.0) == ""
    assert other_files(manual, route, "1", "new", 160.0) == ""
