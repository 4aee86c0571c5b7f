"""Sums of what workers counted, for as long as this control process lives.

Decides nothing: adds. A restart of control starts at zero, as a restart of any exporter does; a
restart of a worker changes nothing, because workers send what to add and not what they have.

Concurrency: event loop only.
"""

from collections import Counter

from server.wire import tally
from server.wire.record import BatchRecords, Content
from server.wire.tally import Routed, Tally


class Totals:
    """Everything counted, by model and version."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], Tally] = {}
        self.record_messages = 0
        self.record_batches = 0
        self.record_rows = 0

    def add(self, message: memoryview) -> None:
        """Add a worker's tally."""
        model, version, counts = tally.decode(message)
        self.versions.setdefault((model, version), Tally()).add(counts)

    def routed(self, model: str, version: str) -> Routed:
        """Return what splits have given to a version since control began; to be read only.

        It only grows while the model is known. What a worker had counted and not sent when it was
        killed is missing, of canary and live version alike: up to a second and a half, and what
        was being answered.
        """
        counts = self.versions.get((model, version))
        return Routed() if counts is None else counts.routed

    def unmirrored(self, model: str, version: str) -> Counter[str]:
        """Return the batches that should have been sent whole and were not; to be read only."""
        counts = self.versions.get((model, version))
        return Counter() if counts is None else counts.unmirrored

    def take_records(self, records: BatchRecords) -> None:
        """Count the batch records of one message; the batches of a mirror are counted anyway."""
        self.record_messages += 1
        if records.content is Content.MIRROR:
            return
        self.record_batches += len(records.batches)
        self.record_rows += records.rows

    def keep_only(self, models: set[str]) -> None:
        """Forget the counts of models that are gone, so that names do not pile up."""
        for model, version in list(self.versions):
            if model not in models and not model.startswith("_"):
                del self.versions[model, version]
