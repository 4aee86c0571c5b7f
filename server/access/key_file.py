"""The file of keys on disk: noticing that it has changed, and changing it.

Decides that a change replaces the whole file, readable by its owner only, and that two programs
never change it at once. What may stand in it is `keys.py`'s.

Concurrency: a `ChangingFile` is used by one thread at a time. Other processes may replace it at
any moment; a reader sees the old one or the new one.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from server.access import keys
from server.access.keys import ID_CHARACTERS, ID_LENGTH, SECRET_BYTES, Key

MAX_BYTES = 8 << 20

Signature = tuple[int, int, int]


class ChangingFile:
    """A file that is read again when it is another one than before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Signature | None = None

    def read_if_changed(self) -> bytes | None:
        """Return what is in it, or None if the file is the one that was read, or failed, before.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read.
            ValueError: it is too large.

        """
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            if signature == self._seen:
                return None
            self._seen = signature
            if status.st_size > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES} bytes")
            return file.read()


def read(path: Path) -> list[Key]:
    """Return the keys of a file; none if there is no file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a file of keys; says why.

    """
    try:
        content = ChangingFile(path).read_if_changed()
    except FileNotFoundError:
        return []
    return [] if content is None else keys.decode(content)


def change(path: Path, edit: Callable[[list[Key]], Sequence[Key]]) -> None:
    """Replace the keys of a file by what `edit` makes of them.

    Raises:
        OSError, ValueError: as `read`; or the file cannot be written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(path.name + ".lock")):
        _replace(path, keys.encode(edit(read(path))))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The file itself cannot be locked: it is another one after each change.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def new_token() -> tuple[str, str]:
    """Return the id and the text of a key that nobody has had before."""
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    return key_id, keys.token_text(key_id, secrets.token_urlsafe(SECRET_BYTES))
