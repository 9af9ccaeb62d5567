"""Answers to a population whose members each have a place of their own: question k was put for slot k mod n.

So answers may come in any order and any number, late ones included; the best of several answers to one slot counts.
"""

import torch
from torch import Tensor

__all__ = ["guests", "of_slots", "seat", "slots_of"]


def slots_of(asked: int, n: int, size: int) -> Tensor:
    """The slots (n,) int64 of the questions asked, asked + 1, ..."""
    return torch.arange(asked, asked + n).remainder_(size)


def of_slots(tickets: Tensor, losses: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The slots (k,) that were answered, ascending, and the row (k,) of the best answer to each.

    Args:
        tickets: (n,) int64, -1 where nothing was asked.
        losses: (n,) with failures as +inf.
        size: how many slots there are.

    >>> of_slots(torch.tensor([4, 1, -1, 7]), torch.tensor([2.0, 3.0, 0.0, 1.0]), size=3)
    (tensor([1]), tensor([3]))
    """
    rows = losses.argsort(stable=True)
    rows = rows[tickets[rows] >= 0]
    first = torch.full((size,), len(rows))
    first.scatter_reduce_(0, tickets[rows].remainder(size), torch.arange(len(rows)), "amin")
    slots = (first < len(rows)).nonzero()[:, 0]
    return slots, rows[first[slots]]


def guests(tickets: Tensor, losses: Tensor, standing: Tensor) -> tuple[Tensor, Tensor]:
    """The slots (k,) of the worst members, and the rows (k,) of points that were never asked and are better.

    Args:
        tickets, losses: as in `of_slots`.
        standing: (size,), the losses of the members, unknown ones as +inf.

    >>> guests(torch.tensor([4, -1, -1]), torch.tensor([2.0, 3.0, 9.0]), torch.tensor([1.0, 5.0, 4.0]))
    (tensor([1]), tensor([1]))
    """
    rows = losses.argsort(stable=True)
    rows = rows[tickets[rows] < 0][: len(standing)]
    slots = standing.argsort(descending=True, stable=True)[: len(rows)]
    better = losses[rows] < standing[slots]
    return slots[better], rows[better]


def seat(points: Tensor, losses: Tensor, slots: Tensor, xs: Tensor, rows: Tensor, told: Tensor) -> None:
    """Let rows (k,) of xs (n, d), with their losses told (n,), take slots (k,) of points (p, d), losses (p,)."""
    if len(slots):
        points.index_copy_(0, slots.to(xs.device), xs.index_select(0, rows.to(xs.device)))
        losses[slots] = told[rows]
