"""Rules of a release that hold whatever is asked of it, in whatever order."""

import contextlib
import inspect
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.operator_errors import ReleaseRefused
from server.release import faults
from server.release import transitions as t
from server.release.candidate import Candidate
from server.release.route import ReleaseRoute, from_json, to_json

BY_VERSION = ["set_live", "promote", "start_shadow", "start_canary", "stop_shadow", "refuse"]
BY_VERSION += ["fail"]
OTHERS = ["rollback", "fall_back", "next_step", "stop_canary"]
OTHERS += ["approve", "hold", "resume", "forgive"]


@dataclass(frozen=True)
class Asked:
    """One change that somebody asks for, sensible or not."""

    action: str
    candidate: Candidate
    steps: tuple[int, ...]
    is_automatic: bool
    override: bool
    needs_approval: bool
    actor: str

    def apply(self, route: ReleaseRoute, now: float) -> ReleaseRoute:
        """Return what follows."""
        change = getattr(faults if self.action in ("fail", "forgive") else t, self.action)
        facts = {
            "candidate": self.candidate,
            "version": self.candidate.version,
            "now_seconds": now,
            "reason": "because",
            "why": "it crashes",
            "steps": self.steps,
            "sample_bp": self.steps[0],
            "override": self.override,
            "approval_of": "ann" if self.needs_approval else None,
            "actor": self.actor,
            "is_automatic": self.is_automatic,
        }
        wanted = inspect.signature(change).parameters
        after: ReleaseRoute = change(
            route, **{name: fact for name, fact in facts.items() if name in wanted}
        )
        return after


CANDIDATES = st.builds(
    Candidate,
    version=st.sampled_from("1234"),
    digest=st.sampled_from(["a" * 64, "b" * 64, "c" * 64, "d" * 64]),
    is_loaded=st.sampled_from([True, True, True, False]),
    problem=st.sampled_from(["", "", "", "torn"]),
    incompatible=st.sampled_from([(), (), ("input 'x' is missing",)]),
    unproven=st.sampled_from([(), (), ("gate 'errors': no data",)]),
)
ASKED = st.lists(
    st.builds(
        Asked,
        action=st.sampled_from([*BY_VERSION, *BY_VERSION, *OTHERS]),
        candidate=CANDIDATES,
        steps=st.lists(st.integers(-1, 10_001), min_size=1, max_size=3, unique=True).map(
            lambda weights: tuple(sorted(weights))
        ),
        is_automatic=st.booleans(),
        override=st.booleans(),
        needs_approval=st.booleans(),
        actor=st.sampled_from(["", "ann", "bob"]),
    ),
    max_size=40,
)
FITTING = Candidate("1", "a" * 64, is_loaded=True)


def check_always(route: ReleaseRoute) -> None:
    """Hold a state to what is true of all states."""
    canary = [route.canary.version] if route.canary else []
    shadows = [one.version for one in route.shadows]
    assert route.live not in (*canary, *shadows, route.previous) or route.live is None
    assert len(set(shadows)) == len(shadows) <= t.MAX_SHADOWS
    assert all(0 <= one.sample_bp <= 10_000 for one in route.shadows)
    if route.canary is not None:
        assert 0 <= route.canary.weight_bp <= 10_000
        assert 0 <= route.canary.step < len(route.canary.steps)
        assert sorted(set(route.canary.steps)) == list(route.canary.steps)
    # Epochs go by generations that have been.
    epochs = [one.epoch for one in route.shadows]
    epochs += [route.canary.epoch] if route.canary else []
    assert all(1 <= int(epoch) <= route.generation for epoch in epochs)
    assert route.live is not None or not (canary or shadows or route.previous)
    assert from_json(to_json(route)) == route


def check_change(before: ReleaseRoute, after: ReleaseRoute, asked: Asked) -> None:
    """Hold a change to what is true of all changes of its kind."""
    assert after.generation == before.generation + 1
    by_itself = asked.is_automatic and asked.action in (
        "promote",
        "start_shadow",
        "start_canary",
        "next_step",
    )
    if by_itself:
        assert not before.held
        assert asked.action == "next_step" or asked.candidate.digest not in before.refused
    if asked.action == "set_live":
        assert asked.candidate.digest not in before.refused
        assert not before.held or before.live in (None, after.live)
    if after.live != before.live:
        assert asked.action in ("set_live", "promote", "rollback", "fall_back")
        assert (after.previous, after.previous_digest) == (before.live, before.live_digest)
        assert after.canary is None
        assert all(one.epoch == str(after.generation) for one in after.shadows)
        if asked.action in ("set_live", "promote"):
            assert asked.candidate.is_loaded
            assert not asked.candidate.problem
        if asked.action == "promote" and (by_itself or not asked.override):
            assert not asked.candidate.incompatible
            assert not asked.candidate.unproven
    if before.held and not after.held:
        assert asked.action == "resume"


@settings(max_examples=150, deadline=None)
@given(ASKED)
def test_rules_hold_whatever_is_asked(changes: list[Asked]) -> None:
    """From the first version on: every state is sound, every change is one that it may be."""
    route = t.set_live(ReleaseRoute("m"), FITTING, now_seconds=0.0)
    for position, asked in enumerate(changes):
        try:
            after = asked.apply(route, float(position))
        except (ReleaseRefused, InvalidRequest):
            continue
        check_change(route, after, asked)
        check_always(after)
        route = after


@settings(max_examples=60, deadline=None)
@given(ASKED)
def test_a_roll_back_is_allowed_in_every_state_that_has_a_previous(changes: list[Asked]) -> None:
    """It swaps the two, drops the canary, keeps the other shadows, and refuses what was live."""
    route = t.set_live(ReleaseRoute("m"), FITTING, now_seconds=0.0)
    for position, asked in enumerate(changes):
        try:
            route = asked.apply(route, float(position))
        except (ReleaseRefused, InvalidRequest):
            continue
        if route.previous is None:
            continue
        back = t.rollback(route, now_seconds=99.0)

        assert (back.live, back.live_digest) == (route.previous, route.previous_digest)
        assert (back.previous, back.previous_digest) == (route.live, route.live_digest)
        assert (back.canary, back.held) == (None, route.held)
        kept = [one.version for one in route.shadows if one.version != back.live]
        assert [one.version for one in back.shadows] == kept
        assert route.live_digest in back.refused
        check_always(back)


@settings(max_examples=40, deadline=None)
@given(ASKED)
def test_what_is_refused_changes_nothing(changes: list[Asked]) -> None:
    """A state is a value: a change that is refused half-way has not begun."""
    route = t.set_live(ReleaseRoute("m"), FITTING, now_seconds=0.0)
    written = to_json(route)
    for asked in changes:
        with contextlib.suppress(ReleaseRefused, InvalidRequest):
            asked.apply(route, 1.0)
        assert to_json(route) == written
