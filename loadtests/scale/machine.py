"""What one large machine would do, from costs that were measured on a small one. Pure.

A machine is so many workers, which the kernel gives connections by chance, and one control that
reads what all of them have to say. Time goes in steps of a flush: in each, requests come to each
worker by chance, are answered as far as its core goes, and their rows go to control in messages,
which are lost where too many wait. Everybody has a core. Not simulated: memory bandwidth, shared
caches, the network, and clock rates that fall when all cores work: those take more away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.dataplane.control_link import MAX_PENDING_BYTES
from server.dataplane.telemetry import AT_ONCE, FLUSH_BYTES, flush_seconds, ticks_for_all

QUEUE_SECONDS = 0.25
"""Work that may wait in a worker: the setting `max_queue_ms`."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor time in seconds, and bytes, as `python -m loadtests scale` measured them.

    One row of 30 features as JSON, 100 boosted trees, on one core of an AMD EPYC at 2 GHz.
    """

    request: float
    """Of a worker, under load."""
    flush: float
    """Of a worker, to turn what it noted of one version into one message."""
    row: float
    """Of control, for a row in a message: read, counted, kept for its label."""
    message: float
    """Of control, for a message."""
    status: float
    """Of control, for what a worker says of each model every second."""
    row_bytes: int
    message_bytes: int
    counting: float
    """Of control, to count once in five seconds what came of a version."""


@dataclass(frozen=True, slots=True)
class Load:
    """A machine, and what is asked of it."""

    workers: int
    connections: int
    requests_per_second: float
    models: int = 1
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of it."""

    answered_per_second: float
    refused: float
    """Share of the requests for which there was no room."""
    busiest: float
    """Share of its core that the busiest worker takes."""
    idlest: float
    control: float
    """Share of its core that control takes."""
    seen: float
    """Share of the answered rows that reach monitoring."""
    behind_seconds: float
    """Work that waits for control at the end: how late what workers say is heard."""


def versions_flushed(noted: NDArray[np.int64], flushes: int) -> NDArray[np.int64]:
    """Return how many versions send in one flush, of those that have something to say.

    A few; of many, so many that each has its turn in so many `flushes`.
    """
    flushed: NDArray[np.int64] = np.minimum(noted, np.maximum(AT_ONCE, -(-noted // flushes)))
    return flushed


def spread(workers: int, connections: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the share of the connections that each worker gets: the kernel draws for each."""
    drawn = rng.multinomial(connections, np.full(workers, 1.0 / workers))
    shares: NDArray[np.float64] = drawn / max(1, connections)
    return shares


def busiest(
    workers: int, connections: int, rng: np.random.Generator, draws: int = 400
) -> tuple[float, float]:
    """Return how much more than its part the busiest worker gets: the median, and 95 of 100."""
    most = [workers * spread(workers, connections, rng).max() for _ in range(draws)]
    median, high = np.quantile(most, (0.5, 0.95))
    return float(median), float(high)


def simulated(load: Load, costs: Costs, rng: np.random.Generator) -> Outcome:
    """Run a machine under a load."""
    step, shares = flush_seconds(load.workers), spread(load.workers, load.connections, rng)
    waiting = np.zeros(load.workers)
    pending = np.zeros((2, load.workers))  # Rows, messages.
    answered = refused = lost = control = 0.0
    worked = np.zeros(load.workers)
    steady = load.models * (load.workers * costs.status + costs.counting / 5) * step
    for _ in range(round(load.seconds / step)):
        came = rng.poisson(load.requests_per_second * shares * step)
        waiting += came
        noted = np.minimum(load.models, waiting).astype(np.int64)
        messages = versions_flushed(noted, ticks_for_all(step))
        messages += (came * costs.row_bytes // FLUSH_BYTES).astype(np.int64)
        free = step - messages * costs.flush
        done = np.minimum(waiting, np.maximum(0.0, free) / costs.request)
        worked += done * costs.request + messages * costs.flush
        waiting -= done
        too_many = np.maximum(0.0, waiting - QUEUE_SECONDS / costs.request)
        waiting -= too_many
        answered, refused = answered + done.sum(), refused + too_many.sum()
        is_full = pending.T @ (costs.row_bytes, costs.message_bytes) > MAX_PENDING_BYTES
        lost += done[is_full].sum()
        pending += np.where(is_full, 0.0, np.stack([done, messages]))
        work = float(pending.sum(axis=1) @ (costs.row, costs.message))
        part = min(1.0, max(0.0, step - steady) / work) if work else 0.0
        control += min(step, work * part + steady)
        pending *= 1.0 - part
    worked /= load.seconds
    return Outcome(
        answered / load.seconds,
        refused / max(1.0, answered + refused + waiting.sum()),
        float(worked.max()),
        float(worked.min()),
        control / load.seconds,
        1.0 - lost / max(1.0, answered),
        float(pending.sum(axis=1) @ (costs.row, costs.message)),
    )
