"""Verdicts go through JSON: from the process that checks, and to the next start."""

import orjson

from server.repository.verdict import Verdict
from server.tensors import DATATYPES, Signature, TensorSpec


def test_a_verdict_survives_being_written_down() -> None:
    """Every field comes back through JSON, for every datatype."""
    verdict = Verdict(
        Signature(
            tuple(TensorSpec(name, kind, (-1, 3)) for name, kind in DATATYPES.items()),
            (TensorSpec("y", DATATYPES["FP32"], ()),),
        ),
        is_batched=True,
        batch_seconds=1.25e-5,
        golden_rows=23,
        warnings=("it is served unbatched: …",),
    )

    assert Verdict.from_json(orjson.loads(orjson.dumps(verdict.to_json()))) == verdict
