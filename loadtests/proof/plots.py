"""Pictures of results: figures against connections, and of all scenarios below each other.

Axes of figures are logarithmic: targets lie far apart. Pure: results to SVG.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtests.drawing import COLOURS, apart, card, label
from loadtests.proof.results import BY_KEY, Figure, Outcome, Results, Spread

DRAWN = ("requests_per_second", "p50_seconds", "p99_seconds", "cpu_seconds_per_request")
WIDTH, LEFT, TOP, RIGHT, BOTTOM = 760, 70, 44, 160, 46
LINES_HEIGHT, ROW_HEIGHT, NAMES_WIDTH = 320, 24, 230


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis between two places of a picture, from one power of ten to another."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the powers of ten."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return the axis that shows all of at least one value, each above 0."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return Axis(low, max(high, low + 1), start, end)


def pictures(results: Results) -> dict[str, str]:
    """Return every picture by its name, without those that would show nothing."""
    names = list(
        dict.fromkeys(one.target for outcome in results.outcomes for one in outcome.targets)
    )
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
    found = {}
    for key in DRAWN:
        figure = BY_KEY[key]
        picture = _rows(results.outcomes, figure, colours)
        if picture:
            found[f"scenarios-{_file(figure)}"] = picture
        for workload, outcomes in _by_connections(results.outcomes):
            picture = _lines(workload, outcomes, figure, colours)
            if picture:
                found[f"{workload}-{_file(figure)}"] = picture
    return found


def _file(figure: Figure) -> str:
    return figure.key.replace("_", "-")


def _by_connections(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    """Yield the scenarios without options of each workload that has several."""
    for workload in dict.fromkeys(one.workload for one in outcomes):
        plain = [one for one in outcomes if one.scenario == f"{workload}/{one.connections}"]
        if len(plain) > 1:
            yield workload, sorted(plain, key=lambda one: one.connections)


def _spread(outcome: Outcome, target: str, figure: Figure) -> Spread | None:
    """Return what is drawn: in the figure's unit, and above 0."""
    measured = outcome.named(target)
    seen = measured.spread(figure.key) if measured else None
    if seen is None or seen.low <= 0:
        return None
    scale = figure.scale
    return Spread(seen.median * scale, seen.low * scale, seen.high * scale, seen.count)


def _lines(
    workload: str, outcomes: Sequence[Outcome], figure: Figure, colours: dict[str, str]
) -> str:
    """Draw a figure of each target against connections; the bars are the ranges."""
    seen = {
        target: [(place, _spread(one, target, figure)) for place, one in enumerate(outcomes)]
        for target in colours
    }
    there = {
        target: [(place, one) for place, one in found if one] for target, found in seen.items()
    }
    values = [
        value for found in there.values() for _, one in found for value in (one.low, one.high)
    ]
    if not values:
        return ""
    scale = axis(values, LINES_HEIGHT - BOTTOM, TOP)
    across = [
        LEFT + (WIDTH - LEFT - RIGHT) * at / (len(outcomes) - 1) for at in range(len(outcomes))
    ]
    drawn = [label(LEFT, 24, f"{workload}: {figure.words}", anchor="start", size=14)]
    drawn.append(label((LEFT + WIDTH - RIGHT) / 2, LINES_HEIGHT - 10, "connections"))
    for tick in scale.ticks():
        y = scale.at(tick)
        drawn.append(_line(LEFT, y, WIDTH - RIGHT, y, "#dddddd", 1.0))
        drawn.append(label(LEFT - 8, y + 4, f"{tick:,g}", anchor="end"))
    for x, outcome in zip(across, outcomes, strict=True):
        drawn.append(label(x, LINES_HEIGHT - BOTTOM + 16, str(outcome.connections)))
    ended = {target: found for target, found in there.items() if found}
    ends = apart([scale.at(found[-1][1].median) for found in ended.values()])
    for (target, found), end in zip(ended.items(), ends, strict=True):
        points = " ".join(f"{across[at]:.1f},{scale.at(one.median):.1f}" for at, one in found)
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colours[target]}" '
            'stroke-width="2.5"/>'
        )
        for at, one in found:
            x = across[at]
            drawn.append(_line(x, scale.at(one.low), x, scale.at(one.high), colours[target], 1.5))
            drawn.append(_dot(x, scale.at(one.median), colours[target]))
        drawn.append(
            label(WIDTH - RIGHT + 10, end + 4, target, anchor="start", colour=colours[target])
        )
    return card(drawn, WIDTH, LINES_HEIGHT)


def _rows(outcomes: Sequence[Outcome], figure: Figure, colours: dict[str, str]) -> str:
    """Draw each scenario as a row: a dot for the median of each target, a line for its range."""
    found = [
        (row, target, one)
        for row, outcome in enumerate(outcomes)
        for target in colours
        if (one := _spread(outcome, target, figure))
    ]
    if not found:
        return ""
    values = [value for _, _, one in found for value in (one.low, one.high)]
    scale = axis(values, NAMES_WIDTH, WIDTH - 30)
    bottom = TOP + 26 + ROW_HEIGHT * len(outcomes)
    drawn = [label(20, 24, figure.words, anchor="start", size=14)]
    for at, (target, colour) in enumerate(colours.items()):
        x = NAMES_WIDTH + 130.0 * (at % 4)
        drawn.append(_dot(x, 20 + 16 * (at // 4), colour))
        drawn.append(label(x + 8, 24 + 16 * (at // 4), target, anchor="start", colour=colour))
    top = TOP + 16 * ((len(colours) - 1) // 4)
    bottom += top - TOP
    for tick in scale.ticks():
        x = scale.at(tick)
        drawn.append(_line(x, top, x, bottom - 18, "#dddddd", 1.0))
        drawn.append(label(x, bottom, f"{tick:,g}"))
    for row, outcome in enumerate(outcomes):
        y = top + ROW_HEIGHT * (row + 0.5)
        drawn.append(label(NAMES_WIDTH - 12, y + 4, outcome.scenario, anchor="end", size=11))
    for row, target, one in found:
        y, colour = top + ROW_HEIGHT * (row + 0.5), colours[target]
        drawn.append(_line(scale.at(one.low), y, scale.at(one.high), y, colour, 1.5))
        drawn.append(_dot(scale.at(one.median), y, colour))
    return card(drawn, WIDTH, int(bottom + 14))


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
