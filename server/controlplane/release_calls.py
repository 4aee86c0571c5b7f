"""What a caller asks of a release, read from the parts of an HTTP request.

Decides names, kinds and bounds of everything that may be in such a call; what it does not know is
refused by its name, because a member that is passed over in silence is a change that nobody wanted.
Does not know which versions there are, nor what follows. Pure.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.errors import InvalidRequest
from server.release.actions import AUTOMATIC, Action, Verb
from server.release.checks import check_share, check_steps
from server.release.route import ALL_BP
from server.repository.policy import POLICY, SYSTEM
from server.store.keys import IdempotencyKey

MAX_ACTOR_LENGTH = 100
MAX_KEY_LENGTH = 128
MAX_HISTORY = 1000
UNKNOWN = "unknown"
"""The actor when nobody says who calls."""

_RESERVED = (AUTOMATIC, POLICY, SYSTEM)
_COMMON = frozenset({"reason", "actor"})
_MEMBERS: Mapping[str, frozenset[str]] = {
    "shadow": _COMMON | {"version", "sample_bp", "stop"},
    "canary": _COMMON | {"version", "steps", "needs_approval", "next", "stop"},
    "promote": _COMMON | {"version", "override"},
    "rollback": _COMMON,
    "approve": _COMMON,
    "hold": _COMMON,
    "resume": _COMMON,
}
CALLS = tuple(_MEMBERS)
"""Names of the calls, as they stand in paths and on the command line."""
STOP_MEMBERS = frozenset({"version", "reason", "actor"})
"""What a query says of a candidate that is to end, where others have a body."""
CHANGE_PARAMETERS = frozenset({"dry_run"})
STOP_PARAMETERS = STOP_MEMBERS | CHANGE_PARAMETERS
HISTORY_PARAMETERS = frozenset({"limit", "before", "verify"})
MISMATCH_PARAMETERS = frozenset({"version"})
"""What the query of each call may say."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers and the query of a call say, as texts; empty where they say nothing."""

    actor: str = ""
    if_match: str = ""
    idempotency_key: str = ""
    dry_run: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, understood."""

    action: Action
    """A canary without steps means those of the model's settings."""
    actor: str
    reason: str
    expected: int | None
    """The generation that the caller has looked at; None if it does not say."""
    key: IdempotencyKey | None
    is_dry_run: bool


def read_call(model: str, name: str, body: bytes, headers: Headers) -> Call:
    """Read a call by its name, one of CALLS.

    Raises:
        InvalidRequest: names the member or header that is wrong, what was expected and what came.

    """
    members = _members(name, body)
    action = _action(name, members)
    is_dry_run = _dry_run(headers.dry_run)
    return Call(
        action,
        _actor(action, headers.actor or _text(members, "actor")),
        _text(members, "reason"),
        _generation(headers.if_match),
        _key(model, name, members, headers.idempotency_key) if not is_dry_run else None,
        is_dry_run,
    )


def check_parameters(names: Iterable[str], known: frozenset[str] = CHANGE_PARAMETERS) -> None:
    """See that a call has no parameter but those `known`, and none of them twice.

    One that is misspelt must not be passed over: a change would be made, and not tried.

    Raises:
        InvalidRequest: it has.

    """
    seen: set[str] = set()
    for name in names:
        if name not in known:
            raise InvalidRequest(
                f"'{name[:64]}' is no parameter of this call; {', '.join(sorted(known))}"
            )
        if name in seen:
            raise InvalidRequest(f"{name}: expected it once, got it twice")
        seen.add(name)


def read_limit(value: str | None, name: str, default: int) -> int:
    """Read a number from 1 to MAX_HISTORY of a query.

    Raises:
        InvalidRequest: it is none.

    """
    if value is None:
        return default
    if re.fullmatch("[0-9]{1,9}", value) and 1 <= int(value) <= MAX_HISTORY:
        return int(value)
    raise InvalidRequest(
        f"{name}: expected a whole number from 1 to {MAX_HISTORY}, got '{value[:32]}'"
    )


def read_seq(value: str | None) -> int | None:
    """Read the number of an entry of the audit.

    Raises:
        InvalidRequest: it is none.

    """
    if value is None or re.fullmatch("[0-9]{1,15}", value):
        return int(value) if value is not None else None
    raise InvalidRequest(f"before: expected the number of an entry, got '{value[:32]}'")


