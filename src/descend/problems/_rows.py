"""How the rows of the tables are written: a decorator above each formula holds everything else that is known about it.

The decorated function stays an ordinary module-level function (so that problems can be pickled) and its name is the
name of the problem. The helpers below write what many rows share.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from descend.problems.core import Function, Planar, Point, Problem, Scalable

PlanarFormula = Callable[[Tensor, Tensor], Tensor]
Points = Callable[[int], tuple[Point, ...]]

JAMIL = "Jamil and Yang, A literature survey of benchmark functions for global optimisation problems (2013)"
MORE = "Moré, Garbow and Hillstrom, Testing unconstrained optimization software (1981)"
MISHRA = "Mishra, Some new test functions for global optimization (2006)"
HANSEN = "Hansen and Ostermeier, Completely derandomized self-adaptation in evolution strategies (2001)"
HAARALA = (
    "Haarala, Miettinen and Mäkelä, New limited memory bundle method for large-scale nonsmooth optimization (2004)"
)
LUKSAN = "Lukšan and Vlček, Test problems for nonsmooth unconstrained and linearly constrained optimization (2000)"


def planar(
    rows: list[Problem],
    formula: str,
    *,
    low: Point,
    high: Point,
    start: Point,
    minimum: float,
    minimizers: tuple[Point, ...],
    source: str,
    tags: tuple[str, ...] = (),
) -> Callable[[PlanarFormula], PlanarFormula]:
    """Appends a row for the decorated formula in x and y to `rows`."""

    def row(function: PlanarFormula) -> PlanarFormula:
        rows.append(
            Problem(
                name=function.__name__,
                function=Planar(function),
                dimension=2,
                low=low,
                high=high,
                minimum=minimum,
                solutions=minimizers,
                begin=start,
                formula=formula,
                source=source,
                tags=frozenset(tags),
            )
        )
        return function

    return row


def zero(_: int) -> float:
    """The minimum of most scalable problems."""
    return 0.0


def everywhere(number: float) -> Points:
    """d -> the one point whose d coordinates are all `number`."""
    return lambda dimension: ((number,) * dimension,)


def scalable(
    rows: list[Scalable],
    formula: str,
    *,
    low: float,
    high: float,
    source: str,
    start: Callable[[int], Point] | None = None,
    minimum: Callable[[int], float] = zero,
    minimizers: Points = everywhere(0.0),
    tags: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Appends a row for the decorated formula in points `(..., d)` to `rows`; the default start is `spread`."""

    def row(function: Function) -> Function:
        rows.append(
            Scalable(
                name=function.__name__,
                function=function,
                low=low,
                high=high,
                minimum=minimum,
                solutions=minimizers,
                begin=start or spread(low, high),
                formula=formula,
                source=source,
                tags=frozenset(tags),
            )
        )
        return function

    return row


def spread(low: float, high: float) -> Callable[[int], Point]:
    """d -> a point without symmetries, well inside the cube: multiples of the golden ratio modulo one."""
    return lambda dimension: tuple(
        low + (high - low) * (0.1 + 0.8 * (0.618034 * (i + 1) % 1)) for i in range(dimension)
    )


def alternating(odd: float, even: float) -> Callable[[int], Point]:
    """d -> (odd, even, odd, even, ...)."""
    return lambda dimension: tuple(even if i % 2 else odd for i in range(dimension))
