"""Test problems with several objectives, whose true fronts are known.

ZDT1-4 and 6: Zitzler, Deb and Thiele 2000, "Comparison of multiobjective evolutionary algorithms: empirical results".
DTLZ1, 2 and 7: Deb, Thiele, Laumanns and Zitzler 2005, "Scalable test problems for evolutionary multiobjective
optimization". BNH: Binh and Korn 1997, "MOBES: a multiobjective evolution strategy for constrained optimization
problems". C1-DTLZ1: Jain and Deb 2014, the NSGA-III paper, part II.

Symbols: g, how far a point is from the front; k = d - m + 1, the coordinates that only g sees.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.pareto.directions import spread
from descend.pareto.sorting import front as _front

__all__ = ["MultiProblem", "bnh", "c1_dtlz1", "dtlz1", "dtlz2", "dtlz7", "zdt1", "zdt2", "zdt3", "zdt4", "zdt6"]


@dataclass(frozen=True)
class MultiProblem:
    """A function of many points at once: (n, d) -> (n, m + limits), the last `limits` numbers being constraints.

    Fields: name; d; m; low and high, the sides of the box; limits, how many constraints there are, which hold where
    they are <= 0; function; truth, a function of n that gives about n points (n, m) of the true front, if it is known.

    >>> problem = zdt1()
    >>> problem(torch.zeros(1, 30)).tolist(), problem.front(3).tolist()
    ([[0.0, 1.0]], [[0.0, 1.0], [0.25, 0.5], [1.0, 0.0]])
    """

    name: str
    d: int
    m: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    function: Callable[[Tensor], Tensor]
    truth: Callable[[int], Tensor] | None = None
    limits: int = 0

    def __call__(self, xs: Tensor) -> Tensor:
        if xs.dim() != 2 or xs.shape[1] != self.d:
            raise ShapeMismatch(f"{self.name} takes points (n, {self.d}), got shape {tuple(xs.shape)}")
        return self.function(xs)

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """A pair (low, high) for each coordinate, as `minimize_many` takes them."""
        return list(zip(self.low, self.high, strict=True))

    @property
    def start(self) -> Tensor:
        """(d,) float64, the middle of the box."""
        return (torch.tensor(self.low, dtype=torch.float64) + torch.tensor(self.high, dtype=torch.float64)) / 2

    def front(self, n: int = 100) -> Tensor:
        """About n points (n, m) of the true front, float64.

        Raises:
            InvalidValue: it is not known in closed form.
        """
        if self.truth is None:
            raise InvalidValue(f"the front of {self.name} is not known in closed form")
        return self.truth(n)


def zdt1(d: int = 30) -> MultiProblem:
    """A convex front, f2 = 1 - sqrt(f1)."""
    return _zdt("zdt1", d, lambda xs: 1 + 9 * xs[:, 1:].mean(1), lambda f, g: 1 - (f / g).sqrt(), spaced=True)


def zdt2(d: int = 30) -> MultiProblem:
    """A concave front, f2 = 1 - f1^2."""
    return _zdt("zdt2", d, lambda xs: 1 + 9 * xs[:, 1:].mean(1), lambda f, g: 1 - (f / g) ** 2)


def zdt3(d: int = 30) -> MultiProblem:
    """A front in five pieces."""

    def shape(f: Tensor, g: Tensor) -> Tensor:
        return 1 - (f / g).sqrt() - f / g * (10 * math.pi * f).sin()

    return _zdt("zdt3", d, lambda xs: 1 + 9 * xs[:, 1:].mean(1), shape, pieces=True)


def zdt4(d: int = 10) -> MultiProblem:
    """21^(d - 1) local fronts; x[1:] in [-5, 5]."""

    def g(xs: Tensor) -> Tensor:
        rest = xs[:, 1:]
        return 1 + 10 * (d - 1) + (rest**2 - 10 * (4 * math.pi * rest).cos()).sum(1)

    return _zdt("zdt4", d, g, lambda f, g: 1 - (f / g).sqrt(), side=5.0, spaced=True)


def zdt6(d: int = 10) -> MultiProblem:
    """A concave front from f1 = 0.2808 on, which is crowded at one end and far from most points."""

    def first(xs: Tensor) -> Tensor:
        return 1 - (-4 * xs[:, 0]).exp() * (6 * math.pi * xs[:, 0]).sin() ** 6

    def function(xs: Tensor) -> Tensor:
        f, g = first(xs), 1 + 9 * xs[:, 1:].mean(1) ** 0.25
        return torch.stack([f, g * (1 - (f / g) ** 2)], 1)

    def truth(n: int) -> Tensor:
        least = first(torch.linspace(0, 1, 100_001, dtype=torch.float64)[:, None]).min()
        f = torch.linspace(float(least), 1, n, dtype=torch.float64)
        return torch.stack([f, 1 - f**2], 1)

    return MultiProblem("zdt6", d, 2, (0.0,) * d, (1.0,) * d, function, truth)


def _zdt(
    name: str,
    d: int,
    g: Callable[[Tensor], Tensor],
    h: Callable[[Tensor, Tensor], Tensor],
    side: float = 0.0,
    spaced: bool = False,
    pieces: bool = False,
) -> MultiProblem:
    """f1 = x0, f2 = g h(f1, g). `spaced`: the front at squares, evenly in f2; `pieces`: only some of the curve is."""

    def function(xs: Tensor) -> Tensor:
        f, distance = xs[:, 0], g(xs)
        return torch.stack([f, distance * h(f, distance)], 1)

    def truth(n: int) -> Tensor:
        f = torch.linspace(0, 1, 4 * n if pieces else n, dtype=torch.float64)
        f = f**2 if spaced else f
        curve = torch.stack([f, h(f, torch.ones_like(f))], 1)
        return curve[_front(curve)] if pieces else curve

    low, high = (0.0,) + (-side,) * (d - 1), (1.0,) + (side or 1.0,) * (d - 1)
    return MultiProblem(name, d, 2, low, high, function, truth)


def dtlz1(d: int = 7, m: int = 3) -> MultiProblem:
    """A flat front, sum f = 1/2, behind 11^k - 1 local ones."""
    return MultiProblem("dtlz1", d, m, (0.0,) * d, (1.0,) * d, lambda xs: _plane(xs, m), lambda n: spread(m, n) / 2)


def _plane(xs: Tensor, m: int) -> Tensor:
    rest = xs[:, m - 1 :] - 0.5
    g = 100 * (rest.shape[1] + (rest**2 - (20 * math.pi * rest).cos()).sum(1))
    x = xs[:, : m - 1]
    return 0.5 * (1 + g)[:, None] * _products(x, 1 - x)


def _products(inside: Tensor, last: Tensor) -> Tensor:
    """(n, m): inside[0] ... inside[m-2], then ever fewer of them with a factor of `last`; of (n, m - 1)."""
    ones = torch.ones_like(inside[:, :1])
    running = torch.cat([ones, inside.cumprod(1)], 1).flip(1)
    return running * torch.cat([ones, last.flip(1)], 1)


def dtlz2(d: int = 12, m: int = 3) -> MultiProblem:
    """A front that is a piece of the sphere, sum f^2 = 1."""

    def function(xs: Tensor) -> Tensor:
        g = (xs[:, m - 1 :] - 0.5).square().sum(1)
        angle = xs[:, : m - 1] * (math.pi / 2)
        return (1 + g)[:, None] * _products(angle.cos(), angle.sin())

    def truth(n: int) -> Tensor:
        directions = spread(m, n)
        return directions / directions.norm(dim=1, keepdim=True)

    return MultiProblem("dtlz2", d, m, (0.0,) * d, (1.0,) * d, function, truth)


def dtlz7(d: int = 22, m: int = 3) -> MultiProblem:
    """A front in 2^(m - 1) pieces."""

    def function(xs: Tensor) -> Tensor:
        f, g = xs[:, : m - 1], 1 + 9 * xs[:, m - 1 :].mean(1)
        h = m - (f / (1 + g)[:, None] * (1 + (3 * math.pi * f).sin())).sum(1)
        return torch.cat([f, ((1 + g) * h)[:, None]], 1)

    def truth(n: int) -> Tensor:
        side = max(2, round((4 * n) ** (1 / (m - 1))))
        axes = torch.linspace(0, 1, side, dtype=torch.float64)
        grid = torch.cartesian_prod(*[axes] * (m - 1)).reshape(-1, m - 1)
        values = function(torch.cat([grid, grid.new_zeros(len(grid), d - m + 1)], 1))
        return values[_front(values)]

    return MultiProblem("dtlz7", d, m, (0.0,) * d, (1.0,) * d, function, truth)


def bnh() -> MultiProblem:
    """Two variables, two objectives, two constraints; x1 in [0, 5], x2 in [0, 3]."""

    def function(xs: Tensor) -> Tensor:
        x, y = xs[:, 0], xs[:, 1]
        f = 4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2
        return torch.stack([*f, (x - 5) ** 2 + y**2 - 25, 7.7 - (x - 8) ** 2 - (y + 3) ** 2], 1)

    def truth(n: int) -> Tensor:
        x = torch.linspace(0, 5, n, dtype=torch.float64)  # y = x up to 3, and 3 from there on
        return function(torch.stack([x, x.clamp(max=3.0)], 1))[:, :2]

    return MultiProblem("bnh", 2, 2, (0.0, 0.0), (5.0, 3.0), function, truth, limits=2)


def c1_dtlz1(d: int = 7, m: int = 3) -> MultiProblem:
    """`dtlz1`, where only a thin layer over the front is feasible: f_m / 0.6 + sum_{j<m} f_j / 0.5 <= 1."""

    def function(xs: Tensor) -> Tensor:
        f = _plane(xs, m)
        return torch.cat([f, (f[:, -1] / 0.6 + f[:, :-1].sum(1) / 0.5 - 1)[:, None]], 1)

    return MultiProblem("c1_dtlz1", d, m, (0.0,) * d, (1.0,) * d, function, lambda n: spread(m, n) / 2, limits=1)
