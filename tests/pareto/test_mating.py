"""Crossover and mutation in NumPy beside the same ones in torch, which are tested beside pymoo's."""

import numpy as np
import torch

from descend.key import Key
from descend.pareto.mating import Mating, binary, polynomial
from descend.population import variation
from descend.space.domain import Domain

N = 50_000
LEVELS = [0.02, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.98]
LINE = torch.zeros(1, dtype=torch.float64)
U = (np.arange(N) + 0.5) / N


def full(value: float) -> np.ndarray:
    return np.full(N, value)


def test_crossover_has_the_distribution_of_the_one_in_torch() -> None:
    a, b = torch.full((N, 1), 0.2).double(), torch.full((N, 1), 0.45).double()
    theirs = torch.cat(variation.simulated_binary(a, b, Domain.box(LINE, LINE + 1), Key(0), 10.0, each=1.0))
    ours = np.concatenate(binary(full(0.2), full(0.45), full(0.0), full(1.0), U, 10.0))
    np.testing.assert_allclose(np.quantile(ours, LEVELS), np.quantile(theirs.numpy(), LEVELS), atol=2e-3)
    assert ours.min() >= 0
    assert ours.max() <= 1


def test_mutation_has_the_distribution_of_the_one_in_torch() -> None:
    for x, sides in ((0.1, (0.0, 1.0)), (0.9, (0.0, 1.0)), (0.3, (-np.inf, np.inf)), (0.3, (0.0, np.inf))):
        domain = Domain.box(LINE + sides[0], LINE + sides[1])
        theirs = variation.polynomial(torch.full((N, 1), x).double(), domain, Key(1), 5.0, each=1.0)
        ours = polynomial(full(x), full(sides[0]), full(sides[1]), full(1.0), U, 5.0).clip(*sides)
        np.testing.assert_allclose(np.quantile(ours, LEVELS), np.quantile(theirs.numpy(), LEVELS), atol=6e-3)


def test_children_are_changed_as_often_as_stated() -> None:
    d = 20
    domain = Domain.box(torch.zeros(d).double(), torch.ones(d).double())
    xs = Key(0).uniform(1000, d, like=LINE)
    places = torch.arange(1000).numpy()
    half = places[:500], places[500:]
    crossed = Mating(chance=0.8, each=1e-12).cross(xs, *half, domain, Key(1))
    assert abs(float((crossed != xs).double().mean()) - 0.8 * 0.5) < 0.02
    assert abs(float((crossed != xs).any(1).double().mean()) - 0.8) < 0.04
    mutated = Mating(chance=0.0).cross(xs, *half, domain, Key(1))
    assert abs(float((mutated != xs).double().mean()) - 1 / d) < 0.005
    torch.testing.assert_close(crossed[:500] + crossed[500:], xs[:500] + xs[500:], atol=0.3, rtol=0)


def test_better_ranked_parents_have_more_children() -> None:
    domain = Domain.box(torch.zeros(1).double(), torch.ones(1).double())
    xs = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None]
    children = Mating(chance=0.0, each=1e-12).children(xs, torch.arange(100), domain, 4000, Key(0))
    count = torch.bincount((children[:, 0] * 99).round().long(), minlength=100)
    # everybody is in 80 tournaments of two; the best wins all of his, the worst none
    assert int(count[0]) == 80
    assert int(count[-1]) == 0
    assert abs(float((count * torch.arange(100)).sum() / 4000) - 33) < 1
