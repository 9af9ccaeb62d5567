"""Studies brought over from Optuna's storages, and back, trial by trial."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from descend.errors import InvalidValue
from descend.key import Key
from descend.log.row import FINISHED, Row
from descend.optuna._library import optuna
from descend.optuna.convert import distribution_of, to_plain, widest
from descend.optuna.history import STATES, violations_of
from descend.space import Leaf
from descend.study.mirror import DEFINITIONS
from descend.study.plain import plain, unplain
from descend.study.record import Record
from descend.study.study import Study

__all__ = ["read_optuna", "write_optuna"]

_ERROR = "descend:error"
"""The system attribute with a traceback, for which Optuna has no place."""

_NAMES = "constraints"
"""The attribute of a study with the names of its constraints, which Optuna's have."""

_Trial = optuna.trial.FrozenTrial
_Storage = optuna.storages.BaseStorage


def read_optuna(
    storage: str | _Storage,
    study_name: str | None = None,
    path: str | Path | None = None,
    name: str | None = None,
    *,
    method: Any = None,
    key: Key | int = 0,
) -> Study:
    """A study of descend with all trials of one of Optuna's.

    Args:
        storage: the URL or the object that `optuna.load_study` takes.
        study_name: in it; None if it has only one.
        path, name: of the new study, as of `Study`; default in memory, and the same name.
        method, key: as of `Study`, for going on with it.

    Parameters, values, intermediate values, constraints, user attributes and times are taken over, and the numbers of
    the trials. Trials that wait or are under way are queued, with the parameters that they have. A complete trial whose
    values are not finite has failed. A parameter whose range has changed has the widest.

    Raises:
        InvalidValue: there is no such storage or study; or `path` has a study of this name already.

    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> theirs = optuna.create_study(storage=optuna.storages.InMemoryStorage(), study_name="slope")
    >>> theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    >>> study = read_optuna(theirs._storage, "slope")
    >>> study.best.value == theirs.best_value, len(study.trials)
    (True, 3)
    """
    theirs = _loaded(storage, study_name)
    trials = theirs.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.constraints})
    directions = tuple(direction.name.lower() for direction in theirs.directions)
    ours = Study(
        path, name or theirs.study_name, space=None, directions=directions, key=key, constraints=len(names),
        **({} if method is None else {"method": method}),
    )  # fmt: skip
    if ours.trials:
        ours.close()
        raise InvalidValue(f"{path} has a study {ours.name!r} with trials already; give another name")
    leaves = _leaves(trials)
    log = ours.log
    for parameter, leaf in leaves.items():
        log.define(parameter, leaf.text)
    for attribute, value in theirs.user_attrs.items():
        ours.set(attribute, value)
    if names:
        ours.set(_NAMES, names)
    for trial in trials:
        params = _params(trial, leaves)
        noted = {attribute: plain(value) for attribute, value in trial.user_attrs.items()}
        if not trial.state.is_finished():
            fixed = trial.system_attrs.get("fixed_params") or {}
            log.enqueue({**{each: plain(value) for each, value in fixed.items()}, **params}, noted)
            continue
        number = log.add(_row(trial, params, {**noted, DEFINITIONS: len(leaves)}, names))
        for step, value in sorted(trial.intermediate_values.items()):
            log.report(number, int(step), [float(value)])
    return ours


def write_optuna(study: Study, storage: str | _Storage, study_name: str | None = None) -> "optuna.Study":
    """A study of Optuna with all trials of one of descend's.

    Args:
        study: which.
        storage: the URL or the object that `optuna.create_study` takes.
        study_name: of the new study; default the same name.

    What `read_optuna` takes over is written. Trials that are queued or under way are enqueued. Parameters that Optuna
    has nothing like, such as permutations, become user attributes, and points of a space within a space have flat names
    such as "opt.lr". Optuna keeps intermediate values of one objective only.

    Raises:
        optuna.exceptions.DuplicatedStudyError: the storage has a study of this name.

    >>> from descend.direct import Uniform
    >>> ours = Study(method=Uniform())
    >>> number = ours.add({}, 1.5)
    >>> write_optuna(ours, optuna.storages.InMemoryStorage()).best_value
    1.5
    """
    directions = [optuna.study.StudyDirection[direction.upper()] for direction in study.directions]
    theirs = optuna.create_study(storage=storage, study_name=study_name or study.name, directions=directions)
    names = study.attributes.get(_NAMES, ())
    for attribute, value in study.attributes.items():
        if attribute != _NAMES:
            theirs.set_user_attr(attribute, value)
    distributions = {parameter: distribution_of(leaf, nearly=True) for parameter, leaf in study.parameters.items()}
    study.session.mirror.sync()
    for row, record in zip(study.session.mirror.rows, study.trials, strict=True):
        theirs.add_trial(_trial(row, record, distributions, names, len(study.directions)))
    return theirs


