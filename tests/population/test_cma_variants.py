"""What CMA-ES does beside the plain thing: discrete coordinates, noise, adaptive learning rates, large dimensions."""

import math
from collections.abc import Callable

import cmaes
import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.population.cma import CMAES, CMAState
from descend.population.cma_update import begin
from descend.population.covariance import Covariance, Full, Separable
from descend.population.limited_memory import LimitedMemory
from descend.population.margin import keep_alive, read
from descend.population.restricted import Restricted
from descend.population.uncertainty import Uncertainty
from descend.space.domain import Domain
from descend.tree import from_plain, same, to_plain

DOUBLE = torch.float64


def integers(d: int, cells: list[int], width: float = 1.0) -> Domain:
    """Coordinate i has cells[i] values 0, width, 2 width, ...; those with 0 cells are in [-5, 5]."""
    k = torch.tensor(cells)
    low = torch.where(k > 0, torch.full((d,), -width / 2, dtype=DOUBLE), -5.0)
    return Domain.box(low, torch.where(k > 0, low + width * k, 5.0), cells=k)


def run(method: CMAES, f: Callable[[Tensor], Tensor], state: CMAState, most: int, target: float) -> CMAState:
    while state.asked < most and not state.value <= target:
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs))
    return state


def test_the_margin_is_that_of_cmaes() -> None:
    """The mean and the stretch after a correction, against CMAwM on the same distribution."""
    generator = np.random.default_rng(5)
    cells = [2, 7, 0, 7, 3, 11]
    domain = integers(6, cells)
    for _ in range(40):
        start = domain.uniform(1, Key(int(generator.integers(10**6))), torch.zeros(6, dtype=DOUBLE))[0]
        sigma = float(np.exp(generator.normal() - 1))
        covariance = np.diag(np.exp(generator.normal(size=6)))
        stretch = np.where(np.array(cells) > 0, np.exp(generator.normal(size=6) / 3), 1.0)
        bounds = np.array([[0.0, k - 1.0] if k else [-5.0, 5.0] for k in cells])
        steps = np.array([1.0 if k else 0.0 for k in cells])
        middle = bounds.mean(1) + 0.1
        other = cmaes.CMAwM(middle, sigma, bounds, steps, cov=covariance.copy(), population_size=9)
        other._cma._mean, other._A = start.numpy().copy(), stretch.copy()
        other._cma.tell = lambda solutions: None  # the correction alone
        other.tell([])
        gauss = begin(start, sigma, torch.ones(6, dtype=DOUBLE), Full(), torch.from_numpy(covariance))
        deviations = torch.from_numpy(np.sqrt(np.diag(covariance)))
        mean, ours = keep_alive(gauss, deviations, domain, torch.from_numpy(stretch), 1 / (6 * 9))
        np.testing.assert_allclose(mean.numpy(), other._cma._mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.numpy(), other._A, rtol=1e-5)


def test_the_margin_keeps_neighbours_likely() -> None:
    """However small the steps: a neighbouring value is drawn with the promised probability."""
    domain = integers(3, [9, 9, 2])
    start = torch.tensor([4.1, 0.0, 1.0], dtype=DOUBLE)
    gauss = begin(start, 1e-6, torch.ones(3, dtype=DOUBLE), Full())
    least = 0.04
    mean, stretch = keep_alive(gauss, torch.ones(3, dtype=DOUBLE), domain, torch.ones(3, dtype=DOUBLE), least)
    spread = (stretch * 1e-6).numpy()
    assert norm.cdf((3.5 - mean[0]) / spread[0]) == pytest.approx(least / 2, rel=1e-3)
    assert norm.sf((4.5 - mean[0]) / spread[0]) == pytest.approx(least / 2, rel=1e-3)
    assert norm.sf((0.5 - mean[1]) / spread[1]) == pytest.approx(least, rel=1e-3)
    assert norm.cdf((0.5 - mean[2]) / spread[2]) == pytest.approx(least, rel=1e-3)
    moved = begin(mean, 1e-6, torch.ones(3, dtype=DOUBLE), Full())
    z = Key(0).normal(20000, 3, like=start)
    shown = read(moved, domain, stretch, mean + 1e-6 * z)
    assert torch.equal(shown, domain.centre(shown))
    others = (shown != shown.mode(0).values).double().mean(0)
    torch.testing.assert_close(others, torch.full((3,), least, dtype=DOUBLE), atol=0.006, rtol=0)


