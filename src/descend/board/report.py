"""A study as one page in a file that opens without a server; plotly's script lies beside it, once for all reports."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from descend.board.pack import embedded
from descend.board.page import frame
from descend.board.reader import shown_of
from descend.board.shown import COMPARISONS, Shown, plotted
from descend.errors import InvalidValue
from descend.plot.study._plotly import SCRIPT
from descend.plot.study.plots import figures_of
from descend.study.table import STATES

__all__ = ["SCRIPT_NAME", "page_of", "report"]

SCRIPT_NAME = "plotly.min.js"
_TABLE = 20_000  # trials of the table in a page
_TEXT = 3000  # letters of a failure


def report(studies: Any, path: str | PathLike[str]) -> Path:
    """Write a page about one study or several.

    The page holds the pictures, the table of trials, failures, workers and the comparison of the studies, with
    numbers in five or six digits. Of more than 20 000 trials the last ones are in the table. It opens without a server
    and asks no other machine for anything; ``plotly.min.js`` is put beside it, unless it is there already.

    Args:
        studies: a `Study`, or several.
        path: of the page, such as ``"report.html"``.

    Returns:
        The path of the page.

    Raises:
        InvalidValue: there is no study, or the page cannot be written there.
        MissingExtra: plotly is not installed: pip install 'descend[board]'.

    >>> import tempfile
    >>> from descend.study.study import Study
    >>> study = Study(key=0)
    >>> reason = study.run(lambda trial: trial.float("x", 0, 1) ** 2, trials=12)
    >>> report(study, tempfile.mkdtemp() + "/report.html").name
    'report.html'
    """
    path = Path(path)
    several = list(studies) if isinstance(studies, Sequence) else [studies]
    if not several:
        raise InvalidValue("there is no study to report on; run one first")
    page = page_of([shown_of(study) for study in several])
    beside = path.with_name(SCRIPT_NAME)
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
        if not beside.exists() or beside.stat().st_size != SCRIPT.stat().st_size:
            shutil.copyfile(SCRIPT, beside)
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written: {error.strerror}; does its folder exist?") from None
    return path


def page_of(several: Sequence[Shown]) -> str:
    """The page as a text."""
    data = {"studies": [_study(shown) for shown in several], "compare": _compare(several)}
    return frame(embedded(data), SCRIPT_NAME)


def _study(shown: Shown) -> dict[str, Any]:
    objectives = range(len(shown.view.directions))
    figures = {
        f"{name} {objective}": shown.figure(name, objective=objective)
        for name in figures_of(shown.view)
        for objective in objectives
    }
    failures = shown.failures()
    for row in failures["rows"]:
        row["error"] = row["error"][-_TEXT:]
    return {"summary": shown.summary(), "figures": figures, "columns": _columns(shown), "failures": failures}


def _columns(shown: Shown) -> dict[str, Any]:
    """The table of trials by columns."""
    table = shown.view.table
    last = slice(max(shown.view.n - _TABLE, 0), None)
    start = np.nanmin(table.began) if np.isfinite(table.began).any() else 0.0
    return {
        "number": table.numbers[last], "states": list(STATES), "state": table.states[last],
        "values": [table.values[last, objective] for objective in range(len(table.directions))],
        "began": np.round(table.began[last] - start, 2), "seconds": _digits(table.ended[last] - table.began[last], 4),
        "outside": table.numbers[last][table.violation[last] > 0],
        "params": [
            {"name": name, "labels": column.labels and list(column.labels), "numbers": _digits(column.numbers[last], 5)}
            for name, column in table.columns.items()
        ],
    }  # fmt: skip


def _digits(numbers: np.ndarray, digits: int) -> np.ndarray:
    return np.array([float(f"{number:.{digits}g}") for number in numbers.tolist()], dtype=np.float64)


def _compare(several: Sequence[Shown]) -> dict[str, Any]:
    """Pictures of the studies that have the direction of the first one, an objective after the other."""
    made: dict[str, Any] = {}
    for objective, direction in enumerate(several[0].view.directions):
        alike = [
            shown.view
            for shown in several
            if len(shown.view.directions) > objective and shown.view.directions[objective] == direction
        ]
        for name, draw in COMPARISONS.items():
            made[f"{name} {objective}"] = plotted(draw(alike, objective=objective))
    return made
