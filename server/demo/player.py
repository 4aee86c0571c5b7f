"""Plays the demo on a running gateway: sends rows, labels and release calls, in time.

Decides the pace. What is sent and when is decided in `rows.py` and `story.py`; what a spectator
reads is the caller's to print.

Concurrency: one thread, one connection to each port.
Lifetime: of a block; leaving it closes the connections.
"""

import http.client
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from server.demo.rows import Stream, request_body
from server.demo.story import MODEL, Scene, due, spoilt

TURN_SECONDS = 0.05
MAX_ROWS = 8
LABEL_SHARE = 0.2
LABEL_DELAY_SECONDS = 5.0
"""Labels come later than predictions, as in life."""
_TIMEOUT_SECONDS = 10.0


class Player:
    """Whoever plays the demo."""

    def __init__(
        self,
        data: str,
        control: str,
        streams: list[Stream],
        told: Callable[[Scene, str], None],
    ) -> None:
        """Play on two addresses; `told` hears of each scene, and of what went wrong with it."""
        self._data = _connection(data)
        self._control = _connection(control)
        self._streams = streams
        self._told = told
        self._random = random.Random(0)  # noqa: S311 - which rows are sent is no secret
        self._labels: deque[tuple[float, list[dict[str, Any]]]] = deque()
        self._played = -1.0
        self.requests = 0
        self.failures = 0

    def play(self, seconds: float) -> None:
        """Play from the beginning, for so long; every request is counted, whatever it meets."""
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < seconds:
            self._scenes(now)
            for stream in self._streams:
                self._ask(stream, now)
            self._tell_labels(now)
            self._played = now
            time.sleep(max(0.0, TURN_SECONDS - (time.monotonic() - begin - now)))

    def close(self) -> None:
        """Close the connections."""
        self._data.close()
        self._control.close()

    def _scenes(self, now: float) -> None:
        for scene in due(self._played, now):
            problem = ""
            if scene.action:
                path = f"/v1/models/{MODEL}/release/{scene.action}"
                answer = _post(self._control, path, orjson.dumps(scene.members))
                if answer is None or answer[0] != 200:
                    problem = "control did not answer" if answer is None else answer[1]["error"]
            self._told(scene, problem)

    def _ask(self, stream: Stream, now: float) -> None:
        inputs, labels = stream.take(self._random.randint(1, MAX_ROWS))
        body = request_body(spoilt(stream.model, inputs, now))
        answer = _post(self._data, f"/v2/models/{stream.model}/infer", body)
        self.requests += 1
        if answer is None or answer[0] != 200:
            self.failures += 1
        elif self._random.random() < LABEL_SHARE:
            name = answer[2]["x-prediction-id"]
            items = [
                {"prediction_id": name, "row": row, "label": label}
                for row, label in enumerate(labels)
            ]
            self._labels.append((now + LABEL_DELAY_SECONDS, items))

    def _tell_labels(self, now: float) -> None:
        while self._labels and self._labels[0][0] <= now:
            _, items = self._labels.popleft()
            _post(self._control, "/v1/feedback", orjson.dumps(items))


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None, "the demo makes its addresses itself"
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)


def _post(
    connection: http.client.HTTPConnection, path: str, body: bytes
) -> tuple[int, Any, Mapping[str, str]] | None:
    """Return status, body and headers of an answer; None if there was none."""
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, orjson.loads(answer.read()), headers
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()  # The next request opens another one.
        return None
