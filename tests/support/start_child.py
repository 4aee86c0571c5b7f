"""Start a child without a supervisor: `python -m tests.support.start_child MODULE FD PARENT_PID`.

It is what the supervisor does in a copy of itself, in a program of its own: FD is the number of the
child's end of the channel.
"""

import importlib
import socket
import sys

if __name__ == "__main__":
    module, descriptor, parent = sys.argv[1:]
    link = socket.socket(fileno=int(descriptor))
    importlib.import_module(module).start(link, int(parent))
