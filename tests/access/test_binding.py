"""Which addresses need something that recognizes callers."""

import pytest

from server.access.binding import needs_keys, open_hosts
from server.settings import Settings


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["host"]),
        ({"control_host": "::"}, ["control_host"]),
        ({"host": "::1", "control_host": "localhost"}, []),
        ({"host": "10.0.0.1", "control_host": "gateway"}, ["host", "control_host"]),
    ],
)
def test_what_others_can_reach_needs_keys(settings: dict[str, str], hosts: list[str]) -> None:
    """On either port, unless the operator says that something else guards it."""
    assert open_hosts(Settings(**settings)) == hosts
    assert needs_keys(Settings(**settings)) == bool(hosts)
    assert not needs_keys(Settings(insecure="on", **settings))
