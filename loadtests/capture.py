"""What it costs to capture every row: processor time of requests.

The gateway runs twice, with all batches captured and none, and both are measured in turns.
"""

from loadtests import monitoring, throughput


def measure(rounds: int, seconds: int) -> str:
    """Return the table."""
    runs = monitoring.in_turns(rounds, seconds, "capture_bp", ("0", "10000"))
    return throughput.table(runs)
