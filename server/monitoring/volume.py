"""Whether far more rows come than did, or far fewer.

Decides by comparison with the hours before: traffic has bursts, nights and lunch breaks, so its
rows are no random sample, and no probability is honest. The rate of the last block of minutes is
held against the median of the blocks before; it is strange when it is at least four times larger or
smaller, and further away than five times the blocks' own spread (median absolute deviation of the
logarithms; Iglewicz and Hoaglin 1993). Silence is the strangest of all, where there was none.

Knows blocks of rows, not where they come from.
"""

import math
from collections.abc import Sequence
from statistics import median

BLOCK_SECONDS = 300.0
KEPT_BLOCKS = 72
"""Six hours."""

LEAST_BLOCKS = 12
LEAST_USUAL_ROWS = 200
"""Rows of a usual block; below it, a few callers make all the difference."""

FACTOR = 4.0
SPREADS = 5.0
_NORMAL = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


def volume_reach(blocks: Sequence[int]) -> tuple[float, str]:
    """Return how near the last block of rows is to a change of volume, 1 is one, and words."""
    *before, now = blocks or [0]
    if len(before) < LEAST_BLOCKS or median(before) < LEAST_USUAL_ROWS:
        return 0.0, ""
    logarithms = [math.log(rows + 1.0) for rows in before]
    usual = median(logarithms)
    spread = _NORMAL * median(abs(one - usual) for one in logarithms)
    moved = math.log(now + 1.0) - usual
    limit = max(math.log(FACTOR), SPREADS * spread)
    usual_rows = median(before)
    if now == 0:
        words = f"no rows, where {usual_rows:.0f} were usual"
    else:
        words = (
            f"{'more' if moved > 0.0 else 'fewer'} rows: {now}, where {usual_rows:.0f} were usual"
        )
    return abs(moved) / limit, f"{words} in {BLOCK_SECONDS / 60.0:.0f} minutes"
