"""A request reader with nobody behind it: what it tells is written down."""

from dataclasses import dataclass, field

from server.engine.admission import Budget
from server.errors import TidegateError
from server.http.request_reader import RequestReader
from server.settings import Settings

SETTINGS = Settings(max_header_bytes=2048, max_headers=10, max_url_bytes=256, max_body_bytes=4096)
LARGE = Settings(max_body_bytes=1 << 20)


@dataclass(frozen=True)
class Seen:
    """One request as the reader told it."""

    method: bytes
    url: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    keep_alive: bool


@dataclass
class Recorder:
    """A listener, and the reader it listens to."""

    settings: Settings = SETTINGS
    budget: Budget = field(default_factory=lambda: Budget(1 << 20))
    requests: list[Seen] = field(default_factory=list)
    continues: int = 0
    error: TidegateError | None = None
    clock: float = 100.0

    def __post_init__(self) -> None:
        self.reader = RequestReader(self, self.settings, self.budget)

    def request_begun(self) -> None:
        """Whole requests are what matters here."""

    def expect_continue(self) -> None:
        self.continues += 1

    def request_complete(self) -> None:
        reader = self.reader
        self.requests.append(
            Seen(
                reader.method,
                reader.url,
                tuple(reader.headers),
                bytes(reader.body),
                reader.keep_alive,
            )
        )

    def feed(self, *pieces: bytes) -> "Recorder":
        """Feed pieces until one is refused."""
        for piece in pieces:
            self.error = self.reader.feed(piece, self.clock)
            if self.error is not None:
                break
        return self

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error.code


def head(*lines: str, target: str = "/", version: str = "HTTP/1.1", host: str = "Host: a") -> bytes:
    lines = (f"POST {target} {version}", *([host] if host else []), *lines)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


CHUNKED = head("Transfer-Encoding: chunked")
