"""How much of a candidate is run at once, and for how long its core is left to others after it.

Decides from what a row has cost so far. While this process runs, at the lowest priority there is,
its core does not count as idle: predictions that wait on another core are fetched over only when
the system looks around, each few milliseconds. They are fetched at once when a core falls idle. So
runs are short, and a rest follows when some of them, or one, took that long; a run is not smaller
than the live version's own batches were: it would cost more a row than the live version did.

Pure: it is told times.
"""

RUN_SECONDS = 0.001
"""Processor time of a run, where rows are cheap enough, and of all runs until a rest is due."""
REST_SHARE = 0.1
"""Of the time that was run, and …"""
REST_SECONDS = 50e-6
"""… beside that: what wakes a core up takes its time too."""
_NEW = 0.2
"""Weight of the last run in what a row is taken to cost."""


class Pace:
    """The pace of one candidate."""

    def __init__(self) -> None:
        self._row_seconds = 0.0
        """What a row costs; 0 before the first run."""
        self._run_seconds = 0.0
        """Since the last rest."""

    def note(self, rows: int, cpu_seconds: float) -> float:
        """Take in a run; return how long to rest after it, in seconds, or 0."""
        now = cpu_seconds / max(1, rows)
        before = self._row_seconds or now
        self._row_seconds = before + _NEW * (now - before)
        self._run_seconds += cpu_seconds
        if self._run_seconds < RUN_SECONDS:
            return 0.0
        rest_seconds = REST_SECONDS + REST_SHARE * self._run_seconds
        self._run_seconds = 0.0
        return rest_seconds

    def rows(self, live_rows: int) -> int:
        """Return how many rows to run at once, if the live version ran `live_rows` on average."""
        affordable = int(RUN_SECONDS / self._row_seconds) if self._row_seconds else 0
        return max(1, live_rows, affordable)
