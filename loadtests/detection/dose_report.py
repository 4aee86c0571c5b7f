"""Tables of what `doses.py` measured."""

from collections.abc import Sequence

from loadtests.detection.doses import OURS, Cell

POINTS = 0.05
"""A cell is lost when the best of the others sees more by this much."""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"


def power_table(cells: Sequence[Cell]) -> str:
    """Return matched power in percent, one line per change and window size, doses beside."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.matched))
    lines = ["| change | rows | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for change, rows in dict.fromkeys((cell.change, cell.rows) for cell in cells):
        line = [cell for cell in cells if (cell.change, cell.rows) == (change, rows) and cell.dose]
        shown = [
            " ".join(_percent(cell.matched.get(name)) for cell in line).strip() for name in names
        ]
        lines.append(f"| {change} | {rows} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def losses_table(cells: Sequence[Cell]) -> str:
    """Return the cells in which the best of the others sees more, by more than POINTS."""
    lost = sorted((cell for cell in cells if cell.loss > POINTS), key=lambda cell: -cell.loss)
    lines = ["| change | rows | dose | tidegate | best other | who |", "|---|---|---|---|---|---|"]
    for cell in lost:
        best = max(cell.peers, key=lambda name: cell.peers[name])
        lines.append(
            f"| {cell.change} | {cell.rows} | {cell.dose:.0%} | {_percent(cell.matched[OURS])} | "
            f"{_percent(cell.peers[best])} | {best} |"
        )
    return "\n".join(lines)


def standing_table(cells: Sequence[Cell]) -> str:
    """Return, for everybody, mean matched power and how often the best of the others is ahead."""
    dosed = [cell for cell in cells if cell.dose]
    lines = ["| columns | who | seen | behind by > 5 points | by > 10 |", "|---|---|---|---|---|"]
    for columns, measure in (("numbers", "KS"), ("categories", "chi2")):
        of_kind = [cell for cell in dosed if measure in cell.matched]
        for name in dict.fromkeys(name for cell in of_kind for name in cell.matched):
            gaps, shares = [], []
            for cell in of_kind:
                if name in cell.matched:
                    shares.append(cell.matched[name])
                    others = (share for one, share in cell.matched.items() if one != name)
                    gaps.append(max(others) - cell.matched[name])
            lines.append(
                f"| {columns} | {name} | {sum(shares) / len(shares):.1%} | "
                f"{sum(gap > POINTS for gap in gaps)} of {len(gaps)} cells | "
                f"{sum(gap > 2 * POINTS for gap in gaps)} |"
            )
    return "\n".join(lines)


def groups_table(cells: Sequence[Cell]) -> str:
    """Return mean matched power by group, and in how many cells ours is lost or far ahead."""
    dosed = [cell for cell in cells if cell.dose]
    names = list(dict.fromkeys(name for cell in dosed for name in cell.matched))
    head = ["group", "cells", *names, "lost", "ahead"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for group in dict.fromkeys(cell.group for cell in dosed):
        of_group = [cell for cell in dosed if group == cell.group]
        means = []
        for name in names:
            shares = [cell.matched[name] for cell in of_group if name in cell.matched]
            means.append(_percent(sum(shares) / len(shares) if shares else None))
        lost = sum(cell.loss > POINTS for cell in of_group)
        ahead = sum(cell.loss < -POINTS for cell in of_group)
        row = [group, str(len(of_group)), *means, str(lost), str(ahead)]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def defaults_table(cells: Sequence[Cell]) -> str:
    """Return alarms by default in percent: on clean windows, and on those of each dose."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.default))
    sizes = list(dict.fromkeys(cell.rows for cell in cells))
    lines = [
        "| rows | share changed | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for rows in sizes:
        for dose in dict.fromkeys(cell.dose for cell in cells):
            line = [cell for cell in cells if (cell.rows, cell.dose) == (rows, dose)]
            shown = []
            for name in names:
                shares = [cell.default[name] for cell in line if name in cell.default]
                shown.append(f"{100 * sum(shares) / len(shares):.1f}" if shares else "")
            lines.append(f"| {rows} | {dose:.0%} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def everything(cells: Sequence[Cell]) -> str:
    """Return all tables, each under a line that says what it is."""
    seen = "Windows seen in percent, at matched false alarms of 1 %"
    return "\n\n".join(
        [
            f"{seen}; means, and cells in which the best of the others is ahead:",
            standing_table(cells),
            f"{seen}; means, and cells that ours lost or is ahead in by more than 5 points:",
            groups_table(cells),
            "Cells lost by more than 5 points to the best of the others:",
            losses_table(cells),
            "Alarms by default in percent, means over all changes:",
            defaults_table(cells),
            f"{seen}, a number per share of changed rows:",
            power_table(cells),
        ]
    )
