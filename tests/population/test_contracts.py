"""Every method that asks and is told keeps the contract, and solves a shifted bowl within its budget."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descend import direct, population
from descend.direct import (
    CoordinateSearch,
    Halton,
    LatinHypercube,
    NelderMead,
    PatternSearch,
    Powell,
    RotatingCoordinates,
    Sobol,
    Uniform,
)
from descend.oracle import Function
from descend.population import (
    CMAES,
    CRFMNES,
    PGPE,
    SNES,
    XNES,
    AskTell,
    AugmentedLagrangian,
    CrossEntropy,
    DifferentialEvolution,
    EstimationOfDistribution,
    OnePlusOne,
    OpenAIES,
    ParticleSwarm,
    Racing,
    Restarts,
)
from descend.run import Evaluations, Target, minimize
from descend.space import Constraint
from descend.testing import search
from descend.testing.objectives import shifted_sphere

HOLDS = Constraint(lambda x: -1.0)

METHODS: dict[str, AskTell[Any]] = {
    "CMAES": CMAES(),
    "CMAES separable": CMAES(covariance="separable"),
    "CMAES restricted": CMAES(covariance="restricted"),
    "CMAES elitist": CMAES(elitist=True),
    "CMAES learning rates": CMAES(lr_adapt=True),
    "Restarts": Restarts(CMAES()),
    "Racing": Racing(CMAES()),
    "AugmentedLagrangian": AugmentedLagrangian(CMAES(), (HOLDS,)),
    "OnePlusOne": OnePlusOne(),
    "XNES": XNES(),
    "SNES": SNES(),
    "PGPE": PGPE(),
    "OpenAIES": OpenAIES(),
    "CRFMNES": CRFMNES(),
    "CrossEntropy": CrossEntropy(),
    "EstimationOfDistribution": EstimationOfDistribution(),
    "DifferentialEvolution": DifferentialEvolution(),
    "ParticleSwarm": ParticleSwarm(),
    "NelderMead": NelderMead(),
    "PatternSearch": PatternSearch(),
    "Powell": Powell(),
    "RotatingCoordinates": RotatingCoordinates(),
    "CoordinateSearch": CoordinateSearch(),
    "Uniform": Uniform(),
    "LatinHypercube": LatinHypercube(),
    "Sobol": Sobol(),
    "Halton": Halton(),
}
COMPARES = [
    "CMAES",
    "CMAES separable",
    "CMAES restricted",
    "OnePlusOne",
    "XNES",
    "SNES",
    "CrossEntropy",
    "ParticleSwarm",
    "NelderMead",
]

# Evaluations for a shifted, uneven bowl in [10, 20]^5, to a millionth of the start: about twice what key 0 takes.
BUDGETS = {
    "CMAES": 900, "CMAES separable": 900, "CMAES restricted": 900, "CMAES elitist": 900, "CMAES learning rates": 4500,
    "Restarts": 1100, "Racing": 1100, "OnePlusOne": 600, "XNES": 2400, "SNES": 1600, "PGPE": 4500, "CRFMNES": 900,
    "CrossEntropy": 12_000, "DifferentialEvolution": 2400, "ParticleSwarm": 5000, "NelderMead": 600,
    "PatternSearch": 800, "Powell": 200, "RotatingCoordinates": 400, "CoordinateSearch": 200,
}  # fmt: skip

# A space of its own kind: permutations, a budget as a coordinate, finitely many points, residuals. Tried elsewhere.
ELSEWHERE = {"LocalSearch", "SuccessiveHalving", "Grid", "EnsembleKalman", "Genetic", "Annealing", "Tabu"}


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps(name: str, contract: Callable[..., None]) -> None:
    contract(METHODS[name])


@pytest.mark.parametrize("name", COMPARES)
def test_it_only_compares(name: str) -> None:
    search.looks_at_ranks_only(METHODS[name])


@pytest.mark.parametrize("name", BUDGETS)
def test_it_solves_a_shifted_bowl_within_its_budget(name: str) -> None:
    start = torch.tensor([20.0, 10.0, 20.0, 10.0, 20.0], dtype=torch.float64)
    goal = 1e-6 * float(shifted_sphere(start))
    rule = Evaluations(BUDGETS[name]) | Target(goal)
    result = minimize(Function(shifted_sphere), start, method=METHODS[name], bounds=(10, 20), until=rule, key=1)
    assert result.fun <= goal


def test_every_public_method_is_tried() -> None:
    public = [getattr(room, name) for room in (population, direct) for name in room.__all__]
    methods = {kind.__name__ for kind in public if isinstance(kind, type) and issubclass(kind, AskTell)}
    tried = {type(method).__name__ for method in METHODS.values()} | ELSEWHERE | {"AskTell"}
    assert methods <= tried


def test_chance_alone_does_not_meet_a_budget() -> None:
    """The check of budgets can fail: uniform points do not come near."""
    start = torch.full((5,), 20.0, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        return shifted_sphere(x)

    result = minimize(Function(f), start, method=Uniform(), bounds=(10, 20), until=Evaluations(5000), key=1)
    assert result.fun > 1e-6 * float(f(start))
