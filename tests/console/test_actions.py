"""Forms of a release: what makes sense now, what they ask, and what has become of it."""

from typing import Any

import orjson
import pytest

from server.console import actions
from server.controlplane.release_calls import CALLS, Headers, read_call
from server.errors import InvalidRequest, NotFound
from tests.support.release_answers import CHANGED, STATUS


def standing(**other: Any) -> dict[str, Any]:
    """Return a release with one live version and another one that is loaded."""
    versions = [{"version": "2", "state": "loaded"}, {"version": "1", "state": "live"}]
    given: dict[str, Any] = {
        "live": "1",
        "previous": None,
        "canary": None,
        "shadows": [],
        "held": "",
        "versions": versions,
    }
    return given | other


def names(release: dict[str, Any]) -> list[str]:
    """Return which forms there are."""
    return [form.name for form in actions.forms(release)]


def test_a_loaded_version_can_be_tried_or_promoted() -> None:
    """There is nothing to roll back to."""
    assert names(standing()) == ["promote", "hold", "canary", "shadow"]


def test_with_a_previous_version_there_is_a_way_back() -> None:
    """It says from what to what."""
    (back,) = [one for one in actions.forms(standing(previous="7")) if one.name == "rollback"]

    assert back.is_dangerous
    assert "7" in back.label
    assert "in the place of 1" in back.words


def test_a_release_that_is_held_can_be_resumed() -> None:
    """It cannot be held twice."""
    found = names(standing(held="wait"))

    assert "resume" in found
    assert "hold" not in found


def test_a_canary_can_go_on_be_approved_and_ended() -> None:
    """It comes first among what can be promoted; no second one can be started."""
    found = actions.forms(STATUS)
    by_name = {form.name: form for form in found}

    assert by_name["promote"].versions[0] == "3"
    assert {"canary-stop", "shadow-stop", "rollback"} <= by_name.keys()
    assert not {"canary", "canary-next", "approve"} & by_name.keys()
    waiting = {**STATUS["canary"], "step": 0, "needs_approval": True, "requested_by": "ann"}
    assert {"canary-next", "approve"} <= set(names({**STATUS, "canary": waiting}))


def test_the_only_version_leaves_nothing_to_do_but_to_hold() -> None:
    """And a model without a live version not even that."""
    alone = standing(versions=[{"version": "1", "state": "live"}])

    assert names(alone) == ["hold"]
    assert names({**alone, "live": None}) == []


@pytest.mark.parametrize(
    "name",
    [
        *("promote", "rollback", "hold", "resume", "approve"),
        *("canary", "canary-next", "canary-stop", "shadow", "shadow-stop"),
    ],
)
def test_every_form_is_a_call_that_the_api_understands(name: str) -> None:
    """With version, reason, actor and the generation that was shown."""
    fields = {"version": "2", "reason": "why", "actor": "ann", "generation": "7"}

    call, body = actions.call_of(name, fields)

    assert call in CALLS
    read = read_call("m", call, body, Headers(if_match=fields["generation"]))
    assert (read.reason, read.actor, read.expected) == ("why", "ann", 7)
    assert read.action.version in (None, "2")


def test_gates_are_passed_over_only_when_asked() -> None:
    """A box that is ticked is sent as `on`."""
    _, without = actions.call_of("promote", {"version": "2"})
    _, ticked = actions.call_of("promote", {"version": "2", "override": "on"})

    assert [orjson.loads(one)["override"] for one in (without, ticked)] == [False, True]


def test_a_form_that_is_not_there_and_one_without_its_version() -> None:
    """Both are refused by name."""
    with pytest.raises(NotFound, match="erase"):
        actions.call_of("erase", {})
    with pytest.raises(InvalidRequest, match="version"):
        actions.call_of("promote", {"reason": "why"})


def test_what_is_done_is_said_with_what_is_missing() -> None:
    """A change that not every worker has yet, or that is not written, is done all the same."""
    late = {**CHANGED, "durable": False, "acknowledged": False, "workers_behind": [{"worker": 1}]}

    assert actions.done(CHANGED).kind == "good"
    told = actions.done(late)
    assert (told.kind, told.title, len(told.lines)) == ("warn", "Promoted", 3)
    assert "worker 1" in told.lines[2]
    nobody = actions.done({**CHANGED, "acknowledged": False})
    assert "no worker is there" in nobody.lines[1]


def test_who_was_faster_is_named() -> None:
    """With what they did, why, and what the release is now."""
    told = actions.overtaken("the release has changed", STATUS)

    assert told.kind == "bad"
    assert "'promote' by ann: better [on] new data" in told.lines[1]
    assert "Version 2 is live now, generation 7" in told.lines[2]
    assert len(actions.overtaken("changed", {**STATUS, "last_change": None}).lines) == 2


def test_a_refusal_says_that_nothing_was_changed() -> None:
    """And what would help, if anybody knows."""
    assert actions.refused("gate errors: fail").lines == ["gate errors: fail"]
    assert actions.refused("gone", "load it").lines == ["gone", "load it"]
