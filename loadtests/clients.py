"""A client for scenarios that must look at every answer: threads with keep-alive connections."""

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit


@dataclass
class Ledger:
    """What the clients saw."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """When an answer came (time.perf_counter) and how long it took, in seconds."""


class Crew:
    """Threads that work from the beginning of a block to its end."""

    def __init__(self, work: Sequence[Callable[[], None]]) -> None:
        """Have a thread for each of `work`, which returns soon after `stop` is set."""
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=one) for one in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()


class Clients(Crew):
    """Some threads that send the same request until told to stop, and check each answer."""

    def __init__(
        self, url: str, path: str, body: bytes, check: Callable[[bytes], str], threads: int = 8
    ) -> None:
        self.ledger = Ledger()
        self._url = urlsplit(url)
        self._path = path
        self._body = body
        self._check = check
        self._lock = threading.Lock()
        super().__init__([self._run] * threads)

    def _run(self) -> None:
        assert self._url.hostname is not None, "the address names a host"
        connection = http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=30)
        mine = Ledger()
        while not self.stop.is_set():
            started = time.perf_counter()
            try:
                connection.request("POST", self._path, self._body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                mine.failures.append(repr(error))
                connection.close()
                continue
            finished = time.perf_counter()
            problem = (
                self._check(content)
                if answer.status == 200
                else f"status {answer.status}: {content[:200]!r}"
            )
            mine.answers += 1
            mine.latencies.append((finished, finished - started))
            if problem:
                mine.failures.append(problem)
        connection.close()
        with self._lock:
            self.ledger.answers += mine.answers
            self.ledger.failures += mine.failures
            self.ledger.latencies += mine.latencies
