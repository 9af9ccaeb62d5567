"""Differences of members are the steps: every member competes with a trial made of itself and of scaled differences.

Storn, Price (1997), "Differential evolution"; adaptation and archive: JADE, SHADE (see `success`); a population that
shrinks over a known budget: Tanabe, Fukunaga (2014), L-SHADE. Symbols: NP = `popsize`, x_i = rows of
`pool`, of which those behind the population are the archive A; F = `weights`, CR = `rates`, p = `share`.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, whole
from descend.population.mutation import Mutation, as_mutation
from descend.population.sampling import check_popsize, fold_
from descend.population.shaping import settled
from descend.population.slots import guests, of_slots, seat, slots_of
from descend.population.success import SHADE, Adaptation
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["DifferentialEvolution", "DifferentialState"]

BLOCK = 2**16
"""Numbers of a block of trials: its few temporaries stay in the cache of a core."""


@state
class DifferentialState(Searching):
    """The members and what they have learned.

    Fields: those of `Search`; losses (n,) float64 on the CPU, of the members, +inf where unknown; pool (n + a, d), the
    members, then the archive, of which `stored` rows are filled; question (n,) int64, the last ticket of each slot;
    weights, rates (n,), its F and CR; inner (n, d), its trial before it was moved to the middles of cells, None where
    all is continuous; memory, turn: of the adaptation, and how often it has learned.
    """

    losses: Tensor
    pool: Tensor
    stored: int
    question: Tensor
    weights: Tensor
    rates: Tensor
    inner: Tensor | None
    memory: Tensor
    turn: int


@dataclass(frozen=True)
class DifferentialEvolution(AskTell[DifferentialState]):
    """Differential evolution, by default SHADE: current-to-pbest/1 with an archive and a history of what succeeded.

    A sturdy global search where evaluations are cheap: many minima, plateaus, coordinates of any scale, integers.

    Args:
        popsize: NP, members, each of which is tried once a generation; default 20 + d up to 100, or with a
            budget 18 d between 30 and 400.
        mutation: a `Mutation` or the name of one of `MUTATIONS`; default "current-to-pbest/1".
        adaptation: where F and CR come from, default `SHADE()`; `JADE()`, or `Fixed(0.5, 0.9)` for the classic.
        share: p in (0, 1], the part of the members that "good" ones are drawn from, at least 2; default 0.11.
        budget: evaluations over which the population shrinks to 4 members, as in L-SHADE; default None, it does not.

    The first members are the start and uniform points of the domain (normal ones with its typical length where it has
    no sides). Coordinates are taken over one by one ("bin"), at least one.

    Raises:
        InvalidValue: a number outside its range, or fewer members than the mutation needs.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: (x**2 - 10 * torch.cos(2 * math.pi * x) + 10).sum()
    >>> box = [(-5.12, 5.12)] * 5
    >>> method = DifferentialEvolution()
    >>> minimize(f, torch.full((5,), 3.0), method=method, bounds=box, until=Evaluations(15000), key=0).fun < 1e-6
    True
    """

    popsize: int | None = None
    mutation: Mutation | str = "current-to-pbest/1"
    adaptation: Adaptation = SHADE()
    share: float = 0.11
    budget: int | None = None

    def __post_init__(self) -> None:
        need = max(4, as_mutation(self.mutation).strangers + 1)
        check_popsize(self, self.popsize, need)
        if not 0 < self.share <= 1:
            raise InvalidValue(f"DifferentialEvolution needs a share in (0, 1], got {self.share!r}; write share=0.11")
        if self.budget is not None:
            whole(self, "budget", self.budget, 1, 10_000)

    def size(self, d: int, asked: int = 0) -> int:
        """How many members there are in d dimensions after so many questions."""
        first = self.popsize or (min(max(30, 18 * d), 400) if self.budget else min(20 + d, 100))
        if self.budget is None:
            return first
        least = max(4, as_mutation(self.mutation).strangers + 1)
        return max(least, round(first + (least - first) * min(1.0, asked / self.budget)))

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> DifferentialState:
        domain, nan = check_point(x, domain), math.nan
        n = self.size(x.numel())
        pool = x.new_zeros(n + (n if as_mutation(self.mutation).archive else 0), x.numel())
        pool[:n] = domain.uniform(n, key.fold("first"), x)
        pool[0] = x
        full = torch.full((n,), math.inf, dtype=torch.float64)
        return DifferentialState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", full, pool, 0, torch.full((n,), -1),
            torch.zeros_like(full), torch.zeros_like(full), pool[:n].clone() if domain.discrete else None,
            self.adaptation.init(), 0,
        )  # fmt: skip

    def batch(self, state: DifferentialState) -> int:
        return state.losses.shape[0]

    def ask(self, state: DifferentialState, n: int | None = None) -> tuple[DifferentialState, Tensor]:
        n, size = state.losses.shape[0] if n is None else n, state.losses.shape[0]
        slots = slots_of(state.asked, n, size)
        xs = state.pool.new_empty(n, state.pool.shape[1])
        fresh = min(n, max(0, size - state.asked))  # members that nobody has evaluated yet are asked as they are
        torch.index_select(state.pool, 0, slots[:fresh].to(xs.device), out=xs[:fresh])
        generator = state.key.fold("ask", state.asked).generator()
        if fresh < n:
            weights, rates = self.adaptation.draw(state.memory, n - fresh, generator)
            self._trials(state, xs[fresh:], slots[fresh:], weights, rates)
            state.weights[slots[fresh:]], state.rates[slots[fresh:]] = weights, rates
        state.question[slots] = torch.arange(state.asked, state.asked + n)
        if state.inner is not None:
            state.inner[slots.to(xs.device)] = xs
        return replace(state, asked=state.asked + n), state.domain.centre(xs)

    def _trials(self, state: DifferentialState, xs: Tensor, slots: Tensor, weights: Tensor, rates: Tensor) -> None:
        """Write the trials of these slots to xs (n, d)."""
        key, pool, device = state.key.fold("trials", state.asked), state.pool, xs.device
        parents = self._parents(state, slots, key.fold("parents").generator())
        base, target, *pairs = (None if p is None else p.to(device) for p in parents)
        n, d = xs.shape
        coins, scale = key.fold("coins").generator(device), weights.to(xs)[:, None]
        # 16 random bits against 2^16 CR decide each coordinate: a quarter of the cost of a uniform number
        share = (rates * 2**16).round().sub_(2**15 + 1).clamp_(-(2**15), 2**15 - 1).to(device, torch.int16)[:, None]
        sure = torch.randint(d, (n, 1), generator=coins, device=device)
        rows = min(n, max(1, BLOCK // d))
        bits = torch.empty((rows * d + 3) // 4, dtype=torch.int64, device=device)
        memory = xs.new_empty(3, rows, d)
        for i in range(0, n, rows):
            some = slice(i, i + rows)
            trial = xs[some]
            own, step, other = memory[:, : len(trial)]
            torch.index_select(pool, 0, slots[some].to(device), out=own)
            _differences(pool, [p[some] for p in pairs if p is not None], step, other)
            if target is not None:
                step.add_(torch.index_select(pool, 0, target[some], out=other))
                step.sub_(own if base is None else torch.index_select(pool, 0, base[some], out=other))
            step.mul_(scale[some])
            if base is not None:
                step.add_(torch.index_select(pool, 0, base[some], out=other)).sub_(own)
            bits.random_(-(2**63), None, generator=coins)
            coin = bits.view(torch.int16)[: trial.numel()].view_as(trial)
            taken = torch.le(coin, share[some], out=other).scatter_(1, sure[some], 1.0)
            torch.addcmul(own, step, taken, out=trial)
            fold_(trial, state.domain)

    def _parents(self, state: DifferentialState, slots: Tensor, generator: torch.Generator) -> list[Tensor | None]:
        """The rows of the pool (n,) that are base and target, None for the current member or none, and x_r, x_s, ..."""
        mutation, size, n = as_mutation(self.mutation), state.losses.shape[0], len(slots)
        # members on a circle in random order: the same few distances for all give strangers that are all different
        circle = torch.randperm(size, generator=generator)
        place = torch.empty_like(circle).scatter_(0, circle, torch.arange(size))[slots]
        away = torch.randperm(size - 1, generator=generator)[: mutation.strangers] + 1
        strangers = list(circle[(place + away[:, None]).remainder_(size)])
        ends: list[Tensor | None] = []
        for name in (mutation.base, mutation.target):
            if name == "random":
                ends.append(strangers.pop())
            elif name == "best":
                ends.append(state.losses.argmin().expand(n))
            elif name == "good":
                top = state.losses.argsort(stable=True)[: max(2, round(self.share * size))]
                ends.append(top[torch.randint(len(top), (n,), generator=generator)])
            else:
                ends.append(None)
        if mutation.archive and state.stored:
            old = torch.randint(size + state.stored, (n,), generator=generator)
            strangers[1] = torch.where(old >= size, old, strangers[1])
        return [*ends, *strangers]

    def tell(
        self, state: DifferentialState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None
    ) -> DifferentialState:
        at, fine = found(state, xs, losses), settled(losses)
        tickets = torch.arange(state.asked - len(xs), state.asked) if tickets is None else tickets
        slots, rows = of_slots(tickets, fine, state.losses.shape[0])
        same = state.question[slots] == tickets[rows]
        parents, reached = state.losses[slots], fine[rows]
        stored, turn, memory = state.stored, state.turn, state.memory
        better = (reached < parents) & parents.isfinite()
        if bool(better.any()):
            stored = self._archive(state, slots[better])
            learned = better & same
            if bool(learned.any()):
                who = slots[learned]
                gains = (parents - reached)[learned]
                memory = self.adaptation.learn(memory, turn, state.weights[who], state.rates[who], gains)
                turn += 1
        if state.inner is not None:  # what lies behind the middles of cells, where it is known
            known = same.nonzero()[:, 0]
            xs = xs.clone()
            xs[rows[known]] = state.inner[slots[known]]
        taken = (reached <= parents) & reached.isfinite()
        seat(state.pool, state.losses, slots[taken], xs, rows[taken], fine)
        if bool((tickets < 0).any()):
            worst, new = guests(tickets, fine, state.losses)
            seat(state.pool, state.losses, worst, xs, new, fine)
        state = replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1,
            stored=stored, memory=memory, turn=turn,
        )  # fmt: skip
        return _ended(self._shrunk(state))

    def _archive(self, state: DifferentialState, slots: Tensor) -> int:
        """Keep the members of these slots, which are about to be replaced; how many the archive then has."""
        size, stored = state.losses.shape[0], state.stored
        room = len(state.pool) - size
        if room == 0:
            return 0
        generator = state.key.fold("archive", state.t).generator()
        free = torch.arange(stored, min(room, stored + len(slots)))
        full = torch.randperm(room, generator=generator)[: len(slots) - len(free)]
        places = torch.cat((free, full)) if len(free) < len(slots) else free
        chosen = slots[: len(places)].to(state.pool.device)
        state.pool.index_copy_(0, places.to(state.pool.device) + size, state.pool[chosen])
        return max(stored, int(free[-1]) + 1) if len(free) else stored

    def _shrunk(self, state: DifferentialState) -> DifferentialState:
        """Without its worst members, where the budget says so."""
        now = state.losses.shape[0]
        least = self.size(state.pool.shape[1], state.asked) if self.budget is not None else now
        if least >= now or state.asked < now:
            return state
        best = state.losses.argsort(stable=True)[:least].sort().values
        stored = min(state.stored, least)
        room = least if len(state.pool) > now else 0
        there = best.to(state.pool.device)
        pool = torch.cat((state.pool[there], state.pool[now : now + room]))
        return replace(
            state, losses=state.losses[best], pool=pool, stored=stored, question=state.question[best],
            weights=state.weights[best], rates=state.rates[best],
            inner=None if state.inner is None else state.inner[there],
        )  # fmt: skip


def _differences(pool: Tensor, pairs: list[Tensor], step: Tensor, other: Tensor) -> None:
    """Write the sum of x_r - x_s over the pairs r, s, r, s, ... of rows to step (n, d); other is memory."""
    torch.index_select(pool, 0, pairs[0], out=step)
    step.sub_(torch.index_select(pool, 0, pairs[1], out=other))
    for r, s in zip(pairs[2::2], pairs[3::2], strict=True):
        step.add_(torch.index_select(pool, 0, r, out=other))
        step.sub_(torch.index_select(pool, 0, s, out=other))


def _ended(state: DifferentialState) -> DifferentialState:
    """Done if all members are one point, from where no difference leads away."""
    if float(state.losses.max()) > float(state.losses.min()):
        return state
    members = state.pool[: state.losses.shape[0]]
    together = bool((members == members[0]).all())
    return replace(state, done="all members are the same point") if together else state
