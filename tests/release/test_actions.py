"""Each verb leads to its change, and to no change that nobody wants."""

from dataclasses import replace

import pytest

from server.errors import InvalidRequest
from server.operator_errors import ReleaseRefused
from server.release.actions import (
    AUTOMATIC,
    NEEDS_CANDIDATE,
    NEEDS_VERSION,
    Action,
    Asked,
    Verb,
    carry_out,
    passing_over,
    refuse_second_rollback,
)
from server.release.candidate import Candidate
from server.release.route import Canary, ReleaseRoute, Shadow

ASKED = Asked("ann", "because", 50.0)
CANDIDATE = Candidate("3", "cc", is_loaded=True)
ROUTE = ReleaseRoute(
    "m", 4, live="2", live_digest="bb", previous="1", previous_digest="aa", live_since_seconds=9.0
)
CANARY = Canary("3", "cc", (100, 500), 0, 9.0, "4", "m/4", needs_approval=True, requested_by="bob")
ROUTES = {
    Verb.NEXT_STEP: ReleaseRoute("m", 4, live="2", live_digest="bb", canary=CANARY),
    Verb.STOP_CANARY: ReleaseRoute("m", 4, live="2", live_digest="bb", canary=CANARY),
    Verb.APPROVE: ReleaseRoute("m", 4, live="2", live_digest="bb", canary=CANARY),
    Verb.REFUSE: ReleaseRoute("m", 4, live="2", live_digest="bb", canary=CANARY),
    Verb.STOP_SHADOW: ReleaseRoute(
        "m", 4, live="2", live_digest="bb", shadows=(Shadow("3", "cc", 100, "4", 9.0),)
    ),
    Verb.RESUME: ReleaseRoute("m", 4, live="2", live_digest="bb", held="wait"),
}


@pytest.mark.parametrize("verb", Verb)
def test_each_verb_has_its_change(verb: Verb) -> None:
    """Whatever is asked where it may be, the next generation follows."""
    action = Action(verb, "3" if verb in NEEDS_VERSION else None)
    candidate = CANDIDATE if verb in NEEDS_CANDIDATE else None

    after = carry_out(ROUTES.get(verb, ROUTE), action, candidate, ASKED)

    assert after.generation == 5


@pytest.mark.parametrize("verb", sorted(NEEDS_VERSION))
def test_a_change_of_a_version_names_it(verb: Verb) -> None:
    """Nobody guesses which version was meant."""
    with pytest.raises(InvalidRequest, match="version: expected the number of a version"):
        carry_out(ROUTE, Action(verb), CANDIDATE, ASKED)


def test_what_goes_with_a_verb_reaches_the_change() -> None:
    """Shares, steps, approvals and overrides are those of the action."""
    shadow = carry_out(ROUTE, Action(Verb.START_SHADOW, "3", sample_bp=250), CANDIDATE, ASKED)
    assert shadow.shadows[0].sample_bp == 250

    action = Action(Verb.START_CANARY, "3", steps=(7, 70), needs_approval=True)
    canary = carry_out(ROUTE, action, CANDIDATE, ASKED).canary
    assert canary is not None
    assert (canary.weight_bp, canary.requested_by, canary.needs_approval) == (7, "ann", True)

    unproven = Candidate("3", "cc", is_loaded=True, unproven=("gate 'errors' has not passed",))
    with pytest.raises(ReleaseRefused, match="gate 'errors'"):
        carry_out(ROUTE, Action(Verb.PROMOTE, "3"), unproven, ASKED)
    overridden = Action(Verb.PROMOTE, "3", override=True)
    assert carry_out(ROUTE, overridden, unproven, ASKED).live == "3"
    with pytest.raises(ReleaseRefused, match="gate 'errors'"):
        carry_out(ROUTE, overridden, unproven, Asked(AUTOMATIC, "why not", 50.0))


def test_every_reason_has_its_bound() -> None:
    """A reason goes into the audit for good, also where none is needed."""
    with pytest.raises(InvalidRequest, match="reason: expected at most"):
        carry_out(ROUTE, Action(Verb.ROLLBACK), None, Asked("ann", "x" * 501, 50.0))


def test_a_second_roll_back_is_refused() -> None:
    """It would bring back the version that the first one has taken away."""
    refuse_second_rollback(ROUTE)
    after = carry_out(ROUTE, Action(Verb.ROLLBACK), None, ASKED)
    assert (after.live, after.previous) == ("1", "2")

    with pytest.raises(ReleaseRefused, match="version '1' is live") as refusal:
        refuse_second_rollback(after)
    assert refusal.value.missing == ["version '2' was rolled back: because"]


def test_what_an_operator_passes_over_is_refused() -> None:
    """Newer versions do not come by themselves when an operator has chosen an older one."""
    after = passing_over(ROUTE, ["bb", "cc"])

    assert after.generation == ROUTE.generation
    assert after.refused == {"cc": "passed over: an operator promoted version '2'"}
    assert passing_over(after, ["cc"]) == after


def test_what_was_refused_for_another_reason_can_be_rolled_back_to() -> None:
    """A promotion of an older version is undone as any other is, and so is a stopped trial."""
    promoted = carry_out(ROUTE, Action(Verb.PROMOTE, "1"), Candidate("1", "aa", True), ASKED)
    route = passing_over(promoted, ["bb"])

    refuse_second_rollback(route)
    assert carry_out(route, Action(Verb.ROLLBACK), None, ASKED).live == "2"
    refuse_second_rollback(replace(ROUTE, refused={"aa": "stopped by an operator"}))
