"""How good what is found is: runs of tuners on tasks, kept in a file, and paired comparisons with intervals."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tuning.peers import Tuner
from tuning.problem import Params, Task
from tuning.tasks import TASKS

__all__ = ["Run", "compared", "medians", "read", "runs"]


class _Spent(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class Run:
    """A run: the best value (true, where there is noise) after each trial, what the tuner took of the CPU, and an
    error."""

    task: str
    tuner: str
    seed: int
    best: tuple[float, ...]
    seconds: float
    error: str = ""


def _measured(task: Task, tune: Tuner, trials: int, seed: int) -> tuple[list[float], float, str]:
    seen, truths, own, begun = [], [], 0.0, time.process_time()

    def objective(params: Params) -> float:
        nonlocal own, begun
        own += time.process_time() - begun
        if len(seen) >= trials:
            raise _Spent
        seen.append(task.objective(params))
        truths.append(seen[-1] if task.truth is None else task.truth(params))
        begun = time.process_time()
        return seen[-1]

    error = ""
    try:
        tune(task.parameters, objective, trials, seed)
    except _Spent:
        pass
    except Exception as failure:  # a peer that fails has a line of its own
        error = f"{type(failure).__name__}: {failure}"[:300]
    # the truth of the trial that a user would take for the best one
    best = [truths[int(np.argmin(seen[: i + 1]))] for i in range(len(seen))]
    return best, own, error


def read(file: Path) -> list[Run]:
    """The runs that a file has; an unfinished last line is none."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found.append(Run(row["task"], row["tuner"], row["seed"], tuple(row["best"]), row["seconds"], row["error"]))
    return found


def runs(
    tuners: dict[str, Tuner], tasks: Sequence[str], seeds: Sequence[int], trials: int, file: Path
) -> Iterator[Run]:
    """Every run, made now or found in the file; seed by seed, so that one who stops early has them balanced."""
    kept = {(run.task, run.tuner, run.seed): run for run in read(file) if run.error or len(run.best) >= trials}
    made = {name: TASKS[name]() for name in tasks}
    for seed in seeds:
        for task in tasks:
            for name, tune in tuners.items():
                run = kept.get((task, name, seed))
                if run is None:
                    run = Run(task, name, seed, *_as_run(*_measured(made[task], tune, trials, seed)))
                    with file.open("a") as out:
                        out.write(json.dumps(asdict(run)) + "\n")
                yield run


def _as_run(best: list[float], own: float, error: str) -> tuple[tuple[float, ...], float, str]:
    return tuple(float(f"{value:.10g}") for value in best), round(own, 4), error


def references(every: Sequence[Run]) -> dict[str, float]:
    """By task the known minimum, or the best value that any run found."""
    found: dict[str, float] = {}
    for task in {run.task for run in every}:
        least = TASKS[task]().least
        found[task] = min(min(run.best) for run in every if run.task == task and run.best) if least is None else least
    return found


def medians(every: Sequence[Run], at: Sequence[int]) -> list[list[object]]:
    """A row by task and tuner: runs, the median regret and its quartiles after so many trials, CPU seconds, errors."""
    rows: list[list[object]] = []
    zero = references(every)
    for task in dict.fromkeys(run.task for run in every):
        lines: list[tuple[float, list[object]]] = []
        for name in dict.fromkeys(run.tuner for run in every if run.task == task):
            mine = [run for run in every if (run.task, run.tuner) == (task, name)]
            cells, last = [], math.inf
            for k in at:
                regrets = [run.best[k - 1] - zero[task] for run in mine if len(run.best) >= k]
                if regrets:
                    low, last, high = np.percentile(regrets, [25, 50, 75]).tolist()
                cells.append(f"{last:.2g} [{low:.2g}, {high:.2g}]" if regrets else "")
            own = float(np.median([run.seconds for run in mine]))
            lines.append((last, [task, name, len(mine), *cells, own, sum(bool(run.error) for run in mine)]))
        rows += [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    return rows


def compared(every: Sequence[Run], mine: str, k: int) -> list[list[object]]:
    """Rows against each tuner on each task: seeds, wins, ties and losses, the median difference and its interval.

    Differences are paired by seed; the interval is that of 4000 bootstrap samples of their median, in 95 %.
    """
    rows: list[list[object]] = []
    by = {(run.task, run.tuner, run.seed): run.best[k - 1] for run in every if len(run.best) >= k}
    for task in dict.fromkeys(run.task for run in every):
        for name in dict.fromkeys(run.tuner for run in every if run.task == task and run.tuner != mine):
            seeds = [seed for (t, n, seed) in by if (t, n) == (task, name) and (task, mine, seed) in by]
            if not seeds:
                continue
            gaps = np.array([by[task, mine, seed] - by[task, name, seed] for seed in seeds])
            draws = np.random.default_rng(0).integers(0, len(gaps), (4000, len(gaps)))
            low, high = np.percentile(np.median(gaps[draws], 1), [2.5, 97.5]).tolist()
            verdict = "better" if high < 0 else "worse" if low > 0 else "alike"
            wins = f"{(gaps < 0).sum()} / {(gaps == 0).sum()} / {(gaps > 0).sum()}"
            rows.append([task, name, len(seeds), wins, float(np.median(gaps)), f"[{low:.2g}, {high:.2g}]", verdict])
    return rows
