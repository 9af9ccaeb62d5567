"""The search in scikit-learn's clothes: its own checks, its grid search's table, and what it cannot do: go on."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_classification
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from descend.direct import Grid, Uniform
from descend.errors import InvalidValue, MissingExtra, StateMismatch
from descend.key import Key
from descend.model.tpe import TPE
from descend.sklearn import SearchCV
from descend.sklearn.translate import translated
from descend.space import Choice, Float, Int, Ordinal, Space, When, as_space
from descend.study.pruners import WilcoxonPruner
from descend.study.study import Study

X, Y = load_iris(return_X_y=True)
SPACE = {"C": Float(1e-3, 1e3, log=True), "kernel": ["rbf", "poly"], "degree": When("kernel", "poly", Int(2, 4))}


def table(search: Any) -> dict[str, Any]:
    """cv_results_ without what a clock says."""
    return {name: column for name, column in search.cv_results_.items() if "time" not in name}


def assert_same(one: Any, two: Any) -> None:
    """Two tables are equal: the same columns in the same order, with the same values, types and masks."""
    one, two = table(one), table(two)
    assert list(one) == list(two)
    for name, column in one.items():
        if name == "params":
            assert column == two[name]
            continue
        assert column.dtype == two[name].dtype, name
        np.testing.assert_array_equal(np.ma.getmaskarray(column), np.ma.getmaskarray(two[name]), name)
        np.testing.assert_array_equal(np.ma.filled(column, 0), np.ma.filled(two[name], 0), name)


# As scikit-learn's own


@pytest.mark.parametrize(
    "search",
    [
        SearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=2, method=TPE()),
        SearchCV(Ridge(), {"alpha": Float(0.1, 1.0)}, n_iter=2, cv=2, method=TPE()),
    ],
    ids=["classifier", "regressor"],
)
def test_scikit_learns_checks_of_an_estimator(search: SearchCV) -> None:
    with warnings.catch_warnings(record=True):  # some checks look for them
        warnings.simplefilter("always")
        results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {result["check_name"] for result in results if result["status"] == "failed"}
    # Ridge takes several targets and does not say so through a search; a random search fails the same one
    assert failed == ({"check_supervised_y_2d"} if isinstance(search.estimator, Ridge) else set())
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert all("array_api" in name for name in skipped)  # libraries of arrays that are not installed
    assert len(results) - len(skipped) > 40


@pytest.mark.parametrize("train", [False, True])
def test_the_table_of_a_grid_is_grid_searchs(train: bool) -> None:
    grid = {"kernel": ["rbf", "linear"], "C": [0.1, 1, 10], "class_weight": [None, "balanced"]}
    theirs = GridSearchCV(SVC(), grid, return_train_score=train, cv=4).fit(X, Y)
    ours = SearchCV(SVC(), grid, method=Grid(), n_iter=None, return_train_score=train, cv=4).fit(X, Y)
    assert_same(ours, theirs)
    for name in ("best_params_", "best_score_", "best_index_", "n_splits_", "multimetric_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, Y) == theirs.score(X, Y)
    assert list(ours.classes_) == list(theirs.classes_)


def test_several_metrics_and_a_refit_by_name_or_by_hand() -> None:
    metrics = {"accuracy": "accuracy", "loss": "neg_log_loss"}
    grid = {"C": [0.01, 0.1, 1, 10]}

    def third(results: Any) -> int:
        return int(results["rank_test_accuracy"].argmax())

    for refit in ("loss", third, False):
        both = [
            cls(LogisticRegression(max_iter=500), grid, scoring=metrics, refit=refit, cv=3, **more).fit(X, Y)
            for cls, more in ((GridSearchCV, {}), (SearchCV, {"method": Grid(), "n_iter": None}))
        ]
        assert_same(*both)
        assert [hasattr(search, "best_estimator_") for search in both] == [refit is not False] * 2
        assert both[0].__dict__.get("best_index_") == both[1].__dict__.get("best_index_")
        losses = both[1].cv_results_["mean_test_loss" if refit == "loss" else "mean_test_accuracy"].tolist()
        assert [record.value for record in both[1].trials_] == losses  # what the search maximizes
    with pytest.raises(ValueError, match="multi-metric"):
        SearchCV(LogisticRegression(), grid, scoring=metrics, method=TPE()).fit(X, Y)


def test_a_union_of_grids_without_repetitions() -> None:
    grids = [{"kernel": ["linear"], "C": [0.1, 1]}, {"kernel": ["poly"], "degree": [2, 3, 4]}]
    theirs = GridSearchCV(SVC(), grids, cv=3).fit(X, Y)
    ours = SearchCV(SVC(), grids, method=Grid(), n_iter=None, cv=3).fit(X, Y)
    assert sorted(map(str, ours.cv_results_["params"])) == sorted(map(str, theirs.cv_results_["params"]))
    assert ours.best_score_ == theirs.best_score_


def test_it_is_cloned_nested_and_set_like_any_estimator() -> None:
    search = SearchCV(SVC(), SPACE, n_iter=3, method=Uniform(), cv=2)
    copy = clone(search).set_params(estimator__tol=0.01, n_iter=4)
    assert (copy.estimator.tol, copy.n_iter, search.n_iter) == (0.01, 4, 3)
    assert len(copy.fit(X, Y).cv_results_["params"]) == 4
    scores = cross_val_score(Pipeline([("pca", PCA(2)), ("search", search)]), X, Y, cv=3)
    assert scores.min() > 0.5
    again = search.fit(X, Y).cv_results_["params"]
    assert again == search.fit(X, Y).cv_results_["params"]
    assert again != clone(search).set_params(random_state=1).fit(X, Y).cv_results_["params"]
    for state in (Key(0), np.random.RandomState(3)):
        assert len(clone(search).set_params(random_state=state).fit(X, Y).trials_) == 3


def test_weights_and_groups_reach_where_they_belong() -> None:
    groups, weight = np.arange(150) % 5, np.where(Y == 0, 1.0, 1e-6)
    search = SearchCV(
        DummyClassifier(), {"strategy": ["most_frequent", "prior"]}, n_iter=2, cv=GroupKFold(5), method=Grid()
    )
    search.fit(X, Y, groups=groups, sample_weight=weight)
    assert search.n_splits_ == 5
    assert set(search.predict(X)) == {0}
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        routed = SearchCV(estimator, {"C": [1.0, 2.0]}, n_iter=2, cv=GroupKFold(5), method=Grid())
        routed.fit(X, Y, groups=groups, sample_weight=weight)
        assert set(routed.predict(X)) == {0}


# Failures


def test_a_candidate_that_fails_is_kept_with_its_reason() -> None:
    space = {"C": Float(-1.0, 1.0)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = SearchCV(SVC(), space, n_iter=12, method=TPE(), cv=2).fit(X, Y)
        numbered = SearchCV(SVC(), space, n_iter=12, method=TPE(), cv=2, error_score=-1.0).fit(X, Y)
    bad = [record for record in search.trials_ if record.params["C"] <= 0]
    assert 0 < len(bad) < 12
    assert all(record.state == "failed" and "'C' parameter" in (record.error or "") for record in bad)
    assert search.best_params_["C"] > 0
    assert {record.value for record in numbered.trials_ if record.params["C"] <= 0} == {-1.0}
    with pytest.raises(ValueError, match="'C' parameter"):
        SearchCV(SVC(), space, n_iter=12, method=TPE(), cv=2, error_score="raise").fit(X, Y)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_iter": 0}, "whole number n_iter >= 1, got 0"),
        ({"n_iter": None}, "all points of a grid; write method=Grid"),
        ({"batch": 0}, "whole number batch >= 1, got 0"),
        ({"space": 3}, "a search space is a Space, a dict of lists, .* got 3"),
        ({"space": {"C": "rbf"}}, "the space of C is a list of values, .* got 'rbf'"),
        ({"space": {"C": []}}, "C has no value to take"),
        ({"space": as_space([(0, 1)])}, "a search needs named parameters"),
    ],
)
def test_a_wrong_argument_is_quoted(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        SearchCV(SVC(), **{"space": {"C": [1.0]}, "method": TPE(), **options}).fit(X, Y)


# Processes


class Threads(ClassifierMixin, BaseEstimator):
    """Its score is how many threads NumPy's library may use where it is evaluated."""

    def __init__(self, c: float = 0.0) -> None:
        self.c = c

    def fit(self, X: Any, y: Any) -> "Threads":
        self.classes_ = np.unique(y)
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(os.environ.get("OMP_NUM_THREADS", "0"))


