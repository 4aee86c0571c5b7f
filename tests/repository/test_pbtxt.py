"""Protobuf text format: what is written is what is read, and errors name their line."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.repository.pbtxt import Message, PbtxtError, Value, parse

names = st.sampled_from(["a", "name", "instance_group", "_x9", "A", "true"])
words = st.sampled_from(["KIND_CPU", "TYPE_FP32", "x", "inf", "a.b/c"])
scalars: st.SearchStrategy[Value] = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: f"'{text}"),
    words,
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


def messages(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Message]:
    """Make messages of repeated fields."""
    fields = st.lists(values, min_size=1, max_size=3)
    return st.dictionaries(names, fields, max_size=4)


documents = messages(st.recursive(scalars, lambda inner: messages(inner), max_leaves=12))


class Printer:
    """Write a message down in one of the many ways that the format allows."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _one_of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def message(self, message: Message) -> str:
        pieces = []
        for name, values in message.items():
            if self._random.random() < 0.5:
                spelt = self._one_of(", ", ",", " ,\n").join(map(self.value, values))
                pieces.append(f"{name}{self._colon(values[0])}[{spelt}]")
            else:
                pieces += [f"{name}{self._colon(value)}{self.value(value)}" for value in values]
        gap = self._one_of("\n", ";", ", ", " # { not [ read ]: '\n")
        return gap.join(pieces) + self._one_of("", " ", "\n")

    def _colon(self, value: Value) -> str:
        return self._one_of(":", ": ", " ", "") if isinstance(value, dict) else ": "

    def value(self, value: Value) -> str:
        if isinstance(value, dict):
            brackets = self._one_of("{}", "<>")
            return f"{brackets[0]} {self.message(value)}{brackets[1]}"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return self._string(value[1:]) if value.startswith("'") else value
        return repr(value)

    def _string(self, text: str) -> str:
        quote = self._one_of('"', "'")
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, f"\\{quote}")
        cut = self._random.randint(0, len(text)) if escaped == text else 0
        first, second = escaped[:cut], escaped[cut:]
        return (
            f"{quote}{first}{quote} {quote}{second}{quote}" if cut else f"{quote}{escaped}{quote}"
        )


def plain(value: Value) -> Value:
    """Return a value as the reader gives it: without the mark that tells strings from words."""
    if isinstance(value, dict):
        return {name: [plain(one) for one in values] for name, values in value.items()}
    return value[1:] if isinstance(value, str) and value.startswith("'") else value


@settings(max_examples=50, deadline=None)
@given(documents, st.integers(0, 1 << 32))
def test_what_is_written_in_any_spelling_is_what_is_read(document: Message, seed: int) -> None:
    """Any message, with any choice of brackets, separators, quotes and comments, comes back."""
    text = Printer(seed).message(document)
    parsed = parse(text)

    assert parsed == plain(document)
    assert repr(parsed) == repr(plain(document)), "1, 1.0 and true are different values"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab_1.-:{}<>[]\"'\\,;#\n 0xf"), max_size=40))
