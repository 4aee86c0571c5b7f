"""Start the shadow process: `python -m server.shadow.start`, as the supervisor does.

Decides that it gives way before it does anything else: to load the program takes a second of
processor time, which predictions would feel each time that a candidate has ended the process.
"""

import runpy

from server.machine import give_way

if __name__ == "__main__":
    give_way()
    runpy.run_module("server.shadow.process", run_name="__main__")
