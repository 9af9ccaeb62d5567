"""Whether the same point may have another loss each time, found out from what was answered.

If points were repeated: whether they gave the same losses. If none was, different points that have exactly the same
loss say that there is no noise, as noise has no ties; else Gaussian processes say how much there is, of which neither
the one of the losses as they are nor that of their logarithms may do without.
"""

from dataclasses import replace

import torch
from torch import Tensor

from descend.model.forest_near import canonical
from descend.model.gp.belief import Posterior, believe, features_of
from descend.model.gp.warp import PARTS
from descend.model.modelled import History

__all__ = ["FAINT", "looks_noisy", "pieces", "plain_belief"]

FAINT = 1e-2
"""Noise below this share of the losses' deviation is the process's own."""
_TIES = 0.1
"""The share of answers that have company at their loss, from which on losses are steps and not noise."""

_MOST = 300
"""Answers that are enough to judge by their logarithms."""


def looks_noisy(history: History) -> bool:
    """Whether the losses, of the first objective, look as if they had noise. All of them are finite.

    >>> from descend.key import Key
    >>> from descend.model.modelled import Cube
    >>> from descend.space.domain import Domain
    >>> cube = Cube(Domain.box(torch.zeros(1), torch.ones(1)), torch.full((1,), 0.5))
    >>> us = torch.linspace(0, 1, 30, dtype=torch.float64)[:, None]
    >>> noise = 0.1 * Key(0).normal(30, 1, like=us)
    >>> [looks_noisy(History(cube, cube.start, us, us**2 + e, us[:, :0], us[:0], 30)) for e in (0 * noise, noise)]
    [False, True]
    """
    us, losses = canonical(history.cube, history.us), history.values[:, 0]
    spread = float(losses.std()) if len(losses) > 1 else 0.0
    if not spread > 0:
        return False
    _, place, times = us.unique(dim=0, return_inverse=True, return_counts=True)
    if bool((times > 1).any()):
        means = losses.new_zeros(len(times)).index_add(0, place, losses) / times
        return float((losses - means[place]).abs().max()) > 1e-9 * spread
    _, like = losses.unique(return_counts=True)
    if int(like[like > 1].sum()) > _TIES * len(losses):
        return False
    some = torch.linspace(0, len(losses) - 1, min(len(losses), _MOST), dtype=us.dtype).round().long()
    warped = believe(features_of(history.cube), pieces(history, some), losses[some], PARTS)
    if warped.processes[0].noise <= FAINT**2:
        return False
    return float(plain_belief(history).noise(us[:1])) > FAINT * spread


def plain_belief(history: History) -> Posterior:
    """A process of the losses as they are: on a logarithmic scale a lucky one would count most."""
    features = features_of(history.cube)
    return Posterior(features, believe(features, history, history.values[:, 0], PARTS[:1]))


def pieces(history: History, some: Tensor) -> History:
    """The history of some (k,) of the answers, with one objective."""
    parts = history.us[some], history.values[some, :1], history.violations[some]
    return replace(history, us=parts[0], values=parts[1], violations=parts[2])
