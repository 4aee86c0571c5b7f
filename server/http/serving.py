"""uvicorn's server as our processes use it: they decide when to stop, and handshakes count.

Decides how a port listens: through the event loop's own server, or with TLS through ours.

Lifetime: the process's.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from server.http.handshakes import Connect, Handshake, TlsListener
from server.http.port import HttpPort
from server.http.tls import Certificates


class Server(uvicorn.Server):
    """Listens on sockets that are bound, and handles no signals."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        connection: Callable[..., asyncio.Protocol],
        port: HttpPort,
        certificates: Certificates | None,
        *,
        stop_seconds: float,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve `app`, with a `connection` of `port` for each socket that is accepted.

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
        super().__init__(config)
        self._port = port
        self._certificates = certificates
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
        self.servers = [await self._listen(bound, connect) for bound in sockets or ()]
        self.started = True
        self._on_started()

    async def _listen(self, bound: socket.socket, connect: Connect) -> Any:
        backlog = self.config.backlog
        if self._certificates is None:
            loop = asyncio.get_running_loop()
            return await loop.create_server(connect, sock=bound, backlog=backlog)
        port, state, context = self._port, self.server_state, self._certificates.context

        def begin(link: socket.socket, address: str) -> None:
            Handshake(port, state, connect, link, address).begin(context)

        return TlsListener(bound, backlog, begin)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
