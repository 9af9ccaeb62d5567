"""What the methods share that search with a normal distribution: where it begins, its samples, and what ranks weigh.

A sample is x = m + A z with z standard normal; its point is what the domain makes of it: mirrored at the sides and
moved to the middle of its cell. A method learns from the z that were drawn and not from where the points came to lie:
it minimizes the objective continued beyond the sides by reflection, which is as smooth as within. (Learning from the
mirrored points was tried: one reflected coordinate looks like a huge deviation to a narrow rotated distribution, and
the shape of XNES degenerates on an ellipsoid in a box.) Points of other origins are welcome, as
z = A^-1 (x - m).

Utilities: Wierstra, Schaul, Glasmachers, Sun, Peters, Schmidhuber (2014), "Natural evolution strategies", section 3.1.
"""

import math
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Found, Searching, found, whole
from descend.population.shaping import settled
from descend.space.domain import Domain
from descend.tree import state

__all__ = [
    "Cloud",
    "Sampler",
    "check_popsize",
    "check_spread",
    "collapsed",
    "drawn",
    "first_spread",
    "fold_",
    "kept",
    "limited",
    "mirrored",
    "mirrored_noise",
    "pairs_of",
    "put",
    "repaired",
    "shared_by_rank",
    "shortened",
    "spread_limits",
    "unmoved",
    "utilities",
]


@state
class Cloud(Searching):
    """What the states of the methods that sample around a mean have in common.

    Fields: those of `Search`; mean (d,), the middle of the distribution, inside the domain; noise, the normal numbers
    behind the last points asked, or memory for the next ones; fresh, how many of the last points they are for, 0 when
    answers have come since; inner (m, d), the last points asked as they were before the domain moved them, or None.
    """

    mean: Tensor
    noise: Tensor | None
    fresh: int
    inner: Tensor | None


C = TypeVar("C", bound=Cloud)


class Sampler(AskTell[C]):
    """Base of these methods: under noise they recommend the mean of the distribution."""

    noisy: bool

    @property
    def recommends(self) -> bool:
        return self.noisy

    def concluded(self, state: C, xs: Tensor, losses: Tensor, mean: Tensor) -> Found:
        """What answers (n, d), (n,) say: the best point so far or, where losses are noisy, never the luckiest one but
        the mean (d,), and the mean of these losses."""
        at = found(state, xs, losses)
        if not self.noisy:
            return at
        fine = losses[losses.isfinite()]
        return Found(mean, math.nan, float(fine.mean()) if len(fine) else math.nan, at.rejected)


def first_spread(domain: Domain, sigma: float | None) -> Tensor:
    """The first standard deviations (d,): sigma typical lengths; default 0.2 of them between two sides, else 0.3."""
    if sigma is not None:
        return domain.scale * sigma
    return domain.scale * torch.where((domain.upper - domain.lower).isfinite(), 0.2, 0.3)


def spread_limits(domain: Domain) -> Tensor:
    """The least and the largest standard deviation (2, d) of each coordinate.

    At most half the width, or 1e12 typical lengths: wider than that, what is folded into the box is uniform wherever
    the mean is, so that no step has a reason and the spread drifts to ever larger ones. At least 1e-30 typical lengths;
    for a discrete coordinate, what keeps it from never leaving its cell again: with k of them in the middle of their
    cells, about one leaves its own in every second sample, so that the last steps are neighbours and not copies.
    """
    width = domain.upper - domain.lower
    least, most = domain.scale * 1e-30, torch.where(width.isfinite(), width / 2, domain.scale * 1e12)
    if domain.discrete:
        discrete = domain.cells > 0
        half = width / (2 * domain.cells.clamp(min=1))
        chance = 0.5 / float(discrete.sum())
        quantile = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - chance, dtype=torch.float64)))
        least = torch.where(discrete, half / quantile, least)
    return torch.stack((least, most))


def limited(sigma: float, spread: Tensor, limits: Tensor) -> tuple[float, Tensor | None, Tensor]:
    """How standard deviations (d,), sigma times a shape, come to lie between limits (2, d).

    Returns:
        The new sigma; factors (d,) of the shape, None where nothing changes; and the standard deviations then. What
        the factors have in common is in sigma, lest it grows for ever while the shape becomes ever smaller.
    """
    within = spread.clamp(*limits)
    if torch.equal(within, spread):
        return sigma, None, spread
    factors = within / spread
    common = factors.log().mean().exp()
    return sigma * float(common), factors / common, within


