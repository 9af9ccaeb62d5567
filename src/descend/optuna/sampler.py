"""descend's methods inside of an Optuna study: a sampler whose only memory is the study.

The sampler reads the study's trials as a log (see `descend.optuna.history`) and lets the engine of descend's own
studies say what comes next. So it discovers the space and its conditions, learns from pruned, failed and infeasible
trials, knows of those that are running, and handles several objectives, as a study of descend does.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.key import Key, as_key
from descend.optuna._library import optuna
from descend.optuna.convert import leaf_of, to_optuna
from descend.optuna.history import PROPOSAL, History
from descend.study.drawing import drawn
from descend.study.engine import Engine, Exhausted
from descend.study.mirror import Mirror

__all__ = ["Sampler"]

_Study = optuna.study.Study
_Trial = optuna.trial.FrozenTrial
_Distribution = optuna.distributions.BaseDistribution


class Sampler(optuna.samplers.BaseSampler):
    """A sampler for Optuna that asks a method of descend.

    Args:
        method: any that asks for values, such as `TPE()`, `Bayes()`, `CMAES()`, or for several objectives `NSGA2()`;
            default `Automatic()`.
        key: of everything random; default 0, None for fresh entropy. What is proposed is a function of it and of the
            study: a study that is taken up again by a new sampler goes on as if it had not been interrupted, and the
            same point is not proposed twice because a seed began anew. Workers on one study share the key.

    Where several workers ask at the same moment, none knows of the others' questions, and a method that has a state, as
    `CMAES` has, may have to begin anew, with the answers that there are; `TPE`, `Bayes` and `Forest` never do.

    Constraints are those of `trial.set_constraint`. A pruned trial counts with its last intermediate value. A parameter
    that a trial meets first, or whose kind has changed in mid-study, is drawn at random. Enqueued trials keep what they
    fix, and the rest is proposed.

    Raises:
        CompositionError: the method cannot be asked for points, found when the first point is asked for; or not with so
            many objectives.

    >>> import optuna
    >>> from descend.model.tpe import TPE
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=Sampler(TPE(), key=1))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=40)
    >>> study.best_value < 0.1
    True
    """

    def __init__(self, method: Any = None, key: Key | int | None = 0) -> None:
        if method is None:
            from descend.model.automatic import Automatic  # it knows all the others

            method = Automatic()
        self.method = method
        self.key = as_key(key)
        if not callable(getattr(self.method, "init", None)):
            raise CompositionError(f"Sampler needs a method that asks for values, got {method!r}; write Sampler(TPE())")
        self._lock = threading.RLock()
        self._follower: _Follower | None = None
        self._last: tuple[object, int, dict[str, Any]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Sampler, (self.method, self.key)

    def __repr__(self) -> str:
        return f"Sampler({self.method!r}, key={self.key.seed})"

    def reseed_rng(self) -> None:
        """Nothing: what is random depends on the number of the trial, which no two threads share."""

    def infer_relative_search_space(self, study: _Study, trial: _Trial) -> dict[str, _Distribution]:
        """The parameters of the proposal for this trial."""
        with self._lock:
            proposal = self._proposal(study, trial)
            known = self._follower.history.distributions if self._follower else {}
            return {name: known[name] for name in proposal}

    def sample_relative(self, study: _Study, trial: _Trial, search_space: dict[str, _Distribution]) -> dict[str, Any]:
        """The proposal for this trial."""
        if not search_space:
            return {}
        with self._lock:
            proposal = self._proposal(study, trial)
        return {name: to_optuna(search_space[name], proposal[name]) for name in search_space if name in proposal}

    def sample_independent(
        self, study: _Study, trial: _Trial, param_name: str, param_distribution: _Distribution
    ) -> Any:
        """A random value of a parameter of which the proposal says nothing."""
        leaf = leaf_of(param_distribution)
        if leaf is None:
            raise InvalidValue(f"descend has no parameter like {param_distribution!r} of {param_name!r}")
        value = drawn(leaf, self.key.fold("trial", trial.number).fold(param_name))
        return to_optuna(param_distribution, value)

    def _proposal(self, study: _Study, trial: _Trial) -> dict[str, Any]:
        """What is proposed for a trial, {} while nothing is known of the space; written into the trial."""
        place = _place(study)
        if self._last is not None and self._last[:2] == (place, trial.number):
            return self._last[2]
        follower = self._follower
        # of the storage, since Hyperband shows a sampler only some of the study
        every = study._storage.get_all_trials(study._study_id, deepcopy=False)
        trials = [other for other in every if other.number < trial.number]
        if follower is None or follower.place != place or not follower.follow(trials):
            follower = self._follower = _Follower(place, study, self.method, self.key, trials)
        try:
            after, fixed, point = follower.propose(trial)
        except StateMismatch:  # the trials came in another order than they seemed to
            follower = self._follower = _Follower(place, study, self.method, self.key, trials, anew=True)
            after, fixed, point = follower.propose(trial)
        if point:
            made = {"who": follower.who, "after": after, "fixed": fixed, "point": point}
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSAL, json.dumps(made))
        self._last = place, trial.number, point
        return point


def _place(study: _Study) -> tuple[int, str, int]:
    """Which study it is."""
    return id(study._storage), study.study_name, study._study_id


class _Follower:
    """An engine on the trials of one study.

    Args:
        place: which study it is.
        study, method, key: as of the sampler.
        trials: before the one that is asked for.
        anew: whether proposals of the past are not asked for again, and the method begins with other questions.
    """

    def __init__(
        self, place: object, study: _Study, method: Any, key: Key, trials: Sequence[_Trial], anew: bool = False
    ) -> None:
        self.place = place
        self._signs = [-1.0 if d == optuna.study.StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
        key = key.fold("anew", len(trials)) if anew else key
        self.who = f"{method!r}, key={key.seed}"
        self.history = History(self.who, len(self._signs))
        self.history.follow(trials)
        self._mirror = Mirror(self.history, self._signs)
        self._engine = Engine(self._mirror, method, key, None, constraints=len(self.history.constraints))

    def follow(self, trials: Sequence[_Trial]) -> bool:
        """Whether it could be brought up to date."""
        return self.history.follow(trials)

    def propose(self, trial: _Trial) -> tuple[int, Mapping[str, Any], dict[str, Any]]:
        """On how many answers, with what given, and which values."""
        self._mirror.sync()
        fixed = self.history.fixed(trial)
        after = self._engine.after(trial.number)
        assert after is not None  # only batches wait
        try:
            point = self._engine.propose(trial.number, after, fixed or None)
        except Exhausted:  # a grid has no more points; Optuna goes on asking
            point = None
        return after, fixed, dict(point or {})
