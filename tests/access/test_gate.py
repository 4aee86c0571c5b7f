"""Who is let in, and what is remembered of it."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.access import key_file, keys
from server.access.failures import BURST
from server.access.gate import MAX_REMEMBERED, Gate, Peer
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role
from server.errors import CrossOrigin, Forbidden, TidegateError, TooManyFailures, Unauthenticated
from server.settings import Settings

HERE = Peer("10.0.0.1")
ID, TOKEN = new_token()
SHOP = Key(ID, "shop", (Role.PREDICT,), ("iris",), keys.digest(TOKEN.encode()))
CERTIFICATE = Key("certif01", "proxy", (Role.OPERATE,), certificate="proxy.example")


def bearer(token: str = TOKEN, scheme: str = "Bearer") -> list[tuple[bytes, bytes]]:
    """Return headers with a key."""
    return [(b"host", b"gate"), (b"authorization", f"{scheme} {token}".encode())]


class Guarded:
    """A gate, its file, its clock and what it refused."""

    def __init__(self, folder: Path, *entries: Key, **settings: str) -> None:
        self.settings = Settings(state_dir=folder, **settings)
        self.now = 0.0
        self.refused: list[str] = []
        self.gate = Gate(
            self.settings,
            self.refused.append,
            browser_host=self.settings.control_host,
            clock=lambda: self.now,
        )
        if entries:
            self.write(*entries)

    def write(self, *entries: Key) -> None:
        """Replace the keys, and have the gate look."""
        key_file.change(self.settings.keys_path, lambda _: entries)
        self.look()

    def look(self) -> None:
        asyncio.run(self.gate.look())

    def ask(
        self,
        role: Role = Role.PREDICT,
        model: str | None = "iris",
        headers: list[tuple[bytes, bytes]] | None = None,
        peer: Peer = HERE,
    ) -> str:
        """Return the name of who asks, or the code of the error."""
        try:
            principal = self.gate.admit(role, model, bearer() if headers is None else headers, peer)
        except TidegateError as error:
            return error.code
        return "" if principal is None else principal.name


def test_without_keys_everybody_on_this_machine_may_do_everything(tmp_path: Path) -> None:
    """Two commands and it serves; pages of other sites may do nothing."""
    guarded = Guarded(tmp_path)
    local = [(b"host", b"localhost:8001")]
    guarded.look()

    assert not guarded.gate.is_on
    assert guarded.ask(Role.OPERATE, headers=local) == ""
    assert guarded.ask(Role.OPERATE, headers=[*local, (b"origin", b"http://e")]) == "cross_origin"
    assert guarded.ask(Role.OPERATE, headers=[(b"host", b"evil.example")]) == "cross_origin"
    assert guarded.ask(Role.OPEN, headers=[(b"host", b"evil.example")]) == ""
    assert guarded.refused == ["cross_origin"] * 2


def test_the_host_counts_without_keys_wherever_the_port_is_bound(tmp_path: Path) -> None:
    """An open port that others can reach is what a page would point its name at."""
    settings = Settings(
        state_dir=tmp_path,
        insecure="on",
        control_host="0.0.0.0",
        control_allowed_hosts="Gate.example",
    )
    gate = Gate(settings, browser_host=settings.control_host)

    assert gate.admit(Role.OPERATE, None, [(b"host", b"gate.example:8001")], HERE) is None
    assert gate.admit(Role.OPERATE, None, [(b"host", b"tidegate:8001")], HERE) is None
    with pytest.raises(CrossOrigin, match="control_allowed_hosts"):
        gate.admit(Role.OPERATE, None, [(b"host", b"evil.example")], HERE)


def test_a_port_that_browsers_do_not_use_asks_for_no_host(tmp_path: Path) -> None:
    """Applications call the data port by whatever name it has for them."""
    gate = Gate(Settings(state_dir=tmp_path))

    assert gate.admit(Role.PREDICT, "iris", [(b"host", b"models.internal")], HERE) is None
    assert gate.sessions is None


def test_others_may_call_it_by_its_name_when_it_is_not_on_a_loopback_address(
    tmp_path: Path,
) -> None:
    """An operator who says that something else guards it has names for it."""
    guarded = Guarded(tmp_path, control_host="0.0.0.0", insecure="on")

    assert guarded.ask(headers=[(b"host", b"gateway.internal")]) == ""


def test_a_key_opens_what_its_roles_and_models_say(tmp_path: Path) -> None:
    """And nothing else; health asks for no key."""
    guarded = Guarded(tmp_path, SHOP)

    assert guarded.ask() == "shop"
    assert guarded.ask(headers=bearer(scheme="bearer")) == "shop"
    assert guarded.ask(model="digits") == "forbidden"
    assert guarded.ask(Role.OPERATE) == "forbidden"
    assert guarded.ask(headers=[]) == "unauthenticated"
    assert guarded.ask(headers=bearer(scheme="Basic")) == "unauthenticated"
    assert guarded.ask(headers=bearer(TOKEN + "x")) == "unauthenticated"
    assert guarded.ask(Role.OPEN, headers=[]) == ""


def test_an_address_that_others_reach_is_closed_until_there_are_keys(tmp_path: Path) -> None:
    """Also in a worker that begins when the file has gone."""
    guarded = Guarded(tmp_path, host="0.0.0.0")
    guarded.look()

    assert guarded.ask(headers=[]) == "unauthenticated"
    guarded.write(SHOP)
    assert guarded.ask() == "shop"


def test_keys_change_while_it_runs(tmp_path: Path) -> None:
    """A revoked key ends at once, what was remembered of it too."""
    guarded = Guarded(tmp_path, SHOP)
    epoch = guarded.gate.epoch
    assert guarded.ask() == "shop"

    guarded.look()
    assert guarded.gate.epoch is epoch
    guarded.write(Key(ID, "shop", SHOP.roles, sha256=SHOP.sha256, revoked_seconds=0.0))
    assert guarded.gate.epoch is not epoch
    assert guarded.ask() == "unauthenticated"


def test_a_key_expires_while_it_is_remembered(tmp_path: Path) -> None:
    """At the next look, a second later at most."""
    guarded = Guarded(
        tmp_path, Key(ID, "shop", SHOP.roles, sha256=SHOP.sha256, expires_seconds=9.0)
    )
    guarded.now = 8.9
    assert guarded.ask() == "shop"

    guarded.now, epoch = 9.0, guarded.gate.epoch
    guarded.look()
    assert guarded.gate.epoch is not epoch
    assert guarded.ask() == "unauthenticated"


def test_a_file_that_has_gone_or_is_damaged_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys read before stay good, and the log says why, once."""
    guarded = Guarded(tmp_path, SHOP)
    path = guarded.settings.keys_path

    path.unlink()
    guarded.look()
    assert (guarded.ask(), guarded.ask(headers=[])) == ("shop", "unauthenticated")
    path.write_text("{")
    guarded.look()
    guarded.look()
    assert (guarded.ask(), guarded.ask(headers=[])) == ("shop", "unauthenticated")
    assert "".join(capsys.readouterr()).count("keys_unusable") == 1

    fresh = Guarded(tmp_path)
    fresh.look()
    assert fresh.ask(Role.OPERATE, headers=[]) == "unauthenticated"


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Have this process open no file until the block ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with contextlib.suppress(OSError):
            while True:
                stack.callback(os.close, os.dup(0))
        yield


