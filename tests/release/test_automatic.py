"""What follows by itself: one walk from new to live, and what never happens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.release.actions import AUTOMATIC, NEEDS_CANDIDATE, Action, Asked, Verb, carry_out
from server.release.automatic import Decision, Newcomer, Situation, next_decision
from server.release.candidate import Candidate
from server.release.checks import MAX_REASON_LENGTH
from server.release.gate_settings import CanarySettings, GateSettings
from server.release.gates import Reading, Report, Verdict
from server.release.route import Canary, ReleaseRoute, Shadow
from server.settings import ReleaseMode

NOW = 1_000_000.0
LIVE = ReleaseRoute("m", 3, live="1", live_digest="d1", live_since_seconds=0.0)
GATES = GateSettings(min_seconds=10.0, max_seconds=100.0)
STEPS = CanarySettings(
    steps=(100, 5000), min_seconds=10.0, min_requests=50, max_seconds=100.0, bake_seconds=60.0
)
BASE = Situation("automatic", GATES, STEPS)


def report(verdict: Verdict, *, blames: bool = True) -> Report:
    """Return what one gate says."""
    return Report((Reading("errors", verdict, reason="why", blames_candidate=blames),))


PASS, FAIL, OPEN, NO_DATA = map(
    report, (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NO_DATA)
)
DOUBT = report(Verdict.FAIL, blames=False)


def shadow(since: float = NOW) -> Shadow:
    return Shadow("2", "d2", 10_000, "4", since)


def canary(since: float = NOW, step: int = 0) -> Canary:
    return Canary("2", "d2", (100, 5000), step, since, "5", "salt")


def verb_of(decision: Decision | None) -> Verb | None:
    return None if decision is None else decision.action.verb


def after(route: ReleaseRoute, situation: Situation, now: float = NOW) -> Verb | None:
    return verb_of(next_decision(route, situation, now))


def test_a_good_version_goes_all_the_way_by_itself() -> None:
    """Shadow, each step of the canary, live; each only after its time and its requests."""
    route, now, seen = LIVE, NOW, []
    situation = replace(
        BASE, newcomer=Newcomer("2", "d2"), shadows={"2": PASS}, canary=PASS, canary_requests=50
    )
    candidate = Candidate("2", "d2", is_loaded=True)
    for _ in range(60):
        decision = next_decision(route, situation, now)
        if decision is not None:
            needs = decision.action.verb in NEEDS_CANDIDATE
            asked = Asked(AUTOMATIC, decision.reason, now)
            route = carry_out(route, decision.action, candidate if needs else None, asked)
            seen.append((decision.action.verb, now - NOW))
        now += 1.0

    assert seen == [
        (Verb.START_SHADOW, 0.0),
        (Verb.START_CANARY, 10.0),
        (Verb.NEXT_STEP, 20.0),
        (Verb.PROMOTE, 30.0),
    ]
    assert (route.live, route.previous, route.canary) == ("2", "1", None)


def test_a_shadow_that_fails_is_refused_and_the_reason_says_why() -> None:
    """It does not come again."""
    route = replace(LIVE, shadows=(shadow(),))
    decision = next_decision(route, replace(BASE, shadows={"2": FAIL}), NOW)

    assert decision == Decision(Action(Verb.REFUSE, "2"), "shadow '2': errors: fail; why")
    refused = replace(LIVE, refused={"d2": "why"})
    assert after(refused, replace(BASE, newcomer=Newcomer("2", "d2"))) is None


@pytest.mark.parametrize("mode", ["latest", "manual", "automatic"])
def test_a_canary_that_fails_is_ended_in_every_mode(mode: ReleaseMode) -> None:
    """Whoever started it; it hurts real requests."""
    route = replace(LIVE, canary=canary())

    assert after(route, replace(BASE, mode=mode, canary=FAIL)) is Verb.REFUSE
    assert after(route, replace(BASE, mode=mode, canary=DOUBT)) is Verb.HOLD


@pytest.mark.parametrize("mode", ["latest", "manual"])
def test_in_other_modes_only_steps_go_on_by_themselves(mode: ReleaseMode) -> None:
    """To begin and to promote are an operator's, and a shadow hurts nobody."""
    situation = replace(
        BASE,
        mode=mode,
        newcomer=Newcomer("2", "d2"),
        shadows={"2": PASS},
        canary=PASS,
        canary_requests=50,
    )

    assert after(LIVE, situation) is None
    assert after(replace(LIVE, shadows=(shadow(),)), situation, NOW + 50.0) is None
    assert (
        after(replace(LIVE, shadows=(shadow(),)), replace(situation, shadows={"2": FAIL})) is None
    )
    assert after(replace(LIVE, canary=canary()), situation, NOW + 10.0) is Verb.NEXT_STEP
    assert after(replace(LIVE, canary=canary(step=1)), situation, NOW + 500.0) is None


def test_a_step_takes_its_time_and_its_requests() -> None:
    """Both, however clear the gates are; a clock that steps back lengthens it."""
    route = replace(LIVE, canary=canary())
    situation = replace(BASE, canary=PASS, canary_requests=50)

    assert after(route, situation, NOW + 9.9) is None
    assert after(route, replace(situation, canary_requests=49), NOW + 50.0) is None
    assert after(route, situation, NOW - 500.0) is None
    assert after(route, situation, NOW + 10.0) is Verb.NEXT_STEP


