"""Fine-tune a sentence encoder on film reviews with forward passes only, and compare it with what else there is.

From the root of the repository: python -m examples.sentiment
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

import descend as dd

from . import memory
from .baselines import linear_probe, zero_shot
from .encoder import Encoder
from .methods import EXTRA, METHODS, Method
from .page import Facts, write
from .pictures import draw_all
from .problem import Problem, prepare
from .show import Display, counting, table_of
from .summary import Row, findings, rows
from .task import MissingData, Split, load, split_by_film
from .train import Plan, Run, train

SPLIT = dd.Key(0).fold("split")
"""Whatever the key of a job, the split is the same."""

QUICK, FULL = (800, 32, 4096, 8), (10_000, 64, 0, 20)
"""Forwards of a run, snippets in a mini-batch, snippets to learn from (0: all), and points of a learning curve."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns 0, or 1 if data are missing, or 130 if it was interrupted."""
    start = time.perf_counter()
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    torch.set_num_threads(options.threads)
    try:
        split, encoder = _fewer(split_by_film(load(), SPLIT), options.snippets), Encoder.pretrained()
    except MissingData as missing:
        console.print(str(missing), highlight=False, soft_wrap=True)
        return 1
    plan = Plan(options.forwards, options.batch, options.records, options.key)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    console.print(
        f"{len(split.train):,} snippets of film reviews to learn from, {len(split.validation):,} to look on with, "
        f"{len(split.test):,} to test on. Ctrl-C ends it with a report of what is there; --resume goes on.",
        highlight=False,
    )
    runs, facts = [], Facts(plan, split, 0, {}, _command(options), 0.0, 0.0, True)
    try:
        measured = memory.peaks() if options.memory else {}
        problem, reading = _read(split, encoder, console)
        baselines = [zero_shot(problem), linear_probe(problem)]
        weights = sum(p.numel() for p in problem.head().parameters())
        facts = replace(facts, memory=measured, reading=reading, weights=weights)
        runs = _runs(plan, options.keys, [*METHODS, *(EXTRA if options.full else ())])
        interrupted = not _train_all(runs, problem, plan, folder, options.resume, console)
    except KeyboardInterrupt:
        console.print("Interrupted before there was anything to report.")
        return 130
    table = rows(runs, baselines)
    facts = replace(facts, seconds=time.perf_counter() - start, interrupted=interrupted)
    return _report(table, facts, folder, console)


def _fewer(split: Split, train: int) -> Split:
    """With fewer snippets to learn from, if a number is given; and then with fewer of the others, if it is tiny."""
    return split if not train else Split(split.train[:train], split.validation[:train], split.test[: 2 * train])


def _read(split: Split, encoder: Encoder, console: Console) -> tuple[Problem, float]:
    """The one pass of the pretrained encoder over all snippets, with a bar; and how long it took."""
    start, bars = time.perf_counter(), counting(console, len(split.all))

    def watch(done: int) -> None:
        bars.update(bars.task_ids[0], completed=done)
        if console.is_terminal:
            bars.refresh()

    if not console.is_terminal:
        return prepare(split, encoder), time.perf_counter() - start
    with bars:
        return prepare(split, encoder, watch), time.perf_counter() - start


def _runs(plan: Plan, keys: int, methods: Sequence[Method]) -> list[Run]:
    """Every method with the first key, then with the second: whenever it is interrupted, methods can be compared."""
    return [
        Run(method, seed, method.steps(plan.forwards))
        for seed in range(keys)
        for method in methods
        if seed < (method.keys or keys)
    ]


def _train_all(runs: Sequence[Run], problem: Problem, plan: Plan, folder: Path, resume: bool, console: Console) -> bool:
    """Whether it ran to its end."""
    with Display(console, runs) as display:
        try:
            for run in runs:
                train(run, problem, plan, folder, resume, display.watch)
        except KeyboardInterrupt:
            return False
    return True


def _report(table: Sequence[Row], facts: Facts, folder: Path, console: Console) -> int:
    """Print the table and what it says, and write the page."""
    if len(table) < 3:
        console.print("Interrupted before a run had ended; with --resume it goes on.")
        return 130
    console.print(table_of(table))
    for text in findings(table, facts.memory, facts.weights, len(facts.split.test)):
        console.print(text, highlight=False)
    report = folder / "report.html"
    write(report, table, draw_all(table, facts.memory, folder), facts)
    console.print(f"{facts.seconds:.0f} seconds in all. The report, with pictures and settings:", highlight=False)
    console.print(str(report.resolve()), soft_wrap=True, highlight=False)
    return 130 if facts.interrupted else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.sentiment", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add(
        "--full",
        action="store_true",
        help="10,000 forwards a run, all snippets, three more methods: about half an hour",
    )
    add("--forwards", type=_count, help="forward passes of a run (default 800, with --full 10,000)")
    add("--snippets", type=_count, help="how many snippets to learn from (default 4,096, with --full all)")
    add("--batch", type=_count, help="snippets in a mini-batch, an even number (default 32, with --full 64)")
    add("--keys", type=_count, default=3, help="runs of each method (default %(default)s)")
    add("--key", type=int, default=0, help="the source of everything random (default %(default)s)")
    add("--threads", type=_count, default=min(2, os.cpu_count() or 1), help="of torch (default %(default)s)")
    add("--out", default="out/sentiment", help="folder for records, pictures and the report (default %(default)s)")
    add("--resume", action="store_true", help="go on with the runs in that folder")
    add("--no-memory", dest="memory", action="store_false", help="do not measure the memory of the steps")
    options = parser.parse_args(arguments)
    forwards, batch, snippets, options.records = FULL if options.full else QUICK
    options.forwards = options.forwards or forwards
    options.batch = options.batch or batch
    options.snippets = options.snippets or snippets
    if options.batch % 2:
        parser.error(f"a mini-batch of {options.batch} has no half; write an even number")
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a count; write at least 1")
    return number


def _command(options: argparse.Namespace) -> str:
    full = " --full" if options.full else ""
    snippets = f" --snippets {options.snippets}" if options.snippets else ""
    return (
        f"python -m examples.sentiment{full} --forwards {options.forwards}{snippets} --batch {options.batch} "
        f"--keys {options.keys} --key {options.key}"
    )


if __name__ == "__main__":
    sys.exit(main())
