"""The pictures of docs/statistics.md, drawn from the program's own functions and figures.

Nothing is measured but what a picture shows; every number comes of a seed or of
`detection/FIGURES.md`. The pictures are SVG without scripts, on a white card of their own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loadtests.drawing import COLOURS, apart, card, label
from server.statistics.combine import numeric_verdict
from server.statistics.distance import psi
from server.statistics.smooth_test import shift, smooth_basis

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 300, 56, 44, 150, 46
WINDOWS = 1000
REFERENCE_ROWS = 5000
TOOLS = ("tidegate", "KS", "Wasserstein", "PSI", "nannyml")


def draw(folder: Path = FOLDER) -> None:
    """Draw all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (
        ("false-alarms", false_alarms()),
        ("seen", seen()),
        ("moved", moved()),
    ):
        path = folder / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def false_alarms() -> str:
    """Draw how many clean windows a threshold on PSI takes for changed, and how many we do."""
    rng = np.random.default_rng(1)
    sizes = [50, 100, 200, 500, 1000, 2000]
    lines: dict[str, list[float]] = {
        "Tidegate, p < 1 %": [],
        "PSI over 0.1": [],
        "PSI over 0.2": [],
    }
    shares = np.full(10, 0.1)
    for rows in sizes:
        wrong = np.zeros(3)
        for _ in range(WINDOWS):
            reference = rng.multinomial(REFERENCE_ROWS, shares)
            live = rng.multinomial(rows, shares)
            index = psi(reference, live)
            p = numeric_verdict(smooth_basis(reference), live).p
            wrong += (p < 0.01, index > 0.1, index > 0.2)
        for line, value in zip(lines.values(), wrong / WINDOWS, strict=True):
            line.append(100.0 * float(value))
    return _chart(
        "Windows in which nothing has changed, and which are called drift",
        "rows in the window (10 bins, reference of 5,000 rows)",
        [str(size) for size in sizes],
        lines,
        "%",
    )


def seen() -> str:
    """Draw how many changed windows each tool sees, on average over all kinds of changes."""
    text = (ROOT / "loadtests" / "detection" / "FIGURES.md").read_text(encoding="utf-8")
    table = text.split("## Windows seen in percent")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    heading = rows[0]
    chosen = [row for row in rows[2:] if row[1] == "2000" and row[heading.index("KS")]]
    lines = {}
    for tool in TOOLS:
        cells = [[float(one) for one in row[heading.index(tool)].split()] for row in chosen]
        lines[tool] = [float(value) for value in np.mean(cells, axis=0)]
    return _chart(
        f"Windows of 2,000 rows that are seen, mean of {len(chosen)} kinds of change",
        "share of the rows that changed (every tool at 1 % false alarms)",
        ["2 %", "5 %", "10 %", "20 %"],
        lines,
        "%",
    )


def moved() -> str:
    """Draw what an alert says: shares by bin, and how far each question's answer is from chance."""
    rng = np.random.default_rng(2)
    edges = np.quantile(rng.standard_normal(200_000), np.linspace(0.1, 0.9, 9))
    reference = np.bincount(np.searchsorted(edges, rng.standard_normal(5000)), minlength=10)
    live = np.bincount(np.searchsorted(edges, 0.25 + rng.standard_normal(1000)), minlength=10)
    told = shift(smooth_basis(reference), live)
    names = ("location", "spread", "skew", "tails")
    answers = ", ".join(
        f"{name} {value:+.1f}" for name, value in zip(names, told.normal, strict=True)
    )
    return _bars(
        f"A shift of a quarter of a standard deviation, 1,000 rows: {told.words}",
        f"in standard errors: {answers}",
        {
            "reference": (reference / reference.sum() * 100.0).tolist(),
            "live": (live / live.sum() * 100.0).tolist(),
        },
    )


def _chart(
    title: str, below: str, places: Sequence[str], lines: dict[str, list[float]], unit: str
) -> str:
    top = max(max(values) for values in lines.values())
    top = max(5.0, np.ceil(top / 20.0) * 20.0 if top > 20 else np.ceil(top / 5.0) * 5.0)
    across = np.linspace(LEFT, WIDTH - RIGHT, len(places))
    drawn = _frame(title, below, float(top), unit)
    drawn += [label(x, HEIGHT - BOTTOM + 16, name) for x, name in zip(across, places, strict=True)]
    ends = apart([_height(values[-1], float(top)) for values in lines.values()])
    for (name, values), colour, end in zip(lines.items(), COLOURS, ends, strict=False):
        points = [(x, _height(value, float(top))) for x, value in zip(across, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        )
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        drawn.append(label(WIDTH - RIGHT + 10, end + 4, name, anchor="start", colour=colour))
    return card(drawn, WIDTH, HEIGHT)


def _bars(title: str, below: str, sides: dict[str, list[float]]) -> str:
    top = float(np.ceil(max(max(values) for values in sides.values()) / 5.0) * 5.0)
    drawn = _frame(title, below, top, "%")
    count = len(next(iter(sides.values())))
    slot = (WIDTH - LEFT - RIGHT) / count
    for side, ((name, values), colour) in enumerate(
        zip(sides.items(), COLOURS[2::-2], strict=False)
    ):
        for place, value in enumerate(values):
            x = LEFT + slot * (place + 0.12 + 0.38 * side)
            y = _height(value, top)
            drawn.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{slot * 0.36:.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour}"/>'
            )
        drawn.append(
            label(WIDTH - RIGHT + 10, TOP + 20 + 20 * side, name, anchor="start", colour=colour)
        )
    return card(drawn, WIDTH, HEIGHT)


def _frame(title: str, below: str, top: float, unit: str) -> list[str]:
    drawn = [
        label(LEFT, 24, title, anchor="start", size=14),
        label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, below),
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(top * share, top)
        drawn.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        )
        drawn.append(label(LEFT - 8, y + 4, f"{top * share:g} {unit}", anchor="end"))
    return drawn


def _height(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)
