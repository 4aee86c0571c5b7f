"""uvicorn's server as our processes use it: they decide when to stop, and TLS has little patience.

Decides how a port listens. A client that connects and does not finish its TLS handshake has no
connection yet that a limit or the sweep could see: it has as long as headers have.

Lifetime: the process's.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """Listens on sockets that are bound, and handles no signals."""

    def __init__(self, config: uvicorn.Config, handshake_seconds: float) -> None:
        super().__init__(config)
        self._handshake_seconds = handshake_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, as uvicorn does where it is given sockets."""
        config = self.config
        protocol: Any = config.http_protocol_class
        connect = functools.partial(
            protocol,
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers = [
            await asyncio.get_running_loop().create_server(
                connect,
                sock=bound,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=self._handshake_seconds if config.ssl else None,
            )
            for bound in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
