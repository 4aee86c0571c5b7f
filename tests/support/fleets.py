"""A fleet of gateways' monitoring, minute by minute, as Prometheus would scrape it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from server.controlplane.monitor_counters import CounterFamilies
from server.controlplane.page import render
from server.monitoring.columns import Blocks, Kind, layout_of
from server.monitoring.counting import Counts
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.profile import NumberProfile, Profile
from tests.support.prometheus import Labels
from tests.support.references import Tensors, profile_of, signature

OPENMETRICS = "application/openmetrics-text;version=1.0.0"

_LAYOUT = layout_of(
    signature(
        {"x": ("FP32", 7), "town": ("BYTES", 1), "member": ("BOOL", 1), "colour": ("BYTES", 1)},
        {"y": ("FP32", 1), "label": ("INT64", 1)},
    ),
    {"x": ["normal", "skewed", "whole", "two", "three", "four", "constant"]},
    {"whole": Kind.INTEGER},
)


def varied_rows(rng: np.random.Generator, rows: int, dose: float = 0.0) -> tuple[Tensors, Tensors]:
    """Return rows of all kinds of columns: of the reference, or with a share of changed ones."""
    changed = rng.random(rows) < dose
    x = np.stack(
        [
            rng.standard_normal(rows) + 1.0 * changed,
            rng.lognormal(0.0, 1.0, rows) * (1.0 + 2.0 * changed),
            rng.poisson(4.0, rows) + 0.5 * (changed & (rng.random(rows) < 0.3)),
            rng.random(rows) < 0.3 + 0.5 * changed,
            rng.choice(3, rows, p=[0.5, 0.3, 0.2]) * ~changed,
            rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1]) * (1 - changed),
            np.full(rows, 3.0),
        ],
        axis=1,
    ).astype(np.float32)
    x[rng.random(rows) < 0.02 + 0.2 * changed, 1] = np.nan
    x[changed & (rng.random(rows) < 0.1), 0] = np.inf
    towns = np.minimum(rng.zipf(1.5, rows), 80 + 200 * changed)
    town = np.array([f"town {number}" for number in towns], object)
    town[rng.random(rows) < 0.01] = None
    colour = np.where(
        changed, rng.choice(["red", "mauve"], rows), rng.choice(["red", "blue"], rows)
    )
    inputs = {
        "x": x,
        "town": town[:, np.newaxis],
        "member": (rng.random(rows) < 0.4 + 0.3 * changed)[:, np.newaxis],
        "colour": colour.astype(object)[:, np.newaxis],
    }
    total = np.nan_to_num(x[:, :1], posinf=0.0) + x[:, 3:4]
    return inputs, {"y": total, "label": (total > 0.5).astype(np.int64)}


def varied_profile(rows: int = 20_000, *, inflated: bool = False) -> Profile:
    """Return the profile of such rows; inflated as if neighbours were alike."""
    profile = profile_of(_LAYOUT, *varied_rows(np.random.default_rng(7), rows))
    if not inflated:
        return profile
    factors = (1.5, 1.0, 2.5, 1.2)
    return replace(
        profile,
        columns=tuple(
            replace(one, inflation=factors[: len(one.inflation)], missing_inflation=1.7)
            if isinstance(one, NumberProfile)
            else replace(one, inflation=1.4, missing_inflation=1.7)
            for one in profile.columns
        ),
    )


class Fleet:
    """Replicas of one version, and all that was scraped of them so far."""

    def __init__(
        self,
        profile: Profile,
        replicas: int,
        *,
        with_bins: bool,
        step_minutes: int = 1,
        features: Sequence[str] = (),
    ) -> None:
        """Begin at minute 0, without rows; there is a scrape each `step_minutes`.

        All features are exported unless some are named.
        """
        self.step_minutes = step_minutes
        names = [one.column.name for one in profile.columns]
        self.places = [names.index(name) for name in features or names]
        self.observers = [Observer(profile, Limits(), Pace(), 0.0) for _ in range(replicas)]
        self.judge = self.observers[0].judge
        self.series: dict[tuple[str, Labels], list[float]] = {}
        self.counts: list[Counts] = []
        """Of all replicas together since the start, by scrape."""
        self._with_bins = with_bins
        self._scrape()

    @property
    def minute(self) -> int:
        """Which minute it is."""
        return self.step_minutes * (len(self.counts) - 1)

    def take(self, *rows: tuple[Tensors, Tensors]) -> None:
        """Let the time to the next scrape pass; each replica answers rows of its own."""
        groups = self.judge.profile.layout.groups
        for observer, sides in zip(self.observers, rows, strict=True):
            blocks: Sequence[Blocks] = [
                group.blocks(side) for group, side in zip(groups, sides, strict=True)
            ]
            observer.take(blocks[0].rows, blocks[0], blocks[1])
            observer.tick(60.0 * (self.minute + self.step_minutes))
        self._scrape()

    def page(self, replica: int) -> str:
        """Return what a replica answers to a scrape."""
        observer = self.observers[replica]
        families = CounterFamilies(with_bins=self._with_bins)
        families.add(("m", "1"), observer, self.places)
        page, _ = render(families.all(), OPENMETRICS)
        return page.decode()

    def window(self, minutes: int) -> Counts:
        """Return the counts of the last minutes."""
        return (
            self.counts[-1]
            - self.counts[max(0, len(self.counts) - 1 - minutes // self.step_minutes)]
        )

    def _scrape(self) -> None:
        totals = np.sum([observer.totals for observer in self.observers], axis=0)
        self.counts.append(totals)
        for replica in range(len(self.observers)):
            target = (("instance", f"gateway-{replica}:8001"), ("job", "tidegate"))
            page = self.page(replica)
            for family in text_string_to_metric_families(page):  # type: ignore[no-untyped-call]
                for sample in family.samples:
                    key = (sample.name, (*target, *sorted(sample.labels.items())))
                    self.series.setdefault(key, []).append(float(sample.value))
