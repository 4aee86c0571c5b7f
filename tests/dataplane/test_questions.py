"""Questions to control: every one gets its own answer, or an error, and none waits for ever."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from server import errors
from server.dataplane import questions
from server.dataplane.questions import Questions
from server.errors import ConfigError, ControlUnavailable, TidegateError
from server.wire.frames import Kind
from tests.support.batches import on_loop

BY_CODE = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TidegateError) and kind is not ConfigError
}


class Control:
    """The other end: takes questions, answers them when it is told to."""

    def __init__(self) -> None:
        self.is_reachable = True
        self.asked: list[dict[str, Any]] = []
        self.questions = Questions(self._send)

    def _send(self, kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        assert kind is Kind.ASK
        if self.is_reachable:
            self.asked.append(orjson.loads(b"".join(parts)))
        return self.is_reachable

    def ask(self, **question: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(self.questions.ask(question))

    def answer(self, asked: dict[str, Any], **fields: Any) -> None:
        message = orjson.dumps({"number": asked["number"], **fields})
        self.questions.answered(memoryview(message))

    async def has_been_asked(self, count: int) -> None:
        while len(self.asked) < count:  # noqa: ASYNC110 - asking takes a turn of the loop
            await asyncio.sleep(0)


def test_each_answer_finds_its_question() -> None:
    """Answers may come in any order; each goes to whoever asked."""

    async def scenario() -> None:
        control = Control()
        asking = [control.ask(about=word) for word in ("a", "b", "c")]
        await control.has_been_asked(3)
        for asked in (control.asked[1], control.asked[2], control.asked[0]):
            control.answer(asked, answer=[asked["about"]])

        assert await asyncio.gather(*asking) == [["a"], ["b"], ["c"]]

    on_loop(scenario)


@pytest.mark.parametrize("answer", [None, [], {}, "text", 0])
def test_any_json_can_be_an_answer(answer: object) -> None:
    """Nothing, or something empty, is an answer like others."""

    async def scenario() -> None:
        control = Control()
        asking = control.ask()
        await control.has_been_asked(1)
        control.answer(control.asked[0], answer=answer)

        assert await asking == answer

    on_loop(scenario)


@pytest.mark.parametrize("code", BY_CODE)
def test_an_error_of_control_s_is_raised_as_the_same_error(code: str) -> None:
    """The caller of the data port gets the code, the status and the words that control chose."""

    async def scenario() -> None:
        control = Control()
        asking = control.ask()
        await control.has_been_asked(1)
        control.answer(control.asked[0], error="what is wrong", code=code)
        with pytest.raises(TidegateError) as caught:
            await asking

        assert type(caught.value) is BY_CODE[code]
        assert str(caught.value) == "what is wrong"

    on_loop(scenario)


@pytest.mark.parametrize("code", ["of_the_future", ConfigError.code])
def test_an_error_with_a_code_that_means_nothing_here_is_still_an_error(code: str) -> None:
    """A newer control may know codes that we do not; its words reach the caller as they are."""

    async def scenario() -> None:
        control = Control()
        asking = control.ask()
        await control.has_been_asked(1)
        control.answer(control.asked[0], error="what is wrong", code=code)

        with pytest.raises(TidegateError, match=r"^what is wrong$"):
            await asking

    on_loop(scenario)


def test_without_a_connection_a_question_fails_at_once() -> None:
    """Nobody waits for a control that cannot be asked; another try may be worth while soon."""

    async def scenario() -> None:
        control = Control()
        control.is_reachable = False
        with pytest.raises(ControlUnavailable, match="cannot be reached at the moment") as caught:
            await control.questions.ask({})

        assert caught.value.retry_after_seconds == 1

    on_loop(scenario)


def test_the_loss_of_control_fails_every_question_at_once() -> None:
    """Those who wait are told; who asks after that is not."""

    async def scenario() -> None:
        control = Control()
        asking = [control.ask(), control.ask()]
        await control.has_been_asked(2)
        control.questions.control_lost()
        for task in asking:
            with pytest.raises(ControlUnavailable, match="the control process was lost"):
                await task
        later = control.ask()
        await control.has_been_asked(3)
        control.answer(control.asked[2], answer=1)

        assert await later == 1

    on_loop(scenario)


def test_a_question_without_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control that hangs costs its caller a bounded wait, and its late answer no one anything."""
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 0.01)

    async def scenario() -> None:
        control = Control()
        with pytest.raises(ControlUnavailable, match="the control process does not answer"):
            await control.questions.ask({})
        control.answer(control.asked[0], answer="late")
        control.questions.control_lost()

    on_loop(scenario)


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    """Numbers never asked, answers that come twice, and callers who have left disturb nobody."""

    async def scenario() -> None:
        control = Control()
        control.answer({"number": 99}, answer=1)
        left, stays = control.ask(), control.ask()
        await control.has_been_asked(2)
        left.cancel()
        await asyncio.wait([left])
        control.answer(control.asked[0], answer="for nobody")
        control.answer(control.asked[1], answer="first")
        control.answer(control.asked[1], error="second", code="internal")

        assert await stays == "first"

    on_loop(scenario)
