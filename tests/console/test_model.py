"""The page of one model: versions, lines, batches."""

from collections import Counter
from typing import Any

from server.console.model import PageFacts, view
from server.wire.tally import BatchSize, Tally
from tests.console.test_overview import row
from tests.console.test_traffic import traffic

RELEASE: dict[str, Any] = {
    "live": "2",
    "versions": [
        {"version": "2", "digest": "b" * 64, "state": "live", "reason": "", "incompatible": []},
        {
            "version": "1",
            "digest": "a" * 64,
            "state": "failed",
            "reason": "no such operator",
            "incompatible": ["output 'y' is INT64"],
        },
    ],
}


def facts(**other: Any) -> PageFacts:
    """Return the facts of a model of two versions, of which nothing was asked."""
    index = [
        row("2"),
        row("1", "UNAVAILABLE", reason="no such operator", fix="export it anew", live=False),
    ]
    given: dict[str, Any] = {
        "index": index,
        "release": RELEASE,
        "traffic": {},
        "silence": traffic([0] * 3),
        "tallies": {},
        "signature": [],
        "settings": [],
    }
    return PageFacts("m", **(given | other))


def test_a_version_tells_its_part_its_files_and_what_would_help() -> None:
    """Newest first; what is said twice is told once."""
    newest, oldest = view(facts()).versions

    assert (newest.version, newest.state, newest.ready, newest.digest) == (
        "2",
        "live",
        "ready",
        "b" * 12,
    )
    assert oldest.words == [
        "no such operator",
        "what would help: export it anew",
        "incompatible: output 'y' is INT64",
    ]


def test_each_version_that_was_asked_has_a_line() -> None:
    """In the order of their numbers, over the same moments."""
    found = view(facts(traffic={"10": traffic([5, 5, 5]), "9": traffic([10, 10, 10])}))

    requests = found.charts[0].data
    assert requests["names"] == ["version 9", "version 10"]
    assert requests["data"][1:] == [[2.0] * 3, [1.0] * 3]
    assert len(requests["data"][0]) == 3
    assert found.figures.requests_per_second == 3.0


def test_a_model_that_was_not_asked_has_flat_lines() -> None:
    """Zero requests, and no latency at all."""
    requests, latency, failed, rows = (chart.data["data"] for chart in view(facts()).charts)

    assert requests[1] == failed[1] == [0.0, 0.0, 0.0]
    assert latency[1:] == [[None] * 3] * 2
    assert rows[1] == [None] * 3


def test_sizes_of_batches_are_put_together_by_powers_of_two() -> None:
    """Up to the largest that there was; empty sizes between are shown."""
    sizes = {1: BatchSize(6), 3: BatchSize(1), 4: BatchSize(1), 12: BatchSize(2)}
    tallies = {"1": Tally(sizes=sizes), "2": Tally(sizes={1: BatchSize(10)})}

    found = view(facts(tallies=tallies)).sizes

    assert [(bar.name, bar.words) for bar in found] == [
        ("1", "16 batches"),
        ("2", "0 batches"),
        ("3 to 4", "2 batches"),
        ("5 to 8", "0 batches"),
        ("9 to 16", "2 batches"),
    ]
    assert found[0].percent == 80.0


def test_why_batches_closed_is_said_in_words() -> None:
    """A reason that these words do not know is shown as it is."""
    tallies = {"1": Tally(closed=Counter(queue_empty=3, full=1))}

    found = view(facts(tallies=tallies)).closed

    assert [(bar.name, bar.share) for bar in found] == [
        ("nothing else was waiting", 0.75),
        ("full: it had max_rows", 0.25),
    ]
    assert view(facts(tallies={"1": Tally(closed=Counter(new=1))})).closed[0].name == "new"


def test_outcomes_are_of_all_versions_and_gone_clients_are_not_the_versions_fault() -> None:
    """Most frequent first."""
    tallies = {
        "1": Tally(outcomes=Counter(ok=8, client_gone=1)),
        "2": Tally(outcomes=Counter(ok=10, model_error=1)),
    }

    found = view(facts(tallies=tallies))

    assert found.outcomes == [("ok", 18, 0.9), ("client_gone", 1, 0.05), ("model_error", 1, 0.05)]
    assert [(one.requests, one.failures) for one in found.versions] == [(11, 1), (9, 0)]


def test_rows_that_broke_a_check_are_named() -> None:
    """By feature, what was broken, and what was done about it."""
    broken = Counter({("age", "above the maximum", "count"): 3})

    found = view(facts(tallies={"2": Tally(broken=broken)}))

    assert found.broken == [("age", "above the maximum", "count", 3)]
