"""Frames: however a stream is cut, the same messages come out."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.frames import MAX_PAYLOAD_BYTES, FrameReader, Kind, frame

messages = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=40)), max_size=8)


def read(reader: FrameReader, chunk: bytes) -> list[tuple[Kind, bytes]]:
    return [(kind, bytes(payload)) for kind, payload in reader.feed(chunk)]


@given(messages, st.lists(st.integers(0, 400)))
def test_any_chunking_gives_the_same_frames(
    sent: list[tuple[Kind, bytes]], cuts: list[int]
) -> None:
    """Whatever pieces the network makes of the stream, every frame comes out once and in order."""
    stream = b"".join(frame(kind, payload) for kind, payload in sent)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader()
    received = []
    for start, end in pairwise(places):
        received += read(reader, stream[start:end])

    assert received == sent


def test_a_frame_comes_with_its_last_byte_and_not_before() -> None:
    """Byte by byte: nothing until the message is whole, and then at once."""
    stream = frame(Kind.STATUS, b"abc") + frame(Kind.HELLO)
    reader = FrameReader()
    came = [read(reader, stream[place : place + 1]) for place in range(len(stream))]

    assert came == [
        *[[]] * 7,
        [(Kind.STATUS, b"abc")],
        *[[]] * 4,
        [(Kind.HELLO, b"")],
    ]


def test_the_parts_of_a_frame_are_joined() -> None:
    """A sender need not copy a message together; the length covers all of its parts."""
    assert frame(Kind.RECORDS, b"ab", b"", b"c") == frame(Kind.RECORDS, b"abc")
    assert frame(Kind.RECORDS, b"abc") == b"\x03\0\0\0\x04abc"


def test_a_payload_stays_as_it_is_when_more_is_fed() -> None:
    """A payload is bytes of its own: arrays made of it are safe from what comes later."""
    reader = FrameReader()
    [(_, payload)] = reader.feed(frame(Kind.RECORDS, b"first"))
    reader.feed(frame(Kind.RECORDS, b"other") * 3)

    assert bytes(payload) == b"first"
    assert payload.readonly


@pytest.mark.parametrize("kind", [0, len(Kind) + 1, 255])
def test_an_unknown_kind_ends_the_stream(kind: int) -> None:
    """A stream that is not made of our frames is an error, not a guess."""
    with pytest.raises(ValueError, match=f"{kind} is not a valid Kind"):
        FrameReader().feed(struct.pack("<IB", 0, kind))


def test_a_length_above_the_limit_is_refused_before_its_bytes_come() -> None:
    """Nobody can have us gather memory without end: the head alone is enough to refuse."""
    reader = FrameReader()

    assert reader.feed(struct.pack("<IB", MAX_PAYLOAD_BYTES, Kind.RECORDS)) == []
    with pytest.raises(ValueError, match=f"a frame of {MAX_PAYLOAD_BYTES + 1} bytes"):
        FrameReader().feed(struct.pack("<IB", MAX_PAYLOAD_BYTES + 1, Kind.RECORDS))
