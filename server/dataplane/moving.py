"""Requests that wait for a version which does not answer them any more, moved to the one that does.

A roll back is often from a version that is slow or hangs: without this, whoever waits in its queue
would go on waiting. Decides who moves: requests that named no version, do not run or are in a run
that stalls, and would be read in the same way by the other version. All others keep the version
that they met.

Concurrency: event loop only.
"""

from collections.abc import Iterator

from server.dataplane.batch_columns import KEYED, PINNED, SPLIT
from server.dataplane.call import Call
from server.dataplane.routes import ModelRoute, RouteTable
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Target
from server.engine.running import Entry


def move_waiting(before: RouteTable, after: RouteTable) -> None:
    """Move what waits for versions that answered unnamed requests in `before` and not in `after`.

    It goes to the live version of `after`, as far as that has room.
    """
    for model, route in before.models.items():
        now = after.models.get(model)
        if now is None or now.unnamed is None:
            continue
        still = {served.version for served in _answering(now)}
        for served in _answering(route):
            if served.version not in still and _reads_alike(served, now.unnamed.served):
                _move(served, now.unnamed)


def _answering(route: ModelRoute) -> Iterator[ServedVersion]:
    """Yield the versions that answer requests which name none."""
    if route.unnamed is not None:
        yield route.unnamed.served
        if route.unnamed.split is not None:
            yield route.unnamed.split.canary.served


def _reads_alike(one: ServedVersion, other: ServedVersion) -> bool:
    """Whether a request that was read and checked for one version is good for another."""
    return (one.contract, one.features, one.plan.checks) == (
        other.contract,
        other.features,
        other.plan.checks,
    )


def _move(served: ServedVersion, target: Target) -> None:
    batcher = target.served.batcher
    room = batcher.limits.queue_rows - batcher.queued_rows

    def may_move(entry: Entry) -> bool:
        nonlocal room
        # The parts of a large request stay together: some of them may be running.
        if not isinstance(entry, Call) or entry.marks & PINNED:
            return False
        if entry.rows > min(room, target.served.max_entry_rows):
            return False
        room -= entry.rows
        return True

    for entry in served.batcher.withdraw(may_move):
        assert isinstance(entry, Call)
        entry.target = target
        entry.served = target.served
        entry.marks = entry.marks & ~(SPLIT | KEYED) | target.marks
        batcher.submit(entry)
