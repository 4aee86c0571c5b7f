"""Read the release states that the store holds, when control starts.

Decides how long the start waits for a store that does not answer: then what the last desired state
says goes on, and the store is asked again until it answers. A store that has no file yet has
nothing to say, and is not opened for it.

Lifetime: `read` is one task, which ends when the store has been read.
"""

import asyncio
from pathlib import Path

import structlog

from server.clock import steady_seconds
from server.controlplane.catalog import Guard
from server.controlplane.known import KnownModel
from server.controlplane.release_candidates import other_files
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.releases import Releases
from server.operator_errors import StoreUnavailable
from server.store import sqlite_file

PATIENCE_SECONDS = 10.0
RETRY_SECONDS = 5.0

log = structlog.get_logger()


async def read(releases: Releases, keeper: ReleaseKeeper, state_dir: Path) -> None:
    """Have `releases` take over what the store holds."""
    if not (state_dir / sqlite_file.FILE_NAME).exists():
        releases.take_stored({})
        return
    releases.known.clear()
    patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, releases.go_on_without)
    try:
        while True:
            try:
                stored = await keeper.load()
            except StoreUnavailable as error:
                log.warning("releases_not_read", error=str(error))
                releases.go_on_without()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                releases.take_stored(stored, is_lost=keeper.is_store_lost)
                return
    finally:
        patience.cancel()


def guard(releases: Releases) -> Guard:
    """Return what keeps files from taking the place of those that a release names."""

    async def refusal(model: KnownModel, version: str, digest: str) -> str:
        await releases.known.wait()
        return other_files(model, releases.route(model.name), version, digest, steady_seconds())

    return refusal
