"""The console's application over control's parts, and a browser that asks without one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from server.controlplane.console_app import ConsoleApp
from server.controlplane.console_facts import ConsoleFacts, ConsoleSources
from server.controlplane.known import KnownModel
from server.controlplane.recent import Recent
from server.http_app import starlette_app
from server.wire.channel import Charter
from tests.support.control import Control, ToldWorker, running_control

HTMX = {"hx-request": "true"}
"""What htmx says of its requests."""


class Console:
    """The console of some control, and what a test may look at."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.recent = Recent(control.totals, lambda: control.now)
        self.performance: dict[str, Any] = {"versions": []}
        charter = Charter(control.settings, "control", -1, 1, 0, "", origins={})
        self.facts = ConsoleFacts(
            ConsoleSources(
                charter,
                control.catalog,
                control.operations,
                control.releases,
                control.release_operations,
                control.monitor,
                self._performance,
                control.totals,
                self.recent,
                control.store,
                control.fleet,
                control.router,
                lambda: control.router.is_stable,
                lambda: 0.001,
                lambda: (None, False),
            ),
            lambda: control.now,
        )
        self.clock = 0.0
        """Of what is kept for a second."""
        self.app = ConsoleApp(self.facts, control.release_operations, lambda: self.clock)

    async def _performance(self, _: KnownModel) -> dict[str, Any]:
        return self.performance


Scenario = Callable[[httpx.AsyncClient, Console], Awaitable[None]]


def play(repository: Path, scenario: Scenario, **settings: Any) -> None:
    """Play a scenario over a repository that one worker has loaded."""

    async def main() -> None:
        given = {"version_policy": "all", "release": "manual", **settings}
        async with running_control(repository, ToldWorker(0), **given) as control:
            console = Console(control)
            app = starlette_app(list(console.app.routes()))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
                await scenario(client, console)

    asyncio.run(main())
