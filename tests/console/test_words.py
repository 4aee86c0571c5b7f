"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.console import words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, words.NOT_KNOWN),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (12.345, "12.3"),
        (31_204.4, "31,204"),
    ],
)
def test_a_figure_has_three_digits_or_whole_thousands(value: float | None, expected: str) -> None:
    """What is not known is a dash, never a zero."""
    assert words.figure(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0 %"), (1e-6, "< 0.001 %"), (0.0005, "0.050 %"), (0.005, "0.50 %"), (0.5, "50.0 %")],
)
def test_a_share_keeps_a_digit_that_says_something(value: float, expected: str) -> None:
    """One failed request of a million is not shown as none."""
    assert words.share(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.00012, "120 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (200.0, "3 min"), (7_300.0, "2 h")],
)
def test_a_duration_has_the_unit_that_fits(value: float, expected: str) -> None:
    """Microseconds of a small model, and hours of an outage."""
    assert words.duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(512, "512 B"), (2048, "2 KiB"), (3 << 20, "3 MiB"), (5 << 30, "5 GiB")]
)
def test_a_size_has_the_unit_that_fits(value: int, expected: str) -> None:
    """Bytes are told in powers of 1024."""
    assert words.size(value) == expected


@given(st.one_of(st.none(), st.floats(0.0, 1e12)))
def test_everything_can_be_written(value: float | None) -> None:
    """No number makes a page fail, and only what is not known is a dash."""
    written = [
        words.figure(value),
        words.share(value),
        words.duration(value),
        words.age(value),
        words.probability(value),
    ]

    assert all((one == words.NOT_KNOWN) == (value is None) for one in written)


def test_nouns_follow_their_number() -> None:
    """One row, two rows, three batches."""
    assert [words.several(1, "row"), words.several(2, "row")] == ["1 row", "2 rows"]
    assert words.several(3, "batch", "batches") == "3 batches"


def test_counts_weights_and_tiny_probabilities() -> None:
    """Groups of three digits; basis points as percent; what is nearly impossible is said so."""
    assert (words.count(1_234_567), words.count(None)) == ("1,234,567", words.NOT_KNOWN)
    assert (words.weight(50), words.weight(10_000)) == ("0.5 %", "100 %")
    assert words.probability(2e-300) == "< 1e-12"
    assert (words.size(None), words.age(90_000.0 * 2)) == (words.NOT_KNOWN, "2 d")
