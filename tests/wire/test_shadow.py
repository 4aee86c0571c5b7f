"""What control and shadow say to each other arrives as it was said."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.release.evidence import ShadowEvidence
from server.release.mismatches import Mismatch
from server.release.shadow_rules import NO_RULES, OutputRule, Scores, Segment, ShadowRules
from server.wire import shadow
from server.wire.shadow import (
    CandidatePlan,
    ComparisonPlan,
    EvidenceDelta,
    Run,
    Runnable,
    ShadowStatus,
)


def runnable(version: str) -> Runnable:
    return Runnable(version, f"digest-{version}", f"staged/{version}", "", True, 128)


def test_plans_arrive_as_they_were_sent() -> None:
    """Models, versions, rules and ranges, with and without."""
    rules = ShadowRules(
        {"y": OutputRule(0.1, scores=Scores.VALUES)}, (Segment("a", "x", 1, ("b", "c")),)
    )
    plans = [
        ComparisonPlan(
            "m",
            runnable("1"),
            rules,
            (
                CandidatePlan(runnable("2"), "e1", (0.0, 1.0), True),
                CandidatePlan(runnable("3"), "e2"),
            ),
        ),
        ComparisonPlan("n", runnable("1"), NO_RULES, ()),
    ]

    assert shadow.decode_plans(shadow.encode_plans(plans)) == plans


@given(st.lists(st.text(max_size=5), max_size=4), st.binary(max_size=50))
def test_a_mirrored_record_is_the_bytes_that_the_worker_sent(
    versions: list[str], message: bytes
) -> None:
    """The record comes out untouched behind the candidates to run on it, and is not copied."""
    joined = memoryview(b"".join(shadow.mirror_parts(versions, message)))
    found, record = shadow.split_mirror(joined)

    assert found == versions
    assert record == message
    assert record.obj is joined.obj


def test_what_runs_arrives_and_that_nothing_does() -> None:
    """Before a run its candidate is named, after it that there is none."""
    run = Run("m", "2", "e", 5)

    assert shadow.decode_run(shadow.encode_run(run)) == run
    assert shadow.decode_run(shadow.encode_run(None)) is None


def test_evidence_arrives_with_its_samples() -> None:
    """Counts are the same; a number that JSON cannot carry arrives as none."""
    evidence = ShadowEvidence(
        pairs=Counter({"same": 3}), segments={"a=b": Counter({"nan": 1})}, timed_batches=2
    )
    sample = Mismatch(0.5, "nan", 1.5, "id", 0, {"x": [1.0]}, {"y": [2.0]}, {"y": [math.nan]})
    delta = shadow.decode_evidence(
        shadow.encode_evidence(EvidenceDelta("m", "2", "e", evidence, [sample]))
    )

    assert (delta.model, delta.version, delta.epoch) == ("m", "2", "e")
    assert delta.evidence == evidence
    assert delta.samples[0].candidate == {"y": [None]}


def test_a_status_arrives() -> None:
    """How the process is, and what it has loaded."""
    status = ShadowStatus(7, 1 << 20, 0.5, 20, 0.01, 3, {"m": ["e1"]})

    assert shadow.decode_status(shadow.encode_status(status)) == status


def test_the_socket_lies_beside_that_of_the_workers() -> None:
    """Its path is no longer, because there is a bound on the length of such paths."""
    assert shadow.socket_path("/run/t/control.sock") == "/run/t/shadow.sock"
