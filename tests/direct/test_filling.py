import io
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import qmc

from descend.direct import Grid, Halton, LatinHypercube, Sobol, Uniform
from descend.direct.filling import _permutations, _primes
from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.space.domain import Domain, Rule
from descend.tree import from_plain, to_plain

METHODS = (Uniform(), LatinHypercube(), Sobol(), Halton())


def cube(d, dtype=torch.float64):
    return Domain.box(torch.zeros(d, dtype=dtype), torch.ones(d, dtype=dtype))


def points(method, n, d, key=0, domain=None):
    x = torch.full((d,), 0.5, dtype=torch.float64)
    return method.ask(method.init(x, Key(key), cube(d) if domain is None else domain), n)[1]


def discrepancy(method, n, d):
    """The mean over keys of the centred L2 discrepancy."""
    return np.mean([qmc.discrepancy(points(method, n, d, key).numpy()) for key in range(10)])


@pytest.mark.parametrize("d", [2, 6])
def test_sequences_are_as_even_as_scipys(d):
    n = 256
    theirs = {
        kind: np.mean([qmc.discrepancy(kind(d, seed=seed).random(n)) for seed in range(10)])
        for kind in (qmc.Sobol, qmc.Halton, qmc.LatinHypercube)
    }
    assert discrepancy(Sobol(), n, d) < 1.2 * theirs[qmc.Sobol]
    assert discrepancy(Halton(), n, d) < 1.2 * theirs[qmc.Halton]
    assert discrepancy(LatinHypercube(n), n, d) < 1.1 * theirs[qmc.LatinHypercube]
    random = discrepancy(Uniform(), n, d)
    assert discrepancy(Sobol(), n, d) < discrepancy(LatinHypercube(n), n, d) < random


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_coordinate_is_uniform(method):
    """Over many keys the first point is uniform: a scrambled sequence begins anywhere."""
    first = torch.cat([points(method, 1, 3, key) for key in range(400)])
    for column in first.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    correlations = np.corrcoef(first.T.numpy())
    assert np.abs(correlations - np.eye(3)).max() < 4.5 / math.sqrt(400)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_next_points_are_the_same_however_they_are_asked_for(method):
    x = torch.full((3,), 0.5, dtype=torch.float64)
    together = method.ask(method.init(x, Key(5), cube(3)), 70)[1]
    state, parts = method.init(x, Key(5), cube(3)), []
    for n in (1, 0, 30, 2, 32, 5):
        state, xs = method.ask(state, n)
        parts.append(xs)
    assert torch.equal(torch.cat(parts), together)
    assert len(torch.unique(together, dim=0)) == 70
    assert not torch.equal(points(method, 70, 3, key=6), together)


def test_the_first_points_of_sobol_and_halton_are_nets():
    for key in range(5):
        xs = points(Sobol(4), 64, 2, key)
        for k in range(7):  # every box of 2^-k by 2^-(6 - k) holds one of the 64
            boxes = (xs[:, 0] * 2**k).floor() * 2 ** (6 - k) + (xs[:, 1] * 2 ** (6 - k)).floor()
            assert boxes.sort().values.tolist() == list(range(64))
        xs = points(Halton(7), 36, 2, key)
        boxes = (xs[:, 0] * 4).floor() * 9 + (xs[:, 1] * 9).floor()
        assert boxes.sort().values.tolist() == list(range(36))


def test_halton_without_permutations_is_van_der_corputs(monkeypatch):
    _permutations.cache_clear()
    monkeypatch.setattr(Key, "permutation", lambda self, n: torch.arange(n))
    ours = points(Halton(), 100, 5)
    _permutations.cache_clear()
    theirs = qmc.Halton(5, scramble=False).random(100)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-15)


def test_latin_hypercubes_follow_each_other():
    xs = points(LatinHypercube(7), 21, 4)
    for block in xs.split(7):
        assert (block * 7).floor().sort(0).values.T.tolist() == [list(range(7))] * 4
    assert not torch.equal(xs[:7], xs[7:14])


