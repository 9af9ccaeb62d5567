"""An Optuna study read as if it were a log: what its trials were asked, what they used, and what came of them.

A trial for which descend made a proposal carries it in a system attribute, with how many answers it was made on. So the
study is all there is to know, and any process goes on from it as if it had made it. Other trials count as added.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from descend.errors import InvalidValue
from descend.log.row import Row
from descend.optuna._library import optuna
from descend.optuna.convert import leaf_of, to_plain
from descend.space import Leaf
from descend.study.definitions import merged
from descend.study.engine import FIXED
from descend.study.mirror import DEFINITIONS

__all__ = ["PROPOSAL", "STATES", "History", "violations_of"]

PROPOSAL = "descend:proposal"
"""The system attribute with what was proposed: a JSON text of who did, on how many answers, and which values."""

_State = optuna.trial.TrialState
_Trial = optuna.trial.FrozenTrial

STATES = {
    _State.COMPLETE: "done",
    _State.PRUNED: "pruned",
    _State.FAIL: "failed",
    _State.RUNNING: "running",
    _State.WAITING: "queued",
}


def violations_of(trial: _Trial, names: Sequence[str]) -> tuple[float, ...]:
    """A trial's constraints by these names, none if it has none; of some, the others are kept."""
    constraints = trial.constraints
    return () if not constraints else tuple(float(constraints.get(name, 0.0)) for name in names)


class History:
    """The trials of an Optuna study, as a `Source` for a mirror. Trials that have ended do not change.

    Args:
        who: the method and the key; proposals of others count as added.
        objectives: m.

    Attributes:
        distributions: of every parameter in some trial that has ended, the last one.
        constraints: the names of all constraints, in order.
    """

    def __init__(self, who: str, objectives: int) -> None:
        self._who, self._objectives = who, objectives
        self._trials: list[_Trial] = []
        self._changes: list[Row] = []
        self._place, self._begun = 0, False
        self._latest: tuple[float, int] = (-math.inf, -1)
        self._definitions: list[tuple[str, str]] = []
        self._leaves: dict[str, Leaf] = {}
        self._loose: set[str] = set()
        self.distributions: dict[str, optuna.distributions.BaseDistribution] = {}
        self.constraints: tuple[str, ...] = ()

    def follow(self, trials: Sequence[_Trial]) -> bool:
        """Take over what is new; False if this cannot be done, so that all must be read anew.

        Args:
            trials: of the study, by number, those that are being asked for left out.
        """
        ended = [t for t in trials if t.state.is_finished() and not self._known(t)]
        ended.sort(key=_moment)
        names = tuple(sorted({name for t in ended for name in t.constraints}.union(self.constraints)))
        if len(trials) < len(self._trials) or (ended and _moment(ended[0]) < self._latest):
            return False
        if (names != self.constraints or not self._agree(ended)) and self._begun:
            return False
        self.constraints, self._begun = names, True
        for trial in trials[len(self._trials) :]:
            self._changes.append(Row(trial.number, "queued", "queued"))
        for trial in ended:
            self._define(trial)
            self._changes.append(self._row(trial)._replace(place=self._place))
            self._place, self._latest = self._place + 1, _moment(trial)
        for trial in trials:
            if not trial.state.is_finished() and not self._known(trial):
                self._changes.append(self._row(trial))
        self._trials = list(trials)
        return True

    def sync(self, since: int) -> tuple[list[Row], int]:
        """The rows that changed since a version, and the newest version."""
        return self._changes[since:], len(self._changes)

    def reports(self, since: int) -> tuple[Sequence[tuple[int, int, tuple[float, ...], float]], int]:
        """None: pruning is Optuna's."""
        return [], since

    def definitions(self) -> Sequence[tuple[str, str]]:
        """All definitions of parameters."""
        return self._definitions

    def plain(self, trial: _Trial) -> dict[str, Any]:
        """The parameters that a trial has, without those that only have one value, or were something else before."""
        found = {name: to_plain(trial.distributions[name], value) for name, value in trial.params.items()}
        return self._kept(found, trial.distributions)

    def fixed(self, trial: _Trial) -> dict[str, Any]:
        """What the user has enqueued a trial with, as far as it is known what these parameters are."""
        given = trial.system_attrs.get("fixed_params") or {}
        there = {name: self.distributions[name] for name in given if name in self.distributions}
        try:
            found = {name: to_plain(distribution, given[name]) for name, distribution in there.items()}
        except (TypeError, ValueError):  # a value that it cannot have, of which Optuna warns
            return {}
        return self._kept(found, there)

    def _kept(self, params: Mapping[str, Any], distributions: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in params.items()
            if name in self._leaves and name not in self._loose and leaf_of(distributions[name]) is not None
            and not self._leaves[name].wrong(value, name)
        }  # fmt: skip

    def _known(self, trial: _Trial) -> bool:
        if trial.number >= len(self._trials):
            return False
        old = self._trials[trial.number]
        return old.state == trial.state and (trial.state.is_finished() or len(old.params) == len(trial.params))

    def _agree(self, trials: Iterable[_Trial]) -> bool:
        """Whether every parameter of these is what it was, or more; one that is not is never proposed again."""
        leaves, before = dict(self._leaves), len(self._loose)
        for trial in trials:
            for name, distribution in trial.distributions.items():
                leaf = leaf_of(distribution)
                try:
                    if leaf is not None:
                        leaves[name] = merged(name, leaves[name], leaf) if name in leaves else leaf
                except InvalidValue:
                    self._loose.add(name)
        return len(self._loose) == before

    def _define(self, trial: _Trial) -> None:
        for name, distribution in trial.distributions.items():
            self.distributions[name] = distribution
            leaf = leaf_of(distribution)
            if leaf is None or name in self._loose:
                continue
            whole = merged(name, self._leaves[name], leaf) if name in self._leaves else leaf
            if whole is not self._leaves.get(name):
                self._leaves[name] = whole
                self._definitions.append((name, leaf.text))

    def _row(self, trial: _Trial) -> Row:
        """A trial as a row, without its place."""
        state = STATES[trial.state]
        values = None if trial.values is None else tuple(map(float, trial.values))
        if state == "pruned" and values is None and self._objectives == 1 and trial.intermediate_values:
            values = (float(trial.intermediate_values[max(trial.intermediate_values)]),)
        made = self._made(trial)
        attributes: dict[str, Any] = {DEFINITIONS: len(self._definitions)}
        if made is not None and made["fixed"]:
            attributes[FIXED] = made["fixed"]
        return Row(
            number=trial.number,
            state=state,
            origin="asked" if made is not None else "added",
            proposal=made["point"] if made is not None else None,
            params=self.plain(trial),
            after=made["after"] if made is not None else 0,
            values=values,
            violations=violations_of(trial, self.constraints) if state != "running" else (),
            attributes=attributes,
        )

    def _made(self, trial: _Trial) -> dict[str, Any] | None:
        """What descend proposed, if it was this method with this key."""
        text = trial.system_attrs.get(PROPOSAL)
        made = json.loads(text) if isinstance(text, str) else None
        return made if made is not None and made["who"] == self._who else None


def _moment(trial: _Trial) -> tuple[float, int]:
    """By when a trial ended, and by number where that is the same."""
    ended = trial.datetime_complete
    return (ended.timestamp() if ended is not None else -math.inf), trial.number
