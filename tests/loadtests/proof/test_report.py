"""Tables say what counts, what does not and why, and where others lead."""

from dataclasses import replace

from loadtests.proof.report import report
from loadtests.proof.results import Measured
from tests.loadtests.proof.support import RUN, measured, outcome, results


def test_a_row_has_medians_ranges_and_ratios_to_the_first() -> None:
    """Each figure in its unit; ratios are those of rounds."""
    ours, other = measured("tidegate", [100, 300, 200]), measured("plain", [50, 150, 100])
    told = report(results(outcome(ours, other)))

    (row,) = [line for line in told.splitlines() if line.startswith("| plain")]
    assert row.startswith("| plain | 100 [50, 150] | 1,000 [1,000, 1,000] |")
    assert row.endswith("| 0.50 [0.50, 0.50] | 1.00 [1.00, 1.00] | 3 |")


def test_it_says_what_was_measured_on_what() -> None:
    """Command, commit, machine, versions, runs."""
    told = report(results(outcome(measured("tidegate", [1]))))

    assert "`python -m loadtests run mlp-json-1/64`" in told
    for words in ("0123456789ab", "2 cores", "numpy 2.4.6", "Medians of 3 x 4 s"):
        assert words in told


def test_what_does_not_count_is_named_with_the_reason() -> None:
    """Missing targets, invalid runs; no figure is made of them."""
    bad = Measured("plain", (replace(RUN, wrong=3),))
    missing = Measured("ray", missing="it takes JSON only")
    told = report(results(outcome(measured("tidegate", [1]), bad, missing)))

    assert "* ray is missing: it takes JSON only" in told
    assert "* plain, runs that do not count: 3 of 10 checked answers wrong" in told
    assert "| plain | invalid |" in told
    assert "0 (1 invalid)" in told


def test_what_makes_figures_doubtful_is_said() -> None:
    """Others that were busy while idle, and a client that was late itself."""
    run = {"others_cores": 0.3, "sent_late_p99_seconds": 0.002}
    told = report(results(outcome(measured("tidegate", [1], **run))))

    assert "* beside tidegate, the others took 0.30 cores while idle" in told
    assert "* for tidegate, the client itself was late: p99 2.0 ms" in told


def test_it_says_where_others_lead_or_that_nobody_was_there() -> None:
    """A lead is a row; without others, nothing is claimed."""
    ours = measured("tidegate", [100, 100])
    ahead = report(results(outcome(ours, measured("plain", [200, 200]))))
    behind = report(results(outcome(ours, measured("plain", [50, 50]))))
    alone = report(results(outcome(ours)))

    assert "| mlp-json-1/64 | req/s | plain | 2.00 [2.00, 2.00] |" in ahead
    assert "Nowhere:" in behind
    assert "No other server was measured beside the gateway." in alone
