"""What operators asked for that the repository's files do not say: unloaded models, overrides.

Decides how that survives a restart: one small JSON file, replaced whole.

Concurrency: event loop only.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

log = structlog.get_logger()


@dataclass(slots=True)
class Intents:
    """Operators' wishes by model."""

    path: Path
    unloaded: set[str] = field(default_factory=set)
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings given with a load call; they win over the repository's files."""

    @classmethod
    def read(cls, state_dir: Path) -> "Intents":
        """Read what was saved; nothing, if there is nothing or it cannot be read."""
        path = state_dir / "intents.json"
        try:
            value = orjson.loads(path.read_bytes())
            return cls(path, set(value["unloaded"]), dict(value["overrides"]))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError):
            log.exception("intents_unreadable")
            return cls(path)

    def save(self) -> None:
        """Write the wishes down, so that they hold after a restart.

        Raises:
            OSError: they cannot be written.

        """
        value = {"unloaded": sorted(self.unloaded), "overrides": self.overrides}
        write_whole(self.path, orjson.dumps(value, option=orjson.OPT_INDENT_2))


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, now or after a crash, finds the old or the new one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
