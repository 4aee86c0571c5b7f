"""Log lines: structured, on standard error, JSON unless a person is looking.

Decides the form of a line. Never carries feature values, keys or bodies: callers log names, counts
and codes.

A line is an event and values, which the standard library's logging carries to one handler: what
libraries have to say goes the same way. Larger libraries for this bring a terminal's formatting of
tracebacks with them, which each process would load at its start.

Concurrency: any thread; the handler has a lock.
"""

import contextlib
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

from server.config import Settings

_LOGGER = logging.getLogger("server")
_MAX_FRAMES = 50
_MAX_CAUSES = 10
_COLOURS = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 31}


class Log:
    """What all modules write their lines to: the name of an event, and what is known of it."""

    def debug(self, event: str, /, **values: object) -> None:
        """Write what only its developer wants to see."""
        _LOGGER.debug(event, extra={"values": values})

    def info(self, event: str, /, **values: object) -> None:
        """Write what an operator may want to know."""
        _LOGGER.info(event, extra={"values": values})

    def warning(self, event: str, /, **values: object) -> None:
        """Write what an operator should look at."""
        _LOGGER.warning(event, extra={"values": values})

    def error(
        self, event: str, /, *, exc_info: BaseException | None = None, **values: object
    ) -> None:
        """Write what went wrong, with the exception that says so."""
        _LOGGER.error(event, exc_info=exc_info, extra={"values": values})

    def exception(self, event: str, /, **values: object) -> None:
        """Write what went wrong, with the exception that is being handled."""
        self.error(event, exc_info=sys.exception(), **values)


log = Log()


def configure_logs(settings: Settings, process: str) -> None:
    """Set up logging for this process; `process` names it on every line."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    handler = _StandardError()
    handler.setFormatter(_Json(process) if as_json else _Text(process))
    # Libraries say less: their chatter is dropped.
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(settings.log_level.upper())


class _StandardError(logging.StreamHandler[Any]):
    """Standard error as it is when a line is written, not as it was when logging was set up."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Line(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def _members(self, record: logging.LogRecord) -> dict[str, Any]:
        # A library may have levels of its own; readers know the standard ones.
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        library = {} if record.name == _LOGGER.name else {"logger": record.name}
        return {
            "timestamp": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "level": logging.getLevelName(level).lower(),
            "event": record.getMessage(),
            "process": self._process,
            **library,
            **getattr(record, "values", {}),
        }


class _Json(_Line):
    def format(self, record: logging.LogRecord) -> str:
        line = self._members(record)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _causes(record.exc_info[1])
        try:
            return orjson.dumps(line, default=repr).decode()
        except TypeError:  # Such as a name that is not UTF-8. A line about trouble never raises.
            plain = {key: one if isinstance(one, str) else repr(one) for key, one in line.items()}
            return json.dumps(plain)


def _causes(error: BaseException) -> list[dict[str, Any]]:
    """Return an exception and what it came from, without values of variables.

    Those hold callers' bodies and features.
    """
    found: list[dict[str, Any]] = []
    one: BaseException | None = error
    while one is not None and len(found) < _MAX_CAUSES:
        frames = list(traceback.walk_tb(one.__traceback__))[-_MAX_FRAMES:]
        found.append(
            {
                "exc_type": type(one).__name__,
                "exc_value": _words(one),
                "frames": [
                    {
                        "filename": frame.f_code.co_filename,
                        "lineno": line,
                        "name": frame.f_code.co_name,
                    }
                    for frame, line in frames
                ],
            }
        )
        if isinstance(one, BaseExceptionGroup):
            found[-1]["exceptions"] = [_causes(each) for each in one.exceptions[:_MAX_CAUSES]]
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _words(error: BaseException) -> str:
    with contextlib.suppress(Exception):  # A library's may not be able to say what it is.
        return str(error)
    return "<it cannot be written>"


class _Text(_Line):
    def format(self, record: logging.LogRecord) -> str:
        line = self._members(record)
        time, level, event = line.pop("timestamp"), line.pop("level"), line.pop("event")
        values = "  ".join(f"{name}={_shown(value)}" for name, value in line.items())
        text = f"{time} [{_coloured(level)}]{' ' * (8 - len(level))} {_one_line(event)}  {values}"
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        return text


def _coloured(level: str) -> str:
    return f"\x1b[{_COLOURS[level]}m{level}\x1b[0m" if sys.stderr.isatty() else level


def _one_line(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _shown(value: object) -> str:
    """Return a value so that a line stays one line, and its parts can be told apart."""
    text = value if isinstance(value, str) else repr(value)
    return text if text.isprintable() and " " not in text else repr(text)
