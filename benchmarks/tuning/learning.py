"""Models of scikit-learn to be tuned on its own small data, by cross-validation with fixed folds."""

from functools import lru_cache
from typing import Any

import numpy as np

from tuning.problem import Params, Task, choice, integer, number

__all__ = [
    "cancer_pipeline",
    "cancer_svc",
    "diabetes_boosting",
    "diabetes_models",
    "diabetes_svr",
    "digits_models",
    "wine_forest",
    "wine_mlp",
    "wine_neighbours",
]

Fold = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@lru_cache(maxsize=16)
def _folds(name: str, k: int, scaled: bool = True, rows: int = 0) -> tuple[Fold, ...]:
    """k folds (training points and labels, test points and labels); of `rows` random rows, if not of all."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    points, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "digits":
        points = points / 16.0
    if rows:
        some = np.random.default_rng(0).permutation(len(labels))[:rows]
        points, labels = points[some], labels[some]
    kind = KFold if name == "diabetes" else StratifiedKFold
    found = []
    for train, test in kind(k, shuffle=True, random_state=0).split(points, labels):
        scaler = StandardScaler().fit(points[train]) if scaled else None
        parts = [part if scaler is None else scaler.transform(part) for part in (points[train], points[test])]
        found.append((parts[0], labels[train], parts[1], labels[test]))
    return tuple(found)


def _mistakes(model: Any, folds: tuple[Fold, ...]) -> float:
    """The share of wrong labels over all folds."""
    wrong = sum(int((model.fit(x, y).predict(u) != v).sum()) for x, y, u, v in folds)
    return wrong / sum(len(v) for _, _, _, v in folds)


def _unexplained(model: Any, folds: tuple[Fold, ...]) -> float:
    """1 - R^2 over all folds."""
    squares = sum(float(((model.fit(x, y).predict(u) - v) ** 2).sum()) for x, y, u, v in folds)
    every = np.concatenate([v for _, _, _, v in folds])
    return squares / float(((every - every.mean()) ** 2).sum())


def cancer_svc() -> Task:
    """Support vectors on the breast cancer data."""
    from sklearn.svm import SVC

    def f(p: Params) -> float:
        return _mistakes(
            SVC(C=p["C"], gamma=p["gamma"], kernel=p["kernel"], max_iter=20_000), _folds("breast_cancer", 5)
        )

    kernel = choice("kernel", "rbf", "poly", "sigmoid", "linear")
    return Task((number("C", 1e-3, 1e3, log=True), number("gamma", 1e-5, 10, log=True), kernel), f)


def digits_models() -> Task:
    """Support vectors or a forest, on 500 digits."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    def f(p: Params) -> float:
        if p["classifier"] == "SVC":
            model = SVC(C=p["svc_c"], gamma=p["svc_gamma"])
        else:
            model = RandomForestClassifier(p["rf_trees"], max_depth=p["rf_max_depth"], random_state=0)
        return _mistakes(model, _folds("digits", 3, scaled=False, rows=500))

    vectors, forest = ("classifier", "SVC"), ("classifier", "RandomForest")
    parameters = (
        choice("classifier", "SVC", "RandomForest"),
        number("svc_c", 1e-10, 1e10, log=True).given(*vectors), number("svc_gamma", 1e-4, 10, log=True).given(*vectors),
        integer("rf_max_depth", 2, 32, log=True).given(*forest), integer("rf_trees", 5, 30).given(*forest),
    )  # fmt: skip
    return Task(parameters, f)


def wine_mlp() -> Task:
    """A network on the wine data: its shape, its training and its penalty; the logarithmic loss."""
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    def one(p: Params, fold: Fold) -> float:
        x, y, u, v = fold
        model = MLPClassifier(
            (p["width"],) * p["layers"], activation=p["act"], solver=p["solver"], learning_rate_init=p["lr"],
            alpha=p["alpha"], batch_size=p["batch"], max_iter=20, random_state=0, n_iter_no_change=100,
        )  # fmt: skip
        try:
            chances = np.nan_to_num(model.fit(x, y).predict_proba(u), nan=1 / 3)
        except ValueError:  # it went to infinity
            return 10.0
        return min(10.0, float(log_loss(v, np.clip(chances, 1e-6, 1), labels=[0, 1, 2])))

    def f(p: Params) -> float:
        return sum(one(p, fold) for fold in _folds("wine", 3)) / 3

    parameters = (
        integer("width", 4, 64, log=True), integer("layers", 1, 3), choice("act", "relu", "tanh", "logistic"),
        choice("solver", "adam", "sgd"), number("lr", 1e-4, 1, log=True), number("alpha", 1e-6, 1, log=True),
        integer("batch", 8, 64),
    )  # fmt: skip
    return Task(parameters, f)


def diabetes_svr() -> Task:
    """Regression by support vectors on the diabetes data."""
    from sklearn.svm import SVR

    def f(p: Params) -> float:
        model = SVR(kernel=p["kernel"], C=p["C"], gamma=p["gamma"], epsilon=p["epsilon"], max_iter=20_000)
        return min(3.0, _unexplained(model, _folds("diabetes", 3)))

    parameters = (
        choice("kernel", "rbf", "sigmoid", "linear"), number("C", 1e-2, 1e4, log=True),
        number("gamma", 1e-5, 10, log=True), number("epsilon", 1e-2, 1e2, log=True),
    )  # fmt: skip
    return Task(parameters, f)


