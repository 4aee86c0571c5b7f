"""Ask a model about reference rows: as many at a time as it is served with.

Decides how rows are run and what is wrong with a model's answers. A model whose rows depend on
their batch-mates is asked about one row at a time, as a request of one row would be.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from server.engine.session import Session
from server.errors import ModelFailed
from server.operator_errors import DataInvalid
from server.tensors import Array

_SHOWN = 300


class Answers:
    """A model that is asked."""

    def __init__(self, session: Session, max_rows: int, *, is_batched: bool) -> None:
        """Prepare to run at most `max_rows` rows at a time.

        Raises:
            DataInvalid: the model takes another number of rows than one, and no other.

        """
        self.signature = session.signature
        self._session = session
        self._rows = max_rows if is_batched else 1
        for spec in session.signature.inputs:
            if not spec.shape or spec.shape[0] not in (-1, 1):
                raise DataInvalid(
                    f"input '{spec.name[:64]}' has shape {list(spec.shape)}: rows cannot be told "
                    "apart",
                    fix="export the model with a free (dynamic) first dimension",
                )

    def of(self, inputs: Mapping[str, Array], places: NDArray[np.intp]) -> dict[str, Array]:
        """Return the outputs by name; `places` of the rows in the file, from 0, are for errors.

        Raises:
            DataInvalid: the model fails, or does not answer each row.

        """
        arrays = [inputs[spec.name] for spec in self.signature.inputs]
        rows = len(arrays[0])
        pieces = []
        for start in range(0, rows, self._rows):
            end = min(rows, start + self._rows)
            pieces.append(self._run([array[start:end] for array in arrays], places[start:end]))
        try:
            joined = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
        except ValueError:
            raise DataInvalid(
                "the model answers in shapes that change from row to row",
                fix="give its outputs a fixed size",
            ) from None
        return {
            spec.name: array for spec, array in zip(self.signature.outputs, joined, strict=True)
        }

    def _run(self, arrays: list[Array], places: NDArray[np.intp]) -> list[Array]:
        rows = len(places)
        where = f"row {places[0] + 1}" + (f" to {places[-1] + 1}" if rows > 1 else "")
        try:
            outputs = self._session.run(arrays)
        except ModelFailed as error:
            raise DataInvalid(
                f"the model fails on {where}: {' '.join(str(error.__cause__).split())[:_SHOWN]}",
                fix="leave out rows that the model cannot be asked about",
            ) from None
        for spec, array in zip(self.signature.outputs, outputs, strict=True):
            if array.shape[:1] != (rows,):
                raise DataInvalid(
                    f"output '{spec.name[:64]}' has shape {list(array.shape)} for {where}",
                    fix="export the model so that it answers each row",
                )
        return outputs
