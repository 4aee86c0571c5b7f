"""Whether a client that reads slowly is told from one that is gone."""

import socket

from loadtests.hostile.crowd import open_clients
from tests.support.gateway import eventually


def test_what_is_unread_does_not_hide_that_the_server_has_ended() -> None:
    """A client with bytes to read counts as open until the server closes, and not after."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        other, _ = listener.accept()
    with client:
        own = client.getsockname()[1]
        with other:
            other.sendall(b"unread")
            assert client.recv(1, socket.MSG_PEEK) == b"u"
            before = open_clients(port, 1)

        looks = iter(range(2, 1_000_000))
        eventually(lambda: own not in open_clients(port, next(looks)))
    assert own in before
