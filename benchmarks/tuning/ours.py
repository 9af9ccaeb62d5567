"""descend's tuners in the same form: studies of a space that says which parameters depend on which."""

from collections.abc import Sequence
from typing import Any

import descend as dd
from descend.model.automatic import Automatic
from descend.model.bayes import Bayes
from descend.model.forest import Forest
from descend.model.tpe import TPE
from descend.population.base import AskTell
from descend.study import Study
from tuning.peers import Objective, Tuner
from tuning.problem import Parameter, shown

__all__ = ["OURS", "space_of", "tuner"]


def space_of(parameters: Sequence[Parameter]) -> dd.Space:
    """Parameters as descend writes them."""
    return dd.Space({p.name: _leaf(p) for p in parameters})


def _leaf(p: Parameter) -> Any:
    if p.kind == "choice":
        leaf: Any = dd.Choice(*p.options)
    elif p.kind == "int":
        leaf = dd.Int(int(p.low), int(p.high), log=p.log)
    else:
        leaf = dd.Float(p.low, p.high, log=p.log)
    return dd.When(p.parent, p.value, leaf) if p.parent else leaf


def tuner(method: AskTell[Any]) -> Tuner:
    """A method in a study that is kept in memory, one trial at a time."""

    def tune(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
        study = Study(space=space_of(parameters), method=method, key=seed)
        for _ in range(trials):
            trial = study.ask()
            study.tell(trial, objective(shown(parameters, trial.params)))

    return tune


OURS: dict[str, Tuner] = {
    "descend random": tuner(dd.Uniform()),
    "descend tpe": tuner(TPE()),
    "descend gp": tuner(Bayes()),
    "descend forest": tuner(Forest()),
    "descend": tuner(Automatic()),
}
"""By name; "descend" is the default of a study."""
