"""Log lines: structured, on standard error, JSON unless a person is looking.

Decides the form of a line. Never carries feature values, keys or bodies: callers log names, counts
and codes.
"""

import contextlib
import json
import logging
import sys
from typing import Any, TextIO, cast

import orjson
import structlog
import structlog.tracebacks
from structlog.typing import EventDict, WrappedLogger

from server.settings import Settings


def configure_logs(settings: Settings, process: str) -> None:
    """Set up logging for this process; `process` names it on every line."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            _Named(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(as_json=as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    # Libraries use the standard library's logging; what they have to say goes the same way.
    handler = _Forward()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _StandardError:
    """Standard error as it is when a line is written, not as it was when logging was set up.

    Whoever logs goes on if a line cannot be written, because the disk is full or nobody reads it:
    a line is lost then, and not what it is about.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


class _Named:
    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        del logger, method
        event["process"] = self._process
        return event


def _renderers(*, as_json: bool) -> list[Any]:
    # Tracebacks without the values of variables: those hold callers' bodies and features.
    if not as_json:
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return [
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _dumps(line: dict[str, Any], **_: Any) -> str:
    try:
        return orjson.dumps(line, default=repr).decode()
    except TypeError:  # Such as a file name that is not UTF-8. A line about trouble never raises.
        plain = {key: one if isinstance(one, str) else repr(one) for key, one in line.items()}
        return json.dumps(plain)


class _Forward(logging.Handler):
    """Pass a library's log record on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(logger=record.name)
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        # A library may have levels of its own; structlog knows the standard ones.
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        log.log(level, record.getMessage(), exc_info=exc_info)
