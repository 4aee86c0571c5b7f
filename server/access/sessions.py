"""Sessions of people who have entered their key in a browser. Pure.

Decides how long one lasts and how many there may be. A session stands for a key and ends with it:
what the key may do is looked up at each request. Is told the time and the random token; keeps only
the token's hash.
"""

import hashlib

COOKIE = "tidegate_session"
SESSION_SECONDS = 12 * 3600.0
MAX_SESSIONS = 1000
"""Beyond it the oldest ends."""


class Sessions:
    """The open sessions."""

    def __init__(self) -> None:
        self._open: dict[bytes, tuple[str, float]] = {}
        """By hash of the token: the id of the key, and when it ends. The oldest stands first."""

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, token: str, key_id: str, now_seconds: float) -> None:
        """Open a session."""
        self._drop_ended(now_seconds)
        while len(self._open) >= MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        self._open[_hash(token)] = key_id, now_seconds + SESSION_SECONDS

    def key_id(self, token: str, now_seconds: float) -> str | None:
        """Return the id of the key that a session stands for, or None if there is no session."""
        key_id, until = self._open.get(_hash(token), ("", now_seconds))
        return key_id if until > now_seconds else None

    def end(self, token: str) -> None:
        """End a session, if there is one."""
        self._open.pop(_hash(token), None)

    def _drop_ended(self, now_seconds: float) -> None:
        for name in [name for name, (_, until) in self._open.items() if until <= now_seconds]:
            del self._open[name]


def _hash(token: str) -> bytes:
    # Who could measure how long a look-up takes would learn of the hash, and not of the token.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def token_in(cookie_header: bytes) -> str:
    """Return the session's token in a Cookie header; empty if there is none."""
    for pair in cookie_header.decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
