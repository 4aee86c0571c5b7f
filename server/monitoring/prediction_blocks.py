"""Predictions that are kept until their labels come: blocks of columns, one row after another.

Decides the form of a block, how blocks become one, and how rows are found in them by prediction
id. A prediction id of ours is the number and the tag of a request (`wire/record.py`); one that a
caller chose is known by a hash. A row costs some 20 bytes: a column of one value is kept as that
value, and most requests have one row.

Layout: uint32 length of the JSON head; the head; then each column's bytes, in the head's order,
each from a multiple of 8 on. Whoever keeps the bytes keeps a checksum of them.

Does not know where blocks are kept, nor what labels are.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from server.monitoring.kept_answers import NO_CODE, AnswerPlan, Names
from server.tensors import Array

_LENGTH = struct.Struct("<I")

_OURS = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{8})")

MAX_ID_CHARACTERS = 128

_ALIGNMENT = 8
"""Of columns in bytes: NumPy copies a whole column to look at it if it does not lie like that."""

_LOOKED_UP_BYTES = 24
"""Order, sorted values and ends, for each request."""

NO_HASH = 0


class Role(IntEnum):
    """Why a version answered a request."""

    LIVE = 0
    CANARY = 1
    SHADOW = 2
    """Its answer went nowhere."""
    PINNED = 3
    """The request named it, and it was not the live one."""

    @property
    def word(self) -> str:
        """What it is called in reports and metrics."""
        return self.name.lower()


REQUEST_COLUMNS: Mapping[str, str] = {
    "at_us": "<i8",  # Number of the prediction id: microseconds since 1970.
    "tag": "<u4",  # The worker's, which ends the id.
    "own_id": "<u8",  # Hash of the id that the caller chose, else NO_HASH.
    "first_row": "<i4",  # Not 0 for later parts of a request with more rows than a batch.
    "rows": "<i4",
    "role": "u1",
}


@dataclass(frozen=True, slots=True)
class PredictionId:
    """How a caller names a request: by our id, or by one of its own."""

    at_us: int = 0
    tag: int = 0
    own_id: int = NO_HASH

    @property
    def is_own(self) -> bool:
        """Whether its caller chose it, so that it tells no time."""
        return self.own_id != NO_HASH


def read_id(text: str) -> PredictionId:
    """Read a prediction id; whatever is not of our form is a caller's own."""
    found = _OURS.fullmatch(text)
    if found is None or int(found[1], 16) >= 1 << 63:
        return PredictionId(own_id=own_hash(text))
    return PredictionId(int(found[1], 16), int(found[2], 16))