def test_primes():
    for n in (1, 5, 26, 1000):
        primes = _primes(n)
        assert len(primes) == n
        assert all(all(p % q for q in range(2, math.isqrt(p) + 1)) for p in primes)
    assert _primes(1000)[-1] == 7919


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_where_a_side_is_missing_points_are_normal_about_the_start(method):
    inf = math.inf
    low, high = (
        torch.tensor([-inf, 3.0, 10.0], dtype=torch.float64),
        torch.tensor([inf, inf, 20.0], dtype=torch.float64),
    )
    domain = Domain.box(low, high, torch.tensor([2.0, 1.0, 10.0], dtype=torch.float64))
    x = torch.tensor([-7.0, 3.0, 12.0], dtype=torch.float64)
    xs = method.ask(method.init(x, Key(1), domain), 512)[1].numpy()
    assert stats.kstest(xs[:, 0], "norm", (-7, 2)).pvalue > 1e-3
    assert stats.kstest(xs[:, 1] - 3, "halfnorm").pvalue > 1e-3
    assert stats.kstest(xs[:, 2], "uniform", (10, 10)).pvalue > 1e-3
    assert np.isfinite(xs).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_cells_come_equally_often(method):
    domain = Domain.box(
        torch.zeros(2, dtype=torch.float64), torch.tensor([3.0, 7.0], dtype=torch.float64), cells=torch.tensor([3, 7])
    )
    xs = points(method, 2100, 2, domain=domain)
    for i, k in enumerate((3, 7)):
        counts = domain.index(xs)[:, i].bincount(minlength=k)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3
        assert torch.equal(xs[:, i], xs[:, i].floor() + 0.5)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_single_precision_stays_inside(method):
    low = torch.tensor([10.0, 1e6])
    domain = Domain.box(low, low + torch.tensor([10.0, 1.0]))
    xs = method.ask(method.init(low, Key(0), domain), 2000)[1]
    assert xs.dtype == torch.float32
    assert bool(domain.contains(xs).all())


def test_answers_are_remembered_by_their_tickets_or_without():
    method = Sobol()
    state = method.init(torch.zeros(2, dtype=torch.float64), Key(0), cube(2))
    state, xs = method.ask(state, 8)
    state = method.tell(state, xs[5:], xs[5:].sum(1), torch.tensor([5, 6, 7]))
    state = method.tell(state, xs[:5].flip(0), xs[:5].flip(0).sum(1), torch.arange(5).flip(0))
    assert state.value == float(xs.sum(1).min())
    assert torch.equal(state.x, xs[int(xs.sum(1).argmin())])
    state = method.tell(state, xs[:2], torch.full((2,), math.nan, dtype=torch.float64))
    assert state.rejected == 1


def test_a_grid_is_every_combination_once():
    domain = Domain.box(
        torch.tensor([0.0, 10.0, -1.0], dtype=torch.float64),
        torch.tensor([1.0, 20.0, 1.0], dtype=torch.float64),
        cells=torch.tensor([0, 4, 0]),
    )
    method = Grid((3, 99, 1), size=5)
    state, asked = method.init(torch.tensor([0.1, 11.0, 0.0], dtype=torch.float64), Key(0), domain), []
    sizes = []
    while not state.done:
        state, xs = method.ask(state)
        sizes.append(len(xs))
        asked += xs.tolist()
        state = method.tell(state, xs, xs.sum(1))
    assert sizes == [5, 5, 2]
    assert asked == [[a, b, 0.0] for a in (0.0, 0.5, 1.0) for b in (11.25, 13.75, 16.25, 18.75)]
    assert state.done == "all 12 points of the grid are evaluated"
    assert len(method.ask(state)[1]) == 0


def test_a_grid_is_done_when_it_is_answered():
    method = Grid(2)
    state = method.init(torch.zeros(2, dtype=torch.float64), Key(0), cube(2))
    state, xs = method.ask(state)
    state, nothing = method.ask(state)
    assert (len(xs), len(nothing), state.done) == (4, 0, "")
    for i in (2, 0, 3):
        state = method.tell(state, xs[[i]], xs[[i]].sum(1), torch.tensor([i]))
        assert not state.done
    state = method.tell(state, xs[[0]], xs[[0]].sum(1), torch.tensor([-1]))  # nobody asked for that
    assert not state.done
    assert method.tell(state, xs[[1]], xs[[1]].sum(1), torch.tensor([1])).done


