"""Start the shadow process.

Decides that it gives way before it does anything else: to load the program takes processor time
that predictions would feel each time that a candidate has ended the process.
"""

import importlib
import socket

from server.child import run_child
from server.machine import give_way


def start(link: socket.socket, parent_pid: int) -> None:
    """Run until told to end, on a channel to the supervisor."""
    give_way()
    run_child(importlib.import_module("server.shadow.process").main, link, parent_pid)