def diabetes_models() -> Task:
    """Ridge regression, a kernel's, a tree or neighbours on the diabetes data, each with parameters of its own."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.tree import DecisionTreeRegressor

    def f(p: Params) -> float:
        if p["model"] == "ridge":
            model: Any = Ridge(p["ridge_alpha"])
        elif p["model"] == "kernel":
            model = KernelRidge(alpha=p["kernel_alpha"], gamma=p["kernel_gamma"], kernel=p["kernel_kind"])
        elif p["model"] == "tree":
            model = DecisionTreeRegressor(max_depth=p["depth"], min_samples_leaf=p["leaf"], random_state=0)
        else:
            model = KNeighborsRegressor(p["k"], weights=p["weights"], p=p["power"])
        return min(3.0, _unexplained(model, _folds("diabetes", 3)))

    parameters = (
        choice("model", "ridge", "kernel", "tree", "neighbours"),
        number("ridge_alpha", 1e-4, 1e4, log=True).given("model", "ridge"),
        choice("kernel_kind", "rbf", "laplacian").given("model", "kernel"),
        number("kernel_alpha", 1e-4, 1e3, log=True).given("model", "kernel"),
        number("kernel_gamma", 1e-5, 10, log=True).given("model", "kernel"),
        integer("depth", 1, 20).given("model", "tree"), integer("leaf", 1, 60, log=True).given("model", "tree"),
        integer("k", 1, 60, log=True).given("model", "neighbours"),
        choice("weights", "uniform", "distance").given("model", "neighbours"),
        number("power", 1, 3).given("model", "neighbours"),
    )  # fmt: skip
    return Task(parameters, f)


def diabetes_boosting() -> Task:
    """Gradient boosting on the diabetes data."""
    from sklearn.ensemble import GradientBoostingRegressor

    def f(p: Params) -> float:
        model = GradientBoostingRegressor(
            learning_rate=p["rate"], n_estimators=p["trees"], max_depth=p["depth"], subsample=p["share"],
            min_samples_leaf=p["leaf"], max_features=p["features"], loss=p["loss"], random_state=0,
        )  # fmt: skip
        return min(3.0, _unexplained(model, _folds("diabetes", 2)))

    parameters = (
        number("rate", 1e-3, 1, log=True), integer("trees", 5, 60, log=True), integer("depth", 1, 6),
        number("share", 0.3, 1), integer("leaf", 1, 30, log=True), number("features", 0.1, 1),
        choice("loss", "squared_error", "absolute_error", "huber"),
    )  # fmt: skip
    return Task(parameters, f)


def wine_forest() -> Task:
    """A small forest of very random trees on the wine data: mostly ints and choices, many values alike."""
    from sklearn.ensemble import ExtraTreesClassifier

    def f(p: Params) -> float:
        model = ExtraTreesClassifier(
            p["trees"], criterion=p["criterion"], max_depth=p["depth"], min_samples_split=p["split"],
            max_features=p["features"], bootstrap=p["bootstrap"], random_state=0,
        )  # fmt: skip
        return _mistakes(model, _folds("wine", 3))

    parameters = (
        integer("trees", 2, 12), choice("criterion", "gini", "entropy", "log_loss"), integer("depth", 1, 10),
        integer("split", 2, 20), number("features", 0.1, 1), choice("bootstrap", True, False),
    )  # fmt: skip
    return Task(parameters, f)


def wine_neighbours() -> Task:
    """Neighbours on principal components of the wine data: one float, the rest ints and choices."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    def f(p: Params) -> float:
        neighbours = KNeighborsClassifier(p["k"], weights=p["weights"], metric="minkowski", p=p["power"])
        return _mistakes(make_pipeline(PCA(p["components"], whiten=p["whiten"]), neighbours), _folds("wine", 5))

    parameters = (
        integer("k", 1, 40), choice("weights", "uniform", "distance"), number("power", 1, 4),
        integer("components", 1, 13), choice("whiten", True, False),
    )  # fmt: skip
    return Task(parameters, f)


def cancer_pipeline() -> Task:
    """How to scale, what to keep, and one of three linear or nearly linear models, on the breast cancer data."""
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

    scalers = {
        "standard": StandardScaler,
        "range": MinMaxScaler,
        "ranks": lambda: QuantileTransformer(n_quantiles=50, output_distribution="normal"),
    }

    def f(p: Params) -> float:
        if p["model"] == "ridge":
            model: Any = RidgeClassifier(p["alpha"])
        elif p["model"] == "linear":
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=p["shrinkage"])
        else:
            model = QuadraticDiscriminantAnalysis(reg_param=p["regular"])
        keep = [PCA(p["components"])] if p["reduce"] == "yes" else []
        return _mistakes(make_pipeline(scalers[p["scale"]](), *keep, model), _folds("breast_cancer", 3, scaled=False))

    parameters = (
        choice("scale", *scalers), choice("reduce", "yes", "no"), integer("components", 2, 25).given("reduce", "yes"),
        choice("model", "ridge", "linear", "quadratic"), number("alpha", 1e-4, 1e4, log=True).given("model", "ridge"),
        number("shrinkage", 0, 1).given("model", "linear"), number("regular", 0, 1).given("model", "quadratic"),
    )  # fmt: skip
    return Task(parameters, f)
