"""TLS on our ports: certificates from files that may change while connections are open.

Decides versions (1.2 and later) and that whatever is wrong with changed files leaves the last good
ones in use. Connections that are open keep what they began with; new ones get what is newest.

A caller may show a certificate of the client authority; whether one has to is the gate's to say,
by the role of what is asked for, so that probes without one still hear of health.

Concurrency: `current` is assigned on the event loop, and read there for each new connection.
Lifetime: the port's; `watch_forever` is one task for as long.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import structlog

from server.settings import Settings

LOOK_SECONDS = 2.0
_ALPN = ["http/1.1"]

log = structlog.get_logger()

Signature = tuple[tuple[int, int, int], ...]


class ReloadingContext(ssl.SSLContext):
    """Stands for the newest context: each connection begins with the one that is current."""

    current: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """Begin a connection."""
        return self.current.wrap_bio(*arguments, **more)


class Certificates:
    """The files of a port's TLS, and the context that is made of them."""

    def __init__(self, settings: Settings) -> None:
        """Read the files.

        Raises:
            OSError, ssl.SSLError, ValueError: they cannot be used.

        """
        if not (settings.tls_cert and settings.tls_key):
            raise ValueError("tls_cert and tls_key belong together")
        self._settings = settings
        self._signature = _signature(settings)
        self.context = ReloadingContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.current = load(settings)
        self._trouble = ""

    async def watch_forever(self) -> None:
        """Take other files when they change."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take the files, if they are others than before and fit each other."""
        try:
            signature = await asyncio.to_thread(_signature, self._settings)
            if signature == self._signature:
                return
            self.context.current = await asyncio.to_thread(load, self._settings)
        except (OSError, ValueError) as error:
            # Files are replaced one after another: until all fit, this may happen for a moment.
            if str(error) != self._trouble:
                log.warning("tls_files_unusable", reason=reason(error))
            self._trouble = str(error)
            return
        self._signature, self._trouble = signature, ""
        log.info("tls_files_read")


def certificates(settings: Settings) -> Certificates | None:
    """Return the certificates of a port; None if it speaks plain HTTP.

    Raises:
        OSError, ssl.SSLError, ValueError: they cannot be used.

    """
    return Certificates(settings) if settings.speaks_tls else None


def load(settings: Settings) -> ssl.SSLContext:
    """Make a context of the files as they are now.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: a file holds something else, or the key is not that of the certificate.
        ValueError: the key has a passphrase.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    # Asking again for keys costs us more than who asks; nobody needs it.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # A key with a passphrase would have the process ask for it on the terminal, and wait.
    context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_passphrase)
    if settings.tls_client_ca:
        context.load_verify_locations(settings.tls_client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_passphrase() -> str:
    raise ValueError("tls_key has a passphrase; give it a file without one")


def reason(error: Exception) -> str:
    """Return why files cannot be used, for people."""
    if isinstance(error, ssl.SSLError):
        words = str(error.reason or "it is not PEM").lower().replace("_", " ")
        return f"the files do not fit: {words}"
    if isinstance(error, OSError):
        return f"a file cannot be read: {error.strerror}"
    return str(error)


def _signature(settings: Settings) -> Signature:
    paths = (settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    found = [Path(path).stat() for path in paths if path]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def names_of(transport: asyncio.BaseTransport) -> tuple[str, ...]:
    """Return the names in the client certificate of a connection: URIs, hosts, addresses, CN.

    Nothing if it showed none; one that the client authority has not signed has ended the handshake.
    """
    shown = transport.get_extra_info("peercert")
    if not shown:
        return ()
    names = [str(value) for _, value in shown.get("subjectAltName", ())]
    subject = [pair for group in shown.get("subject", ()) for pair in group]
    return (*names, *(f"CN={value}" for kind, value in subject if kind == "commonName"))
