"""The message that tells of a fault of a version."""

import pytest

from server.wire.fault import Fault, FaultKind, decode, encode


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_comes_as_it_went(kind: FaultKind) -> None:
    """Whoever reads a fault has what was written, hashes included."""
    fault = Fault("m", "3", "ab" * 32, kind, 1, "SIGFPE", ("00" * 16, "ff" * 16), was_alone=True)

    assert decode(encode(fault)) == fault


@pytest.mark.parametrize("message", [b"", b"[]", b"{}", b'{"kind": "other", "suspects": []}'])
def test_what_is_no_fault_is_refused(message: bytes) -> None:
    """A message of another form raises, whatever is wrong with it."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(message)
