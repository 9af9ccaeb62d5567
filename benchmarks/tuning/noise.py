"""Under noise: how good the point is that a study recommends, beside the luckiest one and the best one it visited."""

from collections.abc import Sequence

import numpy as np

from descend.model.automatic import Automatic
from descend.study import Study
from tuning.ours import space_of
from tuning.peers import PEERS
from tuning.problem import Params, Task
from tuning.tasks import TASKS

__all__ = ["measured"]


def measured(task: str, seeds: Sequence[int], trials: int, peers: Sequence[str]) -> list[list[object]]:
    """Rows: a tuner, and the median true regret of its luckiest, its recommended and its best visited point."""
    rows = [["descend", *np.median([_ours(task, seed, trials) for seed in seeds], 0).tolist()]]
    for name in peers:
        lucky, visited = np.median([_theirs(task, name, seed, trials) for seed in seeds], 0).tolist()
        rows.append([name, lucky, "", visited])
    return rows


def _ours(name: str, seed: int, trials: int) -> tuple[float, float, float]:
    task = TASKS[name]()
    study = Study(space=space_of(task.parameters), method=Automatic(), key=seed)
    losses, regrets = [], []
    for _ in range(trials):
        trial = study.ask()
        losses.append(task.objective(trial.params))
        regrets.append(_regret(task, trial.params))
        study.tell(trial, losses[-1])
    chosen = study.recommended().record.number
    return regrets[int(np.argmin(losses))], regrets[chosen], min(regrets)


def _theirs(name: str, peer: str, seed: int, trials: int) -> tuple[float, float]:
    task = TASKS[name]()
    losses, regrets = [], []

    def objective(params: Params) -> float:
        losses.append(task.objective(params))
        regrets.append(_regret(task, params))
        return losses[-1]

    PEERS[peer][1](task.parameters, objective, trials, seed)
    return regrets[int(np.argmin(losses))], min(regrets)


def _regret(task: Task, params: Params) -> float:
    assert task.truth is not None
    assert task.least is not None
    return task.truth(params) - task.least
