"""One loaded version as monitoring sees it: learning its reference first, or under observation.

Decides what happens to a record's rows. Does not know the store, nor which versions there are.

Concurrency: event loop only; `build` works on a thread, on rows that nobody adds to any more.
Lifetime: as long as the version is loaded with the same files and the same profile.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.monitoring.counting import blocks_or_none
from server.monitoring.observer import Observer
from server.monitoring.profile import Profile
from server.monitoring.profiling import Difference
from server.monitoring.self_reference import SelfReference
from server.wire.record import BatchRecords


@dataclass(slots=True)
class Watched:
    """A version, and where its rows go."""

    model: str
    version: str
    digest: str
    given: str
    """Hash of the profile that lies beside the model; empty if there is none."""
    observer: Observer | None = None
    learning: SelfReference | None = None
    halves: Sequence[Difference] = field(default_factory=tuple)
    """Where the rows of a learned reference do not agree among themselves."""
    rows: int = 0
    """All that came since this process began."""

    def take(self, records: BatchRecords) -> int:
        """Take in the rows of some batches; return how many are neither counted nor learned from.

        Once there are rows enough to learn from, it takes a moment to make a reference of them.
        """
        rows = records.rows
        self.rows += rows
        inputs = [(tensor.name, tensor.array) for tensor in records.inputs]
        outputs = [(tensor.name, tensor.array) for tensor in records.outputs]
        if self.observer is not None:
            layout = self.observer.profile.layout
            self.observer.take(
                rows, blocks_or_none(layout.inputs, inputs), blocks_or_none(layout.outputs, outputs)
            )
            return 0
        if self.learning is None or self.learning.is_full:
            return rows
        before = self.learning.rows
        # A model that answers in other shapes than it declares teaches nothing.
        with contextlib.suppress(ValueError):
            self.learning.add(dict(inputs), dict(outputs))
        return rows - (self.learning.rows - before)

    def build(self) -> tuple[Profile, Sequence[Difference]]:
        """Make the reference of the rows that were learned from."""
        assert self.learning is not None, "only a version that learns has rows to learn from"
        return self.learning.build(self.model, self.version, self.digest)
