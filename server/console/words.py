"""Numbers, sizes and times as the console writes them. Pure.

Decides how many digits a reader needs, and that what is not known is a dash and never a zero.
"""

NOT_KNOWN = "\N{EN DASH}"

_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_AGES = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))
_TIMES = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"))
"""Below so many seconds, so many of a unit make one second."""


def count(value: int | None) -> str:
    """Return a whole number, in groups of three digits."""
    return NOT_KNOWN if value is None else f"{value:,}"


def figure(value: float | None) -> str:
    """Return a number with three digits, and more only of whole thousands."""
    if value is None:
        return NOT_KNOWN
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def probability(value: float | None) -> str:
    """Return a probability; below one in a million million only that it is."""
    return "< 1e-12" if value is not None and value < 1e-12 else figure(value)


def share(value: float | None) -> str:
    """Return a share of one in percent; small ones keep a digit that says something."""
    if value is None:
        return NOT_KNOWN
    percent = 100.0 * value
    if percent == 0.0:
        return "0 %"
    if abs(percent) < 0.001:
        return "< 0.001 %"
    digits = 3 if abs(percent) < 0.1 else 2 if abs(percent) < 1.0 else 1
    return f"{percent:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """Return how long something takes."""
    if seconds is None:
        return NOT_KNOWN
    for below, factor, unit in _TIMES:
        if seconds < below:
            return f"{seconds * factor:.3g} {unit}"
    return age(seconds)


def age(seconds: float | None) -> str:
    """Return how long ago something was, or for how long it has been, in one unit."""
    if seconds is None:
        return NOT_KNOWN
    for unit, length in _AGES:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def size(octets: int | None) -> str:
    """Return a number of bytes."""
    if octets is None:
        return NOT_KNOWN
    for unit, factor in _SIZES:
        if octets >= factor:
            return f"{octets / factor:.3g} {unit}"
    return f"{octets} B"


def weight(basis_points: int) -> str:
    """Return a share in basis points as percent."""
    return f"{basis_points / 100:g} %"


def several(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun in the right form."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
