"""A search's answers, fold by fold: what scikit-learn found out about each candidate, kept in the study as JSON.

scikit-learn's search evaluates candidates and makes its table of them; here the candidates of earlier runs, which are
only in the study, are put among them.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["FOLDS", "Answers", "Splits"]

FOLDS = "folds"
"""The attribute of a trial with what was found in its folds, a JSON text."""


class Splits:
    """Splits that were made once, so that all candidates are compared on the same.

    Args:
        splits: pairs of training and test indices.
    """

    def __init__(self, splits: Sequence[tuple[Any, Any]]) -> None:
        self.splits = list(splits)

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        """The pairs."""
        return iter(self.splits)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many there are."""
        return len(self.splits)

    def only(self, fold: int) -> "Splits":
        """One of them."""
        return Splits(self.splits[fold : fold + 1])


class Answers:
    """What was found about candidates, by the numbers of their trials.

    Args:
        folds: how many each has.
        metric: which score is maximized, if there are several; None for the first.
        error_score: what counts for a score where fitting failed.

    Attributes:
        params: of the candidates, by number.
        results: the table, filled at the end of a search.
    """

    def __init__(self, folds: int, metric: str | None, error_score: Any) -> None:
        self.folds, self.metric, self._error_score = folds, metric, error_score
        self.params: dict[int, dict[str, Any]] = {}
        self.results: dict[str, Any] = {}
        self._found: dict[int, list[dict[str, Any]]] = {}
        self._expected: list[int] = []
        self._taken = 0

    def expect(self, candidates: Mapping[int, dict[str, Any]], folds: int) -> None:
        """The next answers are of these candidates, so many folds of each."""
        self.params |= candidates
        self._expected = [number for number in candidates for _ in range(folds)]

    def take(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """All answers of this run so far, of which the last were expected."""
        for number, answer in zip(self._expected, answers[self._taken :], strict=True):
            self._found.setdefault(number, []).append(dict(answer))
        self._taken, self._expected = len(answers), []

    def fail(self, reason: str) -> None:
        """All answers that were expected are failures: there is nothing else to tell of them."""
        for number in self._expected:
            self._found.setdefault(number, []).append({"fit_error": reason})
        self._expected = []

    @property
    def anything(self) -> bool:
        """Whether scikit-learn has seen any answer in this run."""
        return self._taken > 0

    @property
    def fine(self) -> int | None:
        """The first candidate with which scikit-learn was content, if there is one."""
        return next((number for number in sorted(self._found) if _has_scores(self._found[number])), None)

    def score(self, number: int, fold: int | None = None) -> float:
        """The score of a candidate that is maximized: in one fold, or the mean of those that there are."""
        found = self._found[number] if fold is None else self._found[number][fold : fold + 1]
        return float(np.mean([self._one(answer) for answer in found]))

    def errors(self, number: int) -> list[str]:
        """Why fits of a candidate failed."""
        return [answer["fit_error"] for answer in self._found[number] if answer.get("fit_error")]

    def drop(self, number: int) -> None:
        """Forget a candidate."""
        self._found.pop(number, None)
        self.params.pop(number, None)

    def text(self, number: int) -> str:
        """What was found about a candidate."""
        return json.dumps(self._found[number], default=_plain)

    def recall(self, number: int, params: dict[str, Any], text: str) -> None:
        """Take over what an earlier run has found."""
        self.params[number], self._found[number] = params, json.loads(text)

    def whole(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The candidates, in the order of their numbers, and all their folds, NaN for those that were not fitted."""
        numbers, fine = sorted(self._found), self.fine
        assert fine is not None
        like = self._found[fine][0]
        failed = {
            name: _like(value, self._error_score if "scores" in name else math.nan) for name, value in like.items()
        }
        missing = {name: _like(value, math.nan) for name, value in like.items()}
        rows: list[dict[str, Any]] = []
        for number in numbers:
            rows += [{**failed, **fold} for fold in self._found[number]]
            rows += [missing] * (self.folds - len(self._found[number]))
        return [self.params[number] for number in numbers], rows

    def _one(self, answer: Mapping[str, Any]) -> float:
        scores = answer.get("test_scores", self._error_score)
        if not isinstance(scores, Mapping):
            return float(scores)
        return float(scores[self.metric] if self.metric is not None else next(iter(scores.values())))


def _has_scores(found: Sequence[Mapping[str, Any]]) -> bool:
    return bool(found) and all("test_scores" in answer for answer in found)


def _like(value: Any, number: float) -> Any:
    """A number, or a dict of it, in the shape of a value."""
    return dict.fromkeys(value, number) if isinstance(value, Mapping) else number


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, and anything else as a text."""
    return value.item() if isinstance(value, np.generic) else str(value)