def _loaded(storage: str | _Storage, study_name: str | None) -> "optuna.Study":
    """A study of Optuna's, which would make a file that is not there, and say only that a record does not exist."""
    if isinstance(storage, str):
        _check_url(storage)
    place = optuna.storages.get_storage(storage)
    names = optuna.get_all_study_names(place)
    where = repr(storage) if isinstance(storage, str) else "the storage"
    if not names:
        raise InvalidValue(f"there is no study of Optuna in {where}")
    if study_name not in names if study_name is not None else len(names) > 1:
        wrong = f"has no study {study_name!r}" if study_name is not None else f"has {len(names)} studies"
        raise InvalidValue(f"{where} {wrong}; write study_name=, one of {', '.join(map(repr, names))}")
    return optuna.load_study(study_name=study_name, storage=place)


def _check_url(storage: str) -> None:
    if "://" not in storage:
        raise InvalidValue(f"a storage of Optuna's is a URL, got {storage!r}; write 'sqlite:///{storage}'")
    kind, _, rest = storage.partition("://")
    file = rest.partition("?")[0].removeprefix("/") if kind.startswith("sqlite") else ""
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).exists():
        raise InvalidValue(f"there is no file {file}; write the URL of a storage that Optuna has written")


def _leaves(trials: Iterable[_Trial]) -> dict[str, Leaf]:
    """Every parameter with the widest range that it had."""
    seen: dict[str, dict[str, Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            seen.setdefault(name, {})[repr(distribution)] = distribution
    leaves: dict[str, Leaf] = {}
    for name, distributions in seen.items():
        leaf = widest([*distributions.values()])
        if leaf is None:
            raise InvalidValue(f"descend has no parameter like {next(iter(distributions))} of {name!r}")
        leaves[name] = leaf
    return leaves


def _params(trial: _Trial, leaves: Mapping[str, Leaf]) -> dict[str, Any]:
    found = {name: to_plain(trial.distributions[name], value) for name, value in trial.params.items()}
    return {name: value for name, value in found.items() if not leaves[name].wrong(value, name)}


def _row(trial: _Trial, params: dict[str, Any], attributes: dict[str, Any], names: list[str]) -> Row:
    """A trial that has ended, for a log."""
    state, values = STATES[trial.state], trial.values
    error = trial.system_attrs.get(_ERROR)
    if state == "failed" and error is None:
        error = "it failed in Optuna, which keeps no reason"
    if state == "done" and not all(map(math.isfinite, values)):
        state, error, values = "failed", f"the values are {tuple(values)}", None
    if state == "pruned" and values is None and trial.intermediate_values:
        values = [trial.intermediate_values[max(trial.intermediate_values)]]
    return Row(
        state=state,
        params=params,
        values=None if values is None or state == "failed" else tuple(map(float, values)),
        violations=violations_of(trial, names),
        error=error,
        attributes=attributes,
        began=_time(trial.datetime_start),
        ended=_time(trial.datetime_complete),
    )


def _time(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _trial(row: Row, record: Record, distributions: Mapping[str, Any], names: Sequence[str], objectives: int) -> _Trial:
    """A row as a trial of Optuna's."""
    held = {name: unplain(value) for name, value in (row.params or row.proposal or {}).items()}
    kinds = {name: kind for name in held if (kind := distributions.get(name)) is not None}
    params = {name: value for name, value in held.items() if name in kinds}
    rest = {name: value for name, value in held.items() if name not in kinds}
    attributes = {**rest, **record.attributes}
    if row.state not in FINISHED:
        fixed = {"fixed_params": params}
        return optuna.create_trial(state=optuna.trial.TrialState.WAITING, user_attrs=attributes, system_attrs=fixed)
    state = next(theirs for theirs, ours in STATES.items() if ours == row.state)
    found = optuna.create_trial(
        state=state,
        values=None if row.values is None else list(row.values),
        params=params,
        distributions=kinds,
        user_attrs=attributes,
        system_attrs={} if row.error is None else {_ERROR: row.error},
        intermediate_values=dict(record.reports) if objectives == 1 else None,
        constraints=dict(zip(names or map(str, range(len(row.violations))), row.violations, strict=False)),
    )
    now = datetime.now()
    found.datetime_start = now if row.began is None else datetime.fromtimestamp(row.began)
    found.datetime_complete = now if row.ended is None else datetime.fromtimestamp(row.ended)
    return found
