"""Whoever plays the demo counts every request, and says what went wrong."""

import numpy as np

from server.demo.player import Player
from server.demo.rows import Stream
from server.demo.story import MODEL, Scene
from tests.support.fake_http import Answers, answering


def played(answers: Answers, seconds: float) -> tuple[Player, list[tuple[Scene, str]]]:
    """Play for a while on something that answers so."""
    rows = np.zeros((20, 2), np.float32)
    heard: list[tuple[Scene, str]] = []
    with answering(answers) as server:
        stream = Stream(MODEL, {"features": rows}, rows[:, 0])
        player = Player(server.url, server.url, [stream], lambda *told: heard.append(told))
        try:
            player.play(seconds)
        finally:
            player.close()
    return player, heard


def test_requests_and_failures_are_counted() -> None:
    """An answer that is none, or an error, is a failure; the play goes on."""
    good, _ = played({f"POST /v2/models/{MODEL}/infer": (200, {})}, 0.04)
    bad, heard = played({}, 0.2)

    assert (good.requests, good.failures) == (1, 0)
    assert bad.requests == bad.failures > 0
    assert [scene.at_seconds for scene, _ in heard] == [0.0]
