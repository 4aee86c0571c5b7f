"""Run a candidate on rows that were captured: the same comparison, on all of them, at leisure.

Decides what can be replayed, and what of it is compared: inputs of which something was left out
cannot be given to a model, outputs of which something was left out are passed over. The live
version runs again on every row too, so that its noise and its speed are known.

Lifetime: that of a command.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from server.capture.columns import CapturePlan
from server.operator_errors import DataInvalid
from server.release.answers import answers_labels
from server.release.evidence import ShadowEvidence
from server.release.gate_settings import GateSettings
from server.release.gates import Report
from server.release.mismatches import Mismatch, kept
from server.release.shadow_gates import judge_shadow
from server.release.shadow_rules import ShadowRules
from server.shadow.runner import CandidateRunner, Opened
from server.tensors import Signature
from server.wire.record import BatchRecords
from server.wire.shadow import CandidatePlan

RECORD_ROWS = 128
"""Rows of one comparison at least; it is timed as one batch."""


@dataclass(slots=True)
class Replayed:
    """What was seen."""

    rows: int = 0
    evidence: ShadowEvidence = field(default_factory=ShadowEvidence)
    samples: Sequence[Mismatch] = ()
    """Some of the rows that were answered differently."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared with what."""

    plan: CapturePlan
    candidate: Opened
    live: Opened
    rules: ShadowRules
    """Of the live version's model."""

    def check(self) -> None:
        """Find out whether the candidate can be run on what was captured.

        Raises:
            DataInvalid: it needs what was left out, or is not there, or nothing can be compared.

        """
        version, left_out = self.candidate.runnable.version, self.plan.left_out
        given = {spec.name: spec for spec in self.plan.signature.inputs}
        for spec in self.candidate.session.signature.inputs:
            if spec.name in left_out:
                names = ", ".join(f"'{name}'" for name in left_out[spec.name] or [spec.name])
                raise DataInvalid(
                    f"version {version} cannot be run on these rows: {names} was left out of them",
                    fix="capture rows again without it in [capture] redact",
                )
            if spec.name not in given:
                raise DataInvalid(
                    f"version {version} takes '{spec.name[:64]}', which the rows do not have",
                    fix="a version with other inputs can only be tried on new requests",
                )
            if spec.datatype != given[spec.name].datatype:
                raise DataInvalid(
                    f"version {version} takes '{spec.name[:64]}' as {spec.datatype.name}, "
                    f"the rows have {given[spec.name].datatype.name}",
                    fix="a version with other inputs can only be tried on new requests",
                )
        if not self._compared().outputs:
            raise DataInvalid(
                "no output can be compared: something was left out of each",
                fix="capture rows again without the outputs in [capture] redact",
            )

    def run(
        self, records: Iterable[BatchRecords], limit: int, progress: Callable[[int], None]
    ) -> Replayed:
        """Run the candidate on records, until at least `limit` rows were run.

        `progress` is told the rows after each record.
        """
        there = {spec.name for spec in self.plan.signature.inputs} - self.plan.left_out.keys()
        segments = tuple(one for one in self.rules.segments if one.tensor in there)
        rules = replace(self.rules, segments=segments)
        runner = CandidateRunner(
            CandidatePlan(self.candidate.runnable, "replay"),
            rules,
            self.candidate,
            self.live,
            np.random.default_rng(0),  # The same rows lead to the same verdict.
        )
        runner.is_alone = True
        found = Replayed()
        samples: list[Mismatch] = []
        for record in records:
            evidence, some = runner.run(record)
            evidence.sampled_batches = 1
            found.evidence.add(evidence)
            samples = kept([*samples, *some])
            found.rows += record.rows
            progress(found.rows)
            if found.rows >= limit:
                break
        found.samples = samples
        return found

    def judge(self, evidence: ShadowEvidence, gates: GateSettings) -> Report:
        """Say what the gates say."""
        has_labels = answers_labels(self._compared(), self.rules)
        return judge_shadow(evidence, gates, has_labels=has_labels)

    def _compared(self) -> Signature:
        """Return the signature of the live version without the outputs that are passed over."""
        left_out = self.plan.left_out
        outputs = (spec for spec in self.plan.signature.outputs if spec.name not in left_out)
        return Signature(self.plan.signature.inputs, tuple(outputs))
