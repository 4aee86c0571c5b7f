"""The message that tells workers which requests may kill them."""

from server.wire.suspects import decode, encode


def test_suspects_come_as_they_went() -> None:
    """By model and hash, with the seconds for which each is refused."""
    suspects = {"m": {"ab": 0.0, "cd": 599.5}, "n": {}}

    assert decode(encode(suspects)) == suspects
