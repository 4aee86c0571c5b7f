"""How much a process takes on at once.

Decides whether there is room. Does not decide what happens to those for whom there is none.

Concurrency: event loop only.
"""


class Budget:
    """How many request bytes may be held at once.

    Invariant: `used` is what was taken and not given back; it never exceeds `limit`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """Reserve `size` bytes if there is room for them."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Release `size` bytes that were taken."""
        self.used -= size
        assert self.used >= 0, "more was given back than taken"
