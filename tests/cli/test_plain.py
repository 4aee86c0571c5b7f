"""Text of others on a terminal: it can be seen, and does nothing."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from server.cli.plain import plain, standard_output, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("male", "male"),
        ("Größe 5", "Größe 5"),
        ("\x1b[2J\x1b[31mEVIL", r"\x1b[2J\x1b[31mEVIL"),
        ("a\x00b\rc\td", r"a\x00b\rc\td"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("two\nlines", "two\nlines"),
        ("half a \ud83d pair", "half a ? pair"),
    ],
)
def test_what_would_act_on_a_terminal_is_told_by_number(text: str, seen: str) -> None:
    """Escapes, zeros, returns and marks of direction are seen, and other letters are themselves."""
    assert visible(text) == seen


@given(st.text().filter(lambda text: not text.endswith("\\")))  # rich doubles a last backslash
def test_no_text_is_markup_or_an_escape(text: str) -> None:
    """Whatever a caller sends as a category is printed as it is, and only that."""
    page = StringIO()
    Console(file=page, force_terminal=True, width=10_000, highlight=False).print(
        plain(text), soft_wrap=True
    )

    assert "\x1b" not in page.getvalue()
    assert page.getvalue() == visible(text) + "\n"


def test_a_file_has_room_for_a_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no width of its own; a terminal has."""
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr("sys.stdout", StringIO())
    assert standard_output().width == 160
    monkeypatch.setenv("FORCE_COLOR", "1")  # To rich, a terminal.
    assert standard_output().width == 70
