"""The only file that prints: one line on the screen while a run takes long."""

import sys
import time
from types import TracebackType
from typing import Any

from descend.run.until import Progress

__all__ = ["Report"]

_PATIENCE = 1.0
"""Seconds before anything is shown: a run that is over sooner leaves the screen alone."""

_PAUSE = 0.1
"""Seconds between two looks of the line on a terminal."""

_PAUSE_IN_FILE = 10.0
"""Seconds between two lines where the line cannot be overwritten."""


class Report:
    """A line that shows how far a run is, on the standard error.

    Args:
        progress: True shows it, False does not, None (default) shows it where the standard error is a terminal.
        limit: the budget in evaluations, if there is one.

    Used as a context manager: the line disappears when the run ends. Where the standard error is no terminal and
    progress=True, a line is written every ten seconds instead.
    """

    def __init__(self, progress: bool | None, limit: int | None) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._wanted = self._terminal if progress is None else progress and sys.stderr is not None
        self._limit = limit
        self._next = time.monotonic() + _PATIENCE
        self._live: Any = None

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def wanted(self) -> bool:
        """Whether anything is ever shown."""
        return self._wanted

    def show(self, progress: Progress) -> None:
        """The state of the run, if it is time for it."""
        if self._wanted and time.monotonic() >= self._next:
            self.say(self._line(progress))

    def say(self, line: str) -> None:
        """A line now, in place of the one before."""
        if not self._wanted:
            return
        self._next = time.monotonic() + (_PAUSE if self._terminal else _PAUSE_IN_FILE)
        if not self._terminal:
            print(line, file=sys.stderr, flush=True)
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        text = Text(line, no_wrap=True, overflow="ellipsis")
        if self._live is None:
            # no thread of its own: it is refreshed when there is something new
            self._live = Live(text, console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(text, refresh=True)

    def _line(self, progress: Progress) -> str:
        of_limit = f" of {self._limit}" if self._limit is not None else ""
        failed = f", {progress.rejected} rejected" if progress.rejected else ""
        return (
            f"{progress.steps} steps{failed} · {progress.evaluations}{of_limit} evaluations · "
            f"loss {progress.loss:.6g}, best {progress.best:.6g} · {progress.seconds:.0f} s"
        )
