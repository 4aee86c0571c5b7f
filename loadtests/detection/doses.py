"""Dose and response: how many windows are seen in which a share of the rows has changed.

Every way of looking is given the same windows. *Matched*: its threshold is the one that 1 % of its
own clean windows exceed, so that nobody gains by alarming more often. *Default*: it alarms as it
does out of the box; then its alarms on clean windows are shown beside.

Of numbers, Evidently's default score is the Wasserstein distance over a deviation, alibi-detect's
that of Kolmogorov and Smirnov. Both are slow, and at matched false alarms only the order of windows
counts: so they are asked for every fifth window, their scores are held to ours, and they stand
among the matched ones under the names of their measures.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.detection.baselines import measures
from loadtests.detection.changes import Change, Kind, Values, replaced
from loadtests.detection.environments import Peer
from loadtests.detection.product import monitored
from loadtests.environments import PeerMissing

OURS = "tidegate"
ALPHA = 0.01
PSI_ALERT = 0.1
"""The fixed threshold of the industry."""

SAME_ORDER = {"evidently": "Wasserstein", "alibi": "KS"}
"""Whose scores of numbers are a multiple of which measure."""

ASKED_EVERY = 5

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
    """Scores and default alerts of one reference's windows, by who gave them.

    Alerts may be of every so many windows only.
    """

    def __init__(self) -> None:
        self.scores: dict[str, Values] = {}
        self.alerts: dict[str, Flags] = {}
        self.every: dict[str, int] = {}

    def put(self, name: str, scores: Values, alerts: Flags | None = None) -> None:
        self.scores[name] = scores
        if alerts is not None:
            self.alerts[name], self.every[name] = alerts, 1

    def put_some(self, name: str, alerts: Flags, every: int) -> None:
        self.alerts[name], self.every[name] = alerts, every


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
        name: (np.stack([one.alerts[name] for one in told]), every)
        for name, every in told[0].every.items()
        if all(name in one.alerts for one in told)
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
                {
                    name: float(np.mean(flags[:, at[::every]]))
                    for name, (flags, every) in alerts.items()
                },
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
    for peer in peers:
        same = None if change.kind is Kind.CATEGORY else SAME_ORDER.get(peer.name)
        every = ASKED_EVERY if same else 1
        path = scratch / "job.npz"
        np.savez(path, reference=reference, windows=windows[::every])
        try:
            answer = peer.ask(path, change.kind)
            if same:
                _hold_to(answer.scores, told.scores[same][::every])
        except PeerMissing as error:
            missing[peer.name] = f"{change.name}: {error}"
            continue
        if same:
            told.put_some(peer.name, answer.alerts, every)
        else:
            told.put(peer.name, answer.scores, answer.alerts)
    return told


def _hold_to(scores: Values, measured: Values) -> None:
    """Make sure that scores are a multiple of what was measured.

    Raises:
        PeerMissing: they are not.

    """
    there = measured > 0.0
    ratios = scores[there] / measured[there]
    if not np.allclose(ratios, np.median(ratios), rtol=1e-4):
        raise PeerMissing("its scores are not those of its measure")
