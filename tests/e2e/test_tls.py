"""A whole gateway over HTTPS: by key, by token and by certificate, with requests and commands."""

import http.client
import ipaddress
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from typer.testing import CliRunner

from server.access import key_file, keys
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role
from server.cli import app
from tests.support import models
from tests.support.authority import Authority
from tests.support.gateway import Gateway, Reply, eventually, running

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ISSUER, AUDIENCE = "https://login.example", "tidegate"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
WHO = {
    "asks": (Role.PREDICT,),
    "operates": (Role.OPERATE,),
    "looks": (Role.READ_METRICS,),
}
"""Callers, each of whom is known by a key, by a token and by a certificate."""
WAYS = ("key", "token", "certificate")


@dataclass(frozen=True)
class Caller:
    """How somebody shows who it is."""

    bearer: str = ""
    certificate: Path | None = None
    """A PEM file with the private key in it too."""


@dataclass(frozen=True)
class House:
    """A gateway that speaks TLS, who is trusted, and who calls."""

    gateway: Gateway
    authority: Authority
    callers: dict[tuple[str, str], Caller]

    def ask(self, url: str, caller: Caller, body: Any = None) -> Reply:
        """Ask over TLS as somebody."""
        context = ssl.create_default_context(cafile=str(self.authority.path))
        if caller.certificate is not None:
            context.load_cert_chain(caller.certificate)
        parts = urlsplit(url)
        assert parts.hostname is not None
        link = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=context)
        headers = {"Authorization": f"Bearer {caller.bearer}"} if caller.bearer else {}
        content = None if body is None else json.dumps(body).encode()
        target = f"{parts.path}?{parts.query}"
        link.request("GET" if body is None else "POST", target, content, headers)
        answer = link.getresponse()
        reply = Reply(answer.status, dict(answer.headers), answer.read())
        link.close()
        return reply

    def run(self, way: str, name: str, *arguments: str, trusts: bool = True) -> tuple[int, str]:
        """Run a command as somebody; return its exit code and what it prints, errors too."""
        caller = self.callers[way, name]
        environment = {
            "TIDEGATE_URL": self.gateway.control,
            "TIDEGATE_KEY": caller.bearer,
            "TIDEGATE_CERTIFICATE": str(caller.certificate or ""),
            "SSL_CERT_FILE": str(self.authority.path) if trusts else "",
        }
        result = CliRunner(env=environment).invoke(app, list(arguments))
        return result.exit_code, result.output


def combined(cert: Path, key: Path) -> Path:
    """Return a file with a certificate and its key."""
    path = cert.with_suffix(".pem")
    path.write_bytes(cert.read_bytes() + key.read_bytes())
    return path


def make_callers(folder: Path, authority: Authority) -> dict[tuple[str, str], Caller]:
    """Write the keys of a gateway and of an issuer of tokens; return who can show what."""
    signing = ec.generate_private_key(ec.SECP256R1())
    jwk = {**json.loads(ECAlgorithm.to_jwk(signing.public_key())), "kid": "one", "use": "sig"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    callers: dict[tuple[str, str], Caller] = {}
    entries: list[Key] = []
    for name, roles in WHO.items():
        key_id, shown = new_token()
        entries.append(Key(key_id, f"{name}-key", roles, None, keys.digest(shown.encode())))
        callers["key", name] = Caller(shown)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"{name}-token",
            "exp": time.time() + 3600,
            "roles": [role.value for role in roles],
        }
        token = jwt.encode(claims, signing, algorithm="ES256", headers={"kid": "one"})
        callers["token", name] = Caller(token)
        uri = f"spiffe://house/{name}"
        pair = authority.sign(name, x509.UniformResourceIdentifier(uri))
        callers["certificate", name] = Caller(certificate=combined(*pair))
        known = Key(f"cert{name[:4]}", f"{name}-certificate", roles, certificate=uri)
        entries.append(known)
    key_file.change(folder / "state" / "keys.json", lambda _: entries)
    return callers


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with everything on that access has."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "state").mkdir()
    authority = Authority(folder)
    cert, key = authority.sign("server", HERE)
    callers = make_callers(folder, authority)
    for version in (1, 2):
        models.put(folder / "models", "m", version, models.affine(offset=float(version)))
    settings = {
        "tls_cert": cert,
        "tls_key": key,
        "tls_client_ca": authority.path,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_keys_file": folder / "jwks.json",
        "release": "manual",
        "version_policy": "all",
    }
    with running(folder / "models", folder / "state", **settings) as gateway:
        yield House(gateway, authority, callers)


