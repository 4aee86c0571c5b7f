"""When a version that crashes is taken out, and what that makes of the release."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.release import faults
from server.release.actions import Action, Asked, Verb, carry_out
from server.release.candidate import Candidate
from server.release.route import Canary, ReleaseRoute, Shadow

BAD = Candidate("3", "d3", is_loaded=True)
LIVE = ReleaseRoute("m", 7, "3", "d3", 100.0, "2", "d2")
ASKED = Asked("system", "3 crashes within 120 seconds", 200.0)


def test_a_failed_version_is_refused_and_stays_live_until_another_can_take_over() -> None:
    """Who is live is changed when the next one is ready, which is not known here."""
    after = carry_out(LIVE, Action(Verb.FAIL, "3"), BAD, ASKED)

    assert (after.live, after.previous, after.generation) == ("3", "2", 8)
    assert faults.failure(after, "d3") == "taken out: 3 crashes within 120 seconds"
    assert faults.failure(after, "d2") == ""


def test_a_failed_version_is_nothing_any_more() -> None:
    """Neither canary nor shadow; other candidates stay what they are."""
    route = ReleaseRoute(
        "m",
        7,
        "1",
        "d1",
        canary=Canary("3", "d3", (100,), 0, 0.0, "5", "salt"),
        shadows=(Shadow("3", "d3", 100, "4", 0.0), Shadow("4", "d4", 100, "6", 0.0)),
    )

    after = faults.fail(route, BAD, "it crashes")

    assert (after.live, after.canary) == ("1", None)
    assert [one.version for one in after.shadows] == ["4"]


def test_what_an_operator_loads_again_may_be_served_and_not_take_over() -> None:
    """It is still refused, for another reason; other refusals stay as they are."""
    route = faults.fail(ReleaseRoute("m", 1, "1", "d1", refused={"d9": "worse"}), BAD, "it crashes")

    after = carry_out(route, Action(Verb.FORGIVE), None, Asked("operator", "", 300.0))

    assert faults.failure(after, "d3") == ""
    assert after.refused == {"d9": "worse", "d3": "loaded again after it was taken out: it crashes"}


def test_what_is_promoted_again_has_a_clean_slate() -> None:
    """An operator who promotes what failed has the last word."""
    route = faults.forgive(faults.fail(ReleaseRoute("m", 1, "2", "d2"), BAD, "it crashes"))

    after = carry_out(route, Action(Verb.PROMOTE, "3"), BAD, Asked("ann", "fixed", 300.0))

    assert (after.live, after.refused) == ("3", {})


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["crash"], "1 crash within 120 seconds"),
        (["crash", "crash", "crash"], "3 crashes within 120 seconds"),
        (["hang", "crash", "hang"], "1 crash and 2 hangs within 120 seconds"),
    ],
)
def test_the_reason_counts_what_happened(kinds: list[str], words: str) -> None:
    """Whoever reads the audit sees how often, and what."""
    assert faults.reason(kinds) == words


@given(at=st.lists(st.floats(0, 1000)), now=st.floats(0, 1000), limit=st.integers(0, 5))
def test_only_faults_close_together_add_up(at: list[float], now: float, limit: int) -> None:
    """What is older than the window does not count, nor what lies in the future."""
    left = faults.recent(at, now)

    assert left == [one for one in at if one <= now and now - one <= faults.WINDOW_SECONDS]
    assert faults.is_too_many(len(left), limit) == (limit > 0 and len(left) >= limit)
