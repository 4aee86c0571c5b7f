"""Have new versions checked by a process of its own.

Decides how long a check may take and what it means when the checking process dies. A process
checks one version at a time and stays for the next one while there is work, because starting it
costs more than checking a small model. Others are started when a version keeps it for a while: a
model may be slow, or hang.

Concurrency: event loop only; `verify` calls wait for each other.
Lifetime: the process ends when idle for a while, when it hangs, and with control.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import structlog

from server.errors import ModelInvalid
from server.machine import how_it_ended
from server.repository.verdict import Verdict, VerificationOrder

log = structlog.get_logger()

_IDLE_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0
"""How long a version waits for a process that runs before another one is started for it."""
_MAX_LINE_BYTES = 16 << 20


class Verifier:
    """The checking process, started when it is needed."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def verify(self, order: VerificationOrder) -> Verdict:
        """Check a version.

        Raises:
            ModelInvalid: it cannot be served, made the process crash, or took too long.

        """
        async with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await self._ask(order)
            except TimeoutError:
                await self._kill()
                raise ModelInvalid(
                    f"checking it took longer than {self._timeout_seconds:g} seconds",
                    fix="raise verify_timeout_seconds, or make the model faster to open and run",
                ) from None
            finally:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(_IDLE_SECONDS, self._end_if_idle)
        if "error" in answer:
            raise ModelInvalid(answer["error"], fix=answer["fix"])
        return Verdict.from_json(answer["verdict"])

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._idle is not None:
            self._idle.cancel()
        await self._kill()

    async def _ask(self, order: VerificationOrder) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None, "the process was started with pipes"
        assert process.stdout is not None, "the process was started with pipes"
        process.stdin.write(orjson.dumps(_plain(order)) + b"\n")
        line = b""
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            code = await process.wait()
            self._process = None
            raise ModelInvalid(
                f"opening or running it crashed the checking process ({how_it_ended(code)})",
                fix="try the model with onnxruntime alone; export it again with another version",
            )
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "server.repository.verifier",
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_MAX_LINE_BYTES,
                start_new_session=True,  # Ctrl-C is for the supervisor to answer.
            )
        return self._process

    def _end_if_idle(self) -> None:
        """Let the process go by closing its input; it ends by itself."""
        if not self._lock.locked() and self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    async def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None


class Verifiers:
    """A few checking processes, so that a version that hangs does not hold up all others.

    One does for most repositories, and each takes a quarter of a second of processor time to start,
    while the gateway itself does: another is there only when versions have waited for it.
    """

    def __init__(
        self, number: int, timeout_seconds: float, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._all = [Verifier(timeout_seconds) for _ in range(number)]
        self._patience_seconds = patience_seconds
        self._unused = self._all[1:]
        self._idle = self._all[:1]
        self._free = asyncio.Semaphore(len(self._idle))

    async def verify(self, order: VerificationOrder) -> Verdict:
        """Check a version, in the process that was used last; see `Verifier.verify`."""
        verifier = await self._take()
        try:
            return await verifier.verify(order)
        finally:
            self._idle.append(verifier)
            self._free.release()

    async def _take(self) -> Verifier:
        """Wait for a process, or for long enough to take one that was not used before."""
        if self._unused:
            try:
                async with asyncio.timeout(self._patience_seconds):
                    await self._free.acquire()
            except TimeoutError:
                if self._unused:
                    return self._unused.pop()
            else:
                return self._idle.pop()
        await self._free.acquire()
        return self._idle.pop()

    async def close(self) -> None:
        """Let go of all processes."""
        for verifier in self._all:
            await verifier.close()


def _plain(order: VerificationOrder) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name in VerificationOrder.__slots__
        for value in [getattr(order, name)]
    }
