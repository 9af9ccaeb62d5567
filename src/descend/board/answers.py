"""What the live page is told: one function for each question, from the words of a query to JSON."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from descend.board.pack import compact
from descend.board.reader import Reader
from descend.board.shown import COMPARISONS, PAGE, Asked, Shown, plotted
from descend.errors import InvalidValue

__all__ = ["Answers", "Query"]

Query = Mapping[str, Sequence[str]]
"""The words of a query, all values of each name."""

_KEPT = 64  # answers
_MOST = 20  # studies in a comparison
_SLOW = frozenset({"importance"})


class Answers:
    """The answers to the questions of the page, each as JSON.

    Args:
        reader: of the studies.

    Raises:
        InvalidValue: by a question: there is no such study, picture or trial, or a word that cannot be meant.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._lock = Lock()
        self.questions: Mapping[str, Callable[[Query], bytes]] = {
            "studies": self.studies, "summary": self.summary, "figure": self.figure, "trials": self.trials,
            "trial": self.trial, "failures": self.failures, "compare": self.compare,
        }  # fmt: skip

    def studies(self, query: Query) -> bytes:
        """The summaries of all studies."""
        return compact([self._reader.shown(name).summary() for name in self._reader.names()])

    def summary(self, query: Query) -> bytes:
        """That of ``study``."""
        return compact(self._study(query).summary())

    def figure(self, query: Query) -> bytes:
        """The picture ``figure`` of an ``objective``. A slow one is made again after a twentieth more trials only."""
        shown, name, objective = self._study(query), _word(query, "figure"), _whole(query, "objective", 0)

        def make() -> bytes:
            return compact(shown.figure(name, objective=objective))

        n = shown.view.n
        since = round(math.log(max(n, 1), 1.05)) if name in _SLOW else shown.version
        key = (shown.view.name, name, objective, since)
        # reports are still being added to by the thread that reads
        return self._once(key, lambda: self._reader.do(make) if name == "intermediate" else make())

    def trials(self, query: Query) -> bytes:
        """A page of the table: ``sort``, ``down``, ``state``, ``first``, ``count``."""
        asked = Asked(
            _word(query, "sort", "number"), _word(query, "down", "true") == "true", _word(query, "state", ""),
            _whole(query, "first", 0), _whole(query, "count", PAGE),
        )  # fmt: skip
        return compact(self._study(query).trials(asked))

    def trial(self, query: Query) -> bytes:
        """The trial of this ``number`` in full."""
        shown, number = self._study(query), _whole(query, "number")
        if not 0 <= number < shown.view.n:
            raise InvalidValue(f"there is no trial {number}; the study has {shown.view.n}")
        return compact(shown.trial(number))

    def failures(self, query: Query) -> bytes:
        """The last trials that failed."""
        return compact(self._study(query).failures())

    def compare(self, query: Query) -> bytes:
        """The ``figure`` "compare" or "distribution" of several studies, each ``study`` one."""
        names, objective = list(query.get("study", ())), _whole(query, "objective", 0)
        if not 0 < len(names) <= _MOST:
            raise InvalidValue(f"{len(names)} studies cannot be compared; choose from 1 to {_MOST}")
        views = [self._reader.shown(name).view for name in names]
        draw = COMPARISONS.get(_word(query, "figure"))
        if draw is None:
            raise InvalidValue("studies are compared by the picture 'compare' or 'distribution'")
        return compact(plotted(draw(views, objective=objective)))

    def _study(self, query: Query) -> Shown:
        return self._reader.shown(_word(query, "study"))

    def _once(self, key: Any, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            known = make()
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return known


def _word(query: Query, name: str, default: str | None = None) -> str:
    found = query.get(name)
    if found:
        return found[-1]
    if default is None:
        raise InvalidValue(f"the question lacks {name}=")
    return default


def _whole(query: Query, name: str, default: int | None = None) -> int:
    text = _word(query, name, None if default is None else str(default))
    try:
        return int(text[:20])
    except ValueError:
        raise InvalidValue(f"{name}={text[:40]!r} is no whole number") from None
