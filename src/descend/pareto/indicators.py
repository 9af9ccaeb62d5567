"""How good a front is, as one number: the only file that imports moocore, which computes what is hard to compute.

The hypervolume is that of all that a front dominates within a reference point (Zitzler and Thiele 1998); IGD is the
mean distance of the points of a true front to the nearest found one, and IGD+ counts only by how much that is worse
(Ishibuchi, Masuda, Tanigaki and Nojima 2015). For two objectives the hypervolume is a sum of rectangles, and our own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import MissingExtra, ShapeMismatch

__all__ = ["contributions", "hypervolume", "igd", "igd_plus"]


def hypervolume(values: Tensor, reference: Sequence[float] | Tensor) -> float:
    """The volume that points (n, m) dominate within a reference point (m,); rows that are not finite do not count.

    Raises:
        ShapeMismatch: the reference point has not m numbers.
        MissingExtra: m >= 3 and moocore is not installed: pip install 'descend[pareto]'.

    >>> hypervolume(torch.tensor([[0.0, 0.5], [0.5, 0.0]]), [1.0, 1.0])
    0.75
    """
    v, r = _columns(values, reference)
    v = v[(v < r).all(1)]
    if not len(v):
        return 0.0
    if v.shape[1] > 2:
        return float(_moocore().hypervolume(v, ref=r))
    if v.shape[1] == 1:
        return float(r[0] - v.min())
    v = v[np.lexsort((v[:, 1], v[:, 0]))]
    ceiling = np.minimum.accumulate(np.concatenate([r[1:], v[:, 1]]))  # the lowest of all further to the left
    return float(((r[0] - v[:, 0]) * (ceiling[:-1] - ceiling[1:])).sum())


def contributions(values: Tensor, reference: Sequence[float] | Tensor) -> Tensor:
    """(n,) float64: by how much the hypervolume of points (n, m) would be less without each of them.

    Points that others dominate count as if they were not there.

    Raises:
        ShapeMismatch, MissingExtra: as for `hypervolume`; moocore is needed for any m.
    """
    v, r = _columns(values, reference)
    return torch.from_numpy(np.asarray(_moocore().hv_contributions(v, ref=r), dtype=np.float64))


def igd(values: Tensor, truth: Tensor) -> float:
    """The mean distance from points (k, m) of the true front to the nearest of (n, m) that were found.

    Raises:
        ShapeMismatch: not the same number of objectives.
        MissingExtra: moocore is not installed: pip install 'descend[pareto]'.
    """
    return float(_moocore().igd(*_two(values, truth)))


def igd_plus(values: Tensor, truth: Tensor) -> float:
    """As `igd`, but counting only by how much found points are worse: never better for a front that is dominated.

    Raises:
        ShapeMismatch, MissingExtra: as for `igd`.
    """
    return float(_moocore().igd_plus(*_two(values, truth)))


def _columns(values: Tensor, reference: Sequence[float] | Tensor) -> tuple[np.ndarray, np.ndarray]:
    v = values.detach().to("cpu", torch.float64).numpy()
    r = torch.as_tensor(reference, dtype=torch.float64).numpy(force=True)
    if v.ndim != 2 or r.shape != v.shape[1:]:
        raise ShapeMismatch(f"a reference point has a number for each objective, got {r.shape} for values {v.shape}")
    return np.ascontiguousarray(v[np.isfinite(v).all(1)]), r


def _two(values: Tensor, truth: Tensor) -> tuple[np.ndarray, np.ndarray]:
    v, t = (points.detach().to("cpu", torch.float64).numpy() for points in (values, truth))
    if v.ndim != 2 or t.ndim != 2 or v.shape[1] != t.shape[1]:
        raise ShapeMismatch(f"both fronts are rows of m numbers, got shapes {v.shape} and {t.shape}")
    return v, t


def _moocore() -> Any:
    try:
        import moocore
    except ImportError as missing:
        raise MissingExtra("moocore", "pareto") from missing
    return moocore
