"""Frames on the streams between control and workers or shadow: a length, a kind, a payload.

Decides where one message ends and the next begins, and the largest a message may be. Does not
know what messages mean.
"""

import struct
from enum import IntEnum

_HEAD = struct.Struct("<IB")
MAX_PAYLOAD_BYTES = 256 << 20


class Kind(IntEnum):
    """What a payload is."""

    HELLO = 1
    """Worker to control, once per connection: who it is (JSON)."""
    STATUS = 2
    """Worker to control: what it has loaded and how it is (JSON)."""
    TALLY = 3
    """Worker to control: counts to add (`tally.py`)."""
    RECORDS = 4
    """Worker to control: batch records (`record.py`)."""
    DESIRED = 5
    """Control to worker: what to serve (`desired.py`)."""
    ASK = 6
    """Worker to control: a question that a caller of the data port asked (JSON)."""
    ANSWER = 7
    """Control to worker: the answer to an ASK (JSON)."""
    SHADOW_PLAN = 8
    """Control to shadow: which candidates to compare with what (`shadow.py`)."""
    MIRROR = 9
    """Control to shadow: batch records, and the candidates to run on them (`shadow.py`)."""
    SHADOW_RUN = 10
    """Shadow to control: the candidate that it is about to run, or that it runs none (JSON)."""
    SHADOW_EVIDENCE = 11
    """Shadow to control: counts to add, and samples of mismatches (`shadow.py`)."""
    SHADOW_STATUS = 12
    """Shadow to control: how it is (JSON)."""
    SHADOW_ANSWERS = 13
    """Shadow to control: batch records as a candidate answered them (`record.py`)."""
    FAULT = 14
    """Worker to control: a version hung (`fault.py`)."""
    SUSPECTS = 15
    """Control to worker: which requests may kill their worker (`suspects.py`)."""


def frame(kind: Kind, *parts: bytes | memoryview) -> bytes:
    """Return one frame of the joined parts."""
    return b"".join((_HEAD.pack(sum(map(len, parts)), kind), *parts))


class FrameReader:
    """Cut a stream of bytes into frames.

    Invariant: however the stream is cut into chunks, the same frames come out.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[Kind, memoryview]]:
        """Return each frame that `chunk` completes; a payload is a view that stays as it is.

        Raises:
            ValueError: the stream is not made of frames.

        """
        self._buffer += chunk
        buffer = self._buffer
        found: list[tuple[Kind, int, int]] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer, at)
            if length > MAX_PAYLOAD_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            start = at + _HEAD.size
            if start + length > len(buffer):
                break
            at = start + length
            found.append((Kind(kind), start, at))
        if not found:
            return []
        # The buffer is given away whole with the views into it, and a new one begins with the rest.
        self._buffer = buffer[at:]
        view = memoryview(buffer).toreadonly()
        return [(kind, view[start:end]) for kind, start, end in found]
