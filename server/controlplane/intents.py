"""What operators asked for that the repository's files do not say: unloaded models, overrides.

Decides how that survives a restart: one small JSON file, replaced whole.

Concurrency: event loop only.
"""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from server.operator_errors import StateNotSaved

log = structlog.get_logger()


@dataclass(slots=True)
class Intents:
    """Operators' wishes by model."""

    path: Path
    unloaded: set[str] = field(default_factory=set)
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings given with a load call; they win over the repository's files."""
    is_lost: bool = False
    """Whether there was a file at the start of control, and it could not be read."""
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

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
            log.exception("intents_unreadable", moved_to=set_aside(path))
            return cls(path, is_lost=True)

    async def change(
        self, model: str, *, is_unloaded: bool, override: dict[str, Any] | None
    ) -> None:
        """Write down what is wished for a model, then hold to it; one change at a time.

        Raises:
            StateNotSaved: it cannot be written down; nothing has changed.

        """
        async with self._changing:
            unloaded = self.unloaded | {model} if is_unloaded else self.unloaded - {model}
            overrides = {name: one for name, one in self.overrides.items() if name != model}
            if override is not None:
                overrides[model] = override
            value = {"unloaded": sorted(unloaded), "overrides": overrides}
            content = orjson.dumps(value, option=orjson.OPT_INDENT_2)
            try:
                await asyncio.to_thread(write_whole, self.path, content)
            except OSError as error:
                raise StateNotSaved(
                    f"the state directory cannot be written ({error.strerror}); nothing was changed"
                ) from error
            self.unloaded, self.overrides = unloaded, overrides


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


def set_aside(path: Path) -> str:
    """Rename a file that cannot be read, in place of one that was before; return its new path.

    Empty if it cannot be renamed; then it is lost as soon as another is written.
    """
    target = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, target)
    except OSError:
        return ""
    return str(target)
