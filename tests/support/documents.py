"""Read the project's documents: tables, code blocks, links, commands."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def files(pattern: str) -> list[Path]:
    """Return the project's files of that pattern, those in hidden folders left out."""
    found = list(ROOT.glob(pattern))
    for folder in ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            found += folder.rglob(pattern)
    return sorted(found)


def pages() -> list[Path]:
    """Return every Markdown file of the project."""
    return files("*.md")


def page(name: str) -> str:
    """Return the text of a page, named from the project's root."""
    return (ROOT / name).read_text(encoding="utf-8")


def in_code(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", cell)


def tables(text: str, first: str) -> list[dict[str, str]]:
    """Return the rows of all tables whose first column has that heading, as heading to cell."""
    rows: list[dict[str, str]] = []
    heading: list[str] | None = None
    for line in text.splitlines():
        if not line.startswith("|"):
            heading = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if heading is None:
            heading = cells
        elif heading[0] == first and not set(line) <= set("|-: "):
            rows.append(dict(zip(heading, cells, strict=True)))
    return rows


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return all fenced blocks of a language, of all pages."""
    found = []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            name = path.relative_to(ROOT).as_posix()
            if match.group(1) == language:
                found.append(Block(name, line, language, match.group(2)))
    return found


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@dataclass(frozen=True)
class Example:
    """A command of a console block, and what it prints."""

    where: str
    words: list[str]
    output: str


def examples(block: Block) -> Iterator[Example]:
    """Cut a console block into commands and their outputs."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        command, count = "", 0
        for count in range(1, len(lines) + 1):
            command = "\n".join(lines[:count])
            if not command.endswith("\\") and _is_closed(command):
                break
        words = shlex.split(command.replace("\\\n", " "))
        yield Example(f"{block}: {lines[0][:70]}", words, "\n".join(lines[count:]))


def _is_closed(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Curl:
    """The part of curl that the documents use."""

    url: str
    method: str
    headers: dict[str, str]
    body: bytes | None


def curl(words: list[str]) -> Curl:
    """Read a curl command; an option that is not known here fails."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    assert words[0] == "curl"
    options = parser.parse_args(words[1:])
    headers = dict(header.split(": ", 1) for header in options.headers)
    method = options.method or ("GET" if options.body is None else "POST")
    body = None if options.body is None else options.body.encode()
    return Curl(options.url, method, headers, body)


def difference(expected: Any, got: Any, where: str = "") -> str:
    """Say where an answer is not the documented one; empty if it is.

    Numbers may differ by rounding. A documented text that ends in … stands for all that begin so.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        if list(expected) != list(got):
            return f"{where}: expected members {list(expected)}, got {list(got)}"
        pairs: list[tuple[Any, Any]] = [(key, key) for key in expected]
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{where}: expected {len(expected)} items, got {len(got)}"
        pairs = [(index, index) for index in range(len(expected))]
    else:
        same = expected == got and type(expected) is type(got)
        if isinstance(expected, float) and isinstance(got, float):
            same = abs(expected - got) <= 1e-4 * max(abs(expected), 1e-3)
        elif isinstance(expected, str) and isinstance(got, str) and expected.endswith("…"):
            same = got.startswith(expected[:-1])
        return "" if same else f"{where}: expected {expected!r}, got {got!r}"
    found = (difference(expected[key], got[key], f"{where}/{key}") for key, _ in pairs)
    return next((one for one in found if one), "")


def parsed(output: str | bytes) -> Any:
    """Return the JSON that an example prints."""
    return json.loads(output)
