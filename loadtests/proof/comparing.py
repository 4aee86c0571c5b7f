"""Two results of the same scenarios: what has changed, and what is only noise.

Runs of two commands are no pairs, so their ranges are compared: where they overlap, or where so few
runs would part by chance too often, nothing is said to have changed. Decides that; reads no files.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.proof.results import FIGURES, Figure, Measured, Results, Spread

CHANCE = 0.1
"""How often ranges may part although nothing has changed: three runs on each side have 0.1."""
NOISE = "within the noise"


@dataclass(frozen=True)
class Difference:
    """One figure of one target, before and after."""

    scenario: str
    target: str
    figure: Figure
    old: Spread
    new: Spread

    @property
    def ratio(self) -> float:
        """Return how many times the old median the new one is."""
        return _ratio(self.new.median, self.old.median)

    @property
    def low(self) -> float:
        """Return the least ratio that the runs allow."""
        return _ratio(self.new.low, self.old.high)

    @property
    def high(self) -> float:
        """Return the greatest ratio that the runs allow."""
        return _ratio(self.new.high, self.old.low)

    @property
    def verdict(self) -> str:
        """Say whether it is better or worse, if anything."""
        if self.low <= 1 <= self.high:
            return NOISE
        if chance(self.old.count, self.new.count) > CHANCE:
            return "too few runs"
        return "better" if (self.ratio > 1) == self.figure.more_is_better else "worse"


def _ratio(new: float, old: float) -> float:
    return new / old if old else math.inf


def chance(one: int, other: int) -> float:
    """Return how likely ranges of so many runs do not overlap although nothing has changed."""
    return 2 / math.comb(one + other, one)


def differences(old: Results, new: Results) -> Iterator[Difference]:
    """Yield every figure of every target that has runs that count on both sides."""
    for outcome in new.outcomes:
        before = old.named(outcome.scenario)
        for measured in outcome.targets if before else ():
            assert before is not None
            known = before.named(measured.target)
            if known is not None:
                yield from _of_target(outcome.scenario, known, measured)


def _of_target(scenario: str, old: Measured, new: Measured) -> Iterator[Difference]:
    for figure in FIGURES:
        before, after = old.spread(figure.key), new.spread(figure.key)
        if before and after:
            yield Difference(scenario, new.target, figure, before, after)


def warnings(old: Results, new: Results) -> Iterator[str]:
    """Say what makes two results hard to compare."""
    for name in sorted({*old.machine, *new.machine}):
        one, other = old.machine.get(name, "unknown"), new.machine.get(name, "unknown")
        if one != other:
            yield f"other machine: {name} {one}, now {other}"
    if (old.rounds, old.seconds) != (new.rounds, new.seconds):
        yield (f"other runs: {old.rounds} x {old.seconds} s, now {new.rounds} x {new.seconds} s")
    for here, there, words in ((old, new, "old"), (new, old, "new")):
        names = [one.scenario for one in here.outcomes if there.named(one.scenario) is None]
        if names:
            yield f"only in the {words} file: {', '.join(names)}"


def table(old: Results, new: Results) -> str:
    """Return the differences as Markdown."""
    lines = [f"old: {old.commit}, {old.when}  ", f"new: {new.commit}, {new.when}", ""]
    lines += [f"* {text}" for text in warnings(old, new)]
    lines += [
        "",
        "| scenario | target | figure | old | new | new / old | range | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in differences(old, new):
        shown = one.figure.shown
        lines.append(
            f"| {one.scenario} | {one.target} | {one.figure.words} | {shown(one.old.median)} | "
            f"{shown(one.new.median)} | {one.ratio:.2f} | {one.low:.2f} to {one.high:.2f} | "
            f"{one.verdict} |"
        )
    return "\n".join(lines)