def own_hash(text: str) -> int:
    """Return what a caller's own id is known by; never NO_HASH."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


@dataclass(slots=True, eq=False)
class PredictionBlock:
    """Some requests of one version, and what was kept of their rows. Not changed once made."""

    plan: AnswerPlan
    names: Names
    segments: tuple[str, ...]
    """Features whose values the rows have."""
    requests: Mapping[str, NDArray[Any]]
    """Columns of shape (requests,): those of REQUEST_COLUMNS."""
    answers: Mapping[str, NDArray[Any]]
    """Columns of shape (rows, …): see `AnswerReader.take`."""
    segment_words: tuple[str, ...] = ()
    segment_codes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """Positions among `segment_words`, shape (rows, segments)."""
    _orders: dict[str, tuple[NDArray[np.intp], NDArray[Any]]] = field(default_factory=dict)
    """Requests by id; made when one is first looked for."""
    _ends: NDArray[np.int64] | None = None
    """Rows up to each request, and its own."""

    @property
    def row_count(self) -> int:
        """Rows of all requests."""
        return int(self.requests["rows"].sum())

    @property
    def kind(self) -> int:
        """Stands for how labels are held to its rows: blocks of one kind may become one.

        What a class is called is learned as answers come. A row must go on being judged as it was
        when its label was counted, or the label could not be taken back.
        """
        described = [self.plan.to_json(), sorted(self.names.of_places.items()), self.segments]
        return crc32(orjson.dumps(described))

    @property
    def span_us(self) -> tuple[int, int]:
        """The first and the last moment of its requests."""
        times = self.requests["at_us"]
        return int(times.min()), int(times.max())

    @property
    def held_bytes(self) -> int:
        """How much memory it takes, with what is made to look requests up."""
        columns = sum(one.nbytes for one in (*self.requests.values(), *self.answers.values()))
        return columns + self.segment_codes.nbytes + _LOOKED_UP_BYTES * len(self.requests["rows"])

    def matching(self, wanted: Sequence[PredictionId]) -> NDArray[np.bool_]:
        """Say which ids may be in it: all that are, and few others."""
        own = np.array([one.own_id for one in wanted], np.uint64)
        times = np.array([one.at_us for one in wanted], np.int64)
        is_own = own != NO_HASH
        return np.where(is_own, self._has("own_id", own), self._has("at_us", times))

    def _has(self, column: str, values: NDArray[Any]) -> NDArray[np.bool_]:
        _, there = self._sorted(column)
        at = np.minimum(np.searchsorted(there, values), len(there) - 1)
        return np.asarray(there[at] == values)

    def find(self, wanted: PredictionId) -> list[int]:
        """Return the positions of the requests that go by an id: one, or the parts of one.

        Of a caller's own id that was used again, these are all of its requests.
        """
        column, value = ("own_id", wanted.own_id) if wanted.is_own else ("at_us", wanted.at_us)
        order, values = self._sorted(column)
        at = int(values.searchsorted(values.dtype.type(value)))
        found = []
        while at < len(values) and int(values[at]) == value:
            request = int(order[at])
            if wanted.is_own or int(self.requests["tag"][request]) == wanted.tag:
                found.append(request)
            at += 1
        return found

    def place(self, request: int, row: int) -> int | None:
        """Return the position of a row of what a caller sent; None if the request has no such."""
        first, rows = (int(self.requests[name][request]) for name in ("first_row", "rows"))
        if not first <= row < first + rows:
            return None
        if self._ends is None:
            self._ends = np.cumsum(self.requests["rows"], dtype=np.int64)
        return int(self._ends[request]) - rows + row - first

    def _sorted(self, column: str) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Return the order of requests by a column, and its values in that order."""
        if column not in self._orders:
            order = np.argsort(self.requests[column], kind="stable")
            self._orders[column] = order, self.requests[column][order]
        return self._orders[column]

    def segment_values(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield feature and value of each segment that a row is in."""
        if len(self.segment_codes):
            for feature, code in zip(self.segments, self.segment_codes[row], strict=True):
                yield feature, self.segment_words[code]

    def cells(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield how many rows there are of each hour, role and segment; "" is all segments.

        The hour is the number of hours since 1970.
        """
        hours, roles = self.requests["at_us"] // HOUR_US, self.requests["role"]
        groups, places = np.unique(hours * len(Role) + roles, return_inverse=True)
        of_rows = np.repeat(places, self.requests["rows"])
        for group, packed in enumerate(groups.tolist()):
            hour, role = divmod(packed, len(Role))
            chosen = of_rows == group
            yield hour, role, "", int(chosen.sum())
            for at, feature in enumerate(self.segments if len(self.segment_codes) else ()):
                counts = np.bincount(self.segment_codes[chosen, at])
                for code in np.flatnonzero(counts).tolist():
                    yield hour, role, f"{feature}={self.segment_words[code]}", int(counts[code])


HOUR_US = 3_600_000_000


def joined(blocks: Sequence[PredictionBlock]) -> PredictionBlock:
    """Return one block of the requests of all, in order, which are of one kind.

    Their words may differ: later blocks have words that earlier ones had not seen.
    """
    first = blocks[0]
    words = _union(block.names.words for block in blocks)
    segment_words = _union(block.segment_words for block in blocks)
    answers = {
        name: np.concatenate([block.answers[name] for block in blocks]) for name in first.answers
    }
    if "answer" in answers:
        answers["answer"] = np.concatenate(
            [_recoded(block.answers["answer"], block.names.words, words) for block in blocks]
        )
    return PredictionBlock(
        first.plan,
        Names(list(words), first.names.of_places),
        first.segments,
        {
            name: np.concatenate([block.requests[name] for block in blocks])
            for name in REQUEST_COLUMNS
        },
        answers,
        tuple(segment_words),
        np.concatenate(
            [_recoded(block.segment_codes, block.segment_words, segment_words) for block in blocks]
        ),
    )


def _union(lists: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return all words, each with its code."""
    codes: dict[str, int] = {}
    for words in lists:
        for word in words:
            codes.setdefault(word, len(codes))
    return codes


def _recoded(codes: Array, words: Sequence[str], new: Mapping[str, int]) -> Array:
    """Return codes of `words` as those of `new`; what has no word keeps none."""
    if not len(codes) or not len(words):
        return codes
    table = np.full(int(np.iinfo(codes.dtype).max) + 1, np.iinfo(codes.dtype).max, codes.dtype)
    table[: len(words)] = [new[word] for word in words]
    recoded: Array = table[codes]
    return recoded


def encode(block: PredictionBlock) -> bytes:
    """Write a block."""
    columns: list[bytes] = []
    described = []
    for group, arrays in (
        ("requests", block.requests),
        ("answers", block.answers),
        ("segments", {"codes": block.segment_codes}),
    ):
        for name, array in arrays.items():
            is_constant = len(array) > 1 and bool((array == array[0]).all())
            kept = np.ascontiguousarray(array[:1] if is_constant else array)
            columns.append(_padded(kept.tobytes()))
            described.append([group, name, array.dtype.str, array.shape, is_constant])
    head = orjson.dumps(
        {
            "plan": block.plan.to_json(),
            "words": block.names.words,
            "places": sorted(block.names.of_places.items()),
            "segments": block.segments,
            "segment_words": block.segment_words,
            "columns": described,
        }
    )
    return b"".join((_padded(_LENGTH.pack(len(head)) + head), *columns))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)


def decode(content: bytes) -> PredictionBlock:
    """Read what `encode` wrote. Arrays are views of `content` where they can be.

    Raises:
        KeyError, TypeError, ValueError, struct.error: it is not that.

    """
    (length,) = _LENGTH.unpack_from(content)
    head = orjson.loads(content[_LENGTH.size : _LENGTH.size + length])
    at = _LENGTH.size + length
    at += -at % _ALIGNMENT
    groups: dict[str, dict[str, Array]] = {"requests": {}, "answers": {}, "segments": {}}
    for group, name, dtype, shape, is_constant in head["columns"]:
        there = [1, *shape[1:]] if is_constant else shape
        size = int(np.prod(there, dtype=np.int64))
        array = np.frombuffer(content, np.dtype(dtype), size, at).reshape(there)
        at += array.nbytes + -array.nbytes % _ALIGNMENT
        groups[group][name] = np.broadcast_to(array, shape) if is_constant else array
    return PredictionBlock(
        AnswerPlan.from_json(head["plan"]),
        Names(head["words"], {int(place): word for place, word in head["places"]}),
        tuple(head["segments"]),
        groups["requests"],
        groups["answers"],
        tuple(head["segment_words"]),
        groups["segments"]["codes"],
    )


def answered_word(block: PredictionBlock, row: int) -> str | None:
    """Return the class that was answered to a row; None if there was none."""
    code = int(block.answers["answer"][row])
    return None if code == NO_CODE else block.names.words[code]
