"""What follows from each change of a release, and what refuses it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from server.errors import InvalidRequest
from server.operator_errors import ReleaseRefused, StaleGeneration
from server.release import transitions as t
from server.release.candidate import Candidate
from server.release.route import ALL_BP, DEFAULT_STEPS, ReleaseRoute


def version(number: int, **facts: object) -> Candidate:
    """Return a version that nothing is wrong with, but for `facts`."""
    good = Candidate(str(number), f"{number:064x}", is_loaded=True)
    return replace(good, **facts)  # type: ignore[arg-type]


ONE, TWO, THREE = version(1), version(2), version(3)
EMPTY = ReleaseRoute("digits")
FIRST = t.set_live(EMPTY, ONE, now_seconds=100.0)
SECOND = t.promote(FIRST, TWO, now_seconds=200.0, reason="better")
CANARY = t.start_canary(SECOND, THREE, now_seconds=300.0)
FOUR_EYES = t.start_canary(SECOND, THREE, now_seconds=300.0, approval_of="ann")
SHADOWED = t.start_shadow(SECOND, THREE, now_seconds=300.0, sample_bp=2500)
HELD = t.hold(SECOND, reason="a freeze")


def refused(change: Callable[[], ReleaseRoute]) -> list[str]:
    """Return all that is in the way of a change."""
    with pytest.raises(ReleaseRefused) as caught:
        change()
    assert "; ".join(caught.value.missing) in str(caught.value)
    return caught.value.missing


def test_the_first_version_has_no_previous() -> None:
    """What the policy finds first becomes live, and there is nothing to go back to."""
    assert (FIRST.generation, FIRST.live, FIRST.live_digest) == (1, "1", ONE.digest)
    assert (FIRST.live_since_seconds, FIRST.previous) == (100.0, None)
    assert refused(lambda: t.rollback(FIRST, now_seconds=1.0)) == ["there is no previous version"]


def test_a_promotion_keeps_what_was_live() -> None:
    """The version before, with its files, is the one to go back to."""
    assert (SECOND.live, SECOND.previous, SECOND.previous_digest) == ("2", "1", ONE.digest)


def test_a_roll_back_swaps_and_remembers() -> None:
    """The former version answers, and the one that did goes live by nobody but an operator."""
    back = t.rollback(SECOND, now_seconds=400.0, reason="it is wrong")

    assert (back.live, back.previous) == ("1", "2")
    assert back.refused == {TWO.digest: "rolled back: it is wrong"}
    assert refused(lambda: t.set_live(back, TWO, now_seconds=500.0)) == [
        "it was refused: rolled back: it is wrong"
    ]
    again = t.promote(back, TWO, now_seconds=500.0, reason="it was not")
    assert (again.live, again.refused) == ("2", {})


def test_a_roll_back_drops_the_canary_and_keeps_shadows_in_a_new_epoch() -> None:
    """Evidence was about another live version; the shadow itself has done nothing wrong."""
    route = t.start_shadow(CANARY, version(4), now_seconds=310.0)
    back = t.rollback(t.hold(route, reason="look"), now_seconds=400.0)

    assert back.canary is None
    assert [(one.version, one.epoch) for one in back.shadows] == [("4", str(back.generation))]
    assert back.held == "look"


def test_the_previous_version_may_be_shadowed_until_it_is_live_again() -> None:
    """The live version is never its own shadow."""
    route = t.start_shadow(SECOND, ONE, now_seconds=300.0)

    assert t.rollback(route, now_seconds=400.0).shadows == ()


def test_to_fall_back_is_no_verdict() -> None:
    """A version that could not be loaded may come again by itself when it can."""
    route = t.fall_back(SECOND, now_seconds=400.0)

    assert (route.live, route.previous, route.refused) == ("1", "2", {})
    assert t.set_live(route, TWO, now_seconds=500.0).live == "2"


def test_the_policy_waits_while_it_is_held_or_a_canary_runs() -> None:
    """`latest` takes nothing live then, but new files of the live version are a fact."""
    for route, why in ((HELD, "the release is held: a freeze"), (CANARY, "'3' is the canary")):
        (missing,) = refused(lambda route=route: t.set_live(route, version(9), now_seconds=1.0))  # type: ignore[misc]
        assert missing.endswith(why)
        again = t.set_live(route, version(2, digest="f" * 64), now_seconds=1.0)
        assert (again.live, again.live_digest, again.previous) == ("2", "f" * 64, "1")
        assert (again.canary is None) == (route.canary is None)


def test_new_files_of_the_live_version_begin_new_epochs() -> None:
    """What was seen of a candidate was seen beside the old files."""
    route = t.start_shadow(CANARY, version(4), now_seconds=310.0)
    after = t.set_live(route, version(2, digest="f" * 64), now_seconds=400.0)

    assert after.canary is not None
    assert {after.canary.epoch, after.shadows[0].epoch} == {str(after.generation)}
    assert after.canary.salt == CANARY.canary.salt  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("candidate", "missing"),
    [
        (TWO, ["it is live"]),
        (version(3, is_loaded=False), ["it is not loaded by every worker"]),
        (
            version(3, is_loaded=False, problem="it is torn"),
            ["it cannot be served: it is torn"],
        ),
        (version(3, incompatible=("input 'x' is missing",)), ["input 'x' is missing"]),
        (version(3, unproven=("gate 'errors': no data",)), ["gate 'errors': no data"]),
        (
            version(3, is_loaded=False, incompatible=("a", "b"), unproven=("c",)),
            ["it is not loaded by every worker", "a", "b", "c"],
        ),
    ],
)
def test_what_is_not_fit_is_not_promoted(candidate: Candidate, missing: list[str]) -> None:
    """All that is missing is said at once."""
    assert missing == refused(
        lambda: t.promote(SECOND, candidate, now_seconds=300.0, reason="hope")
    )


def test_an_operator_overrides_judgement_and_not_facts() -> None:
    """Unproven and incompatible may be wanted; what is not loaded cannot answer."""
    odd = version(3, incompatible=("a",), unproven=("b",))
    promote = t.promote(SECOND, odd, now_seconds=300.0, reason="wanted", override=True)
    assert promote.live == "3"

    unloaded = replace(odd, is_loaded=False)
    assert refused(
        lambda: t.promote(SECOND, unloaded, now_seconds=300.0, reason="wanted", override=True)
    ) == ["it is not loaded by every worker"]
    assert refused(
        lambda: t.promote(
            SECOND, odd, now_seconds=300.0, reason="gates", override=True, is_automatic=True
        )
    ) == ["a", "b"]


def test_a_promotion_says_why() -> None:
    """Whoever reads the history a year later wants to know."""
    for reason in ("", "  "):
        with pytest.raises(InvalidRequest, match="reason: expected a text that says why"):
            t.promote(SECOND, THREE, now_seconds=1.0, reason=reason)


def test_what_was_refused_or_is_held_goes_on_by_an_operator_only() -> None:
    """Nothing automatic touches either; an operator may do anything."""
    down = t.rollback(SECOND, now_seconds=300.0)
    words = ["it was refused: rolled back"]
    assert words == refused(
        lambda: t.promote(down, TWO, now_seconds=1.0, reason="r", is_automatic=True)
    )
    assert words == refused(lambda: t.start_shadow(down, TWO, now_seconds=1.0, is_automatic=True))
    assert words == refused(lambda: t.start_canary(down, TWO, now_seconds=1.0, is_automatic=True))
    assert t.start_canary(down, TWO, now_seconds=1.0).canary is not None
    assert t.start_shadow(down, TWO, now_seconds=1.0).shadows

    held = t.hold(CANARY, reason="odd")
    words = ["the release is held: odd"]
    assert words == refused(lambda: t.next_step(held, now_seconds=1.0, is_automatic=True))
    assert words == refused(
        lambda: t.promote(held, THREE, now_seconds=1.0, reason="r", is_automatic=True)
    )
    assert t.next_step(held, now_seconds=1.0).generation == held.generation + 1
    assert t.promote(held, THREE, now_seconds=1.0, reason="r").held == "odd"


def test_an_operators_trial_of_what_was_refused_does_not_let_the_policy_have_it() -> None:
    """To shadow a version that was rolled back must not make it live at the next look."""
    down = t.rollback(SECOND, now_seconds=300.0)
    route = t.start_shadow(down, TWO, now_seconds=310.0)

    assert refused(lambda: t.set_live(route, TWO, now_seconds=320.0))


def test_a_shadow_is_counted_in_an_epoch_of_its_own() -> None:
    """It begins with the start; another sampling fraction does not change what is compared."""
    (shadow,) = SHADOWED.shadows
    assert (shadow.version, shadow.sample_bp, shadow.since_seconds) == ("3", 2500, 300.0)
    assert shadow.epoch == str(SHADOWED.generation)

    (more,) = t.start_shadow(SHADOWED, THREE, now_seconds=400.0, sample_bp=ALL_BP).shadows
    assert more == replace(shadow, sample_bp=ALL_BP)

    other = version(3, digest="f" * 64)
    again = t.start_shadow(SHADOWED, other, now_seconds=400.0)
    assert [(one.digest, one.epoch) for one in again.shadows] == [("f" * 64, str(again.generation))]


@pytest.mark.parametrize(
    ("route", "candidate", "missing"),
    [
        (EMPTY, ONE, ["there is no live version to compare it with"]),
        (SECOND, TWO, ["it is live"]),
        (SECOND, version(3, problem="torn"), ["it cannot be served: torn"]),
        (SECOND, version(3, incompatible=("output 'y' is missing",)), ["output 'y' is missing"]),
    ],
)
def test_what_cannot_be_compared_is_no_candidate(
    route: ReleaseRoute, candidate: Candidate, missing: list[str]
) -> None:
    """Neither as a shadow nor as a canary, whatever an operator says."""
    assert missing == refused(lambda: t.start_shadow(route, candidate, now_seconds=1.0))
    assert missing == refused(lambda: t.start_canary(route, candidate, now_seconds=1.0))


def test_a_shadow_need_not_be_loaded_by_workers_and_a_canary_must() -> None:
    """Shadows run in a process of their own."""
    waiting = version(3, is_loaded=False)

    assert t.start_shadow(SECOND, waiting, now_seconds=1.0).shadows
    assert refused(lambda: t.start_canary(SECOND, waiting, now_seconds=1.0)) == [
        "it is not loaded by every worker"
    ]


def test_there_are_so_many_shadows_and_no_more() -> None:
    """Each costs as much as the live version; one that is there may still be changed."""
    route = SECOND
    for number in range(t.MAX_SHADOWS):
        route = t.start_shadow(route, version(10 + number), now_seconds=1.0)

    assert refused(lambda: t.start_shadow(route, version(99), now_seconds=1.0)) == [
        "there are 4 shadows, which is the limit"
    ]
    changed = t.start_shadow(route, version(10), now_seconds=1.0, sample_bp=1)
    assert len(changed.shadows) == t.MAX_SHADOWS


def test_a_canary_goes_up_its_steps() -> None:
    """Each has its time; the salt stays, so that users move one way only."""
    assert CANARY.canary is not None
    route, weights = CANARY, [CANARY.canary.weight_bp]
    for moment in (400.0, 500.0, 600.0):
        route = t.next_step(route, now_seconds=moment)
        assert route.canary is not None
        assert (route.canary.step_since_seconds, route.canary.salt) == (moment, CANARY.canary.salt)
        weights.append(route.canary.weight_bp)

    assert tuple(weights) == DEFAULT_STEPS
    assert refused(lambda: t.next_step(route, now_seconds=700.0)) == [
        "version '3' is at its last step"
    ]
    assert t.promote(route, THREE, now_seconds=700.0, reason="proven").canary is None


def test_each_canary_begins_with_other_users() -> None:
    """The salt is another one, so that the same users are not always the first."""
    again = t.start_canary(t.stop_canary(CANARY), THREE, now_seconds=1.0)

    assert again.canary is not None
    assert CANARY.canary is not None
    assert again.canary.salt != CANARY.canary.salt


def test_there_is_one_canary_and_it_is_named() -> None:
    """A second one, or the promotion of another version, is told of the first."""
    words = ["version '3' is the canary"]

    assert words == refused(lambda: t.start_canary(CANARY, version(4), now_seconds=1.0))
    assert words == refused(lambda: t.promote(CANARY, version(4), now_seconds=1.0, reason="r"))
    assert words == refused(lambda: t.start_canary(CANARY, THREE, now_seconds=1.0))


def test_a_canary_whose_files_have_changed_is_not_promoted() -> None:
    """What was tried is not what would become live."""
    other = version(3, digest="f" * 64)

    assert refused(
        lambda: t.promote(CANARY, other, now_seconds=1.0, reason="r", override=True)
    ) == ["its files are not those that the canary began with"]


def test_a_second_person_approves() -> None:
    """Nobody promotes without it, with or without override, and nobody approves twice."""
    words = ["someone other than ann must approve"]
    for override in (False, True):
        assert words == refused(
            lambda override=override: t.promote(  # type: ignore[misc]
                FOUR_EYES, THREE, now_seconds=1.0, reason="r", override=override
            )
        )
    assert words == refused(lambda: t.approve(FOUR_EYES, actor="ann"))
    assert words == refused(lambda: t.approve(FOUR_EYES, actor=""))

    approved = t.approve(FOUR_EYES, actor="bob")
    assert t.promote(approved, THREE, now_seconds=1.0, reason="r").live == "3"
    assert refused(lambda: t.approve(approved, actor="cid")) == ["version '3' was approved by bob"]
    assert refused(lambda: t.approve(CANARY, actor="bob")) == ["version '3' needs no approval"]
    assert refused(lambda: t.approve(SECOND, actor="bob")) == ["there is no canary"]


def test_what_an_operator_stops_does_not_begin_again_by_itself() -> None:
    """Else the controller would start it anew a second later."""
    for route in (
        t.stop_canary(CANARY, reason="enough"),
        t.stop_shadow(SHADOWED, "3", reason="enough"),
    ):
        assert (route.canary, route.shadows) == (None, ())
        assert route.refused == {THREE.digest: "stopped by an operator: enough"}
    assert refused(lambda: t.stop_canary(SECOND)) == ["there is no canary"]
    assert refused(lambda: t.stop_shadow(SECOND, "3")) == ["it is no shadow"]


def test_a_candidate_that_fails_is_refused_in_all_its_parts() -> None:
    """Canary and shadow end together; other candidates, and the route, go on."""
    route = t.start_shadow(t.start_shadow(CANARY, THREE, now_seconds=1.0), ONE, now_seconds=1.0)
    after = t.refuse(route, "3", reason="gate 'errors' failed")

    assert (after.canary, [one.version for one in after.shadows]) == (None, ["1"])
    assert (after.refused, after.held) == ({THREE.digest: "gate 'errors' failed"}, "")
    assert t.refuse(after, "1", reason="r").shadows == ()
    assert t.refuse(CANARY, "3", reason="r").canary is None
    assert refused(lambda: t.refuse(after, "3", reason="r")) == ["it is neither canary nor shadow"]


def test_what_is_refused_is_bounded() -> None:
    """The newest refusals are remembered."""
    route = SECOND
    for number in range(10, 10 + 120):
        route = t.start_shadow(route, version(number), now_seconds=1.0)
        route = t.refuse(route, str(number), reason="no")

    assert list(route.refused) == [version(number).digest for number in range(30, 130)]


def test_after_a_hold_time_starts_anew() -> None:
    """What was held for taking too long is not held again at once."""
    route = t.hold(t.start_shadow(CANARY, ONE, now_seconds=300.0), reason="no data for a day")
    assert refused(lambda: t.hold(route, reason="again")) == [
        "the release is held: no data for a day"
    ]

    after = t.resume(route, now_seconds=900.0)
    assert after.canary is not None
    assert (after.held, after.canary.step_since_seconds) == ("", 900.0)
    assert [one.since_seconds for one in after.shadows] == [900.0]
    assert after.canary.epoch == CANARY.canary.epoch  # type: ignore[union-attr]
    assert refused(lambda: t.resume(after, now_seconds=1.0)) == ["it is not held"]


def test_whoever_looked_at_another_generation_is_told() -> None:
    """Both numbers are named; who names none is not held to any."""
    t.expect(SECOND, None)
    t.expect(SECOND, 2)
    with pytest.raises(StaleGeneration, match="is at generation 2, expected 1"):
        t.expect(SECOND, 1)