def read_flag(value: str | None, name: str) -> bool:
    """Read a yes or no of a query.

    Raises:
        InvalidRequest: it is neither.

    """
    answers = {None: False, "": False, "0": False, "false": False, "1": True, "true": True}
    if value not in answers:
        raise InvalidRequest(f"{name}: expected 1 or 0, got '{(value or '')[:32]}'")
    return answers[value]


def _dry_run(value: str) -> bool:
    return read_flag(value, "dry_run")


def _members(name: str, body: bytes) -> dict[str, Any]:
    """Read the body: empty, or an object of members that the call knows."""
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body must be a JSON object, or empty") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body must be a JSON object, got {_shown(value)}")
    for member in value.keys() - _MEMBERS[name]:
        close = difflib.get_close_matches(member, sorted(_MEMBERS[name]), n=1)
        meant = f"did you mean {close[0]}?" if close else ", ".join(sorted(_MEMBERS[name]))
        raise InvalidRequest(f"'{member[:64]}' is no member of the call '{name}'; {meant}")
    return value


def _action(name: str, members: Mapping[str, Any]) -> Action:
    version = _version(members)
    match name:
        case "shadow" if _flag(members, "stop"):
            _check_alone("stop", members, ("sample_bp",))
            return Action(Verb.STOP_SHADOW, version)
        case "shadow":
            share = members.get("sample_bp", ALL_BP)
            check_share("sample_bp", share)
            return Action(Verb.START_SHADOW, version, sample_bp=share)
        case "canary":
            return _canary(members, version)
        case "promote":
            return Action(Verb.PROMOTE, version, override=_flag(members, "override"))
    return Action(Verb(name))


def _canary(members: Mapping[str, Any], version: str | None) -> Action:
    stops, goes_on = _flag(members, "stop"), _flag(members, "next")
    if stops and goes_on:
        raise InvalidRequest("stop, next: expected one of them, got both")
    if stops or goes_on:
        _check_alone("stop" if stops else "next", members, ("version", "steps", "needs_approval"))
        return Action(Verb.STOP_CANARY if stops else Verb.NEXT_STEP)
    steps = members.get("steps", [])
    if not isinstance(steps, list):
        raise InvalidRequest(f"steps: expected a list of weights, got {_shown(steps)}")
    if "steps" in members:
        check_steps(steps)
    needs_approval = _flag(members, "needs_approval")
    return Action(Verb.START_CANARY, version, steps=tuple(steps), needs_approval=needs_approval)


def _check_alone(name: str, members: Mapping[str, Any], others: Iterable[str]) -> None:
    """See that a call which ends or goes on does not say how to begin."""
    for other in others:
        if other in members:
            raise InvalidRequest(f"{name}, {other}: expected one of them, got both")


def _version(members: Mapping[str, Any]) -> str | None:
    value = members.get("version")
    if value is None:
        return None
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,19}", str(value)):
        raise InvalidRequest(f"version: expected the number of a version, got {_shown(value)}")
    return str(value)


def _flag(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name}: expected true or false, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a caller's value in the words of JSON, cut."""
    return value[:50] if isinstance(value, str) else orjson.dumps(value).decode()[:50]


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: expected a text, got {_shown(value)}")
    return value


def _actor(action: Action, name: str) -> str:
    """Return who calls; who approves must have said so."""
    name = name.strip()
    if action.verb is Verb.APPROVE and name in ("", UNKNOWN):
        raise InvalidRequest("actor: expected the name of whoever approves, got none")
    if name in _RESERVED:
        raise InvalidRequest(f"actor: '{name}' is what the gateway calls itself")
    if len(name) > MAX_ACTOR_LENGTH or not name.isprintable():
        raise InvalidRequest(
            f"actor: expected at most {MAX_ACTOR_LENGTH} printable characters, got {name[:32]!r}"
        )
    return name or UNKNOWN


def _generation(if_match: str) -> int | None:
    if if_match in ("", "*"):
        return None
    match = re.fullmatch('"?([0-9]{1,15})"?', if_match)
    if match is None:
        raise InvalidRequest(f"If-Match: expected a generation, got '{if_match[:32]}'")
    return int(match[1])


def _key(model: str, name: str, members: Mapping[str, Any], key: str) -> IdempotencyKey | None:
    if not key:
        return None
    if len(key) > MAX_KEY_LENGTH or not all("!" <= one <= "~" for one in key):
        raise InvalidRequest(
            f"Idempotency-Key: expected at most {MAX_KEY_LENGTH} printable ASCII characters"
        )
    # The order of members says nothing.
    content = name.encode() + b"\0" + orjson.dumps(members, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(key, model, hashlib.sha256(content).hexdigest())
