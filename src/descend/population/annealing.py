"""Simulated annealing: chains that accept what is worse with the probability exp(-(f' - f) / T), while T falls.

Metropolis et al. 1953, "Equation of state calculations by fast computing machines"; Kirkpatrick, Gelatt and Vecchi
1983, "Optimization by simulated annealing". Schedules and steps: `descend.population.cooling`.
Symbols: f = `losses`, T = `first` * `cool`, both per chain.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, positive, whole
from descend.population.breeding import SHUFFLES, check_names, shuffled
from descend.population.cooling import LAWS, Adaptive, Clock, Geometric, Logarithmic, Reciprocal, Schedule, Visiting
from descend.population.kinds import Kinds, another, keyed, kinds, tours
from descend.population.shaping import settled
from descend.population.slots import guests, of_slots, slots_of
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["ROWS", "Annealing", "AnnealingState"]

_TRIED = 20
"""Moves uphill that are measured before the first temperature is chosen."""
_WANTED = 0.44
"""Of moves of one coordinate: Roberts, Gelman and Gilks 1997, "Weak convergence and optimal scaling"."""


@state
class AnnealingState(Searching):
    """The chains.

    Fields: those of `Search`; points (n, d), where they are, and losses (n,), +inf where unknown; moves (n,) int64,
    made since the last start; cool (n,), T / T0; width (n, d), of the steps; rate (n,), of accepted moves; question
    (n,) int64 and luck (n,), the last question of each chain, and by how many temperatures it may go up;
    first, T0, NaN until it is known; uphill, tried, the sum and the number of the moves
    measured for it.
    All but points and width are on the CPU.
    """

    points: Tensor
    losses: Tensor
    moves: Tensor
    cool: Tensor
    width: Tensor
    rate: Tensor
    question: Tensor
    luck: Tensor
    first: float
    uphill: float
    tried: int


@dataclass(frozen=True)
class Annealing(AskTell[AnnealingState]):
    """Simulated annealing of several chains at once, over numbers, lists, permutations and all of them together.

    Each move changes one kind of coordinate, at random by how many there are: numbers step, one or two lists give
    another value, and a permutation is shuffled a little.

    Args:
        chains: n >= 1, default 10. The first begins at the start, the others anywhere.
        steps: moves of a chain, after which it is heated again where it is; default 100 d + 1000.
        temperature: T0 > 0 in units of the loss; default: the mean of the first moves uphill is accepted every second
            time.
        schedule: default `Geometric()`.
        visiting: how numbers step, default `Visiting()`.
        shuffles: of permutations, some of `SHUFFLES`; default all.

    `ROWS` has the classic combinations by name.

    Raises:
        InvalidValue: a number outside its range, or a shuffle that does not exist.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: (x**2 - 10 * torch.cos(2 * math.pi * x) + 10).sum()
    >>> until = Evaluations(15000)
    >>> minimize(f, torch.full((2,), 3.0), method=Annealing(), bounds=[(-5.12, 5.12)] * 2, until=until, key=0).fun < 0.1
    True
    """

    chains: int = 10
    steps: int | None = None
    temperature: float | None = None
    schedule: Schedule = Geometric()
    visiting: Visiting = Visiting()
    shuffles: tuple[str, ...] = tuple(SHUFFLES)

    def __post_init__(self) -> None:
        whole(self, "chains", self.chains, 1, 10)
        if self.steps is not None:
            whole(self, "steps", self.steps, 1, 1000)
        if self.temperature is not None:
            positive(self, "temperature", self.temperature, 1.0)
        check_names(self, "shuffles", self.shuffles, SHUFFLES)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> AnnealingState:
        domain, nan, n = check_point(x, domain), math.nan, self.chains
        points = domain.uniform(n, key.fold("first"), x)
        points[0] = x
        one = torch.ones(n, dtype=torch.float64)
        return AnnealingState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", domain.centre(points), one * math.inf,
            torch.zeros(n, dtype=torch.int64), one, torch.full_like(points, self.visiting.width), one * _WANTED,
            torch.full((n,), -1), one * 0, nan if self.temperature is None else float(self.temperature), 0.0, 0,
        )  # fmt: skip

    def batch(self, state: AnnealingState) -> int:
        return self.chains

    def ask(self, state: AnnealingState, n: int | None = None) -> tuple[AnnealingState, Tensor]:
        n = self.chains if n is None else n
        slots, key = slots_of(state.asked, n, self.chains), state.key.fold("ask", state.asked)
        rows = slots.to(state.points.device)
        xs = state.points[rows]
        lost = state.losses[slots].isinf()
        late = torch.arange(state.asked, state.asked + n) >= self.chains
        if bool(late.any()):
            size = (state.cool[slots, None] ** self.visiting.power).to(xs) * state.width[rows]
            moved = self.neighbours(xs, size, state.domain, key)
            if bool(lost.any()):  # nothing is known there, so that any other point will do
                anywhere = state.domain.centre(state.domain.uniform(n, key, state.x))
                moved = torch.where(lost.to(xs.device)[:, None], anywhere, moved)
            xs = torch.where(late.to(xs.device)[:, None], moved, xs)
        question, luck = state.question.clone(), state.luck.clone()
        question[slots] = torch.arange(state.asked, state.asked + n)
        luck[slots] = -key.fold("luck").uniform(n, like=luck).log()
        return replace(state, asked=state.asked + n, question=question, luck=luck), xs

    def neighbours(self, xs: Tensor, size: Tensor, domain: Domain, key: Key) -> Tensor:
        """A neighbour of each of the points (n, d), whose numbers step by `size` (n, d) typical lengths or so."""
        kind = kinds(domain)
        counts = [int(kind.numbers.sum()), int(kind.lists.sum()), *map(len, kind.orders)]
        bounds = torch.tensor(counts, dtype=torch.float64).cumsum(0) / sum(counts)
        part = torch.searchsorted(bounds, key.fold("kind").uniform(len(xs), like=bounds), right=True).to(xs.device)
        after = xs
        if counts[0]:
            after = torch.where((part == 0)[:, None], self._stepped(xs, size, kind, domain, key), after)
        if counts[1]:
            some = _one_of(kind.lists, len(xs), key.fold("list"))
            # every second time two of them: an exchange may be better where neither half of it is
            also = key.fold("two").uniform(len(xs), 1, like=xs) < 0.5
            some = some | (also & _one_of(kind.lists, len(xs), key.fold("second")))
            after = another(after, domain, some & (part == 1)[:, None], key.fold("another"))
        for k, columns in enumerate(kind.orders):
            order = shuffled(tours(xs, columns), self.shuffles, key.fold("shuffle", k))
            after = torch.where((part == 2 + k)[:, None], keyed(xs, columns, order), after)
        return after

    def _stepped(self, xs: Tensor, size: Tensor, kind: Kinds, domain: Domain, key: Key) -> Tensor:
        draw = key.fold("step").generator(xs.device)
        z = LAWS[self.visiting.law]((xs.shape[0], xs.shape[1]), draw, xs)
        length = size * domain.scale
        if domain.discrete:  # a step shorter than a cell would lead nowhere
            cell = (domain.upper - domain.lower) / domain.cells.clamp(min=1)
            length = torch.where(domain.cells > 0, length.maximum(cell), length)
        taken = _one_of(kind.numbers, len(xs), key.fold("number")) if self.visiting.single else kind.numbers
        moved = torch.where(taken, xs + length * z, xs)
        return domain.centre(domain.mirror(moved))

    def tell(self, state: AnnealingState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> AnnealingState:
        at, fine = found(state, xs, losses), settled(losses)
        tickets = torch.arange(state.asked - len(xs), state.asked) if tickets is None else tickets
        slots, rows = of_slots(tickets, fine, self.chains)
        old, new = state.losses[slots], fine[rows]
        up = new - old
        measured = up[(up > 0) & up.isfinite()]
        first, uphill, tried = state.first, state.uphill + float(measured.sum()), state.tried + len(measured)
        temperature = torch.zeros_like(old) if math.isnan(first) else first * state.cool[slots]
        accepted = new.isfinite() & (old.isinf() | (up <= temperature * state.luck[slots]))
        points, known, width, moves, cool, rate = (
            t.clone() for t in (state.points, state.losses, state.width, state.moves, state.cool, state.rate)
        )
        device = points.device
        proposed = xs[rows.to(device)]
        if self.visiting.adapts:
            ours = (state.question[slots] == tickets[rows]) & old.isfinite()
            push = torch.where(ours, 0.2 * (accepted.to(torch.float64) - _WANTED), 0.0).to(xs)[:, None]
            stepped = proposed != points[slots.to(device)]
            wide = (width[slots.to(device)] * torch.where(stepped, push, 0.0).exp()).clamp(1e-12, 1.0)
            width[slots.to(device)] = wide
        where = slots[accepted]
        points[where.to(device)] = proposed[accepted.to(device)]
        known[where] = new[accepted]
        if bool((tickets < 0).any()):
            worst, row = guests(tickets, fine, known)
            points[worst.to(device)] = xs[row.to(device)]
            known[worst] = fine[row]
        if math.isnan(first) and tried >= _TRIED:
            first = uphill / tried / math.log(2)
        if not math.isnan(first):
            self._cool(slots, accepted, moves, cool, rate, width)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, points=points,
            losses=known, moves=moves, cool=cool, width=width, rate=rate, first=first, uphill=uphill, tried=tried,
        )  # fmt: skip

    def _cool(self, slots: Tensor, accepted: Tensor, moves: Tensor, cool: Tensor, rate: Tensor, width: Tensor) -> None:
        """One move more for these chains (k,), in place."""
        d = width.shape[1]
        steps = self.steps or 100 * d + 1000
        memory = min(500, max(10, steps // 20))
        rate[slots] += (accepted.to(torch.float64) - rate[slots]) / memory
        made = (moves[slots] + 1) % steps
        moves[slots] = made
        made = made.to(torch.float64)
        cool[slots] = self.schedule(Clock(made / steps, made / d, cool[slots], rate[slots]))
        anew = slots[made == 0]
        cool[anew], rate[anew] = 1.0, _WANTED
        width[anew.to(width.device)] = self.visiting.width


def _one_of(columns: Tensor, n: int, key: Key) -> Tensor:
    """One of these columns (d,), any with the same chance, for each of n rows: (n, d) bool."""
    places = columns.nonzero()[:, 0]
    which = places[key.integers(0, len(places), n, 1).to(places.device)]
    return torch.zeros(n, len(columns), dtype=torch.bool, device=columns.device).scatter_(1, which, True)


ROWS: dict[str, Annealing] = {
    "classic": Annealing(),
    "adaptive": Annealing(schedule=Adaptive()),
    "boltzmann": Annealing(schedule=Logarithmic(), visiting=Visiting(power=0.5, single=False, adapts=False)),
    "cauchy": Annealing(visiting=Visiting("cauchy")),
    "fast": Annealing(schedule=Reciprocal(), visiting=Visiting("cauchy", power=1.0, single=False, adapts=False)),
}
"""Annealing as it is in the literature, by name."""
