"""Posting events: to a real socket that answers, fails, hangs, lies; each until it is delivered."""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, text

from server.controlplane import notifying
from server.controlplane.notifying import Notifier
from server.monitoring.notifier import GIVE_UP_SECONDS, signature_headers
from server.operator_errors import StoreUnavailable
from server.settings import Settings
from server.store import outbox
from server.store.database import Store
from server.store.outbox import Outcome
from tests.support.receiver import HANG, HANG_UP, OK, Receiver, receiving

BODY = b'{"specversion": "1.0"}'


class Sender:
    """A notifier, its outbox, and what a test asks of them."""

    def __init__(self, folder: Path, url: str, secret: str = "") -> None:
        settings = Settings.model_validate({"webhook_url": url, "webhook_secret": secret})
        self.store = Store(folder, busy_timeout_seconds=0.0)
        self.notifier = Notifier(settings, self.store)

    async def put(self, event_id: str = "e1", age_seconds: float = 0.0) -> None:
        """Put an event into the outbox."""
        now = time.time() - age_seconds
        await self.store.run(lambda c: outbox.put(c, event_id, f"key of {event_id}", BODY, now))

    async def send(self) -> float:
        """Send what is due, as the task does in each round."""
        return await self.notifier._send_due()

    async def row(self, event_id: str = "e1") -> tuple[str, int, str, float | None]:
        """Return what the store knows of an event: outcome, tries, last error, next try."""
        query = text(
            "SELECT outcome, attempts, last_error, next_try_seconds FROM outbox WHERE event_id = :e"
        )
        row = await self.store.run(lambda c: c.execute(query, {"e": event_id}).one())
        return row[0], row[1], row[2], row[3]

    async def make_due(self) -> None:
        """Let the time of the next try come."""
        await self.store.run(
            lambda c: c.execute(
                text("UPDATE outbox SET next_try_seconds = 0 WHERE next_try_seconds > 0")
            )
        )


@contextlib.asynccontextmanager
async def sending(folder: Path, url: str, secret: str = "") -> AsyncIterator[Sender]:
    """Run a sender without its task."""
    sender = Sender(folder, url, secret)
    try:
        yield sender
    finally:
        await sender.store.close()


Scenario = Callable[[Sender, Receiver], Awaitable[None]]


def play(folder: Path, scenario: Scenario, *answers: bytes) -> Receiver:
    """Play a scenario with a receiver that gives these answers."""

    async def main() -> Receiver:
        async with receiving(answers or [OK]) as receiver, sending(folder, receiver.url) as sender:
            await scenario(sender, receiver)
        return receiver

    return asyncio.run(main())


def test_an_event_is_posted_once_and_signed(tmp_path: Path) -> None:
    """Method, path, type, length and signature are right; a delivered event is not sent again."""

    async def main() -> Receiver:
        async with receiving([OK]) as receiver, sending(tmp_path, receiver.url, "s3cret") as sender:
            await sender.put()
            assert await sender.send() == 0.0
            assert await sender.send() == notifying.LOOK_SECONDS
            assert await sender.row() == (Outcome.DELIVERED, 1, "", None)
            assert sender.notifier.tries == {"ok": 1, "failed": 0, "given_up": 0}
        return receiver

    receiver = asyncio.run(main())
    (post,) = receiver.posts
    assert post.line == "POST /hook?for=models HTTP/1.1"
    assert post.body == BODY
    stamp = int(post.headers["webhook-timestamp"])
    signed = signature_headers("e1", BODY, "s3cret", stamp)
    assert post.headers == {
        "Host": receiver.url.split("/")[2],
        "Content-Type": "application/cloudevents+json",
        "Content-Length": str(len(BODY)),
        "Connection": "close",
        "User-Agent": "tidegate",
        **signed,
    }
    assert "webhook-signature" in signed
    assert abs(stamp - time.time()) < 60


def test_an_event_that_failed_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    """500 and then 200: two posts, one delivery, and a pause in between."""

    async def scenario(sender: Sender, receiver: Receiver) -> None:
        await sender.put()
        await sender.send()
        outcome, attempts, error, again = await sender.row()
        assert (outcome, attempts, error) == (Outcome.WAITING, 1, "it answered 500")
        assert again is not None
        assert again > time.time()
        assert 0 < await sender.send() < 10
        assert len(receiver.posts) == 1

        await sender.make_due()
        await sender.send()
        assert (await sender.row())[:2] == (Outcome.DELIVERED, 2)
        assert sender.notifier.tries == {"ok": 1, "failed": 1, "given_up": 0}

    receiver = play(tmp_path, scenario, b"HTTP/1.1 500 Oh\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nfine")
    assert {post.headers["webhook-id"] for post in receiver.posts} == {"e1"}
    assert len(receiver.posts) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HANG, "no answer within 0.2 seconds"),
        (HANG_UP, "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nhalf a head", "its answer is not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "it answered 301"),
        (b"HTTP/1.0 404 \r\n\r\n", "it answered 404"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_try_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    """Silence, garbage, too much, a redirect: it is noted, followed by a pause, and no more."""
    if answer == HANG:
        monkeypatch.setattr(notifying, "TRY_SECONDS", 0.2)

    async def scenario(sender: Sender, _: Receiver) -> None:
        await sender.put()
        await sender.send()
        assert (await sender.row())[:3] == (Outcome.WAITING, 1, words)

    assert len(play(tmp_path, scenario, answer).posts) == 1


def test_early_answers_are_passed_over(tmp_path: Path) -> None:
    """What comes before the answer proper, such as 103, is not taken for it."""

    async def scenario(sender: Sender, _: Receiver) -> None:
        await sender.put()
        await sender.send()
        assert (await sender.row())[0] == Outcome.DELIVERED

    play(tmp_path, scenario, b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "no connection: "),
        (f"http://{'a' * 70}.example/", "there is no such host"),
    ],
)
def test_nobody_there_is_a_failed_try(tmp_path: Path, url: str, words: str) -> None:
    """A port without a listener, and a name that no host can have, are tried again later."""

    async def main() -> None:
        async with sending(tmp_path, url) as sender:
            await sender.put()
            await sender.send()
            outcome, attempts, error, _ = await sender.row()
            assert (outcome, attempts) == (Outcome.WAITING, 1)
            assert error.startswith(words)

    asyncio.run(main())


