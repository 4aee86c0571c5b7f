"""A request counts once, by one of its rows, in the segments that the row is in."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.release.shadow_rules import Segment
from server.shadow.comparison import CODES, KINDS
from server.shadow.pairs import drawn_rows, kind_counts, segment_counts
from server.wire.record import NamedTensor

requests = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20)


@given(requests, st.integers(0, 1000))
def test_each_request_that_counts_has_one_of_its_own_rows(
    requests: list[tuple[int, bool]], seed: int
) -> None:
    """For all requests: one row within each that counts and has rows, and none of the others."""
    rows = np.array([number for number, _ in requests], np.int32)
    counts = np.array([does for _, does in requests], bool)
    drawn = drawn_rows(rows, counts, np.random.default_rng(seed)).tolist()

    first = 0
    for number, does in requests:
        if does and number:
            assert drawn.pop(0) in range(first, first + number)
        first += number
    assert not drawn


def test_every_row_of_a_request_may_be_drawn() -> None:
    """All rows have the same chance, about."""
    generator = np.random.default_rng(1)
    rows, counts = np.array([4], np.int32), np.array([True])
    drawn = Counter(int(drawn_rows(rows, counts, generator)[0]) for _ in range(2000))

    assert set(drawn) == {0, 1, 2, 3}
    assert min(drawn.values()) > 400


def test_segments_count_declared_values_and_all_others() -> None:
    """By text and by number; what is not declared is counted as other."""
    words = NamedTensor("country", "BYTES", np.array([["de"], ["fr"], ["it"]], object))
    numbers = NamedTensor("x", "FP32", np.array([[0, 1], [0, 2], [0, 1]], np.float32))
    segments = (Segment("country", "country", 0, ("de", "fr")), Segment("plan", "x", 1, (1, 5)))
    rows = np.array([2, 0, 1])
    kinds = np.array([0, CODES[KINDS[5]], 0], np.int8)

    assert segment_counts(segments, [words, numbers], rows, kinds) == {
        "country=other": Counter(same=1),
        "country=de": Counter(label_flip=1),
        "country=fr": Counter(same=1),
        "plan=1": Counter(same=1, label_flip=1),
        "plan=other": Counter(same=1),
    }


@given(st.lists(st.sampled_from(KINDS)))
def test_kinds_are_counted_by_name(kinds: list[str]) -> None:
    """Only kinds that occur are in the counts."""
    codes = np.array([KINDS.index(kind) for kind in kinds], np.int8)

    assert kind_counts(codes) == Counter(map(str, kinds))
