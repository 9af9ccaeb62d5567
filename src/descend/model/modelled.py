"""Search by a model of the loss: what is asked next is a function of what was asked and answered so far, and of a key.

Nothing else is remembered, so a search goes on from its answers alone, without asking again what led to them: see
`Modelled.recall`. Methods see the unit cube only. Where a coordinate has two sides it is scaled to it; where it has
not, u = Phi((x - start) / scale) with the normal distribution function Phi and the domain's typical length.
"""

import math
from abc import abstractmethod
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from descend.errors import ShapeMismatch
from descend.key import Key
from descend.population.base import AskTell, Found, Searching, check_point, found
from descend.population.shaping import settled
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["Cube", "History", "Modelled", "Told"]


@state
class Told(Searching):
    """What was asked and answered: the fields of `Search`; start (d,), where the search began.

    us (n, d), values (n, m), violations (n, c), tickets (n,): the answers, in the order in which they were asked for,
    before them those that never were. waiting (k, d), waiting_tickets (k,): the questions without an answer. All but
    the points are float64 on the CPU, and us and waiting lie in the unit cube.
    """

    start: Tensor
    us: Tensor
    values: Tensor
    violations: Tensor
    tickets: Tensor
    waiting: Tensor
    waiting_tickets: Tensor


@dataclass(frozen=True, eq=False)
class Cube:
    """A domain as the unit cube, float64 on the CPU.

    Fields: domain; start (d,), about which coordinates without two sides are spread.
    """

    domain: Domain
    start: Tensor

    @cached_property
    def cells(self) -> Tensor:
        """(d,) int64: 0 where a coordinate is continuous, k where it has k values, the middles of equal cells."""
        return self.domain.cells.cpu()

    @cached_property
    def unordered(self) -> Tensor:
        """(d,) bool, whether neighbouring cells have nothing to do with each other."""
        return self.domain.unordered.cpu()

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        domain = self.domain.like(self.start.detach().to("cpu", torch.float64))
        width = domain.upper - domain.lower
        return domain.lower, width, width.isfinite(), domain.scale

    @cached_property
    def _all_between(self) -> bool:
        return bool(self._sides[2].all())

    def inside(self, xs: Tensor) -> Tensor:
        """Points (n, d) of the domain in the cube."""
        lower, width, between, scale = self._sides
        xs = xs.detach().to("cpu", torch.float64)
        us = (xs - lower) / width
        if not self._all_between:
            us = torch.where(between, us, torch.special.ndtr((xs - self._about) / scale))
        return us.clamp(0, 1)

    def outside(self, us: Tensor) -> Tensor:
        """Points (n, d) of the cube as points of the domain, with the dtype and on the device of the start."""
        lower, width, between, scale = self._sides
        xs = lower + us * width
        if not self._all_between:
            narrow = torch.finfo(torch.float64).eps
            far = self._about + scale * torch.special.ndtri(us.clamp(narrow, 1 - narrow))
            xs = torch.where(between, xs, far)
        xs = xs.to(self.start)
        return self.domain.centre(self.domain.clip(xs))

    @cached_property
    def middle(self) -> Tensor:
        """The start (d,) in the cube."""
        return self.inside(self.start[None])[0]

    @cached_property
    def _about(self) -> Tensor:
        return self.start.detach().to("cpu", torch.float64)

    def active(self, us: Tensor) -> Tensor:
        """Which coordinates are there at points (n, d) of the cube: (n, d) bool; those that are not mean nothing."""
        if not self.domain.rules:
            return torch.ones(us.shape, dtype=torch.bool)
        return self.domain.active(self.outside(us)).cpu()

    def centre(self, us: Tensor) -> Tensor:
        """Points (n, d) with every discrete coordinate in the middle of its cell."""
        k = self.cells
        return torch.where(
            k > 0, ((us * k).floor().clamp(min=0).minimum((k - 1).clamp(min=0)) + 0.5) / k.clamp(min=1), us
        )


@dataclass(frozen=True, eq=False)
class History:
    """What a model is made of. All tensors are float64 on the CPU unless noted, and points lie in the unit cube.

    Fields: cube; start (d,), where the search began; us (n, d), values (n, m), smaller is better, a row of NaN where an
    evaluation failed, and violations (n, c), positive where a constraint is broken: the answers, in the order in which
    they were asked for; waiting (k, d), the questions without an answer; asked, how many questions there were.
    """

    cube: Cube
    start: Tensor
    us: Tensor
    values: Tensor
    violations: Tensor
    waiting: Tensor
    asked: int

    @property
    def dim(self) -> int:
        """d."""
        return self.us.shape[1]

    @cached_property
    def active(self) -> Tensor:
        """Which coordinates of the answers are there: (n, d) bool."""
        return self.cube.active(self.us)

    @cached_property
    def feasible(self) -> Tensor:
        """Which of the answers break no constraint: (n,) bool."""
        return ~(self.violations > 0).any(1)

    @cached_property
    def fine(self) -> Tensor:
        """Which of the evaluations did not fail: (n,) bool."""
        return self.values.isfinite().all(1)


