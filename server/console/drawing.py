"""Lines and bars as paths of SVG. Pure.

Decides coordinates only, in a box whose top left is 0, 0; what is unknown leaves a gap. Colours
and strokes are the style sheet's business.
"""

from collections.abc import Sequence

Values = Sequence[float | None]


def line(values: Values, width: float, height: float, highest: float | None = None) -> str:
    """Return a line through values from left to right; 0 lies at the bottom.

    `highest` is the value at the top; without it, that is the largest one.
    """
    known = [value for value in values if value is not None]
    top = highest if highest is not None else max(known, default=0.0)
    if not known or len(values) < 2:
        return ""
    step, scale = width / (len(values) - 1), (height - 2.0) / top if top > 0.0 else 0.0
    parts, is_open = [], False
    for place, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        point = f"{_short(place * step)} {_short(height - 1.0 - min(value, top) * scale)}"
        parts.append(f"{'L' if is_open else 'M'}{point}")
        is_open = True
    return "".join(parts)


def area(values: Values, width: float, height: float, highest: float | None = None) -> str:
    """Return the area under `line`, if there is no gap in it; empty otherwise."""
    drawn = line(values, width, height, highest)
    if not drawn or any(value is None for value in values):
        return ""
    return f"{drawn}L{_short(width)} {_short(height)}L0 {_short(height)}Z"


def steps(shares: Sequence[float], width: float, height: float, highest: float) -> str:
    """Return the outline of a histogram whose bars are of one width and touch each other."""
    if not shares or highest <= 0.0:
        return ""
    each, parts = width / len(shares), [f"M0 {_short(height)}"]
    for place, share in enumerate(shares):
        top = height - min(1.0, share / highest) * (height - 1.0)
        parts.append(f"V{_short(top)}H{_short((place + 1) * each)}")
    return "".join(parts) + f"V{_short(height)}Z"


def joined(shares: Sequence[float], most: int) -> list[float]:
    """Return shares of neighbours together, so that there are `most` bars at most."""
    size = -(-len(shares) // most) or 1
    return [sum(shares[at : at + size]) for at in range(0, len(shares), size)]


def thinned(values: Values, most: int) -> list[float | None]:
    """Return the means of neighbours, so that a small line has `most` points at most."""
    size = -(-len(values) // most) or 1
    found: list[float | None] = []
    for at in range(0, len(values), size):
        known = [value for value in values[at : at + size] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
