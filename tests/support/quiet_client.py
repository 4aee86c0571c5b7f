"""A connection of a port, for tests that look at the port alone."""


class QuietClient:
    """A client that has some bytes unread, and remembers that it was cut off."""

    def __init__(self, unread: int = 0) -> None:
        self.unread = unread
        self.is_cut_off = False

    def check_time(self, now: float) -> None:
        """Nothing is overdue."""

    def unread_bytes(self, now: float) -> int:
        del now
        return self.unread

    def cut_off(self) -> None:
        self.is_cut_off = True
