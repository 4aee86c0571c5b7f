"""Calls of the release API: what is understood, and what is refused by its name."""

import contextlib
import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.controlplane.release_calls import (
    CALLS,
    Call,
    Headers,
    read_call,
    read_flag,
    read_limit,
    read_seq,
)
from server.errors import InvalidRequest
from server.release.actions import Action, Verb


def call(name: str, members: Any = None, **headers: str) -> Call:
    """Read a call of model `m`."""
    body = b"" if members is None else orjson.dumps(members)
    return read_call("m", name, body, Headers(**headers))


@pytest.mark.parametrize(
    ("name", "members", "action"),
    [
        ("shadow", {"version": "2"}, Action(Verb.START_SHADOW, "2")),
        ("shadow", {"version": 2, "sample_bp": 50}, Action(Verb.START_SHADOW, "2", sample_bp=50)),
        ("shadow", {"version": 2, "stop": True}, Action(Verb.STOP_SHADOW, "2")),
        ("canary", {"version": 2}, Action(Verb.START_CANARY, "2", steps=())),
        (
            "canary",
            {"version": 2, "steps": [7, 70], "needs_approval": True},
            Action(Verb.START_CANARY, "2", steps=(7, 70), needs_approval=True),
        ),
        ("canary", {"next": True}, Action(Verb.NEXT_STEP)),
        ("canary", {"stop": True}, Action(Verb.STOP_CANARY)),
        ("promote", {"version": 2}, Action(Verb.PROMOTE, "2")),
        ("promote", {"override": True}, Action(Verb.PROMOTE, override=True)),
        ("rollback", None, Action(Verb.ROLLBACK)),
        ("approve", {"actor": "bob"}, Action(Verb.APPROVE)),
        ("hold", {}, Action(Verb.HOLD)),
        ("resume", None, Action(Verb.RESUME)),
    ],
)
def test_a_call_becomes_an_action(name: str, members: Any, action: Action) -> None:
    """Every call, with what may go with it."""
    assert call(name, members).action == action


def test_headers_and_members_say_who_why_and_onto_what() -> None:
    """A header wins over a member; an ETag is a generation with or without its quotes."""
    given = call("rollback", {"actor": "ann", "reason": "it is slow"}, if_match='"7"')
    assert (given.actor, given.reason, given.expected) == ("ann", "it is slow", 7)
    assert (given.key, given.is_dry_run) == (None, False)

    headers = call("rollback", {"actor": "ann"}, actor=" bob ", if_match="7", dry_run="1")
    assert (headers.actor, headers.expected, headers.is_dry_run) == ("bob", 7, True)
    assert (call("rollback").actor, call("rollback", if_match="*").expected) == ("unknown", None)


def test_a_key_stands_for_model_call_and_members() -> None:
    """The order of members says nothing; any other difference is another request."""
    one = call("promote", {"version": "2", "reason": "x"}, idempotency_key="k").key
    same = call("promote", {"reason": "x", "version": "2"}, idempotency_key="k").key
    other = call("promote", {"version": "3", "reason": "x"}, idempotency_key="k").key

    assert one is not None
    assert one == same != other
    assert call("rollback", idempotency_key="k").key != call("resume", idempotency_key="k").key
    assert call("rollback", idempotency_key="k", dry_run="1").key is None


@pytest.mark.parametrize(
    ("name", "members", "headers", "words"),
    [
        ("promote", [1], {}, "the body must be a JSON object, got [1]"),
        ("promote", [None], {}, "the body must be a JSON object, got [null]"),
        ("promote", {"verson": 2}, {}, "'verson' is no member of the call 'promote'; did you"),
        ("hold", {"zzz": 2}, {}, "'zzz' is no member of the call 'hold'; actor, reason"),
        ("rollback", {"version": 2}, {}, "'version' is no member of the call 'rollback'"),
        ("promote", {"version": "two"}, {}, "version: expected the number of a version, got two"),
        ("promote", {"version": True}, {}, "version: expected the number of a version, got true"),
        ("promote", {"version": 1, "override": 1}, {}, "override: expected true or false, got 1"),
        ("shadow", {"version": 1, "sample_bp": 10001}, {}, "sample_bp: expected a whole number"),
        ("canary", {"version": 1, "steps": 5}, {}, "steps: expected a list of weights, got 5"),
        ("canary", {"version": 1, "steps": []}, {}, "steps: expected 1 to 20 weights, got 0"),
        ("canary", {"version": 1, "steps": [5, 5]}, {}, "steps[1]: expected more than 5, got 5"),
        ("canary", {"stop": True, "next": True}, {}, "stop, next: expected one of them, got both"),
        ("canary", {"stop": True, "steps": [5]}, {}, "stop, steps: expected one of them, got both"),
        (
            "canary",
            {"next": True, "needs_approval": True},
            {},
            "next, needs_approval: expected one",
        ),
        ("shadow", {"version": 1, "stop": True, "sample_bp": 5}, {}, "stop, sample_bp: expected"),
        ("hold", {"reason": 5}, {}, "reason: expected a text, got 5"),
        ("hold", {"actor": "policy"}, {}, "actor: 'policy' is what the gateway calls itself"),
        ("hold", {}, {"actor": "a\nb"}, "actor: expected at most 100 printable characters"),
        ("hold", {}, {"actor": "x" * 101}, "actor: expected at most 100 printable characters"),
        ("approve", {}, {}, "actor: expected the name of whoever approves, got none"),
        ("hold", {}, {"if_match": 'W/"7"'}, "If-Match: expected a generation, got 'W/\"7\"'"),
        ("hold", {}, {"idempotency_key": "a b"}, "Idempotency-Key: expected at most 128"),
        ("hold", {}, {"dry_run": "perhaps"}, "dry_run: expected 1 or 0, got 'perhaps'"),
    ],
)
def test_what_cannot_be_is_named(
    name: str, members: Any, headers: dict[str, str], words: str
) -> None:
    """The text says which member or header, what was expected and what came."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        call(name, members, **headers)


def test_a_body_that_is_no_json_is_refused() -> None:
    """It is not guessed at."""
    with pytest.raises(InvalidRequest, match="must be a JSON object, or empty"):
        read_call("m", "hold", b"{", Headers())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = st.sampled_from(["version", "steps", "stop", "sample_bp", "reason", "actor", "override"])


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(CALLS), st.dictionaries(names, json_values), st.text(max_size=8))
def test_whatever_comes_is_understood_or_refused(
    name: str, members: dict[str, Any], header: str
) -> None:
    """No value of any member or header leads anywhere else."""
    headers = Headers(header, header, header, header)
    with contextlib.suppress(InvalidRequest):
        assert read_call("m", name, json.dumps(members).encode(), headers).actor


def test_numbers_and_flags_of_a_query_are_read() -> None:
    """Limits have a bound, entries a number, and flags are 1 or 0."""
    assert (read_limit(None, "limit", 50), read_limit("7", "limit", 50)) == (50, 7)
    assert (read_seq(None), read_seq("12")) == (None, 12)
    assert (read_flag(None, "verify"), read_flag("true", "verify")) == (False, True)
    for value in ("0", "1001", "-1", "x"):
        with pytest.raises(InvalidRequest, match="limit: expected a whole number from 1 to 1000"):
            read_limit(value, "limit", 50)
    with pytest.raises(InvalidRequest, match="before: expected the number of an entry, got 'x'"):
        read_seq("x")
    with pytest.raises(InvalidRequest, match="verify: expected 1 or 0, got 'x'"):
        read_flag("x", "verify")
