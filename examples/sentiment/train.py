"""One run of one method with one key: its learning curve, what it counted, and its record on disk."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn

import descend as dd

from .journal import Journal
from .methods import Method, stairs
from .problem import Batch, Problem

__all__ = ["Plan", "Run", "train"]

Watch = Callable[["Run", int, float], None]
"""Is told the run, how many steps it has taken, and about what its training loss is."""


@dataclass(frozen=True)
class Plan:
    """How much every run gets.

    Args:
        forwards: forward passes of a forward-only run.
        batch: snippets in a mini-batch.
        records: points of a learning curve.
        key: of everything random.
    """

    forwards: int
    batch: int
    records: int
    key: int


@dataclass(eq=False)
class Run:
    """A method with a seed, and what is known of it so far.

    Fields: the method, the number of its key, how many steps it is to take; columns of one length, a row per record:
    steps taken, forward-equivalents spent, mean training loss since the record before, loss and accuracy on the
    validation snippets, seconds of training; and once it has ended, the accuracy on the test snippets, the answers to
    them ("0" rotten, "1" fresh, one letter each), the bytes of the trajectory, the seconds of its replay, and whether
    that gave the same weights bit for bit.
    """

    method: Method
    seed: int
    steps: int
    step: list[int] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    test: float | None = None
    answers: str = ""
    trajectory: int = 0
    replay_seconds: float = 0.0
    replayed: bool | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.test is not None

    def take(self, line: dict[str, Any]) -> None:
        """A line of the journal: a record has the names of the columns, the end has those of the other fields."""
        for name, value in line.items():
            column = getattr(self, name)
            if isinstance(column, list):
                column.append(value)
            else:
                setattr(self, name, value)


def train(run: Run, problem: Problem, plan: Plan, folder: Path, resume: bool, watch: Watch) -> None:
    """Take the steps of a run, or those that are missing.

    Args:
        run: filled in as it goes, so that an interrupt leaves what is there.
        folder: for its journal, ``<method>-<seed>.jsonl``, and the trajectory beside it.
        resume: go on where the files in the folder end, if they are of the same run.
        watch: called after every step.
    """
    name = f"{run.method.slug}-{run.seed}"
    settings = {"method": run.method.slug, "seed": run.seed, "settings": run.method.settings, **asdict(plan)}
    settings["snippets"] = len(problem.train)
    journal = Journal(folder / f"{name}.jsonl", settings, resume)
    trajectory = folder / f"{name}.descend"
    if not journal.kept:
        trajectory.unlink(missing_ok=True)
    for line in journal.lines:
        run.take(line)
    if run.done:
        return watch(run, run.steps, run.loss[-1])
    key = dd.Key(plan.key).fold("seed", run.seed)  # every method sees the same mini-batches
    model = run.method.fresh(problem)
    optimizer = run.method.make(model, key.fold(run.method.slug), plan.forwards)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # resuming brings back the lr of the last step
    if isinstance(optimizer, dd.Optimizer):
        with optimizer.record(trajectory):
            _steps(run, problem, plan, model, optimizer, optimizer.t, journal, watch)
        _replay(run, problem, model, trajectory)
    else:
        for column in ("step", "spent", "loss", "validation_loss", "validation", "seconds"):
            getattr(run, column).clear()  # it is short: begun again
        journal = Journal(folder / f"{name}.jsonl", settings, resume=False)
        _steps(run, problem, plan, model, optimizer, 0, journal, watch)
    said = (problem.scores(model, problem.test) > 0).long()
    end = {
        "test": float((said == problem.labels[problem.test]).float().mean()),
        "answers": "".join(map(str, said.tolist())),
        "trajectory": run.trajectory,
        "replay_seconds": run.replay_seconds,
        "replayed": run.replayed,
    }
    run.take(end)
    journal.append(end)
    watch(run, run.steps, run.loss[-1])


def _steps(
    run: Run,
    problem: Problem,
    plan: Plan,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    taken: int,
    journal: Journal,
    watch: Watch,
) -> None:
    """The steps from `taken` on, with a record now and then; what a record needs is neither counted nor timed."""
    source = problem.batches(plan.batch, dd.Key(plan.key).fold("seed", run.seed, "batches"))
    due = {run.steps * i // plan.records for i in range(plan.records + 1)}
    losses: list[float] = []
    recent: deque[float] = deque(maxlen=30)
    seconds = run.seconds[-1] if run.seconds else 0.0
    if not run.step:
        _record(run, problem, model, journal, 0, losses, seconds)
    start = time.perf_counter()
    for t, chosen in enumerate(islice(source, taken, run.steps), taken):
        batch = problem.batch(chosen, model)
        if not run.method.settles:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * stairs(t, run.steps)
        losses.append(loss := _step(run.method, model, optimizer, batch))
        if t + 1 in due and t + 1 > run.step[-1]:
            seconds += time.perf_counter() - start
            _record(run, problem, model, journal, t + 1, losses, seconds, _spent(run, optimizer, t + 1))
            start = time.perf_counter()
        recent.append(loss)
        watch(run, t + 1, fmean(recent))


def _step(method: Method, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """One step; returns the training loss."""
    if isinstance(optimizer, dd.Optimizer):
        return float(optimizer.step(lambda: method.loss(model, batch)))  # type: ignore[arg-type]
    optimizer.zero_grad()
    loss = method.loss(model, batch)
    loss.backward()
    optimizer.step()
    return loss.item()


def _spent(run: Run, optimizer: torch.optim.Optimizer, taken: int) -> int:
    """Forward-equivalents of the steps so far; an optimizer that asks counts by itself."""
    return optimizer.ledger.total if isinstance(optimizer, dd.Optimizer) else round(taken * run.method.cost)


def _record(
    run: Run,
    problem: Problem,
    model: nn.Module,
    journal: Journal,
    t: int,
    losses: list[float],
    seconds: float,
    spent: int = 0,
) -> None:
    loss, accuracy = problem.loss_and_accuracy(model, problem.validation)
    line = {
        "step": t,
        "spent": spent,
        "loss": fmean(losses) if losses else loss,
        "validation_loss": loss,
        "validation": accuracy,
        "seconds": seconds,
    }
    losses.clear()
    run.take(line)
    journal.append(line)


def _replay(run: Run, problem: Problem, model: nn.Module, trajectory: Path) -> None:
    """Make the run again from its file, without data, and compare the weights bit for bit."""
    start = time.perf_counter()
    again = dd.replay(run.method.fresh(problem), trajectory)
    run.replay_seconds = time.perf_counter() - start
    run.trajectory = trajectory.stat().st_size
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    run.replayed = all(torch.equal(mine, its) for mine, its in pairs)
