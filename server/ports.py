"""Ports of our own: bound so that nobody shares them unnoticed.

Decides how a port is taken. Does not listen.
"""

import os
import socket
import struct


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind a port that nobody else has; 0 takes a free one.

    A `shared` port is held for the workers, which bind it too, each a socket of its own. A first
    bind without SO_REUSEPORT makes sure that no stranger has it: with it, a second gateway could
    share the port unnoticed, and each would get half of the connections.

    Raises:
        OSError: the address is not ours, or the port is taken; names both.

    """
    try:
        probe = _bound(host, port)
        if not shared:
            return probe
        port = number_of(probe)
        probe.close()
        held = _bound(host, port, socket.SO_REUSEPORT)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise OSError(error.errno, f"{host}:{port}: {reason}") from None
    # A socket that does not listen and still lets its address be used again is no obstacle to the
    # first bind of another gateway, and no worker may listen at that moment.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held


def _bound(host: str, port: int, *options: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            opened.setsockopt(socket.SOL_SOCKET, option, 1)
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


def number_of(bound: socket.socket) -> int:
    """Return the number of a bound port."""
    number: int = bound.getsockname()[1]
    return number


_UNSENT_BYTES = 128 << 10


def give_up_after(listener: socket.socket, seconds: float) -> None:
    """Have connections of this socket end that take nothing of an answer for so long.

    The kernel gives up a client that no longer acknowledges. One that does, and reads nothing, is
    seen by us, if what it does not take stays with us: so the kernel is told to hold little.
    Systems that cannot do so end such a connection when it has been idle for too long.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = min(round(seconds * 1000), 1 << 30)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def forget_unsent(link: socket.socket | None) -> None:
    """Have the kernel reset a connection when it is closed, and drop what it has not sent.

    It would keep that for a while, and offer it again and again, to a client that we have given up.
    """
    if link is not None:  # None if the connection has been lost in this very moment.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