@pytest.mark.parametrize("covariance", ["full", "separable"])
def test_integers_are_found_and_stay_alive(covariance: str) -> None:
    """An ellipsoid of 3 reals, 4 integers and 2 bits, whose minimum is far from the start."""
    cells = [0, 0, 0, 21, 21, 21, 21, 2, 2]
    domain = integers(9, cells)
    target = torch.tensor([1.2, -3.3, 0.4, 17, 3, 11, 20, 1, 0], dtype=DOUBLE)
    weights = 10.0 ** torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 0], dtype=DOUBLE)

    def f(xs: Tensor) -> Tensor:
        assert torch.equal(xs, domain.centre(xs))
        assert bool(domain.contains(xs).all())
        return (weights * (xs - target) ** 2).sum(1)

    method = CMAES(covariance=covariance)
    for key in range(3):
        start = domain.centre(torch.full((9,), 0.9, dtype=DOUBLE))
        state = run(method, f, method.init(start, Key(key), domain), 12000, 1e-9)
        assert state.value < 1e-9
        assert torch.equal(state.x[3:], target[3:])


def test_a_discrete_run_resumes_bit_for_bit() -> None:
    domain, method = integers(3, [9, 0, 4]), CMAES()
    state = method.init(torch.tensor([4.0, 0.0, 1.0], dtype=DOUBLE), Key(1), domain)
    f = lambda xs: (xs - 2.2).square().sum(1)  # noqa: E731
    state, xs = method.ask(state)
    state = method.tell(state, xs[2:5], f(xs[2:5]), torch.tensor([2, 3, 4]))
    other = from_plain(to_plain(state))
    state = method.tell(state, xs[:2], f(xs[:2]), torch.tensor([0, 1]))
    other = method.tell(other, xs[:2], f(xs[:2]), torch.tensor([0, 1]))
    assert same(run(method, f, state, 200, -1.0), run(method, f, other, 200, -1.0))


def noisy(level: float) -> Callable[[Tensor], Tensor]:
    calls = [0]

    def f(xs: Tensor) -> Tensor:
        calls[0] += 1
        return (xs * xs).sum(1) * (1 + level * Key(calls[0]).fold("noise").normal(len(xs), like=xs))

    return f


def test_ranks_under_noise_are_measured() -> None:
    """s is negative without noise, and positive where the second losses have nothing to do with the first."""
    rule, key = Uncertainty(), Key(3)
    like = torch.zeros(0, dtype=DOUBLE)
    old = key.normal(20, like=like).numpy()
    twice = np.arange(20) < 10
    quiet, ranks = rule.measured(old, old, twice)
    assert quiet < 0
    assert list(np.argsort(ranks)) == list(np.argsort(old))
    new = np.where(twice, key.fold("new").normal(20, like=like).numpy(), old)
    loud, _ = rule.measured(old, new, twice)
    slight, _ = rule.measured(old, old + 1e-9 * new, twice)
    assert loud > 0 > slight
    assert rule.factor(5, loud) == 1 + 2 / 15
    assert rule.factor(5, quiet) == 1


def test_the_measure_is_that_of_the_paper() -> None:
    """Algorithm 1 read again, slowly, with ranks counted one by one."""
    key, like, theta, n = Key(5), torch.zeros(0, dtype=DOUBLE), 0.2, 12
    for trial in range(20):
        old = key.fold("old", trial).normal(n, like=like).numpy()
        twice = np.arange(n) % 3 == 0
        new = np.where(twice, old + 0.3 * key.fold("new", trial).normal(n, like=like).numpy(), old)
        both = [(v, i) for i, v in enumerate([*old, *new])]
        rank = [1 + sum(other < mine for other in both) for mine in both]
        s = 0.0
        for i in np.flatnonzero(twice):
            a, b = rank[i], rank[n + i]
            change = b - a - np.sign(b - a)
            limits = [
                np.percentile([abs(k - r) for k in range(1, 2 * n)], 50 * theta) for r in (b - (b > a), a - (a > b))
            ]
            s += (2 * abs(change) - sum(limits)) / twice.sum()
        assert Uncertainty().measured(old, new, twice)[0] == pytest.approx(s)


