"""Tables of reports, given to descend's pruners and to Optuna's alike."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from descend.study.reports import Reports

__all__ = ["Table", "asked", "optuna_says", "random_table"]

optuna.logging.set_verbosity(logging.ERROR)


@dataclass(frozen=True)
class Table:
    """Trials 0, 1, ... with {step: value}, in the user's sign; the last one is running, and asks."""

    curves: list[dict[int, float]]
    states: list[str]
    results: list[float]
    maximize: bool

    @property
    def own(self) -> int:
        return len(self.curves) - 1


def random_table(seed: int, trials: int = 8, steps: int = 6, failures: float = 0.0, gaps: float = 0.2) -> Table:
    """Noisy curves with gaps, in either direction, of multiples of 1/4: some are equal, and interpolation is exact."""
    random = np.random.default_rng(seed)
    maximize = bool(random.integers(2))
    level = random.normal(size=(trials, 1))
    values = np.round(4 * (level + random.normal(size=(trials, steps)))) / 4
    values[random.random(values.shape) < failures] = np.nan
    curves = [{s: float(row[s]) for s in range(steps) if random.random() >= gaps} for row in values]
    curves[-1] = dict(list(curves[-1].items())[: random.integers(1, steps)]) or {0: 0.0}
    states = [*random.choice(["done", "done", "done", "pruned", "failed"], trials - 1).tolist(), "running"]
    return Table(curves, states, level[:, 0].tolist(), maximize)


def asked(table: Table) -> Reports:
    """The table as descend's pruners see it."""
    sign = -1.0 if table.maximize else 1.0
    reports = Reports((sign,))
    for number, (curve, state, result) in enumerate(zip(table.curves, table.states, table.results, strict=True)):
        for step, value in curve.items():
            reports.report(number, step, [sign * value])
        if state != "running":
            reports.close(number, state, [sign * result] if state == "done" else None)
    return reports


def optuna_says(pruner: Any, table: Table) -> bool:
    """What Optuna decides for the running trial."""
    study = optuna.create_study(direction="maximize" if table.maximize else "minimize", pruner=pruner)
    names = {"done": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for curve, state, result in zip(table.curves[:-1], table.states[:-1], table.results[:-1], strict=True):
        value = result if state == "done" else None
        kind = getattr(optuna.trial.TrialState, names[state])
        study.add_trial(optuna.trial.create_trial(state=kind, value=value, intermediate_values=curve))
    trial = study.ask()
    for step, value in table.curves[-1].items():
        trial.report(value, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trial.should_prune()
