"""The one place where a request is let in or refused.

Decides who a caller is (by key, token, certificate or session) and whether the role of the route is
among its roles. While nothing is configured that could recognize callers, everybody here may
do everything, except pages of other sites.

What was recognized is remembered by the bytes of the Authorization header until `epoch` changes:
then the keys have changed, or one of those remembered has expired.

Concurrency: event loop only; the file of keys is read on a thread, by `watch_forever` alone.
Lifetime: the port's.
"""

import asyncio
import errno
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from server.access import browsers, keys, principals
from server.access.binding import needs_keys
from server.access.failures import Failures
from server.access.key_file import ChangingFile
from server.access.keyring import Keyring
from server.access.principals import Principal
from server.access.roles import Role
from server.access.sessions import Sessions, token_in
from server.access.tokens import Tokens, is_token
from server.errors import TidegateError, TooManyFailures, Unauthenticated
from server.settings import Settings

LOOK_SECONDS = 1.0
"""Between two looks at the file of keys."""
MAX_REMEMBERED = 4096
KEY_NEEDED = "a valid key is needed: send 'Authorization: Bearer KEY'"
TOO_MANY = "too many keys that are not valid have come from this address"
_BEARER = b"bearer "

log = structlog.get_logger()

Fields = Iterable[tuple[bytes, bytes]]


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps a process from opening any file."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a connection says of who is at its other end."""

    address: str
    names: tuple[str, ...] = ()
    """Names in its client certificate, which has been verified."""


