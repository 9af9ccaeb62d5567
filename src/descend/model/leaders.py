"""The best of some answers: with constraints, with failures, and with several objectives.

Feasible ones come first, by their values; then infeasible ones, by how much they break the constraints, each of which
is measured in its own mean violation; a failed evaluation is never among the best. Of several objectives the fronts
come one after the other (Ozaki, Tanigaki, Watanabe, Nomura and Onishi 2022, "Multiobjective tree-structured Parzen
estimator"), and of the front that does not fit as a whole those points stay without which most of the dominated
hypervolume would be lost, or, of three and more objectives, which are farthest from their neighbours.
"""

import math

import numpy as np
import torch

from descend.pareto import sorting, thinning

__all__ = ["leaders"]

_FEW = 500
"""Up to so many answers are sorted sooner than looked through for the best."""


def leaders(values: np.ndarray, violations: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The places (j,) of the best k answers, or of fewer if others failed, and the rank (j,) of each.

    Args:
        values: (n, m) float64, smaller is better; a row that is not finite failed.
        violations: (n, c) float64, positive where a constraint is broken.
        k: how many, at least 1.

    With one objective the best comes first, the ranks are 0, 1, 2, ..., and equals stand in the order of the answers.
    With several they are the numbers of the fronts, and infeasible points come after them.

    >>> values = np.array([[3.0], [1.0], [math.nan], [0.0], [2.0]])
    >>> places, ranks = leaders(values, np.array([[0.0], [-1.0], [0.0], [0.1], [0.0]]), 3)
    >>> places.tolist(), ranks.tolist()
    ([1, 4, 0], [0, 1, 2])
    """
    finite = np.isfinite(values)
    fine = finite[:, 0] if values.shape[1] == 1 else np.all(finite, axis=1)
    broken = _broken(violations) if violations.shape[1] else None
    if broken is None:
        return _by_values(values, fine, k)
    holds = np.logical_and(fine, broken == 0)
    places, ranks = _by_values(values, holds, k)
    if len(places) < k:
        more, _ = _by_values(broken[:, None], fine & ~holds, k - len(places))
        ranks = np.concatenate([ranks, np.arange(len(more)) + (ranks[-1] + 1 if len(ranks) else 0)])
        places = np.concatenate([places, more])
    return places, ranks


def _broken(violations: np.ndarray) -> np.ndarray | None:
    """(n,) >= 0, by how much each answer breaks the constraints, NaN counting most; None if none does."""
    much = np.where(np.isnan(violations), math.inf, np.maximum(violations, 0.0))
    if not much.any():
        return None
    counted = np.isfinite(much) & (much > 0)
    mean = np.where(counted, much, 0.0).sum(0) / np.maximum(counted.sum(0), 1)
    return (much / np.where(mean > 0, mean, 1.0)).sum(1)


def _by_values(values: np.ndarray, fit: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of those that are fit (n,) bool, and their ranks."""
    if values.shape[1] > 1:
        return _fronts(values, np.flatnonzero(fit), k)
    whole = bool(fit.all())
    v = values[:, 0] if whole else np.where(fit, values[:, 0], math.inf)
    if k < len(v) and len(v) > _FEW:  # those that are no worse than the k-th are few, and only they are sorted
        near = np.flatnonzero(v <= np.partition(v, k - 1)[k - 1])
        places = near[v[near].argsort(kind="stable")][:k]
    else:
        places = v.argsort(kind="stable")[:k]
    if not whole:
        places = places[fit[places]]
    return places, np.arange(len(places))


def _fronts(values: np.ndarray, fit: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    v = values[fit]
    if len(v) == 0:
        return fit, fit
    number = sorting.ranks(torch.from_numpy(v), enough=min(k, len(v))).numpy()
    order = number.argsort(kind="stable")
    last = number[order[min(k, len(v)) - 1]]  # the front that is cut
    whole = order[number[order] < last]
    cut = np.flatnonzero(number == last)
    if len(whole) + len(cut) > k:
        thin = thinning.by_area if v.shape[1] == 2 else thinning.by_nearest
        cut = cut[thin(v[cut], k - len(whole))]
    chosen = np.concatenate([whole, cut])
    return fit[chosen], number[chosen]
