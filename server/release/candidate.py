"""What is known of a version that is to become something, as a value.

Whoever asks for a change (`controlplane/`) gathers the facts; what they forbid is in
`obstacles.py`. Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of a model as it is now."""

    version: str
    digest: str
    """SHA-256 of its files."""
    is_loaded: bool = False
    """Whether every worker has these files loaded."""
    problem: str = ""
    """Why it cannot be served; empty if its files were checked and no worker failed on them."""
    remark: str = ""
    """What is to be said of its files although it can be served."""
    incompatible: tuple[str, ...] = ()
    """How its tensors differ from those of the live version in a way that breaks callers."""
    unproven: tuple[str, ...] = ()
    """Gates that are asked for and have not passed, in words. Gates are asked for by
    `release = automatic` and by gates in the model's settings; without either it is empty, and a
    version is promoted on the operator's word."""
