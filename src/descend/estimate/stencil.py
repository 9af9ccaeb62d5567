"""Every finite-difference formula is a row of one table: where to look, and with which weights.

A row approximates f'(x) by sum_k weight_k * f(x + offset_k * h) / h; `order` is the power of h in its error. The
weights of the one-sided rows are those of Fornberg (1988), "Generation of finite difference formulas on arbitrarily
spaced grids"; the randomised use of the longer ones is Pachal, Bhatnagar and Prashanth (2025), "Generalized
simultaneous perturbation-based gradient search with reduced estimator bias".
"""

import difflib
from dataclasses import dataclass

from descend.errors import InvalidValue

__all__ = ["STENCILS", "Stencil", "stencil"]


@dataclass(frozen=True)
class Stencil:
    """One finite-difference formula for a first derivative.

    Args:
        name: how users write it.
        offsets: in units of the step h.
        weights: one per offset; they sum to zero.
        order: the error is O(h**order).

    >>> stencil("central").offsets, stencil("central").weights
    ((-1.0, 1.0), (-0.5, 0.5))
    """

    name: str
    offsets: tuple[float, ...]
    weights: tuple[float, ...]
    order: int

    @property
    def one_sided(self) -> bool:
        """Whether it uses the centre and two-sided cancellation does not apply."""
        return 0.0 in self.offsets


def _mirrored(row: Stencil, name: str) -> Stencil:
    return Stencil(name, tuple(-o for o in row.offsets), tuple(-w for w in row.weights), row.order)


_FORWARD = (
    Stencil("forward2", (0.0, 1.0), (-1.0, 1.0), 1),
    Stencil("forward3", (0.0, 1.0, 2.0), (-3 / 2, 2.0, -1 / 2), 2),
    Stencil("forward4", (0.0, 1.0, 2.0, 3.0), (-11 / 6, 3.0, -3 / 2, 1 / 3), 3),
    Stencil("forward5", (0.0, 1.0, 2.0, 3.0, 4.0), (-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4), 4),
)
_CENTRAL = (
    Stencil("central2", (-1.0, 1.0), (-1 / 2, 1 / 2), 2),
    Stencil("central4", (-2.0, -1.0, 1.0, 2.0), (1 / 12, -2 / 3, 2 / 3, -1 / 12), 4),
)
_BACKWARD = tuple(_mirrored(row, row.name.replace("forward", "backward")) for row in _FORWARD)

STENCILS: dict[str, Stencil] = {row.name: row for row in (*_FORWARD, *_BACKWARD, *_CENTRAL)}
"""All rows by name; the aliases below are other names for some of them."""

# "3-point central" counts the centre, whose weight is zero
for _alias, _name in {
    "forward": "forward2",
    "backward": "backward2",
    "central": "central2",
    "central3": "central2",
}.items():
    STENCILS[_alias] = STENCILS[_name]


def stencil(formula: str | Stencil) -> Stencil:
    """A row by name; a `Stencil` of the user's own is returned as it is.

    Raises:
        InvalidValue: no row has that name; the sentence suggests the nearest and lists all.
    """
    if isinstance(formula, Stencil):
        return formula
    if formula not in STENCILS:
        near = difflib.get_close_matches(str(formula), STENCILS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidValue(f"unknown formula {formula!r}; {hint}The formulas are {', '.join(STENCILS)}")
    return STENCILS[formula]
