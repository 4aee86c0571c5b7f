"""What a webhook is told of alerts, when it is told again, and how it knows that it was us.

Decides that there is one event for each model and rule when alerts of it begin to fire, and no
other until none of them fires any more: what an event starts, a retraining say, is started once.
Decides the form of events (CloudEvents 1.0, structured JSON), their signature (Standard Webhooks:
HMAC-SHA256 over id, time and body) and the times of further tries.

Told the time and the chance. Does not know how events are kept or sent.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from server.statistics.sequential import Alert, AlertState
from server.store.keys import AlertKey

Alerts = Mapping[AlertKey, tuple[AlertState, Mapping[str, Any]]]
"""State of each alert, and what it rests on."""

KEY_PREFIX = "alert "
"""Of keys in the outbox, which others may use as well."""

EVENT_TYPE = "io.tidegate.alert.firing"
CONTENT_TYPE = "application/cloudevents+json"
MAX_LISTED = 20
"""Alerts in one event; a body stays below 20 kB, which receivers expect of a webhook."""

RETRY_SECONDS = (5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600)
JITTER = 0.2
GIVE_UP_SECONDS = 72 * 3600
GONE = 410


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as the outbox takes it."""

    event_id: str
    """The same for the same alerts, so that a receiver knows an event that comes twice."""
    dedupe_key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class News:
    """What alerts mean for the outbox."""

    outstanding: frozenset[str]
    """Keys of models and rules of which something fires: all others are free."""
    events: tuple[Event, ...]
    """What to put in, unless its key is taken."""


def dedupe_key(model: str, rule: str) -> str:
    """Return what has one outstanding event at most."""
    return f"{KEY_PREFIX}{rule} {model}"


def news(before: Alerts, after: Alerts, served: AbstractSet[tuple[str, str]]) -> News:
    """Return what is to be told when alerts change from `before` to `after`.

    Both hold all alerts there are. Those of versions that are not `served`, pairs of model and
    version, do not count: a version that has been replaced keeps nothing outstanding.
    """
    were = _firing(before, served)
    are = _firing(after, served)
    events = [
        _event(group, {key: after[key] for key in keys})
        for group, keys in sorted(are.items())
        if keys - were.get(group, set())
    ]
    return News(frozenset(dedupe_key(*group) for group in are), tuple(events))


def _firing(
    alerts: Alerts, served: AbstractSet[tuple[str, str]]
) -> dict[tuple[str, str], set[AlertKey]]:
    """Return the alerts of what is served that fire, by model and rule."""
    groups: dict[tuple[str, str], set[AlertKey]] = {}
    for key, (state, _) in alerts.items():
        if state.alert is Alert.FIRING and (key.model, key.version) in served:
            groups.setdefault((key.model, key.rule), set()).add(key)
    return groups


def _event(group: tuple[str, str], alerts: Alerts) -> Event:
    model, rule = group
    raised = max(_raised(state) for state, _ in alerts.values())
    latest = [key for key, (state, _) in alerts.items() if _raised(state) == raised]
    names = sorted([key.version, key.column] for key in latest)
    identity = hashlib.sha256(orjson.dumps([model, rule, raised, names])).hexdigest()[:32]
    listed = sorted(alerts, key=lambda key: (-_raised(alerts[key][0]), key.version, key.column))
    body = {
        "specversion": "1.0",
        "id": identity,
        "source": f"/models/{quote(model, safe='')}",
        "type": EVENT_TYPE,
        "subject": rule,
        "time": _timestamp(raised),
        "datacontenttype": "application/json",
        "data": {
            "model": model,
            "rule": rule,
            "firing": len(alerts),
            "alerts": [_plain(key, *alerts[key]) for key in listed[:MAX_LISTED]],
        },
    }
    return Event(identity, dedupe_key(model, rule), orjson.dumps(body))


def _plain(key: AlertKey, state: AlertState, evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": key.version,
        "feature": key.column,
        "pending_since": _timestamp(state.since_seconds),
        "firing_since": _timestamp(_raised(state)),
        "evidence": dict(evidence),
    }


def _raised(state: AlertState) -> float:
    return state.since_seconds if state.raised_seconds is None else state.raised_seconds


def _timestamp(seconds: float) -> str:
    """Write a time as RFC 3339 wants it."""
    return f"{np.datetime64(round(seconds * 1000), 'ms')}Z"


def signature_headers(event_id: str, body: bytes, secret: str, now: float) -> dict[str, str]:
    """Return the headers by which a receiver knows sender and time; see standardwebhooks.com.

    A secret of `whsec_` and base64 is decoded, any other is taken as it is. Without a secret there
    is no signature.

    Raises:
        ValueError: what follows `whsec_` is not base64.

    """
    timestamp = str(int(now))
    headers = {"webhook-id": event_id, "webhook-timestamp": timestamp}
    if secret:
        signed = b".".join((event_id.encode(), timestamp.encode(), body))
        digest = hmac.digest(signing_key(secret), signed, "sha256")
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: what follows `whsec_` is not base64.

    """
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that did not succeed."""

    words: str
    status: int = 0
    """Of the answer; 0 without one."""
    retry_after_seconds: float = 0.0
    """What the receiver asked for; 0 if nothing."""


def is_too_old(created: float, now: float) -> bool:
    """Say whether an event is not worth telling any more."""
    return now - created >= GIVE_UP_SECONDS


def next_try(
    attempts: int, created: float, failure: Failure, now: float, chance: float
) -> float | None:
    """Return when to send an event again whose `attempts` tries have failed, the last one now.

    None gives it up: the receiver says that it is gone, or GIVE_UP_SECONDS have passed. `chance`
    in [0, 1) spreads the tries of many senders. What the receiver asks for is heeded up to the
    longest of our own pauses.
    """
    if failure.status == GONE or is_too_old(created, now):
        return None
    pause = RETRY_SECONDS[min(max(attempts, 1), len(RETRY_SECONDS)) - 1]
    spread = pause * (1.0 - JITTER + 2.0 * JITTER * chance)
    return now + max(spread, min(failure.retry_after_seconds, RETRY_SECONDS[-1]))