def look_without_descriptors(guarded: Guarded) -> None:
    """Have a gate look while no file can be opened."""
    loop = asyncio.new_event_loop()
    try:
        with no_descriptors():
            loop.run_until_complete(guarded.gate.look())
    finally:
        loop.close()


def test_a_process_that_can_open_no_file_knows_what_it_knew(tmp_path: Path) -> None:
    """Without keys it stays open, with keys they stay good; who never knew lets nobody in yet."""
    local = [(b"host", b"localhost:8001")]
    (tmp_path / "open").mkdir()
    (tmp_path / "keys").mkdir()
    unguarded, guarded = Guarded(tmp_path / "open"), Guarded(tmp_path / "keys", SHOP)
    fresh = Guarded(tmp_path / "open")
    unguarded.look()

    for one in (unguarded, guarded, fresh):
        look_without_descriptors(one)
    assert unguarded.ask(Role.OPERATE, headers=local) == ""
    assert (guarded.ask(), guarded.ask(headers=[])) == ("shop", "unauthenticated")
    assert fresh.ask(Role.OPERATE, headers=local) == "unauthenticated"

    fresh.look()
    assert fresh.ask(Role.OPERATE, headers=local) == ""


def test_who_fails_too_often_is_slowed_down_and_a_good_key_never(tmp_path: Path) -> None:
    """Behind a proxy all callers have one address."""
    guarded = Guarded(tmp_path, SHOP)
    bad = bearer("guess")

    assert [guarded.ask(headers=bad) for _ in range(BURST)] == ["unauthenticated"] * BURST
    assert guarded.ask(headers=bad) == "too_many_failures"
    assert guarded.ask() == "shop"
    assert guarded.ask(headers=bad, peer=Peer("10.0.0.2")) == "unauthenticated"
    assert guarded.ask(headers=[]) == "unauthenticated"