@pytest.fixture(scope="module")
def live(house: House) -> House:
    """The same, with a version that is live."""
    url = f"{house.gateway.control}/v1/models/m/release/promote"
    caller = house.callers["key", "operates"]
    answer = house.ask(url, caller, {"version": 1, "reason": "a test"})
    assert answer.status == 200, answer.body
    infer = f"{house.gateway.data}/v2/models/m/infer"
    eventually(lambda: house.ask(infer, house.callers["key", "asks"], BODY).status == 200)
    return house


def test_nobody_is_let_in_without_a_word(live: House) -> None:
    """Health answers everybody; nothing else does, on neither port."""
    for base in (live.gateway.data, live.gateway.control):
        assert base.startswith("https://")
        assert live.ask(f"{base}/v2/health/ready", Caller()).status == 200
        assert live.ask(f"{base}/v2/models/m", Caller()).status == 401
    assert live.ask(f"{live.gateway.data}/v2/models/m/infer", Caller(), BODY).status == 401


@pytest.mark.parametrize("way", WAYS)
def test_each_way_opens_what_its_role_opens(live: House, way: str) -> None:
    """Predictions, control and metrics, by key, by token and by certificate."""
    infer = f"{live.gateway.data}/v2/models/m/infer"
    promote = f"{live.gateway.control}/v1/models/m/release/promote?dry_run=1"
    metrics = f"{live.gateway.control}/metrics"

    def statuses(name: str) -> tuple[int, int, int]:
        caller = live.callers[way, name]
        change = {"version": 2, "reason": "a test"}
        return (
            live.ask(infer, caller, BODY).status,
            live.ask(promote, caller, change).status,
            live.ask(metrics, caller).status,
        )

    assert statuses("asks") == (200, 403, 403)
    assert statuses("operates") == (403, 200, 200)
    assert statuses("looks") == (403, 403, 200)
    answer = live.ask(infer, live.callers[way, "asks"], BODY).json
    assert answer["outputs"][0]["data"] == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("way", WAYS)
def test_commands_change_what_is_served_and_the_audit_names_who(live: House, way: str) -> None:
    """`tidegate` against an https:// address, with each way to say who calls."""
    code, output = live.run(way, "operates", "model", "list", "--json")
    assert code == 0, output
    assert {row["version"] for row in json.loads(output)} == {"1", "2"}
    for version in ("2", "1"):
        code, output = live.run(
            way, "operates", "release", "promote", "m", version, "--reason", "r"
        )
        assert code == 0, output
    code, output = live.run(way, "looks", "release", "history", "m", "--json")
    assert code == 0, output
    assert f'"operates-{way}"' in output
    code, output = live.run(way, "asks", "release", "promote", "m", "2", "--reason", "r")
    assert (code, "TIDEGATE_KEY" in output) == (1, True)


def test_commands_say_whom_they_do_not_trust(live: House, tmp_path: Path) -> None:
    """And which variable names the authority; a file that is no certificate is named too."""
    code, output = live.run("key", "looks", "model", "list", trusts=False)
    assert code == 1
    assert "is not trusted" in output
    assert "SSL_CERT_FILE" in output

    wrong = tmp_path / "wrong.pem"
    for content, why in (("nothing", "does not hold both"), (None, "No such file")):
        wrong.unlink(missing_ok=True)
        if content is not None:
            wrong.write_text(content)
        live.callers["certificate", "wrong"] = Caller(certificate=wrong)
        code, output = live.run("certificate", "wrong", "model", "list")
        assert code == 1
        assert why in output


def test_health_asks_over_tls(live: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's health check finds port and scheme in the settings, and needs no authority."""
    monkeypatch.setenv("TIDEGATE_PORT", str(urlsplit(live.gateway.data).port))
    for name in ("TIDEGATE_TLS_CERT", "TIDEGATE_TLS_KEY"):
        monkeypatch.setenv(name, "server.pem")
    result = CliRunner().invoke(app, ["health"])

    assert result.exit_code == 0, result.output
    assert result.output.strip() == "ready"
