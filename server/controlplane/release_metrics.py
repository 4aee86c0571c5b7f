"""Metrics of releases: who has which part, how often that changes, what is not written yet.

Decides names and help texts. Labels come from models in the repository and from closed sets.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.releases import Releases
from server.release.route import ALL_BP, ReleaseRoute

_PART = ("model", "version", "part")


def collect(
    releases: Releases, keeper: ReleaseKeeper, models: AbstractSet[str]
) -> Iterator[Metric]:
    """Yield all families of releases, for the models that are there."""
    generation = GaugeMetricFamily(
        "tidegate_release_generation", "Changes of a model's release state", labels=("model",)
    )
    part = GaugeMetricFamily(
        "tidegate_release_part",
        "1 for each version that has a part: live, previous, canary or shadow",
        labels=_PART,
    )
    weight = GaugeMetricFamily(
        "tidegate_release_canary_weight_ratio",
        "Share of the requests that the canary answers",
        labels=("model", "version"),
    )
    held = GaugeMetricFamily(
        "tidegate_release_held", "1 while nothing goes on by itself", labels=("model",)
    )
    changes = CounterMetricFamily(
        "tidegate_release_changes", "Changes of a release, by verb", labels=("model", "action")
    )
    for model in sorted(models & releases.routes.keys()):
        route = releases.routes[model]
        generation.add_metric((model,), route.generation)
        held.add_metric((model,), float(bool(route.held)))
        for name, version in _parts(route):
            part.add_metric((model, version, name), 1.0)
        if route.canary is not None:
            weight.add_metric((model, route.canary.version), route.canary.weight_bp / ALL_BP)
    for (model, action), count in sorted(releases.counts.items()):
        if model in models:
            changes.add_metric((model, action), count)
    yield from (generation, part, weight, held, changes)
    yield GaugeMetricFamily(
        "tidegate_release_unwritten_changes",
        "Changes that are in place and not in the store yet",
        value=keeper.unwritten,
    )
    yield CounterMetricFamily(
        "tidegate_release_lost_changes",
        "Changes that are in place and will never be in the audit",
        value=keeper.lost,
    )


def _parts(route: ReleaseRoute) -> Iterator[tuple[str, str]]:
    """Yield each part and the version that has it."""
    for name, version in (("live", route.live), ("previous", route.previous)):
        if version is not None:
            yield name, version
    if route.canary is not None:
        yield "canary", route.canary.version
    for shadow in route.shadows:
        yield "shadow", shadow.version
