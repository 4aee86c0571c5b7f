"""Who may ask a model on the hot path and on the cold one: the same callers, byte for byte."""

from collections.abc import Iterator

import pytest

from server.access import key_file, keys
from server.access.gate import Peer
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role
from server.dataplane.telemetry import UNKNOWN
from server.errors import Unauthenticated
from tests.support.asking import AFFINE, affine_data, ask, data_of, error_of, infer_body, turn
from tests.support.dataplane import InProcessWorker, plan
from tests.support.models import affine
from tests.support.raw import RawConnection, connected

ROWS = [[0.1, -2.5, 3e7]]
COLD = "/v2/models/affin%65/infer"
ASKS_ALL, ASKS_OTHER, READS = (new_token()[1] for _ in range(3))


def entry(token: str, role: Role, *models: str) -> Key:
    """Return what is kept of a key."""
    raw = token.encode()
    return Key(keys.token_id(raw), role.value, (role,), models or None, keys.digest(raw))


ENTRIES = [
    entry(ASKS_ALL, Role.PREDICT),
    entry(ASKS_OTHER, Role.PREDICT, "digits"),
    entry(READS, Role.READ_METRICS),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessWorker]:
    """A worker that knows three keys."""
    folder = tmp_path_factory.mktemp("access")
    (folder / "affine.onnx").write_bytes(affine())
    key_file.change(folder / "keys.json", lambda _: ENTRIES)
    plans = {"affine": plan(folder / "affine.onnx")}
    with InProcessWorker(folder, plans) as worker:
        yield worker


def request(path: str = AFFINE, key: str = "", rows: object = ROWS) -> bytes:
    """Return an inference, with a key if there is one."""
    body = infer_body(rows)
    shown = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: t\r\n{shown}Content-Length: {len(body)}\r\n"
    return f"{head}X-Request-Id: r1\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("", 401, "unauthenticated"),
        ("tg_unknown0_" + "x" * 43, 401, "unauthenticated"),
        (ASKS_OTHER, 403, "forbidden"),
        (READS, 403, "forbidden"),
    ],
    ids=["none", "unknown", "other model", "other role"],
)
def test_hot_and_cold_refuse_with_the_same_bytes(
    worker: InProcessWorker, key: str, status: int, code: str
) -> None:
    """There is no way around the gate by the way a path is written."""
    answers = [ask(worker, request(path, key)) for path in (AFFINE, COLD)]

    assert [error_of(answer) for answer in answers] == [(status, code)] * 2
    assert len({answer.body for answer in answers}) == 1
    heads = [answer.head.partition(b"\r\ndate:") for answer in answers]
    assert len({(start, rest.split(b"\r\n", 1)[1]) for start, _, rest in heads}) == 1
    assert answers[0].header("www-authenticate") == ("Bearer" if status == 401 else None)


def test_a_key_that_may_ask_is_answered(worker: InProcessWorker) -> None:
    """On both paths, and again and again on one connection."""
    with connected(worker.url) as client:
        for path in (AFFINE, AFFINE, AFFINE, COLD, AFFINE):
            client.send(request(path, ASKS_ALL))
            assert data_of(client.read()) == affine_data(ROWS)


def statuses(client: RawConnection, worker: InProcessWorker, *requests: bytes) -> list[int]:
    """Send requests one by one, each read by itself; return the statuses of the answers."""
    found = []
    for one in requests:
        client.send(one)
        found.append(client.read().status)
        turn(worker)
    return found


def test_each_request_of_a_connection_shows_its_own_key(worker: InProcessWorker) -> None:
    """A proxy sends requests of many callers on one connection."""
    good, bad, none = request(AFFINE, ASKS_ALL), request(AFFINE, ASKS_OTHER), request()
    cold_bad = request(COLD, ASKS_OTHER)

    with connected(worker.url) as client:
        found = statuses(client, worker, good, good, bad, bad, good, none, none, good, cold_bad)
        assert found == [200, 200, 403, 403, 200, 401, 401, 200, 403]


def test_a_head_refused_while_its_model_was_cold_stays_refused(worker: InProcessWorker) -> None:
    """The same head is hot when the model has been loaded; the caller before was another one."""
    plane = worker.worker.plane
    table = plane.routes.table
    good, bad = request(AFFINE, ASKS_ALL), request(AFFINE, ASKS_OTHER)

    def assign(value: object) -> None:
        plane.routes.table = value  # type: ignore[assignment]

    with connected(worker.url) as client:
        assert statuses(client, worker, good, good) == [200, 200]
        worker.on_loop(assign, type(table)({}))
        assert statuses(client, worker, bad) == [403]
        worker.on_loop(assign, table)
        assert statuses(client, worker, bad, bad, good) == [403, 403, 200]


def test_a_key_that_is_revoked_ends_on_open_connections(worker: InProcessWorker) -> None:
    """What a connection remembers of its caller goes with the keys it was found in."""
    path = worker.worker.settings.keys_path
    good = request(AFFINE, ASKS_ALL)

    def look() -> None:
        worker.on_loop(lambda: worker.loop.create_task(worker.worker.plane.gate.look()))

    with connected(worker.url) as client:
        assert statuses(client, worker, good, good) == [200, 200]
        key_file.change(path, lambda _: ENTRIES[1:])
        look()
        assert eventually_status(client, good, 401)
        key_file.change(path, lambda _: ENTRIES)
        look()
        assert eventually_status(client, good, 200)


def eventually_status(client: RawConnection, asked: bytes, status: int) -> bool:
    """Ask until the answer has a status."""
    for _ in range(1000):
        client.send(asked)
        if client.read().status == status:
            return True
    return False


def test_health_needs_no_key_and_nothing_else_is_open(worker: InProcessWorker) -> None:
    """Probes of Kubernetes have none."""
    found = {}
    for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/affine", "/v1/models"):
        found[path] = ask(worker, f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode()).status

    assert found == {
        "/v2/health/live": 200,
        "/v2/health/ready": 200,
        "/v2": 401,
        "/v2/models/affine": 401,
        "/v1/models": 401,
    }


def test_refusals_are_counted(worker: InProcessWorker) -> None:
    """By their code, as requests to no model of ours: who asks is not known."""
    plane = worker.worker.plane

    def refuse() -> int:
        outcomes = plane.telemetry.refusals(UNKNOWN).tally.outcomes
        before = outcomes["unauthenticated"]
        with pytest.raises(Unauthenticated):
            plane.gate.admit(Role.PREDICT, "affine", [], Peer(""))
        return outcomes["unauthenticated"] - before

    assert worker.on_loop(refuse) == 1
