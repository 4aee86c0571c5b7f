"""The rules for overload, played through with a model of one server in its own time.

No clock and no machine: what is shown is what the rules do, not how fast anything runs.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from server.engine.admission import Room, RoomPolicy
from server.engine.batching import BatchPolicy, Dispatch, next_step
from server.protocol.priorities import LOW, NORMAL

SECONDS = 4.0
MAX_QUEUE_SECONDS = 0.25


@dataclass
class Asked:
    """A request of one row."""

    arrived: float
    priority: int = NORMAL
    rows: int = 1
    deadline: float = 1e9
    shape_key: object = None


@dataclass
class Server:
    """One model on a thread: a run takes a fixed time and more for each row."""

    run_seconds: float
    row_seconds: float
    max_rows: int
    queue: deque[Asked] = field(default_factory=deque)
    latencies: dict[int, list[float]] = field(default_factory=lambda: {NORMAL: [], LOW: []})
    refused: dict[int, int] = field(default_factory=lambda: {NORMAL: 0, LOW: 0})
    free_at: float = 0.0
    ended: float = 0.0

    def __post_init__(self) -> None:
        self.room = Room(RoomPolicy(8192, MAX_QUEUE_SECONDS, self.max_rows))
        self.room.guess(self.run_seconds + self.row_seconds)
        self.policy = BatchPolicy(self.max_rows)

    @property
    def capacity(self) -> float:
        """Return the rows a second that it takes in full batches."""
        return self.max_rows / (self.run_seconds + self.max_rows * self.row_seconds)

    def offer(self, arrivals: list[Asked]) -> None:
        """Let requests come, each at its time, and run what is admitted."""
        for request in arrivals:
            self._run_until(request.arrived)
            if len(self.queue) >= self.room.rows[request.priority]:
                self.refused[request.priority] += 1
            else:
                self.queue.append(request)
        self._run_until(float("inf"))

    def _run_until(self, now: float) -> None:
        while self.queue:
            start = max(self.free_at, self.queue[0].arrived)
            if start > now:
                return
            step = next_step(self.queue, self.policy, start)
            assert isinstance(step, Dispatch)
            batch = [self.queue.popleft() for _ in range(step.count)]
            self.free_at = start + self.run_seconds + len(batch) * self.row_seconds
            if len(batch) == self.max_rows:
                since = self.ended if batch[0].arrived < self.ended else start
                self.room.ran(len(batch), self.free_at - since)
            self.ended = self.free_at
            for request in batch:
                self.latencies[request.priority].append(self.free_at - request.arrived)


def arrivals(per_second: float, priority: int = NORMAL, seed: int = 0) -> list[Asked]:
    """Return requests of many independent callers."""
    generator = np.random.default_rng(seed)
    gaps = generator.exponential(1 / per_second, int(per_second * SECONDS))
    return [Asked(float(when), priority) for when in np.cumsum(gaps)]


MODELS = {
    "linear": (0.0, 0.002, 16),
    "linear, large batches": (0.0, 0.002, 64),
    "costly runs": (0.02, 0.0005, 32),
    "unbatched": (0.01, 0.0, 1),
}


@pytest.mark.parametrize("factor", [1, 2, 5, 10])
@pytest.mark.parametrize("name", MODELS)
def test_goodput_stays_at_the_capacity_and_the_wait_within_the_bound(
    name: str, factor: int
) -> None:
    """Up to ten times the capacity: 95 % of it are answered, and nobody waits for long."""
    server = Server(*MODELS[name])
    asked = arrivals(server.capacity * factor)
    server.offer(asked)

    good = server.latencies[NORMAL]
    batch_seconds = server.max_rows / server.capacity
    assert len(good) + server.refused[NORMAL] == len(asked)
    assert len(good) >= 0.95 * min(len(asked), server.capacity * asked[-1].arrived)
    assert max(good) <= MAX_QUEUE_SECONDS + 3 * batch_seconds


def test_a_load_that_can_be_served_is_not_refused() -> None:
    """At four fifths of the capacity chance makes queues, and they pass."""
    for name, model in MODELS.items():
        server = Server(*model)
        server.offer(arrivals(server.capacity * 0.8))

        assert server.refused[NORMAL] <= 0.001 * len(server.latencies[NORMAL]), name


def test_low_priority_gives_way_to_normal_requests() -> None:
    """Nine times the capacity of low priority takes nothing from half a capacity of normal ones."""
    server = Server(*MODELS["linear"])
    low = arrivals(server.capacity * 9, LOW, seed=1)
    normal = arrivals(server.capacity * 0.5, NORMAL, seed=2)
    server.offer(list(heapq.merge(low, normal, key=lambda request: request.arrived)))

    assert server.refused[NORMAL] == 0
    assert server.refused[LOW] > 0
    total = len(server.latencies[NORMAL]) + len(server.latencies[LOW])
    assert total / server.ended >= 0.95 * server.capacity


def test_a_model_that_becomes_slower_is_followed() -> None:
    """Ten times slower at once: after some batches the wait is within the bound again."""
    server = Server(*MODELS["linear"])
    server.offer(arrivals(server.capacity * 2))
    server.row_seconds *= 10
    server.latencies[NORMAL].clear()
    later = [Asked(server.ended + one.arrived) for one in arrivals(server.capacity * 10)]
    server.offer(later)

    batch_seconds = server.max_rows / server.capacity
    last = server.latencies[NORMAL][-50:]
    assert max(last) <= MAX_QUEUE_SECONDS + 3 * batch_seconds
