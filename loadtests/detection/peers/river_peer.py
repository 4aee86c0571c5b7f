# mypy: disable-error-code="import-not-found,import-untyped"
"""River's detectors with their defaults, over streams row by row.

Reads one npz, `streams` of shape (streams, rows), named on the command line, and prints JSON: for
each stream the rows at which the named detector claims drift.
"""

import json
import sys

import numpy as np
from river import drift

from loadtests.detection.peers.answering import Values

DETECTORS = {"ADWIN": drift.ADWIN, "PageHinkley": drift.PageHinkley, "KSWIN": drift.KSWIN}


def claims(name: str, stream: Values) -> list[int]:
    """Return the rows at which drift is claimed; detectors start anew by themselves."""
    detector = DETECTORS[name](seed=1) if name == "KSWIN" else DETECTORS[name]()
    found = []
    for row, value in enumerate(stream.tolist()):
        if value != value:
            continue  # No detector takes a missing value.
        detector.update(value)
        if detector.drift_detected:
            found.append(row)
    return found


if __name__ == "__main__":
    with np.load(sys.argv[2]) as rows:
        print(json.dumps([claims(sys.argv[1], stream) for stream in rows["streams"]]))
