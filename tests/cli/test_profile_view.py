"""Profiles in a terminal: bars as long as what they stand for, and odd columns marked."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from server.cli.profile_view import (
    column_view,
    heading,
    notes,
    remarks,
    shape,
    sparkline,
    summary_table,
)
from server.monitoring.columns import Kind
from server.monitoring.profile import Source
from tests.support import profiles
from tests.support.reference_rows import built, layout_for, text

RANDOM = np.random.default_rng(2)


def printed(*lines: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(*lines, sep="\n")
    return capture.get()


def test_a_profile_of_every_sort_of_column_is_drawn() -> None:
    """As a whole, and each column alone."""
    profile = profiles.profile()
    table = printed(summary_table(profile)).splitlines()

    assert [line.split()[0] for line in table[1:]] == [one.column.name for one in profile.columns]
    assert heading(profile) == f"risk 3, from 400 rows of train.csv, {profile.hash[:12]}"
    for one in profile.columns:
        lines = printed(*column_view(profile, one.column.name)).splitlines()
        assert lines[0].startswith(f"{one.column.name}: {one.column.kind.value}, ")
        assert lines[1].startswith("400 rows")


def test_a_self_reference_is_marked() -> None:
    """Nobody knows that all was well with it."""
    profile = profiles.profile(is_self_reference=True, created_from=Source("live rows", 5000, ""))

    assert "5,000 rows of live rows (self-reference" in heading(profile)


def test_names_are_not_taken_for_markup() -> None:
    """A feature may be called [red]."""
    inputs = {"[red]x[/]": RANDOM.standard_normal(100), "[b]": text(["[i]a"] * 100)}
    outputs = {"y": np.zeros(100, np.float32)}
    profile, _ = built(layout_for(inputs, outputs), inputs, outputs)

    shown = printed(summary_table(profile))
    assert "[red]x[/]" in shown
    assert "[i]a 100 %" in shown
    assert "[red]x[/]: number" in printed(*column_view(profile, "[red]x[/]"))


def test_a_column_is_drawn_bin_by_bin() -> None:
    """Each with its rows; the longest bar is that of the largest."""
    inputs = {"x": np.array([0.0] * 30 + [1.0] * 60 + [2.0] * 10 + [np.nan] * 5 + [np.inf] * 2)}
    outputs = {"y": np.zeros(107, np.float32)}
    profile, _ = built(layout_for(inputs, outputs), inputs, outputs)
    lines = printed(*column_view(profile, "x")).splitlines()

    assert lines[1] == "107 rows, 2 infinite"
    rows = [line.split() for line in lines[4:]]
    assert [" ".join(row[:3]) for row in rows[:3]] == ["0 … 0.5", "0.5 … 1.5", "1.5 … 2"]
    assert [row[3] for row in rows[:3]] == ["30", "60", "10"]
    bars = [row[-1].count("█") for row in rows]
    assert bars[:3] == [20, 40, 7]
    assert [row[0] for row in rows[3:]] == ["-inf", "inf", "(missing)"]
    assert [row[1] for row in rows[3:]] == ["0", "2", "5"]


def test_a_score_is_drawn_with_how_often_it_came_true() -> None:
    """Where labels were given."""
    lines = printed(*column_view(profiles.profile(), "p.score")).splitlines()

    assert lines[3].split()[-2:] == ["CAME", "TRUE"]
    assert lines[4].split()[:3] == ["0", "…", "0.02"]
    assert lines[4 + 48].split()[-2:] == ["50", "%"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([0.0, 0.0], ""), ([1.0], "█"), ([0.0, 5.0, 10.0], "▁▅█"), ([1.0] * 3, "███")],
)
def test_a_sparkline_has_a_character_for_each_value(values: list[float], expected: str) -> None:
    """As high as its share of the largest."""
    assert sparkline(values) == expected


def shape_of(values: object, **kinds: Kind) -> list[float]:
    inputs, outputs = {"x": np.asarray(values)}, {"y": np.zeros(len(np.asarray(values)), "f")}
    profile, _ = built(layout_for(inputs, outputs, **kinds), inputs, outputs)
    return shape(profile.column("x"))


def test_a_shape_is_a_density_not_the_bins() -> None:
    """Bins of equal mass would be bars of equal height, whatever the data."""
    normal = shape_of(RANDOM.standard_normal(20_000))
    even = shape_of(RANDOM.uniform(0, 1, 20_000))

    assert 6 <= int(np.argmax(normal)) <= 9
    assert normal[0] < max(normal) / 2
    assert min(even) > max(even) / 2


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0),
        np.zeros(5),
        np.full(5, np.nan),
        np.array([np.inf] * 5),
        np.array([1e308, -1e308]),
    ],
    ids=["none", "constant", "missing", "infinite", "huge"],
)
def test_a_column_without_a_shape_is_drawn_all_the_same(values: object) -> None:
    """Nothing, or a bar."""
    assert len(sparkline(shape_of(values))) <= 2


def test_many_categories_are_cut() -> None:
    """The most frequent ones are shown, the others counted."""
    words = [f"c{place % 40}" for place in range(4000)]
    inputs, outputs = {"x": text(words)}, {"y": np.zeros(4000, np.float32)}
    profile, _ = built(layout_for(inputs, outputs), inputs, outputs)
    line = printed(summary_table(profile)).splitlines()[1]

    assert "37 more" in line
    assert len(shape(profile.column("x"))) == 16


def test_what_is_odd_is_marked() -> None:
    """In a few words each."""
    ids = [f"id{place}" for place in range(3000)]
    inputs = {
        "constant": np.ones(3000),
        "ids": text(ids),
        "word": text(["a"] * 3000),
        "none": text([None] * 3000),
        "alike": np.repeat(np.arange(30.0), 100),
    }
    outputs = {"y": np.zeros(3000, np.float32)}
    profile, differences = built(layout_for(inputs, outputs), inputs, outputs)
    found = {one.column.name: ", ".join(remarks(one)) for one in profile.columns}

    assert found["constant"] == "constant"
    assert found["ids"] == "too many to know new ones"
    assert found["word"] == "constant"
    assert found["none"] == "all missing"
    assert found["alike"].startswith("neighbours alike (")
    told = notes(profile, differences)
    assert "'alike'" in told[0]
    assert len(told) == 2
    assert notes(replace(profile, columns=profile.columns[:1]), []) == []


def test_a_probability_beyond_its_range_is_marked() -> None:
    """A model that answers 1.2 is not well."""
    inputs = {"x": np.zeros(100)}
    outputs = {"y": np.linspace(0, 1.2, 100).astype(np.float32)}
    layout = layout_for(inputs, outputs, y=Kind.PROBABILITY)
    profile, _ = built(layout, inputs, outputs)

    assert "17 out of range" in remarks(profile.column("y"))
