"""A receiver of webhooks on a real socket, whose answers a test scripts byte for byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

HANG = b"<says nothing>"
HANG_UP = b"<closes>"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Post:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running receiver."""

    url: str
    posts: list[Post] = field(default_factory=list)
    came: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))


@contextlib.asynccontextmanager
async def receiving(
    answers: Sequence[bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Give each request the next answer, and the last one to all that follow."""
    hanging = asyncio.Event()
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.strip().split("\r\n")
            headers = {name: value for name, _, value in (one.partition(": ") for one in fields)}
            body = await reader.readexactly(int(headers["Content-Length"]))
            answer = answers[min(len(receiver.posts), len(answers) - 1)]
            receiver.posts.append(Post(line, headers, body))
            receiver.came.release()
            if answer == HANG:
                await hanging.wait()
            elif answer != HANG_UP:
                writer.write(answer)
                await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver = Receiver(f"http{'s' if tls else ''}://127.0.0.1:{port}/hook?for=models")
    try:
        yield receiver
    finally:
        hanging.set()
        server.close()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
