"""uvicorn's server as our processes use it: they decide when to stop, and TLS has little patience.

Decides how a port listens. A client that connects and does not finish its TLS handshake has no
connection yet that a limit or the sweep could see: it has as long as headers have.

Lifetime: the process's.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from server.http.tls import Certificates


class Server(uvicorn.Server):
    """Listens on sockets that are bound, and handles no signals."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        connection: Callable[..., asyncio.Protocol],
        certificates: Certificates | None,
        *,
        handshake_seconds: float,
        stop_seconds: float,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve `app`, with a `connection` for each socket that is accepted.

        `on_started` hears that connections are taken; `stop_seconds` is how long the end waits
        for answers.
        """
        config = uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]
            loop="none",
            lifespan="off",
            ws="none",  # Nobody may upgrade; looking for a library that could takes 40 ms.
            access_log=False,
            log_config=None,
            server_header=False,
            # A number of seconds, whole or not; the annotation of uvicorn is narrower than its use.
            timeout_graceful_shutdown=stop_seconds,  # type: ignore[arg-type]
        )
        config.load()
        config.ssl = None if certificates is None else certificates.context
        super().__init__(config)
        self._handshake_seconds = handshake_seconds
        self._on_started = on_started

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
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
