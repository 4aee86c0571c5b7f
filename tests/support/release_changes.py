"""Changes of releases for tests: one of each kind, in an order in which each is allowed."""

from collections.abc import Callable, Iterator

from server.release import transitions as t
from server.release.candidate import Candidate
from server.release.change import Change
from server.release.route import ReleaseRoute

Step = Callable[[ReleaseRoute, float], ReleaseRoute]


def candidate(number: int) -> Candidate:
    """Return a version that nothing is wrong with."""
    return Candidate(str(number), f"{number:064x}", is_loaded=True)


STEPS: tuple[tuple[str, Step], ...] = (
    ("set_live", lambda route, now: t.set_live(route, candidate(1), now_seconds=now)),
    (
        "promote",
        lambda route, now: t.promote(route, candidate(2), now_seconds=now, reason="better"),
    ),
    ("rollback", lambda route, now: t.rollback(route, now_seconds=now, reason="worse")),
    ("start_shadow", lambda route, now: t.start_shadow(route, candidate(3), now_seconds=now)),
    (
        "start_canary",
        lambda route, now: t.start_canary(route, candidate(3), now_seconds=now, approval_of="ann"),
    ),
    ("next_step", lambda route, now: t.next_step(route, now_seconds=now)),
    ("hold", lambda route, _: t.hold(route, reason="no data")),
    ("resume", lambda route, now: t.resume(route, now_seconds=now)),
    ("approve", lambda route, _: t.approve(route, actor="bob")),
    ("stop_canary", lambda route, _: t.stop_canary(route, reason="enough")),
    ("refuse", lambda route, _: t.refuse(route, "3", reason="it flips labels")),
    ("fall_back", lambda route, now: t.fall_back(route, now_seconds=now)),
)
"""Kinds of changes, each with what makes it from the state that those before have left."""


def changes(model: str, start_seconds: float = 1000.0) -> Iterator[Change]:
    """Yield one change of each kind, each made from the one before."""
    route = ReleaseRoute(model)
    for position, (action, step) in enumerate(STEPS):
        now = start_seconds + position
        after = step(route, now)
        yield Change(
            action,
            route,
            after,
            now,
            actor="ann",
            reason="because",
            request_id=f"r-{position}",
            evidence={"gates": {"errors": "pass"}},
        )
        route = after
