"""A program that saves one cell after another and says each time that it is committed.

Run as `python -m tests.support.store_writer FOLDER`, until it is killed.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np

from server.statistics.window import Cell
from server.store.database import Store
from server.store.keys import Subject

SUBJECT = Subject("m", "1", "hash")


def cell(number: int) -> Cell:
    """Return the cell of a number."""
    counts = np.random.default_rng(number).integers(0, 2**62, 300)
    return Cell(float(number), float(number + 1), counts)


async def _write(folder: Path) -> None:
    from sqlalchemy import Connection

    from server.store import windows

    store = Store(folder)

    def save(connection: Connection) -> None:
        windows.save_cells(connection, SUBJECT, [cell(number)], cell(number + 1))

    for number in range(1_000_000):
        await store.run(save)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1])))
