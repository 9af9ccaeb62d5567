"""Importance: against a grid, against functions whose shares are known, and against the axioms of Shapley values."""

import math
from itertools import permutations

import numpy as np
import pytest

from descend.errors import InvalidValue
from descend.key import Key
from descend.plot.study._forest import Tree, grow
from descend.plot.study.figure import Bars
from descend.plot.study.importance import Prepared, fanova, importance, marginal_variance, prepare, shapley, walks
from descend.plot.study.view import View
from descend.study.table import STATES, Column, Table


def prepared(f, names=("a", "b", "c"), n=600, seed=0) -> Prepared:
    xs = np.random.default_rng(seed).random((n, len(names)))
    return Prepared(names, xs, f(*xs.T), Key(seed))


def view_of(values, columns) -> View:
    n = len(values)
    nothing = np.full(n, math.nan)
    done = np.full(n, STATES.index("done"), dtype=np.int8)
    table = Table(
        ("minimize",), np.arange(n), done, np.asarray(values, dtype=np.float64)[:, None], np.zeros(n), nothing, nothing,
        (), np.full(n, -1), columns, 1,
    )  # fmt: skip
    return View(table)


def shares(found) -> dict[str, float]:
    return dict(zip(found.names, found.share.tolist(), strict=True))


def at(tree: Tree, points: np.ndarray) -> np.ndarray:
    inside = ((points[:, None] >= tree.low) & (points[:, None] < tree.high)).all(2)
    assert (inside.sum(1) == 1).all()  # the leaves are a partition
    return inside.astype(np.float64) @ tree.value


def test_the_boxes_of_a_tree_are_the_tree() -> None:
    rng = np.random.default_rng(5)
    xs = rng.random((80, 3))
    trees, predict = grow(xs, np.sin(5 * xs[:, 0]) + xs[:, 1] * xs[:, 2], 0)
    points = rng.random((50, 3)).astype(np.float32).astype(np.float64)  # in which scikit-learn compares
    np.testing.assert_allclose(np.mean([at(tree, points) for tree in trees], 0), predict(points))
    assert all(abs((tree.high - tree.low).prod(1).sum() - 1) < 1e-9 for tree in trees)


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 1), (2, 0)])
def test_marginals_of_a_tree_are_exact(axes) -> None:
    rng = np.random.default_rng(6)
    xs = rng.random((40, 3))
    (tree, *_), _ = grow(xs, xs[:, 0] * 3 + xs[:, 1] * xs[:, 2], 1)
    edges = [np.unique(np.r_[tree.low[:, j], tree.high[:, j]]) for j in range(3)]
    middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    weights = [np.diff(edge) for edge in edges]
    cells = np.stack([part.ravel() for part in np.meshgrid(*middles, indexing="ij")], 1)
    values = at(tree, cells).reshape([len(middle) for middle in middles])
    weight = weights[0][:, None, None] * weights[1][:, None] * weights[2]
    mean = (weight * values).sum()
    others = tuple(j for j in range(3) if j not in axes)
    own = weight.sum(others)
    marginal = (weight * values).sum(others) / own
    variance, explained = marginal_variance(tree, axes)
    np.testing.assert_allclose(variance, (weight * (values - mean) ** 2).sum())
    np.testing.assert_allclose(explained, (own * (marginal - mean) ** 2).sum())


def test_shares_of_a_sum_are_those_of_its_parts() -> None:
    found = shares(fanova(prepared(lambda a, b, c: 2 * a + b + 0 * c)))
    assert abs(found["a"] - 0.8) < 0.08  # 4 to 1
    assert abs(found["b"] - 0.2) < 0.08
    assert found["c"] < 0.03


def test_what_two_parameters_do_together_is_no_one_s_own() -> None:
    trials = prepared(lambda a, b, c: np.sign(a - 0.5) * np.sign(b - 0.5) + 0 * c)
    found = fanova(trials)
    assert found.rest > 0.5
    assert fanova(trials, pair=("a", "b")).share[0] > 0.45
    assert fanova(trials, pair=("a", "c")).share[0] < 0.15


def test_shapley_values_are_the_mean_over_all_orders() -> None:
    def predict(x):
        return x[:, 0] * x[:, 1] + 2 * x[:, 2] ** 2 + x[:, 0]

    rng = np.random.default_rng(7)
    point, other = rng.random(3), rng.random(3)
    exact = np.zeros(3)
    for order in permutations(range(3)):
        now = other.copy()
        for j in order:
            before = predict(now[None])[0]
            now[j] = point[j]
            exact[j] += (predict(now[None])[0] - before) / 6
    estimated = walks(predict, point[None], other[None], 4000, Key(1))[0]
    np.testing.assert_allclose(estimated, exact, atol=0.01)


def test_contributions_add_up_to_the_difference_and_a_dummy_has_none() -> None:
    def predict(x):
        return np.exp(x[:, 0]) * x[:, 1] + 0 * x[:, 2]

    points, other = np.random.default_rng(8).random((5, 3)), np.array([[0.2, 0.4, 0.9]])
    found = walks(predict, points, other, 6, Key(2))
    np.testing.assert_allclose(found.sum(1), predict(points) - predict(other))
    np.testing.assert_array_equal(found[:, 2], 0)


