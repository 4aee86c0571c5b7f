"""What every peer's program does: read one job a line, answer each into a file.

A job is JSON: `rows`, an npz with `reference` of shape (rows,) and `windows` of shape (windows,
rows); `kind`, as of `changes.Kind`; `answer`, the file to write. The answer is JSON as well, either
`scores`, where larger is further away, and `alerts`, by the peer's own default, or `error`. A line
on the standard output says that it is written. Needs NumPy only, since it runs beside the peer's.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Judge = Callable[[Values, Values, str], tuple[list[float], list[bool]]]
"""From a reference, windows and a kind to scores and alerts, one a window."""


def answer_jobs(judge: Judge) -> None:
    """Answer until the standard input ends. What a peer prints goes to the standard error."""
    done, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        with np.load(job["rows"]) as rows:
            reference, windows = rows["reference"], rows["windows"]
        try:
            scores, alerts = judge(reference, windows, job["kind"])
            answer: dict[str, object] = {"scores": scores, "alerts": alerts}
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is part of the comparison
            answer = {"error": f"{type(error).__name__}: {error}"}
        Path(job["answer"]).write_text(json.dumps(answer))
        print("done", file=done, flush=True)
