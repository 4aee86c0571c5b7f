"""What was measured: every run, what makes one invalid, medians with ranges, and the JSON of it.

Decides which runs count. Does not know how they were made, nor how they are shown.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

FORMAT = 1
OURS = "tidegate"
"""The gateway as it is started without flags; other names of ours begin with it."""
BARE = "bare"
"""The loop around `session.run`: no server, so nobody can take it instead."""


class Unreadable(ValueError):
    """A file is not the result of a run; the text says what is wrong with it."""


@dataclass(frozen=True)
class Run:
    """One target, asked for some seconds."""

    requests: int
    errors: int
    """Answers that were not 200, connections that broke, requests without an answer."""
    checked: int
    """Answers that were compared with those of onnxruntime while the load ran."""
    wrong: int
    """How many of these had other numbers."""
    requests_per_second: float
    p50_seconds: float
    p90_seconds: float
    p99_seconds: float
    p999_seconds: float
    cpu_seconds_per_request: float
    """Of the target's whole tree of processes, user and system."""
    pss_bytes: int
    """Proportional memory of the tree at the end."""
    others_cores: float = 0.0
    """Processor time a second of the other targets, which should do nothing meanwhile."""
    sent_late_p99_seconds: float = 0.0
    """At a rate: how late the load generator itself was."""
    example: str = ""
    """The first bad answer to the client that checks."""

    @property
    def is_valid(self) -> bool:
        """Whether the run counts."""
        return not self.trouble

    @property
    def trouble(self) -> str:
        """Say why the run counts for nothing; empty if it counts."""
        example = f" ({self.example})" if self.example else ""
        if self.errors:
            return f"{self.errors} errors{example}"
        if self.wrong:
            return f"{self.wrong} of {self.checked} checked answers wrong{example}"
        if not self.requests:
            return "no answers"
        return "" if self.checked else "no answer was checked"


@dataclass(frozen=True)
class Figure:
    """One of the numbers of a run, and how it is shown."""

    key: str
    words: str
    scale: float
    digits: int
    more_is_better: bool = False

    def shown(self, value: float) -> str:
        """Return a value in the figure's unit."""
        return f"{value * self.scale:,.{self.digits}f}"


FIGURES = (
    Figure("requests_per_second", "req/s", 1.0, 0, more_is_better=True),
    Figure("p50_seconds", "p50 µs", 1e6, 0),
    Figure("p90_seconds", "p90 µs", 1e6, 0),
    Figure("p99_seconds", "p99 µs", 1e6, 0),
    Figure("p999_seconds", "p99.9 µs", 1e6, 0),
    Figure("cpu_seconds_per_request", "CPU µs/req", 1e6, 1),
    Figure("pss_bytes", "PSS MiB", 2**-20, 0),
)
BY_KEY: Mapping[str, Figure] = {one.key: one for one in FIGURES}


@dataclass(frozen=True)
class Spread:
    """A median and the least and the most of the runs behind it."""

    median: float
    low: float
    high: float
    count: int


def spread(values: list[float]) -> Spread:
    """Return the median of at least one value, and the range."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Measured:
    """One target in one scenario: a run for each round."""

    target: str
    runs: tuple[Run, ...] = ()
    missing: str = ""
    """Why there are none: it cannot be installed, or cannot take the workload."""

    def spread(self, key: str) -> Spread | None:
        """Return the spread of a figure over the runs that count; None if there are none."""
        values = [float(getattr(run, key)) for run in self.runs if run.is_valid]
        return spread(values) if values else None

    @property
    def troubles(self) -> list[str]:
        """Say of each run that does not count why."""
        return [run.trouble for run in self.runs if not run.is_valid]


@dataclass(frozen=True)
class Outcome:
    """One scenario: all its targets, which took turns."""

    scenario: str
    workload: str
    connections: int
    rows: int
    """Of a request."""
    rate: float
    """Requests a second that were due; 0 where as many came as were answered."""
    targets: tuple[Measured, ...]

    def named(self, target: str) -> Measured | None:
        """Return what a target showed."""
        return next((one for one in self.targets if one.target == target), None)


@dataclass(frozen=True)
class Results:
    """What a command measured, and on what."""

    format: int
    when: str
    """UTC, ISO 8601."""
    command: str
    commit: str
    """With `+` behind it if files differed from it."""
    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    seconds: int
    outcomes: tuple[Outcome, ...]

    def named(self, scenario: str) -> Outcome | None:
        """Return what a scenario showed."""
        return next((one for one in self.outcomes if one.scenario == scenario), None)


def paired(first: Measured, other: Measured, key: str) -> Spread | None:
    """Return how many times the first's figure the other's is, round by round.

    What else the machine did meets both of one round alike, so this says more than two medians.
    """
    pairs = zip(first.runs, other.runs, strict=False)
    values = [
        getattr(two, key) / getattr(one, key)
        for one, two in pairs
        if one.is_valid and two.is_valid and getattr(one, key)
    ]
    return spread(values) if values else None


@dataclass(frozen=True)
class Lead:
    """A figure in which somebody else is before the first target in every round."""

    scenario: str
    figure: Figure
    leader: str
    ratio: Spread
    """Of the leader's figure to the first target's."""


LEADS = ("requests_per_second", "p50_seconds", "p99_seconds", "cpu_seconds_per_request")


def rivals(outcome: Outcome) -> list[Measured]:
    """Return whoever was measured beside the gateway: neither a bare loop nor gateways of ours."""
    if outcome.named(OURS) is None:
        return []
    return [
        one
        for one in outcome.targets
        if one.runs and one.target != BARE and not one.target.startswith(OURS)
    ]


def leads(outcome: Outcome) -> Iterator[Lead]:
    """Yield where rivals are before the gateway in every round."""
    ours = outcome.named(OURS)
    for other in rivals(outcome):
        assert ours is not None
        for key in LEADS:
            ratio, figure = paired(ours, other, key), BY_KEY[key]
            if ratio and (ratio.low > 1 if figure.more_is_better else ratio.high < 1):
                yield Lead(outcome.scenario, figure, other.target, ratio)


def to_json(results: Results) -> bytes:
    """Return results as a file has them."""
    return orjson.dumps(asdict(results), option=orjson.OPT_INDENT_2) + b"\n"


def from_json(text: bytes) -> Results:
    """Read what `to_json` wrote.

    Raises:
        Unreadable: it is something else.

    """
    try:
        results: Results = TypeAdapter(Results).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise Unreadable(f"not the result of a run: {place}: {first['msg'][:200]}") from error
    if results.format != FORMAT:
        raise Unreadable(f"format {results.format} of results, where this program reads {FORMAT}")
    return results
