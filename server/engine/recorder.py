"""What a worker was running when it died: written beside each run into memory that outlives it.

The supervisor gives each worker a piece of memory, and reads it when the worker has died. Before a
run, the worker writes there which version runs, on which thread and with which rows; after the run
it takes that back with one write. Decides the form of that memory, and how a request is known by
the hash of its rows. Does not know why a worker died, or what follows from it.

Concurrency: a slot belongs to one run. Slots are handed out by `list.pop` and `list.append`, which
the interpreter does at once, so any thread may begin and end runs.
Lifetime: that of the worker; the memory is the supervisor's.
"""

import hashlib
import mmap
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

import orjson

if TYPE_CHECKING:  # The supervisor reads what was written, and needs no NumPy for that.
    from server.tensors import Array, Data

SLOTS = 16
"""Runs that are written down at once; the rest of them are not."""
SLOT_BYTES = 1 << 20
"""An image of 224 by 224 fits in. Memory that was never written to costs nothing."""
MEMORY_BYTES = SLOTS * SLOT_BYTES

_HEAD = struct.Struct("<IIIIIQ")
"""State, length of the label, members, rows, inputs whose rows follow, thread."""
_SIZES_AT = _HEAD.size
_LABEL_AT = 1024
_ROWS_AT = 2048
"""Before it there is room for a label: names have 128 characters at most."""
_MAX_INPUTS = (_LABEL_AT - _SIZES_AT) // 8
_MAX_MEMBERS = 1 << 16
_HASH_BYTES = 16


class Doing(IntEnum):
    """What a version is doing; 0 is nothing."""

    LOAD = 1
    RUN = 2


class Member(Protocol):
    """A request of a batch."""

    @property
    def rows(self) -> int:
        """How many rows it brings."""


@dataclass(frozen=True, slots=True)
class Flight:
    """What was going on in one slot."""

    model: str
    version: str
    digest: str
    doing: Doing
    members: int
    thread: int
    """As `threading.get_ident` gives it."""
    hashes: tuple[str, ...]
    """Of each member in order; empty if their rows were too many, or are text."""


class Recorder:
    """The slots of one worker."""

    def __init__(self, descriptor: int = -1) -> None:
        """`descriptor` is of a file of `MEMORY_BYTES`; without one, nobody will read it."""
        self.memory = mmap.mmap(descriptor, MEMORY_BYTES)
        self.free = [slot * SLOT_BYTES for slot in reversed(range(SLOTS))]

    def of_version(self, model: str, version: str, digest: str, inputs: int) -> "Recording":
        """Return what writes down the runs of one version; `inputs` is 0 if some are text."""
        return Recording(self, orjson.dumps([model, version, digest]), inputs)


class Recording:
    """Writes down what one version does: `begin` before, `end` after."""

    __slots__ = ("_free", "_inputs", "_label", "_memory", "_pack_head")

    def __init__(self, recorder: Recorder, label: bytes, inputs: int) -> None:
        assert _LABEL_AT + len(label) <= _ROWS_AT, "names are checked before they come here"
        self._memory = recorder.memory
        self._free = recorder.free
        self._label = label
        self._inputs = inputs if inputs <= _MAX_INPUTS else 0
        self._pack_head = struct.Struct(f"{_HEAD.format}{self._inputs}Q").pack_into

    def begin_load(self) -> int:
        """Write down that the version is being opened; return what `end` takes."""
        return self.begin((), 0, (), Doing.LOAD)

    def begin(
        self,
        batch: Sequence[Member],
        rows: int,
        inputs: "Sequence[Array]",
        doing: Doing = Doing.RUN,
    ) -> int:
        """Write down a run on the joined rows of a batch; return what `end` takes.

        `inputs` are [rows, ...] each, with the members' rows behind each other, in one piece. With
        `end`, it takes 2.3 to 2.8 microseconds for up to 64 rows of 30 numbers, as measured.
        """
        try:
            slot = self._free.pop()
        except IndexError:
            return -1
        memory, label, members = self._memory, self._label, len(batch)
        sizes: list[int] = []
        at = slot + _ROWS_AT
        if 1 < members != rows:
            counts = struct.pack(f"<{members}I", *[member.rows for member in batch])
            memory[at : at + len(counts)] = counts
            at += len(counts)
        kept = self._inputs
        for array in inputs if kept else ():  # Text has no bytes in one piece.
            size = array.nbytes
            if at + size > slot + SLOT_BYTES:
                sizes.clear()
                break
            memory[at : at + size] = array  # type: ignore[call-overload]
            sizes.append(size)
            at += size
        if len(sizes) < self._inputs:
            kept, sizes = 0, [0] * self._inputs
        memory[slot + _LABEL_AT : slot + _LABEL_AT + len(label)] = label
        # Written last: from here on, the slot says that something goes on.
        self._pack_head(memory, slot, doing, len(label), members, rows, kept, get_ident(), *sizes)
        return slot

    def end(self, slot: int) -> None:
        """Take back what `begin` has written."""
        if slot >= 0:
            self._memory[slot] = 0
            self._free.append(slot)


def flights(read: Callable[[int, int], bytes]) -> Iterator[Flight]:
    """Yield what was going on in each slot.

    `read` gives bytes of the memory: from where, and how many. What does not make sense is left
    out: whoever died may have written over it.
    """
    for slot in range(0, MEMORY_BYTES, SLOT_BYTES):
        try:
            state, size, members, rows, kept, thread = _HEAD.unpack(read(slot, _HEAD.size))
            if state not in iter(Doing) or members > _MAX_MEMBERS:
                continue
            label = orjson.loads(read(slot + _LABEL_AT, min(size, _ROWS_AT - _LABEL_AT)))
            model, version, digest = map(str, label)
            sizes = struct.unpack(f"<{kept}Q", read(slot + _SIZES_AT, 8 * min(kept, _MAX_INPUTS)))
            body = memoryview(read(slot + _ROWS_AT, SLOT_BYTES - _ROWS_AT) if kept else b"")
            hashes = tuple(_hashes(body, members, rows, sizes))
        except (ValueError, TypeError, struct.error):
            continue
        yield Flight(model, version, digest, Doing(state), members, thread, hashes)


def _hashes(body: memoryview, members: int, rows: int, sizes: Sequence[int]) -> Iterator[str]:
    """Yield the hash of each member of a batch, from its joined inputs of so many bytes each."""
    if not sizes:
        return
    at = 0
    counts: Sequence[int] = [rows] if members == 1 else [1] * members
    if 1 < members != rows:
        counts = struct.unpack_from(f"<{members}I", body)
        at = 4 * members
    joined = []
    for size in sizes:
        joined.append(body[at : at + size])
        at += size
    first = 0
    for count in counts:
        yield hash_of([_rows_of(data, rows, first, count) for data in joined]) or ""
        first += count


def _rows_of(data: memoryview, rows: int, first: int, count: int) -> memoryview:
    stride = len(data) // max(rows, 1)
    return data[first * stride : (first + count) * stride]


def hash_of(tensors: "Sequence[Data]") -> str | None:
    """Return by what a request is known: the hash of its elements, input by input.

    None if some of them are text, which is not written down.
    """
    found = hashlib.blake2b(digest_size=_HASH_BYTES)
    for data in tensors:
        if isinstance(data, list):
            return None
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()
