"""Views of studies made by hand from small tables, and the marks of a figure by their kind or name."""

import math

import numpy as np

from descend.plot.study.view import View
from descend.study.table import STATES, Column, Table

NAN = math.nan


def view_of(
    values,
    *,
    states=None,
    directions=("minimize",),
    columns=None,
    violation=None,
    owner=None,
    reports=None,
) -> View:
    table = np.asarray(values, dtype=np.float64).reshape(len(values), len(directions))
    n = len(table)
    codes = [STATES.index(state) for state in (states or ["done"] * n)]
    owners = tuple(f"w{code}" for code in sorted({code for code in owner if code >= 0})) if owner is not None else ()
    return View(
        Table(
            directions, np.arange(n), np.array(codes, dtype=np.int8), table,
            np.zeros(n) if violation is None else np.asarray(violation, dtype=np.float64),
            1e9 + 10.0 * np.arange(n), 1e9 + 10.0 * np.arange(n) + 8.0,
            owners, np.full(n, -1) if owner is None else np.asarray(owner), columns or {}, 1,
        ),
        "tune", reports or {},
    )  # fmt: skip


def real(numbers, log=False) -> Column:
    return Column(np.asarray(numbers, dtype=np.float64), None, log)


def choice(codes, *labels) -> Column:
    return Column(np.asarray(codes, dtype=np.float64), labels, False)


def of_kind(figure, kind, panel=0):
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, kind)]


def named(figure, name, panel=0):
    (found,) = [mark for mark in figure.panels[panel].marks if getattr(mark, "name", "") == name]
    return found
