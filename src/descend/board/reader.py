"""Studies read from a file that others may be writing to: opened once, read by one thread, shown as they are now."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from descend.board.shown import Shown
from descend.errors import DescendError, InvalidValue
from descend.log import Store
from descend.plot.study.view import View
from descend.study.study import Study

__all__ = ["Reader", "shown_of"]

T = TypeVar("T")


def shown_of(study: Study) -> Shown:
    """A study as it is now."""
    return Shown(View.of(study), study.record, study.workers(), _words(study))


def _words(study: Study) -> str:
    """What proposes, as far as it can be said."""
    method = study.method
    return "" if method is None else repr(method)


class Reader:
    """The studies of a file, never written to. Used as a context manager.

    All reading is done by one thread of its own, so that a connection belongs to one thread and requests wait their
    turn; what is made of a study, `Shown`, can then be used by any.

    Args:
        path: of the file, or a URL.

    Raises:
        InvalidValue: there is no such file, or it is no study's.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = str(path)
        if "://" not in self.path and not Path(self.path).exists():
            raise InvalidValue(f"there is no file {self.path}; write the path of a study that has been run")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="descend-reader")
        self._studies: dict[str, Study] = {}
        self._shown: dict[str, Shown] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._store: Store | None = None
        try:
            self._store = self.do(lambda: Store(self.path, readonly=True))
            self.names()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        for study in self._studies.values():
            with contextlib.suppress(DescendError):
                self.do(study.close)
        if self._store is not None:
            self.do(self._store.close)
        self._thread.shutdown()

    def names(self) -> list[str]:
        """Of the studies in the file."""
        assert self._store is not None
        return self.do(self._store.names)

    def version(self, name: str) -> int:
        """A number that grows whenever anything in the study changes, be it a report of a trial that runs."""
        return self.do(lambda: self._version(name))

    def shown(self, name: str) -> Shown:
        """The study of this name as it is now; its view is the same object while nothing in it has changed.

        Raises:
            InvalidValue: there is none of this name.
        """
        return self.do(lambda: self._read(name))

    def _version(self, name: str) -> int:
        study = self._study(name)
        version, reports = study.version, study.reports
        seen, changes, running = self._seen.get(name, (-1, 0, -1))
        # reports of trials that have ended change no more
        steps = sum(len(reports.curve(number).steps) for number in study.session.mirror.open)
        if (version, steps) != (seen, running):
            changes += 1
            self._seen[name] = version, changes, steps
        return changes

    def _read(self, name: str) -> Shown:
        study = self._study(name)
        known = self._shown.get(name)
        version = self._version(name)
        if known is None or known.version != version:
            record = lambda number: self.do(lambda: study.record(number))  # noqa: E731
            known = replace(shown_of(study), record=record, version=version)
        else:
            known = replace(known, workers=study.workers(), now=time.time())  # heartbeats change no version
        self._shown[name] = known
        return known

    def _study(self, name: str) -> Study:
        if name not in self._studies:
            assert self._store is not None
            names = self._store.names()
            if name not in names:
                listed = ", ".join(map(repr, names)) or "none yet"
                raise InvalidValue(f"{self.path} has no study {name!r}; there are {listed}")
            self._studies[name] = Study(self.path, name, readonly=True)
        return self._studies[name]

    def do(self, work: Callable[[], T]) -> T:
        """What a function returns that is called by the thread that reads."""
        return self._thread.submit(work).result()
