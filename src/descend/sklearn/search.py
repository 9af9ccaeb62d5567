"""Tuning an estimator with any of descend's methods, where scikit-learn's grid or random search would stand."""

import time
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from descend.direct.grid import Grid
from descend.errors import EvaluationFailed, InvalidValue, StateMismatch
from descend.key import Key
from descend.log import Store
from descend.log.row import FINISHED
from descend.population.base import whole
from descend.sklearn._library import BaseSearchCV, FitFailedWarning, joblib
from descend.sklearn.folds import FOLDS, Answers, Splits
from descend.sklearn.translate import Translation, translated
from descend.study.engine import Exhausted
from descend.study.header import LEFT
from descend.study.pruners.base import Pruner
from descend.study.study import Study
from descend.study.trial import Pruned, Trial

__all__ = ["SearchCV"]

_ANSWERS: ContextVar[Answers] = ContextVar("answers of the search that is being fitted")
_ABOUT = "cross-validation"
"""The attribute of a study that says of which data, estimator and folds its scores are."""

_AGAIN = -1
"""The number of a candidate that is looked at and does not count."""


class SearchCV(BaseSearchCV):
    """The best parameters of an estimator by cross-validation: in the place of `RandomizedSearchCV` or `GridSearchCV`.

    It has all of their attributes (`best_params_`, `best_score_`, `best_estimator_`, `cv_results_` with the same
    columns, ...), is fitted and predicts like them, and takes part in pipelines, nested searches and metadata routing.

    Args:
        estimator: with `fit`, and `score` or a `scoring`.
        space: what is searched: a dict of lists, SciPy's distributions, descend's parameters (``Float(1e-3, 1e3,
            log=True)``) and conditions (``When("kernel", "poly", Int(2, 5))``) by the names of parameters; a `Space`;
            or a list of such dicts. Uniform and log-uniform distributions are searched on their scale, others by
            quantiles, and a list of rising numbers as ordered.
        n_iter: how many candidates are evaluated, those of earlier runs of the same study included; default 50. None:
            all of a `Grid`.
        method: what proposes candidates; default `Automatic()`.
        scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score: as of scikit-learn. `n_jobs`
            are processes, the threads of whose numerical libraries share the cores. Of several metrics the one that
            `refit` names is searched for, or the first.
        batch: so many candidates are proposed at once, and their folds evaluated in parallel; default as few as keep
            `n_jobs` processes busy. For the same batch the search is the same however many processes there are.
        random_state: randomness of the search, an integer or a `Key`; default 0. None draws fresh entropy.
        study: a file in which every candidate is written down when it is evaluated. A search that was ended, in
            whatever way, goes on where it was; one on other data, folds or another estimator is refused. Default: in
            memory.
        study_name: which one in the file; default "search".
        pruner: gives up a candidate after some of its folds, such as `WilcoxonPruner()`; the steps are folds, counted
            from 0. Its missing scores are NaN, and it ranks last.

    Attributes:
        trials_: the trials of the study, a `Record` for every candidate.
        best_estimator_, best_score_, best_params_, best_index_, cv_results_: as of `GridSearchCV`.
        scorer_, n_splits_, refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_: likewise.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from descend.space import Float
    >>> search = SearchCV(SVC(), {"C": Float(1e-3, 1e3, log=True), "kernel": ["rbf", "linear"]}, n_iter=20, cv=3)
    >>> search.fit(*load_iris(return_X_y=True)).score(*load_iris(return_X_y=True)) > 0.97
    True
    """

    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        n_iter: int | None = 50,
        method: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[Mapping[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = float("nan"),
        return_train_score: bool = False,
        batch: int | None = None,
        random_state: Any = 0,
        study: str | Path | None = None,
        study_name: str = "search",
        pruner: Pruner | None = None,
    ) -> None:
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,  # pyright: ignore
            pre_dispatch=pre_dispatch, error_score=error_score, return_train_score=return_train_score,  # pyright: ignore
        )  # fmt: skip
        self.space, self.n_iter, self.method = space, n_iter, method
        self.batch, self.random_state = batch, random_state
        self.study, self.study_name, self.pruner = study, study_name, pruner

    def _check_input_parameters(self, X: Any, y: Any, split_params: Mapping[str, Any]) -> None:
        """scikit-learn's hook before anything is evaluated: the folds are made, once."""
        splits = list(self._checked_cv_orig.split(X, y, **split_params))
        self._checked_cv_orig = Splits(splits)
        self._about = "" if self.study is None else self._what_scores_depend_on(X, y, splits)

    def _what_scores_depend_on(self, X: Any, y: Any, splits: Any) -> str:
        """A text that is the same for the same data, folds, metrics and estimator."""
        name, given = type(self.estimator).__name__, self.estimator.get_params(deep=False)
        settings = {name: value for name, value in given.items() if name not in ("n_jobs", "verbose")}
        return f"{name}, {joblib.hash((X, y, splits))}, {joblib.hash((settings, self.scoring))}"

    def _run_search(self, evaluate_candidates: Callable[..., Any]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """scikit-learn's hook: which candidates are evaluated."""
        if self.n_iter is None and not isinstance(self.method, Grid):
            raise InvalidValue(
                "n_iter=None evaluates all points of a grid; write method=Grid(), or a number of candidates"
            )
        if self.n_iter is not None:
            whole(self, "n_iter", self.n_iter, 1, 50)
        translation = translated(self.space)
        folds = self._checked_cv_orig.get_n_splits()
        answers = Answers(folds, self.refit if isinstance(self.refit, str) else None, self.error_score)
        token = _ANSWERS.set(answers)
        try:
            with self._opened(translation, folds) as study:
                while trials := self._asked(study):
                    self._evaluate(study, trials, translation, answers, evaluate_candidates)
                self._recall(study, translation, answers)
                if not answers.anything:
                    self._look_again(answers, evaluate_candidates)
                self.trials_ = study.trials
        finally:
            _ANSWERS.reset(token)
        candidates, found = answers.whole()
        with warnings.catch_warnings():
            if self.pruner is not None:  # that scores are missing is what it is for
                warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite")
            answers.results |= super()._format_results(candidates, folds, found)

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: Any, more_results: Any = None
    ) -> dict[str, Any]:
        """scikit-learn's hook after candidates: the table is made at the end, with those of earlier runs."""
        answers = _ANSWERS.get(None)
        if answers is None:
            return super()._format_results(candidate_params, n_splits, out, more_results)
        answers.take(out)
        return answers.results

    def _opened(self, translation: Translation, folds: int) -> Study:
        """The study, new or as it was."""
        key = self.random_state if isinstance(self.random_state, Key | int | None) else _drawn(self.random_state)
        begun = self._is_begun()
        study = Study(
            self.study, self.study_name, space=translation.space, method=LEFT if self.method is None else self.method,
            key=LEFT if begun and key is None else key, directions="maximize",
            batch=LEFT if begun and self.batch is None else self._batch(folds), pruner=self.pruner,
        )  # fmt: skip
        about = study.attributes.get(_ABOUT)
        if about is None:
            study.set(_ABOUT, self._about)
        elif about != self._about:
            study.close()
            raise StateMismatch(
                f"the scores in {self.study} are of another estimator or scoring, of other data or other folds; give "
                "the search another study_name, and cv a random_state where it draws folds at random"
            )
        return study

    def _is_begun(self) -> bool:
        """Whether there is a study to go on with: what was drawn for it, or depended on the machine, stays."""
        if self.study is None:
            return False
        with Store(self.study) as store:
            return self.study_name in store.names()

    def _batch(self, folds: int) -> int:
        """How many candidates are proposed at once."""
        if self.batch is not None:
            whole(self, "batch", self.batch, 1, 4)
            return self.batch
        jobs = joblib.effective_n_jobs(1 if self.n_jobs is None else self.n_jobs)
        return max(1, -(-jobs // (1 if self.pruner is not None else folds)))

    def _recall(self, study: Study, translation: Translation, answers: Answers) -> None:
        """What earlier runs have found, and others at the same time."""
        for record in study.trials:
            if record.number not in answers.params and FOLDS in record.attributes:
                answers.recall(record.number, translation.params(record.params), record.attributes[FOLDS])

    def _asked(self, study: Study) -> list[Trial]:
        """The next candidates; none if the search is over."""
        ended = sum(record.state in FINISHED for record in study.trials)
        size = study.settings.batch or 1
        wanted = size if self.n_iter is None else min(size - ended % size, self.n_iter - ended)
        trials: list[Trial] = []
        while len(trials) < wanted:
            try:
                trials.append(study.ask())
            except InvalidValue as nothing:
                if trials or isinstance(nothing.__context__, Exhausted):
                    break
                time.sleep(0.05)  # somebody else is at work on the rest of the batch
        return trials

    def _evaluate(
        self,
        study: Study,
        trials: list[Trial],
        translation: Translation,
        answers: Answers,
        evaluate: Callable[..., Any],
    ) -> None:
        """Evaluate candidates, and tell the study."""
        candidates = {trial.number: translation.params(trial.params) for trial in trials}
        if self.pruner is None:
            answers.expect(candidates, answers.folds)
            self._ask_scikit(answers, evaluate, list(candidates.values()), None)
        else:
            self._fold_by_fold(trials, candidates, answers, evaluate)
        for trial in trials:
            trial.set(FOLDS, answers.text(trial.number))
            score, errors = answers.score(trial.number), answers.errors(trial.number)
            if trial.stopped:
                study.tell(trial, Pruned())
            elif score != score:
                study.tell(trial, EvaluationFailed("\n".join(errors) or "the score is NaN"))
            else:
                study.tell(trial, score)

    def _fold_by_fold(
        self,
        trials: list[Trial],
        candidates: Mapping[int, dict[str, Any]],
        answers: Answers,
        evaluate: Callable[..., Any],
    ) -> None:
        """Evaluate one fold of all candidates after the other, without those that the pruner gives up."""
        splits, left = self._checked_cv_orig, trials
        self.n_splits_ = 1
        try:
            for fold in range(answers.folds):
                answers.expect({trial.number: candidates[trial.number] for trial in left}, 1)
                self._ask_scikit(answers, evaluate, [candidates[trial.number] for trial in left], splits.only(fold))
                for trial in left:
                    trial.report(fold, answers.score(trial.number, fold))
                left = [trial for trial in left if fold == answers.folds - 1 or not trial.should_stop()]
                if not left:
                    return
        finally:
            self.n_splits_ = answers.folds

    def _ask_scikit(
        self, answers: Answers, evaluate: Callable[..., Any], candidates: list[dict[str, Any]], cv: Splits | None
    ) -> None:
        """Have candidates fitted. That all of these failed ends no search, as it would one that asks only once."""
        try:
            evaluate(candidates, cv=cv)
        except ValueError as error:
            if self.error_score == "raise" or "fits failed" not in str(error):
                raise
            answers.fail(str(error))
            warnings.warn(str(error), FitFailedWarning, stacklevel=2)

    def _look_again(self, answers: Answers, evaluate: Callable[..., Any]) -> None:
        """Nothing was fitted in this run, but scikit-learn wants to see what a score looks like: one fold of one."""
        number = min(answers.params) if answers.fine is None else answers.fine
        params = answers.params[number]
        answers.expect({_AGAIN: params}, 1)
        self.n_splits_ = 1
        try:
            evaluate([params], cv=self._checked_cv_orig.only(0))
        finally:
            self.n_splits_ = answers.folds
            answers.drop(_AGAIN)


def _drawn(random_state: Any) -> int:
    """An integer from one of NumPy's generators."""
    return int(random_state.randint(2**31))
