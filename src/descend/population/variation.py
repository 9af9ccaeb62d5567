"""Crossover, mutation and selection as functions of whole populations, each row a pair of parents or a child.

Points are (n, d), inside of a domain before and after. Permutations are (n, m) int64, every row one of 0..m-1.
`key` is the only source of randomness.

- `simulated_binary`: Deb and Agrawal 1995, "Simulated binary crossover for continuous search space", in the
  bounded form of Deb's later work: the spread is cut off at the nearer side, and no probability is lost.
- `polynomial`: Deb and Goyal 1996, "A combined genetic adaptive search for engineering design", bounded likewise.
- `order`: Davis 1985, "Applying adaptive algorithms to epistatic domains".
- `edges`: Whitley, Starkweather and Fuquay 1989, "Scheduling problems and traveling salesmen".
"""

import math

import torch
from torch import Tensor

from descend.key import Key
from descend.space.domain import Domain

__all__ = [
    "edges",
    "gaussian",
    "inversion",
    "linear_ranks",
    "order",
    "points",
    "polynomial",
    "reset",
    "roulette",
    "simulated_binary",
    "swap",
    "tournament",
    "uniform",
]


# Crossover: two parents make two children


def simulated_binary(
    a: Tensor, b: Tensor, domain: Domain, key: Key, eta: float = 15.0, each: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Children (n, d) around their parents a, b (n, d): as far from each other as they are, on average.

    Args:
        eta: >= 0; the larger, the nearer to their parents.
        each: the probability of a coordinate to be crossed at all; the others are taken over.
    """
    draw = key.generator(a.device)
    u, crossed, turned = (torch.rand(a.shape, generator=draw, dtype=a.dtype, device=a.device) for _ in range(3))
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    gap = (high - low).clamp(min=1e-14)
    children = []
    for room, parent, sign in ((low - domain.lower, low, -1.0), (domain.upper - high, high, 1.0)):
        # the spread beyond which a child would lie outside has probability 1 - alpha / 2
        alpha = 2.0 - (1.0 + 2.0 * room / gap) ** -(eta + 1.0)
        below = u * alpha
        base = torch.where(u <= 1.0 / alpha, below, 1.0 / (2.0 - below))
        beta = base ** (1.0 / (eta + 1.0))
        middle = (low + high) / 2
        children.append(torch.where(high > low, middle + sign * beta * gap / 2, parent))
    near, far = children
    first = torch.where(turned < 0.5, near, far)
    second = torch.where(turned < 0.5, far, near)
    take = crossed < each
    return domain.clip(torch.where(take, first, a)), domain.clip(torch.where(take, second, b))


def uniform(a: Tensor, b: Tensor, key: Key, each: float = 0.5) -> tuple[Tensor, Tensor]:
    """Every coordinate of a, b (n, d) is exchanged with the probability `each`."""
    take = torch.rand(a.shape, generator=key.generator(a.device), device=a.device) < each
    return torch.where(take, b, a), torch.where(take, a, b)


def points(a: Tensor, b: Tensor, key: Key, n: int = 2) -> tuple[Tensor, Tensor]:
    """n-point crossover: a, b (n, d) are cut at n places, and every second piece is exchanged."""
    d = a.shape[1]
    cuts = torch.rand(len(a), max(1, d - 1), generator=key.generator(a.device), device=a.device).argsort(1)[:, :n] + 1
    parity = torch.zeros(len(a), d + 1, dtype=torch.int64, device=a.device)
    if d > 1:
        parity.scatter_(1, cuts, 1)
    take = parity.cumsum(1)[:, :d] % 2 == 1
    return torch.where(take, b, a), torch.where(take, a, b)


def order(a: Tensor, b: Tensor, key: Key) -> Tensor:
    """Order crossover of permutations (n, m): a stretch of a stays, the rest follows in b's order, from its end on."""
    n, m = a.shape
    draw = key.generator(a.device)
    first, length = (torch.randint(0, m, (n, 1), generator=draw, device=a.device) for _ in range(2))
    place = torch.arange(m, device=a.device)
    # places counted from the end of the stretch, so that the stretch is the last `length` of them
    turned = (place + first + length) % m
    mine, other = a.gather(1, turned), b.gather(1, turned)
    kept = place >= m - length
    held = torch.zeros(n, m, dtype=torch.bool, device=a.device).scatter_(1, mine, kept.expand(n, m))
    late = held.gather(1, other)  # those of b's that the stretch holds already go to the end, where it is written over
    rest = other.gather(1, late.to(torch.int8).argsort(dim=1, stable=True))
    child = torch.where(kept, mine, rest)
    return torch.empty_like(a).scatter_(1, turned, child)


def edges(a: Tensor, b: Tensor, key: Key) -> Tensor:
    """Edge recombination of permutations (n, m): a child uses edges of its parents wherever there is one left.

    The next is, of the neighbours in either parent, one with the fewest neighbours left, and a random one that is
    left where there is none.
    """
    n, m = a.shape
    rows = torch.arange(n, device=a.device)
    neighbours = torch.cat([_neighbours(a), _neighbours(b)], 2)  # (n, m, 4)
    draw = key.generator(a.device)
    free = torch.ones(n, m, dtype=torch.bool, device=a.device)
    child = torch.empty_like(a)
    at = a[:, 0]
    for k in range(m):
        child[:, k] = at
        free[rows, at] = False
        if k == m - 1:
            break
        luck = torch.rand(n, m, generator=draw, device=a.device)
        beside = neighbours[rows, at]  # (n, 4)
        left = free.gather(1, beside)
        count = free.gather(1, neighbours.gather(1, beside[:, :, None].expand(n, 4, 4)).flatten(1)).view(n, 4, 4).sum(2)
        score = torch.where(left, count + luck[:, :4], math.inf)
        fewest, which = score.min(1)
        anywhere = torch.where(free, luck, math.inf).argmin(1)
        at = torch.where(fewest.isfinite(), beside.gather(1, which[:, None])[:, 0], anywhere)
    return child


def _neighbours(tour: Tensor) -> Tensor:
    """The two neighbours (n, m, 2) of each number in permutations (n, m), which are closed."""
    sides = torch.stack([tour.roll(1, 1), tour.roll(-1, 1)], 2)
    return torch.empty_like(sides).scatter_(1, tour[:, :, None].expand_as(sides), sides)


# Mutation


def polynomial(xs: Tensor, domain: Domain, key: Key, eta: float = 20.0, each: float | None = None) -> Tensor:
    """xs (n, d), each coordinate moved with the probability `each`, default 1/d, and seldom far.

    Args:
        eta: >= 0; the larger, the nearer. Where a coordinate has no two sides its typical length is the unit.
    """
    draw = key.generator(xs.device)
    u, chance = (torch.rand(xs.shape, generator=draw, dtype=xs.dtype, device=xs.device) for _ in range(2))
    width = domain.upper - domain.lower
    sided = width.isfinite()
    width = torch.where(sided, width, domain.scale)
    below = torch.where(sided, (xs - domain.lower) / width, 1.0).clamp(0, 1)
    above = torch.where(sided, (domain.upper - xs) / width, 1.0).clamp(0, 1)
    power = eta + 1.0
    down = (2 * u + (1 - 2 * u) * (1 - below) ** power) ** (1 / power) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * (1 - above) ** power) ** (1 / power)
    moved = xs + torch.where(u < 0.5, down, up) * width
    return domain.clip(torch.where(chance < (1 / xs.shape[1] if each is None else each), moved, xs))


