# mypy: disable-error-code="import-not-found,import-untyped"
"""Rows of the data sets that NannyML's wheel has, as one npz of numbers; runs in its environment.

Categories become numbers in alphabetical order. Written are, for each change, the rows of the
reference in their order, those before and those after, each of shape (rows, columns).

- car_loan: analysis rows before and after the onset, which is at row 25,000.
- census: US Census, Massachusetts employment. The reference is every other row of 2015, the others
  are before; after are people who were born abroad, of 2016 to 2018: a real subpopulation.
"""

import sys
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd

FOLDER = Path(nannyml.__file__).parent / "datasets" / "data"
CAR_LOAN = [
    "car_value",
    "loan_length",
    "salary_range",
    "repaid_loan_on_prev_car",
    "y_pred_proba",
    "debt_to_income_ratio",
    "driver_tenure",
    "size_of_downpayment",
]
CENSUS = ["AGEP", "SCHL", "MAR", "RELP", "RAC1P", "predicted_probability"]
ONSET_ROW = 25_000
BORN_ABROAD = "2"


def numbers(table: pd.DataFrame, levels: dict[str, list[str]]) -> np.ndarray:
    """Return the table as float64 of shape (rows, columns)."""
    columns = []
    for name in table.columns:
        if name in levels:
            places = {level: place for place, level in enumerate(levels[name])}
            columns.append(table[name].astype(str).map(places).to_numpy(np.float64))
        else:
            columns.append(table[name].to_numpy(np.float64))
    return np.column_stack(columns)


def levels_of(*tables: pd.DataFrame) -> dict[str, list[str]]:
    """Return the levels of every column that is no number."""
    together = pd.concat(tables)
    return {
        name: sorted(together[name].astype(str).unique())
        for name in together.columns
        if not pd.api.types.is_numeric_dtype(together[name])
    }


def main() -> None:
    """Write the file that the command line names."""
    reference = pd.read_csv(FOLDER / "synthetic_car_loan_reference.csv")[CAR_LOAN]
    analysis = pd.read_csv(FOLDER / "synthetic_car_loan_analysis.csv")[CAR_LOAN]
    levels = levels_of(reference, analysis)
    employed = pd.read_parquet(FOLDER / "employment_MA_reference.pq")
    later = pd.read_parquet(FOLDER / "employment_MA_analysis.pq")
    abroad = later[later["NATIVITY"].astype(str) == BORN_ABROAD][CENSUS]
    employed = employed[CENSUS]
    people = {
        name: kinds
        for name, kinds in levels_of(employed, abroad).items()
        if name not in ("AGEP", "SCHL")
    }
    tables = [table.astype({"AGEP": float, "SCHL": float}) for table in (employed, abroad)]
    rows, after = (numbers(table, people) for table in tables)
    cars = numbers(analysis, levels)
    np.savez(
        sys.argv[1],
        car_loan_reference=numbers(reference, levels),
        car_loan_before=cars[:ONSET_ROW],
        car_loan_after=cars[ONSET_ROW:],
        census_reference=rows[::2],
        census_before=rows[1::2],
        census_after=after,
    )


if __name__ == "__main__":
    main()
