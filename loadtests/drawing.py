"""Parts of pictures: SVG without scripts, on a white card of its own.

Knows words, colours and cards. Does not know what a picture shows.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

COLOURS = (
    "#0b6e99", "#d9730d", "#6b6b6b", "#8e5ab8", "#3b8a4a", "#b0413e", "#a3a3a3", "#c2a000",
    "#13a3a3", "#d154a8",
)  # fmt: skip


def label(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "middle",
    size: int = 12,
    colour: str = "#333333",
) -> str:
    """Return words whose anchor is at a point."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{colour}">{escape(words)}</text>'
    )


def apart(heights: list[float], least: float = 14.0) -> list[float]:
    """Move labels apart that would lie on each other; keep their order."""
    found = list(heights)
    order = sorted(range(len(found)), key=lambda place: -found[place])
    for below, above in pairwise(order):
        found[above] = min(found[above], found[below] - least)
    return found


def card(drawn: Sequence[str], width: int, height: int) -> str:
    """Return a whole picture."""
    inside = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n{inside}\n</svg>\n'
    )
