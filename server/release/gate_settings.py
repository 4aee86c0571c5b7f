"""What a candidate is held to, and how fast it goes on: the tables [gates] and [canary].

Decides names, defaults and bounds. The defaults do without configuration: they let an equal model
pass and stop one that is plainly worse. Does not know how a gate is judged (`gates.py` and those
beside it) nor where the tables stand (`repository/model_settings.py`). Pure.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from server.errors import InvalidRequest
from server.release.checks import check_steps
from server.release.route import DEFAULT_STEPS

GateName = Literal[
    "disagreement",
    "errors",
    "faults",
    "slow",
    "scores",
    "accuracy",
    "nearness",
    "canary_errors",
    "canary_faults",
    "canary_slow",
    "sample_ratio",
    "live_errors",
]
GATES: tuple[GateName, ...] = get_args(GateName)

DAY_SECONDS = 86_400.0

Budget = Annotated[float, Field(gt=0.0, le=1.0)]
Ratio = Annotated[float, Field(gt=1.0, le=1000.0)]
Seconds = Annotated[float, Field(ge=0.0, le=366 * DAY_SECONDS)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DisagreementGate(_Table):
    """Answers that differ from the live ones, on the same inputs."""

    budget: Budget = 0.02
    """Share of the pairs that may differ."""
    counts: Literal["auto", "flips", "values"] = "auto"
    """What differs: other labels (flips), or any value beyond its tolerance (values); auto takes
    flips of models that answer labels or class scores, and values of all others."""
    segments: dict[str, Budget] = Field(default_factory=dict)
    """Budgets of their own, by a declared feature, or by "feature=value"."""


class ErrorsGate(_Table):
    """Rows that the candidate cannot answer: it fails, or answers NaN or another shape."""

    budget: Budget = 0.01


class SlowGate(_Table):
    """Processor time of batches, beside the live version on the same rows."""

    budget: Budget = 0.05
    """Share of the batches that may be slow, whatever the live version's is."""
    max_ratio: Ratio = 2.0
    """How many times as often as the live version's they may be slow."""


class CanarySlowGate(SlowGate):
    """Requests that take longer than nearly all live ones took before."""

    budget: Budget = 0.02
    """Share of the requests that may be slow, whatever the live version's is."""


class ScoresGate(_Table):
    """How scores are distributed, on the same inputs."""

    limit: Budget = 0.1
    """Largest distance of the two distribution functions (Kolmogorov-Smirnov)."""


class AccuracyGate(_Table):
    """True labels, where there are some for both answers."""

    max_loss: Budget = 0.01
    """How much less often the candidate may be right."""
    required: bool = False
    """Whether nothing is promoted without labels."""


class NearnessGate(_Table):
    """True numbers, where there are some for both answers."""

    budget: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """By how much more than half of the rows that differ the candidate may be farther off."""
    required: bool = False
    """Whether nothing is promoted without labels."""


class CanaryErrorsGate(_Table):
    """Requests that fail, canary against live."""

    budget: Budget = 0.01
    """Share of the canary's requests that passes even if too few fail to compare."""
    max_ratio: Ratio = 2.0
    """How many times as often as the live version it may fail."""


class LiveErrorsGate(_Table):
    """Requests that fail after a promotion."""

    budget: Budget = 0.01
    """Share of the requests that may fail before the previous version is brought back."""


class GateSettings(_Table):
    """The table [gates]: every gate of a model."""

    off: tuple[GateName, ...] = Field(default=(), strict=False)
    """Gates that are not looked at."""
    min_pairs: int = Field(1000, ge=1, le=10**9)
    """Pairs (requests of a canary) below which no gate passes, however clear they are."""
    sample_bp: int = Field(10_000, ge=1, le=10_000)
    """Share of the live batches that a shadow which begins by itself is run on, in basis points."""
    min_seconds: Seconds = 600.0
    """Time for which a version is a shadow at least before it becomes more."""
    max_seconds: Seconds = DAY_SECONDS
    """Time after which a shadow whose gates have not passed waits for a person."""
    disagreement: DisagreementGate = DisagreementGate()
    errors: ErrorsGate = ErrorsGate()
    slow: SlowGate = SlowGate()
    scores: ScoresGate = ScoresGate()
    accuracy: AccuracyGate = AccuracyGate()
    nearness: NearnessGate = NearnessGate()
    canary_errors: CanaryErrorsGate = CanaryErrorsGate()
    canary_slow: CanarySlowGate = CanarySlowGate()
    live_errors: LiveErrorsGate = LiveErrorsGate()

    @model_validator(mode="after")
    def _in_order(self) -> "GateSettings":
        _check_times(self.min_seconds, self.max_seconds)
        return self


class CanarySettings(_Table):
    """The table [canary]: the steps of a canary."""

    steps: tuple[int, ...] = Field(default=DEFAULT_STEPS, strict=False)
    """Shares of the requests, one step after another, in basis points."""
    min_seconds: Seconds = 600.0
    """Time of each step at least."""
    min_requests: int = Field(200, ge=0, le=10**12)
    """Requests that the canary answers in each step at least."""
    max_seconds: Seconds = DAY_SECONDS
    """Time after which a step whose gates have not passed waits for a person."""
    bake_seconds: Seconds = 3600.0
    """Time after an automatic promotion in which the previous version is brought back if requests
    fail."""
    approval: bool = False
    """Whether a person must agree before the canary is promoted."""

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        try:
            check_steps(steps)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
        if steps[0] == 0:
            raise ValueError("steps[0]: expected more than 0, got 0")
        return steps

    @model_validator(mode="after")
    def _in_order(self) -> "CanarySettings":
        _check_times(self.min_seconds, self.max_seconds)
        return self


def _check_times(min_seconds: float, max_seconds: float) -> None:
    if min_seconds > max_seconds:
        raise ValueError(
            f"max_seconds: expected at least min_seconds, which is {min_seconds:g}, "
            f"got {max_seconds:g}"
        )


NAMES: tuple[str, ...] = tuple(
    name
    for table in (
        GateSettings,
        CanarySettings,
        DisagreementGate,
        SlowGate,
        ScoresGate,
        AccuracyGate,
        NearnessGate,
    )
    for name in table.model_fields
)
"""Every name in both tables and in those within them."""
