"""The only file here that imports scikit-learn: a random forest as plain arrays, tree by tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descend.errors import MissingExtra
from descend.plot.study.figure import Array

__all__ = ["Tree", "grow"]

TREES = 64


@dataclass(frozen=True, eq=False)
class Tree:
    """A regression tree by its leaves.

    Fields: low, high (leaves, d), the sides of each leaf's box within the unit cube; value (leaves,).
    """

    low: Array
    high: Array
    value: Array


def grow(xs: Array, ys: Array, seed: int) -> tuple[list[Tree], Callable[[Array], Array]]:
    """A forest of 64 trees for inputs (n, d) in the unit cube: its trees, and what it predicts for (k, d).

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError as missing:
        raise MissingExtra("scikit-learn", "board") from missing
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, max_leaf_nodes=512, random_state=seed)
    forest.fit(xs, ys)
    trees = [_boxes(part.tree_, xs.shape[1]) for part in forest.estimators_]
    return trees, lambda points: np.asarray(forest.predict(points), dtype=np.float64)


def _boxes(tree: object, d: int) -> Tree:
    left: NDArray[np.int64] = tree.children_left  # type: ignore[attr-defined]
    right: NDArray[np.int64] = tree.children_right  # type: ignore[attr-defined]
    feature: NDArray[np.int64] = tree.feature  # type: ignore[attr-defined]
    threshold: Array = tree.threshold  # type: ignore[attr-defined]
    value: Array = tree.value  # type: ignore[attr-defined]
    low, high = np.zeros((len(left), d)), np.ones((len(left), d))
    for node in range(len(left)):  # parents come before their children
        if left[node] >= 0:
            j, at = feature[node], min(max(threshold[node], 0.0), 1.0)
            for child in (left[node], right[node]):
                low[child], high[child] = low[node], high[node]
            high[left[node], j] = min(high[node, j], at)
            low[right[node], j] = max(low[node, j], at)
    leaves = left < 0
    return Tree(low[leaves], high[leaves], value[leaves, 0, 0])