@pytest.mark.parametrize("undecided", [OPEN, NO_DATA, Report()])
def test_what_is_not_proven_in_time_is_held(undecided: Report) -> None:
    """Not promoted, not rolled back: a person looks, and is told what is missing."""
    trying = replace(LIVE, canary=canary())
    watching = replace(LIVE, shadows=(shadow(),))

    assert after(trying, replace(BASE, canary=undecided), NOW + 99.0) is None
    assert after(trying, replace(BASE, canary=undecided, canary_requests=50), NOW + 100.0) is (
        Verb.HOLD
    )
    assert after(watching, replace(BASE, shadows={"2": undecided}), NOW + 99.0) is None
    assert after(watching, replace(BASE, shadows={"2": undecided}), NOW + 100.0) is Verb.HOLD
    held = next_decision(trying, replace(BASE, canary=PASS, canary_requests=3), NOW + 100.0)
    assert held is not None
    assert held.reason == "step 1 of 2 of canary '2': 3 of 50 requests in 100 s"


def test_a_second_person_is_waited_for_and_gates_go_on_meanwhile() -> None:
    """A canary that begins to fail while it waits is ended all the same."""
    waiting = replace(LIVE, canary=replace(canary(step=1), needs_approval=True))
    situation = replace(BASE, canary=PASS, canary_requests=50)
    agreed = replace(LIVE, canary=replace(canary(step=1), needs_approval=True, approved_by="ann"))

    assert after(waiting, situation, NOW + 1000.0) is None
    assert after(waiting, replace(situation, canary=FAIL), NOW + 1000.0) is Verb.REFUSE
    assert after(agreed, situation, NOW + 1000.0) is Verb.PROMOTE


def test_a_promotion_is_undone_if_requests_fail_soon_after() -> None:
    """Within the time for it, and only what was promoted by itself has such gates."""
    route = replace(LIVE, live_since_seconds=NOW, previous="0", previous_digest="d0")

    assert after(route, replace(BASE, live=FAIL), NOW + 60.0) is Verb.ROLLBACK
    assert after(route, replace(BASE, live=FAIL), NOW + 61.0) is None
    assert after(route, replace(BASE, live=OPEN), NOW + 1.0) is None
    assert after(replace(route, previous=None), replace(BASE, live=FAIL), NOW + 1.0) is None


def test_one_version_is_finished_before_the_next_begins() -> None:
    """Else a stream of new versions would let none of them through."""
    situation = replace(BASE, newcomer=Newcomer("3", "d3"))

    begun = next_decision(LIVE, replace(situation, gates=GateSettings(sample_bp=700)), NOW)
    assert begun == Decision(Action(Verb.START_SHADOW, "3", sample_bp=700), "a new version")
    assert after(replace(LIVE, shadows=(shadow(),)), situation) is None
    assert after(replace(LIVE, canary=canary()), situation) is None


def test_a_long_reason_is_cut() -> None:
    """The release state takes only so much."""
    many = Report(tuple(Reading("errors", Verdict.FAIL, reason="x" * 90) for _ in range(9)))
    decision = next_decision(
        replace(LIVE, shadows=(shadow(),)), replace(BASE, shadows={"2": many}), NOW
    )

    assert decision is not None
    assert len(decision.reason) == MAX_REASON_LENGTH


reports = st.sampled_from([PASS, FAIL, OPEN, NO_DATA, DOUBT, Report()])
situations = st.builds(
    Situation,
    st.sampled_from(["latest", "manual", "automatic"]),
    st.just(GATES),
    st.just(STEPS),
    newcomer=st.none() | st.builds(Newcomer, st.sampled_from("123"), st.sampled_from(["d2", "d3"])),
    shadows=st.dictionaries(st.sampled_from("23"), reports),
    canary=reports,
    canary_requests=st.integers(0, 100),
    live=reports,
)
times = st.floats(NOW - 300.0, NOW + 300.0)
routes = st.builds(
    ReleaseRoute,
    st.just("m"),
    live=st.none() | st.just("1"),
    live_digest=st.just("d1"),
    live_since_seconds=times,
    previous=st.none() | st.just("0"),
    canary=st.none() | st.builds(canary, times, st.integers(0, 1)),
    shadows=st.lists(st.builds(shadow, times), max_size=1).map(tuple),
    held=st.sampled_from(["", "a person looks"]),
    refused=st.sampled_from([{}, {"d2": "no"}, {"d3": "no"}]),
)


@given(routes, situations, times)
def test_what_never_happens(route: ReleaseRoute, situation: Situation, now: float) -> None:
    """In no state: what is held moves, what is not proven goes on, what fails is promoted."""
    decision = next_decision(route, situation, now)
    if decision is None:
        return
    verb, version = decision.action.verb, decision.action.version

    assert not route.held
    assert route.live is not None
    assert 0 < len(decision.reason) <= MAX_REASON_LENGTH
    if verb in (Verb.PROMOTE, Verb.NEXT_STEP):
        assert situation.canary.verdict is Verdict.PASS
        assert route.canary is not None
        assert version in (None, route.canary.version)
    if verb is Verb.PROMOTE:
        assert situation.mode == "automatic"
    if verb is Verb.START_CANARY:
        assert situation.shadows["2"].verdict is Verdict.PASS
        assert route.canary is None
    if verb is Verb.START_SHADOW:
        assert situation.newcomer is not None
        assert situation.newcomer.digest not in route.refused
        assert version not in (None, route.live)
    if verb is Verb.REFUSE:
        assert FAIL in (situation.canary, *situation.shadows.values())
    if verb is Verb.ROLLBACK:
        assert situation.live.verdict is Verdict.FAIL
        assert route.previous is not None
