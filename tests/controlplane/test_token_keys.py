"""The keys of an identity provider: fetched by control, and kept if they can be used."""

import asyncio
import json
import threading
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from server.controlplane import token_keys
from server.settings import Settings

_PUBLIC = ec.generate_private_key(ec.SECP256R1()).public_key()
KEY: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(_PUBLIC))
JWKS = json.dumps({"keys": [{**KEY, "kid": "a"}]}).encode()


def fetch(folder: Path, status: int, content: bytes) -> None:
    """Fetch once from a provider that gives this answer."""

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            assert self.path == "/keys", "nobody is led elsewhere"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/keys"
            token_keys._refresh(Settings(state_dir=folder, jwt_issuer="i", jwt_keys_url=url))
        finally:
            server.shutdown()
            thread.join()


def test_good_keys_are_written_where_all_look(tmp_path: Path) -> None:
    """Whole, and only if they are others than before."""
    fetch(tmp_path, 200, JWKS)
    first = (tmp_path / "jwks.json").stat()
    fetch(tmp_path, 200, JWKS)

    assert (tmp_path / "jwks.json").read_bytes() == JWKS
    assert (tmp_path / "jwks.json").stat().st_ino == first.st_ino


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"{}"), (200, b" " * (token_keys.MAX_BYTES + 1)), (500, JWKS), (302, JWKS)],
    ids=["nonsense", "too much", "fault", "elsewhere"],
)
def test_what_cannot_be_used_changes_nothing(tmp_path: Path, status: int, content: bytes) -> None:
    """Those of before stay good; a redirect leads nobody to another provider."""
    (tmp_path / "jwks.json").write_bytes(b"before")

    with pytest.raises((OSError, ValueError, HTTPException)):
        fetch(tmp_path, status, content)
    assert (tmp_path / "jwks.json").read_bytes() == b"before"


def test_without_an_address_nothing_is_fetched(tmp_path: Path) -> None:
    """A file that is named by hand wins."""
    asyncio.run(token_keys.run(Settings(state_dir=tmp_path)))
    both = Settings(state_dir=tmp_path, jwt_keys_file="a", jwt_keys_url="https://login.example")
    asyncio.run(token_keys.run(both))
    assert list(tmp_path.iterdir()) == []
