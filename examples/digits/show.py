"""What is seen in the terminal: a bar per method while the runs last, and the table at the end."""

from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from .methods import Method
from .summary import GOAL, Row
from .train import Run

__all__ = ["NOTES", "Display", "table_of"]

NOTES = (
    "Per run, means over the seeds. A forward pass is 1 forward-equivalent, a gradient 3, a jvp 2. "
    f"Forwards to {GOAL:.0%}: how many were spent when {GOAL:.0%} of the test digits were first recognised. "
    "Extra memory: the peak above inference, in multiples of the parameters' memory."
)
"""What stands below the table."""


class Display:
    """A bar per method with what its latest run has reached; where there is no terminal, a line per finished run.

    Used as a context manager; the bars stay when it ends.
    """

    def __init__(self, console: Console, methods: Sequence[Method], budget: int, seeds: int) -> None:
        self._console, self._budget = console, budget
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[latest]}", style="cyan"),
            console=console,
            auto_refresh=False,  # a thread of its own would take time from the training
            expand=True,
        )
        self._tasks = {
            method.slug: self._bars.add_task(method.title, total=budget * seeds, latest="") for method in methods
        }
        self._seconds = dict.fromkeys(self._tasks, 0.0)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def watch(self, run: Run) -> None:
        """A record of a run was made."""
        slug = run.method.slug
        seconds = self._seconds[slug] + run.seconds
        self._bars.update(
            self._tasks[slug],
            completed=(run.seed + 1 if run.done else run.seed + run.spent[-1] / self._budget) * self._budget,
            latest=f"loss {run.loss[-1]:.3f}  accuracy {run.accuracy[-1]:5.1%}  {seconds:3.0f} s",
        )
        if run.done:
            self._seconds[slug] = seconds
        if self._console.is_terminal:
            self._bars.refresh()
        elif run.done:
            self._console.print(
                f"seed {run.seed}  {run.method.title:<20} loss {run.loss[-1]:.3f}  accuracy {run.accuracy[-1]:5.1%}  "
                f"{run.spent[-1]:,} forward-equivalents  {run.seconds:.1f} s"
            )


def table_of(rows: Sequence[Row]) -> Table:
    """The comparison as a table that fits into a terminal of 80 columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), collapse_padding=True)
    table.add_column("method", no_wrap=True)
    for name in (
        "test\naccuracy",
        f"forwards\nto {GOAL:.0%}",
        "evaluations\nper run",
        "forward-\nequivalents",
        "s",
        "extra\nmemory",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.method.title,
            f"{row.accuracy:.1%}",
            "never" if row.price is None else f"{row.price:,.0f}",
            row.evaluations.replace(" + ", "\n"),
            f"{row.spent:,.0f}",
            f"{row.seconds:.1f}",
            f"{row.memory:.1f} x",
        )
    return table
