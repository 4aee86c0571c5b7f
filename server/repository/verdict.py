"""The words of a check: what is asked about a staged version, and what was found out.

Decides how they are written down, for the process that checks and for the next start. Does not know
how a version is checked (`verification.py`), nor ONNX Runtime: control, which asks, does without.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.tensors import Signature


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about a version that can be served."""

    signature: Signature
    is_batched: bool
    batch_seconds: float
    """Median run time of one row, or of one request where rows have no meaning."""
    golden_rows: int
    """How many golden rows were compared; 0 if there are none."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict in a form that survives being written down."""
        return {
            "signature": self.signature.to_json(),
            "is_batched": self.is_batched,
            "batch_seconds": self.batch_seconds,
            "golden_rows": self.golden_rows,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Verdict":
        """Read what `to_json` wrote."""
        return cls(
            Signature.from_json(value["signature"]),
            value["is_batched"],
            value["batch_seconds"],
            value["golden_rows"],
            tuple(value["warnings"]),
        )


@dataclass(frozen=True, slots=True)
class VerificationOrder:
    """What to check."""

    model_file: Path
    golden_file: Path | None
    samples_file: Path
    """Where to leave the inputs that the model was tried with, for warming up."""
    threads: int
    max_rows: int
    may_batch: bool
