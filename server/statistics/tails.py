"""Probabilities in the tails of the distributions that the tests of drift follow.

Decides how improbable a statistic is when nothing has changed, and which value of it is improbable
enough. Knows neither counts nor features. SciPy has all of this, but is a large package to bring
into a gateway for four formulas; the tests compare with it down to 1e-12 and far below.

Every function answers with a number in [0, 1] (a critical value: in [0, inf)) for every input. What
is no evidence, such as NaN, a negative statistic or no degrees of freedom, has probability 1.

Sources: chi-square by its finite sum, Abramowitz and Stegun 26.4.4-26.4.5; Kolmogorov's limit by
his series and, for small values, by its theta transform (Marsaglia, Tsang and Wang 2003, J. Stat.
Softw. 8(18)); hypergeometric by summing terms.
"""

import math

SMALLEST_P = 1e-300
"""Smaller probabilities are taken for this one, so that logarithms and quotients stay finite."""

_EPSILON = 1e-16


def normal_two_sided(value: float) -> float:
    """Return the probability that a standard normal variable is further from 0 than `value`."""
    return 1.0 if math.isnan(value) else math.erfc(abs(value) / math.sqrt(2.0))


def chi_square_tail(value: float, df: int) -> float:
    """Return the probability that a chi-square variable with `df` degrees exceeds `value`.

    All terms of the sum are positive, so nothing cancels however small the result. The cost is
    one exponential per two degrees of freedom.
    """
    half = value / 2.0
    if df < 1 or not half > 0.0:
        return 1.0
    if math.isinf(half):
        return 0.0
    offset = 0.5 * (df % 2)
    tail = math.erfc(math.sqrt(half)) if df % 2 else 0.0
    log_half = math.log(half)
    for index in range(df // 2):
        power = index + offset
        tail += math.exp(power * log_half - half - math.lgamma(power + 1.0))
    return min(tail, 1.0)


def chi_square_critical(alpha: float, df: int) -> float:
    """Return the value that a chi-square variable with `df` degrees exceeds at rate `alpha`."""
    if df < 1 or not alpha < 1.0:
        return 0.0
    alpha = max(alpha, SMALLEST_P)
    low, high = 0.0, df + 1.0
    while chi_square_tail(high, df) > alpha:
        low, high = high, 2.0 * high
    while True:
        middle = (low + high) / 2.0
        if not low < middle < high:
            return high
        if chi_square_tail(middle, df) > alpha:
            low = middle
        else:
            high = middle


def kolmogorov_tail(value: float) -> float:
    """Return the probability that the supremum of a Brownian bridge's modulus exceeds `value`.

    This is the limit of sqrt(mn / (m + n)) times the two-sample Kolmogorov-Smirnov distance.
    """
    if not value > 0.04:  # Closer to 1 than a float can tell.
        return 1.0
    if value > 20.0:  # Closer to 0 than a float can tell, and its square may be too large for one.
        return 0.0
    if value < 1.0:
        rate = -((math.pi / value) ** 2) / 8.0
        below = sum(math.exp(rate * odd * odd) for odd in (1, 3, 5, 7))
        return 1.0 - math.sqrt(2.0 * math.pi) / value * below
    return 2.0 * sum(
        (1 if index % 2 else -1) * math.exp(-2.0 * (index * value) ** 2) for index in range(1, 7)
    )


def hypergeometric_tail(count: int, drawn: int, marked: int, rows: int) -> float:
    """Return the probability of `count` or more marked rows among `drawn` ones.

    `marked` of all `rows` are marked, and `drawn` of them are taken without putting back. With
    `rows` the reference and the live rows together, and `drawn` the live ones, this is Fisher's
    exact test of whether a rate has risen.
    """
    if count <= max(0, drawn + marked - rows):
        return 1.0
    if count > min(drawn, marked):
        return 0.0
    rest = rows - marked - drawn
    log_first = (
        _log_choose(marked, count)
        + _log_choose(rows - marked, drawn - count)
        - _log_choose(rows, drawn)
    )
    if count * rows > drawn * marked:
        return min(1.0, math.exp(log_first) * _sum_up(count, drawn, marked, rest))
    # P(X >= count) = 1 - P(X < count): the terms below, from the largest down.
    return max(0.0, 1.0 - math.exp(log_first) * (_sum_down(count, drawn, marked, rest) - 1.0))


def _sum_up(count: int, drawn: int, marked: int, rest: int) -> float:
    """Return the sum of the terms from `count` up, in units of the term at `count`."""
    term = total = 1.0
    for at in range(count, min(drawn, marked)):
        term *= (marked - at) * (drawn - at) / ((at + 1) * (rest + at + 1))
        total += term
        if term < _EPSILON * total:
            break
    return total


def _sum_down(count: int, drawn: int, marked: int, rest: int) -> float:
    """Return the sum of the terms from `count` down, in units of the term at `count`."""
    term = total = 1.0
    for at in range(count, max(0, -rest), -1):
        term *= at * (rest + at) / ((marked - at + 1) * (drawn - at + 1))
        total += term
        if term < _EPSILON * total:
            break
    return total


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)
