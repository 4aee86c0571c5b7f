"""What goes on with the repository and the state directory for as long as control lives.

Decides when the repository has been looked at once, so that what is not there is gone, and how
often private copies are tidied and put back.

Concurrency: event loop only.
Lifetime: each method is one task for the life of control.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from server.controlplane.catalog import Catalog
from server.controlplane.intake import Intake
from server.controlplane.router import Router

log = structlog.get_logger()

TIDY_SECONDS = 30.0
MEND_SECONDS = 2.0


class Tending:
    """The tasks."""

    def __init__(
        self, catalog: Catalog, router: Router, intake: Intake, poll_seconds: float
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._intake = intake
        self._poll_seconds = poll_seconds

    async def look_then_watch(self) -> None:
        """Look at the whole repository once, then follow its changes."""
        await self._catalog.refresh()
        while self._catalog.repository_error:
            # Nothing is known yet, so nothing may be taken away: what was served before stays.
            self._router.trust_saved()
            await asyncio.sleep(self._poll_seconds)
            await self._catalog.refresh()
        await self._catalog.all_checks()
        self._router.settle()
        await self._catalog.watch()

    async def tidy_forever(self) -> None:
        """Remove private copies that nobody needs any more, while nothing else goes on."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self._router.note()  # A previous version is not kept loaded for ever.
            await self._router.until(lambda: self._router.is_stable)
            # No await between the question and the order: a check that starts later queues behind.
            is_quiet = self._router.is_stable and not self._catalog.is_checking
            if is_quiet and self._router.is_settled:
                await self._intake.keep_only(self._catalog.digests(), self._catalog.verdict_keys())

    async def mend_forever(self, others: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Put back what somebody has removed from the state directory while it is in use.

        `others` put back what is not the catalog's: sockets.
        """
        while True:
            await asyncio.sleep(MEND_SECONDS)
            try:
                for mend in others:
                    await mend()
                await self._catalog.mend()
            except Exception:  # The next turn tries again.
                log.exception("mending_failed")