def test_points_are_asked_twice_and_steps_stay_long() -> None:
    method, plain = CMAES(noise=Uncertainty()), CMAES()
    x = torch.full((5,), 3.0, dtype=DOUBLE)
    state = method.init(x, Key(0))
    assert method.batch(state) == 10  # 8 and 2 again
    state, xs = method.ask(state)
    assert torch.equal(xs[8:], xs[:2])
    one = method.init(x, Key(0))
    rows = []
    for _ in range(10):
        one, point = method.ask(one, 1)
        rows.append(point)
    assert torch.equal(torch.cat(rows), xs)  # the same stream one at a time
    ends = []
    for each in (method, plain):
        state, f = each.init(x, Key(0)), noisy(1.5)
        for _ in range(250):
            state, xs = each.ask(state)
            state = each.tell(state, xs, f(xs))
        ends.append(state)
    assert ends[0].gauss.sigma > 3 * ends[1].gauss.sigma or float((ends[0].x ** 2).sum()) < 1e-6
    assert math.isnan(ends[0].value)
    assert torch.equal(ends[0].x, ends[0].gauss.mean)
    with pytest.raises(CompositionError, match="luckiest"):
        CMAES(noise=Uncertainty(), elitist=True)
    for wrong in ({"share": 0.0}, {"tolerance": 2.0}, {"growth": 0.5}):
        with pytest.raises(InvalidValue, match=next(iter(wrong))):
            Uncertainty(**wrong)


def test_adaptive_rates_go_on_where_noise_stops_default_ones() -> None:
    """Additive noise of deviation 1 on a sphere: Nomura et al. 2023, section 5."""
    key = Key(11)

    def f(xs: Tensor) -> Tensor:
        return (xs * xs).sum(1) + key.fold(int(xs[0, 0].view(torch.int64))).normal(len(xs), like=xs)

    distances = []
    for method in (CMAES(sigma=1.0, lr_adapt=True), CMAES(sigma=1.0)):
        states = [
            run(method, f, method.init(torch.full((4,), 3.0, dtype=DOUBLE), Key(k)), 2500, -99.0) for k in range(3)
        ]
        assert not any("stagnation" in state.done for state in states[: method.lr_adapt * 3])
        distances.append(sorted(float(state.gauss.mean.norm()) for state in states)[1])
    assert distances[0] < 0.6 * distances[1]


@pytest.mark.parametrize(
    "family", [Full(), Separable(), Restricted(3), LimitedMemory(6)], ids=lambda f: type(f).__name__
)
def test_what_is_drawn_can_be_undone(family: Covariance) -> None:
    """Also for points that were never drawn; and the deviations are those of the drawn steps."""
    d = 12
    method = CMAES(covariance=family)
    state = method.init(torch.full((d,), 1.0, dtype=DOUBLE), Key(0))
    weights = 10.0 ** torch.linspace(0, 3, d, dtype=DOUBLE)
    state = run(method, lambda xs: (weights * xs * xs).sum(1), state, 1500, -1.0)
    held = state.gauss.held
    z = Key(1).normal(4000, d, like=state.x)
    y = family.draw(held, z)
    torch.testing.assert_close(family.whiten(held, y), z, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(family.draw(held, family.whiten(held, z)), z, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(y.std(0), family.deviations(held), rtol=0.6, atol=0)
    least, most = family.axes(held)
    assert 0 < least < most


def test_a_few_directions_learn_what_one_does_not() -> None:
    """A cigar in 50 dimensions, whose one long axis has to be found among the others."""
    d = 50
    f = lambda xs: xs[:, 0] ** 2 + 1e4 * (xs[:, 1:] ** 2).sum(1)  # noqa: E731
    values = []
    for family in (LimitedMemory(), LimitedMemory(1)):
        method = CMAES(covariance=family, sigma=0.5)
        state = method.init(torch.full((d,), 1.0, dtype=DOUBLE), Key(0))
        values.append(run(method, f, state, 9000, 1e-6).value)
    assert values[0] < 0.4 * values[1]
    with pytest.raises(InvalidValue, match="directions=0"):
        LimitedMemory(0)


def test_separable_learns_axes_faster() -> None:
    """The separable ellipsoid in 20 dimensions takes the diagonal a fraction of what it takes the matrix."""
    d = 20
    weights = 10.0 ** (6 * torch.arange(d, dtype=DOUBLE) / (d - 1))
    taken = []
    for covariance in ("separable", "full"):
        method = CMAES(covariance=covariance)
        state = method.init(torch.full((d,), 1.5, dtype=DOUBLE), Key(0))
        taken.append(run(method, lambda xs: (weights * xs * xs).sum(1), state, 9000, 1e-6).asked)
    assert taken[0] < 0.6 * taken[1]