@pytest.mark.parametrize(("asked", "least"), [(b"100", 100), (b"soon", 0), (b"9" * 400, 0)])
def test_a_receiver_may_ask_for_time(tmp_path: Path, asked: bytes, least: float) -> None:
    """Retry-After in seconds is heeded; what is no number is not, and harms nothing."""

    async def scenario(sender: Sender, _: Receiver) -> None:
        await sender.put()
        await sender.send()
        again = (await sender.row())[3]
        assert again is not None
        assert least - 1 < again - time.time() < least + 10

    play(tmp_path, scenario, b"HTTP/1.1 503 Later\r\nRETRY-AFTER: " + asked + b"\r\n\r\n")


def test_a_receiver_that_is_gone_is_told_no_more(tmp_path: Path) -> None:
    """410 gives the event up; so does age, without a post."""

    async def scenario(sender: Sender, receiver: Receiver) -> None:
        await sender.put("gone")
        await sender.send()
        assert (await sender.row("gone"))[0] == Outcome.GIVEN_UP
        await sender.put("old", GIVE_UP_SECONDS + 1)
        await sender.send()
        assert (await sender.row("old"))[:3] == (Outcome.GIVEN_UP, 1, "it is too old to be told")
        assert sender.notifier.tries == {"ok": 0, "failed": 0, "given_up": 2}
        assert len(receiver.posts) == 1

    play(tmp_path, scenario, b"HTTP/1.1 410 Gone\r\n\r\n")


def test_a_delivery_that_cannot_be_noted_is_not_repeated(tmp_path: Path) -> None:
    """The disk fails between answer and note: the note is made later, without another post."""

    async def scenario(sender: Sender, receiver: Receiver) -> None:
        await sender.put()
        run = sender.store.run

        async def reads_only(work: Callable[[Connection], object], *, is_durable: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN202
            if is_durable:
                raise StoreUnavailable("the store cannot be used: database or disk is full")
            return await run(work)

        sender.store.run = reads_only  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await sender.send()
        sender.store.run = run  # type: ignore[method-assign]
        assert (await sender.row())[0] == Outcome.WAITING
        await sender.send()
        assert (await sender.row())[0] == Outcome.DELIVERED
        assert len(receiver.posts) == 1

    play(tmp_path, scenario)


def test_the_task_sends_at_once_when_it_is_woken(tmp_path: Path) -> None:
    """It begins with what an earlier process left, waits, and goes on when something is put in."""

    async def scenario(sender: Sender, receiver: Receiver) -> None:
        await sender.put("left behind")
        task = asyncio.create_task(sender.notifier.run())
        await receiver.came.acquire()
        await sender.put("new")
        sender.notifier.wake()
        await receiver.came.acquire()
        assert [post.headers["webhook-id"] for post in receiver.posts] == ["left behind", "new"]
        assert not sender.notifier._woken.is_set()  # Else it would look again and again.
        task.cancel()

    play(tmp_path, scenario)


def test_the_task_outlives_a_store_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again later, and then sends."""
    monkeypatch.setattr(notifying, "LOOK_SECONDS", 0.01)
    folder = tmp_path / "state"

    async def scenario(sender: Sender, receiver: Receiver) -> None:
        task = asyncio.create_task(sender.notifier.run())
        while not sender.store.health.failures:
            await asyncio.wait({task}, timeout=0.01)
        folder.mkdir()
        await sender.put()
        await receiver.came.acquire()
        task.cancel()

    play(folder, scenario)


def test_without_a_webhook_there_is_nothing_to_do(tmp_path: Path) -> None:
    """The task ends at once and opens no store."""

    async def main() -> None:
        async with sending(tmp_path, "") as sender:
            assert not sender.notifier.is_on
            await sender.notifier.run()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "certificate.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + built.public_bytes(pem))
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_only_a_certificate_that_is_trusted_gets_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    """Over TLS an event is posted to a receiver that the system trusts, and to no other."""
    path = certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path if is_trusted else tmp_path / "none"))

    async def main() -> tuple[str, int, str]:
        async with receiving([OK], tls) as receiver, sending(tmp_path, receiver.url) as sender:
            await sender.put()
            task = asyncio.create_task(sender.notifier.run())
            while not sender.notifier.tries.total():
                await asyncio.wait({task}, timeout=0.01)
            task.cancel()
            assert [json.loads(post.body) for post in receiver.posts] == (
                [json.loads(BODY)] if is_trusted else []
            )
            return (await sender.row())[:3]

    outcome, attempts, error = asyncio.run(main())
    assert attempts == 1
    if is_trusted:
        assert (outcome, error) == (Outcome.DELIVERED, "")
    else:
        assert outcome == Outcome.WAITING
        assert error.startswith("its certificate is not trusted: self")
