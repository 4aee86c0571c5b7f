"""Requests as they go over a connection, and sending them when they are due.

The closed loop is `loadtests/wrk.py`. Both tell latencies by the same percentiles, and neither
knows what answers mean: whoever needs to know asks beside them (`checking.py`).
"""

from collections.abc import Sequence

import numpy as np

from loadtests import open_loop
from loadtests.overload.offering import post
from loadtests.peers.base import Request
from loadtests.wrk import Sent

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def whole(request: Request, *, closes: bool = False) -> bytes:
    """Return a request as it goes over a connection, which ends after it if it `closes`."""
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    return post(request.path, request.body, *headers, *["Connection: close"] * closes)


def due(port: int, requests: Sequence[bytes], connections: int, rate: float, seconds: int) -> Sent:
    """Send whole requests in turn when they are due, whatever the answers take."""
    answers = open_loop.offer(port, requests, rate, seconds, connections)
    count = len(answers.latencies)
    p50, p90, p99, p999 = map(float, np.percentile(answers.latencies or [0.0], PERCENTILES))
    late = float(np.percentile(answers.sent_late or [0.0], 99))
    return Sent(count, len(answers.failures), count / seconds, p50, p90, p99, p999, late)
