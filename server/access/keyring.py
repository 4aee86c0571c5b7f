"""From what a caller shows to whom it is. Pure.

Decides which key a token is, in a time that does not depend on how much of it is right: the secret
is hashed, and the hash compared in constant time, whether the id is known or not.
"""

import hmac
from collections.abc import Iterable
from itertools import chain

from server.access import keys
from server.access.keys import Key
from server.access.principals import Principal

_NOBODYS = keys.digest(b"")
"""Compared with when an id is not known, so that it takes no less time."""


class Keyring:
    """The keys there are. Never changes: another file makes another one."""

    def __init__(self, entries: Iterable[Key]) -> None:
        entries = list(entries)
        self._keys = {key.key_id: key for key in entries if not key.certificate}
        self._certificates: dict[str, list[Key]] = {}
        for key in entries:
            if key.certificate:
                self._certificates.setdefault(key.certificate, []).append(key)

    def find(self, token: bytes, now_seconds: float) -> tuple[Principal | None, str]:
        """Return whose key a token is, or nobody and the reason, which is for the log only."""
        key = self._keys.get(keys.token_id(token))
        expected = _NOBODYS if key is None else key.sha256
        is_same = hmac.compare_digest(keys.digest(token), expected)
        if key is None or not is_same:
            return None, "unknown"
        state = key.state(now_seconds)
        return (key.principal, "") if state == "active" else (None, state)

    def for_certificate(self, names: Iterable[str], now_seconds: float) -> Principal | None:
        """Return whom the names in a verified certificate stand for."""
        for name in names:
            for key in self._certificates.get(name, ()):
                if key.state(now_seconds) == "active":
                    return key.principal
        return None

    def for_id(self, key_id: str, now_seconds: float) -> Principal | None:
        """Return whose key goes by an id, if it is still good."""
        key = self._keys.get(key_id)
        return key.principal if key is not None and key.state(now_seconds) == "active" else None

    def next_expiry(self, now_seconds: float) -> float | None:
        """Return when the next of the good keys expires, in seconds since the epoch."""
        every = [*self._keys.values(), *chain.from_iterable(self._certificates.values())]
        good = [key.expires_seconds for key in every if key.state(now_seconds) == "active"]
        return min((end for end in good if end is not None), default=None)
