"""What the supervisor and its children tell each other, line by line."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.settings import Settings
from server.wire.channel import (
    BEAT,
    Charter,
    decode_charter,
    decode_report,
    encode_charter,
    encode_report,
)

words = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(words, values, max_size=3),
    max_leaves=6,
)
all_settings = st.builds(
    Settings,
    repository=st.just("models") | words.filter(lambda path: "\0" not in path and "~" not in path),
    port=st.integers(0, 65535),
    max_delay_ms=st.floats(0, 10_000),
    stuck_seconds=st.floats(0.1, 100),
    log_format=st.sampled_from(["auto", "text", "json"]),
    webhook_secret=words.filter(lambda secret: not secret.startswith("whsec_")),
)
charters = st.builds(
    Charter,
    settings=all_settings,
    name=words,
    worker=st.integers(-1, 300),
    workers=st.integers(1, 300),
    port=st.integers(0, 65535),
    socket_path=words,
    restarts=st.integers(0, 99),
    listen_fd=st.integers(-1, 99),
    origins=st.dictionaries(words, words, max_size=3),
)


@settings(max_examples=40)
@given(charters)
def test_a_charter_is_one_line_and_decoded_as_it_was(charter: Charter) -> None:
    """A child gets every setting and number it was meant to have, whatever the texts contain."""
    line = encode_charter(charter)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_charter(line) == charter


@given(st.dictionaries(st.sampled_from(["ready", "other"]), json_values))
def test_a_report_is_one_line_and_decoded_as_it_was(report: dict[str, Any]) -> None:
    """Lines are what parts reports, so none may hold a line break of its own."""
    line = encode_report(**report)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_report(line) == report


def test_a_heartbeat_is_a_report_that_says_nothing() -> None:
    """A beat is a whole line, so it can stand between any two reports."""
    assert decode_report(BEAT) == {}
    assert BEAT.endswith(b"\n")


@pytest.mark.parametrize("line", [b"[]\n", b"null\n", b"1\n", b'"ready"\n'])
def test_a_line_that_is_no_report_says_nothing(line: bytes) -> None:
    """JSON of another kind counts as a sign of life and no more."""
    assert decode_report(line) == {}
