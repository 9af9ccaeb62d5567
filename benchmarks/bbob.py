"""The default method of `minimize` beside its peers on BBOB: run-time profiles, 24 functions, precisions 1e2 to 1e-8.

Run: python benchmarks/bbob.py [--dims 2,5,10,20] [--instances 1-3] [--functions 1-24] [--solvers descend,...]
     [--suite bbob | bbob-mixint | bbob-largescale | noisy-gauss | noisy-cauchy | noisy-added]
     [--budget 1000] [--file out/bbob.jsonl]

All runs of all solvers take hours on one core; a run that the file has is not made again.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
from pathlib import Path

import torch
from coco.harness import Run, profile, study
from coco.solvers import available
from measure import table

torch.set_num_threads(1)

TARGETS = {2: 0.40, 5: 0.30, 10: 0.26, 20: 0.22}
"""What the default's area at 1000 d must reach, by dimension."""
BUDGETS = (10, 100, 1000)


def numbers(text: str) -> list[int]:
    """'1-3,7' as [1, 2, 3, 7]."""
    spans = [part.partition("-") for part in text.split(",")]
    return [i for a, _, b in spans for i in range(int(a), int(b or a) + 1)]


def rows(runs: list[Run]) -> list[list[object]]:
    """A row for each solver and dimension."""
    found = []
    for dim in sorted({run.dim for run in runs}):
        for solver in dict.fromkeys(run.solver for run in runs):
            mine = [run for run in runs if run.solver == solver and run.dim == dim]
            if not mine:
                continue
            row: list[object] = [solver, dim, len(mine)]
            for budget in BUDGETS:
                met, area = profile(mine, budget)
                row.append(f"{area:.3f} ({met:.2f})")
            own = 1e6 * sum(run.seconds for run in mine) / max(1, sum(run.evaluations for run in mine))
            wanted = f"{TARGETS[dim]:.2f}" if (solver, mine[0].suite) == ("descend", "bbob") and dim in TARGETS else ""
            found.append([*row, wanted, f"{own:.0f}", sum(bool(run.error) for run in mine)])
    return found


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", default="2,5,10,20")
    parser.add_argument("--instances", default="1-3")
    parser.add_argument("--functions", default="1-24")
    parser.add_argument("--solvers", default="")
    parser.add_argument("--suite", default="bbob")
    parser.add_argument("--budget", type=int, default=1000, help="evaluations per dimension")
    parser.add_argument("--file", type=Path, default=Path("out/bbob.jsonl"))
    options = parser.parse_args([] if arguments is None else arguments)
    options.file.parent.mkdir(parents=True, exist_ok=True)
    solvers, absent = available([name for name in options.solvers.split(",") if name])
    runs = []
    places = map(numbers, (options.dims, options.functions, options.instances))
    for run in study(solvers, options.suite, *places, options.budget, options.file):
        runs.append(run)
        if run.error:
            print(f"{run.solver} on f{run.function}, d = {run.dim}: {run.error}", flush=True)
    heads = ["solver", "d", "runs", *(f"area (met) at {b} d" for b in BUDGETS), "wanted", "us / evaluation", "errors"]
    print("\n".join(absent))
    title = f"{options.suite}, functions {options.functions}, instances {options.instances}"
    return "\n".join([*absent, "", table(title, heads, rows(runs))])


if __name__ == "__main__":
    main(sys.argv[1:])