def gaussian(xs: Tensor, domain: Domain, key: Key, sigma: float = 0.1, each: float | None = None) -> Tensor:
    """xs (n, d), each coordinate moved with the probability `each`, default 1/d, by sigma typical lengths or so."""
    draw = key.generator(xs.device)
    chance = torch.rand(xs.shape, generator=draw, dtype=xs.dtype, device=xs.device)
    z = torch.randn(xs.shape, generator=draw, dtype=xs.dtype, device=xs.device)
    take = chance < (1 / xs.shape[1] if each is None else each)
    return domain.mirror(torch.where(take, xs + sigma * domain.scale * z, xs))


def reset(xs: Tensor, domain: Domain, key: Key, each: float | None = None) -> Tensor:
    """xs (n, d), each coordinate drawn anew with the probability `each`, default 1/d: for cells without an order."""
    chance = key.fold("chance").uniform(*xs.shape, like=xs)
    fresh = domain.uniform(len(xs), key, xs[0])
    return torch.where(chance < (1 / xs.shape[1] if each is None else each), fresh, xs)


def swap(tours: Tensor, key: Key) -> Tensor:
    """Permutations (n, m) with two places exchanged."""
    i, j = _two(tours, key)
    return tours.scatter(1, i, tours.gather(1, j)).scatter_(1, j, tours.gather(1, i))


def inversion(tours: Tensor, key: Key) -> Tensor:
    """Permutations (n, m) with a stretch turned round."""
    i, j = _two(tours, key)
    first, last = torch.minimum(i, j), torch.maximum(i, j)
    place = torch.arange(tours.shape[1], device=tours.device).expand_as(tours)
    inside = (place >= first) & (place <= last)
    return tours.gather(1, torch.where(inside, first + last - place, place))


def _two(tours: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Two places (n, 1) of each, different where there are two."""
    n, m = tours.shape
    draw = key.generator(tours.device)
    i = torch.randint(0, m, (n, 1), generator=draw, device=tours.device)
    further = torch.randint(0, max(1, m - 1), (n, 1), generator=draw, device=tours.device)
    return i, (i + 1 + further) % m


# Selection


def tournament(ranks: Tensor, n: int, key: Key, size: int = 2) -> Tensor:
    """The places (n,) int64 of n winners: each the best ranked of `size` that are drawn with replacement.

    Args:
        ranks: (p,), the lower the better.
    """
    drawn = torch.randint(0, len(ranks), (n, size), generator=key.generator(ranks.device), device=ranks.device)
    return drawn.gather(1, ranks[drawn].argmin(1, keepdim=True))[:, 0]


def roulette(weights: Tensor, n: int, key: Key) -> Tensor:
    """n places (n,) int64, drawn with replacement in proportion to weights (p,) >= 0."""
    return torch.multinomial(weights, n, replacement=True, generator=key.generator(weights.device))


def linear_ranks(ranks: Tensor, pressure: float = 1.8) -> Tensor:
    """Weights (p,) for `roulette` that fall linearly with the rank: the best has `pressure` times the mean.

    Args:
        ranks: (p,), 0 the best.
        pressure: in [1, 2].
    """
    p = len(ranks)
    return pressure - (2 * pressure - 2) * ranks.to(torch.float64) / max(1, p - 1)
