"""Signed models through a whole gateway: what is signed answers, and what is not is not opened."""

from pathlib import Path

from tests.conftest import StartGateway
from tests.support import models
from tests.support.signing import Author, write_signers

ROW = [[1.0, 2.0, 3.0]]


def test_only_what_is_signed_answers(start: StartGateway, repository: Path, tmp_path: Path) -> None:
    """The index and a load call say of the other model what it lacks; signed, it answers too."""
    ann = Author(tmp_path, "ann")
    ann.sign(models.put(repository, "good", 1, models.affine()))
    bare = models.put(repository, "bare", 1, models.affine())
    signers = write_signers(tmp_path, ann)

    with start(signatures="require", signers_file=signers) as gateway:
        assert gateway.infer("good", ROW).status == 200
        index = gateway.index()
        assert (index["good", "1"]["signer"], index["bare", "1"]["problem"]) == ("ann", "unsigned")
        refused = gateway.load("bare")
        assert (refused.status, refused.json["code"]) == (422, "model_invalid")
        assert refused.json["problem"] == "unsigned"
        assert gateway.infer("bare", ROW).status in (404, 503)

        ann.sign(bare)
        assert gateway.load("bare").status == 200
        assert gateway.infer("bare", ROW).status == 200
