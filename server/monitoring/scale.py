"""Whether the values of a column are of another size than before, as after a change of unit.

Decides by shares, not by chance: when most values lie outside of the range that the reference had,
or nearly all of them in one end of it, no test is needed to know, and nobody wants to read of
`location up` when metres have become millimetres. Does not know windows or alerts.
"""

import math

from server.monitoring.columns import Kind
from server.monitoring.profile import NumberProfile
from server.statistics.histogram import ColumnCounts

OUTSIDE_SHARE = 0.5
"""Of finite values; the reference has none there."""

END_SHARE = 0.95
USUAL_END_SHARE = 0.2
LEAST_BINS = 5
"""An end bin is a sign if it is one of at least so many, and held little of the reference."""

_WORTH_WORDS = 3.0


def scale_reach(profile: NumberProfile, live: ColumnCounts) -> tuple[float, str]:
    """Return how near a window is to a change of scale, 1 is one, and words for it."""
    finite = live.finite
    if finite == 0 or profile.counts.finite == 0 or profile.column.kind is Kind.PROBABILITY:
        return 0.0, ""
    ways = [
        ("most values below the reference's range", live.below / finite / OUTSIDE_SHARE),
        ("most values above the reference's range", live.above / finite / OUTSIDE_SHARE),
    ]
    shares = profile.counts.bins / profile.counts.finite
    if len(shares) >= LEAST_BINS:
        for words, end in (("low", 0), ("high", -1)):
            if shares[end] <= USUAL_END_SHARE:
                reach = live.bins[end] / finite / END_SHARE
                ways.append((f"nearly all values at the {words} end of the reference", reach))
    words, reach = max(ways, key=lambda way: way[1])
    return float(reach), words


def size_words(reference: tuple[float, float], live: tuple[float, float]) -> str:
    """Compare the sizes of the largest values, by (minimum, maximum): `about 1,000 times larger`.

    Empty where the sizes are alike, or where there is nothing to compare.
    """
    before, now = (max(abs(low), abs(high)) for low, high in (reference, live))
    if not (math.isfinite(before) and math.isfinite(now) and before > 0.0 and now > 0.0):
        return ""
    factor = math.log10(now) - math.log10(before)
    if abs(factor) < math.log10(_WORTH_WORDS):
        return ""
    times = 10.0 ** min(abs(factor), 300.0)
    nearest = 10.0 ** round(min(abs(factor), 300.0))
    told = nearest if nearest > 1.0 and 0.5 < times / nearest < 2.0 else times
    size = f"{told:,.0f}" if told < 1e6 else f"{told:.0e}"
    return f"about {size} times {'larger' if factor > 0.0 else 'smaller'}"
