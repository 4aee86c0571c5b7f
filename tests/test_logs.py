"""Log lines, each process of the test writing its own to a real standard error."""

import json
import subprocess
import sys
from typing import Any

import pytest

BREAK = """
secret = "hunter" + str(2)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""
PROLOGUE = """
import asyncio, logging, os, structlog, warnings
from pathlib import Path
from server.settings import Settings
from server.logs import configure_logs
log = structlog.get_logger()
configure_logs(Settings(**{settings}), "worker-0")
library = logging.getLogger("uvicorn.error")
"""


def stderr_of(program: str, **settings: Any) -> list[str]:
    """Run a program that logs; return the lines it wrote. Nothing goes to standard output."""
    answer = subprocess.run(
        [sys.executable, "-c", PROLOGUE.replace("{settings}", repr(settings)) + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout == ""
    return answer.stderr.splitlines()


def logged(program: str, **settings: Any) -> list[dict[str, Any]]:
    """Run a program that logs JSON; return the lines it wrote, each read."""
    return [json.loads(line) for line in stderr_of(program, log_format="json", **settings)]


def test_a_line_is_one_json_object_that_names_its_process() -> None:
    """Time in UTC, level, event and whatever the caller adds, kinds of values kept."""
    (line,) = logged("log.info('loaded', model='m', rows=3, share=0.5, path=Path('/a'))")

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "loaded",
        "level": "info",
        "process": "worker-0",
        "model": "m",
        "rows": 3,
        "share": 0.5,
        "path": "PosixPath('/a')",
    }


def test_what_json_cannot_carry_is_logged_all_the_same() -> None:
    """Names of files that are not UTF-8, integers of any length: a log line never raises."""
    lines = logged(
        "log.info('odd', name=os.fsdecode(b'\\xff'), size=10**30, nan=float('nan'), key={1: 'a'})\n"
        "loop = []; loop.append(loop)\n"
        "log.info('loop', value=loop)\n"
        "log.info('next')\n"
    )

    assert [line["event"] for line in lines] == ["odd", "loop", "next"]
    assert lines[0]["process"] == "worker-0"
    assert "\\udcff" in json.dumps(lines[0]["name"])


def test_a_line_break_in_a_value_does_not_make_another_line() -> None:
    """What a caller sends cannot forge a line."""
    (line,) = logged("log.warning('refused\\nnot a line', value='a\\n{}')")

    assert line["event"] == "refused\nnot a line"


def test_lines_below_the_level_are_not_written() -> None:
    """The setting names the least severe that are."""
    program = """
for level in ("debug", "info", "warning", "error"):
    configure_logs(Settings(log_format="json", log_level=level), level)
    log = structlog.get_logger()
    log.debug("x"); log.info("x"); log.warning("x"); log.error("x")
"""
    written = [(line["process"], line["level"]) for line in logged(program)]

    levels = ["debug", "info", "warning", "error"]
    assert written == [(one, other) for i, one in enumerate(levels) for other in levels[i:]]


def test_an_exception_is_a_member_of_its_line() -> None:
    """With its kind and frames, so that a search can find it, and without values of variables."""
    (line,) = logged(BREAK)

    (exception,) = line["exception"]
    assert line["event"] == "broken"
    assert line["level"] == "error"
    assert exception["exc_type"] == "ZeroDivisionError"
    assert exception["frames"][0]["lineno"] > 1
    assert "hunter2" not in json.dumps(line), "values of variables are the callers' own"


def test_what_libraries_log_goes_the_same_way() -> None:
    """Formatted, with the library's logger named; its chatter below a warning is dropped."""
    lines = logged(
        "library.info('chatter')\n"
        "library.warning('%d of %s', 3, '{x}')\n"
        "library.error('100%')\n"
        "library.log(35, 'between'); library.log(99, 'beyond')\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    library.exception('raised')\n"
        "asyncio.new_event_loop().call_exception_handler({'message': 'from a loop'})\n"
    )

    assert [(line["event"], line["logger"]) for line in lines] == [
        ("3 of {x}", "uvicorn.error"),
        ("100%", "uvicorn.error"),
        ("between", "uvicorn.error"),
        ("beyond", "uvicorn.error"),
        ("raised", "uvicorn.error"),
        ("from a loop", "asyncio"),
    ]
    levels = ["warning", "error", "warning", "critical", "error", "error"]
    assert [line["level"] for line in lines] == levels
    assert lines[4]["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert {line["process"] for line in lines} == {"worker-0"}


def test_text_is_for_people() -> None:
    """One line each, with level, event and values, and without colours where nobody looks."""
    lines = stderr_of("log.info('loaded', model='m')", log_format="text")

    (line,) = lines
    assert "loaded" in line
    assert "info" in line
    assert "model=m" in line
    assert "\x1b" not in line


def test_a_traceback_for_people_has_no_values_either() -> None:
    """It may end up in the same file as the JSON of others."""
    lines = stderr_of(BREAK, log_format="text")

    assert "broken" in lines[0]
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "hunter2" not in "".join(lines)


def test_auto_writes_json_where_no_terminal_is() -> None:
    """As for a log collector."""
    (line,) = stderr_of("log.info('loaded')", log_format="auto")

    assert json.loads(line)["event"] == "loaded"


def test_auto_writes_text_to_a_terminal() -> None:
    """As for whoever started it by hand: a pseudo-terminal stands for one."""
    program = (
        "import os, pty, subprocess, sys\n"
        "def read(fd):\n"
        "    return os.read(fd, 65536)\n"
        "pty.spawn([sys.executable, '-c', sys.argv[1]], read)\n"
    )
    logs = PROLOGUE.replace("{settings}", "{}") + "log.info('loaded', model='m')"

    answer = subprocess.run(
        [sys.executable, "-c", program, logs], capture_output=True, timeout=60, check=True
    )
    assert b"\x1b[" in answer.stdout
    assert b"loaded" in answer.stdout
    assert b"{" not in answer.stdout


@pytest.mark.parametrize("library", [False, True])
def test_a_line_that_cannot_be_written_stops_nobody(*, library: bool) -> None:
    """On a full disk, the line is lost and whoever logs goes on."""
    line = "library.warning('x' * 9000)" if library else "log.info('x' * 9000)"
    program = f"""
for _ in range(3):
    {line}
print("still here", flush=True)
os._exit(0)  # The interpreter would complain of what it could not write.
"""
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-c", PROLOGUE.replace("{settings}", "{}") + program],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=60,
            check=True,
        )

    assert answer.stdout == "still here\n"
