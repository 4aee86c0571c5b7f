"""Verdicts are kept, found again, and believed only while their facts hold."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.repository.verdict import Verdict
from server.repository.verdicts import VerdictStore
from server.tensors import DATATYPES, Signature, TensorSpec
from tests.support.permissions import without_root_rights

VERDICT = Verdict(
    Signature(
        tuple(TensorSpec(name, kind, (-1, 3)) for name, kind in DATATYPES.items()),
        (TensorSpec("y", DATATYPES["FP32"], ()),),
    ),
    is_batched=True,
    batch_seconds=1.25e-5,
    golden_rows=23,
    warnings=("it is served unbatched: …",),
)


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    """An empty store that is ready."""
    store = VerdictStore(tmp_path)
    store.prepare()
    return store


def test_a_kept_verdict_is_found_by_its_key_after_a_restart(
    tmp_path: Path, store: VerdictStore
) -> None:
    """What one run found out, the next need not check."""
    key = store.key("digest", "golden", 1)
    store.put(key, VERDICT)

    assert VerdictStore(tmp_path).get(key) == VERDICT
    assert store.get(store.key("digest", "golden", 2)) is None
    assert sorted(path.name for path in (tmp_path / "verdicts").iterdir()) == [f"{key}.json"]


@given(
    st.lists(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"))), max_size=6)
)
def test_different_facts_have_different_keys(facts: list[list[str]]) -> None:
    """No two lists of facts share a verdict."""
    store = VerdictStore(Path())
    different = {tuple(one) for one in facts}

    assert len({store.key(*one) for one in different}) == len(different)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"null", b'{"signature": 7}'])
def test_a_spoilt_verdict_is_as_good_as_none(
    tmp_path: Path, store: VerdictStore, content: bytes
) -> None:
    """A file that is cut, empty or from another time only means that the check is made again."""
    key = store.key("x")
    store.put(key, VERDICT)
    (tmp_path / "verdicts" / f"{key}.json").write_bytes(content)

    assert store.get(key) is None


def test_a_verdict_that_cannot_be_written_is_no_fault(tmp_path: Path, store: VerdictStore) -> None:
    """Without the right to write, serving goes on, and the next start checks again."""
    (tmp_path / "verdicts").chmod(0o500)
    with without_root_rights():
        store.put("k", VERDICT)

    assert store.get("k") is None


def test_verdicts_that_nobody_needs_are_forgotten_with_their_samples(
    tmp_path: Path, store: VerdictStore
) -> None:
    """What is in use stays whole; the rest goes, leftovers of a crash included."""
    for name in ("keep", "drop"):
        store.put(name, VERDICT)
        store.samples_path(name).write_bytes(b"")
    (tmp_path / "verdicts" / "drop.tmp").write_bytes(b"{")
    store.remove_all_but({"keep"})

    names = sorted(path.name for path in (tmp_path / "verdicts").iterdir())
    assert names == ["keep.json", "keep.npz"]
