"""A peer that cannot be used is named with its reason; the others go on."""

import sys
from pathlib import Path

import numpy as np
import pytest

from loadtests.detection import environments
from loadtests.detection.changes import Kind
from loadtests.detection.environments import running_peers
from loadtests.environments import PeerMissing


def test_a_peer_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reason is kept, and nobody else's."""

    def python_of(requirements: Path, _: Path) -> Path:
        if requirements.stem == "nannyml":
            raise PeerMissing("no wheel for this Python")
        return Path(sys.executable)

    monkeypatch.setattr(environments, "python_of", python_of)
    missing: dict[str, str] = {}
    with running_peers(("nannyml", "alibi"), tmp_path, tmp_path, missing) as peers:
        assert [peer.name for peer in peers] == ["alibi"]

    assert missing == {"nannyml": "no wheel for this Python"}


def test_a_peer_that_ends_is_missing_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose packages are not there: this interpreter has none of them."""
    monkeypatch.setattr(environments, "python_of", lambda *_: Path(sys.executable))
    rows = tmp_path / "rows.npz"
    np.savez(rows, reference=np.zeros(3), windows=np.zeros((2, 3)))
    with running_peers(("alibi",), tmp_path, tmp_path, {}) as peers:
        with pytest.raises(PeerMissing, match="it has ended"):
            peers[0].ask(rows, Kind.NUMBER)
        assert "alibi_detect" in (tmp_path / "alibi.log").read_text()