def drawn(key: Key, memory: Tensor | None, n: int, like: Tensor) -> Tensor:
    """Normal numbers (n, d) for points like `like` (d,), written to this memory where it has the right size."""
    d = like.numel()
    fits = memory is not None and memory.shape == (n, d)
    z = memory if fits else like.new_empty(n, d)
    assert z is not None
    return z.normal_(generator=key.generator(like.device))


def mirrored(state: Cloud, n: int, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Normal numbers z (ceil(n / 2), d), and the samples mean + sigma z, then mean - sigma z: (n, d) in all."""
    z = drawn(state.key.fold("ask", state.asked), state.noise, (n + 1) // 2, state.mean)
    xs, half = state.mean.new_empty(n, state.mean.numel()), len(z)
    torch.addcmul(state.mean, sigma, z, out=xs[:half])
    torch.addcmul(state.mean, sigma, z[: n - half], value=-1, out=xs[half:])
    return z, xs


def mirrored_noise(state: Cloud, n: int) -> Tensor:
    """Normal numbers (n, d) of which the second half are those of the first with the other sign."""
    d, half = state.mean.numel(), (n + 1) // 2
    fits = state.noise is not None and state.noise.shape == (n, d)
    z = state.noise if fits else state.mean.new_empty(n, d)
    assert z is not None
    z[:half].normal_(generator=state.key.fold("ask", state.asked).generator(z.device))
    torch.neg(z[: n - half], out=z[half:])
    return z


def pairs_of(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (n,) of mirrored samples as those of z: of what is odd in it, w+ - w-, and of what is even, w+ + w-."""
    plus, minus = weights[: (len(weights) + 1) // 2], weights[(len(weights) + 1) // 2 :]
    if len(minus) < len(plus):
        minus = torch.cat((minus, minus.new_zeros(1)))
    return plus - minus, plus + minus


def repaired(domain: Domain, xs: Tensor) -> Tensor:
    """Mirrored, and in the middle of cells; xs (n, d) itself where nothing had to be moved."""
    if domain.bounded and len(xs):
        # two reductions cost a quarter of comparing every number with its sides
        low, high = xs.amin(0), xs.amax(0)
        if not bool(((low >= domain.lower) & (high <= domain.upper)).all()):
            width = domain.upper - domain.lower
            once = bool(((low >= domain.lower - width) & (high <= domain.upper + width)).all())
            xs = fold_(xs.clone(), domain) if once else domain.mirror(xs)
    return domain.centre(xs)


def fold_(xs: Tensor, domain: Domain) -> Tensor:
    """xs (n, d) reflected at the sides once, in place; what is then still outside is moved to the nearest side.

    That is `Domain.mirror` for points that are not more than a width away, in a fifth of its time.
    """
    if not domain.bounded:
        return xs
    torch.maximum(xs, 2 * domain.lower - xs, out=xs)
    torch.minimum(xs, 2 * domain.upper - xs, out=xs)
    return xs.clamp_(domain.lower, domain.upper)


def put(state: C, z: Tensor, xs: Tensor, generation: int) -> tuple[C, Tensor]:
    """The state after the samples xs (n, d), made of z, were asked, and the points that they mean."""
    points, n, inner = repaired(state.domain, xs), len(xs), None
    moved = points is not xs
    if n >= generation:
        inner = xs if moved else None
    elif state.domain.bounded or state.domain.discrete:  # asked a few at a time: those before are still out
        before = xs[:0] if state.inner is None else state.inner[-generation:]
        inner = torch.cat((before, xs))
    return replace(state, asked=state.asked + n, noise=z, fresh=n, inner=inner), points


def kept(state: Cloud, n: int, tickets: Tensor | None) -> bool:
    """Whether the noise behind n answers is at hand: they are those to the last questions, in their order."""
    if n != state.fresh:
        return False
    return tickets is None or bool((tickets == torch.arange(state.asked - n, state.asked)).all())


def unmoved(state: Cloud, xs: Tensor, tickets: Tensor | None) -> Tensor:
    """The samples (n, d) that points xs stand for: as they were drawn if they were moved and are remembered."""
    if state.inner is None:
        return xs
    tickets = torch.arange(state.asked - len(xs), state.asked) if tickets is None else tickets
    place = tickets - (state.asked - len(state.inner))
    known = ((place >= 0) & (place < len(state.inner))).nonzero()[:, 0]
    xs = xs.clone()
    xs[known] = state.inner[place[known]]
    return xs


def shortened(state: Cloud, z: Tensor, tickets: Tensor | None) -> Tensor:
    """Deviations z (n, d); those that are late, or were never asked for, as far as they can be believed.

    Nothing drawn is longer than sqrt(d) + 2 d / (d + 2) but for luck. What somebody else found is shortened to that:
    Hansen (2011), "Injecting external solutions into CMA-ES". For late answers it is not enough: they lie far out
    since the distribution has moved on or become smaller, are mostly the worst, and shrink it until it has collapsed
    far from any minimum, or overflows. They count as if they were drawn now: from their own normal numbers where they
    were asked one at a time, else from others, which say nothing. Answers to the last questions are believed as they
    are.
    """
    if tickets is None:
        return z
    d, length = z.shape[1], torch.linalg.vector_norm(z, dim=1)
    most = math.sqrt(d) + 2 * d / (d + 2)
    far = ~(length <= most) & (tickets.to(z.device) < state.asked - state.fresh)
    if not bool(far.any()):
        return z
    fine = length.isfinite()  # too far for numbers, there is no direction
    z = torch.where(far[:, None], z.where(fine[:, None], 0.0) * (most / length.where(fine, 1.0))[:, None], z)
    for i in far.nonzero()[:, 0].tolist():
        if (ticket := int(tickets[i])) >= 0:
            z[i] = drawn(state.key.fold("ask", ticket), None, 1, state.mean)[0]
    return z


@lru_cache(maxsize=64)
def utilities(n: int) -> Tensor:
    """What ranks 1, ..., n weigh (n,) float64: max(0, log(n / 2 + 1) - log rank) over their sum, less 1 / n.

    >>> utilities(4)
    tensor([ 0.4804,  0.0196, -0.2500, -0.2500], dtype=torch.float64)
    """
    raw = (math.log(n / 2 + 1) - torch.arange(1, n + 1, dtype=torch.float64).log()).clamp(min=0)
    return raw / raw.sum() - 1 / n


def shared_by_rank(weights: Tensor, losses: Tensor) -> Tensor:
    """The weight (n,) of each answer by the rank of its loss; equal losses, and failures, share theirs.

    >>> shared_by_rank(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([5.0, 4.0, 5.0]))
    tensor([1.5000, 3.0000, 1.5000])
    """
    _, place, count = settled(losses).unique(return_inverse=True, return_counts=True)
    if len(count) == len(losses):
        return weights[place]
    total = torch.cat((weights.new_zeros(1), weights.cumsum(0)))
    last = count.cumsum(0)
    return ((total[last] - total[last - count]) / count)[place]


def collapsed(mean: Tensor, sigma: Tensor, scale: Tensor) -> str:
    """Why a distribution has nothing more to ask: no sample would differ from the mean (d,) by more than rounding."""
    least = torch.finfo(mean.dtype).eps * (mean.abs() + 1e-3 * scale)
    return "no sample differs from the mean any more" if bool((sigma <= least).all()) else ""


def check_popsize(owner: object, popsize: int | None, least: int = 2) -> None:
    """Refuse a number of points in a generation that is no whole number >= least; None stands for the default."""
    if popsize is not None:
        whole(owner, "popsize", popsize, least, max(20, least))


def check_spread(owner: object, sigma: float | None) -> None:
    """Refuse a first standard deviation that is no finite number > 0; None stands for the default."""
    number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
    if sigma is not None and (not number or not 0 < sigma < math.inf):
        kind = type(owner).__name__
        raise InvalidValue(
            f"{kind} needs a finite sigma > 0, in typical lengths of the domain, got {sigma!r}; write {kind}(sigma=0.2)"
        )
