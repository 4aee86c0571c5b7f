"""Inference on a connection of its own caller: the bytes of its answer, when it is their turn.

Decides the bytes of hot answers; does not know sockets.

Concurrency: event loop only.
"""

import asyncio
from typing import TYPE_CHECKING

from server.dataplane.call import Call
from server.errors import TidegateError
from server.protocol import compression
from server.protocol.answers import InferAnswer, Pieces
from server.protocol.errors import error_answer, refusal
from server.protocol.http_answer import Answer, infer_http, response_head
from server.protocol.request_headers import PLAIN, new_request_id

if TYPE_CHECKING:
    from server.dataplane.connection import DataConnection


class HotExchange(Call):
    """An inference answered on the connection itself."""

    __slots__ = ("close", "connection", "response")

    def __init__(self, connection: "DataConnection", *, close: bool) -> None:
        self.is_gone = False  # As Call does it; one call less for each request.
        self.connection = connection
        self.close = close
        self.headers = PLAIN
        self.response: bytes | None = None

    def leave(self) -> None:
        """Nobody waits for the answer any more: what has not begun is not run."""
        self.is_gone = True

    def caller(self) -> str:
        """Return who asks: the connection knows."""
        return self.connection.caller()

    def answered_json(self, body: bytes) -> None:
        """Write an answer that is all JSON: for most requests, a join of ready parts."""
        connection = self.connection
        plane = connection.plane
        if self.close or not (self.headers.is_silent or self._is_silent_for(len(body))):
            self.answered(InferAnswer(body))
            return
        self.response = b"%b%d%b%x%b\r\n\r\n%b" % (
            plane.json_ok_prefix(connection.server_state.default_headers),
            len(body),
            self.target.head,
            self.number,
            plane.prediction_id_end,
            body,
        )
        connection.advance()

    def answered_binary(self, pieces: Pieces, size: int) -> None:
        """Write an answer of JSON and binary tensors, which are copied this once."""
        connection = self.connection
        plane = connection.plane
        if self.close or not (self.headers.is_silent or self._is_silent_for(size)):
            super().answered_binary(pieces, size)
            return
        head = b"%b%d%b%x%b\r\ninference-header-content-length: %d\r\n\r\n" % (
            plane.binary_ok_prefix(connection.server_state.default_headers),
            size,
            self.target.head,
            self.number,
            plane.prediction_id_end,
            len(pieces[0]),
        )
        self.response = b"".join((head, *pieces))
        connection.advance()

    def _is_silent_for(self, size: int) -> bool:
        """Whether nothing that the headers ask for shows in an answer of this size.

        Most HTTP libraries accept a compressed answer, and most answers are too small for one.
        """
        headers = self.headers
        return (
            headers.request_id is None
            and headers.prediction_id is None
            and size < self.connection.plane.settings.compress_min_bytes
        )

    def answered(self, answer: InferAnswer | Exception) -> None:
        """Write the answer's bytes, and let the connection send them when it is their turn."""
        if not isinstance(answer, InferAnswer):
            if isinstance(answer, TidegateError) and self._refuse(answer):
                return
            self._respond(error_answer(answer, self.headers.request_id or new_request_id()))
            return
        plane, headers = self.connection.plane, self.headers
        prediction_id = self.prediction_id(plane.telemetry.tag)
        http = infer_http(answer, self.target.origin, prediction_id, headers.request_id)
        accepted, min_bytes = headers.accept_encoding, plane.settings.compress_min_bytes
        coding = compression.choose(accepted, len(answer.body), min_bytes) if accepted else None
        if coding is not None:
            self._compress(http, coding)
        else:
            self._respond(http)

    def _refuse(self, error: TidegateError) -> bool:
        """Write a refusal for want of room, for little; False if it is no such plain one."""
        if error.shed_reason is None or self.close or self.headers.request_id is not None:
            return False
        connection = self.connection
        default_head = connection.plane.default_head(connection.server_state.default_headers)
        self.response = refusal(error, default_head, new_request_id())
        connection.advance()
        return True

    def _respond(self, answer: Answer) -> None:
        default_headers = self.connection.server_state.default_headers
        self.response = response_head(answer, default_headers, close=self.close) + answer.body
        self.connection.advance()

    def _compress(self, answer: Answer, coding: str) -> None:
        """Compress off the loop, because a large body would hold up everybody else."""
        task = asyncio.get_running_loop().create_task(
            asyncio.to_thread(compression.compressed, answer, coding)
        )
        self.connection.keep(task)
        task.add_done_callback(self._compressed)

    def _compressed(self, task: "asyncio.Task[Answer]") -> None:
        if not task.cancelled():
            self._respond(task.result())
