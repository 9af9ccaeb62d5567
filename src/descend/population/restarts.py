"""Restarts: when a run has nothing more to find, another begins elsewhere, with more points or with smaller steps.

IPOP: Auger and Hansen 2005, "A restart CMA evolution strategy with increasing population size". BIPOP: Hansen 2009,
"Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed". Symbols: lambda = `popsize`, lambda_l = that of
the last large run, lambda_0 = the method's own, sigma_0 = its first step.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, asks_for_values, check_point, found, whole
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["BIPOP", "IPOP", "Past", "Plain", "Restarts", "RestartsState", "Run", "Schedule"]


@as_state
class Past:
    """What a schedule decides by.

    Fields: runs, how many have ended; popsize, lambda_0; doublings, of the last large run; small, whether the last run
    was a small one; spent_large and spent_small, evaluations in the two regimes; last_large, in the last large run.
    """

    runs: int
    popsize: int
    doublings: int
    small: bool
    spent_large: int
    spent_small: int
    last_large: int


@as_state
class Run:
    """One run: the points of a generation, its first step in units of the usual one, the evaluations it may take."""

    popsize: int
    step: float
    limit: int | None
    small: bool
    doublings: int


class Schedule(ABC):
    """Decides what the next run is like."""

    @abstractmethod
    def following(self, past: Past, key: Key) -> Run:
        """The run after those of the past; its randomness comes from the key."""


@dataclass(frozen=True)
class Plain(Schedule):
    """Every run is like the first one."""

    def following(self, past: Past, key: Key) -> Run:
        return Run(past.popsize, 1.0, None, False, 0)


@dataclass(frozen=True)
class IPOP(Schedule):
    """Every run has twice as many points as the one before.

    Args:
        doublings: >= 0, after so many it begins again with the usual number; default 9.

    Raises:
        InvalidValue: doublings is no whole number >= 0.
    """

    doublings: int = 9

    def __post_init__(self) -> None:
        whole(self, "doublings", self.doublings, 0, 9)

    def following(self, past: Past, key: Key) -> Run:
        doublings = past.doublings + 1 if past.doublings < self.doublings else 0
        return Run(past.popsize * 2**doublings, 1.0, None, False, doublings)


@dataclass(frozen=True)
class BIPOP(Schedule):
    """Two regimes share the evaluations: large runs, each with twice as many points, and small ones with short steps.

    A small run has lambda_0 (lambda_l / 2 lambda_0)^(u^2) points and a first step of 10^(-2 v) sigma_0, u and v uniform
    on [0, 1], and takes at most half as many evaluations as the last large run.

    Args:
        doublings: >= 0, after so many the large regime begins again; default 9.

    Raises:
        InvalidValue: doublings is no whole number >= 0.
    """

    doublings: int = 9

    def __post_init__(self) -> None:
        whole(self, "doublings", self.doublings, 0, 9)

    def following(self, past: Past, key: Key) -> Run:
        if past.doublings and past.spent_small < past.spent_large:
            u, v = key.uniform(2, like=torch.empty(0, dtype=torch.float64)).tolist()
            popsize = math.floor(past.popsize * (0.5 * 2**past.doublings) ** (u * u))
            return Run(popsize, 10 ** (-2 * v), past.last_large // 2, True, past.doublings)
        doublings = past.doublings + 1 if past.doublings < self.doublings else 1
        return Run(past.popsize * 2**doublings, 1.0, None, False, doublings)


_SCHEDULES: dict[str, Schedule] = {"plain": Plain(), "ipop": IPOP(), "bipop": BIPOP()}


@as_state
class RestartsState(Searching):
    """The fields of `Search`, and: inner, the state of the present run, whose first ticket is `began`; run, what it is
    like; past, the runs before; start (d,), where the first one began."""

    inner: Any
    began: int
    run: Run
    past: Past
    start: Tensor


@dataclass(frozen=True)
class Restarts(AskTell[RestartsState]):
    """Any method, begun again at a uniform point of the domain whenever its `done` says that it has nothing more to do.

    Args:
        method: any `AskTell`. Schedules set its `popsize` and its first step `sigma` if it has such hyperparameters.
        schedule: "ipop" (default), "bipop", "plain", or a `Schedule`.

    The state's `done` stays empty: it never ends by itself.

    Raises:
        InvalidValue: no such schedule.

    >>> from descend.population.cma import CMAES
    >>> method = Restarts(CMAES(), "ipop")
    >>> side = torch.full((2,), 5.0, dtype=torch.float64)
    >>> state = method.init(side - 1, Key(0), Domain.box(-side, side))
    >>> while state.asked < 6000:  # Rastrigin's function
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, (xs**2 - 10 * torch.cos(2 * torch.pi * xs) + 10).sum(1))
    >>> state.value < 1e-3
    True
    """

    method: AskTell[Any]
    schedule: str | Schedule = "ipop"

    def __post_init__(self) -> None:
        asks_for_values(self, "method", self.method)
        if not isinstance(self.schedule, Schedule) and self.schedule not in _SCHEDULES:
            names = ", ".join(map(repr, _SCHEDULES))
            raise InvalidValue(f"schedule is one of {names}, or a Schedule, got schedule={self.schedule!r}")

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> RestartsState:
        domain = check_point(x, domain)
        inner = self.method.init(x, key.fold("run", 0), domain)
        popsize = self.method.batch(inner)
        past, run = Past(0, popsize, 0, False, 0, 0, 0), Run(popsize, 1.0, None, False, 0)
        nan = math.nan
        return RestartsState(x, nan, nan, 0, 0, 0, key, domain, "", inner, 0, run, past, x)

    def batch(self, state: RestartsState) -> int:
        return self._like(state.run, state.domain).batch(state.inner)

    def ask(self, state: RestartsState, n: int | None = None) -> tuple[RestartsState, Tensor]:
        inner, xs = self._like(state.run, state.domain).ask(state.inner, n)
        asked = state.began + inner.asked
        return RestartsState(
            state.x, state.value, state.loss, state.rejected, state.t, asked, state.key, state.domain, state.done,
            inner, state.began, state.run, state.past, state.start,
        ), xs  # fmt: skip

    def tell(self, state: RestartsState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> RestartsState:
        at, inner = found(state, xs, losses), state.inner
        method = self._like(state.run, state.domain)
        if tickets is None:
            inner = method.tell(inner, xs, losses)
        else:
            # what an earlier run had asked is no news to this one; a stranger may be
            ours = (tickets < 0) | (tickets >= state.began)
            if bool(ours.any()):
                own = torch.where(tickets < 0, tickets, tickets - state.began)[ours]
                inner = method.tell(inner, xs[ours.to(xs.device)], losses[ours], own)
        x = inner.x if math.isnan(inner.value) and math.isnan(at.value) else at.x
        taken, limit = state.asked - state.began, state.run.limit
        began, run, past = state.began, state.run, state.past
        if inner.done or (limit is not None and taken >= limit):
            began, past = state.asked, _after(past, run, taken)
            run, inner = self._next(state, past)
        return RestartsState(
            x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, "", inner, began, run,
            past, state.start,
        )  # fmt: skip

    def _next(self, state: RestartsState, past: Past) -> tuple[Run, Any]:
        schedule = _SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        key = state.key.fold("run", past.runs)
        run = schedule.following(past, key.fold("schedule"))
        start = state.domain.centre(state.domain.uniform(1, key.fold("start"), state.start))[0]
        return run, self._like(run, state.domain).init(start, key, state.domain)

    def _like(self, run: Run, domain: Domain) -> AskTell[Any]:
        """The method with the hyperparameters of a run."""
        if run.doublings == 0 and not run.small:
            return self.method
        return _changed(self.method, run.popsize, run.step, 0.2 if domain.bounded else 0.3)


@lru_cache(maxsize=64)
def _changed(method: AskTell[Any], popsize: int, step: float, sigma: float) -> AskTell[Any]:
    """The method with so many points and its first step, by default sigma, times `step`, where it has such a thing."""
    given = {field.name: getattr(method, field.name) for field in fields(method)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {"popsize": popsize} if "popsize" in given else {}
    if "sigma" in given and step != 1:
        changes["sigma"] = (given["sigma"] or sigma) * step
    return replace(method, **changes)  # type: ignore[type-var]  # methods are dataclasses


def _after(past: Past, run: Run, taken: int) -> Past:
    """The past with a run that took so many evaluations."""
    if run.small:
        return replace(past, runs=past.runs + 1, small=True, spent_small=past.spent_small + taken)
    # the first run, of the usual size, belongs to no regime
    large = taken if run.doublings else 0
    return replace(
        past,
        runs=past.runs + 1,
        small=False,
        doublings=run.doublings,
        spent_large=past.spent_large + large,
        last_large=taken,
    )
