"""The index of all test problems: two read-only mappings from names to problems, a look-up, and a table in Markdown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from descend.problems import (
    _planar_bowls,
    _planar_kinks,
    _planar_valleys,
    _planar_waves,
    _scalable_bowls,
    _scalable_kinks,
    _scalable_valleys,
    _scalable_waves,
)
from descend.problems.core import Problem, Scalable

__all__ = ["PLANAR", "SCALABLE", "get", "scalable", "table", "two_dimensional"]

PLANAR = (*_planar_bowls.BOWLS, *_planar_valleys.VALLEYS, *_planar_waves.WAVES, *_planar_kinks.KINKS)
SCALABLE = (*_scalable_bowls.BOWLS, *_scalable_valleys.VALLEYS, *_scalable_waves.WAVES, *_scalable_kinks.KINKS)

scalable: Mapping[str, Scalable] = MappingProxyType({problem.name: problem for problem in SCALABLE})
two_dimensional: Mapping[str, Problem] = MappingProxyType(
    {problem.name: problem.at(2) for problem in (*PLANAR, *SCALABLE)}
)


def get(name: str) -> Problem | Scalable:
    """The problem called `name`: the scalable one if there is one, otherwise the two-dimensional one.

    Either has `at(dimension)`. Raises `LookupError`, with the nearest name, if there is none.

    >>> from descend import problems
    >>> problems.get("rosenbrock").at(10).dimension
    10
    >>> problems.get("beale").at(2).dimension
    2
    >>> problems.get("rosenbrok")
    Traceback (most recent call last):
    LookupError: There is no problem called 'rosenbrok'; did you mean 'rosenbrock'? problems.table() lists all.
    """
    if name in scalable:
        return scalable[name]
    if name in two_dimensional:
        return two_dimensional[name]
    nearest = difflib.get_close_matches(name, two_dimensional, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise LookupError(f"There is no problem called {name!r}{hint} problems.table() lists all.")


def table() -> str:
    """All problems as a Markdown table: name, dimension, formula, box, minimum and tags, with the formula in LaTeX.

    >>> from descend import problems
    >>> print(problems.table().splitlines()[0])
    | name | d | formula | box | minimum | tags |
    """
    lines = ["| name | d | formula | box | minimum | tags |", "|---|---|---|---|---|---|"]
    lines += [_row(problem, "2", _planar_box(problem), f"{problem.minimum:.8g}") for problem in PLANAR]
    lines += [_row(problem, "any", _cube(problem), _scaled_minimum(problem)) for problem in SCALABLE]
    return "\n".join(lines) + "\n"


def _row(problem: Problem | Scalable, dimension: str, box: str, minimum: str) -> str:
    tags = ", ".join(sorted(problem.tags))
    return f"| `{problem.name}` | {dimension} | ${problem.formula}$ | {box} | {minimum} | {tags} |"


def _planar_box(problem: Problem) -> str:
    sides = [f"[{low:.6g}, {high:.6g}]" for low, high in zip(problem.low, problem.high, strict=True)]
    return f"{sides[0]}²" if sides[0] == sides[1] else " × ".join(sides)


def _cube(problem: Scalable) -> str:
    return f"[{problem.low:.6g}, {problem.high:.6g}]ᵈ"


def _scaled_minimum(problem: Scalable) -> str:
    """The minimum, or two of them where it depends on the dimension."""
    at_two, at_ten = problem.minimum(2), problem.minimum(10)
    return f"{at_two:.8g}" if at_two == at_ten else f"{at_two:.8g} (d = 2), {at_ten:.8g} (d = 10)"
