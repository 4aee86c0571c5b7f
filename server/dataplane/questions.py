"""Questions that a worker puts to control for a caller of the data port.

Decides how an answer finds its question, and how long it is waited for.

Concurrency: event loop only.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from server import errors
from server.errors import ConfigError, ControlUnavailable, TidegateError
from server.wire.frames import Kind

ANSWER_SECONDS = 5.0

_BY_CODE: dict[str, type[TidegateError]] = {
    cls.code: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, TidegateError) and cls is not ConfigError
}
"""What control's answers can raise here. ConfigError ends a start, and is not made from a text."""


class Questions:
    """The questions that have no answer yet."""

    def __init__(self, send: Callable[[Kind, Sequence[bytes | memoryview]], bool]) -> None:
        self._send = send
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, question: dict[str, Any]) -> Any:
        """Ask control and return its answer.

        Raises:
            ControlUnavailable: control cannot be reached or does not answer.
            TidegateError: control answered with this error.

        """
        number = next(self._numbers)
        message = orjson.dumps({**question, "number": number})
        if not self._send(Kind.ASK, [message]):
            raise ControlUnavailable("the control process cannot be reached at the moment")
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            raise ControlUnavailable("the control process does not answer") from None
        finally:
            del self._waiting[number]

    def answered(self, message: memoryview) -> None:
        """Hand an answer to whoever asked."""
        answer = orjson.loads(message)
        future = self._waiting.get(answer["number"])
        if future is None or future.done():
            return
        if "error" in answer:
            kind = _BY_CODE.get(answer["code"], TidegateError)
            future.set_exception(kind(answer["error"]))
        else:
            future.set_result(answer["answer"])

    def control_lost(self) -> None:
        """Fail every question at once: its answer will not come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ControlUnavailable("the control process was lost"))
