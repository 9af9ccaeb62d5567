"""Particles fly on, drawn to the best place each has found and to the best its neighbours have found.

    v <- w v + c1 r1 (p - x) + c2 r2 (g - x),    x <- x + v        (1)

Kennedy, Eberhart (1995), "Particle swarm optimization"; w: Shi, Eberhart (1998); the default constants are the
constriction of Clerc, Kennedy (2002), "The particle swarm: explosion, stability, and convergence":
chi = 0.7298 and chi * 2.05. Topologies: Kennedy, Mendes (2002), "Population structure and particle swarm performance".
Symbols: x = `position`, v = `velocity`, p = `own`, g = rows of `own` by `neighbours`, r1, r2 uniform on [0, 1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, positive
from descend.population.sampling import check_popsize, fold_
from descend.population.shaping import settled
from descend.population.slots import guests, of_slots, seat
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["TOPOLOGIES", "ParticleSwarm", "SwarmState", "everybody", "ring", "von_neumann"]

BLOCK = 2**16
"""Numbers that are moved at a time: the few temporaries of a block stay in the cache of a core."""


def everybody(n: int) -> Tensor:
    """Who hears of whom (n, k) int64: everybody of everybody, given as one row (1, n) for all."""
    return torch.arange(n)[None]


def ring(n: int) -> Tensor:
    """Each of itself and of the one on either side: (n, 3).

    >>> ring(4).tolist()
    [[0, 3, 1], [1, 0, 2], [2, 1, 3], [3, 2, 0]]
    """
    i = torch.arange(n)
    return torch.stack((i, (i - 1) % n, (i + 1) % n), 1)


def von_neumann(n: int) -> Tensor:
    """Each of itself and of its four neighbours on a torus as square as n allows: (n, 5)."""
    i = torch.arange(n)
    width = max(1, math.isqrt(n))
    return torch.stack((i, (i - 1) % n, (i + 1) % n, (i - width) % n, (i + width) % n), 1)


TOPOLOGIES = {"global": everybody, "ring": ring, "von-neumann": von_neumann}


@state
class SwarmState(Searching):
    """The particles.

    Fields: those of `Search`; position, velocity (n, d); own (n, d), the best point of each; losses (n,) float64 on
    the CPU, theirs, +inf where unknown.
    """

    position: Tensor
    velocity: Tensor
    own: Tensor
    losses: Tensor


@dataclass(frozen=True)
class ParticleSwarm(AskTell[SwarmState]):
    """Particle swarm optimization.

    Args:
        popsize: n >= 2 particles; default 40.
        topology: who hears of whom: "global", everybody of everybody, quick; "ring", slower and harder to
            trap; "von-neumann" (default), between the two; or a function from n to an (n, k) table of neighbours.
        inertia: w >= 0, default 0.7298.
        own, social: c1, c2 > 0, default 1.49618.

    The first positions are the start and uniform points of the domain, at rest half way to another one. A particle is
    reflected at a side, and its velocity with it, at half its speed. Velocities are never longer than half a width.

    Raises:
        InvalidValue: a number outside its range, an unknown topology.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: x.abs().sum() + x.abs().prod()
    >>> minimize(f, torch.full((4,), 3.0), method=ParticleSwarm(), until=Evaluations(8000), key=0).fun < 1e-4
    True
    """

    popsize: int | None = None
    topology: str | Callable[[int], Tensor] = "von-neumann"
    inertia: float = 0.7298
    own: float = 1.49618
    social: float = 1.49618

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize)
        positive(self, "inertia", self.inertia, 0.7298)
        positive(self, "own", self.own, 1.49618)
        positive(self, "social", self.social, 1.49618)
        if not callable(self.topology) and self.topology not in TOPOLOGIES:
            raise InvalidValue(f"there is no topology {self.topology!r}; write one of {', '.join(TOPOLOGIES)}")

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> SwarmState:
        domain, nan, n = check_point(x, domain), math.nan, self.popsize or 40
        position = domain.uniform(n, key.fold("first"), x)
        position[0] = x
        # (u - x) / 2 as in the standard PSO of 2007
        velocity = (domain.uniform(n, key.fold("velocity"), x) - position) / 2
        losses = torch.full((n,), math.inf, dtype=torch.float64)
        return SwarmState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", position, velocity, position.clone(), losses
        )

    def batch(self, state: SwarmState) -> int:
        return state.losses.shape[0]

    def ask(self, state: SwarmState, n: int | None = None) -> tuple[SwarmState, Tensor]:
        size = state.losses.shape[0]
        n = size if n is None else n
        answers = []
        first = state.asked
        while first < state.asked + n:  # in stretches within which no particle comes twice
            last = min(state.asked + n, first + size - first % size)
            if first >= size:  # the first positions are asked as they are
                self._fly(state, first % size, last - first)
            answers.append(state.position[first % size : first % size + last - first])
            first = last
        xs = answers[0].clone() if len(answers) == 1 else torch.cat([state.position[:0], *answers])
        return replace(state, asked=state.asked + n), state.domain.centre(xs)

    def _fly(self, state: SwarmState, first: int, n: int) -> None:
        """Move the particles first, first + 1, ..., n of them, in place: equation (1)."""
        leaders = self._leaders(state).to(state.own.device)
        xs, vs, own = (t[first : first + n] for t in (state.position, state.velocity, state.own))
        domain, rows = state.domain, max(1, BLOCK // xs.shape[1])
        most = (domain.upper - domain.lower) / 2
        generator = state.key.fold("ask", state.asked, first).generator(xs.device)
        chance, towards = xs.new_empty(2, min(rows, n), xs.shape[1])
        for i in range(0, n, rows):
            x, v, p = xs[i : i + rows], vs[i : i + rows], own[i : i + rows]
            r, away = chance[: len(x)], towards[: len(x)]
            v.mul_(self.inertia)
            torch.sub(p, x, out=away)
            v.addcmul_(r.uniform_(0, self.own, generator=generator), away)
            # one leader for all needs no copies of it
            if len(leaders) == 1:
                torch.sub(state.own[leaders], x, out=away)
            else:
                torch.index_select(state.own, 0, leaders[first + i : first + i + len(x)], out=away).sub_(x)
            v.addcmul_(r.uniform_(0, self.social, generator=generator), away)
            if domain.bounded:
                v.clamp_(-most, most)
            x.add_(v)
            if domain.bounded:
                outside = torch.ne(x.clamp(domain.lower, domain.upper), x, out=away)
                v.addcmul_(v, outside, value=-1.5)  # back at half the speed
                fold_(x, domain)

    def _leaders(self, state: SwarmState) -> Tensor:
        """The neighbour (n,) with the best place, for each; or (1,), one for all."""
        table = (self.topology if callable(self.topology) else TOPOLOGIES[self.topology])(state.losses.shape[0])
        return table.gather(1, state.losses[table].argmin(1, keepdim=True))[:, 0]

    def tell(self, state: SwarmState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> SwarmState:
        at, fine = found(state, xs, losses), settled(losses)
        tickets = torch.arange(state.asked - len(xs), state.asked) if tickets is None else tickets
        slots, rows = of_slots(tickets, fine, state.losses.shape[0])
        better = fine[rows] < state.losses[slots]
        seat(state.own, state.losses, slots[better], xs, rows[better], fine)
        if bool((tickets < 0).any()):
            worst, new = guests(tickets, fine, state.losses)
            seat(state.own, state.losses, worst, xs, new, fine)
        state = replace(state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1)
        return _ended(state)


def _ended(state: SwarmState) -> SwarmState:
    """Done if all particles rest at one point."""
    if float(state.losses.max()) > float(state.losses.min()):
        return state
    together = bool((state.own == state.own[0]).all() and (state.position == state.own).all())
    return replace(state, done="all particles rest at the same point") if together else state
