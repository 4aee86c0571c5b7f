"""A socket of control that other processes find by its path in the state directory.

Decides when it listens anew: when the path has gone, or leads elsewhere. Whoever is connected stays
connected; those who come later would find nobody.

Concurrency: event loop only.
Lifetime: that of control; `open` is called once, `mend` from time to time.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class UnixPort:
    """One listening socket."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._protocol = protocol
        self._path = ""
        self._identity: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        """Held, because uvloop closes a server that nobody holds and no peer is connected to."""

    async def open(self, path: str) -> asyncio.Server:
        """Listen at `path`, whatever is there.

        Raises:
            OSError: it cannot be listened there.

        """
        self._path = path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._protocol, path)
        self._identity = _identity(path)
        return self._server

    def close(self) -> None:
        """Accept nobody any more."""
        if self._server is not None:
            self._server.close()

    async def mend(self) -> None:
        """Listen anew if nobody would find this socket any more."""
        if self._server is None or _identity(self._path) == self._identity:
            return
        log.error("socket_gone", path=self._path)
        self.close()
        try:
            await self.open(self._path)
        except OSError as error:
            log.warning("socket_not_mended", path=self._path, error=error.strerror)


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from another one at the same path; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
