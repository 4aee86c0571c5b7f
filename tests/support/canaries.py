"""A canary as workers see it: who, how much, and by which salt."""

from server.release.route import Canary


def a_canary(version: str, weight_bp: int, salt: str) -> Canary:
    """Return a canary at the only step of its weights."""
    return Canary(version, "", (weight_bp,), 0, 0.0, "", salt)
