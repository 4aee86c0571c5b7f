"""The drift light of a model: one word for how its live rows stand to their reference. Pure.

Decides which alert speaks for a model when there are several: what fires before what is pending,
and among these the rule that names a cause before the one that only says that something moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.console import words
from server.monitoring.report import PLAINEST

_RANK = {rule.value: place for place, rule in enumerate(PLAINEST)}


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One alert that is pending or firing."""

    rule: str
    is_firing: bool
    column: str
    """Empty if it is about all of them."""
    words: str


@dataclass(frozen=True, slots=True)
class Watch:
    """How a live version is watched."""

    state: str
    """`off`, `unwatched`, `learning` or `watching`."""
    rows: int = 0
    """Seen since control began."""
    learned_rows: int = 0
    needed_rows: int = 0
    alerts: Sequence[RaisedAlert] = ()


@dataclass(frozen=True, slots=True)
class Light:
    """What is shown."""

    kind: str
    """`firing`, `pending`, `steady`, `learning`, `off` or `unknown`."""
    words: str
    firing: int = 0
    pending: int = 0

    @property
    def label(self) -> str:
        """The one word beside the light."""
        counts = {"firing": self.firing, "pending": self.pending}
        number = counts.get(self.kind, 0)
        return f"{number} {self.kind}" if number > 1 else self.kind


def light(watch: Watch) -> Light:
    """Return the light of a version."""
    if watch.state == "off":
        return Light("off", "monitoring is switched off")
    if watch.state == "unwatched":
        return Light("unknown", "no version is watched yet")
    if watch.state == "learning":
        told = f"{watch.learned_rows:,} of {watch.needed_rows:,} rows"
        return Light("learning", f"learning what is usual: {told}")
    firing = sum(one.is_firing for one in watch.alerts)
    pending = len(watch.alerts) - firing
    if not watch.alerts:
        seen = words.several(watch.rows, "row")
        return Light("steady", f"{seen} since control began, nothing has moved")
    first = min(watch.alerts, key=lambda one: (not one.is_firing, _RANK.get(one.rule, 99)))
    told = f"{first.column}: {first.words}" if first.column else first.words
    others = len(watch.alerts) - 1
    more = f" (and {others} more)" if others else ""
    return Light("firing" if firing else "pending", told + more, firing, pending)
