"""Whether a reference profile belongs to a model, and if not, what is different.

Decides by where columns come from: a column is the same if it is the same value of the same tensor;
then its name and datatype must be the same too. Another version or other files of the same model
may share a profile, as long as their signatures do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from server.monitoring.columns import Column, layout_of
from server.monitoring.profile import Profile
from server.monitoring.taking import RANKED, VALUE
from server.tensors import Signature

_LISTED = 5


def differences(
    profile: Profile, model: str, signature: Signature, features: Mapping[str, Sequence[str]]
) -> list[str]:
    """Say how a profile and a model differ, in words; empty if it fits.

    `features` names the values of inputs, as for `columns.layout_of`.
    """
    found = [] if profile.model == model else [f"it is of model '{profile.model}'"]
    try:
        layout = layout_of(signature, features, profile.layout.kinds)
    except ValueError as error:
        return [*found, str(error)]
    columns = list(_with_usual_score(profile.layout.columns))
    return [*found, *_column_differences(columns, layout.columns)]


def _with_usual_score(columns: Sequence[Column]) -> Iterator[Column]:
    """Yield columns, the score of two classes as that of the second: a profile may choose it."""
    split = {column.tensor for column in columns if column.take in RANKED}
    for column in columns:
        is_score = column.tensor in split and column.take == f"{VALUE}0"
        yield replace(column, take=f"{VALUE}1") if is_score else column


def _column_differences(profiled: Sequence[Column], real: Sequence[Column]) -> Iterator[str]:
    profile_by_origin = {column.origin: column for column in profiled}
    real_by_origin = {column.origin: column for column in real}
    for origin, column in profile_by_origin.items():
        now = real_by_origin.get(origin)
        if now is None:
            yield f"'{column.name}' ({_place(column)}) is in the profile and not in the model"
        elif now.datatype != column.datatype:
            yield f"'{column.name}' is {column.datatype} in the profile and {now.datatype} now"
        elif now.name != column.name:
            yield f"{_place(column)} is '{column.name}' in the profile and '{now.name}' now"
    for origin, column in real_by_origin.items():
        if origin not in profile_by_origin:
            yield f"'{column.name}' ({_place(column)}) is in the model and not in the profile"


def _place(column: Column) -> str:
    """Return where a column comes from, in words."""
    what = f"{column.side.value} '{column.tensor}'"
    if column.take.startswith(VALUE):
        return f"value {column.take.removeprefix(VALUE)} of {what}"
    return f"{column.take.replace(':', ' ')} of {what}"


def in_words(found: Sequence[str]) -> str:
    """Return differences as one text, of which only the first few are told."""
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return "; ".join(found[:_LISTED]) + more
