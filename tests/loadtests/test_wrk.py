"""What wrk prints is read right, and a run with errors counts for nothing."""

import pytest

from loadtests.throughput import table
from loadtests.wrk import Run, read

TEXT = """Running 3s test @ http://127.0.0.1:20000/v2/models/tabular/infer
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.40ms  448.00us   7.50ms   92.50%
    Req/Sec    26.60k     1.10k   28.10k    80.50%
  Latency Distribution
     50%    2.32ms
     75%    2.51ms
     90%    2.90ms
     99%    {p99}
  106232 requests in 4.00s, 31.10MB read
{errors}Requests/sec:  26558.08
Transfer/sec:      7.77MB
"""


def text(p99: str = "812.00us", errors: str = "") -> str:
    return TEXT.format(p99=p99, errors=errors)


def test_a_run_without_errors_is_read_whole() -> None:
    """Percentiles are those of the latency distribution, not of the columns above it."""
    run = read(text(), "tidegate", "tabular", 64, cpu=4.0)

    assert (run.target, run.workload, run.connections) == ("tidegate", "tabular", 64)
    assert (run.requests, run.errors, run.is_valid) == (106232, 0, True)
    assert run.requests_per_second == 26558.08
    assert run.p50_seconds == pytest.approx(0.00232)
    assert run.p99_seconds == pytest.approx(0.000812)
    assert run.cpu_seconds_per_request == pytest.approx(4.0 / 106232)


@pytest.mark.parametrize(("printed", "seconds"), [("1.20s", 1.2), ("2.00m", 120.0)])
def test_long_times_are_read_in_their_unit(printed: str, seconds: float) -> None:
    """Seconds and minutes count as what they are."""
    assert read(text(printed), "t", "w", 1, 1.0).p99_seconds == pytest.approx(seconds)


def test_errors_of_both_kinds_are_added_up() -> None:
    """Answers that were not good and sockets that broke make the run invalid."""
    errors = (
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
    )
    run = read(text(errors=errors), "t", "w", 1, 1.0)

    assert (run.errors, run.is_valid) == (15, False)


def test_text_that_is_not_from_wrk_ends_the_measurement() -> None:
    """Nothing is made up where nothing can be read."""
    with pytest.raises(SystemExit, match="something else than expected"):
        read("unable to connect", "t", "w", 1, 1.0)


def test_the_table_leaves_invalid_runs_out() -> None:
    """Medians are over good runs only, and a target without any says so."""

    def run(target: str, rate: float, errors: int = 0) -> Run:
        return Run(target, "w", 1, 100, errors, rate, 0.001, 0.002, 0.0001)

    lines = table({"a": [run("a", 100), run("a", 9, 1), run("a", 300)], "b": [run("b", 5, 1)]})

    assert "| a | 200 |" in lines
    assert "2 (1 invalid)" in lines
    assert "| b | invalid: errors in every run |" in lines
