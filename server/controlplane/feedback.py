"""Feedback: predictions that are kept, the labels that come for them, and what these say.

Decides what waits for the store and for how long: predictions for two seconds or until a label
comes, calls until the transaction before theirs is done, labels that came before their prediction
for ten minutes. All of it is bounded. A caller is answered when its labels are in the store.

Labels of one call, and of calls that came while another was being written, go in one transaction:
a disk that takes its time makes transactions larger, and not the line longer.

Concurrency: event loop only; the store's thread works on values that do not change meanwhile.
Lifetime: `run` is one task for the life of control; `close` writes what is left.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import structlog

from server.controlplane import feedback_work
from server.controlplane.feedback_work import Answer, BlockCache, Order
from server.controlplane.known import KnownModel
from server.controlplane.prediction_intake import PredictionIntake
from server.monitoring.joining import Nearness, Pairs, Series, SeriesKey
from server.monitoring.label_items import Item, LabelRefused, Result, read_item
from server.monitoring.locating import EARLY_SECONDS, Version
from server.monitoring.realised_figures import PairedCounts
from server.operator_errors import FeedbackBusy, StoreUnavailable
from server.settings import Settings
from server.store.database import Store
from server.wire.desired import ModelPlan
from server.wire.record import BatchRecords

MAX_WAITING_ITEMS = 50_000
"""Items of calls that wait for the store; beyond it, calls are refused."""
MAX_ITEMS_AT_ONCE = 2_000
"""In one transaction: others wait for the store meanwhile, and some 100 µs a label add up."""
MAX_EARLY_ITEMS = 10_000
FLUSH_SECONDS = 2.0
FLUSH_ROWS = 32_768
"""Rows of one version that are written at once."""
TIDY_SECONDS = 30.0
DAY_SECONDS = 86_400

log = structlog.get_logger()


@dataclass(slots=True)
class _Call:
    """Items that wait, of one call or of a part of it, and who waits for their answers."""

    items: Sequence[Item]
    done: asyncio.Future[Sequence[Answer]]


@dataclass(slots=True)
class _Early:
    """A label that waits for its prediction."""

    item: Item
    since: float


@dataclass(slots=True)
class Totals:
    """What has happened since this process began, and what there is."""

    items: Counter[Result] = field(default_factory=lambda: Counter(dict.fromkeys(Result, 0)))
    """Labels by what became of them; one that was early is counted again when that is known."""
    dropped_rows: int = 0
    """Rows that went because they were too old, or too many were kept."""
    kept_rows: int = 0
    kept_bytes: int = 0


class Feedback:
    """All kept predictions and labels."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        models: Mapping[str, KnownModel],
        plans: Callable[[], Mapping[str, ModelPlan]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep answers of what `plans` load; `models` are what is known."""
        self.totals = Totals()
        self.series: dict[SeriesKey, Series] = {}
        """Counts of the last `feedback_days`, without segments."""
        self.pairs: Pairs = {}
        self.take_evidence: Callable[[Pairs, Nearness], None] = lambda *_: None
        """Is told who was right, or nearer, where a label scored a live version and its shadow."""
        self.keep_seconds = settings.feedback_days * DAY_SECONDS
        self._max_rows = settings.feedback_max_rows
        self._store = store
        self.predictions = PredictionIntake(models, plans)
        self._clock = clock
        self._cache = BlockCache()
        self._calls: deque[_Call] = deque()
        self._waiting_items = 0
        self._early: deque[_Early] = deque()
        self._woken = asyncio.Event()
        self._is_open = False
        self._tidied = 0.0

    def take(self, records: BatchRecords) -> None:
        """Keep what is to be kept of the rows of one message."""
        if self.predictions.take(records) >= FLUSH_ROWS:
            self._woken.set()

    def take_shadow(self, records: BatchRecords) -> None:
        """Keep how a candidate answered rows that were mirrored to it."""
        if self.predictions.take(records, is_shadow=True) >= FLUSH_ROWS:
            self._woken.set()

    @property
    def early_items(self) -> int:
        """Labels that wait for their predictions."""
        return len(self._early)

    @property
    def waiting_items(self) -> int:
        """Labels that wait for the store."""
        return self._waiting_items

    # Labels.

    async def submit(self, values: Sequence[object]) -> list[Answer]:
        """Take in the items of one call; return what became of each, when that is in the store.

        Raises:
            FeedbackBusy: too many items wait.
            StoreUnavailable: not all could be written now; what was is a duplicate when it is sent
                again.

        """
        answers: list[Answer | None] = []
        items: list[Item] = []
        for value in values:
            try:
                items.append(read_item(value))
                answers.append(None)
            except LabelRefused as refused:
                answers.append(Answer(Result.REJECTED, str(refused)))
        if self._waiting_items + len(items) > MAX_WAITING_ITEMS:
            raise FeedbackBusy(f"{self._waiting_items} labels wait for the store; try again soon")
        loop = asyncio.get_running_loop()
        calls = [
            _Call(items[first : first + MAX_ITEMS_AT_ONCE], loop.create_future())
            for first in range(0, len(items), MAX_ITEMS_AT_ONCE)
        ]
        self._calls += calls
        self._waiting_items += len(items)
        self._woken.set()
        found = chain.from_iterable(await asyncio.gather(*(call.done for call in calls)))
        all_answers = [answer or next(found) for answer in answers]
        self.totals.items.update(answer.result for answer in answers if answer is not None)
        return all_answers

    # Writing.

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.tick()
            except StoreUnavailable:  # The store has said so itself.
                await asyncio.sleep(0)
            except Exception:  # The next round tries again; nothing else depends on this task.
                log.exception("feedback_failed")

    async def close(self) -> None:
        """Write what is left."""
        with contextlib.suppress(StoreUnavailable):
            await self._write([])

    async def tick(self) -> None:
        """Write what waits, and tidy up if that is due.

        Raises:
            StoreUnavailable: it has been told to those who wait, and what can wait does.

        """
        calls: list[_Call] = []
        size = 0
        while self._calls and size < MAX_ITEMS_AT_ONCE:
            calls.append(self._calls.popleft())
            size += len(calls[-1].items)
        if self._calls:
            self._woken.set()
        self._waiting_items -= size
        try:
            await self._open()
            await self._write(calls)
        except BaseException as error:
            for call in calls:
                if not call.done.done():
                    call.done.set_exception(_told(error))
            raise
        now = self._clock()
        if not 0.0 <= now - self._tidied < TIDY_SECONDS:
            self._tidied = now
            await self._tidy(now)

    async def _open(self) -> None:
        """Take over what an earlier process left, once."""
        if not self._is_open:
            opened = await self._store.run(feedback_work.work_of_opening(self.since_hour()))
            self.series = dict(opened.series)
            self.pairs = dict(opened.pairs)
            self.totals.kept_rows, self.totals.kept_bytes = opened.kept.rows, opened.kept.size_bytes
            self._is_open = True

    def since_hour(self) -> int:
        """Return the hour since which predictions may be kept."""
        return int((self._clock() - self.keep_seconds) // feedback_work.HOUR_SECONDS)

    async def _write(self, calls: Sequence[_Call]) -> None:
        """Write what waits in one transaction, and answer those who wait for it."""
        pending = self.predictions.pending()
        blocks = [(one.of, block) for one in pending for block in one.blocks]
        early = list(self._early) if blocks else []
        items = [item for call in calls for item in call.items] + [one.item for one in early]
        if not blocks and not items:
            self._give_up_early()
            return
        now = self._clock()
        order = Order(
            blocks,
            items,
            self._classes(items),
            self.predictions.tolerances(),
            now,
            self.keep_seconds,
            self._max_rows,
        )
        work = feedback_work.work_of_joining(order, self._cache)
        joined = await self._store.run(work, is_durable=bool(items))
        self.predictions.saved(pending)
        self.totals.kept_rows += sum(block.row_count for _, block in blocks)
        self.series.update(joined.series)
        for pair, counts in joined.pairs.items():
            self.pairs[pair] = self.pairs.get(pair, PairedCounts()).plus(counts)
        self.take_evidence(joined.evidence, joined.nearness)
        self._settle_early(early, joined.answers[len(items) - len(early) :])
        self._answer(calls, joined.answers, now)

    def _classes(self, items: Sequence[Item]) -> dict[Version, int]:
        if not items:
            return {}
        words: dict[Version, set[str]] = {}
        for key, one in self.series.items():
            words.setdefault(key.of, set()).update(one.counts.labelled)
        return {of: len(some) for of, some in words.items()}

    def _answer(self, calls: Sequence[_Call], answers: Sequence[Answer], now: float) -> None:
        at = 0
        for call in calls:
            of_call = list(answers[at : at + len(call.items)])
            at += len(call.items)
            for place, answer in enumerate(of_call):
                if answer.result is Result.EARLY:
                    if len(self._early) < MAX_EARLY_ITEMS:
                        self._early.append(_Early(call.items[place], now))
                    else:
                        of_call[place] = Answer(Result.UNKNOWN)
            self.totals.items.update(answer.result for answer in of_call)
            if not call.done.done():
                call.done.set_result(of_call)

    def _settle_early(self, early: Sequence[_Early], answers: Sequence[Answer]) -> None:
        """Forget the labels whose predictions have come."""
        settled = {
            id(one)
            for one, answer in zip(early, answers, strict=True)
            if answer.result not in (Result.EARLY, Result.UNKNOWN)
        }
        self.totals.items.update(
            answer.result for one, answer in zip(early, answers, strict=True) if id(one) in settled
        )
        self._early = deque(one for one in self._early if id(one) not in settled)
        self._give_up_early()

    def _give_up_early(self) -> None:
        """Take what has waited for long for unknown."""
        now = self._clock()
        while self._early and not 0.0 <= now - self._early[0].since < EARLY_SECONDS:
            self._early.popleft()
            self.totals.items[Result.UNKNOWN] += 1

    async def _tidy(self, now: float) -> None:
        work = feedback_work.work_of_tidying(now, self.keep_seconds, self._max_rows)
        tidied = await self._store.run(work)
        self.totals.dropped_rows += tidied.dropped_rows
        self.totals.kept_rows, self.totals.kept_bytes = tidied.kept.rows, tidied.kept.size_bytes
        since = self.since_hour()
        self.series = {key: one for key, one in self.series.items() if key.hour >= since}
        self.predictions.forget_unloaded()


def _told(error: BaseException) -> Exception:
    """Return what those who wait are told: each an error of its own."""
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(str(error))
    return StoreUnavailable("the labels could not be written; the log says why")