class Gate:
    """Who may pass, on one port."""

    def __init__(
        self,
        settings: Settings,
        refused: Callable[[str], None] = lambda _: None,
        *,
        browser_host: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Tell `refused` the code of each refusal.

        A port with a `browser_host`, the host it is bound to, is one that browsers use: sessions
        count there, and pages of other sites are refused.
        """
        self._is_needed = bool(
            needs_keys(settings) or settings.tls_client_ca or settings.jwt_issuer
        )
        self._was_looked_at = False  # Until then nobody knows whether there are keys.
        self.is_on = self._is_needed
        """Whether callers have to say who they are."""
        self.epoch = object()
        """Another one when what was recognized must be recognized anew."""
        self.sessions = Sessions() if browser_host is not None else None
        self._browser_host = browser_host
        self._allowed_hosts = settings.allowed_hosts
        self._refused = refused
        self._clock = clock
        self._file = ChangingFile(settings.keys_path)
        self._ring = Keyring([])
        self._tokens = Tokens(settings) if settings.jwt_issuer else None
        self._token_keys = ChangingFile(settings.jwt_keys_path)
        self._failures = Failures()
        self._remembered: dict[bytes, Principal] = {}
        self._troubles: dict[ChangingFile, str] = {}
        self._expiry_seconds: float | None = None
        """When the next of those that may be remembered expires."""

    # What is asked of it.

    def admit(self, role: Role, model: str | None, headers: Fields, peer: Peer) -> Principal | None:
        """Return who calls; None if that does not matter.

        Raises:
            Unauthenticated: nobody who is known.
            TooManyFailures: that address has not been recognized too often.
            Forbidden: who calls may not do this.
            CrossOrigin: a page of another site is behind it.

        """
        if role is Role.OPEN:
            return None
        try:
            if not self.is_on:
                self._check_browser(headers)
                return None
            principal = self._recognize(headers, peer)
            principals.check(principal, role, model)
        except TidegateError as error:
            self._refused(error.code)
            raise
        return principal

    def log_in(self, key: str, headers: Fields, peer: Peer, session: str) -> None:
        """Open a session for a key, under the token `session`.

        Raises:
            Unauthenticated, TooManyFailures, CrossOrigin: as `admit`.

        """
        assert self.sessions is not None, "only ports that browsers use have sessions"
        browsers.check_origin(headers)
        principal = self._find_key(key.encode("utf-8", "replace"), peer)
        self.sessions.begin(session, principal.key_id, self._clock())

    # How callers are recognized.

    def _recognize(self, headers: Fields, peer: Peer) -> Principal:
        shown = None
        for name, value in headers:  # A dictionary of all of them would take longer to make.
            if name == b"authorization":
                shown = value
        if shown is not None:
            known = self._remembered.get(shown)
            if known is not None:
                return known
            if shown[: len(_BEARER)].lower() != _BEARER:
                raise Unauthenticated(KEY_NEEDED)
            principal = self._find(shown[len(_BEARER) :].strip(), peer)
            self._remember(shown, principal)
            return principal
        return self._by_certificate(peer) or self._by_session(dict(headers))

    def _find(self, token: bytes, peer: Peer) -> Principal:
        if self._tokens is None or not is_token(token):
            return self._find_key(token, peer)
        # A signature is dear to check: whoever has failed too often has to wait for that.
        if self._failures.is_over(peer.address, time.monotonic()):
            raise TooManyFailures(TOO_MANY)
        principal, reason = self._tokens.find(token, self._clock())
        return principal or self._fail(peer, reason)

    def _find_key(self, token: bytes, peer: Peer) -> Principal:
        principal, reason = self._ring.find(token, self._clock())
        return principal or self._fail(peer, reason, keys.token_id(token))

    def _fail(self, peer: Peer, reason: str, key_id: str = "") -> NoReturn:
        if self._failures.note(peer.address, time.monotonic()):
            raise TooManyFailures(TOO_MANY)
        log.warning("caller_refused", address=peer.address, reason=reason, key_id=key_id)
        raise Unauthenticated(KEY_NEEDED)

    def _by_certificate(self, peer: Peer) -> Principal | None:
        return self._ring.for_certificate(peer.names, self._clock()) if peer.names else None

    def _by_session(self, headers: dict[bytes, bytes]) -> Principal:
        if self.sessions is not None:
            now = self._clock()
            key_id = self.sessions.key_id(token_in(headers.get(b"cookie", b"")), now)
            principal = None if key_id is None else self._ring.for_id(key_id, now)
            if principal is not None:
                browsers.check_origin(headers.items())
                return principal
        raise Unauthenticated(KEY_NEEDED)

    def _remember(self, shown: bytes, principal: Principal) -> None:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._forget()
        self._remembered[shown] = principal
        ends = [end for end in (self._expiry_seconds, principal.expires_seconds) if end is not None]
        self._expiry_seconds = min(ends, default=None)

    def _check_browser(self, headers: Fields) -> None:
        if self._browser_host is None:
            return
        browsers.check_origin(headers)
        browsers.check_host(headers, self._browser_host, self._allowed_hosts)

    # How it learns of changes.

    async def watch_forever(self) -> None:
        """Take other keys when the file changes, and forget those that expire."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take the keys of the files, if they are others than before."""
        await self._look_at(self._file, self._take_keys)
        if self._tokens is not None:
            await self._look_at(self._token_keys, self._take_token_keys)
        if self._expiry_seconds is not None and self._clock() >= self._expiry_seconds:
            self._forget()

    async def _look_at(self, file: ChangingFile, take: Callable[[bytes], None]) -> None:
        trouble = ""
        try:
            content = await asyncio.to_thread(file.read_if_changed)
            if content is None:
                return
            self.is_on = self._was_looked_at = True
            take(content)
        except FileNotFoundError:
            # A file that has gone must not open the door: what was good before stays good.
            if not self._was_looked_at:
                self.is_on, self._was_looked_at = self._is_needed, True
            return
        except (OSError, ValueError) as error:
            trouble = str(error)
            if isinstance(error, OSError) and error.errno in _EXHAUSTED:
                # It says nothing of the file: what was known holds; if nothing was, nobody enters.
                self.is_on = self.is_on or not self._was_looked_at
            else:
                self.is_on = self._was_looked_at = True
        if trouble and trouble != self._troubles.get(file):
            log.error("keys_unusable", path=str(file.path), reason=trouble)
        self._troubles[file] = trouble

    def _take_keys(self, content: bytes) -> None:
        found = keys.decode(content)
        self._ring = Keyring(found)
        self._forget()
        log.info("keys_read", keys=len(found))

    def _take_token_keys(self, content: bytes) -> None:
        assert self._tokens is not None, "its file is looked at only if there are tokens"
        log.info("token_keys_read", keys=self._tokens.use(content))
        self._forget()

    def _forget(self) -> None:
        self._remembered = {}
        self._expiry_seconds = self._ring.next_expiry(self._clock())
        self.epoch = object()
