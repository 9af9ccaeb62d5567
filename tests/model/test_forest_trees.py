"""Trees against a naive search for the best split, against scikit-learn, and what they do with cells and absences."""

import itertools

import numpy as np
import torch
from sklearn.ensemble import RandomForestRegressor

from descend.model.forest_trees import Columns, grow
from descend.model.modelled import Cube
from descend.space.domain import Domain


def columns_of(cells, unordered=None):
    lower = torch.zeros(len(cells), dtype=torch.float64)
    flags = torch.tensor(unordered) if unordered else None
    return Columns.of(Cube(Domain.box(lower, lower + 1, cells=torch.tensor(cells), unordered=flags), lower + 0.5))


def squares(y):
    return ((y - y.mean()) ** 2).sum() if len(y) else 0.0


def first_split(trees, features, y):
    """The squares that are left after the root's split of the first tree."""
    root = trees.roots[0]
    j = trees.feature[root]
    if trees.unordered[j]:
        left = trees.sides[root, features[:, j].astype(int)]
    else:
        left = features[:, j] <= trees.threshold[root]
    return squares(y[left]) + squares(y[~left])


def test_the_first_split_leaves_the_fewest_squares():
    columns = columns_of([0, 0, 5])
    for seed in range(10):
        draws = np.random.default_rng(seed)
        us, y = draws.random((25, 3)), draws.normal(size=25)
        features = columns.features(us, np.ones((25, 3), dtype=bool))
        least = min(
            squares(y[features[:, j] <= t]) + squares(y[features[:, j] > t]) for j in range(3) for t in features[:, j]
        )
        assert abs(first_split(grow(columns, features, y, 1, 1.0, draws), features, y) - least) < 1e-9


def test_unordered_cells_are_split_by_the_best_of_all_sets():
    columns = columns_of([6], [True])
    for seed in range(10):
        draws = np.random.default_rng(seed)
        us, y = draws.random((40, 1)), draws.normal(size=40)
        features = columns.features(us, np.ones((40, 1), dtype=bool))
        sets = [s for k in range(1, 6) for s in itertools.combinations(range(6), k)]
        inside = [np.isin(features[:, 0], s) for s in sets]
        least = min(squares(y[a]) + squares(y[~a]) for a in inside)
        assert abs(first_split(grow(columns, features, y, 1, 1.0, draws), features, y) - least) < 1e-9


def test_leaves_are_pure_and_statistics_are_those_of_their_rows():
    columns, draws = columns_of([0, 4, 3], [False, False, True]), np.random.default_rng(0)
    us, y = draws.random((60, 3)), draws.normal(size=60)
    features = columns.features(us, np.ones((60, 3), dtype=bool))
    trees = grow(columns, features[:50], y[:50], 4, 0.7, draws)
    leaf = trees.leaves(features)
    assert ((trees.left[leaf] == leaf) & (trees.right[leaf] == leaf)).all()
    mean, variance = trees.statistics(features[:50], y[:50])
    assert np.allclose(mean[leaf[:, :50]], y[:50])  # each row has a leaf of its own
    mean, variance = trees.statistics(features, y)
    for t in range(4):
        for node in np.unique(leaf[t]):
            mine = y[leaf[t] == node]
            assert abs(mean[node] - mine.mean()) < 1e-9
            assert abs(variance[node] - mine.var()) < 1e-9
    assert variance[leaf].max() > 0.1


def test_what_is_not_there_is_set_apart():
    """Answers are 1 where the second coordinate is missing: one split finds that, whatever the others say."""
    columns, draws = columns_of([0, 0]), np.random.default_rng(1)
    us = draws.random((40, 2))
    there = np.ones((40, 2), dtype=bool)
    there[::2, 1] = False
    features = columns.features(us, there)
    trees = grow(columns, features, (~there[:, 1]).astype(float), 5, 1.0, draws)
    assert (trees.feature[trees.roots] == 1).all()
    assert (trees.threshold[trees.roots] == -0.5).all()
    assert trees.depth == 1


def test_what_is_not_there_is_one_more_unordered_cell():
    columns = columns_of([3], [True])
    features = columns.features(np.array([[0.1], [0.5], [0.99], [1.0]]), np.array([[True], [True], [True], [False]]))
    assert features[:, 0].tolist() == [0, 1, 2, 3]


def test_it_predicts_as_well_as_scikit_learn():
    columns, draws = columns_of([0] * 5), np.random.default_rng(2)

    def f(us):
        return np.sin(4 * us[:, 0]) + (us[:, 1] - 0.3) ** 2 + us[:, 2] * us[:, 3]

    us, fresh = draws.random((200, 5)), draws.random((1000, 5))
    every = np.ones((1000, 5), dtype=bool)
    features = columns.features(us, every[:200])
    trees = grow(columns, features, f(us), 20, 0.8, draws)
    mean, _ = trees.statistics(features, f(us))
    ours = mean[trees.leaves(columns.features(fresh, every))].mean(0)
    theirs = RandomForestRegressor(20, max_features=0.8, bootstrap=False, random_state=0).fit(us, f(us)).predict(fresh)
    error = [np.mean((guess - f(fresh)) ** 2) for guess in (ours, theirs)]
    assert error[0] < 1.2 * error[1]
    assert error[0] < 0.2 * np.var(f(fresh))


def test_equal_answers_are_one_leaf():
    columns = columns_of([0, 0])
    us = np.random.default_rng(0).random((10, 2))
    trees = grow(columns, us, np.full(10, 3.0), 2, 1.0, np.random.default_rng(0))
    assert len(trees.feature) == 2
    assert trees.depth == 0
