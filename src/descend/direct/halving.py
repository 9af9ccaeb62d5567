"""Successive halving: many points get a small budget, the best third of them three times as much, and so on.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar (2020), "A system for massively parallel
hyperparameter tuning" (ASHA, algorithm 2): a point goes on as soon as it is among the best 1/eta of those that have
been as far, so nobody waits for anybody. Brackets that begin with larger budgets, for losses whose order changes late,
are those of Hyperband: Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018), algorithm 1, s = levels - 1 - bottom.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from descend.direct.filling import Uniform
from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, asks_for_values, check_point, whole
from descend.population.shaping import order, settled
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["HalvingState", "SuccessiveHalving"]

_LEVELS = 4


@state
class HalvingState(Searching):
    """Where the race stands: the fields of `Search`, x being the best of those with the largest budget so far.

    Fields: proposals, the state of the method that proposes; ladder (k,), the budgets; places (n, d - 1), what it
    proposed; bottom (n,), the level at which each began; level (n,), the one for which each was last asked; answers
    (n, k) float64, the losses at the levels, NaN where there is none yet; questions (asked, 2), the place and the level
    of each; reached, the level of x, -1 at first; spent, the sum of all budgets asked for.
    """

    proposals: Any
    ladder: Tensor
    places: Tensor
    bottom: Tensor
    level: Tensor
    answers: Tensor
    questions: Tensor
    reached: int
    spent: float


@dataclass(frozen=True)
class SuccessiveHalving(AskTell[HalvingState]):
    """A race over budgets: one coordinate of the point is the budget, in epochs, examples, seconds or cells of a mesh.

    Give f a parameter for its budget, between the least that tells anything and the most that you would ever spend; the
    loss of more budget counts more than that of less.

    Args:
        proposals: the method that proposes the other coordinates, and is told the first loss of each; default
            `Uniform()`.
        eta: a whole number >= 2: one of eta goes on to the next level, default 3.
        levels: how many budgets there are, at least 2. If the coordinate's lower side is positive they are upper,
            upper / eta, ..., by default as many as there is room for; else the coordinate is taken to be logarithmic
            itself, as ``Int(1, 81, log=True)`` of a space is encoded, and the levels are evenly spaced, by default 4.
        brackets: at least 1, at how many levels points may begin; default 1, only at the lowest.
        coordinate: which one is the budget, default the last.
        size: at least 1, how many points are asked at once by default; default 27.

    Raises:
        InvalidValue: a number outside its range; or, at the start, a budget without two sides or with too few levels.
        CompositionError: at the start, there is no other coordinate.

    >>> method, x = SuccessiveHalving(), torch.tensor([0.5, 81.0])
    >>> domain = Domain.box(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 81.0]))
    >>> state = method.init(x, Key(0), domain)
    >>> state.ladder.tolist()
    [1.0, 3.0, 9.0, 27.0, 81.0]
    >>> state, xs = method.ask(state, 9)
    >>> state = method.tell(state, xs, (xs[:, 0] - 0.3).abs().double())
    >>> state, xs = method.ask(state, 4)
    >>> xs[:, 1].tolist()
    [3.0, 3.0, 3.0, 1.0]
    """

    proposals: AskTell[Any] = field(default_factory=Uniform)
    eta: int = 3
    levels: int | None = None
    brackets: int = 1
    coordinate: int = -1
    size: int = 27

    def __post_init__(self) -> None:
        asks_for_values(self, "proposals", self.proposals)
        whole(self, "eta", self.eta, 2, 3)
        if self.levels is not None:
            whole(self, "levels", self.levels, 2, 4)
        whole(self, "brackets", self.brackets, 1, 1)
        whole(self, "size", self.size, 1, 27)
        if type(self.coordinate) is not int:
            raise InvalidValue(f"SuccessiveHalving needs the number of a coordinate, got {self.coordinate!r}; write -1")

    @property
    def recommends(self) -> bool:
        """A loss with less budget may be lower and mean less."""
        return True

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> HalvingState:
        domain, d = check_point(x, domain), x.numel()
        if not -d <= self.coordinate < d or d < 2:
            raise CompositionError(
                f"SuccessiveHalving needs a point with a budget, coordinate {self.coordinate}, and at least one "
                f"coordinate more, got {d} in all; give f a parameter for its budget"
            )
        ladder = self._ladder(domain)
        others = self._others(d)
        proposals = self.proposals.init(x[others], key.fold("proposals"), _part(domain, others))
        none = torch.zeros(0, dtype=torch.int64)
        return HalvingState(
            x, math.nan, math.nan, 0, 0, 0, key, domain, "", proposals, ladder, x.new_zeros(0, d - 1), none, none,
            torch.zeros(0, len(ladder), dtype=torch.float64), none.reshape(0, 2), -1, 0.0,
        )  # fmt: skip

    def ask(self, state: HalvingState, n: int | None = None) -> tuple[HalvingState, Tensor]:
        n = self.size if n is None else n
        rising = self._rising(state)[:n]
        if len(rising) < n:
            state, new = self._begin(state, n - len(rising))
        else:
            new = state.level[:0]
        places = torch.cat((torch.tensor(rising, dtype=torch.int64), new))
        level = state.level.clone()
        level[rising] += 1
        budgets = state.ladder[level[places]]
        xs = self._joined(state.places[places.to(state.places.device)], budgets)
        state = replace(
            state,
            asked=state.asked + len(places),
            level=level,
            questions=torch.cat((state.questions, torch.stack((places, level[places]), 1))),
            spent=state.spent + float(budgets.sum()),
        )
        return state, xs

    def tell(self, state: HalvingState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> HalvingState:
        if tickets is None:
            tickets = torch.arange(state.asked - len(xs), state.asked)
        losses = settled(losses)
        known = tickets >= 0
        place, level = state.questions[tickets[known]].T
        answers = state.answers.clone()
        answers[place, level] = losses[known]
        first = level == state.bottom[place]
        proposals = state.proposals
        if bool(first.any()):
            told = place[first]
            chosen = state.places[told.to(xs.device)]
            proposals = self.proposals.tell(proposals, chosen, losses[known][first], told)
        state = replace(state, proposals=proposals, answers=answers, t=state.t + 1)
        pending = int(answers.gather(1, state.level[:, None]).isnan().sum()) if len(answers) else 0
        exhausted = proposals.done and not pending and not self._rising(state)
        return replace(self._best(state, xs, losses), done=proposals.done if exhausted else "")

    def _best(self, state: HalvingState, xs: Tensor, losses: Tensor) -> HalvingState:
        """What the answers (n,) at xs (n, d) say about the best point: the largest budget first, then the loss."""
        least = float(losses.min())
        if least == math.inf:
            return replace(state, loss=math.nan, rejected=state.rejected + 1)
        levels = torch.searchsorted(state.ladder, xs[:, self.coordinate].contiguous(), right=True).cpu() - 1
        levels[losses == math.inf] = -1
        x, value, reached = state.x, state.value, state.reached
        top = int(levels.max())
        at_top = torch.where(levels == top, losses, math.inf)
        if top > reached or (top == reached and float(at_top.min()) < value):
            best = int(at_top.argmin())
            x, value, reached = xs[best].clone(), float(losses[best]), top
        return replace(state, x=x, value=value, reached=reached, loss=least)

    def _begin(self, state: HalvingState, n: int) -> tuple[HalvingState, Tensor]:
        """Up to n new points, and their numbers."""
        proposals, places = self.proposals.ask(state.proposals, n)
        began = len(state.bottom)
        bottom = torch.cat((state.bottom, self._bottoms(state, began + len(places))[began:]))
        answers = state.answers.new_full((len(places), len(state.ladder)), math.nan)
        state = replace(
            state,
            proposals=proposals,
            places=torch.cat((state.places, places)),
            bottom=bottom,
            level=torch.cat((state.level, bottom[began:])),
            answers=torch.cat((state.answers, answers)),
        )
        return state, torch.arange(began, began + len(places))

    def _bottoms(self, state: HalvingState, n: int) -> Tensor:
        """The levels (n,) at which the first n points begin, in Hyperband's proportions at every time."""
        k = len(state.ladder)
        brackets = min(self.brackets, k)
        # algorithm 1 begins eta^s / (s + 1) points in its bracket s
        shares = torch.tensor([self.eta ** (k - 1 - b) / (k - b) for b in range(brackets)], dtype=torch.float64)
        turns = (torch.arange(1, n + 1)[:, None] / shares).reshape(-1)  # bracket b's i-th point is due at i / share
        return turns.argsort(stable=True)[:n] % brackets

    def _rising(self, state: HalvingState) -> list[int]:
        """The points that go on now, the farthest first (algorithm 2, get_job)."""
        rising = []
        for level in range(len(state.ladder) - 2, -1, -1):
            for bottom in range(min(self.brackets, level + 1)):
                here = ((state.bottom == bottom) & ~state.answers[:, level].isnan()).nonzero()[:, 0]
                losses = state.answers[here, level]
                best = here[order(losses)[: len(here) // self.eta]]
                waiting = (state.level[best] == level) & state.answers[best, level].isfinite()
                rising += best[waiting].tolist()
        return rising

    def _ladder(self, domain: Domain) -> Tensor:
        low, high = float(domain.lower[self.coordinate]), float(domain.upper[self.coordinate])
        if not math.isfinite(high - low):
            raise InvalidValue(f"a budget needs two sides, and x[{self.coordinate}] lies in [{low:g}, {high:g}]")
        if low > 0:
            room = 1 + math.floor(math.log(high / low) / math.log(self.eta) + 1e-9)
            levels = self.levels or room
            if not 2 <= levels <= room:
                raise InvalidValue(
                    f"between {low:g} and {high:g} there is room for {room} budgets, each {self.eta} times the one "
                    f"before, and SuccessiveHalving needs {max(2, levels)}; write a smaller eta or wider sides"
                )
            ladder = [high / self.eta ** (levels - 1 - k) for k in range(levels)]
        else:
            levels = self.levels or _LEVELS
            ladder = [low + (high - low) * k / (levels - 1) for k in range(levels)]
        budgets = domain.lower.repeat(levels, 1)
        budgets[:, self.coordinate] = torch.tensor(ladder).to(budgets)
        return domain.centre(domain.clip(budgets))[:, self.coordinate].contiguous()

    def _others(self, d: int) -> list[int]:
        return [i for i in range(d) if i != self.coordinate % d]

    def _joined(self, places: Tensor, budgets: Tensor) -> Tensor:
        """Points (n, d) of the other coordinates (n, d - 1) and budgets (n,)."""
        i = self.coordinate % (places.shape[1] + 1)
        return torch.cat((places[:, :i], budgets[:, None], places[:, i:]), 1)


def _part(domain: Domain, of: list[int]) -> Domain:
    """The domain of some coordinates."""
    return Domain.box(domain.lower[of], domain.upper[of], domain.scale[of], domain.cells[of], domain.unordered[of])
