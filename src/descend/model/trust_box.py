"""A box around the best point, which grows while points in it improve and shrinks while they do not.

TuRBO: Eriksson, Pearce, Gardner, Turner and Poloczek 2019, "Scalable global optimization via local Bayesian
optimization". Its length is read off the answers, so that there is nothing to remember: after three improvements in a
row it is doubled, after max(4, d) failures halved, and when it has become too short a new region is begun elsewhere.
"""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Region", "region"]

_LONGEST, _FIRST, _SHORTEST = 1.6, 0.8, 0.5**7
_SUCCESSES = 3
_BETTER = 1e-3
"""The part of the spread of the values by which a success is better."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where a search stands. Fields: begin, the first answer of the present region; length, of the sides, in widths of
    the cube; best, the place of its best answer, -1 if there is none."""

    begin: int
    length: float
    best: int

    def box(self, centre: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper sides (d,) around a centre (d,), in proportion to the length scales (d,) of the model."""
        shape = lengths / lengths.mean()
        half = 0.5 * self.length * shape / shape.log().mean().exp()
        return (centre - half).clamp(0, 1), (centre + half).clamp(0, 1)


def region(values: Tensor, startup: int, d: int) -> Region:
    """The region after values (n,), in the order in which they were asked for; NaN and infinities are failures.

    Args:
        values: (n,).
        startup: answers that a new region begins with, wherever they are.
        d: coordinates.

    >>> import torch
    >>> region(torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2]), 2, 2)
    Region(begin=0, length=1.6, best=4)
    """
    begin, length, best, low, up, down = 0, _FIRST, -1, float("inf"), 0, 0
    fine = values[values.isfinite()]
    step = _BETTER * float(fine.std(unbiased=False)) if len(fine) else 0.0
    for i, value in enumerate(values.nan_to_num(nan=float("inf")).tolist()):
        better = value < low - (step if i - begin >= startup else 0.0)
        if value < low:
            low, best = value, i
        if i - begin < startup:
            continue
        up, down = (up + 1, 0) if better else (0, down + 1)
        if up == _SUCCESSES:
            length, up = min(2 * length, _LONGEST), 0
        elif down == max(4, d):
            length, down = length / 2, 0
        if length < _SHORTEST:
            begin, length, best, low, up, down = i + 1, _FIRST, -1, float("inf"), 0, 0
    return Region(begin, length, best)
