"""What an operator may do to a release from its page: which forms there are, and what they ask.

Decides which actions make sense for a release as it stands; whether one is allowed is decided by
the release itself, which is asked in the words of its API. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from server.errors import InvalidRequest, NotFound

_CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "promote": ("promote", {}),
    "rollback": ("rollback", {}),
    "hold": ("hold", {}),
    "resume": ("resume", {}),
    "approve": ("approve", {}),
    "canary": ("canary", {}),
    "canary-next": ("canary", {"next": True}),
    "canary-stop": ("canary", {"stop": True}),
    "shadow": ("shadow", {}),
    "shadow-stop": ("shadow", {"stop": True}),
}
"""Call and fixed members of it, by the last part of a form's address."""

_TAKES_VERSION = ("promote", "canary", "shadow", "shadow-stop")
_DONE = {
    "promote": "Promoted",
    "rollback": "Rolled back",
    "hold": "Held",
    "resume": "Resumed",
    "approve": "Approved",
    "start_canary": "The canary has begun",
    "next_step": "The canary has its next weight",
    "stop_canary": "The canary has ended",
    "start_shadow": "The shadow has begun",
    "stop_shadow": "The shadow has ended",
}


@dataclass(frozen=True, slots=True)
class Form:
    """One action that makes sense now."""

    name: str
    label: str
    words: str
    """What it does."""
    versions: Sequence[str] = ()
    """To choose from; empty if it needs none."""
    is_dangerous: bool = False
    may_override: bool = False
    """Whether what gates say can be passed over."""


@dataclass(frozen=True, slots=True)
class Message:
    """What has become of an action."""

    kind: str
    """`good`, `warn` or `bad`."""
    title: str
    lines: Sequence[str] = ()


def forms(release: Mapping[str, Any]) -> list[Form]:
    """Return the actions that make sense for a release."""
    found = [*_forward(release), *_back(release)]
    canary, live = release["canary"], release["live"]
    idle = [
        str(one["version"])
        for one in release["versions"]
        if one["state"] in ("registered", "loaded", "previous", "retired", "held")
    ]
    shadows = [str(one["version"]) for one in release["shadows"]]
    if canary is None and live is not None and (idle or shadows):
        words = "The version answers a small share of the requests, then more, step by step."
        found.append(Form("canary", "Start a canary", words, [*shadows, *idle]))
    if live is not None and idle:
        words = "The version is run on copies of live batches; its answers go nowhere."
        found.append(Form("shadow", "Start a shadow", words, idle))
    if shadows:
        found.append(Form("shadow-stop", "End a shadow", "It is not run any more.", shadows))
    return found


def _forward(release: Mapping[str, Any]) -> list[Form]:
    canary = release["canary"]
    order = [canary["version"]] if canary is not None else []
    order += [one["version"] for one in release["shadows"]]
    order += [
        one["version"]
        for one in release["versions"]
        if one["state"] in ("registered", "loaded", "previous", "retired", "held")
    ]
    found = []
    versions = [str(one) for one in dict.fromkeys(order)]
    if versions:
        words = "The version answers all requests that name none; what is live now stays loaded."
        found.append(Form("promote", "Promote", words, versions, may_override=True))
    if canary is None:
        return found
    if canary["needs_approval"] and not canary["approved_by"]:
        words = f"You agree to what {canary['requested_by'] or 'somebody'} has begun."
        found.append(Form("approve", "Approve", words))
    if canary["step"] + 1 < len(canary["steps"]):
        following = canary["steps"][canary["step"] + 1]
        words = f"The canary answers {following / 100:g} % of the requests."
        found.append(Form("canary-next", "Next step", words))
    words = f"Version {release['live']} answers all requests again."
    found.append(Form("canary-stop", "End the canary", words, is_dangerous=True))
    return found


def _back(release: Mapping[str, Any]) -> list[Form]:
    found = []
    if release["previous"] is not None:
        previous, live = release["previous"], release["live"]
        words = f"Version {previous} answers in the place of {live}, which is still loaded."
        label = f"Roll back to {previous}"
        found.append(Form("rollback", label, words, is_dangerous=True))
    if release["held"]:
        found.append(Form("resume", "Resume", "Things go on by themselves again."))
    elif release["live"] is not None:
        words = "Nothing goes on by itself; operators still may act."
        found.append(Form("hold", "Hold", words))
    return found


def call_of(name: str, fields: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the call of the release API that a form asks for, and its body.

    Raises:
        NotFound: there is no such form.
        InvalidRequest: a field is missing.

    """
    if name not in _CALLS:
        raise NotFound(f"there is no action '{name[:32]}'")
    call, fixed = _CALLS[name]
    members = {**fixed, "reason": fields.get("reason", ""), "actor": fields.get("actor", "")}
    if name in _TAKES_VERSION:
        if not fields.get("version"):
            raise InvalidRequest("version: expected the number of a version, got none")
        members["version"] = fields["version"]
    if name == "promote":
        members["override"] = fields.get("override") == "on"
    return call, orjson.dumps(members)


def done(answer: Mapping[str, Any]) -> Message:
    """Say what an action has led to."""
    lines = [f"Version {answer['after']['live']} is live, generation {answer['generation']}."]
    kind = "good"
    if answer.get("durable") is False:
        kind = "warn"
        lines.append("It is not in the store yet: it holds, and is written when that works.")
    if answer.get("acknowledged") is False:
        kind = "warn"
        behind = [str(one["worker"]) for one in answer["workers_behind"]]
        told = f"worker {', '.join(behind)}" if behind else "no worker is there"
        lines.append(f"Not every worker answers by it yet: {told}.")
    return Message(kind, _DONE.get(answer["action"], answer["action"]), lines)


def refused(error: str, fix: str = "") -> Message:
    """Say that nothing was changed, and why."""
    return Message("bad", "Nothing was changed", [error, *([fix] if fix else [])])


def overtaken(error: str, release: Mapping[str, Any]) -> Message:
    """Say that somebody else was faster, who, and what the release is now."""
    lines = [error]
    last = release["last_change"]
    if last is not None:
        why = f": {last['reason']}" if last["reason"] else ""
        lines.append(f"The last change was '{last['action']}' by {last['actor']}{why}.")
    lines.append(
        f"Version {release['live']} is live now, generation {release['generation']}. "
        "What is shown below is how it stands; ask again if you still want it."
    )
    return Message("bad", "The release has changed since it was shown here", lines)
