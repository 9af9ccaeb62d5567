"""The mixture against a reference that is written as its formula, SciPy and scikit-learn; and its draws against it."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import KernelDensity

from descend.model.modelled import Cube
from descend.model.parzen import Axes, Parzen
from descend.space.domain import Domain

AXES = Axes(np.array([0, 5, 3, 0, 2]), np.array([False, False, True, False, True]))
WIDTHS = np.array([0.12, 0.3, 0.4, 0.05, 0.7])


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def mixture(n=7, holes=True, axes=AXES, widths=WIDTHS, seed=1):
    generator = np.random.default_rng(seed)
    centres = axes.centre(generator.random((n, len(widths))))
    there = generator.random(centres.shape) < 0.6 if holes else None
    weights = generator.random(n + 1) + 0.1
    return Parzen(axes, centres, there, weights / weights.sum(), widths)


def kernel(x, c, s, k, named):
    """K(x | c) of one coordinate, relative to the uniform density."""
    if k == 0:
        return stats.truncnorm.pdf(x, (0 - c) / s, (1 - c) / s, c, s)
    middles = (np.arange(k) + 0.5) / k
    masses = np.where(middles == c, 1 - s + s / k, s / k) if named else np.exp(-0.5 * ((middles - c) / s) ** 2)
    return float(masses[np.argmin(abs(middles - x))] / masses.sum() * k)


def naive(mixture, xs, there):
    """The density (c,) with a loop over everything."""
    out = []
    for x, has in zip(xs, there, strict=True):
        total = mixture.weights[-1]
        for i, c in enumerate(mixture.centres):
            product = 1.0
            for j in range(len(x)):
                if has[j] and (mixture.there is None or mixture.there[i, j]):
                    k, named = int(mixture.axes.cells[j]), bool(mixture.axes.unordered[j])
                    product *= kernel(x[j], c[j], mixture.widths[j], k, named)
            total += mixture.weights[i] * product
        out.append(total)
    return np.array(out)


@pytest.mark.parametrize("holes", [False, True])
def test_the_density_is_the_formula(holes):
    p = mixture(holes=holes)
    xs, there = AXES.centre(drawn(40, 5)), drawn(40, 5, seed=2) < 0.7
    reference = naive(p, xs, there if holes else np.ones_like(there))
    np.testing.assert_allclose(np.exp(p.log_density(xs, there if holes else None)), reference, rtol=1e-11)
    if holes:  # nothing said of x means that it has all its coordinates
        np.testing.assert_allclose(np.exp(p.log_density(xs)), naive(p, xs, np.ones_like(there)), rtol=1e-11)


def test_the_density_integrates_to_one():
    p = mixture(holes=False)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    line = [
        ((nodes + 1) / 2, weights / 2) if k == 0 else ((np.arange(k) + 0.5) / k, np.full(k, 1 / k)) for k in AXES.cells
    ]
    grid = np.array(list(itertools.product(*(x for x, _ in line))))
    volume = np.prod(list(itertools.product(*(w for _, w in line))), axis=1)
    assert abs(float(np.exp(p.log_density(grid)) @ volume) - 1) < 1e-9


def test_the_density_of_a_conditional_space_integrates_to_one():
    """A choice of two, each with a coordinate of its own: the parts of the space have different dimensions."""
    axes = Axes(np.array([2, 0, 4]), np.array([True, False, False]))
    centres = axes.centre(drawn(6, 3))
    there = np.stack([np.ones(6, bool), centres[:, 0] < 0.5, centres[:, 0] > 0.5], 1)
    assert 0 < there[:, 1].sum() < 6
    p = Parzen(axes, centres, there, np.full(7, 1 / 7), np.array([0.3, 0.1, 0.2]))
    nodes, weights = np.polynomial.legendre.leggauss(80)
    first = np.stack([np.full(80, 0.25), (nodes + 1) / 2, np.full(80, 0.99)], 1)
    second = np.stack([np.full(4, 0.75), np.full(4, 0.01), (np.arange(4) + 0.5) / 4], 1)
    a = np.exp(p.log_density(first, np.tile([True, True, False], (80, 1)))) @ weights / 2 / 2
    b = np.exp(p.log_density(second, np.tile([True, False, True], (4, 1)))).mean() / 2
    assert abs(a + b - 1) < 1e-9


def test_far_from_the_sides_it_is_that_of_scikit_learn():
    axes, s = Axes(np.zeros(3, int), np.zeros(3, bool)), 0.02
    centres = 0.3 + 0.4 * drawn(50, 3)
    p = Parzen(axes, centres, None, np.append(np.full(50, 1 / 50), 0.0), np.full(3, s))
    xs = 0.3 + 0.4 * drawn(30, 3, seed=4)
    theirs = KernelDensity(bandwidth=s).fit(centres).score_samples(xs)
    np.testing.assert_allclose(p.log_density(xs), theirs, rtol=1e-9)


def test_it_is_finite_however_far_and_however_many_coordinates():
    for d, s in ((400, 1e-3), (2, 1e-6)):
        axes = Axes(np.zeros(d, int), np.zeros(d, bool))
        centres = 0.3 + 0.1 * drawn(5, d)
        p = Parzen(axes, centres, None, np.full(6, 1 / 6), np.full(d, s))
        at, away = p.log_density(centres[:1]), p.log_density(1 - centres[:1])
        peak = math.log(1 / 6) - d * math.log(s * math.sqrt(2 * math.pi))
        assert math.isclose(float(at[0]), peak, rel_tol=1e-6)
        assert math.isclose(float(away[0]), math.log(1 / 6), rel_tol=1e-9)


def test_with_no_centre_it_is_uniform():
    p = Parzen(AXES, np.zeros((0, 5)), None, np.ones(1), WIDTHS)
    u = drawn(8, 6)
    assert p.log_density(AXES.centre(u[:, 1:])).tolist() == [0.0] * 8
    assert np.array_equal(p.draw(u), AXES.centre(u[:, 1:]))


@pytest.mark.parametrize("j", range(5))
def test_draws_follow_the_density(j):
    """One coordinate at a time, from the same mixture with the others left out: Kolmogorov-Smirnov, or chi-squared."""
    axes = Axes(AXES.cells[[j]], AXES.unordered[[j]])
    p = mixture(n=4, holes=False, axes=axes, widths=WIDTHS[[j]], seed=j)
    n, k = 20_000, int(axes.cells[0])
    xs = p.draw(drawn(n, 2, seed=10 + j))
    if k:
        middles = (np.arange(k) + 0.5)[:, None] / k
        assert np.isin(xs, middles).all()
        expected = np.exp(p.log_density(middles)) / k * n
        assert stats.chisquare((xs == middles.T).sum(0), expected).pvalue > 0.01
    else:

        def below(x):
            c, s, w = p.centres[:, 0], p.widths[0], p.weights
            parts = stats.truncnorm.cdf(np.asarray(x)[:, None], -c / s, (1 - c) / s, c, s)
            return parts @ w[:-1] + w[-1] * np.asarray(x)

        assert stats.kstest(xs[:, 0], below).pvalue > 0.01


def test_draws_of_coordinates_depend_as_the_kernels_do():
    """Two kernels at opposite corners: both coordinates of a draw come from the same one."""
    axes = Axes(np.array([0, 2]), np.array([False, True]))
    p = Parzen(axes, np.array([[0.2, 0.25], [0.8, 0.75]]), None, np.array([0.5, 0.5, 0.0]), np.array([0.05, 0.01]))
    xs = p.draw(drawn(1000, 3))
    assert ((xs[:, 0] > 0.5) == (xs[:, 1] > 0.5)).mean() > 0.98


def test_a_coordinate_that_a_centre_has_not_is_drawn_evenly():
    axes = Axes(np.array([0, 0]), np.array([False, False]))
    there = np.array([[True, False]])
    p = Parzen(axes, np.array([[0.5, 0.5]]), there, np.array([1.0, 0.0]), np.array([0.01, 0.01]))
    xs = p.draw(drawn(5000, 3))
    assert xs[:, 0].std() < 0.02
    assert stats.kstest(xs[:, 1], "uniform").pvalue > 0.01


def test_very_many_ordered_cells_are_as_good_as_a_line():
    k, s = 10**9, np.array([0.1])
    line, cells = (Axes(np.array([count]), np.array([False])) for count in (0, k))
    c = np.array([[0.3], [0.95]])
    w, xs = np.full(3, 1 / 3), np.array([[0.25], [0.99]])
    a, b = (Parzen(axes, c, None, w, s).log_density(xs) for axes in (line, cells))
    np.testing.assert_allclose(a, b, rtol=1e-9)
    # and a few thousand, which are summed
    summed = Parzen(Axes(np.array([4000]), np.array([False])), c, None, w, s).log_density(xs)
    np.testing.assert_allclose(a, summed, rtol=1e-3)


def test_axes_are_those_of_the_cube():
    lower = torch.zeros(3, dtype=torch.float64)
    domain = Domain.box(lower, lower + 1, cells=torch.tensor([0, 4, 3]), unordered=torch.tensor([False, False, True]))
    axes = Axes.of(Cube(domain, lower + 0.5))
    assert (axes.cells.tolist(), axes.stepped, axes.named) == ([0, 4, 3], [1], [2])
    us = drawn(50, 3)
    us[:3] = [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    assert np.array_equal(axes.centre(us), Cube(domain, lower + 0.5).centre(torch.from_numpy(us)).numpy())
