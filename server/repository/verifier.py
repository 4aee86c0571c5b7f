"""The process that opens models for the first time: `python -m server.repository.verifier PARENT`.

Reads one order a line from standard input, writes one answer a line to standard output, both JSON,
until its input ends. If a model makes it crash, only the version that it was checking is lost.

Lifetime: started and killed by control (`controlplane/verifying.py`); at the lowest priority that
still finishes, so that checking a large model does not slow predictions.
"""

import os
import sys
from pathlib import Path
from typing import Any

import orjson

from server.errors import ModelInvalid
from server.machine import die_with_parent
from server.repository.verdict import VerificationOrder
from server.repository.verification import verify

_NICENESS = 10


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order."""
    golden = order["golden_file"]
    try:
        verdict = verify(
            VerificationOrder(
                Path(order["model_file"]),
                Path(golden) if golden else None,
                Path(order["samples_file"]),
                order["threads"],
                order["max_rows"],
                order["may_batch"],
            )
        )
    except ModelInvalid as error:
        return {"error": str(error), "fix": error.fix}
    return {"verdict": verdict.to_json()}


def main() -> None:
    """Serve orders until standard input ends."""
    die_with_parent(int(sys.argv[1]))
    os.nice(_NICENESS)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What a model prints is not an answer.
    for line in sys.stdin.buffer:
        output.write(orjson.dumps(answer(orjson.loads(line))) + b"\n")
        output.flush()


if __name__ == "__main__":
    main()
