"""The histogram of a feature: reference against live, drawn to scale, with quantiles. Pure.

Decides how far the axis reaches: over the reference, and as far beyond it as live values lie, but
by no more than half of it again, or a change of units would press everything into one line. Bars
are densities, because bins of equal mass have widths of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.console import words

WIDTH, HEIGHT = 640.0, 190.0
_BASE = HEIGHT - 18.0
"""Where the axis lies; its numbers are below."""
MINI_WIDTH, MINI_HEIGHT = 96.0, 26.0
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_BEYOND = 0.5
MOST_CATEGORIES = 14


@dataclass(frozen=True, slots=True)
class Tick:
    """A number at the axis."""

    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Quantile:
    """One quantile on both sides."""

    name: str
    reference: str
    live: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """Two histograms of numbers over one axis."""

    reference: str
    live: str
    ticks: Sequence[Tick] = ()
    quantiles: Sequence[Quantile] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """The share of one category on both sides."""

    name: str
    reference: float
    live: float


def large(told: Mapping[str, Any]) -> Drawn | None:
    """Return the histogram of a numeric column of a drift report; None for categories."""
    return _drawn(told, WIDTH, _BASE, with_words=True)


def mini(told: Mapping[str, Any]) -> Drawn:
    """Return the histogram of any column in the size of a word."""
    drawn = _drawn(told, MINI_WIDTH, MINI_HEIGHT, with_words=False)
    if drawn is not None:
        return drawn
    shares = told["histogram"]
    highest = max([*shares["reference"], *shares["live"]], default=0.0)
    bounds = [float(place) for place in range(len(shares["reference"]) + 1)]
    reference, live = (
        _outline(bounds, shares[side], highest, (MINI_WIDTH, MINI_HEIGHT))
        for side in ("reference", "live")
    )
    return Drawn(reference, live)


def categories(told: Mapping[str, Any]) -> list[Category]:
    """Return the categories of a column, the most frequent first, the rest as one."""
    histogram = told["histogram"]
    if "categories" not in histogram:
        return []
    names = ["any other" if name is None else str(name) for name in histogram["categories"]]
    found = [
        Category(name, reference, live)
        for name, reference, live in zip(
            names, histogram["reference"], histogram["live"], strict=True
        )
    ]
    found.sort(key=lambda one: -max(one.reference, one.live))
    rest = found[MOST_CATEGORIES:]
    if not rest:
        return found
    others = Category(
        f"{len(rest)} more", sum(one.reference for one in rest), sum(one.live for one in rest)
    )
    return [*found[:MOST_CATEGORIES], others]


def _drawn(
    told: Mapping[str, Any], width: float, height: float, *, with_words: bool
) -> Drawn | None:
    shares = told["histogram"]
    edges = shares.get("edges")
    if edges is None:
        return None
    sides = {side: _bounds(told, side) for side in ("reference", "live")}
    low, high = _axis(sides["reference"], sides["live"])
    heights = {side: _densities(_clipped(sides[side], low, high), shares[side]) for side in sides}
    highest = max([*heights["reference"], *heights["live"]], default=0.0)
    outlines = {
        side: _outline(
            [(bound - low) / (high - low) for bound in _clipped(sides[side], low, high)],
            heights[side],
            highest,
            (width, height),
        )
        for side in sides
    }
    if not with_words:
        return Drawn(outlines["reference"], outlines["live"])
    return Drawn(
        outlines["reference"],
        outlines["live"] if told["measures"]["rows"] else "",
        [Tick(round(at * width, 1), words.figure(low + at * (high - low))) for at in _FIFTHS],
        [
            Quantile(
                f"{level:.0%}",
                words.figure(quantile(sides["reference"], shares["reference"], level)),
                words.figure(quantile(sides["live"], shares["live"], level)),
            )
            for level in LEVELS
        ],
    )


_FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def _bounds(told: Mapping[str, Any], side: str) -> list[float]:
    """Return the bounds of all bins; the outermost are the extremes of that side."""
    edges = told["histogram"]["edges"]
    low, high = told["range"][side]
    if not edges:
        ends = [end for end in (low, high) if end is not None] or [0.0]
        return [min(ends) - 0.5, max(ends) + 0.5]
    first = edges[0] if low is None else min(low, edges[0])
    last = edges[-1] if high is None else max(high, edges[-1])
    return [first, *edges, last]


def _axis(reference: Sequence[float], live: Sequence[float]) -> tuple[float, float]:
    length = (reference[-1] - reference[0]) or 1.0
    low = max(min(reference[0], live[0]), reference[0] - _BEYOND * length)
    high = min(max(reference[-1], live[-1]), reference[-1] + _BEYOND * length)
    return low, high if high > low else low + 1.0


def _clipped(bounds: Sequence[float], low: float, high: float) -> list[float]:
    return [min(max(bound, low), high) for bound in bounds]


def _densities(bounds: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return heights of bars; one without a width has that of a hundredth of the axis."""
    least = (bounds[-1] - bounds[0]) / 100.0 or 1.0
    return [
        share / max(bounds[place + 1] - bounds[place], least) for place, share in enumerate(shares)
    ]


def _outline(
    bounds: Sequence[float], heights: Sequence[float], highest: float, box: tuple[float, float]
) -> str:
    """Return the outline of bars between bounds, which are scaled to the box."""
    width, height = box
    length = (bounds[-1] - bounds[0]) or 1.0
    scale = width if bounds[-1] <= 1.0 else width / length
    parts = [f"M{_short(bounds[0] * scale)} {_short(height)}"]
    for place, one in enumerate(heights):
        top = height - (one / highest * (height - 1.0) if highest > 0.0 else 0.0)
        parts.append(f"V{_short(top)}H{_short(bounds[place + 1] * scale)}")
    return "".join(parts) + f"V{_short(height)}"


def quantile(bounds: Sequence[float], shares: Sequence[float], at: float) -> float | None:
    """Return the value below which a share `at` lies; values spread evenly over their bin."""
    total = sum(shares)
    if total <= 0.0:
        return None
    below = 0.0
    for place, share in enumerate(shares):
        if below + share >= at * total and share > 0.0:
            inside = (at * total - below) / share
            return bounds[place] + inside * (bounds[place + 1] - bounds[place])
        below += share
    return bounds[-1]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
