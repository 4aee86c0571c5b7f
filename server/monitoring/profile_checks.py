"""Data checks that follow from a reference profile, for features without checks of their own.

Decides how far live values may leave the reference before they count as broken: a tenth of its
range beyond both ends, no missing values where it had none, no category that it never had. The
margin is there because new rows do exceed old ones now and then, and a check that warns or refuses
must not. A model's `check_policy` says what follows; what is only counted needs no checks here,
because the histograms count it anyway.

Does not know model.toml.
"""

from collections.abc import Collection

from server.monitoring.checks import Check, Policy
from server.monitoring.columns import Kind, Side
from server.monitoring.profile import CategoryProfile, ColumnProfile, NumberProfile, Profile
from server.monitoring.taking import VALUE
from server.tensors import DATATYPES

MARGIN = 0.1
"""Of the reference's range."""


def checks_of_profile(
    profile: Profile, policy: Policy, but: Collection[str] = ()
) -> tuple[Check, ...]:
    """Return a check for each feature of a profile but those named; none for COUNT."""
    if policy is Policy.COUNT:
        return ()
    checks = []
    for one in profile.columns:
        column = one.column
        is_value = column.side is Side.INPUT and column.take.startswith(VALUE)
        if is_value and column.name not in but and column.kind is not Kind.BOOLEAN:
            check = _check(one, policy)
            if check is not None:
                checks.append(check)
    return tuple(checks)


def _check(one: ColumnProfile, policy: Policy) -> Check | None:
    """Return what a column is held to; None if its reference says nothing."""
    column = one.column
    place = int(column.take.removeprefix(VALUE))
    if isinstance(one, NumberProfile):
        if one.minimum is None or one.maximum is None:
            return None
        margin = MARGIN * (one.maximum - one.minimum)
        return Check(
            column.name,
            column.tensor,
            place,
            policy,
            # A constant feature may be any number: nothing is known of its range.
            minimum=one.minimum - margin if margin else None,
            maximum=one.maximum + margin if margin else None,
            nullable=one.counts.missing > 0,
        )
    categories = _categories(one)
    is_text = DATATYPES[column.datatype].is_text
    if is_text and categories is None:
        return None
    nullable = is_text or one.counts.missing > 0
    return Check(
        column.name, column.tensor, place, policy, nullable=nullable, categories=categories
    )


def _categories(one: CategoryProfile) -> tuple[str | int, ...] | None:
    """Return all categories of the reference; None if not all are known, or are whole numbers."""
    known = one.categories
    words = sorted((*known.kept, *known.rare))
    if known.is_open or not words:
        return None
    if DATATYPES[one.column.datatype].is_text:
        return tuple(words)
    try:
        return tuple(sorted(map(int, words)))
    except ValueError:
        return None
