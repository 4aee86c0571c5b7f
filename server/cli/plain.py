"""Text of others on a terminal: callers' categories, names in files, words of a model.

Decides that nothing of it is markup, and that no character of it moves the cursor, colours the
screen or turns the direction of writing: those are told by number. And where it goes: what is no
terminal has room for a whole table.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 160


def visible(text: str) -> str:
    """Return text in which every character can be seen; line breaks stay."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text.encode("utf-8", "replace").decode()
    )


def plain(text: str) -> str:
    """Return text as it is to be read, for rich: no part of it is markup."""
    from rich.markup import escape

    return escape(visible(text))


def line(text: str) -> str:
    """Return text as `plain` does, on one line, so that it cannot look like lines of ours."""
    return plain(text).replace("\n", "\\n")


def standard_output() -> "Console":
    """Return standard output for rich; files and pipes are 160 characters wide."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)
