"""Tuning beside its peers: how quickly trials are stored, what a question costs, and how good what is found is.

Run: python benchmarks/tune.py [--parts storage,cost,noise,quality] [--tuners "descend,optuna tpe"] [--tasks named,tree]
     [--seeds 0-19] [--trials 100] [--mine descend] [--file out/tune.jsonl] [--output out/tune.md]

All parts together take hours on one core. Runs of the part "quality" are kept in the file, and a run that it has is not
made again; `--seeds 0-4` makes a quarter of them. The tables are written when all is done, and also after Ctrl-C.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import warnings
from pathlib import Path

import torch
from measure import table
from tuning import cost, noise, storage
from tuning.ours import OURS
from tuning.peers import PEERS, available
from tuning.quality import Run, compared, medians, runs
from tuning.tasks import GROUPS, TASKS

torch.set_num_threads(1)

PARTS = ("storage", "cost", "noise", "quality")
ANSWERS = (100, 500, 1000)
BUDGETS = (25, 50, 100)


def seeds(text: str) -> list[int]:
    """'0-2,7' as [0, 1, 2, 7]."""
    spans = [part.partition("-") for part in text.split(",")]
    return [i for a, _, b in spans for i in range(int(a), int(b or a) + 1)]


def tasks(text: str) -> list[str]:
    """Names of tasks and of groups of them as names of tasks."""
    found = [name for part in text.split(",") for name in GROUPS.get(part, [part])]
    unknown = [name for name in found if name not in TASKS]
    if unknown:
        raise SystemExit(f"there is no task {unknown[0]!r}; there are {', '.join([*GROUPS, *TASKS])}")
    return found


def of_storage(options: argparse.Namespace) -> str:
    """Trials a second of every store, with one process and with four."""
    rows = []
    for workers in (1, 4):
        for store in storage.STORES:
            trials = options.stored if store.startswith("descend") else max(10, options.stored // 20)
            found = storage.measured(store, workers, trials, options.folder)
            rows.append([store, workers, found.trials, found.milliseconds, found.fsyncs, found.error])
    heads = ["store", "processes", "trials / s", "CPU ms / trial", "fsyncs / trial", "error"]
    return table("Storage: ten floats, random points", heads, rows)


def of_cost(options: argparse.Namespace, tuners: dict) -> str:
    """CPU milliseconds of an ask and a tell."""
    found = []
    for name, tune in tuners.items():
        found.append(cost.measured(name, tune, ANSWERS, options.limit))
        print(found[-1], flush=True)
    rows = [[one.tuner, *(1000 * one.seconds[k] if k in one.seconds else "" for k in ANSWERS), one.error]
            for one in found]  # fmt: skip
    heads = ["tuner", *(f"CPU ms after {k}" for k in ANSWERS), "error"]
    return table("Cost of an ask and a tell: ten floats", heads, rows)


def of_noise(options: argparse.Namespace, tuners: dict) -> str:
    """What is recommended where losses are noisy."""
    peers = [name for name in tuners if name in ("optuna tpe", "optuna random", "rustuna tpe")]
    rows = noise.measured("noisy_branin", seeds(options.seeds), options.trials, peers)
    heads = ["tuner", "luckiest point", "recommended", "best visited"]
    return table("Branin with noise of standard deviation 5: true regret, medians", heads, rows)


def of_quality(options: argparse.Namespace, tuners: dict) -> str:
    """Regrets, and paired comparisons of `--mine` with all others."""
    found: list[Run] = []
    try:
        for run in runs(tuners, tasks(options.tasks), seeds(options.seeds), options.trials, options.file):
            found.append(run)
            if run.error:
                print(f"{run.tuner} on {run.task}, seed {run.seed}: {run.error}", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the tables show what there is", flush=True)
    at = [k for k in BUDGETS if k <= options.trials]
    heads = ["task", "tuner", "runs", *(f"regret after {k}" for k in at), "CPU s / run", "errors"]
    text = table("Regret: median and quartiles", heads, medians(found, at))
    heads = ["task", "against", "seeds", "won / tied / lost", "median difference", "95 % interval", "so it is"]
    for k in at[-2:]:
        rows = compared(found, options.mine, k)
        text += "\n" + table(f"{options.mine} beside others after {k} trials, paired by seed", heads, rows)
    return text


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--tuners", default="", help="default all")
    parser.add_argument("--tasks", default=",".join(GROUPS), help="tasks, or groups of them: named, decided, checked")
    parser.add_argument("--seeds", default="0-19")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--mine", default="descend", help="the tuner that the others are compared with")
    parser.add_argument("--stored", type=int, default=1000, help="trials that a process stores; peers a twentieth")
    parser.add_argument("--folder", type=Path, default=None, help="where stores are made; default the system's own")
    parser.add_argument("--limit", type=float, default=300, help="CPU seconds for the cost of one tuner")
    parser.add_argument("--file", type=Path, default=Path("out/tune.jsonl"))
    parser.add_argument("--output", type=Path, default=Path("out/tune.md"))
    options = parser.parse_args([] if arguments is None else arguments)
    warnings.filterwarnings("ignore")
    names = [name.strip() for name in options.tuners.split(",") if name.strip()] or [*OURS, *PEERS]
    unknown = [name for name in names if name not in OURS and name not in PEERS]
    if unknown:
        raise SystemExit(f"there is no tuner {unknown[0]!r}; there are {', '.join([*OURS, *PEERS])}")
    peers, absent = available([name for name in names if name in PEERS])
    tuners = {name: OURS[name] for name in names if name in OURS} | peers
    for file in (options.file, options.output):
        file.parent.mkdir(parents=True, exist_ok=True)
    texts = list(absent)
    for part in options.parts.split(","):
        if part not in PARTS:
            raise SystemExit(f"there is no part {part!r}; there are {', '.join(PARTS)}")
        if part == "storage":
            texts.append(of_storage(options))
        elif part == "cost":
            texts.append(of_cost(options, tuners))
        elif part == "noise":
            texts.append(of_noise(options, tuners))
        else:
            texts.append(of_quality(options, tuners))
    options.output.write_text("\n".join(texts))
    return "\n".join(texts)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--store-worker"]:
        storage.work(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main(sys.argv[1:])
