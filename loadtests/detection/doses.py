"""Dose and response: how many windows are seen in which a share of the rows has changed.

Every way of looking is given the same windows. *Matched*: its threshold is the one that 1 % of its
own clean windows exceed, so that nobody gains by alarming more often. *Default*: it alarms as it
does out of the box; then its alarms on clean windows are shown beside.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.detection.baselines import measures
from loadtests.detection.changes import Change, Values, replaced
from loadtests.detection.environments import Peer, PeerMissing
from loadtests.detection.product import monitored

OURS = "tidegate"
ALPHA = 0.01
PSI_ALERT = 0.1
"""The fixed threshold of the industry."""

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn."""

    sizes: Sequence[int] = (500, 2000, 5000)
    """Rows of a window."""

    doses: Sequence[float] = (0.02, 0.05, 0.1, 0.2)
    """Shares of rows that have changed."""

    clean_windows: int = 600
    dosed_windows: int = 200
    references: int = 4
    """Of generated columns: each of so many references gets its part of the windows."""

    seed: int = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one change of one size is seen, by whom."""

    change: str
    group: str
    rows: int
    dose: float
    windows: int
    matched: dict[str, float]
    """Share of windows seen at 1 % false alarms."""

    default: dict[str, float]
    """Share of windows with an alarm by default."""

    @property
    def peers(self) -> dict[str, float]:
        """Everybody else, matched."""
        return {name: share for name, share in self.matched.items() if name != OURS}

    @property
    def loss(self) -> float:
        """By how much the best of the others is better, matched; negative where we are."""
        return max(self.peers.values()) - self.matched[OURS]


class _Told:
    """Scores and default alerts of one reference's windows, by who gave them."""

    def __init__(self) -> None:
        self.scores: dict[str, Values] = {}
        self.alerts: dict[str, Flags] = {}

    def put(self, name: str, scores: Values, alerts: Flags | None = None) -> None:
        self.scores[name] = scores
        if alerts is not None:
            self.alerts[name] = alerts


def measure(
    changes: Sequence[Change],
    plan: Plan,
    peers: Sequence[Peer],
    scratch: Path,
    missing: dict[str, str],
) -> Iterator[list[Cell]]:
    """Yield the cells of each change and window size: one for every dose, dose 0 first."""
    for change in changes:
        for rows in plan.sizes:
            yield _cells(change, rows, plan, peers, scratch, missing)


def _cells(
    change: Change,
    rows: int,
    plan: Plan,
    peers: Sequence[Peer],
    scratch: Path,
    missing: dict[str, str],
) -> list[Cell]:
    rng = np.random.default_rng([plan.seed, rows, zlib.crc32(change.name.encode())])
    references = plan.references if change.rows is None else 1
    clean, dosed = plan.clean_windows // references, plan.dosed_windows // references
    doses = np.concatenate([np.zeros(clean), np.repeat(plan.doses, dosed)])
    told = []
    for _ in range(references):
        reference = change.reference(rng)
        windows = np.stack(
            [replaced(rows, dose, change.before, change.after, rng) for dose in doses]
        )
        told.append(_ask(change, reference, windows, peers, scratch, missing))
    names = [name for name in told[0].scores if all(name in one.scores for one in told)]
    scores = {name: np.stack([one.scores[name] for one in told]) for name in names}
    alerts = {
        name: np.stack([one.alerts[name] for one in told])
        for name in names
        if name in told[0].alerts
    }
    limits = {name: matched_limit(scores[name][:, :clean].ravel()) for name in names}
    cells = []
    for dose in (0.0, *plan.doses):
        at = doses == dose
        cells.append(
            Cell(
                change.name,
                change.group,
                rows,
                dose,
                references * int(at.sum()),
                {name: float(np.mean(scores[name][:, at] > limits[name])) for name in names},
                {name: float(np.mean(flags[:, at])) for name, flags in alerts.items()},
            )
        )
    return cells


def matched_limit(clean_scores: Values) -> float:
    """Return the score that at most ALPHA of clean windows exceed."""
    return float(np.sort(clean_scores)[len(clean_scores) - 1 - int(ALPHA * len(clean_scores))])


def _ask(
    change: Change,
    reference: Values,
    windows: Values,
    peers: Sequence[Peer],
    scratch: Path,
    missing: dict[str, str],
) -> _Told:
    told = _Told()
    column = monitored(reference, change.kind)
    p = np.array([column.verdict(column.count(one)).p for one in windows])
    told.put(OURS, -p, p < ALPHA)
    for name, measure_of in measures(reference, change.kind).items():
        scores = np.array([measure_of(one) for one in windows])
        told.put(name, scores, scores > PSI_ALERT if name == "PSI" else None)
    path = scratch / "job.npz"
    if peers:
        np.savez(path, reference=reference, windows=windows)
    for peer in peers:
        try:
            answer = peer.ask(path, change.kind)
        except PeerMissing as error:
            missing[peer.name] = f"{change.name}: {error}"
        else:
            told.put(peer.name, answer.scores, answer.alerts)
    return told
