"""Train a digit classifier with its gradient, with estimates of it and with both, and say what that is worth.

From the root of the repository: python -m examples.digits
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

import descend as dd

from .measure import extra_memory, time_ratios
from .methods import METHODS, Method
from .page import Facts, write
from .pictures import draw_all
from .show import NOTES, Display, table_of
from .summary import rows
from .task import Digits, Network, load
from .train import Run, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns 0, or 130 if it was interrupted."""
    start = time.perf_counter()
    options = _options(arguments)
    torch.set_num_threads(1)  # the tensors are small, and sums come out the same on every machine
    console = Console(width=None if sys.stdout.isatty() else 120)
    data, key = load(), dd.Key(options.key)
    parameters = sum(p.numel() for p in Network(key).parameters())
    chosen = [method for method in METHODS if not options.method or method.slug in options.method]
    console.print(
        f"{len(data.train_labels):,} handwritten digits to learn from, {len(data.test_labels)} to test on; "
        f"a network of {parameters:,} parameters; {len(chosen)} methods, {options.seeds} seeds, "
        f"{options.budget:,} forward-equivalents each. Ctrl-C ends it with a report of what is there.",
        highlight=False,
    )
    runs: list[Run] = []
    try:
        memory = {method.slug: extra_memory(method, data, key) for method in chosen}
        ratios = time_ratios(data, key)
        interrupted = not _train_all(runs, chosen, data, options.budget, options.seeds, key, console)
    except KeyboardInterrupt:
        console.print("Interrupted before there was anything to report.")
        return 130
    table = rows(runs, memory)
    if not table:
        console.print("Interrupted before there was anything to report.")
        return 130
    console.print(table_of(table))
    console.print(NOTES, highlight=False)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    facts = Facts(
        budget=options.budget,
        seeds=max(run.seed for run in runs) + 1,
        key=options.key,
        parameters=parameters,
        images=(len(data.train_labels), len(data.test_labels)),
        ratios=ratios,
        command=_command(options),
        seconds=time.perf_counter() - start,
        interrupted=interrupted,
    )
    report = folder / "report.html"
    write(report, table, draw_all(table, data, folder), facts)
    console.print(
        f"{time.perf_counter() - start:.0f} seconds in all. The report, with pictures and settings:", highlight=False
    )
    console.print(str(report.resolve()), soft_wrap=True, highlight=False)
    return 130 if interrupted else 0


def _train_all(
    runs: list[Run], methods: Sequence[Method], data: Digits, budget: int, seeds: int, key: dd.Key, console: Console
) -> bool:
    """Every method with the first seed, then with the second: whenever it is interrupted, the methods can be compared.

    Returns:
        Whether it ran to its end.
    """
    with Display(console, methods, budget, seeds) as display:
        try:
            for seed in range(seeds):
                for method in methods:
                    runs.append(Run(method, seed))
                    train(runs[-1], data, budget, key, display.watch)
        except KeyboardInterrupt:
            return False
    return True


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.digits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--budget", type=_count, default=8_000, help="forward-equivalents per run (default %(default)s)"
    )
    parser.add_argument("--seeds", type=_count, default=3, help="runs per method (default %(default)s)")
    parser.add_argument(
        "--out", default="out/digits", help="folder for the pictures and the report (default %(default)s)"
    )
    parser.add_argument("--key", type=int, default=0, help="the source of everything random (default %(default)s)")
    parser.add_argument(
        "--method",
        action="append",
        choices=[method.slug for method in METHODS],
        help="run this one only; may be given several times (default: all)",
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a count; write at least 1")
    return number


def _command(options: argparse.Namespace) -> str:
    methods = "".join(f" --method {slug}" for slug in options.method or ())
    return f"python -m examples.digits --budget {options.budget} --seeds {options.seeds} --key {options.key}{methods}"


if __name__ == "__main__":
    sys.exit(main())
