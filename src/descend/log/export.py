"""The trials of a log as tables for other programs: CSV, JSON, Parquet and pandas.

A table has a row for each trial and these columns: number, state, origin; value, or value 0, value 1... of several
objectives; violation 0...; the parameters by their names with "params." before them; attributes with "attributes.";
error, owner, attempts; began and ended as unix times. What a trial does not have is missing there.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descend.errors import MissingExtra
from descend.log.row import Row

if TYPE_CHECKING:
    import pandas

__all__ = ["frame", "records", "to_csv", "to_json", "to_parquet"]


def records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """A dict of plain values for each trial, in the order of their numbers; all have the same keys.

    >>> records([Row(number=0, params={"lr": 0.1}, values=(1.5,))])[0]["params.lr"]
    0.1
    """
    trials = [_record(row) for row in sorted(rows)]
    ends = dict.fromkeys(("error", "owner", "attempts", "began", "ended"))
    columns = dict.fromkeys(key for trial in trials for key in trial if key not in ends)
    return [{**columns, **ends, **trial} for trial in trials]


def to_csv(rows: Iterable[Row], path: str | Path) -> None:
    """Write a CSV file with a line of names; what is missing is empty, nested values are JSON."""
    found = records(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found[0]) if found else ["number"])
        writer.writeheader()
        writer.writerows({key: _flat(value) for key, value in trial.items()} for trial in found)


def to_json(rows: Iterable[Row], path: str | Path) -> None:
    """Write a JSON file: a list with an object for each trial, whose fields are those of `Row`.

    JSON has no word for a number that is not finite; such a one is the text "nan", "inf" or "-inf".
    """
    trials = [_finite(row._asdict()) for row in sorted(rows)]
    Path(path).write_text(json.dumps(trials, allow_nan=False), encoding="utf-8")


def to_parquet(rows: Iterable[Row], path: str | Path) -> None:
    """Write a Parquet file; a column of several kinds of values is text, as JSON.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise MissingExtra("pyarrow", "pandas") from None
    found = records(rows)
    columns = {key: _one_kind([trial[key] for trial in found]) for key in (found[0] if found else ())}
    parquet.write_table(pyarrow.table(columns), str(path))


def frame(rows: Iterable[Row]) -> "pandas.DataFrame":
    """A pandas data frame whose index is the number of the trial.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "pandas") from None
    found = records(rows)
    return pandas.DataFrame(found, columns=list(found[0]) if found else ["number"]).set_index("number")


def _record(row: Row) -> dict[str, Any]:
    values = row.values or ()
    several = len(values) > 1
    return {
        **{"number": row.number, "state": row.state, "origin": row.origin},
        **{f"value {index}" if several else "value": value for index, value in enumerate(values)},
        **{f"violation {index}": value for index, value in enumerate(row.violations)},
        **{f"params.{name}": value for name, value in (row.params or row.proposal or {}).items()},
        **{f"attributes.{name}": value for name, value in row.attributes.items()},
        **{"error": row.error, "owner": row.owner, "attempts": row.attempts, "began": row.began, "ended": row.ended},
    }


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, tuple | list | dict) else value


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case tuple() | list():
            return [_finite(part) for part in value]
    return value


def _one_kind(values: Sequence[Any]) -> list[Any]:
    """The values, if a typed column can hold them: floats if they are numbers; else all as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        small = all(value is None or abs(value) < 2**63 for value in values)
        return list(values) if kinds == {int} and small else [None if v is None else float(v) for v in values]
    if len(kinds) == 1 and kinds <= {str, bool}:
        return list(values)
    return [None if value is None else json.dumps(value) for value in values]
