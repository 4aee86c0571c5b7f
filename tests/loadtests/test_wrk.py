"""What wrk saw is read right, and a run with errors counts for nothing."""

import pytest

from loadtests.throughput import table
from loadtests.wrk import Run, read

TEXT = """Running 1s test @ http://127.0.0.1:20000
  1 threads and 64 connections

seen {"requests": 500, "errors": 3, "seconds": 2.000000, "percentiles": [900, 1000, 2500.5, 9e3]}
"""


def test_what_the_script_printed_is_read_whole() -> None:
    """Percentiles come in microseconds, and the rate is of all requests."""
    seen = read(TEXT)

    assert (seen.requests, seen.errors, seen.requests_per_second) == (500, 3, 250.0)
    told = (seen.p50_seconds, seen.p90_seconds, seen.p99_seconds, seen.p999_seconds)
    assert told == pytest.approx((0.0009, 0.001, 0.0025005, 0.009))


def test_text_that_is_not_from_the_script_ends_the_measurement() -> None:
    """Nothing is made up where nothing can be read."""
    with pytest.raises(SystemExit, match="something else than expected"):
        read("unable to connect")


def test_the_table_leaves_invalid_runs_out() -> None:
    """Medians are over good runs only, and a target without any says so."""

    def run(target: str, rate: float, errors: int = 0) -> Run:
        return Run(target, "w", 1, 100, errors, rate, 0.001, 0.002, 0.0001)

    lines = table({"a": [run("a", 100), run("a", 9, 1), run("a", 300)], "b": [run("b", 5, 1)]})

    assert "| a | 200 |" in lines
    assert "2 (1 invalid)" in lines
    assert "| b | invalid: errors in every run |" in lines
