"""Whether a client that reads slowly is told from one that is gone."""

import socket
import struct

from loadtests.hostile.crowd import is_open
from tests.support.gateway import eventually


def test_what_is_unread_does_not_hide_a_reset() -> None:
    """A connection with bytes to read is open until the other side resets it, and not after."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with client:
        with other:
            other.sendall(b"unread")
            assert client.recv(1, socket.MSG_PEEK) == b"u"
            before = is_open(client)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        eventually(lambda: not is_open(client))
    assert before
