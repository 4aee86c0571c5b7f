"""Templates turned into pages, and the files that pages need.

Decides how values are written into HTML: escaped, always. Jinja2 is imported with the first page,
not at the start. Files are read once, named with a hash of their bytes and so kept by browsers for
as long as they like; all of them lie beside this module, so that no page needs another host.

Concurrency: pages may be rendered on any thread; the first use builds the environment.
Lifetime: that of control.
"""

import functools
import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.console import words
from server.console.overview import model_href

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
STATIC = "/console/"
"""Where the files are, as paths of the control port."""

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The content security policy of every page: nothing inline, nothing of another host."""


class Pages:
    """All templates and files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._environment: Environment | None = None

    def render(self, template: str, values: dict[str, Any]) -> bytes:
        """Return a page or a part of one."""
        return self._built().get_template(template).render(values).encode()

    def _built(self) -> "Environment":
        with self._lock:
            if self._environment is None:
                self._environment = _environment()
            return self._environment


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    made.globals |= {"asset": asset, "model_href": model_href}
    made.filters |= {
        "count": words.count,
        "figure": words.figure,
        "share": words.share,
        "duration": words.duration,
        "age": words.age,
        "size": words.size,
        "weight": words.weight,
        "utc": lambda seconds: _moment(seconds).strftime("%Y-%m-%d %H:%M:%S"),
        "iso": lambda seconds: _moment(seconds).isoformat(timespec="seconds"),
    }
    return made


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@functools.cache
def files() -> dict[str, bytes]:
    """Return every file that pages may ask for, by its path below `STATIC`."""
    folder = FOLDER / "static"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in KINDS
    }


@functools.cache
def asset(name: str) -> str:
    """Return the address of a file, which changes with its bytes."""
    return f"{STATIC}{name}?{hashlib.sha256(files()[name]).hexdigest()[:12]}"
