"""The numbers of prediction ids.

Decides which numbers the requests of a batch get: microseconds since 1970, but each higher than the
last, also when the clock is set back, and consecutive within a batch. With the worker's tag behind
them they are unique: two workers, or two lives of one, have different tags.

Does not read the clock: it is told the time.

Concurrency: event loop only.
Lifetime: the worker's.
"""


class Numbering:
    """The numbers that have been given."""

    def __init__(self) -> None:
        self._next = 0

    def give(self, requests: int, now_us: int) -> int:
        """Give as many numbers as there are requests; return the first."""
        first = max(self._next, now_us)
        self._next = first + requests
        return first
