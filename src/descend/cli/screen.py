"""A table on the terminal while a run goes on."""

import math
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from descend.run.recorded import Recorded

__all__ = ["Screen"]


class Screen:
    """The best so far as a live table on the standard error, if that is a terminal; used as a context manager.

    Args:
        search: the run.
        budget: its evaluations.
        maximize: whether losses are shown with the other sign.
        quiet: whether nothing is shown.
    """

    def __init__(self, search: Recorded, budget: int, maximize: bool, quiet: bool) -> None:
        self._search, self._budget, self._maximize = search, budget, maximize
        self._began = time.monotonic()
        console = Console(stderr=True)
        shown = console.is_terminal and not quiet
        # made anew at every refresh, so that the seconds go on while nothing comes
        self._live = Live(console=console, get_renderable=self._table, transient=True) if shown else None

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        search = self._search.search
        point, loss = search.best
        table = Table.grid(padding=(0, 2))
        running = self._search.asked - self._search.answered
        table.add_row("evaluations", f"{self._search.answered} of {self._budget}, {running} under way")
        table.add_row("failed", f"{search.failures}" + (f", {search.last_failure}"[:200] if search.failures else ""))
        table.add_row("seconds", f"{time.monotonic() - self._began:.0f}")
        table.add_row(
            "best", "none yet" if math.isnan(loss) else f"{-loss if self._maximize else loss:.8g}", style="bold"
        )
        if not math.isnan(loss):
            for name, value in _rows(point):
                table.add_row(f"  {name}", value)
        return table


def _rows(point: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Names and values, those of nested spaces one by one."""
    if not isinstance(point, dict):
        return [(prefix or "x", _short(point))]
    return [
        row
        for name, value in point.items()
        for row in (_rows(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, _short(value))])
    ]


def _short(value: Any) -> str:
    text = f"{value:.8g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 70 else text[:67] + "..."