def test_the_search_is_the_same_for_one_and_two_processes() -> None:
    one, two = (
        SearchCV(SVC(), SPACE, n_iter=10, method=TPE(startup=4), cv=3, n_jobs=jobs, batch=4).fit(X, Y)
        for jobs in (1, 2)
    )
    assert_same(one, two)


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    search = SearchCV(Threads(), {"c": Float(0, 1)}, n_iter=2, method=Uniform(), cv=2, n_jobs=2, refit=False)
    threads = search.fit(X, Y).cv_results_["mean_test_score"]
    assert set(threads) == {max(1.0, (os.cpu_count() or 1) // 2)}


# A study that goes on


class Noted(ClassifierMixin, BaseEstimator):
    """Writes down every fit, and takes its time."""

    def __init__(self, journal: str = "", c: float = 0.0) -> None:
        self.journal, self.c = journal, c

    def fit(self, X: Any, y: Any) -> "Noted":
        self.classes_ = np.unique(y)
        time.sleep(float(os.environ.get("SECONDS", "0")))
        with open(self.journal, "a") as file:
            file.write(f"{self.c!r}\n")
        return self

    def predict(self, X: Any) -> Any:
        return np.where(X[:, 0] > 4 + 3 * self.c, 1, 0)


def noted(folder: Path, n_iter: int = 12, study: str | None = "search.db") -> SearchCV:
    path = None if study is None else folder / study
    estimator = Noted(str(folder / "journal"))
    method = TPE(startup=4)
    return SearchCV(estimator, {"c": Float(0, 1)}, n_iter=n_iter, method=method, cv=3, study=path, refit=False)


def fits(folder: Path) -> int:
    journal = folder / "journal"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_sklearn import X, Y, noted
noted(Path({folder!r})).fit(X, Y)
"""


def test_a_search_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = noted(tmp_path, study=None).fit(X, Y)
    (tmp_path / "journal").unlink()
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SECONDS": "0.05"}
    )
    deadline = time.monotonic() + 120
    while fits(tmp_path) < 14 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = fits(tmp_path)
    assert 14 <= before < 36  # of 12 candidates with 3 folds
    resumed = noted(tmp_path).fit(X, Y)
    assert_same(resumed, whole)
    assert 36 <= fits(tmp_path) <= 36 + 3  # the candidate that was under way is evaluated again, and no other
    assert [record.state for record in resumed.trials_] == ["done"] * 12


def test_a_finished_search_is_read_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    first = noted(tmp_path).fit(X, Y)
    assert fits(tmp_path) == 36
    assert_same(noted(tmp_path).fit(X, Y), first)
    assert fits(tmp_path) == 37  # one look at what a score is
    longer = noted(tmp_path, 15).fit(X, Y)
    assert fits(tmp_path) == 37 + 9
    assert_same(longer, noted(tmp_path, 15, study=None).fit(X, Y))
    with Study(tmp_path / "search.db", "search", readonly=True) as study:
        assert study.best.value == longer.best_score_
        assert len(json.loads(study.trials[3].attributes["folds"])) == 3


def test_a_search_goes_on_where_other_things_are_drawn_or_counted(tmp_path: Path) -> None:
    """On a machine with more cores the batch would be another one, and an entropy is another one anywhere."""
    first = noted(tmp_path, 6).set_params(random_state=None, batch=4).fit(X, Y)
    with Study(tmp_path / "search.db", "search", readonly=True) as study:
        key = study.key
    assert key != Key(0)
    longer = noted(tmp_path, 12).set_params(random_state=None).fit(X, Y)
    assert longer.cv_results_["params"][:6] == first.cv_results_["params"]
    assert_same(longer, noted(tmp_path, study=None).set_params(random_state=key, batch=4).fit(X, Y))


def test_two_searches_at_once_share_the_candidates(tmp_path: Path) -> None:
    """As two processes would: each has the other's candidates in its table, and none is evaluated twice."""
    other = noted(tmp_path, 6)
    one = noted(tmp_path, 12)
    asked = type(one)._asked

    class Interrupted(SearchCV):
        def _asked(self, study: Study) -> Any:
            if self.n_iter == 12 and len(study.trials) == 3:
                other.fit(X, Y)
            return asked(self, study)

    both = Interrupted(**one.get_params(deep=False)).fit(X, Y)
    assert fits(tmp_path) == 36
    assert_same(both, noted(tmp_path, study=None).fit(X, Y))


def test_a_study_of_other_data_or_folds_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    noted(tmp_path).fit(X, Y)
    bytes_before = (tmp_path / "search.db").read_bytes()
    with pytest.raises(StateMismatch, match="of another estimator or scoring, of other data or other folds"):
        noted(tmp_path, 20).fit(X + 1, Y)
    with pytest.raises(StateMismatch, match="give the search another study_name"):
        noted(tmp_path, 20).set_params(cv=ShuffleSplit(3)).fit(X, Y)
    with pytest.raises(StateMismatch):
        noted(tmp_path, 20).set_params(space={"c": Float(0, 2)}).fit(X, Y)
    assert (tmp_path / "search.db").read_bytes() == bytes_before


def test_failures_and_several_metrics_are_read_back(tmp_path: Path) -> None:
    def search(n_iter: int, study: bool) -> Any:
        return SearchCV(
            SVC(), {"C": Float(-1, 1)}, n_iter=n_iter, method=TPE(startup=4), cv=KFold(3, shuffle=True, random_state=0),
            scoring=["accuracy", "balanced_accuracy"], refit="balanced_accuracy", return_train_score=True,
            study=tmp_path / "two.db" if study else None,
        ).fit(X, Y)  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search(6, True)
        assert_same(search(12, True), search(12, False))


def test_folds_that_are_drawn_are_the_same_for_all_candidates() -> None:
    """GridSearchCV makes them once; a search that comes back to them must not draw them again."""
    same = {"C": Choice(1.0, 1.0000001)}
    search = SearchCV(SVC(), same, n_iter=6, method=Uniform(), cv=ShuffleSplit(4, test_size=0.3), batch=1).fit(X, Y)
    scores = np.stack([search.cv_results_[f"split{i}_test_score"] for i in range(4)])
    assert (scores == scores[:, :1]).all()


# Pruning


def test_candidates_are_given_up_after_some_folds() -> None:
    x, y = make_classification(400, n_informative=5, flip_y=0.1, random_state=0)
    space = {"max_depth": Int(1, 12), "min_samples_leaf": Int(1, 200)}

    def search(pruner: Any, jobs: int = 1) -> Any:
        tree = DecisionTreeClassifier(random_state=0)
        made = SearchCV(
            tree, space, n_iter=30, method=Uniform(), cv=10, pruner=pruner, batch=2, n_jobs=jobs, error_score=0.0
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # that scores are missing is no news
            return made.fit(x, y)

    whole, pruned = search(None), search(WilcoxonPruner(0.2))
    fitted = sum(np.isfinite(pruned.cv_results_[f"split{i}_test_score"]).sum() for i in range(10))
    states = [record.state for record in pruned.trials_]
    assert fitted < 0.65 * 300
    assert states.count("pruned") > 15
    means, ranks = pruned.cv_results_["mean_test_score"], pruned.cv_results_["rank_test_score"]
    lost = np.isnan(means)
    assert [state == "pruned" for state in states] == lost.tolist()
    assert ranks[lost].min() > ranks[~lost].max()
    assert pruned.best_score_ == whole.best_score_
    assert np.array_equal(means[~lost], whole.cv_results_["mean_test_score"][~lost])
    assert pruned.trials_[3].reports == {
        i: whole.cv_results_[f"split{i}_test_score"][3] for i in pruned.trials_[3].reports
    }
    assert_same(search(WilcoxonPruner(0.2), jobs=2), pruned)


# Spaces


def test_what_may_stand_in_a_space() -> None:
    nb, tree = GaussianNB(), DecisionTreeClassifier()
    given = {
        "a": scipy.stats.uniform(2, 3),
        "b": scipy.stats.loguniform(1e-4, 1),
        "c": scipy.stats.randint(1, 5),
        "d": scipy.stats.norm(),
        "e": scipy.stats.poisson(3),
        "f": np.array([1, 2, 4]),
        "g": [4, 1],
        "h": [(1, 2), None],
        "i": [nb, tree],
        "j": When("i", tree, Float(0, 1)),
        "k": When("h", ((1, 2),), When("i", (tree,), Int(1, 2))),
        "l": [1, True],
        "m": [None, {0: 1, 1: 2}, {"weight": 3}],
    }
    found = translated(given)
    leaves = found.space.root.arguments()[0][0]
    assert leaves["a"] == Float(2, 5)
    assert leaves["b"] == Float(1e-4, 1, log=True)
    assert leaves["c"] == Int(1, 4)
    assert leaves["d"] == leaves["e"] == Float(0, 1, open=True)
    assert (leaves["f"], leaves["g"], leaves["h"]) == (Ordinal(1, 2, 4), Choice(4, 1), Choice((1, 2), None))
    assert leaves["i"] == Choice("0: GaussianNB", "1: DecisionTreeClassifier")
    assert leaves["j"] == When("i", "1: DecisionTreeClassifier", Float(0, 1))
    params = [found.params(point) for point in found.space.sample(400, Key(0))]
    assert all(("j" in p) == (p["i"] is tree) and ("k" in p) == ("j" in p and p["h"] == (1, 2)) for p in params)
    assert {p["i"] for p in params} == {nb, tree}
    assert {type(p["e"]) for p in params} == {int}
    assert scipy.stats.kstest([p["d"] for p in params], "norm").pvalue > 0.01
    assert {p["l"] is True for p in params} == {True, False}
    assert {str(p["m"]) for p in params} == {"None", "{0: 1, 1: 2}", "{'weight': 3}"}
    assert not any("__" in name for p in params for name in p)


def test_spaces_within_spaces_are_parameters_of_parts() -> None:
    steps = Pipeline([("pca", PCA()), ("svc", SVC())])
    space = Space(pca=Space(n_components=Int(1, 3)), svc=Space(C=Float(0.1, 10, log=True), gamma=Choice("scale")))
    search = SearchCV(steps, space, n_iter=4, method=TPE(), cv=2).fit(X, Y)
    assert search.best_params_.keys() == {"pca__n_components", "svc__C", "svc__gamma"}
    assert {"param_pca__n_components", "param_svc__C"} < search.cv_results_.keys()


def test_a_model_is_chosen_together_with_its_parameters() -> None:
    svc, tree = SVC(), DecisionTreeClassifier(random_state=0)
    space = {
        "model": [svc, tree],
        "model__C": When("model", svc, Float(1e-2, 1e2, log=True)),
        "model__max_depth": When("model", tree, Int(1, 6)),
    }
    search = SearchCV(Pipeline([("model", svc)]), space, n_iter=25, method=TPE(), cv=3).fit(X, Y)
    kinds = [type(params["model"]).__name__ for params in search.cv_results_["params"]]
    assert set(kinds) == {"SVC", "DecisionTreeClassifier"}
    masked = np.ma.getmaskarray(search.cv_results_["param_model__C"])
    assert masked.tolist() == [kind != "SVC" for kind in kinds]
    assert search.best_score_ > 0.96


def test_without_scikit_learn_it_is_said_which_extra_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    monkeypatch.delitem(sys.modules, "descend.sklearn._library")
    with pytest.raises(MissingExtra, match=r"pip install 'descend\[sklearn\]'"):
        importlib.import_module("descend.sklearn._library")
