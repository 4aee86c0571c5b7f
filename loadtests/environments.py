"""Environments of other programs, made once outside of the repository.

Each is named by its file of pinned requirements, and made anew when that file has changed.
"""

import re
import subprocess
import sys
import venv
from pathlib import Path

DEFAULT_FOLDER = Path.home() / ".cache" / "tidegate-peers"


class PeerMissing(Exception):
    """A peer cannot be used; the text says why."""


def python_of(requirements: Path, folder: Path) -> Path:
    """Return the interpreter of an environment below `folder`, made if it is not there.

    Raises:
        PeerMissing: its packages cannot be installed.

    """
    home = folder / requirements.stem
    python, stamp = home / "bin" / "python", home / "installed.txt"
    if stamp.is_file() and stamp.read_text() == requirements.read_text():
        return python
    print(f"installing {requirements.stem} into {home} …", file=sys.stderr)
    venv.create(home, with_pip=True, clear=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--requirement", requirements],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PeerMissing(reason(done.stderr))
    stamp.write_text(requirements.read_text())
    return python


def reason(text: str) -> str:
    """Return the line of what a program has written that says most likely why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b|ERROR", line)]
    return [*lines, *errors][-1] if lines else "no reason was given"
