"""What a run shows: a table on the terminal while it goes on, and lines with what was found at its end."""

import json
import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from descend.log.row import STATES
from descend.run.recorded import Recorded

__all__ = ["Screen", "say", "study_lines", "study_rows", "summary"]


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


def summary(search: Recorded, reason: str, maximize: bool, seconds: float) -> None:
    """The result on the standard output, one fact a line; the parameters as JSON."""
    told = search.search
    point, loss = told.best
    if not math.isnan(loss):
        print(f"best         {-loss if maximize else loss!r}")
        print(f"parameters   {json.dumps(point, default=str)}")
    failed = f", {told.failures} failed, the last one: {told.last_failure}" if told.failures else ""
    replayed = f", {search.replayed} of them earlier" if search.replayed else ""
    print(f"evaluations  {search.answered}{replayed}{failed}")
    print(f"seconds      {seconds:.3g}")
    print(f"stopped      {reason}", flush=True)


def say(sentence: str) -> None:
    """A sentence on the standard error."""
    print(f"descend: {sentence}", file=sys.stderr, flush=True)


def study_lines(study: Any) -> None:
    """What is in a study, on the standard output, one fact a line; the parameters as JSON."""
    table = study.table()
    print(f"study        {_clean(study.name)}")
    print(f"directions   {', '.join(study.directions)}")
    if study.method is not None:
        print(f"method       {_clean(repr(study.method))}")
    print(f"trials       {len(table)}{_states(table)}")
    times = [time for column in (table.began, table.ended) for time in column[~np.isnan(column)].tolist()]
    if times:
        print(f"time         {_date(min(times))} to {_date(max(times))}, {max(times) - min(times):.3g} seconds")
    for objective, row in enumerate(_best_rows(table)):
        if row is not None:
            record = study.record(int(table.numbers[row]))
            of = "" if len(study.directions) == 1 else f" of value {objective}"
            print(f"best         {record.values[objective]!r}{of}, trial {record.number}")
            print(f"parameters   {_clean(json.dumps(record.params, default=str))}")
    failed = np.flatnonzero(table.states == STATES.index("failed"))
    if len(failed):
        record = study.record(int(table.numbers[failed[-1]]))
        why = (record.error or "no reason was given").strip().splitlines()[-1]
        print(f"last failure trial {record.number}: {_clean(why)[:300]}")
    for worker in study.workers():
        running = f", trial {', '.join(map(str, worker.running))}" if worker.running else ""
        print(f"worker       {_clean(worker.owner)}, heard of {max(time.time() - worker.seen, 0):.0f} s ago{running}")


def study_rows(studies: Sequence[Any]) -> None:
    """A line for each study, on the standard output."""
    rows = [("study", "trials", "done", "best", "last change")]
    for study in studies:
        table = study.table()
        done = int((table.states == STATES.index("done")).sum())
        best = [
            "-" if row is None else f"{table.values[row, objective]:.6g}"
            for objective, row in enumerate(_best_rows(table))
        ]
        ended = table.ended[~np.isnan(table.ended)]
        last = _date(float(ended.max())) if len(ended) else "-"
        rows.append((_clean(study.name), str(len(table)), str(done), ", ".join(best), last))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _best_rows(table: Any) -> list[int | None]:
    """The row of the best trial of each objective: done, and feasible if there is such a one."""
    found: list[int | None] = []
    for objective, direction in enumerate(table.directions):
        losses = table.values[:, objective] * (-1.0 if direction == "maximize" else 1.0)
        able = table.done & np.isfinite(losses)
        able = able & (table.violation <= 0) if (able & (table.violation <= 0)).any() else able
        rows = np.flatnonzero(able)
        found.append(int(rows[losses[rows].argmin()]) if len(rows) else None)
    return found


def _states(table: Any) -> str:
    counts = {state: int((table.states == place).sum()) for place, state in enumerate(STATES)}
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f": {words}" if words else ""


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _clean(text: str) -> str:
    """A text of a study in one line, in which nothing commands the terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


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