def test_a_grid_too_large_to_finish_can_be_begun():
    method, domain = Grid(10), cube(40)
    state = method.init(torch.zeros(40, dtype=torch.float64), Key(0), domain)
    state, xs = method.ask(state, 1000)
    assert xs[:, :37].count_nonzero() == 0
    assert len(xs.unique(dim=0)) == 1000
    assert not method.tell(state, xs, xs.sum(1)).done


def test_wrong_numbers_are_refused_in_a_sentence():
    for kind in (Uniform, LatinHypercube, Sobol, Halton, Grid):
        with pytest.raises(InvalidValue, match=f"size >= 1, got 0; write {kind.__name__}"):
            kind(size=0)
    with pytest.raises(InvalidValue, match="power of two, got 24"):
        Sobol(24)
    with pytest.raises(InvalidValue, match="at most 21201 coordinates, got 30000"):
        Sobol().init(torch.zeros(30000), Key(0))
    with pytest.raises(InvalidValue, match="steps >= 1, got 0"):
        Grid(0)
    with pytest.raises(InvalidValue, match=r"steps >= 1, got 2\.5"):
        Grid((3, 2.5))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeMismatch, match="3 numbers of steps for 2 coordinates"):
        Grid((3, 3, 3)).init(torch.zeros(2), Key(0), cube(2))
    with pytest.raises(InvalidValue, match=r"x\[0\] lies in \[-inf, inf\]; give bounds"):
        Grid().init(torch.zeros(2), Key(0))


def conditional():
    """A choice of three, the second of which has two more coordinates, of which the first has one more; and a float."""
    f = lambda *numbers: torch.tensor(numbers, dtype=torch.float64)  # noqa: E731
    third = f([1 / 3, 2 / 3])
    rules = (Rule(1, 3, 3, third.reshape(1, 2)), Rule(0, 1, 1, f([0.5, math.inf]).reshape(1, 2)))
    lower = f(0, 0, 0, 0, 0)
    return Domain.box(lower, lower + 1, cells=torch.tensor([2, 2, 0, 3, 0]), rules=rules)


def test_a_grid_over_a_conditional_space_has_every_point_once():
    domain, method = conditional(), Grid(3, size=4)
    start = domain.centre(torch.full((5,), 0.5, dtype=torch.float64))
    state, rows, turns = method.init(start, Key(0), domain), [], 0
    while not state.done:
        state, xs = method.ask(state)
        rows.append(xs)
        state = method.tell(state, xs, xs.sum(1))
        assert (turns := turns + 1) < 20
    asked = torch.cat(rows)
    # the reference: all combinations, what is not there set to one value, and doubles left out
    places = [(0.25, 0.75), (0.25, 0.75), (0.0, 0.5, 1.0), (1 / 6, 0.5, 5 / 6), (0.0, 0.5, 1.0)]
    every = torch.tensor(list(itertools.product(*places)), dtype=torch.float64)
    every = torch.where(domain.active(every), domain.centre(every), start).unique(dim=0)
    assert len(every) == 2 * 3 + 3 * 3 + 2 * 3 * 3
    assert torch.equal(asked.unique(dim=0), every)
    assert (len(asked), state.done) == (len(every), "all 33 points of the grid are evaluated")
    assert asked[:, 3].diff().min() >= 0  # what others depend on changes most slowly


def test_a_grid_goes_on_where_it_stood():
    domain, method = conditional(), Grid(2)
    x = domain.centre(torch.full((5,), 0.5, dtype=torch.float64))
    _, whole = method.ask(method.init(x, Key(0), domain), 99)
    for cut in range(len(whole) + 1):
        state, first = method.ask(method.init(x, Key(0), domain), cut)
        file = io.BytesIO()
        torch.save(to_plain(state), file)
        file.seek(0)
        _, second = method.ask(from_plain(torch.load(file, weights_only=True)), 99)
        assert torch.equal(torch.cat([first, second]), whole)
