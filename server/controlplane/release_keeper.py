"""Changes of releases on their way to the store, and the release states that it holds.

Decides the order of writing: changes that were made already, and wait for the store, go first. What
waits is bounded; the oldest are lost then, for the audit only, because every change holds the whole
state that it leads to. Does not know what a change means.

Concurrency: event loop only; the store's thread runs the functions that are given to it.
Lifetime: `run` is one task for the life of control. It opens the store when `open` says so, or when
somebody waits for a change.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import structlog

from server.operator_errors import StaleGeneration, StoreUnavailable
from server.release.change import Change
from server.release.route import ReleaseRoute, from_json, to_json
from server.store.database import Store
from server.store.keys import IdempotencyKey

if TYPE_CHECKING:
    from server.store.audit import Entry, Problem
    from server.store.database import Connection

MAX_WAITING = 1000
RETRY_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    """A change that is in place and not in the store."""

    change: Change
    written: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class ReleaseKeeper:
    """The way to the store and back."""

    def __init__(self, store: Store) -> None:
        self.lost = 0
        """Changes that were made and will never be in the audit."""
        self.raised: Callable[[Change, ReleaseRoute], None] = lambda _change, _saved: None
        """Told of a change that was saved with a higher generation than it was made with."""
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._may_open = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def unwritten(self) -> int:
        """How many changes wait to be written."""
        return len(self._waiting)

    @property
    def is_store_lost(self) -> bool:
        """Whether the store was damaged, and is another one now."""
        return self._store.health.set_aside > 0

    def open(self) -> None:
        """From now on, write what waits."""
        self._may_open.set()

    async def run(self) -> None:
        """Write what waits, for ever."""
        await self._may_open.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                try:
                    async with self._writing:
                        await self._write_waiting()
                except StoreUnavailable:  # The store has said so itself.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RETRY_SECONDS):
                            await self._news.wait()
                    self._news.clear()

    def later(self, change: Change) -> None:
        """Write a change that is in place already, as soon as that is possible."""
        if len(self._waiting) == MAX_WAITING:
            lost = self._waiting.popleft()
            lost.written.cancel()
            self.lost += 1
            log.error("release_change_lost", model=lost.change.model, action=lost.change.action)
        self._waiting.append(_Waiting(change))
        self._news.set()

    async def written(self, change: Change, timeout_seconds: float) -> bool:
        """Wait until a change that was given to `later` is in the store; False if it is not yet."""
        self.open()
        futures = {one.written for one in self._waiting if one.change is change}
        if futures:
            await asyncio.wait(futures, timeout=timeout_seconds)
        return all(future.done() and not future.cancelled() for future in futures)

    async def commit(
        self,
        change: Change,
        is_wanted: Callable[[], bool],
        key: IdempotencyKey | None,
        now_seconds: float,
    ) -> None:
        """Write a change that is not in place yet, so that a power cut cannot take it back.

        `is_wanted` is asked on the store's thread, at the last moment. Its key is known for a day
        from `now_seconds`.

        Raises:
            StaleGeneration: it is not wanted any more, or the store holds another generation.
            StoreUnavailable: it cannot be written.

        """
        async with self._writing:
            await self._write_waiting()
            await self._store.run(_committing(change, is_wanted, key, now_seconds), is_durable=True)

    async def close(self) -> None:
        """Write what waits, as far as that is possible."""
        if self._may_open.is_set():
            with contextlib.suppress(StoreUnavailable):
                async with self._writing:
                    await self._write_waiting()

    async def _write_waiting(self) -> None:
        while self._waiting:
            one = self._waiting[0]
            try:
                saved = await self._store.run(_saving(one.change), is_durable=True)
            except StoreUnavailable:
                raise
            except Exception:  # Others behind it must not wait for ever.
                log.exception("release_change_lost", model=one.change.model)
                self.lost += 1
                one.written.cancel()
            else:
                if saved.generation != one.change.after.generation:
                    self.raised(one.change, saved)
                if not one.written.done():
                    one.written.set_result(None)
            if self._waiting and self._waiting[0] is one:
                self._waiting.popleft()

    # What the store holds.

    async def load(self) -> dict[str, ReleaseRoute]:
        """Return the release state of every model.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        return await self._store.run(_load)

    async def find(self, key: IdempotencyKey, now_seconds: float) -> Change | None:
        """Return the change that was made under a key, None if there was none.

        Raises:
            IdempotencyConflict: the key stood for something else.
            StoreUnavailable: it cannot be read now.

        """
        return await self._store.run(_finding(key, now_seconds))

    async def history(self, model: str, limit: int, before_seq: int | None) -> "list[Entry]":
        """Return the last changes of a model, newest first.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        return await self._store.run(_history(model, limit, before_seq))

    async def first(self, model: str) -> "Entry | None":
        """Return the oldest change of a model that is in the audit, None if there is none.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        return await self._store.run(_first(model))

    async def verify(self) -> "Problem | None":
        """Return the first fault of the audit, None if there is none.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        return await self._store.run(_verify)


# On the store's thread.


def _committing(
    change: Change,
    is_wanted: Callable[[], bool],
    key: IdempotencyKey | None,
    now_seconds: float,
) -> "Callable[[Connection], None]":
    def work(connection: "Connection") -> None:
        from server.store import idempotency, releases

        if not is_wanted():
            raise StaleGeneration(f"the release of model '{change.model}' was changed meanwhile")
        releases.save_change(connection, change)
        if key is not None:
            kept = idempotency.Kept(200, _to_bytes(change))
            idempotency.keep(connection, key, kept, now_seconds)

    return work


def _saving(change: Change) -> "Callable[[Connection], ReleaseRoute]":
    def work(connection: "Connection") -> ReleaseRoute:
        from server.store import releases

        return releases.save_change(connection, change)

    return work


def _load(connection: "Connection") -> dict[str, ReleaseRoute]:
    from server.store import releases

    return releases.load_routes(connection)


def _finding(key: IdempotencyKey, now_seconds: float) -> "Callable[[Connection], Change | None]":
    def work(connection: "Connection") -> Change | None:
        from server.store import idempotency

        kept = idempotency.find(connection, key, now_seconds)
        return _from_bytes(kept.body) if kept is not None else None

    return work


def _history(
    model: str, limit: int, before_seq: int | None
) -> "Callable[[Connection], list[Entry]]":
    def work(connection: "Connection") -> "list[Entry]":
        from server.store import audit

        return audit.history(connection, model, limit, before_seq)

    return work


def _first(model: str) -> "Callable[[Connection], Entry | None]":
    def work(connection: "Connection") -> "Entry | None":
        from server.store import audit

        return audit.first(connection, model)

    return work


def _verify(connection: "Connection") -> "Problem | None":
    from server.store import audit

    return audit.verify(connection)


def _to_bytes(change: Change) -> bytes:
    return orjson.dumps(
        {
            "action": change.action,
            "before": to_json(change.before),
            "after": to_json(change.after),
            "at_seconds": change.at_seconds,
            "actor": change.actor,
            "reason": change.reason,
            "request_id": change.request_id,
        }
    )


def _from_bytes(value: bytes) -> Change:
    found = orjson.loads(value)
    return Change(
        **{**found, "before": from_json(found["before"]), "after": from_json(found["after"])}
    )
