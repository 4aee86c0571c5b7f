"""Who a split lets answer: in the shares that were asked for, and each key always the same."""

import math
import random
import subprocess
import sys
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dataplane.served import ServedVersion
from server.dataplane.targets import Split, Target, bucket_bp
from server.protocol.http_answer import origin_headers

LIVE = Target(cast("ServedVersion", None), origin_headers("1", 0))
CANARY = Target(cast("ServedVersion", None), origin_headers("2", 0))
KEYS = 20_000
weights = st.integers(0, 10_000)
salts = st.binary(max_size=16)


def test_the_head_of_an_answer_is_ready() -> None:
    """It is that of the origin, up to the prediction's id."""
    assert LIVE.head == (b"\r\nx-model-version: 1\r\nx-release-generation: 0\r\nx-prediction-id: ")


@given(st.binary(max_size=64), salts, st.lists(weights, min_size=2, max_size=6))
def test_raising_the_weight_moves_keys_to_the_canary_only(
    key: bytes, salt: bytes, asked: list[int]
) -> None:
    """Who was answered by the canary stays with it as long as the weight grows."""
    arms = [Split(LIVE, CANARY, weight, salt).arm(key, 0) for weight in sorted(asked)]

    assert all(after is CANARY for before, after in pairwise(arms) if before is CANARY)


@given(st.binary(max_size=64), salts)
def test_no_weight_gives_nothing_and_all_of_it_everything(key: bytes, salt: bytes) -> None:
    """At the ends there is nothing to decide, with a key or without."""
    for by_key in (key, None):
        for draw_bp in (0, 9999):
            assert Split(LIVE, CANARY, 0, salt).arm(by_key, draw_bp) is LIVE
            assert Split(LIVE, CANARY, 10_000, salt).arm(by_key, draw_bp) is CANARY


@pytest.mark.parametrize("weight_bp", [1, 100, 500, 2500, 5000, 9900])
@pytest.mark.parametrize("has_keys", [True, False])
def test_shares_are_those_of_the_weight(weight_bp: int, has_keys: bool) -> None:
    """Among many keys, and among many requests without one, within five standard deviations."""
    draw = random.Random(weight_bp)
    split = Split(LIVE, CANARY, weight_bp, b"of this release")
    taken = sum(
        split.arm(b"user-%d" % number if has_keys else None, draw.randrange(10_000)) is CANARY
        for number in range(KEYS)
    )
    share = weight_bp / 10_000

    assert abs(taken - KEYS * share) <= 5 * math.sqrt(KEYS * share * (1 - share))


def test_another_salt_asks_other_users() -> None:
    """A new release does not begin with those who bore the last one's beginning."""
    same = sum(
        Split(LIVE, CANARY, 1000, b"one").arm(key, 0) is CANARY
        and Split(LIVE, CANARY, 1000, b"two").arm(key, 0) is CANARY
        for key in (b"user-%d" % number for number in range(KEYS))
    )

    assert abs(same - KEYS / 100) < 5 * math.sqrt(KEYS / 100)


def test_a_key_stays_where_it_is_over_restarts() -> None:
    """Another process, on whatever machine, comes to the same place: it is written down here."""
    program = (
        "from server.dataplane.targets import bucket_bp;"
        "print([bucket_bp(b'salt', b'user-%d' % number) for number in range(5)])"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    here = [bucket_bp(b"salt", b"user-%d" % number) for number in range(5)]

    assert there.stdout.decode().strip() == str(here)
    assert here == [3043, 6034, 7670, 6527, 3510]
