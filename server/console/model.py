"""The page of one model: its versions, and its traffic, latency and batches over time. Pure.

Decides which versions have lines of their own, how sizes of batches are put together, and how it
is said why a batch took no more requests.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.console import words
from server.console.traffic import (
    NOW_SLOTS,
    Figures,
    Traffic,
    figures,
    per_second,
    quantiles,
    together,
)
from server.wire.tally import Tally

MOST_LINES = 4
CLOSED_WORDS = {
    "queue_empty": "nothing else was waiting",
    "full": "full: it had max_rows",
    "other_shape": "the next request had another shape",
    "delay": "max_delay_ms was over",
    "unbatched": "this model takes one request at a time",
}


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What control knows of one model."""

    name: str
    index: Sequence[Mapping[str, Any]]
    release: Mapping[str, Any]
    """How its release stands, as the release API tells it."""
    traffic: Mapping[str, Traffic]
    """By version."""
    silence: Traffic
    tallies: Mapping[str, Tally]
    """What each version was counted since control began."""
    signature: Sequence[tuple[str, str, str]]
    """Of the live version: side, name, and datatype with shape."""
    settings: Sequence[tuple[str, str]]
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time, as the script in the page draws them."""

    title: str
    note: str
    data: Mapping[str, Any]
    """Names, unit, and a list of moments followed by one of values for each name."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version."""

    version: str
    state: str
    """Its part in the release."""
    ready: str
    """Its state in the repository's index."""
    words: Sequence[str]
    digest: str
    requests: int
    failures: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a list of bars."""

    name: str
    share: float
    words: str

    @property
    def percent(self) -> float:
        """Its length."""
        return round(100.0 * self.share, 2)


@dataclass(frozen=True, slots=True)
class ModelPage:
    """The page."""

    live: str
    figures: Figures
    charts: Sequence[Chart]
    versions: Sequence[VersionRow]
    sizes: Sequence[Bar]
    closed: Sequence[Bar]
    outcomes: Sequence[tuple[str, int, float]]
    """Code, requests, share."""
    broken: Sequence[tuple[str, str, str, int]]
    """Rows that broke a data check: feature, what was broken, policy, rows."""
    signature: Sequence[tuple[str, str, str]]
    settings: Sequence[tuple[str, str]]
    unknown: Sequence[str]


def view(facts: PageFacts) -> ModelPage:
    """Return the page."""
    everything = together(list(facts.traffic.values())) or facts.silence
    outcomes: Counter[str] = Counter()
    for tally in facts.tallies.values():
        outcomes.update(tally.outcomes)
    total = outcomes.total()
    return ModelPage(
        facts.release["live"] or words.NOT_KNOWN,
        figures(everything.last(NOW_SLOTS)),
        _charts(everything, facts.traffic),
        _versions(facts),
        _sizes(facts.tallies.values()),
        _closed(facts.tallies.values()),
        [(code, number, number / total) for code, number in outcomes.most_common() if number],
        [
            (*key, rows)
            for tally in facts.tallies.values()
            for key, rows in tally.broken.most_common(10)
        ],
        facts.signature,
        facts.settings,
        facts.unknown,
    )


def _charts(everything: Traffic, by_version: Mapping[str, Traffic]) -> list[Chart]:
    moments = [round(one, 1) for one in everything.ends.tolist()]
    busiest = sorted(by_version, key=lambda one: -int(by_version[one].requests.sum()))[:MOST_LINES]
    shown = sorted(busiest, key=int) or [""]
    rates = [
        per_second(traffic, traffic.requests)
        for traffic in (by_version.get(version, everything) for version in shown)
    ]
    per_batch = [
        round(rows / batches, 2) if batches else None
        for rows, batches in zip(everything.rows.tolist(), everything.batches.tolist(), strict=True)
    ]
    names = [f"version {version}" if version else "requests" for version in shown]
    latency = [quantiles(everything, at) for at in (0.5, 0.99)]
    failed = per_second(everything, everything.failures)
    return [
        _chart("Requests", "a second, by the version that answered", names, "/s", moments, rates),
        _chart("Latency", "from the last byte of a request to its answer", ["p50", "p99"], "ms",
               moments, latency),
        _chart("Failed requests", "a second, with a status of 500 or more", ["failed"], "/s",
               moments, [failed]),
        _chart("Rows in a batch", "on average", ["rows"], "rows", moments, [per_batch]),
    ]  # fmt: skip


def _chart(
    title: str,
    note: str,
    names: Sequence[str],
    unit: str,
    moments: Sequence[float],
    lines: Sequence[Sequence[float | None]],
) -> Chart:
    return Chart(title, note, {"names": names, "unit": unit, "data": [moments, *lines]})


def _versions(facts: PageFacts) -> list[VersionRow]:
    index = {str(one["version"]): one for one in facts.index}
    told = {str(one["version"]): one for one in facts.release["versions"]}
    rows = []
    for version in sorted(index.keys() | told.keys(), key=lambda one: -int(one or 0)):
        here, part = index.get(version, {}), told.get(version, {})
        tally = facts.tallies.get(version, Tally())
        traffic = facts.traffic.get(version)
        reasons = [
            here.get("reason", ""),
            part.get("reason", ""),
            f"what would help: {here['fix']}" if here.get("fix") else "",
            *here.get("warnings", ()),
            *(f"incompatible: {one}" for one in part.get("incompatible", ())),
        ]
        rows.append(
            VersionRow(
                version,
                str(part.get("state", "")),
                str(here.get("state", "")).lower(),
                [one for one in dict.fromkeys(reasons) if one],
                str(part.get("digest", ""))[:12],
                tally.outcomes.total(),
                tally.outcomes.total() - tally.outcomes["ok"] - tally.outcomes["client_gone"],
                figures(traffic.last(NOW_SLOTS) if traffic is not None else None),
            )
        )
    return rows


def _sizes(tallies: Collection[Tally]) -> list[Bar]:
    """Return shares of batches by their rows: 1, 2, 3 to 4, 5 to 8, and so on."""
    counts: Counter[int] = Counter()
    for tally in tallies:
        for rows, size in tally.sizes.items():
            counts[(rows - 1).bit_length()] += size.batches
    total = counts.total()
    if not total:
        return []
    return [
        Bar(_range(power), counts[power] / total, words.several(counts[power], "batch", "batches"))
        for power in range(max(counts) + 1)
    ]


def _range(power: int) -> str:
    high = 1 << power
    low = high // 2 + 1
    return str(high) if power < 2 else f"{low} to {high}"


def _closed(tallies: Collection[Tally]) -> list[Bar]:
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts.update(tally.closed)
    total = counts.total()
    return [
        Bar(CLOSED_WORDS.get(reason, reason), number / total, words.share(number / total))
        for reason, number in counts.most_common()
        if number
    ]
