"""Candidates are compared if their files are those that the release state names."""

from dataclasses import replace
from pathlib import Path

from server.controlplane.known import KnownModel, KnownVersion
from server.controlplane.shadow_plans import Key, plans_of, targets_of
from server.release.route import ReleaseRoute, Shadow
from server.release.shadow_rules import NO_RULES
from server.repository.layout import ModelFolder, VersionFolder
from server.settings import ModelSettings
from server.wire.desired import VersionPlan
from server.wire.record import Content


def known_model(*versions: str, name: str = "m") -> KnownModel:
    """Return a model whose versions have been checked, each with files of its own."""
    model = KnownModel(name, ModelFolder(Path(name), {}, ()))
    for version in versions:
        plan = VersionPlan(
            f"digest-{version}", f"staged/{version}", "", ModelSettings(max_rows=7), True, 0.001
        )
        known = KnownVersion(VersionFolder(Path(version), (), ()), plan=plan)
        known.shadow_rules = NO_RULES
        model.versions[version] = known
    return model


def shadow(version: str, sample_bp: int = 10_000, digest: str = "") -> Shadow:
    return Shadow(version, digest or f"digest-{version}", sample_bp, f"e{version}", 0.0)


def route(*shadows: Shadow, live: str | None = "1") -> dict[str, ReleaseRoute]:
    return {"m": ReleaseRoute("m", 1, live, "digest-1", shadows=shadows)}


def no_range(_: Key) -> None:
    return None


def test_what_is_planned_is_how_to_run_both_versions() -> None:
    """Files, bounds, rules, epochs, and the range of scores where it is known."""
    routes = route(shadow("2"), shadow("3"))
    ranges = {("m", "3", "e3"): (0.0, 1.0)}
    (plan,) = plans_of(routes, {"m": known_model("1", "2", "3")}, (), ranges.get)

    assert (plan.model, plan.rules) == ("m", NO_RULES)
    assert (plan.live.version, plan.live.path, plan.live.max_rows) == ("1", "staged/1", 7)
    found = [(one.runnable.version, one.epoch, one.score_range) for one in plan.candidates]
    assert found == [("2", "e2", None), ("3", "e3", (0.0, 1.0))]
    assert all(one.wants_answers for one in plan.candidates)


def test_answers_of_a_candidate_come_back_if_they_are_kept() -> None:
    """A model that takes no labels needs none."""
    model = known_model("1", "2")
    of_candidate = model.versions["2"].plan
    assert of_candidate is not None
    settings = ModelSettings(feedback_sample_bp=0)
    model.versions["2"].plan = replace(of_candidate, settings=settings)

    (plan,) = plans_of(route(shadow("2")), {"m": model}, (), no_range)
    assert not plan.candidates[0].wants_answers


def test_what_cannot_be_compared_is_left_out() -> None:
    """Other files than were meant, versions that are gone or suspended, and all without a live."""
    models = {"m": known_model("1", "2", "3")}
    routes = route(shadow("2", digest="other"), shadow("3"), shadow("4"))

    (plan,) = plans_of(routes, models, (), no_range)
    assert [one.runnable.version for one in plan.candidates] == ["3"]
    assert not plans_of(routes, models, {("m", "3", "e3")}, no_range)
    assert not plans_of(route(shadow("3"), live=None), models, (), no_range)
    assert not plans_of(routes, {}, (), no_range)
    assert not plans_of(route(), models, (), no_range)


def test_a_live_version_that_has_not_been_checked_here_is_not_compared() -> None:
    """Without its rules, what is to be redacted is not known."""
    model = known_model("1", "2")
    model.versions["1"].shadow_rules = None

    assert not plans_of(route(shadow("2")), {"m": model}, (), no_range)


def test_records_are_mirrored_to_candidates_of_their_version() -> None:
    """Large rows come as often as the candidate wants that wants most; others want less of them."""
    targets = targets_of(route(shadow("2", 500), shadow("3", 2000)) | {"n": ReleaseRoute("n")})

    assert targets.keys() == {("m", "1")}
    assert targets["m", "1"].digest == "digest-1"
    two, three = targets["m", "1"].candidates
    assert (two.share(Content.ROWS), three.share(Content.ROWS)) == (0.05, 0.2)
    assert (two.share(Content.MIRROR), three.share(Content.MIRROR)) == (0.25, 1.0)
