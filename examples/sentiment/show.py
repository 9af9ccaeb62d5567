"""What is seen in the terminal: a bar per method while the runs last, and the table at the end."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from .summary import Row
from .train import Run

__all__ = ["Display", "counting", "table_of"]


class Display:
    """A bar per method with what its latest run has reached; where there is no terminal, a line per finished run.

    Used as a context manager; the bars stay when it ends.
    """

    def __init__(self, console: Console, runs: Sequence[Run]) -> None:
        self._console, self._runs = console, runs
        self._bars = _bars(console)
        methods = {run.method.slug: run.method for run in runs}
        self._tasks = {
            slug: self._bars.add_task(
                method.title, total=sum(run.steps for run in runs if run.method is method), latest=""
            )
            for slug, method in methods.items()
        }
        self._taken = {id(run): 0 for run in runs}
        self._made, self._start, self._drawn = 0.0, time.perf_counter(), 0.0

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def watch(self, run: Run, taken: int, loss: float) -> None:
        """A run has taken so many steps; its loss is about this."""
        if taken == self._taken[id(run)] + 1:  # what was on disk took no time now
            self._made += run.method.cost * run.method.weight
        self._taken[id(run)] = taken
        now = time.perf_counter()
        if run.done and not self._console.is_terminal:
            self._console.print(_line(run), highlight=False)
        if now - self._drawn < 0.25 and not run.done:
            return
        self._drawn = now
        pace = self._made / (now - self._start)
        left = sum((r.steps - self._taken[id(r)]) * r.method.cost * r.method.weight for r in self._runs)
        accuracy = f"{run.validation[-1]:.1%}" if run.validation else "-"
        self._bars.update(
            self._tasks[run.method.slug],
            completed=sum(self._taken[id(r)] for r in self._runs if r.method is run.method),
            latest=f"key {run.seed}  loss {loss:.3f}  accuracy {accuracy}"
            + (
                f"  {pace / run.method.weight:.0f} forwards/s  {_clock(left / pace)} left"
                if pace and not run.done
                else ""
            ),
        )
        if self._console.is_terminal:
            self._bars.refresh()


def counting(console: Console, total: int) -> Progress:
    """A bar for the one pass of the pretrained encoder over all snippets."""
    bars = _bars(console)
    bars.add_task("reading", total=total, latest="")
    return bars


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[latest]}", style="cyan"),
        console=console,
        auto_refresh=False,  # a thread of its own would take time from the training
        expand=True,
    )


def _line(run: Run) -> str:
    return (
        f"key {run.seed}  {run.method.title:<32} loss {run.validation_loss[-1]:.3f}  test {run.test:.1%}  "
        f"{run.spent[-1]:,} forwards  {run.seconds[-1]:.1f} s"
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def table_of(rows: Sequence[Row]) -> Table:
    """The comparison as a table that fits into a terminal of 100 columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), collapse_padding=True)
    table.add_column("", no_wrap=True)
    for name in ("test accuracy\nmedian", "lowest to\nhighest", "forwards", "seconds", "trajectory\nkB", "replay"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.title,
            f"{row.accuracy:.1%}",
            row.spread,
            f"{row.spent:,.0f}" if row.spent else "-",
            f"{row.seconds:.0f}" if row.spent else "-",
            f"{row.trajectory / 1000:.1f}" if row.trajectory else "-",
            row.replay or "-",
        )
    return table
