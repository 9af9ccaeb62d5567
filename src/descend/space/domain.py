"""The flat region that a method searches: sides, a typical length, and cells where a coordinate is discrete.

A `Space` of typed parameters, or bounds, give a method nothing but this, so that no method knows about types.
"""

import math

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.tree import state

__all__ = ["Domain", "Rule"]


@state
class Rule:
    """Coordinates first, ..., end - 1 are there only where the coordinate `parent` is, and lies in one of some
    intervals (k, 2) float64, low <= x < high, in the coordinates of the domain."""

    first: int
    end: int
    parent: int
    intervals: Tensor


@state
class Domain:
    """Where points (d,) may lie.

    Fields:
        lower, upper: (d,) in the points' dtype and on their device; infinite where there is no side.
        scale: (d,) > 0, a typical length of each coordinate: the width where both sides are finite.
        cells: (d,) int64: 0 where the coordinate is continuous; k >= 2 where it has k values, which are the middles of
            k equal cells between lower and upper, and any point means the value of its cell.
        unordered: (d,) bool, whether neighbouring cells have nothing to do with each other.
        orders: (d,) int64: -1, or the number of the permutation of which the coordinate is one item's key: its items
            come in the order of their keys, and nothing else about them matters.
        bounded: whether any side is finite. discrete: whether any coordinate has cells.
        rules: when coordinates are there that are not always; each stands behind those that its parent is subject to.

    >>> domain = Domain.box(torch.zeros(2), torch.tensor([1.0, 4.0]))
    >>> domain.mirror(torch.tensor([[-0.25, 5.0]])), domain.scale
    (tensor([[0.2500, 3.0000]]), tensor([1., 4.]))
    """

    lower: Tensor
    upper: Tensor
    scale: Tensor
    cells: Tensor
    unordered: Tensor
    orders: Tensor
    bounded: bool
    discrete: bool
    rules: tuple[Rule, ...] = ()

    @staticmethod
    def free(x: Tensor) -> "Domain":
        """All of space, in which 1 is a typical length, for points like x (d,)."""
        return Domain.box(torch.full_like(x, -math.inf), torch.full_like(x, math.inf))

    @staticmethod
    def box(
        lower: Tensor,
        upper: Tensor,
        scale: Tensor | None = None,
        cells: Tensor | None = None,
        unordered: Tensor | None = None,
        orders: Tensor | None = None,
        rules: tuple[Rule, ...] = (),
    ) -> "Domain":
        """The box lower <= x <= upper (d,); scale defaults to its widths, and to 1 where they are infinite.

        Raises:
            ShapeMismatch: the tensors have different shapes, or are not flat.
            InvalidValue: a side or a scale that cannot mean anything, or cells of an infinite or negative width.
        """
        width = upper - lower
        if scale is None:
            scale = torch.where(width.isfinite(), width, torch.ones_like(width))
        if cells is None:
            cells = torch.zeros(lower.shape, dtype=torch.int64, device=lower.device)
        if unordered is None:
            unordered = torch.zeros(lower.shape, dtype=torch.bool, device=lower.device)
        if orders is None:
            orders = torch.full(lower.shape, -1, dtype=torch.int64, device=lower.device)
        shapes = {tuple(t.shape) for t in (lower, upper, scale, cells, unordered, orders)}
        if len(shapes) > 1 or lower.dim() != 1:
            raise ShapeMismatch(f"the sides, scales and cells of a domain have one shape (d,), got {sorted(shapes)}")
        _check(lower, upper, scale, cells, width)
        finite = bool(lower.isfinite().any()) or bool(upper.isfinite().any())
        return Domain(lower, upper, scale, cells, unordered, orders, finite, bool((cells > 0).any()), rules)

    @property
    def dim(self) -> int:
        """d."""
        return self.lower.numel()

    def like(self, x: Tensor) -> "Domain":
        """The same domain in the dtype and on the device of x."""
        sides = (self.lower.to(x), self.upper.to(x), self.scale.to(x))
        kinds = (self.cells.to(x.device), self.unordered.to(x.device), self.orders.to(x.device))
        return Domain(*sides, *kinds, self.bounded, self.discrete, self.rules)

    def clip(self, xs: Tensor) -> Tensor:
        """The nearest points inside to xs (..., d)."""
        return xs.clamp(self.lower, self.upper) if self.bounded else xs

    def mirror(self, xs: Tensor) -> Tensor:
        """xs (..., d), reflected at the sides as often as it takes; those inside are returned as they are."""
        if not self.bounded:
            return xs
        inside = (xs >= self.lower) & (xs <= self.upper)
        if bool(inside.all()):
            return xs
        # between two sides a reflected ray is periodic in twice the width
        width = self.upper - self.lower
        away = width - ((xs - self.lower).remainder(2 * width) - width).abs()
        between = self.lower + away
        above = self.lower + (xs - self.lower).abs()  # where there is a lower side only
        below = self.upper - (xs - self.upper).abs()
        folded = torch.where(width.isfinite(), between, torch.where(self.lower.isfinite(), above, below))
        return torch.where(inside, xs, folded).clamp(self.lower, self.upper)

    def contains(self, xs: Tensor) -> Tensor:
        """Which of the points xs (..., d) lie inside: (...) bool."""
        return ((xs >= self.lower) & (xs <= self.upper)).all(-1)

    def index(self, xs: Tensor) -> Tensor:
        """The cell (..., d) int64 of every coordinate of xs (..., d), counted from 0; 0 where it has none."""
        k = self.cells
        place = (xs - self.lower) / (self.upper - self.lower) * k
        return torch.where(k > 0, place.nan_to_num().floor().long().clamp(min=0), 0).minimum((k - 1).clamp(min=0))

    def active(self, xs: Tensor) -> Tensor:
        """Which coordinates of the points xs (n, d) are there: (n, d) bool. The others mean nothing."""
        there = torch.ones(xs.shape, dtype=torch.bool, device=xs.device)
        for rule in self.rules:
            sides = rule.intervals.to(xs.device)
            x = xs[:, rule.parent, None].double()
            holds = there[:, rule.parent] & ((x >= sides[:, 0]) & (x < sides[:, 1])).any(1)
            there[:, rule.first : rule.end] &= holds[:, None]
        return there

    def centre(self, xs: Tensor) -> Tensor:
        """xs (..., d) with every discrete coordinate moved to the middle of its cell."""
        if not self.discrete:
            return xs
        width = (self.upper - self.lower) / self.cells.clamp(min=1)
        middles = self.lower + (self.index(xs).to(xs.dtype) + 0.5) * width
        return torch.where(self.cells > 0, middles, xs)

    def uniform(self, n: int, key: Key, about: Tensor) -> Tensor:
        """n points (n, d): uniform between two finite sides, else normal around `about` (d,) with the typical length,
        and mirrored."""
        points = about + self.scale * key.fold("normal").normal(n, self.dim, like=about)
        if not self.bounded:
            return points
        spread = self.lower + (self.upper - self.lower) * key.fold("uniform").uniform(n, self.dim, like=about)
        return torch.where((self.upper - self.lower).isfinite(), spread, self.mirror(points))


def _check(lower: Tensor, upper: Tensor, scale: Tensor, cells: Tensor, width: Tensor) -> None:
    wrong = (~(lower < upper)).nonzero()
    if len(wrong):
        i = int(wrong[0])
        raise InvalidValue(f"a domain needs lower < upper, got {float(lower[i]):g} and {float(upper[i]):g} for x[{i}]")
    wrong = (~((scale > 0) & scale.isfinite())).nonzero()
    if len(wrong):
        i = int(wrong[0])
        raise InvalidValue(f"a typical length is finite and > 0, got {float(scale[i]):g} for x[{i}]")
    wrong = ((cells < 0) | (cells == 1) | ((cells > 0) & ~width.isfinite())).nonzero()
    if len(wrong):
        i = int(wrong[0])
        raise InvalidValue(
            f"a discrete coordinate has k >= 2 cells between finite sides, and 0 means continuous: got {int(cells[i])} "
            f"cells between {float(lower[i]):g} and {float(upper[i]):g} for x[{i}]"
        )
