"""A child process for tests, for `start_child.py` or the supervisor.

What it does is named by its charter: it reports that it is there, and then waits, blocks its event
loop, raises, reports more than a socket takes at once, or says again what it is told.
"""

import asyncio
import signal
import socket
import threading

from server.child import Channel, run_child
from server.wire.channel import Charter

LARGE_REPORT = "x" * 1_000_000


async def main(charter: Charter, channel: Channel, stop: asyncio.Event) -> int:
    """Do what the charter's name says; end with code 7 when told to stop."""
    if charter.name == "raise":
        raise RuntimeError("on purpose")
    if charter.name == "block":
        go_on = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: go_on.set())
        await asyncio.sleep(0)  # The first beat comes, and the next one is due while we block.
        channel.report(ready="blocked")
        go_on.wait()
        channel.report(ready="unblocked")
    elif charter.name == "listen":
        channel.listen(lambda report: channel.report(ready=report))
        channel.report(ready="listening")
    elif charter.name == "report":
        channel.report(ready=LARGE_REPORT)
        channel.report(ready="after it")
    else:
        channel.report(ready=[charter.name, charter.worker, charter.settings.log_level])
    await stop.wait()
    channel.report(ready=["lag", channel.take_lag()])
    return 7


def start(link: socket.socket, parent_pid: int) -> None:
    """Run until told to end, on a channel to the supervisor."""
    run_child(main, link, parent_pid)
