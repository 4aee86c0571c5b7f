"""How the kernel spreads connections over sockets that share a port: asked, not supposed."""

import contextlib
import select
import socket


def shares(listeners: int, connections: int) -> list[int]:
    """Return how many of some connections to one port each of its listeners is given."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(_listener(0))
        port = first.getsockname()[1]
        doors = [first, *(stack.enter_context(_listener(port)) for _ in range(listeners - 1))]
        poll = select.poll()
        by_number = {door.fileno(): at for at, door in enumerate(doors)}
        for number in by_number:
            poll.register(number, select.POLLIN)
        found = [0] * listeners
        for _ in range(connections):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            ((number, _),) = poll.poll(1000)
            stack.enter_context(doors[by_number[number]].accept()[0])
            found[by_number[number]] += 1
    return found


def _listener(port: int) -> socket.socket:
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    door.bind(("127.0.0.1", port))
    door.listen()
    return door
