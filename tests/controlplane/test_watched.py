"""Where the rows of one version go."""

import numpy as np

from server.controlplane.watched import Watched
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.self_reference import SelfReference
from server.wire import record
from tests.support.monitoring import WIDTH, affine_profile, message
from tests.support.references import signature

SIGNATURE = signature({"x": ("FP32", WIDTH)}, {"y": ("FP32", WIDTH)})
ROWS = np.random.default_rng(3).standard_normal((60, WIDTH)).astype(np.float32)


def test_rows_go_to_the_observer() -> None:
    """With a reference, inputs and outputs are counted."""
    observer = Observer(affine_profile(500), Limits(), Pace(), 0.0)
    watched = Watched("m", "1", "d", "h", observer)

    assert watched.take(record.decode(message("1", "d", ROWS))) == 0
    observer.tick(1.0)

    assert watched.rows == 60
    rows = [int(observer.totals[one.stop - 1]) for one in observer.judge.layout.slices]
    assert rows == [60] * 6


def test_rows_are_learned_from_until_there_are_enough() -> None:
    """Without a reference they make one, and what comes beyond is only counted as rows."""
    watched = Watched("m", "1", "d", "", learning=SelfReference(SIGNATURE, {}, 100))
    unwatched = [watched.take(record.decode(message("1", "d", ROWS))) for _ in range(3)]
    assert unwatched == [0, 20, 60]
    assert watched.learning is not None
    assert watched.learning.is_full

    profile, halves = watched.build()

    assert watched.rows == 180
    assert profile.is_self_reference
    assert profile.created_from.rows == 100
    assert (profile.model, profile.version, profile.digest) == ("m", "1", "d")
    assert list(halves) == []


def test_rows_that_do_not_fit_teach_nothing() -> None:
    """Tensors in other shapes than declared are not learned from, and do no harm."""
    watched = Watched("m", "1", "d", "", learning=SelfReference(SIGNATURE, {}, 100))

    odd = record.decode(message("1", "d", ROWS, np.zeros((60, 2), np.float32)))
    assert watched.take(odd) == 60

    assert watched.learning is not None
    assert watched.learning.rows == 0
    assert watched.rows == 60