def test_shapley_shares_follow_the_size_of_the_effects() -> None:
    found = shares(shapley(prepared(lambda a, b, c: 3 * a + b + 0 * c)))
    assert abs(found["a"] - 0.75) < 0.06
    assert abs(found["b"] - 0.25) < 0.06
    assert abs(sum(found.values()) - 1) < 1e-9


def test_a_conditional_parameter_is_not_credited_with_its_parent_s_effect() -> None:
    rng = np.random.default_rng(9)
    n = 500
    model, x, depth = rng.integers(0, 2, n), rng.random(n), rng.random(n)
    values = 2.0 * model + 0.3 * x
    absent = np.where(model == 1, depth, np.nan)  # there with one model only, and of no effect
    columns = {
        "model": Column(model.astype(np.float64), ("svc", "forest"), False),
        "x": Column(x, None, False),
        "forest.depth": Column(absent, None, False),
    }
    for kind in (fanova, shapley):
        found = shares(kind(prepare(view_of(values, columns))))
        assert found["model"] > 0.7
        assert found["forest.depth"] < 0.03


def test_categories_matter_in_whatever_order_they_stand() -> None:
    rng = np.random.default_rng(10)
    codes = rng.integers(0, 6, 300)
    height = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])[codes]  # no one cut of the codes parts them
    columns = {
        "kind": Column(codes.astype(np.float64), tuple("abcdef"), False),
        "x": Column(rng.random(300), None, False),
    }
    trials = prepare(view_of(height, columns))
    assert sorted(set(trials.xs[codes % 2 == 0, 0])) < sorted(set(trials.xs[codes % 2 == 1, 0]))
    assert shares(fanova(trials))["kind"] > 0.95


def test_one_diverged_trial_is_not_all_there_is() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.random(300), rng.random(300)
    values = a.copy()
    values[17] = 1e12
    found = shares(fanova(prepare(view_of(values, {"a": Column(a, None, False), "b": Column(b, None, False)}))))
    assert found["a"] > 0.8


def test_the_same_trials_give_the_same_importance() -> None:
    rng = np.random.default_rng(12)
    columns = {
        "a": Column(rng.random(50), None, False),
        "b": Column(np.where(rng.random(50) < 0.5, 1.0, np.nan), None, False),
    }
    view = view_of(rng.random(50), columns)
    first, second = importance(view), importance(view)
    for one, other in zip(first.panels[0].marks, second.panels[0].marks, strict=True):
        assert isinstance(one, Bars)
        assert isinstance(other, Bars)
        np.testing.assert_array_equal(one.length, other.length)


def test_nothing_is_said_of_too_little() -> None:
    column = {"a": Column(np.arange(20.0), None, False)}
    with pytest.raises(InvalidValue, match="8 trials"):
        importance(view_of([1.0, 2.0], {"a": Column(np.arange(2.0), None, False)}))
    with pytest.raises(InvalidValue, match="all trials"):
        importance(view_of(np.ones(20), column))
    with pytest.raises(InvalidValue, match="two values"):
        importance(view_of(np.arange(20.0), {"a": Column(np.ones(20), None, False)}))
    with pytest.raises(InvalidValue, match="'anova'"):
        importance(view_of(np.arange(20.0), column), kind="anova")


def test_shares_of_a_mixed_problem_are_those_worked_out_by_hand() -> None:
    # |4 u - 2| + 0.8 [kind b] + 1.2 x [kind c]: variances 1/3, 0.1156, 0.0133 alone, and 0.0267 of kind with x.
    # A code of one digit for each category is no product of axes: Optuna 5 gives the kind 0.41 of what is alone.
    rng = np.random.default_rng(13)
    n = 400
    rate, x, kind = 10 ** rng.uniform(-4, 0, n), rng.random(n), rng.integers(0, 3, n)
    values = np.abs(np.log10(rate) + 2) + 0.8 * (kind == 1) + 1.2 * x * (kind == 2)
    letters = Column(kind.astype(np.float64), ("a", "b", "c"), False)
    columns = {"rate": Column(rate, None, True), "x": Column(x, None, False), "kind": letters}
    found = shares(fanova(prepare(view_of(values, columns))))
    for name, share in {"rate": 0.682, "kind": 0.236, "x": 0.027}.items():
        assert abs(found[name] - share) < 0.03, found


def test_shares_of_numbers_agree_with_optuna_s() -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna, with which shares are compared, is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(14)
    n = 300
    rate, x, layers = rng.uniform(-4, 0, n), rng.random(n), rng.integers(1, 9, n)  # Optuna takes no logarithms here
    values = np.abs(rate + 2) + x**2 + 0.1 * layers * x
    of = {
        "rate": optuna.distributions.FloatDistribution(-4, 0),
        "x": optuna.distributions.FloatDistribution(0, 1),
        "layers": optuna.distributions.IntDistribution(1, 8),
    }
    study = optuna.create_study()
    for i in range(n):
        params = {"rate": float(rate[i]), "x": float(x[i]), "layers": int(layers[i])}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=of, value=float(values[i])))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)  # shares of what is alone
    columns = {
        "rate": Column(rate, None, False), "x": Column(x, None, False),
        "layers": Column(layers.astype(np.float64), None, False),
    }  # fmt: skip
    ours = shares(fanova(prepare(view_of(values, columns))))
    alone = sum(ours.values())
    assert list(ours) == list(theirs)
    for name, share in theirs.items():
        assert abs(ours[name] / alone - share) < 0.05, (ours, theirs)
