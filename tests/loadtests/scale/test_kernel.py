"""The kernel spreads connections over sockets that share a port."""

from loadtests.scale.kernel import shares


def test_every_connection_goes_to_one_listener() -> None:
    """None is lost, and not all go to the same."""
    found = shares(4, 60)

    assert sum(found) == 60
    assert max(found) < 60
