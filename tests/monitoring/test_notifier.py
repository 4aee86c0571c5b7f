"""What is told of alerts: once for each model and rule, signed, and again until it is heard."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring import notifier
from server.monitoring.notifier import (
    GIVE_UP_SECONDS,
    JITTER,
    MAX_LISTED,
    RETRY_SECONDS,
    Failure,
    dedupe_key,
    news,
    next_try,
    signature_headers,
)
from server.statistics.sequential import Alert, AlertState
from server.store.keys import AlertKey

Alerts = dict[AlertKey, tuple[AlertState, Mapping[str, Any]]]
SERVED = {("m", "1"), ("m", "2")}
RAISED = 1_700_000_000.25


def key(column: str = "age", rule: str = "drift", version: str = "1") -> AlertKey:
    """Return the key of an alert of model `m`."""
    return AlertKey("m", version, rule, column)


def firing(raised: float = RAISED, **evidence: Any) -> tuple[AlertState, Mapping[str, Any]]:
    """Return an alert that has fired since `raised`."""
    return AlertState(Alert.FIRING, raised - 60, raised, 2), evidence


PENDING: tuple[AlertState, Mapping[str, Any]] = (AlertState(Alert.PENDING, RAISED, None, 1), {})
QUIET: tuple[AlertState, Mapping[str, Any]] = (AlertState(), {})


def told(before: Alerts, after: Alerts) -> list[tuple[str, list[str]]]:
    """Return rule and features of each event."""
    bodies = [json.loads(event.body) for event in news(before, after, SERVED).events]
    return [
        (one["data"]["rule"], [alert["feature"] for alert in one["data"]["alerts"]])
        for one in bodies
    ]


def test_an_event_is_a_cloudevent() -> None:
    """It has the attributes that CloudEvents 1.0 requires, and says what fires and why."""
    alert = firing(p=1e-9, words="higher", psi=None)
    alerts = {AlertKey("a b/c", "3", "drift", "age"): alert}
    (event,) = news({}, alerts, {("a b/c", "3")}).events

    body = json.loads(event.body)
    assert len(event.event_id) == 32
    assert body == {
        "specversion": "1.0",
        "id": event.event_id,
        "source": "/models/a%20b%2Fc",
        "type": "io.tidegate.alert.firing",
        "subject": "drift",
        "time": "2023-11-14T22:13:20.250Z",
        "datacontenttype": "application/json",
        "data": {
            "model": "a b/c",
            "rule": "drift",
            "firing": 1,
            "alerts": [
                {
                    "version": "3",
                    "feature": "age",
                    "pending_since": "2023-11-14T22:12:20.250Z",
                    "firing_since": "2023-11-14T22:13:20.250Z",
                    "evidence": {"p": 1e-9, "words": "higher", "psi": None},
                }
            ],
        },
    }
    assert event.dedupe_key == dedupe_key("a b/c", "drift")


def test_alerts_of_one_rule_are_one_event() -> None:
    """Features that begin to fire together are told together, each rule on its own."""
    after = {key(): firing(), key("bmi"): firing(), key("", "volume"): firing(), key("x"): PENDING}

    assert told({}, after) == [("drift", ["age", "bmi"]), ("volume", [""])]


def test_only_what_begins_to_fire_is_told() -> None:
    """An alert that goes on, is pending or has ended makes no event."""
    before: Alerts = {key(): firing(), key("bmi"): firing(), key("b", "range"): PENDING}

    assert told(before, before) == []
    assert told(before, {key(): firing(), key("bmi"): QUIET, key("b", "range"): PENDING}) == []
    assert told(before, {**before, key("b", "range"): firing()}) == [("range", ["b"])]


def test_a_rule_is_outstanding_while_anything_of_it_fires() -> None:
    """As long as one feature or served version of a model fires, no other event is due."""
    both: Alerts = {key(): firing(), key(version="2"): firing(), key("b", "range"): PENDING}

    def outstanding(after: Alerts) -> frozenset[str]:
        return news(both, after, SERVED).outstanding

    assert outstanding(both) == {dedupe_key("m", "drift")}
    assert outstanding({**both, key(): QUIET}) == {dedupe_key("m", "drift")}
    assert outstanding({key(): QUIET, key(version="2"): PENDING}) == frozenset()
    assert outstanding({}) == frozenset()


def test_versions_that_are_not_served_do_not_count() -> None:
    """A version that was replaced while it drifted does not silence the one that follows it."""
    replaced: Alerts = {key(version="8"): firing()}

    assert news({}, replaced, SERVED).events == ()
    assert news({}, replaced, SERVED).outstanding == frozenset()
    assert told(replaced, {**replaced, key(): firing()}) == [("drift", ["age"])]


def test_keys_of_models_and_rules_are_told_apart() -> None:
    """Each begins with what all keys of alerts begin with."""
    keys = {dedupe_key(model, rule) for model in ("a", "a b", "b") for rule in ("drift", "range")}

    assert len(keys) == 6
    assert all(one.startswith(notifier.KEY_PREFIX) for one in keys)


def test_the_same_alerts_have_the_same_id() -> None:
    """A restart or a second try makes the same event; another time or feature another one."""

    def ids(after: Alerts) -> list[str]:
        return [event.event_id for event in news({}, after, SERVED).events]

    (first,) = ids({key(): firing(p=0.1)})
    assert ids({key(): firing(p=0.2), key("b"): firing(RAISED - 5)}) == [first]
    others = [{key(): firing(RAISED + 1)}, {key("b"): firing()}, {key(rule="range"): firing()}]
    assert len({first, *(identity for after in others for identity in ids(after))}) == 4


def test_an_event_of_many_features_stays_small() -> None:
    """The latest are listed, and how many there are is said."""
    after = {key(f"feature {n:03}"): firing(RAISED + n) for n in range(500)}
    (event,) = news({}, after, SERVED).events

    data = json.loads(event.body)["data"]
    assert data["firing"] == 500
    assert [alert["feature"] for alert in data["alerts"]] == [
        f"feature {n:03}" for n in range(499, 499 - MAX_LISTED, -1)
    ]
    assert len(event.body) < 20_000


def test_numbers_that_json_has_not_are_null() -> None:
    """NaN and infinity in evidence do not make a body that receivers cannot read."""
    (event,) = news({}, {key(): firing(p=float("nan"), psi=float("inf"))}, SERVED).events

    evidence = json.loads(event.body)["data"]["alerts"][0]["evidence"]
    assert evidence == {"p": None, "psi": None}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([key(c, r, v) for c in "ab" for r in "xy" for v in "128"]),
            st.sampled_from([PENDING, QUIET, firing()]),
        ),
        max_size=8,
    )
)
def test_every_rule_that_fires_has_an_event(history: list[Alerts]) -> None:
    """For all histories: with an outbox that heeds keys, what fires and what is told agree."""
    taken: set[str] = set()
    before: Alerts = {}
    for after in history:
        what = news(before, after, SERVED)
        taken &= what.outstanding
        taken |= {event.dedupe_key for event in what.events}
        fires = {
            dedupe_key(one.model, one.rule)
            for one, (state, _) in after.items()
            if state.alert is Alert.FIRING and one.version != "8"
        }
        assert taken == fires
        before = after


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification, and the same computed by hand for a secret of text."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret, 1614265330.9
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    digest = hmac.new(b"my secret", b"id.7.body", hashlib.sha256).digest()
    by_hand = "v1," + base64.b64encode(digest).decode()
    assert signature_headers("id", b"body", "my secret", 7.5)["webhook-signature"] == by_hand


def test_without_a_secret_nothing_is_signed() -> None:
    """Id and time are told all the same."""
    assert signature_headers("id", b"", "", 7) == {"webhook-id": "id", "webhook-timestamp": "7"}


@given(attempts=st.integers(1, 50), chance=st.floats(0, 1, exclude_max=True))
def test_pauses_grow_and_are_spread(attempts: int, chance: float) -> None:
    """For all tries: the pause is that of the schedule, give or take a fifth, and at last a day."""
    at = next_try(attempts, 0, Failure("it answered 500", 500), 1000, chance)

    assert at is not None
    pause = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    assert 1000 + pause * (1 - JITTER) <= at <= 1000 + pause * (1 + JITTER)
    assert list(RETRY_SECONDS) == sorted(RETRY_SECONDS)


def test_a_receiver_may_ask_for_time() -> None:
    """A longer pause is granted, a shorter one is not, and none is longer than ours get."""

    def pause(seconds: float) -> float | None:
        return next_try(1, 0, Failure("it answered 503", 503, seconds), 0, 0.5)

    assert pause(0) == pause(4) == RETRY_SECONDS[0]
    assert pause(100) == 100
    assert pause(1e9) == RETRY_SECONDS[-1]


@pytest.mark.parametrize(
    ("failure", "now", "is_over"),
    [
        (Failure("it answered 410", 410), 0.0, True),
        (Failure("it answered 404", 404), 0.0, False),
        (Failure("no connection"), GIVE_UP_SECONDS - 1.0, False),
        (Failure("no connection"), GIVE_UP_SECONDS + 0.0, True),
        (Failure("no connection"), -1e6, False),  # The clock stepped back.
    ],
)
def test_an_event_is_given_up_in_the_end(failure: Failure, now: float, is_over: bool) -> None:
    """When the receiver says that it is gone, or after three days."""
    assert (next_try(3, 0.0, failure, now, 0.5) is None) is is_over
    assert notifier.is_too_old(0.0, GIVE_UP_SECONDS) is True
    assert notifier.is_too_old(0.0, GIVE_UP_SECONDS - 1.0) is False
