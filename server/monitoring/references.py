"""What the counts of a window are held to: all rows of the profile, or those of the same hours.

Decides which counts of the reference stand beside a window's, from the hours that the window's own
vector tells. Without hours in the profile it is one reference for all. What follows from these
counts (scores, rates, the screen for all columns) is made from them as from those of a profile; how
alike neighbours are, and what is new or out of range, are facts about all rows.

Concurrency: nothing of it changes, but for what `lru_cache` remembers, which any thread may ask.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from server.monitoring.counting import CountLayout, Counts
from server.monitoring.hours import weights_of
from server.monitoring.profile import CategoryProfile, ColumnProfile, NumberProfile, Profile
from server.monitoring.rate_plans import RatePlan, rate_plans
from server.monitoring.screening import Screen
from server.monitoring.seasons import HourCounts, Pools
from server.statistics.combine import Verdict, categorical_verdict, numeric_verdict
from server.statistics.smooth_test import SmoothBasis

Numbers = NDArray[np.float64]

REMEMBERED = 16
"""References: two of each window and of the sub-window that was closed, one of this moment."""


class Reference:
    """The counts of some reference rows, and what follows from them."""

    def __init__(
        self,
        layout: CountLayout,
        columns: Sequence[ColumnProfile],
        bases: Sequence[SmoothBasis | None],
        plans: Sequence[Sequence[RatePlan]],
        screen: Screen | None,
    ) -> None:
        """Take what is known of all columns, by their places."""
        self._layout = layout
        self._columns, self._bases, self._plans, self._screen = columns, bases, plans, screen

    @property
    def screen(self) -> Screen:
        """Return what all columns are compared with at once."""
        assert self._screen is not None, "it was given, or is made"
        return self._screen

    def column(self, place: int) -> ColumnProfile:
        """Return the profile of a column with these counts."""
        return self._columns[place]

    def basis(self, place: int) -> SmoothBasis | None:
        """Return what the smooth test has to know of a column; None for one of words."""
        return self._bases[place]

    def plans(self, place: int) -> Sequence[RatePlan]:
        """Return the rates that are watched of a column."""
        return self._plans[place]

    def verdict(self, place: int, counts: Counts) -> Verdict:
        """Return the verdict on one column of a window."""
        profile, basis = self.column(place), self.basis(place)
        rates = [plan.rate(counts) for plan in self.plans(place)]
        found = counts[self._layout.slices[place]]
        if isinstance(profile, CategoryProfile):
            known = profile.counts.to_array()[:-3]
            return categorical_verdict(known, found[:-3], rates, profile.inflation)
        assert basis is not None, "a numeric column has a basis"
        return numeric_verdict(basis, found[: len(basis.reference)], rates)


class _Mixed(Reference):
    """A reference whose columns are made when they are asked for: most are not."""

    def __init__(self, whole: Reference, layout: CountLayout, vector: Counts) -> None:
        super().__init__(layout, (), (), (), None)
        self._whole, self._vector = whole, vector

    @property
    def screen(self) -> Screen:
        if self._screen is None:  # Two threads may make the same one.
            self._screen = self._whole.screen.against(self._vector)
        return self._screen

    def column(self, place: int) -> ColumnProfile:
        profile = self._whole.column(place)
        if isinstance(profile, NumberProfile):
            return replace(profile, counts=self._layout.number(self._vector, place))
        return replace(profile, counts=self._layout.category(self._vector, place))

    def basis(self, place: int) -> SmoothBasis | None:
        profile = self.column(place)
        return profile.basis() if isinstance(profile, NumberProfile) else None

    def plans(self, place: int) -> Sequence[RatePlan]:
        return [plan.held_to(self._vector) for plan in self._whole.plans(place)]


class References:
    """All references that a profile gives."""

    def __init__(self, profile: Profile, layout: CountLayout, least_p: float) -> None:
        """Prepare for a profile; a screen leaves out what has no p below `least_p`."""
        self._layout = layout
        self.bases = [
            one.basis() if isinstance(one, NumberProfile) else None for one in profile.columns
        ]
        plans = [rate_plans(layout, place) for place in range(len(profile.columns))]
        screen = Screen(layout, self.bases, least_p)
        self.whole = Reference(layout, profile.columns, self.bases, plans, screen)
        """All rows."""
        self._hours = profile.hours
        if self._hours is not None:
            bins = [one.bins for one in profile.columns if isinstance(one, NumberProfile)]
            self.pools = Pools(self._hours.cycle, self._hours.rows, bins)
            self._table = _table(layout, self._hours)
        self._of_hours = lru_cache(REMEMBERED)(self._mixed)

    @property
    def held_bytes(self) -> int:
        """How much memory the counts by hour take."""
        return 0 if self._hours is None else self._table.nbytes

    def of(self, counts: Counts) -> Reference:
        """Return what a window is held to, by the hours in its vector."""
        if self._hours is None:
            return self.whole
        return self._of_hours(counts[self._layout.hours].tobytes())

    def ways(self, counts: Counts) -> tuple[Reference, ...]:
        """Return all that a window may be held to; it is strange only if all say so.

        Within an hour things may move evenly, and then the reference between two hours is right, or
        jump when the next one begins, and then that of the hour itself is. Nobody knows which.
        """
        if self._hours is None:
            return (self.whole,)
        clock = counts[self._layout.clock_hours]
        between = self.of(counts)
        return (between, self._of_hours(clock.tobytes())) if clock.any() else (between,)

    def at(self, now: float) -> Reference:
        """Return what a row of this moment is held to."""
        if self._hours is None:
            return self.whole
        return self._of_hours(weights_of(self._hours.cycle, np.array([now])).tobytes())

    def hours(self, counts: Counts) -> tuple[list[str], float]:
        """Name the hours that a window is held to, and what their rows are worth.

        None without hours, or without rows.
        """
        if self._hours is None or not counts[self._layout.hours].any():
            return [], 0.0
        mixture = self.pools.mixture(counts[self._layout.hours])
        used = np.flatnonzero(mixture.weights * self._hours.rows).tolist()
        return [self._hours.cycle.name_of(hour) for hour in used], mixture.rows

    def vectors(self, counts: Counts) -> Numbers | None:
        """Return what each of some sub-windows is held to, shape (sub-windows, width).

        None if all are held to the same: the whole reference.
        """
        if self._hours is None:
            return None
        hours = counts[:, self._layout.hours]
        return np.stack([self._vector(one).astype(np.float64) for one in hours])

    def _mixed(self, hours: bytes) -> Reference:
        return _Mixed(self.whole, self._layout, self._vector(np.frombuffer(hours, np.int64)))

    def _vector(self, hours: Counts) -> Counts:
        vector = np.rint(self.pools.mixture(hours).of(self._table)).astype(np.int64)
        starts = [one.start for one in self._layout.slices]
        ends = np.array([one.stop for one in self._layout.slices], np.intp)
        vector[ends - 1] = np.add.reduceat(vector, [*starts, self._layout.odd.start])[:-1]
        return vector


def _table(layout: CountLayout, hours: HourCounts) -> NDArray[np.int32]:
    """Return the counts by hour as vectors of the layout, shape (hours, width); rows are left 0."""
    table = np.zeros((hours.cycle.hours, layout.width), np.int32)
    for place, (where, counts) in enumerate(zip(layout.slices, hours.columns, strict=True)):
        is_number = layout.columns[place].kind.is_number
        others = 3 if is_number else 1
        known = counts.shape[1] - others
        table[:, where.start : where.start + known] = counts[:, :known]
        last = where.stop - 6 if is_number else where.stop - 2
        table[:, last : last + others] = counts[:, known:]
    return table
