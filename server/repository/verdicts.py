"""Verdicts about versions, kept so that a restart need not check what was checked before.

Decides when an old verdict still holds: same files, same golden rows, same ONNX Runtime, same
threads and batch size, same checks.

Concurrency: used by control's staging thread only.
"""

import contextlib
import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import orjson

from server.repository.verdict import Verdict

_CHECKS_REVISION = 2
"""Raise it when `verification.py` checks more, so that old verdicts are not believed."""

RUNTIME_VERSION = version("onnxruntime")
"""Of the package, not of the module: control runs no model, and loads nothing that could."""


class VerdictStore:
    """The folder of verdicts and of the samples that belong to them."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "verdicts"

    def prepare(self) -> None:
        """Make the folder."""
        self._root.mkdir(parents=True, exist_ok=True)

    def key(self, *facts: object) -> str:
        """Return the name under which a verdict from these facts is kept."""
        text = "\0".join(map(str, (_CHECKS_REVISION, *facts)))
        return hashlib.sha256(text.encode()).hexdigest()

    def samples_path(self, key: str) -> Path:
        """Return where the samples of a verdict are, or are to be written."""
        return self._root / f"{key}.npz"

    def get(self, key: str) -> Verdict | None:
        """Return a kept verdict, or None."""
        try:
            return Verdict.from_json(orjson.loads((self._root / f"{key}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict. If it cannot be written, the next start checks again."""
        with contextlib.suppress(OSError):
            temporary = self._root / f"{key}.tmp"
            temporary.write_bytes(orjson.dumps(verdict.to_json()))
            os.replace(temporary, self._root / f"{key}.json")

    def remove_all_but(self, keys: set[str]) -> None:
        """Forget verdicts that nobody needs."""
        for path in self._root.iterdir():
            if path.stem not in keys:
                path.unlink(missing_ok=True)
