"""`python -m loadtests.hostile.crowd KIND PORT COUNT`: clients that are slow, as one process.

A process of its own, so that they cost the good clients' process nothing. Prints a line when all
are connected, and one with the seconds after which each was closed when the last one is.
"""

import asyncio
import contextlib
import functools
import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from loadtests.hostile.mutations import request

DRIP_SECONDS = 2.0
LOOK_SECONDS = 0.1
"""Between two looks of a reader at whether the other side has ended it."""
LONGEST_SECONDS = 120.0
_ESTABLISHED = "01"  # Of the states in /proc/net/tcp.
_HEAD = b"POST /v2/models/affine/infer HTTP/1.1\r\nHost: slow\r\n"


def slow_header(drop: int) -> bytes:
    """Return the next piece of a request whose headers never end."""
    return _HEAD if drop == 0 else b"X-Drop-%d: 1\r\n" % drop


def slow_body(drop: int) -> bytes:
    """Return the next piece of a request whose body never ends."""
    return _HEAD + b"Content-Length: 60000\r\n\r\n" if drop == 0 else b" " * 100


def slow_reader(drop: int) -> bytes:
    """Return a question with a megabyte of answer, once."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}
    body = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    return request(b"/v2/models/wide/infer", orjson.dumps(body)) if drop == 0 else b""


KINDS: dict[str, Callable[[int], bytes]] = {
    "header": slow_header,
    "body": slow_body,
    "reader": slow_reader,
}


async def _client(kind: str, port: int, connected: asyncio.Semaphore) -> float:
    loop = asyncio.get_running_loop()
    with socket.socket() as link:
        link.setblocking(False)
        if kind == "reader":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(link, ("127.0.0.1", port))
        started = time.monotonic()
        connected.release()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(_suffer(kind, link), LONGEST_SECONDS)
        return time.monotonic() - started


async def _suffer(kind: str, link: socket.socket) -> None:
    """Send or read a little now and then, until the other side ends it."""
    loop = asyncio.get_running_loop()
    own, port = link.getsockname()[1], link.getpeername()[1]
    drop = 0
    while True:
        piece = KINDS[kind](drop)
        if piece:
            await loop.sock_sendall(link, piece)
        drop += 1
        until = loop.time() + DRIP_SECONDS
        if kind == "reader":
            if await _is_ended(own, port, until) or not await loop.sock_recv(link, 1):
                return
            continue
        try:
            while await asyncio.wait_for(loop.sock_recv(link, 4096), until - loop.time()):
                pass
            return
        except TimeoutError:
            continue


async def _is_ended(own: int, port: int, until: float) -> bool:
    """Look until a time of the event loop whether the server has ended our connection."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
        if own not in open_clients(port, int(loop.time() / LOOK_SECONDS)):
            return True
    return False


@functools.lru_cache(maxsize=1)
def open_clients(port: int, look: int) -> frozenset[int]:
    """Return the ports of the clients with whom a server of this machine is connected.

    What the client's own end says is no use: what nobody has read stands before the end, and a
    window that is shut drops even a reset. All who ask in the same `look` get the same answer.
    """
    del look
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if state == _ESTABLISHED and _port(local) == port:
            found.add(_port(remote))
    return frozenset(found)


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


async def main(kind: str, port: int, count: int) -> None:
    """Be so many clients of a kind."""
    connected = asyncio.Semaphore(0)
    clients = [asyncio.create_task(_client(kind, port, connected)) for _ in range(count)]
    for _ in clients:
        await connected.acquire()
    print("connected", flush=True)
    seconds = await asyncio.gather(*clients)
    print(json.dumps(sorted(seconds)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
