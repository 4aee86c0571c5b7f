"""Errors of what operators ask for: loads, releases, labels, reports, the store they need.

    TidegateError
        ProfileInvalid        a reference profile is damaged, or not of this model
        DataInvalid           a reference profile cannot be made of this data
        LoadTimeout           a load did not finish in the time an API call may take
        StateNotSaved         what was asked for cannot be written down
        StoreUnavailable      the store cannot be read or written now
        MonitoringOff         monitoring is switched off
        FeedbackBusy          too many labels wait to be written
        ReleaseRefused        the release state does not allow the change now
        StaleGeneration       the release state has changed since it was looked at
        IdempotencyConflict   a key that stood for another request

The rules of `errors.py` hold here too: `protocol/errors.py` decides which status code each becomes.
"""

from collections.abc import Sequence

from server.errors import TidegateError


class ProfileInvalid(TidegateError):
    """A reference profile cannot be used: names the field that is wrong, or what does not fit."""

    code = "profile_invalid"


class DataInvalid(TidegateError):
    """No reference profile can be made of this data; `fix` says what would help."""

    code = "data_invalid"

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class LoadTimeout(TidegateError):
    """The load goes on, but longer than an API call may take."""

    code = "load_timeout"


class StateNotSaved(TidegateError):
    """The state directory cannot be written, and so nothing was changed."""

    code = "state_not_saved"


class StoreUnavailable(TidegateError):
    """The store cannot be read or written now; predictions go on without it."""

    code = "store_unavailable"
    retry_after_seconds: int | None = 10


class MonitoringOff(TidegateError):
    """Monitoring is switched off, so there is nothing to report."""

    code = "monitoring_off"


class FeedbackBusy(TidegateError):
    """More labels wait to be written than may."""

    code = "feedback_busy"
    retry_after_seconds: int | None = 1


class ReleaseRefused(TidegateError):
    """A change that the release state does not allow now; `missing` lists what is in its way."""

    code = "release_refused"

    def __init__(self, message: str, *, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = list(missing)


class StaleGeneration(TidegateError):
    """The release state has changed since the caller looked at it."""

    code = "stale_generation"


class IdempotencyConflict(TidegateError):
    """An Idempotency-Key that stood for another request before."""

    code = "idempotency_conflict"
