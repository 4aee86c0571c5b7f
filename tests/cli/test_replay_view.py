"""How a replay looks in a terminal."""

import io
from typing import Any

from rich.console import Console

from server.cli.replay_view import replay_view
from server.release.evidence import ShadowEvidence

DOCUMENT: dict[str, Any] = {
    "model": "m[1]",
    "version": "2",
    "against": {"version": "1", "digest": "d"},
    "captured_rows": 12000,
    "rows": 1000,
    "left_out": {},
    "verdict": "no_data",
    "gates": [],
    "evidence": ShadowEvidence().to_json(),
    "samples": [],
}


def lines(**changes: Any) -> list[str]:
    """Return what is printed on a terminal of 80 characters."""
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(replay_view({**DOCUMENT, **changes}))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_nothing_that_was_not_seen_is_shown() -> None:
    """Without pairs there are no scores, no speed and no segments; names are no markup."""
    assert lines() == [
        "m[1]  version 2 on 1,000 of 12,000 rows that version 1 answered",
        "0 requests; of each one row, drawn at random, is a pair",
        "",
        "ANSWERS  PAIRS  SHARE  ROWS  LIVE AGAIN",
        "",
        "gates: no data",
    ]


def test_counts_scores_and_samples_are_shown() -> None:
    """Kinds by their names, scores as lines, at most two samples of a kind, the worst first."""
    evidence = ShadowEvidence.from_json(DOCUMENT["evidence"])
    evidence.pairs.update({"same": 3, "label_flip": 1})
    evidence.rows.update({"same": 6, "label_flip": 2})
    evidence.noise.update({"same": 4})
    evidence.live_scores[0], evidence.candidate_scores[199] = 4, 2
    evidence.score_differences[2] = 4
    evidence.timed_rows, evidence.live_cpu_seconds, evidence.candidate_cpu_seconds = 10, 1e-4, 2e-4
    sample = {
        "kind": "label_flip",
        "prediction_id": "a[b]",
        "row": 3,
        "inputs": {"x": [1, "[red]"]},
        "live": {"y": [0]},
        "candidate": {"y": [1]},
    }
    nan = {**sample, "kind": "nan"}
    shown = lines(evidence=evidence.to_json(), samples=[sample] * 3 + [nan], left_out={"age": []})

    assert shown[2] == "left out of the rows: age"
    assert shown[4:7] == [
        "ANSWERS     PAIRS    SHARE  ROWS  LIVE AGAIN",
        "same            3  75.00 %     6           4",
        "label flip      1  25.00 %     2           0",
    ]
    assert "scores from 0 to 1" in shown
    assert f"  live       █{'▁' * 39}" in shown
    assert f"  candidate  {'▁' * 39}▅" in shown
    assert "nine tenths are at most 0.0001 apart" in shown
    assert "processor time a row: 20.0 µs, the live version 10.0 µs" in shown
    assert [line for line in shown if "a[b]" in line] == [
        "nan  a[b] row 3",
        "label flip  a[b] row 3",
        "label flip  a[b] row 3",
    ]
    assert '  inputs     {"x": [1, "[red]"]}' in shown
