"""The word for what a version is to its model."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from server.release import transitions as t
from server.release.actions import passing_over
from server.release.candidate import Candidate
from server.release.route import ReleaseRoute
from server.release.states import State, VersionState, states
from tests.release.test_transitions import CANARY, ONE, SECOND, SHADOWED, THREE, TWO, version

GUIDE = Path(__file__).parent.parent.parent / "docs" / "release.md"
THIRD = t.promote(SECOND, THREE, now_seconds=250.0, reason="better")
WAITING = version(3, is_loaded=False)
OTHER_FILES = version(3, digest="f" * 64)


@pytest.mark.parametrize(
    ("route", "one", "state", "reason"),
    [
        (SECOND, WAITING, State.REGISTERED, ""),
        (SECOND, THREE, State.LOADED, ""),
        (SECOND, TWO, State.LIVE, ""),
        (SECOND, version(2, problem="its files are torn"), State.LIVE, "its files are torn"),
        (SECOND, replace(TWO, remark="its files are gone"), State.LIVE, "its files are gone"),
        (SECOND, version(1), State.PREVIOUS, "a roll back from version 2 brings it back"),
        (
            SECOND,
            replace(ONE, remark="its files are gone"),
            State.PREVIOUS,
            "a roll back from version 2 brings it back; its files are gone",
        ),
        (SECOND, version(1, problem="torn"), State.FAILED, "torn"),
        (THIRD, version(1), State.LOADED, ""),
        (
            THIRD,
            version(1, is_loaded=False),
            State.RETIRED,
            "version 3 is live",
        ),
        (SHADOWED, WAITING, State.SHADOW, "sees 25 % of the live batches"),
        (
            t.hold(SHADOWED, reason="no data"),
            OTHER_FILES,
            State.SHADOW,
            "sees 25 % of the live batches; its files are not those that it began with; "
            "held: no data",
        ),
        (CANARY, THREE, State.CANARY, "step 1 of 4, answers 1 % of the requests"),
        (
            t.hold(CANARY, reason="no data"),
            version(3, problem="torn"),
            State.CANARY,
            "step 1 of 4, answers 1 % of the requests; torn; held: no data",
        ),
        (
            t.stop_canary(CANARY),
            THREE,
            State.HELD,
            "stopped by an operator",
        ),
        (t.rollback(SECOND, now_seconds=1.0), TWO, State.HELD, "rolled back"),
        (
            passing_over(t.promote(SECOND, ONE, now_seconds=1.0, reason="old"), [TWO.digest]),
            TWO,
            State.PREVIOUS,
            "a roll back from version 1 brings it back",
        ),
        (ReleaseRoute("digits"), WAITING, State.REGISTERED, ""),
    ],
)
def test_each_state_has_its_reason(
    route: ReleaseRoute, one: Candidate, state: State, reason: str
) -> None:
    """What a version does now comes before what has become of it."""
    assert states(route, [one]) == {one.version: VersionState(state, reason)}


def test_every_version_has_a_state() -> None:
    """As many words as versions, in their order."""
    versions = [replace(THREE, version=str(number)) for number in (5, 4, 3, 2, 1)]

    assert list(states(CANARY, versions)) == ["5", "4", "3", "2", "1"]


def test_the_guide_explains_every_state() -> None:
    """The table of states is the list of states, in order."""
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)

    assert [row for row in rows if row in set(State)] == list(State)
