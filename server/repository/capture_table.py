"""The table `[capture]` of model.toml: what of the captured rows is left out.

Decides what it may hold. What it names is found in a model's signature as with `[shadow]`: a
redaction that is misspelt would be passed over in silence.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from server.monitoring.columns import Column
from server.repository.shadow_table import redacted_places
from server.tensors import Signature


class CaptureTable(BaseModel):
    """What model.toml says of captured rows."""

    model_config = ConfigDict(extra="forbid")
    redact: list[str] = Field(default_factory=list)
    """Features, inputs or outputs whose values are not written."""


def left_out(
    table: CaptureTable, signature: Signature, columns: Mapping[str, Column]
) -> dict[str, tuple[int, ...]]:
    """Return the places in a row that are not written, by tensor; none means all of it.

    Raises:
        ModelInvalid: it names what the model does not have.

    """
    return redacted_places(table.redact, signature, columns, "capture")
