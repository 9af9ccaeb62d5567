"""Regression trees that say how sure they are: many grown at once, level by level.

A split is where the squares that are left are fewest, among some of the coordinates; its threshold is uniform between
the two values that it separates, so that trees differ most where nothing was evaluated (Hutter, Xu, Hoos, Leyton-Brown
2014, "Algorithm runtime prediction", section 4.3.1). All trees see all answers: of a few, bootstrap samples would leave
out a third, and searches went astray. Unordered cells are split by the order of their mean
answers, which is the best of all splits in two sets (Breiman et al. 1984, theorem 4.5). A coordinate that is not there
counts as one more cell, or as a number below all others.

The mean of a forest is that of its trees' leaves, its variance by the law of total variance E[v_t] + Var[m_t], with the
mean m_t and the variance v_t of the leaf of tree t.
"""

from dataclasses import dataclass

import numpy as np

from descend.model.modelled import Cube

__all__ = ["Columns", "Trees", "grow"]

_PURE = 1e-12
"""Squares, as a share of all, below which a node is a leaf."""


@dataclass(frozen=True, eq=False)
class Columns:
    """How points of a cube are laid out for trees.

    Fields: cells (d,) int64, 0 where a coordinate is continuous; unordered (d,) bool.
    """

    cells: np.ndarray
    unordered: np.ndarray

    @staticmethod
    def of(cube: Cube) -> "Columns":
        """The columns of a cube."""
        return Columns(cube.cells.numpy(), cube.unordered.numpy() & (cube.cells.numpy() > 1))

    @property
    def width(self) -> int:
        """One more than the most unordered cells that a coordinate has."""
        return 1 + int(self.cells[self.unordered].max(initial=0))

    def features(self, us: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Points (n, d) of the cube, whose coordinates are there or not (n, d) bool, as numbers (n, d) float64.

        Places in the cube, and the numbers of unordered cells; where a coordinate is not there -1, and one more than
        the last cell.
        """
        index = np.minimum(np.floor(us * self.cells), np.maximum(self.cells - 1, 0))
        places = np.where(self.cells > 0, (index + 0.5) / np.maximum(self.cells, 1), us)
        return np.where(self.unordered, np.where(there, index, self.cells), np.where(there, places, -1.0))


@dataclass(frozen=True, eq=False)
class Trees:
    """T trees with m nodes together.

    Fields: roots (T,) int64; feature (m,) int64; threshold (m,), up to which one goes left; left, right (m,) int64,
    the node itself at a leaf; sides (m, width) bool, which unordered cells go left, of columns that are `unordered`
    (d,) bool; depth, steps from a root to its farthest leaf.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    sides: np.ndarray
    unordered: np.ndarray
    depth: int

    def leaves(self, features: np.ndarray) -> np.ndarray:
        """The leaf (T, n) int64 of each row (n, d) in each tree."""
        node = np.repeat(self.roots[:, None], len(features), 1)
        rows = np.arange(len(features))
        for _ in range(self.depth):
            column = self.feature[node]
            x = features[rows, column]
            goes_left = x <= self.threshold[node]
            if self.sides.shape[1] > 1:
                cell = np.clip(x, 0, self.sides.shape[1] - 1).astype(np.int64)
                goes_left = np.where(self.unordered[column], self.sides[node, cell], goes_left)
            node = np.where(goes_left, self.left[node], self.right[node])
        return node

    def statistics(self, features: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (m,) of answers y (n,) at the rows features (n, d) in every node that is a leaf."""
        leaf, m = self.leaves(features).ravel(), len(self.feature)
        every, total = np.tile(y, len(self.roots)), np.maximum(np.bincount(leaf, minlength=m), 1)
        mean = np.bincount(leaf, every, m) / total
        return mean, np.bincount(leaf, (every - mean[leaf]) ** 2, m) / total


def grow(
    columns: Columns, features: np.ndarray, y: np.ndarray, trees: int, share: float, draws: np.random.Generator
) -> Trees:
    """Trees from features (n, d) and answers y (n,).

    Args:
        trees: how many.
        share: of the coordinates, among which a node chooses its split.
        draws: randomness.
    """
    growing = _Growing(columns, trees)
    rows, node = np.tile(np.arange(len(y)), trees), np.repeat(np.arange(trees), len(y))
    ids = np.arange(trees)  # the nodes that may still be split, by their number in this level
    while len(ids):
        split = _splits(columns, features[rows], y[rows], node, len(ids), share, draws)
        ids, node, kept = growing.split(ids, node, features[rows], split)
        rows = rows[kept]
    return growing.trees()


@dataclass(frozen=True, eq=False)
class _Splits:
    """Of the nodes (k,) of a level: which are split, along which column, up to where, and which cells go left."""

    found: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    sides: np.ndarray


class _Growing:
    """The nodes so far, as lists of arrays by level."""

    def __init__(self, columns: Columns, trees: int) -> None:
        self.columns, self.roots, self.size, self.depth = columns, np.arange(trees), trees, 0
        self.feature = np.zeros(trees, dtype=np.int64)
        self.threshold = np.full(trees, np.inf)
        self.left = self.right = np.arange(trees)
        self.sides = np.ones((trees, columns.width), dtype=bool)

    def split(
        self, ids: np.ndarray, node: np.ndarray, features: np.ndarray, split: _Splits
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nodes of the next level, the one that each sample is in, and which samples are still in one."""
        parents = ids[split.found]
        k, first = len(parents), len(self.feature)
        children = first + np.arange(2 * k)
        self.feature[parents], self.threshold[parents] = split.column[split.found], split.threshold[split.found]
        self.sides[parents] = split.sides[split.found]
        self.left, self.right = np.concatenate([self.left, children]), np.concatenate([self.right, children])
        self.left[parents], self.right[parents] = children[:k], children[k:]
        self.feature = np.concatenate([self.feature, np.zeros(2 * k, dtype=np.int64)])
        self.threshold = np.concatenate([self.threshold, np.full(2 * k, np.inf)])
        self.sides = np.concatenate([self.sides, np.ones((2 * k, self.columns.width), dtype=bool)])
        self.depth += bool(k)
        kept = split.found[node]
        node, features = node[kept], features[kept]
        column = split.column[node]
        x = features[np.arange(len(node)), column]
        goes_left = x <= split.threshold[node]
        which = self.columns.unordered[column]
        goes_left[which] = split.sides[node[which], x[which].astype(np.int64)]
        place = np.cumsum(split.found) - 1
        return children, place[node] + np.where(goes_left, 0, k), kept

    def trees(self) -> Trees:
        """All nodes together."""
        return Trees(
            self.roots, self.feature, self.threshold, self.left, self.right, self.sides, self.columns.unordered,
            self.depth,
        )  # fmt: skip


def _splits(
    columns: Columns,
    features: np.ndarray,
    y: np.ndarray,
    node: np.ndarray,
    nodes: int,
    share: float,
    draws: np.random.Generator,
) -> _Splits:
    """The best split of each of some nodes, for samples (N, d) with answers y (N,) and nodes (N,)."""
    n, d = features.shape
    x = features.T.copy()
    means = {int(j): _cell_means(columns, x[j], y, node, nodes) for j in np.flatnonzero(columns.unordered)}
    for j, table in means.items():
        x[j] = table[node, x[j].astype(np.int64)]
    order = np.lexsort((x, np.broadcast_to(node, x.shape)), axis=-1)
    ends = np.cumsum(np.bincount(node, minlength=nodes))
    starts = ends - np.bincount(node, minlength=nodes)
    at = np.sort(node)  # the node of each place, the same for all columns
    x, ys = np.take_along_axis(x, order, 1), y[order]
    sums = np.cumsum(ys, 1)
    before = np.where(starts[at] > 0, sums[:, starts[at] - 1], 0.0)
    total = sums[:, ends[at] - 1] - before
    left, count = sums - before, np.arange(1, n + 1) - starts[at]
    rest = (ends - starts)[at] - count
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = left**2 / count + (total - left) ** 2 / rest - total**2 / (count + rest)
    apart = np.zeros_like(gain, dtype=bool)
    apart[:, :-1] = (x[:, :-1] < x[:, 1:]) & (at[:-1] == at[1:])
    tries = draws.random((nodes, d)).argsort(1).argsort(1) < max(1, round(share * d))
    useful = np.logical_or.reduceat((apart & tries.T[:, at]).any(0), starts)
    tries |= ~useful[:, None]  # rather any coordinate than none
    gain = np.where(apart & tries.T[:, at], gain, -np.inf)
    column = gain.argmax(0)
    best = gain[column, np.arange(n)]
    most = np.maximum.reduceat(best, starts)
    place = np.minimum.reduceat(np.where(best == most[at], np.arange(n), n), starts).clip(max=n - 1)
    column = column[place]
    squares = np.bincount(node, (y - y.mean()) ** 2, nodes)
    low, high = x[column, place], x[column, np.minimum(place + 1, n - 1)]
    threshold = low + draws.random(nodes) * (high - low)
    threshold = np.where(low < 0, -0.5, np.where(threshold < high, threshold, low))
    sides = draws.random((nodes, columns.width)) < 0.5  # of cells that nobody has seen
    for j, table in means.items():
        mine, k = column == j, table.shape[1]
        known = np.isfinite(table[mine])
        sides[mine, :k] = np.where(known, table[mine] <= low[mine, None], sides[mine, :k])
    return _Splits((most > _PURE * squares.sum()) & np.isfinite(most), column, threshold, sides)


def _cell_means(columns: Columns, cell: np.ndarray, y: np.ndarray, node: np.ndarray, nodes: int) -> np.ndarray:
    """The mean answer (nodes, width) in each cell of a column, NaN where there is none."""
    place = node * columns.width + cell.astype(np.int64)
    counts = np.bincount(place, minlength=nodes * columns.width)
    with np.errstate(invalid="ignore"):
        return (np.bincount(place, y, nodes * columns.width) / counts).reshape(nodes, columns.width)
