"""The drift report as a table: words, sparklines, and what is not told."""

import re
from typing import Any

import pytest
from rich.console import Console

from server.cli.drift_table import drift_view, joined, sparkline
from tests.support.drift_answers import report


def _shown(*reports: dict[str, Any], width: int = 220) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(drift_view(reports, None, width))
    return capture.get()


def test_shares_become_blocks() -> None:
    """Nothing is the lowest block, the highest share the highest, whatever the others are."""
    assert sparkline([0.0, 0.25, 0.5, 1.0], 1.0) == "▁▃▅█"
    assert sparkline([0.1, 0.2], 0.4) == "▃▅"
    assert sparkline([0.0, 0.0], 0.0) == "  "
    assert sparkline([], 0.0) == ""


def test_many_bins_are_joined() -> None:
    """Fifty bins of a probability fit into twelve characters, and none is lost."""
    assert joined([0.02] * 52) == pytest.approx([0.1] * 10 + [0.04])
    assert joined([0.5, 0.5]) == [0.5, 0.5]
    assert joined([]) == []


def test_clean_features_have_no_words() -> None:
    """A report of rows like the reference's has no alert and says of no feature what moved."""
    text = _shown(report((0.0, 0.0, 0.0, 0.0)))

    assert "firing" not in text
    assert "location" not in text
    assert "too few rows" not in text


def test_too_few_rows_are_told() -> None:
    """Nobody takes a feature for steady that was hardly seen."""
    assert "too few rows" in _shown(report((0.0, 0.0), rows=30))


def test_an_alert_has_its_moment_and_its_words() -> None:
    """What, since when, and how much larger the largest value is."""
    text = _shown(report((0.0, 50.0)))

    line = next(line for line in text.splitlines() if line.startswith("f1"))
    assert "scale firing  most values above the reference's range" in line
    assert len(re.findall(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)) == 2
    assert re.search(r"largest value about [\d,]+ times larger", text)
    assert "scale firing" in text


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (80, "FEATURE ALERT WHAT EFFECT"),
        (110, "FEATURE ALERT WHAT EFFECT REFERENCE LIVE"),
        (130, "FEATURE ALERT WHAT EFFECT PSI NOISE MISSING REFERENCE LIVE"),
    ],
)
def test_a_narrow_terminal_has_fewer_columns(width: int, header: str) -> None:
    """What is shown can be read: no cell is cut off, and names and alerts are in one piece."""
    found = report((0.0, 50.0))
    found["versions"][0]["columns"][0]["name"] = "worst fractal dimension"
    lines = _shown(found, width=width).splitlines()

    titles = next(line for line in lines if line.startswith("FEATURE"))
    assert titles.split() == header.split()
    assert any(line.startswith("worst fractal dimension  scale firing  ") for line in lines)
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= width


def test_a_version_that_learns_says_how_far_it_is() -> None:
    """Rows learned so far instead of a table."""
    version = {
        "version": "2",
        "is_live": False,
        "state": "learning",
        "learned_rows": 1234,
    }

    text = _shown({"model": "m", "live": None, "versions": [version]})

    assert text.strip() == "m version 2: learning what is usual, 1,234 rows so far"


def test_a_reference_that_contradicts_itself_is_told() -> None:
    """Halves of learned rows that differ are named, and so are alerts about all columns."""
    told = report()
    version = told["versions"][0]
    halves = [{"column": "f0", "words": "location up", "effect": 0.5}]
    version["reference"] |= {"is_self_reference": True, "halves_differ": halves}
    version["alerts"] = [
        {
            "rule": "volume",
            "state": "pending",
            "since_seconds": 1.7e9,
            "onset_seconds": None,
            "words": "no rows, where 500 were usual in 5 minutes",
        }
    ]

    text = _shown(told)

    assert "of its own first rows" in text
    assert "the reference does not agree with itself  f0: location up" in text
    assert "volume pending  no rows, where 500 were usual" in text


def test_new_words_are_shown_without_markup() -> None:
    """Names and words that look like markup are printed as they are."""
    told = report()
    column = told["versions"][0]["columns"][0]
    column["name"] = "[red]x[/]"
    column["novel"] = [{"word": f"[b]{number}", "rows": 1} for number in range(5)]

    text = _shown(told)

    assert "[red]x[/]" in text
    assert "new: [b]0, [b]1, [b]2, …" in text


def test_no_models_are_told() -> None:
    """An empty repository is no empty screen."""
    assert _shown().strip() == "no model is served"


def test_estimated_performance_is_shown_with_what_it_assumes() -> None:
    """Live figures with the reference's beside them; without figures, that there are none yet."""
    told = report()
    side = {"rows": 10, "accuracy": 0.9, "f1": None, "roc_auc": 0.8}
    found = {"live": side, "reference": {**side, "accuracy": 0.95}, "assumption": "all is well"}
    told["versions"][0]["performance"] = found

    text = _shown(told)

    assert "estimated accuracy 0.900 (0.950), roc_auc 0.800 (0.800)" in text
    assert "assumes: all is well" in text
    nothing = dict.fromkeys(side)
    told["versions"][0]["performance"] = found | {"live": nothing}
    assert "performance cannot be estimated yet" in _shown(told)


def test_the_hours_of_the_reference_are_told() -> None:
    """Of a reference by hours, those of the last sub-window; of any other there is no word."""
    found = report()
    assert "UTC" not in _shown(found)
    version = found["versions"][0]
    version["reference"]["cycle"] = "day"
    version["windows"][0]["reference_hours"] = ["08h", "09h"]
    assert ", now to 08h, 09h (UTC)" in _shown(found)
    version["windows"][0]["reference_hours"] = []
    assert ", by hour" in _shown(found)
