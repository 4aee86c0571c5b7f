"""Revisions of the schema by name: which ones this program knows, and what it does not take.

Decides nothing about tables and needs no SQLAlchemy; `migrating.py` brings a file to the newest.
"""

import re
from pathlib import Path

SCRIPTS = Path(__file__).parent / "migrations"


def known() -> list[str]:
    """Return the revisions that this program has, oldest first."""
    names = [path.name for path in (SCRIPTS / "versions").glob("r*.py")]
    return sorted(found[1] for name in names if (found := re.match(r"r(\d{4})_", name)))


def refusal(revision: str) -> str:
    """Say why a file of `revision` cannot be used, and what to do; empty if it can be."""
    revisions = known()
    if revision in revisions:
        return ""
    return (
        f"its schema is of revision {revision}, newer than {revisions[-1]}, the newest that this "
        "program knows: run the newer program again, or stop the gateway and move the file away"
    )
