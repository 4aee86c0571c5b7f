"""All that releases are made of in control, joined: their states, their evidence, what goes on.

Decides the order in which these parts begin and end. Nothing is mirrored, judged or written before
predictions are served: until then, the cores have better things to do.

Concurrency: event loop only.
Lifetime: that of control; `running` names the tasks, and `close` writes what is left.
"""

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any

from prometheus_client.metrics_core import Metric

from server.controlplane import (
    fault_metrics,
    gate_metrics,
    release_metrics,
    release_reading,
    shadow_metrics,
)
from server.controlplane.evidence_book import EvidenceBook
from server.controlplane.faults import Faults
from server.controlplane.fleet import Fleet
from server.controlplane.known import KnownModel
from server.controlplane.release_controller import ReleaseController
from server.controlplane.release_judge import Judge
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.release_operations import ReleaseOperations
from server.controlplane.releases import Releases
from server.controlplane.router import Router
from server.controlplane.shadow_feed import ShadowFeed
from server.controlplane.totals import Totals
from server.operator_errors import StoreUnavailable
from server.settings import Settings
from server.store.database import Store

Wait = Callable[[], Awaitable[None]]


class ReleaseParts:
    """The parts, under their names."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        models: Mapping[str, KnownModel],
        fleet: Fleet,
        *,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when the router should look at release states again."""
        self.keeper = ReleaseKeeper(store)
        self.releases = Releases(models, fleet, self.keeper, self._changed)
        self.book = EvidenceBook(store, self.releases.route)
        self.judge = Judge(models, self.releases.route, self.book)
        self.releases.unproven = self.judge.unproven
        self.faults = Faults(models, self.releases, fleet, settings.max_version_faults)
        self._settings = settings
        self._models = models
        self._fleet = fleet
        self._router_changed = changed

    def join(
        self, router: Router, totals: Totals, report_shadow: Callable[[bool], None]
    ) -> ReleaseOperations:
        """Join the parts with those that need them first; return what operators may ask.

        `report_shadow` tells the supervisor whether a shadow process is wanted.
        """
        self.feed = ShadowFeed(
            self._settings,
            self._models,
            self.book,
            unmirrored=totals.unmirrored,
            lag_seconds=self._fleet.lag_seconds,
            report=report_shadow,
        )
        self.controller = ReleaseController(
            self.releases, self.judge, self.book, totals, self._fleet
        )
        operations = ReleaseOperations(
            self._settings, self.releases, self.keeper, router, self._fleet, self._models
        )
        operations.gates = self.controller.report
        operations.mismatches = self.feed.mismatches
        return operations

    def running(self, until_served: Wait) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield what is to run for the life of control."""
        yield release_reading.read(self.releases, self.keeper, self._settings.state_dir)
        yield self.keeper.run()
        yield self.faults.run()
        yield self._mirror(until_served)
        yield self._go_on(until_served)

    async def _mirror(self, until_served: Wait) -> None:
        await until_served()
        if any(route.shadows for route in self.releases.routes.values()):
            with contextlib.suppress(StoreUnavailable):
                await self.book.open()  # It says between which edges scores were counted before.
        self.feed.start()
        await self.feed.run()

    async def _go_on(self, until_served: Wait) -> None:
        await until_served()
        await self.controller.run()

    def models_changed(self) -> None:
        """What is known of models, or which there are, is not what it was."""
        self.feed.keep_only(set(self._models))
        self.feed.want(self.releases.routes)

    def _changed(self) -> None:
        self.feed.want(self.releases.routes)
        self._router_changed()

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics of releases, gates and shadows, of the models that are there."""
        present = self._models.keys()
        released = present & self.releases.routes.keys()
        yield from shadow_metrics.collect(self.feed)
        yield from gate_metrics.collect(self.judge, released, self.controller.obstacles)
        yield from release_metrics.collect(self.releases, self.keeper, present)
        yield from fault_metrics.collect(self.faults, present)

    async def close(self) -> None:
        """Write what is left."""
        await self.controller.close()
        await self.keeper.close()
