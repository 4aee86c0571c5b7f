"""The release state of a model as a value."""

from server.release.route import Canary, ReleaseRoute, Shadow, from_json, to_json

FULL = ReleaseRoute(
    model="digits",
    generation=7,
    live="2",
    live_digest="b" * 64,
    live_since_seconds=100.0,
    previous="1",
    previous_digest="a" * 64,
    canary=Canary("3", "c" * 64, (100, 5000), 1, 150.0, "e1", "s", needs_approval=True),
    shadows=(Shadow("4", "d" * 64, 2500, "e2", 160.0), Shadow("5", "e" * 64, 10_000, "e3", 170.0)),
    held="an operator said so",
    refused={"f" * 64: "rolled back"},
)


def test_a_route_survives_being_written_and_read() -> None:
    """What was read is what was written, whole or empty."""
    for route in (FULL, ReleaseRoute("m")):
        assert from_json(to_json(route)) == route


def test_the_weight_of_a_canary_is_that_of_its_step() -> None:
    """One weight a step, in basis points."""
    assert FULL.canary is not None
    assert FULL.canary.weight_bp == 5000
