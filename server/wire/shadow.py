"""The messages between control and the shadow process.

Decides their form, and where the two meet. Control says which candidates there are and mirrors
records of live batches; shadow says what it is about to run, so that a crash has a name, and sends
what it has counted. Records travel as workers sent them, behind a few bytes that name the
candidates to run on them; how a candidate answered goes back as a record of its own.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from server.release.evidence import ShadowEvidence
from server.release.mismatches import Mismatch
from server.release.shadow_rules import ShadowRules

_LENGTH = struct.Struct("<I")


def socket_path(control_path: str) -> str:
    """Return where control listens for shadow, from where it listens for workers."""
    folder, slash, _ = control_path.rpartition("/")
    return f"{folder}{slash}shadow.sock"


@dataclass(frozen=True, slots=True)
class Runnable:
    """A version as it can be run."""

    version: str
    digest: str
    path: str
    """The staged model file."""
    samples: str
    """Recorded inputs for the warm-up; empty if there are none."""
    is_batched: bool
    max_rows: int
    """Rows of one run at most."""


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """One candidate."""

    runnable: Runnable
    epoch: str
    """Under which its evidence is counted."""
    score_range: tuple[float, float] | None = None
    """Between which its epoch's scores are counted; None before the first."""
    wants_answers: bool = False
    """Whether its answers come back, because answers of its model are kept for labels."""


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """The candidates of one model, and what they are compared with."""

    model: str
    live: Runnable
    rules: ShadowRules
    candidates: tuple[CandidatePlan, ...]


def encode_plans(plans: Sequence[ComparisonPlan]) -> bytes:
    """Write all plans; they replace those sent before."""
    return orjson.dumps([{**asdict(plan), "rules": plan.rules.to_json()} for plan in plans])


def decode_plans(message: bytes | memoryview) -> list[ComparisonPlan]:
    """Read a message of `encode_plans`."""
    return [
        ComparisonPlan(
            plan["model"],
            Runnable(**plan["live"]),
            ShadowRules.from_json(plan["rules"]),
            tuple(
                CandidatePlan(
                    Runnable(**one["runnable"]),
                    one["epoch"],
                    one["score_range"] and (one["score_range"][0], one["score_range"][1]),
                    one["wants_answers"],
                )
                for one in plan["candidates"]
            ),
        )
        for plan in orjson.loads(message)
    ]


def mirror_parts(versions: Sequence[str], message: bytes | memoryview) -> list[bytes | memoryview]:
    """Return the parts of a MIRROR message: candidates, and a RECORDS message as it is."""
    head = orjson.dumps(versions)
    return [_LENGTH.pack(len(head)), head, message]


def split_mirror(message: memoryview) -> tuple[list[str], memoryview]:
    """Return the candidates of a MIRROR message, and its RECORDS message as a view."""
    (length,) = _LENGTH.unpack_from(message)
    versions: list[str] = orjson.loads(message[4 : 4 + length])
    return versions, message[4 + length :]


@dataclass(frozen=True, slots=True)
class Run:
    """What shadow is about to run."""

    model: str
    version: str
    epoch: str
    pairs: int
    """Requests in the batches that it is run on."""


def encode_run(run: Run | None) -> bytes:
    """Write what is about to run; None: nothing does."""
    return orjson.dumps(run and asdict(run))


def decode_run(message: bytes | memoryview) -> Run | None:
    """Read a message of `encode_run`."""
    value = orjson.loads(message)
    return Run(**value) if value else None


@dataclass(frozen=True, slots=True)
class EvidenceDelta:
    """What was seen of a candidate since the last such message."""

    model: str
    version: str
    epoch: str
    evidence: ShadowEvidence
    samples: Sequence[Mismatch] = ()


def encode_evidence(delta: EvidenceDelta) -> bytes:
    """Write counts and samples. Numbers that are not finite become null."""
    return orjson.dumps(
        {
            "model": delta.model,
            "version": delta.version,
            "epoch": delta.epoch,
            "evidence": delta.evidence.to_json(),
            "samples": [one.to_json() for one in delta.samples],
        }
    )


def decode_evidence(message: bytes | memoryview) -> EvidenceDelta:
    """Read a message of `encode_evidence`."""
    value: Mapping[str, Any] = orjson.loads(message)
    return EvidenceDelta(
        value["model"],
        value["version"],
        value["epoch"],
        ShadowEvidence.from_json(value["evidence"]),
        [Mismatch(**one) for one in value["samples"]],
    )


@dataclass(frozen=True, slots=True)
class ShadowStatus:
    """How the shadow process is."""

    pid: int
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    open_files: int = 0
    loop_lag_seconds: float = 0.0
    waiting_records: int = 0
    loaded: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Epochs of the candidates that can be run, by model."""


def encode_status(status: ShadowStatus) -> bytes:
    """Write a status."""
    return orjson.dumps(asdict(status))


def decode_status(message: bytes | memoryview) -> ShadowStatus:
    """Read a status."""
    return ShadowStatus(**orjson.loads(message))
