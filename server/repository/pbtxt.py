"""Read protobuf text format, as far as Triton's config.pbtxt uses it, without its schema.

Decides how text becomes nested messages. Every field is a list, because without the schema a
field given once cannot be told from a repeated one. No list is empty: `name: []` is as good as
nothing. Pure.

Source: protobuf.dev, "Text Format Language Specification".
"""

import re
from typing import Union

Value = Union[str, int, float, bool, "Message"]
Message = dict[str, list[Value]]

_TOKEN = re.compile(
    r"""
    (?P<space>[\s]+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[fF]?)
  | (?P<word>-?[A-Za-z_][A-Za-z0-9_./-]*)
  | (?P<mark>[{}<>\[\]:;,])
    """,
    re.VERBOSE,
)

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|.)")
_ESCAPES = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
}
_CLOSING = {"{": "}", "<": ">", "[": "]"}
_MAX_DEPTH = 50


class PbtxtError(ValueError):
    """The text is not protobuf text format; the message names the line."""


def parse(text: str) -> Message:
    """Return the message that `text` spells.

    Raises:
        PbtxtError: it spells none.

    """
    return _Parser(text).message(end="", depth=0)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise PbtxtError(f"line {line}: unexpected {text[at]!r}")
            if match.lastgroup != "space":
                self._tokens.append((str(match.lastgroup), match.group(), line))
            line += match.group().count("\n")
            at = match.end()
        self._tokens.append(("end", "", line))
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at][1]

    def _next(self) -> tuple[str, str, int]:
        token = self._tokens[self._at]
        if token[0] != "end":
            self._at += 1
        return token

    def _fail(self, token: tuple[str, str, int], wanted: str) -> PbtxtError:
        got = repr(token[1]) if token[1] else "the end"
        return PbtxtError(f"line {token[2]}: expected {wanted}, got {got}")

    def message(self, end: str, depth: int) -> Message:
        if depth > _MAX_DEPTH:
            raise PbtxtError(f"line {self._tokens[self._at][2]}: nested too deeply")
        fields: Message = {}
        while self._peek() != end:
            token = self._next()
            kind, name, _ = token
            if kind != "word":
                raise self._fail(token, "a field name")
            self._colon()
            if values := self._values(depth):
                fields.setdefault(name, []).extend(values)
            if self._peek() in (",", ";"):
                self._next()
        if end:
            self._next()
        return fields

    def _colon(self) -> None:
        """Step over a colon, which messages and lists may do without."""
        if self._peek() == ":":
            self._next()
        elif self._peek() not in _CLOSING:
            raise self._fail(self._tokens[self._at], "':', '{' or '['")

    def _values(self, depth: int) -> list[Value]:
        if self._peek() != "[":
            return [self._value(depth)]
        self._next()
        values: list[Value] = []
        while self._peek() != "]":
            values.append(self._value(depth))
            if self._peek() == ",":
                self._next()
            elif self._peek() != "]":
                raise self._fail(self._tokens[self._at], "',' or ']'")
        self._next()
        return values

    def _value(self, depth: int) -> Value:
        token = self._next()
        kind, text, _ = token
        if text in ("{", "<"):
            return self.message(_CLOSING[text], depth + 1)
        if kind == "string":
            parts = [_unquote(text)]
            while self._tokens[self._at][0] == "string":
                parts.append(_unquote(self._next()[1]))
            return "".join(parts)
        if kind == "number":
            return _number(text)
        if kind == "word":
            return {"true": True, "false": False}.get(text, text)
        raise self._fail(token, "a value")


def _unquote(text: str) -> str:
    """Undo quotes and escapes; octal and hexadecimal ones are bytes of UTF-8."""
    return _ESCAPE.sub(_unescape, text[1:-1].encode()).decode("utf-8", "replace")


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if code[:1] in b"01234567":
        return bytes([int(code, 8) & 0xFF])
    if len(code) > 1:
        number = int(code[1:], 16)
        return bytes([number]) if code[:1] == b"x" else chr(number).encode("utf-8", "surrogatepass")
    return _ESCAPES.get(code, code)


def _number(text: str) -> int | float:
    digits = text.lstrip("+-")
    if digits[:2] in ("0x", "0X"):
        return int(text, 16)
    if re.fullmatch("0[0-7]+", digits):
        return int(text, 8)
    plain = text.rstrip("fF")
    try:
        return int(plain)
    except ValueError:
        return float(plain)
