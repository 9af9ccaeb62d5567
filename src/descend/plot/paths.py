"""Trajectories as people have them, one or several, become labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from descend.errors import ShapeMismatch

__all__ = ["as_array", "as_path", "read_paths"]

Array = NDArray[np.float64]


def as_array(numbers: Any) -> Array:
    """A tensor on any device, an array, or nested sequences of them as a float64 array. Raises `ShapeMismatch`."""
    if isinstance(numbers, torch.Tensor):
        return numbers.detach().to("cpu", torch.float64).numpy()
    if isinstance(numbers, list | tuple):
        numbers = [as_array(part) for part in numbers]
    try:
        return np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError) as wrong:
        raise ShapeMismatch(f"these are no points, or not all of the same length: {wrong}") from None


def as_path(points: Any, dimension: int) -> Array:
    """One path as (k, dimension), k >= 1, with NaN for what is not finite; for dimension 1 it may also be (k,).

    Raises:
        ShapeMismatch: it is empty or has another shape.
    """
    path = as_array(points)
    if dimension == 1 and path.ndim == 1:
        path = path[:, None]
    if path.ndim != 2 or path.shape[1] != dimension or not len(path):
        raise ShapeMismatch(
            f"a path here has the shape (k, {dimension}), one row of {dimension} for each of k >= 1 iterates, "
            f"but this one has the shape {path.shape}" + _remedy(path, dimension)
        )
    return np.where(np.isfinite(path), path, np.nan)


def _remedy(path: Array, dimension: int) -> str:
    if path.ndim == 2 and path.shape[1] > dimension:
        return f"; choose what to draw, for example path[:, :{dimension}]"
    return "; collect the iterates, for example path.append(x.clone())"


def read_paths(paths: Any, labels: Sequence[str] | None) -> tuple[list[str], list[Array]]:
    """The labels and paths (k, 2) of one path, of a sequence of paths, or of a mapping from labels to paths.

    One path may be a tensor or array (k, 2), or a list of k points. Without labels, several paths have none.

    Raises:
        ShapeMismatch: no paths, one of another shape, or another number of labels than of paths.
    """
    if isinstance(paths, Mapping):
        labels, parts = list(paths) if labels is None else labels, list(paths.values())
    elif isinstance(paths, torch.Tensor | np.ndarray):
        parts = [paths] if paths.ndim == 2 else list(paths)
    else:
        parts = list(paths)
        if parts and all(as_array(part).ndim == 1 for part in parts):
            parts = [parts]  # a list of iterates
    if not parts:
        raise ShapeMismatch("there are no paths to draw; give at least one of shape (k, 2)")
    if labels is not None and len(labels) != len(parts):
        raise ShapeMismatch(f"there are {len(parts)} paths but {len(labels)} labels; write one label for each path")
    return list(labels or [""] * len(parts)), [as_path(part, 2) for part in parts]
