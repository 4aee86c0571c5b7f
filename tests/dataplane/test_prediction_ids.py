"""Prediction ids: what callers are told, and that the records of their rows say the same."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from server.wire.record import BatchRecords, prediction_id
from tests.dataplane.conftest import PlanOf
from tests.support.asking import ask, check_nothing_left, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.raw import RawAnswer, connected, post

PATHS = {
    "hot": "/v2/models/{}/infer",
    "cold": "/v2/models/{}/infer?cold",
    "v1": "/v1/models/{}:predict",
}
OWN = re.compile("[0-9a-f]{13}-[0-9a-f]{8}")


class Watched:
    """A worker whose records are kept instead of sent."""

    def __init__(self, worker: InProcessWorker) -> None:
        self.worker = worker
        self._records: list[BatchRecords] = []
        worker.worker.telemetry.send_records = self._take  # type: ignore[method-assign]

    def _take(self, records: BatchRecords) -> bool:
        self._records.append(records)
        return True

    def records(self) -> list[BatchRecords]:
        """Return the records of all that was answered since the last time."""
        check_nothing_left(self.worker)
        self.worker.on_loop(self.worker.worker.telemetry.flush)
        found, self._records[:] = self._records[:], []
        return found

    def told(self) -> list[tuple[str, int, int, bool]]:
        """Return id, first row, rows and pin of each request in the records, in order."""
        found = []
        for records in self.records():
            own = {one.request: one for one in records.own_ids}
            for at, number in enumerate(records.request_numbers.tolist()):
                name = own[at].prediction_id if at in own else None
                found.append(
                    (
                        name or prediction_id(number, records.worker_tag),
                        own[at].first_row if at in own else 0,
                        int(records.request_rows[at]),
                        bool(records.is_pinned[at]),
                    )
                )
        return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[Watched]:
    """A worker with a batched model, one that is not, and one whose answers are not all finite."""
    plans = {name: plan_of(name, max_rows=8) for name in ("affine", "fixed", "reciprocal")}
    with InProcessWorker(tmp_path_factory.mktemp("ids"), plans) as worker:
        yield Watched(worker)


def body_of(way: str, rows: list[list[float]]) -> bytes:
    return json.dumps({"instances": rows}).encode() if way == "v1" else infer_body(rows)


def id_of(answer: RawAnswer) -> str:
    assert answer.status == 200, answer.body
    return answer.header("x-prediction-id") or ""


@pytest.mark.parametrize("model", ["affine", "fixed"])
@pytest.mark.parametrize("way", PATHS)
def test_an_answer_has_an_id_which_its_record_has_too(
    watched: Watched, way: str, model: str
) -> None:
    """On every path, batched or not; the id tells when it was answered."""
    before_us = time.time_ns() // 1000
    answer = ask(watched.worker, post(PATHS[way].format(model), body_of(way, [[1, 2, 3]])))
    after_us = time.time_ns() // 1000

    assert OWN.fullmatch(id_of(answer))
    assert before_us <= int(id_of(answer).split("-")[0], 16) <= after_us
    assert watched.told() == [(id_of(answer), 0, 1, False)]


def test_requests_of_a_batch_have_numbers_behind_each_other(watched: Watched) -> None:
    """Numbers rise with each answer, and ids differ by nothing else."""
    requests = [post(PATHS["hot"].format("affine"), infer_body([[n, 2, 3]])) for n in range(20)]
    with connected(watched.worker.url) as client:
        client.send(b"".join(requests))
        ids = [id_of(client.read()) for _ in requests]

    numbers = [int(one.split("-")[0], 16) for one in ids]
    assert numbers == sorted(set(numbers))
    assert len({one.split("-")[1] for one in ids}) == 1
    assert watched.told() == [(one, 0, 1, False) for one in ids]


@pytest.mark.parametrize("way", PATHS)
def test_the_callers_own_id_takes_the_place_of_ours(watched: Watched, way: str) -> None:
    """It comes back in the answer and stands in the record, also of a version that was named."""
    own = ("X-Prediction-Id: order:17", "X-Model-Version: 1")
    answer = ask(watched.worker, post(PATHS[way].format("affine"), body_of(way, [[1, 2, 3]]), *own))

    assert id_of(answer) == "order:17"
    assert watched.told() == [("order:17", 0, 1, True)]


@pytest.mark.parametrize("header", [None, "X-Prediction-Id: order:17"])
@pytest.mark.parametrize("way", PATHS)
def test_a_request_that_runs_in_parts_has_one_id(
    watched: Watched, way: str, header: str | None
) -> None:
    """The record of each part names it, with the first of its rows."""
    rows = [[row, 2.0, 3.0] for row in range(20)]
    request = post(PATHS[way].format("affine"), body_of(way, rows), *([header] if header else []))
    answer = ask(watched.worker, request)

    name = id_of(answer)
    assert name == "order:17" if header else OWN.fullmatch(name)
    assert watched.told() == [(name, 0, 8, False), (name, 8, 8, False), (name, 16, 4, False)]


@pytest.mark.parametrize("way", PATHS)
def test_no_rows_have_an_id_and_an_error_has_none(watched: Watched, way: str) -> None:
    """An answer without rows is one; what was not answered can have no labels."""
    path = PATHS[way].format("affine")
    empty = b'{"instances": []}' if way == "v1" else infer_body([])
    empty = empty.replace(b'"shape": [0]', b'"shape": [0, 3]')
    assert OWN.fullmatch(id_of(ask(watched.worker, post(path, empty))))
    assert ask(watched.worker, post(path, b"{}")).header("x-prediction-id") is None
    assert watched.told() == []


def test_a_request_that_was_not_answered_has_no_rows(watched: Watched) -> None:
    """In a batch of three, the one whose answer was not finite keeps its number, and no rows."""
    body = [infer_body([[value, 1.0]]) for value in (1.0, 0.0, 2.0)]
    with connected(watched.worker.url) as client:
        client.send(b"".join(post(PATHS["hot"].format("reciprocal"), one) for one in body))
        answers = [client.read() for _ in body]
    assert [answer.status for answer in answers] == [200, 500, 200]

    told = watched.told()
    assert [rows for _, _, rows, _ in told] == [1, 0, 1]
    assert [told[0][0], told[2][0]] == [id_of(answers[0]), id_of(answers[2])]