def test_a_certificate_stands_for_its_entry(tmp_path: Path) -> None:
    """Without a header; one that is sent has to be right."""
    guarded = Guarded(tmp_path, SHOP, CERTIFICATE)
    proxy = Peer("10.0.0.1", ("proxy.example",))

    assert guarded.ask(Role.OPERATE, headers=[], peer=proxy) == "proxy"
    assert guarded.ask(Role.OPERATE, headers=bearer("wrong"), peer=proxy) == "unauthenticated"
    assert guarded.ask(headers=[], peer=Peer("10.0.0.1", ("other",))) == "unauthenticated"


def test_a_session_stands_for_its_key_until_that_ends(tmp_path: Path) -> None:
    """It is no way around a role, and no page of another site may use it."""
    guarded = Guarded(tmp_path, SHOP)
    cookie = (b"cookie", b"tidegate_session=secret")
    guarded.gate.log_in(TOKEN, [], HERE, "secret")

    assert guarded.ask(headers=[cookie]) == "shop"
    assert guarded.ask(Role.OPERATE, headers=[cookie]) == "forbidden"
    foreign = [cookie, (b"host", b"gate"), (b"origin", b"http://evil")]
    assert guarded.ask(headers=foreign) == "cross_origin"
    assert guarded.ask(headers=[(b"cookie", b"tidegate_session=other")]) == "unauthenticated"
    guarded.write(CERTIFICATE)
    assert guarded.ask(headers=[cookie]) == "unauthenticated"


def test_a_session_needs_a_good_key_and_our_own_page(tmp_path: Path) -> None:
    """Or another site could have its visitors use its key, and watch what they do."""
    guarded = Guarded(tmp_path, SHOP)

    with pytest.raises(Unauthenticated):
        guarded.gate.log_in("wrong", [], HERE, "secret")
    with pytest.raises(CrossOrigin):
        guarded.gate.log_in(TOKEN, [(b"host", b"gate"), (b"origin", b"http://e")], HERE, "secret")
    for _ in range(BURST):
        with pytest.raises((Unauthenticated, TooManyFailures)):
            guarded.gate.log_in("wrong", [], HERE, "secret")
    with pytest.raises(TooManyFailures):
        guarded.gate.log_in("wrong", [], HERE, "secret")
    assert guarded.gate.sessions is not None
    assert len(guarded.gate.sessions) == 0


def test_what_is_remembered_has_a_bound(tmp_path: Path) -> None:
    """One key can be written in many ways."""
    guarded = Guarded(tmp_path, SHOP)
    for number in range(MAX_REMEMBERED + 10):
        padded = bearer(" " * (number % 2000) + TOKEN, "Bearer" if number < 2000 else "bearer")
        assert guarded.ask(headers=padded) == "shop"


def test_a_refusal_says_what_would_help_and_nothing_of_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log names the id of a key that has one, and why it was refused."""
    guarded = Guarded(tmp_path, SHOP)
    wrong = TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B")

    with pytest.raises(Unauthenticated, match="Authorization: Bearer KEY") as refused:
        guarded.gate.admit(Role.PREDICT, None, bearer(wrong), HERE)
    with pytest.raises(Forbidden):
        guarded.gate.admit(Role.OPERATE, None, bearer(), HERE)
    # Other tests may have set up logging: where lines go, and in which form, is theirs to say.
    logged = "".join(capsys.readouterr())
    assert TOKEN[:20] not in str(refused.value) + logged
    assert ID in logged
    assert "unknown" in logged
