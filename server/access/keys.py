"""API keys: their form, what is kept of them, and the file that holds them. Pure.

Decides what a key looks like (`tg_<id>_<secret>`, 256 random bits in the secret), that only its
SHA-256 is kept, and what may stand in the file. An entry may name a client certificate instead.
Does not read files or draw secrets; is told the time.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from server.access.principals import Principal, is_name
from server.access.roles import GIVEN_ROLES, Role

ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
ID_LENGTH = 8
SECRET_BYTES = 32
MAX_KEYS = 10_000

_TOKEN = re.compile(rb"tg_([a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_ID = re.compile("[a-z0-9]{8}")
_DIGEST = re.compile("[0-9a-f]{64}")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Key:
    """One entry: who may do what, and how they are recognized."""

    key_id: str
    name: str
    """Of its owner. Two keys may have one name: the old and the new one while they are changed."""
    roles: tuple[Role, ...]
    models: tuple[str, ...] | None = None
    """Models that it may ask; None for all of them."""
    sha256: str = ""
    """Of the whole key, in hexadecimal; empty if the entry is for a certificate."""
    certificate: str = ""
    """The name in a client certificate that stands for the entry; empty if it is for a key."""
    created_seconds: float = 0.0
    expires_seconds: float | None = None
    revoked_seconds: float | None = None

    def state(self, now_seconds: float) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.revoked_seconds is not None:
            return "revoked"
        is_over = self.expires_seconds is not None and self.expires_seconds <= now_seconds
        return "expired" if is_over else "active"

    @property
    def principal(self) -> Principal:
        """Whom it stands for."""
        models = None if self.models is None else frozenset(self.models)
        return Principal(
            self.name, frozenset(self.roles), models, self.expires_seconds, self.key_id
        )


def token_text(key_id: str, secret: str) -> str:
    """Return a key as its owner has it."""
    return f"tg_{key_id}_{secret}"


def token_id(token: bytes) -> str:
    """Return the id in a key; empty if it does not have the form of one."""
    match = _TOKEN.fullmatch(token)
    return match[1].decode() if match else ""


def digest(token: bytes) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(token).hexdigest()


def encode(keys: Sequence[Key]) -> bytes:
    """Write the file of keys."""
    entries = [{name: getattr(key, name) for name in Key.__slots__} for key in keys]
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps({"version": _VERSION, "keys": entries}, option=options)


def decode(content: bytes) -> list[Key]:
    """Read the file of keys.

    Raises:
        ValueError: names the entry and the field that is wrong.

    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise ValueError(f"it must be an object with 'version': {_VERSION}")
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"keys: expected a list of {MAX_KEYS} entries at most")
    keys = [_read(entry, f"keys[{number}]") for number, entry in enumerate(entries)]
    if len({key.key_id for key in keys}) < len(keys):
        raise ValueError("keys: two entries have one key_id")
    return keys


def _read(entry: Any, where: str) -> Key:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object")
    unknown = sorted(map(str, entry.keys() - set(Key.__slots__)))
    if unknown:
        raise ValueError(f"{where}: '{unknown[0][:32]}' is no field of an entry")

    def take(field: str, *, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{where}.{field}: expected {expected}")

    key_id, name, roles, models = (
        entry.get(field, "") for field in ("key_id", "name", "roles", "models")
    )
    sha256, certificate = entry.get("sha256", ""), entry.get("certificate", "")
    take("key_id", holds=_is_match(_ID, key_id), expected="8 of a-z and 0-9")
    take("name", holds=isinstance(name, str) and is_name(name), expected="a name")
    take("roles", holds=_is_list_of(roles, GIVEN_ROLES), expected=f"some of {_words(GIVEN_ROLES)}")
    take("models", holds=models is None or _is_texts(models), expected="names, or null for all")
    take("certificate", holds=isinstance(certificate, str), expected="a name in a certificate")
    is_one = bool(sha256) != bool(certificate)
    take("sha256", holds=is_one, expected="a SHA-256, or a 'certificate' instead")
    take("sha256", holds=bool(certificate) or _is_match(_DIGEST, sha256), expected="a SHA-256")
    times = {field: entry.get(field) for field in Key.__slots__ if field.endswith("_seconds")}
    for field, value in times.items():
        is_time = isinstance(value, int | float) and not isinstance(value, bool)
        take(field, holds=value is None or is_time, expected="seconds since the epoch, or null")
    return Key(
        key_id,
        name,
        tuple(map(Role, roles)),
        None if models is None else tuple(models),
        sha256,
        certificate,
        times["created_seconds"] or 0.0,
        times["expires_seconds"],
        times["revoked_seconds"],
    )


def _is_match(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_list_of(value: Any, known: Sequence[str]) -> bool:
    return _is_texts(value) and bool(value) and all(one in known for one in value)


def _words(values: Sequence[str]) -> str:
    return ", ".join(map(str, values))
