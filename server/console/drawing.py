"""Lines as paths of SVG. Pure.

Decides coordinates only, in a box whose top left is 0, 0; what is unknown leaves a gap. Colours
and strokes are the style sheet's business.
"""

from collections.abc import Sequence


def line(values: Sequence[float | None], width: float, height: float) -> str:
    """Return a line through values from left to right; 0 lies at the bottom, the largest on top."""
    known = [value for value in values if value is not None]
    if not known or len(values) < 2:
        return ""
    top = max(known)
    step, scale = width / (len(values) - 1), (height - 2.0) / top if top > 0.0 else 0.0
    parts, command = [], "M"
    for place, value in enumerate(values):
        if value is None:
            command = "M"
            continue
        parts.append(f"{command}{place * step:.0f} {height - 1.0 - value * scale:.1f}")
        command = "L"
    return "".join(parts)
