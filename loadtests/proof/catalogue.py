"""The scenarios that there are, by name: which requests, over how many connections, to what.

A name is `WORKLOAD/CONNECTIONS`, and options behind further strokes: `tabular-json-1/64/workers=2`.
Decides which names exist; knows the names of workloads, and nothing of how one is measured.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_CONNECTIONS = 2000
CONNECTIONS = (1, 4, 16, 64, 256, 1000)
WORKERS = (1, 2)
OPTIONS = {
    "workers=N": "so many processes run the model; one without it",
    "close": "a new connection for each request",
    "rate=N": "N requests a second, whatever the answers take; latency counts from when one is due",
    "load=P": "the same, at P percent of what the first target can take",
    "unmonitored": "also a gateway that monitors nothing",
    "shadow": "also a gateway that runs a shadow, as costly as the model, on all batches",
    "bare": "servers on one core, and also a loop around session.run there with the arrays ready",
}
SETS = {
    "figures": "what the figures that are promised are measured with",
    "all": "each workload at each number of connections and workers, and each option",
}


class Unknown(ValueError):
    """There is no scenario of this name; the text lists what there is."""


@dataclass(frozen=True)
class Scenario:
    """One question: what is sent, and how."""

    workload: str
    connections: int
    workers: int = 1
    closes: bool = False
    """Whether each request comes on a connection of its own."""
    rate: float = 0.0
    """Requests a second that are due whatever the answers take; 0 is as many as are answered."""
    load_percent: int = 0
    """The rate as a share of what the first target can take; 0 where `rate` says it."""
    unmonitored: bool = False
    shadow: bool = False
    bare: bool = False

    @property
    def is_open(self) -> bool:
        """Whether requests are due at a rate."""
        return bool(self.rate or self.load_percent)

    @property
    def name(self) -> str:
        """Return what the scenario is called, options in their order."""
        words = [self.workload, str(self.connections)]
        words += [f"workers={self.workers}"] * (self.workers > 1)
        words += ["close"] * self.closes
        words += [f"rate={self.rate:g}"] * bool(self.rate)
        words += [f"load={self.load_percent}"] * bool(self.load_percent)
        words += [word for word in ("unmonitored", "shadow", "bare") if getattr(self, word)]
        return "/".join(words)

    @property
    def servers(self) -> tuple[str, int, bool, bool, bool]:
        """Return what servers are started for: scenarios with the same can share them."""
        return self.workload, self.workers, self.unmonitored, self.shadow, self.bare


def selected(words: Sequence[str], workloads: Sequence[str]) -> list[Scenario]:
    """Return the scenarios that are named by themselves, by a set, or by a pattern with `*`.

    Raises:
        Unknown: a word names nothing.

    """
    found: dict[str, Scenario] = {}
    for word in words:
        for scenario in _selected(word, workloads):
            found.setdefault(scenario.name, scenario)
    return list(found.values())


def _selected(word: str, workloads: Sequence[str]) -> Sequence[Scenario]:
    if word == "figures":
        return list(_figures(workloads))
    if word == "all":
        return list(_all(workloads))
    if "*" not in word:
        return [parse(word, workloads)]
    matching = [one for one in _all(workloads) if fnmatch.fnmatchcase(one.name, word)]
    if not matching:
        raise Unknown(f"no scenario is like {word[:80]!r}; {_there(workloads)}")
    return matching


def parse(name: str, workloads: Sequence[str]) -> Scenario:
    """Return the scenario of a name.

    Raises:
        Unknown: there is none.

    """
    workload, *rest = name.split("/")
    if workload not in workloads:
        raise Unknown(f"no workload is called {workload[:80]!r}; {_there(workloads)}")
    if not rest or not rest[0].isdecimal() or not 1 <= int(rest[0]) <= MOST_CONNECTIONS:
        raise Unknown(
            f"scenario {name[:80]!r} must have connections, 1 to {MOST_CONNECTIONS}, behind the "
            f"workload, such as {workload}/64"
        )
    values: dict[str, int | bool] = {}
    for option in rest[1:]:
        key, value = _option(option, workloads)
        values[key] = value
    scenario = Scenario(workload, int(rest[0]), **values)  # type: ignore[arg-type]
    if scenario.is_open and (scenario.closes or scenario.bare):
        raise Unknown(f"scenario {name[:80]!r}: a rate goes neither with close nor with bare")
    if scenario.rate and scenario.load_percent:
        raise Unknown(f"scenario {name[:80]!r} must have one rate: rate=N or load=P")
    return scenario


def _option(option: str, workloads: Sequence[str]) -> tuple[str, int | bool]:
    if option in ("unmonitored", "shadow", "bare"):
        return option, True
    if option == "close":
        return "closes", True
    match = re.fullmatch(r"(workers|rate|load)=([1-9]\d{0,5})", option)
    if match is None:
        raise Unknown(f"no option is called {option[:80]!r}; {_there(workloads)}")
    return {"load": "load_percent"}.get(match[1], match[1]), int(match[2])


def _there(workloads: Sequence[str]) -> str:
    return (
        "there are WORKLOAD/CONNECTIONS[/OPTION…], patterns of them with *, and the sets "
        f"{', '.join(SETS)}; workloads: {', '.join(workloads)}; options: {', '.join(OPTIONS)}"
    )


def _figures(workloads: Sequence[str]) -> Iterator[Scenario]:
    """Yield what is promised: cost and rate at 64, latency at 1, rows beside a bare loop."""
    for workload in workloads:
        yield Scenario(workload, 1)
        yield Scenario(workload, 64)
    for workload in ("tabular-binary-64", "mlp-binary-64", "mlp-json-64", "image-binary-1"):
        yield Scenario(workload, 16, bare=True)
    yield Scenario("tabular-json-1", 64, unmonitored=True)
    for workload in ("mlp-json-1", "image-binary-1"):
        yield Scenario(workload, 64, workers=2, load_percent=50, shadow=True)


def _all(workloads: Sequence[str]) -> Iterator[Scenario]:
    """Yield every workload at every number of connections and workers, and every option."""
    for workload in workloads:
        for workers in WORKERS:
            for connections in CONNECTIONS:
                yield Scenario(workload, connections, workers)
        for connections in (1, 64):
            yield Scenario(workload, connections, closes=True)
        yield Scenario(workload, 64, rate=100)
        yield Scenario(workload, 64, load_percent=50)
        yield Scenario(workload, 64, unmonitored=True)
        yield Scenario(workload, 64, shadow=True)
        yield Scenario(workload, 64, load_percent=50, shadow=True)
        yield Scenario(workload, 16, bare=True)