class Modelled(AskTell[Told]):
    """Base of the methods that are a function of their history. A subclass says what it proposes."""

    @abstractmethod
    def propose(self, history: History, n: int, key: Key) -> Tensor:
        """Points (n, d) float64 of the unit cube to be evaluated next, n >= 1.

        A pure function: whatever is kept for speed must give the same bits as when it is made anew.
        """

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> Told:
        domain = check_point(x, domain)
        none = torch.zeros(0, x.numel(), dtype=torch.float64)
        rows, tickets = torch.zeros(0, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
        x = x.detach().clone()
        nothing = math.nan, math.nan, 0, 0, 0, key, domain, ""
        return Told(x, *nothing, x, none, rows, rows, tickets, none, tickets)

    @final
    def ask(self, state: Told, n: int | None = None) -> tuple[Told, Tensor]:
        n = 1 if n is None else n
        if not n:
            return state, state.start[None][:0]
        history = self.history(state)
        us = self.propose(history, n, state.key.fold("ask", state.asked))
        xs = history.cube.outside(us)
        return self.recall(state, xs), xs

    @final
    def recall(self, state: Told, xs: Tensor) -> Told:
        """The state after points (n, d) were asked for, known from elsewhere, as `ask` would leave it."""
        us, asked = _cube(state).inside(xs), state.asked + len(xs)
        tickets = torch.cat([state.waiting_tickets, torch.arange(state.asked, asked)])
        return Told(  # written out, because replace() takes several times as long
            state.x, state.value, state.loss, state.rejected, state.t, asked, state.key, state.domain, "",
            state.start, state.us, state.values, state.violations, state.tickets, torch.cat([state.waiting, us]),
            tickets,
        )  # fmt: skip

    def history(self, state: Told) -> History:
        """What the next proposal is made of."""
        cube = _cube(state)
        return History(cube, cube.middle, state.us, state.values, state.violations, state.waiting, state.asked)

    @final
    def tell(self, state: Told, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> Told:
        return self.tell_rows(state, xs, losses[:, None], None, tickets)

    @final
    def tell_rows(
        self,
        state: Told,
        xs: Tensor,
        values: Tensor,
        violations: Tensor | None = None,
        tickets: Tensor | None = None,
    ) -> Told:
        """Answers with several objectives, and with constraints.

        Args:
            xs: (n, d), n >= 1.
            values: (n, m) float64; a row with a NaN or an infinity is a failure.
            violations: (n, c), positive where a constraint is broken; default there are none.
            tickets: (n,) int64, as of `tell`.

        Raises:
            ShapeMismatch: the numbers of objectives or of constraints are not those of before.
        """
        if tickets is None:
            tickets = torch.arange(state.asked - len(xs), state.asked)
        values = values.detach().to("cpu", torch.float64)
        values = torch.where(values.isfinite().all(1, keepdim=True), values, math.nan)
        broken = values.new_zeros(len(xs), 0) if violations is None else violations.detach().to(values)
        us = _cube(state).inside(xs)
        at = _found(state, xs, values, broken)
        every = (
            torch.cat([state.us, us]),
            torch.cat([_like(state.values, values, "objectives"), values]),
            torch.cat([_like(state.violations, broken, "constraints"), broken]),
            torch.cat([state.tickets, tickets.cpu()]),
        )
        if _falls(state.tickets, tickets):
            order = every[3].argsort(stable=True)
            every = every[0][order], every[1][order], every[2][order], every[3][order]
        answered = set(tickets.tolist())
        waits = torch.tensor([ticket not in answered for ticket in state.waiting_tickets.tolist()], dtype=torch.bool)
        return Told(
            at.x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, "",
            state.start, *every, state.waiting[waits], state.waiting_tickets[waits],
        )  # fmt: skip


_CUBES: deque[Cube] = deque(maxlen=8)


def _cube(state: Told) -> Cube:
    """The cube of a state, which is that of the states before and after it."""
    for cube in _CUBES:
        if cube.domain is state.domain and cube.start is state.start:
            return cube
    _CUBES.appendleft(Cube(state.domain, state.start))
    return _CUBES[0]


def _found(state: Told, xs: Tensor, values: Tensor, broken: Tensor) -> Found:
    """What answers (n, d), (n, m) say where (n, c) is not positive; of several objectives no point is the best."""
    if values.shape[1] != 1:
        return Found(state.x, math.nan, float(settled(values[:, 0]).min()), state.rejected)
    return found(state, xs, torch.where((broken > 0).any(1), math.nan, values[:, 0]))


def _like(old: Tensor, new: Tensor, what: str) -> Tensor:
    """The rows (n, k) that there are, with as many columns as the new ones have."""
    if old.shape[1] == new.shape[1]:
        return old
    if len(old) and old.shape[1] and bool(old.isfinite().any()):
        raise ShapeMismatch(f"there were {old.shape[1]} {what} so far, and now {new.shape[1]}")
    return new.new_full((len(old), new.shape[1]), math.nan)


def _falls(old: Tensor, new: Tensor) -> bool:
    """Whether tickets (n,) and further ones are out of order."""
    every = new.cpu().tolist()
    last = int(old[-1]) if len(old) else -1
    return any(b < a for a, b in zip([last, *every], every, strict=False))
