"""One point of a front: the knee, or the one that suits somebody's weights.

All three look at a front scaled to [0, 1] in every objective, so that units do not matter.

- `knee`: the point furthest behind the plane through the ends of the front (Das 1999, "On characterizing the 'knee' of
  the Pareto curve").
- `compromise`: the least weighted distance from the ideal point (Zeleny 1973, "Compromise programming"); Tchebycheff's
  distance, so that points in a dent of the front can be chosen too.
- `pseudo_weights`: what a point seems to care for, by how much better than the worst it is in each objective (Deb 2001,
  "Multi-objective optimization using evolutionary algorithms", section 9.5).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from descend.errors import InvalidValue

__all__ = ["compromise", "knee", "pseudo_weights"]


def knee(values: Tensor) -> int:
    """The place of the knee of a front (n, m), n >= 1: there a little less of one costs a lot of the others.

    A front that bulges away from the ideal point has none; then it is one of the ends.

    >>> knee(torch.tensor([[0.0, 1.0], [0.1, 0.2], [1.0, 0.0]]))
    1
    """
    u = _scaled(values)
    ends = u[u.argmax(0)]  # the worst in each objective
    # the plane n.x = 1 through the ends; where they do not make one, the one with equal shares
    normal = torch.linalg.lstsq(ends, torch.ones(len(ends), 1, dtype=u.dtype)).solution[:, 0]
    plane = torch.allclose(ends @ normal, torch.ones(len(ends), dtype=u.dtype), atol=1e-6) and bool((normal > 0).all())
    normal = normal if plane else torch.ones_like(normal)
    return int((u @ normal).argmin())


def compromise(values: Tensor, weights: Sequence[float] | Tensor) -> int:
    """The place of the point of a front (n, m) with the least max_j weight_j * scaled value_j; of equal ones, the sum.

    Args:
        weights: m numbers >= 0, how much each objective matters; not all 0.

    Raises:
        InvalidValue: other weights.

    >>> compromise(torch.tensor([[0.0, 1.0], [0.2, 0.4], [1.0, 0.0]]), [1.0, 9.0])
    2
    """
    w = torch.as_tensor(weights, dtype=torch.float64)
    if w.shape != values.shape[1:] or not bool((w >= 0).all()) or not 0 < float(w.sum()) < math.inf:
        raise InvalidValue(
            f"weights are {values.shape[1]} numbers >= 0 and not all 0, one for each objective, got {weights!r}"
        )
    parts = w / w.sum() * _scaled(values)
    return int((parts.max(1).values + 1e-6 * parts.sum(1)).argmin())


def pseudo_weights(values: Tensor) -> Tensor:
    """(n, m) float64, rows that sum to 1: the share of each objective in how much better than the worst a point is.

    >>> pseudo_weights(torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    gain = 1 - _scaled(values)
    total = gain.sum(1, keepdim=True)
    return torch.where(total > 0, gain / total.clamp(min=1e-300), 1 / values.shape[1])


def _scaled(values: Tensor) -> Tensor:
    v = values.to("cpu", torch.float64)
    low = v.min(0).values
    width = v.max(0).values - low
    return (v - low) / torch.where(width > 0, width, 1.0)
