"""A test problem is a formula together with everything that is known about it: box, minimum, minimizers, start.

Two kinds carry the whole package. A `Problem` has a fixed number of coordinates d; a `Scalable` has any d >= 2 and
becomes a `Problem` with `at(d)`, so that whoever holds a `Problem` has numbers where a `Scalable` has functions of d.
Both are called with the coordinates on the right and batch dimensions on the left: (..., d) -> (...).

Symbols: x is the point, d its dimension, k the number of minimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["TAGS", "Function", "Planar", "Point", "Problem", "Scalable", "Shifted"]

Function = Callable[[Tensor], Tensor]
Point = tuple[float, ...]

TAGS = frozenset(
    {
        "asymmetric",  # f(c + v) differs from f(c - v), c being the centre of the box
        "boundary",  # a minimizer lies on the edge of the box
        "convex",  # in the whole box
        "discontinuous",
        "ill-conditioned",  # the curvatures at a minimizer differ by 10^3 or more, or one is zero (from d = 5 on)
        "least-squares",  # written as a sum of squared residuals
        "multimodal",  # several local minima inside the box
        "non-smooth",  # kinks, jumps or infinite slopes in the box
        "plateau",  # large regions where the slope tells nothing
        "separable",  # a sum of functions of one coordinate each
        "valley",  # a curved valley leads to the minimizer
    }
)


@dataclass(frozen=True)
class Problem:
    """A function of d coordinates with its box, its known minimum and where to start.

    Calling it evaluates it: `problem(x)` takes floating-point `x: (..., d)` and returns `(...)` of the same dtype on
    the same device. It is pure torch, so `torch.func.grad`, `vmap` and `hessian` apply. A problem can be pickled, and
    so sent to other processes.

    Fields
    - `name`: the field's name in snake case.
    - `function`: the formula, `(..., d) -> (...)`, without the checks of `__call__`.
    - `dimension`: d.
    - `low`, `high`: the box, d numbers each. The formula is usually defined outside too; the claims hold inside.
    - `minimum`: the least value in the box.
    - `solutions`: the points where it is attained: all in the box if they are finitely many, otherwise one.
      Written as tuples; `minimizers` gives them as a tensor.
    - `begin`: the customary start, or an unsymmetrical one where there is no custom; `start` gives it as a tensor.
    - `formula`: LaTeX. `source`: where it was published.
    - `tags`: a subset of `TAGS`, whose comments say what each word promises.

    Raises `ValueError` when the parts do not fit together.

    >>> import torch
    >>> from descend import problems
    >>> beale = problems.two_dimensional["beale"]
    >>> beale(torch.tensor([[1.0, 1.0], [3.0, 0.5]]))
    tensor([14.2031,  0.0000])
    >>> beale.minimum, beale.minimizers.tolist()
    (0.0, [[3.0, 0.5]])
    """

    name: str
    function: Function
    dimension: int
    low: Point
    high: Point
    minimum: float
    solutions: tuple[Point, ...]
    begin: Point
    formula: str
    source: str
    tags: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        parts = {"low": self.low, "high": self.high, "begin": self.begin}
        parts |= {f"solutions[{i}]": solution for i, solution in enumerate(self.solutions)}
        for part, numbers in parts.items():
            if len(numbers) != self.dimension:
                raise ValueError(
                    f"The problem {self.name!r} has {self.dimension} dimensions but {part} = {numbers} has "
                    f"{len(numbers)} numbers; write one number for each dimension."
                )
        for low, high in zip(self.low, self.high, strict=True):
            if not low < high:
                raise ValueError(
                    f"The box of the problem {self.name!r} has the side [{low}, {high}]; "
                    "write the smaller number in low and the larger in high."
                )
        if not self.solutions:
            raise ValueError(f"The problem {self.name!r} has no solutions; write at least one minimizer.")
        _check_tags(self.name, self.tags)

    @property
    def start(self) -> Tensor:
        """The start point, `(d,)` in float64: a new tensor each time, because a method may consume its start."""
        return torch.tensor(self.begin, dtype=torch.float64)

    @property
    def minimizers(self) -> Tensor:
        """The known minimizers, `(k, d)` in float64: a new tensor each time."""
        return torch.tensor(self.solutions, dtype=torch.float64)

    @property
    def smooth(self) -> bool:
        """Whether the gradient exists and is continuous everywhere in the box."""
        return "non-smooth" not in self.tags

    def __call__(self, x: Tensor) -> Tensor:
        """The values at `x: (..., d)`, shape `(...)`. Raises `ValueError` for another last dimension or integers."""
        _check_point(self.name, x)
        if x.shape[-1] != self.dimension:
            raise ValueError(
                f"The problem {self.name!r} takes points of {self.dimension} coordinates in the last dimension, "
                f"but x has the shape {tuple(x.shape)}; write x of shape (..., {self.dimension})."
            )
        return self.function(x)

    def at(self, dimension: int) -> Problem:
        """This problem, for code that also takes a `Scalable`. Raises `ValueError` unless `dimension` is its own."""
        if dimension != self.dimension:
            raise ValueError(
                f"The problem {self.name!r} exists in {self.dimension} dimensions only, not in {dimension}; "
                "choose one of problems.scalable for other dimensions."
            )
        return self

    def shifted(self, offset: Sequence[float] | Tensor) -> Problem:
        """The same problem moved by `offset: (d,)`: box, start and minimizers move along, the minimum stays.

        >>> from descend import problems
        >>> problems.sphere.at(2).shifted([10.0, 20.0]).minimizers.tolist()
        [[10.0, 20.0]]
        """
        by = tuple(float(number) for number in offset)
        if len(by) != self.dimension:
            raise ValueError(
                f"The problem {self.name!r} has {self.dimension} dimensions but the offset has {len(by)} numbers; "
                "write one number for each dimension."
            )

        def moved(point: Point) -> Point:
            return tuple(coordinate + step for coordinate, step in zip(point, by, strict=True))

        return replace(
            self,
            name=f"{self.name}_shifted",
            function=Shifted(self.function, by),
            low=moved(self.low),
            high=moved(self.high),
            solutions=tuple(moved(solution) for solution in self.solutions),
            begin=moved(self.begin),
            formula=rf"\left[{self.formula}\right]_{{x \leftarrow x - {by}}}",
        )


@dataclass(frozen=True)
class Scalable:
    """A problem that exists in every dimension d >= 2; `at(d)` fixes the dimension and gives a `Problem`.

    What depends on the dimension is a function of d: `minimum(d)`, `solutions(d)`, `begin(d)`. The box is the cube
    [`low`, `high`]^d. The other fields are those of `Problem`. `dimension` is None.

    >>> import torch
    >>> from descend import problems
    >>> problems.rosenbrock(torch.ones(5, 4))
    tensor([0., 0., 0., 0., 0.])
    >>> problems.rosenbrock.at(4).start.tolist()
    [-1.2, 1.0, -1.2, 1.0]
    """

    name: str
    function: Function
    low: float
    high: float
    minimum: Callable[[int], float]
    solutions: Callable[[int], tuple[Point, ...]]
    begin: Callable[[int], Point]
    formula: str
    source: str
    tags: frozenset[str] = field(default_factory=frozenset)

    dimension: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check_tags(self.name, self.tags)

    @property
    def smooth(self) -> bool:
        """Whether the gradient exists and is continuous everywhere in the box."""
        return "non-smooth" not in self.tags

    def __call__(self, x: Tensor) -> Tensor:
        """The values at `x: (..., d)`, shape `(...)`, for any d >= 2."""
        _check_point(self.name, x)
        _check_scale(self.name, x.shape[-1])
        return self.function(x)

    def at(self, dimension: int) -> Problem:
        """The problem in `dimension` >= 2 coordinates. Raises `ValueError` for fewer."""
        _check_scale(self.name, dimension)
        return Problem(
            name=self.name,
            function=self.function,
            dimension=dimension,
            low=(self.low,) * dimension,
            high=(self.high,) * dimension,
            minimum=self.minimum(dimension),
            solutions=self.solutions(dimension),
            begin=self.begin(dimension),
            formula=self.formula,
            source=self.source,
            tags=self.tags,
        )


@dataclass(frozen=True)
class Planar:
    """A formula in x and y as a function of points `(..., 2)`; a class and no closure, so that it can be pickled."""

    formula: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, point: Tensor) -> Tensor:
        return self.formula(point[..., 0], point[..., 1])


@dataclass(frozen=True)
class Shifted:
    """x -> function(x - offset); a class and no closure, so that it can be pickled."""

    function: Function
    offset: Point

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x - x.new_tensor(self.offset))


def _check_tags(name: str, tags: frozenset[str]) -> None:
    """Raises `ValueError` for a word outside `TAGS`."""
    if unknown := sorted(tags - TAGS):
        raise ValueError(f"The problem {name!r} has the unknown tags {unknown}; choose from {sorted(TAGS)}.")


def _check_point(name: str, x: Tensor) -> None:
    """Raises `ValueError` unless x has at least one dimension and a floating dtype."""
    if x.ndim == 0 or not x.is_floating_point():
        raise ValueError(
            f"The problem {name!r} takes floating-point points of shape (..., d), but x has the shape "
            f"{tuple(x.shape)} and the dtype {x.dtype}; write for example torch.tensor([0.5, 1.0])."
        )


def _check_scale(name: str, dimension: int) -> None:
    """Raises `ValueError` unless dimension >= 2."""
    if dimension < 2:
        raise ValueError(f"The problem {name!r} needs at least 2 dimensions, not {dimension}; write 2 or more.")
