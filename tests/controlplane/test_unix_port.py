"""Sockets that are found by their path: also after somebody has removed it."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from server.controlplane.unix_port import UnixPort


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def __init__(self, ended: asyncio.Semaphore) -> None:
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._ended.release()


async def echoed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """Say something on a connection; return what comes back."""
    streams[1].write(b"here")
    async with asyncio.timeout(20):
        return await streams[0].readexactly(4)


@pytest.mark.parametrize("what", ["unlinked", "replaced", "folder"])
def test_a_socket_whose_path_has_gone_listens_anew(tmp_path: Path, what: str) -> None:
    """Who is connected stays so, and who comes later finds it again."""
    path = tmp_path / "state" / "control.sock"
    path.parent.mkdir()

    async def main() -> None:
        ended = asyncio.Semaphore(0)
        port = UnixPort(lambda: Echo(ended))
        await port.open(str(path))
        early = await asyncio.open_unix_connection(path)
        assert await echoed(early) == b"here"
        identity = path.stat().st_ino
        await port.mend()
        assert path.stat().st_ino == identity

        if what == "folder":
            shutil.rmtree(path.parent)
            await port.mend()
            path.parent.mkdir()
        elif what == "replaced":
            (path.parent / "other").write_bytes(b"")
            os.replace(path.parent / "other", path)
        else:
            path.unlink()
        await port.mend()

        late = await asyncio.open_unix_connection(path)
        assert await echoed(late) == b"here"
        assert await echoed(early) == b"here"
        for _, writer in (early, late):
            writer.close()
            await writer.wait_closed()
            await ended.acquire()
        port.close()

    asyncio.run(main())


def test_a_port_that_was_never_opened_has_nothing_to_mend() -> None:
    """Control may look before it listens."""
    asyncio.run(UnixPort(asyncio.Protocol).mend())