def test_whatever_comes_is_read_or_refused_with_a_line(text: str) -> None:
    """No text makes the reader fail in a way of its own."""
    try:
        parse(text)
    except PbtxtError as error:
        line = str(error).removeprefix("line ").partition(":")[0]
        assert 1 <= int(line) <= text.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -7", -7),
        ("a: +7", 7),
        ("a: 0x1F", 31),
        ("a: -0xff", -255),
        ("a: 017", 15),
        ("a: 1.5", 1.5),
        ("a: .5", 0.5),
        ("a: 5.", 5.0),
        ("a: 1e3", 1000.0),
        ("a: 1.5f", 1.5),
        ("a: 2F", 2),
        ("a: true", True),
        ("a: false", False),
        ("a: KIND_CPU", "KIND_CPU"),
        ("a: -inf", "-inf"),
        ('a: "x"', "x"),
        ("a: ''", ""),
        ('a: "x" \'y\'\n"z"', "xyz"),
        (r'a: "tab\tnew\nquote\"back\\slash"', 'tab\tnew\nquote"back\\slash'),
        (r'a: "\303\251 \x41\x4a \u00e9"', "é AJ é"),
        (r'a: "\q \777 \xff"', "q \ufffd \ufffd"),
        (r'a: "\ud800"', "\ufffd" * 3),
        ('a: "# no comment"', "# no comment"),
        ("a: x # comment: y", "x"),
    ],
)
def test_values_are_spelt_as_the_format_says(text: str, value: Value) -> None:
    """Each form of a scalar has one meaning."""
    [got] = parse(text)["a"]

    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a { b: 1 } a { b: 2 }",
        "a: { b: 1 } a: < b: 2 >",
        "a [ { b: 1 }, { b: 2 } ]",
        "a: [ { b: 1 }, < b: 2 > ]",
        "a [\n  {\n    b: 1\n  },\n  {\n    b: 2\n  }\n]",
        "a <b:1> a [{b:2}]",
    ],
)
def test_messages_are_repeated_in_each_way_that_triton_writes(text: str) -> None:
    """A list of messages needs no colon, and one at a time or all at once is the same."""
    assert parse(text) == {"a": [{"b": [1]}, {"b": [2]}]}


@pytest.mark.parametrize("text", ["", "  \n\t", "# only a comment", "# one\n# two\n"])
def test_nothing_is_an_empty_message(text: str) -> None:
    """A file without a field is a message without a field."""
    assert parse(text) == {}


def test_an_empty_list_is_as_good_as_nothing() -> None:
    """`a: []` is no field, so that whoever reads a field finds a value in it."""
    assert parse("a: [] b {} c: 1 c: []") == {"b": [{}], "c": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "line 1: expected ':', '{' or '[', got the end"),
        ("\na 1", "line 2: expected ':', '{' or '[', got '1'"),
        ("a:", "line 1: expected a value, got the end"),
        ("a: 1\nb:\n\n}", "line 4: expected a value, got '}'"),
        ("a: 1 }", "line 1: expected a field name, got '}'"),
        ("a {\n b: 1\n", "line 3: expected a field name, got the end"),
        ("a < b: 1 }", "line 1: expected a field name, got '}'"),
        ("1: 2", "line 1: expected a field name, got '1'"),
        ('\n\n"a": 2', "line 3: expected a field name, got '\"a\"'"),
        ("a: [1, 2", "line 1: expected ',' or ']', got the end"),
        ("a: [1 2]", "line 1: expected ',' or ']', got '2'"),
        ("a: [1,\n [2]]", "line 2: expected a value, got '['"),
        ('a: "x', "line 1: unexpected '\"'"),
        ('a: "x\n"', "line 1: unexpected '\"'"),
        ("# one\n# two\na: @", "line 3: unexpected '@'"),
        ("a: 1,, b: 2", "line 1: expected a field name, got ','"),
    ],
)
def test_an_error_names_its_line_and_what_was_expected(text: str, message: str) -> None:
    """Whoever mends the file finds the place."""
    with pytest.raises(PbtxtError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_nesting_is_bounded() -> None:
    """Fifty levels are read; more are refused instead of exhausting the stack."""
    assert parse("a {" * 50 + "}" * 50)
    for text in ("a {" * 51 + "}" * 51, "\n" * 3 + "a: <" * 10_000):
        with pytest.raises(PbtxtError, match="nested too deeply"):
            parse(text)


@pytest.mark.parametrize("text", ["a: 1e999", "a: " + "9" * 5000])
def test_a_number_beyond_all_bounds_is_infinite_and_no_crash(text: str) -> None:
    """A number that nothing can hold is read as one that no setting takes."""
    assert parse(text) == {"a": [math.inf]}
