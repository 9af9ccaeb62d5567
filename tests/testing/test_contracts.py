"""Every part that descend exports keeps the contracts of the kit, by being listed."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import descend as dd
from descend import estimate, step, transform
from descend.estimate.base import Estimator
from descend.oracle import Closure, Differentiable, Function, Module, Oracle, Residuals
from descend.oracle.bounded import Bounded
from descend.oracle.wrap import Averaged, Cached, Clipped, Negated, Penalized
from descend.step import Fixed, Step, StrongWolfe
from descend.testing import estimator as of_estimators
from descend.testing import method as of_methods
from descend.testing import oracle as of_oracles
from descend.testing import step as of_steps
from descend.testing import transform as of_transforms
from descend.testing.objectives import ellipsoid, wavy
from descend.testing.parts import curvatures, estimators, steps, transforms
from descend.transform import Transform

# What stands in an __all__ and is no part to be tried: bases, laws, tables, and functions over parts.
NO_PARTS = {
    "estimate": {
        *("Estimator", "Lifted", "Coupling", "RandomLaw", "STENCILS", "Stencil", "stencil"),
        *("Gains", "GainStep", "calibrate", "noise_level", "hutchinson_diagonal", "Magnitude", "SHAPINGS", "span"),
        *("ByExample", "PerExample"),
    },
    "transform": {"At", "Beta", "NewtonSchulz", "Transform", "as_adam", "averaged", "polar", "spectral"}
    | {"WindowAdam"},
    "step": {"Moved", "Step"},
}

ESTIMATORS, TRANSFORMS, STEPS = estimators(6), transforms(8), steps()


def _heads(parts: dict[str, Any]) -> set[str]:
    return {name.split()[0] for name in parts}


@pytest.mark.parametrize(
    ("room", "parts"),
    [(estimate, ESTIMATORS | curvatures()), (transform, TRANSFORMS), (step, STEPS)],
    ids=["estimate", "transform", "step"],
)
def test_every_exported_part_has_an_example(room: Any, parts: dict[str, Any]) -> None:
    name = room.__name__.removeprefix("descend.")
    assert _heads(parts) == set(room.__all__) - NO_PARTS[name]
    kinds = (Estimator, Transform, Step)
    for other in NO_PARTS[name]:
        thing = getattr(room, other)
        assert not (inspect.isclass(thing) and issubclass(thing, kinds) and not inspect.isabstract(thing)) or other in (
            "Estimator",
            "GainStep",
            "ByExample",  # these need a batch, and the keys of an optimizer
            "PerExample",
            "WindowAdam",
        ), f"{other} is a part; give it an example in descend.testing.parts"


def _name(contract: Any) -> str:
    return contract if isinstance(contract, str) else contract.__name__


# Estimators


@pytest.mark.parametrize("contract", of_estimators.CONTRACTS, ids=_name)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_keeps(name: str, contract: Callable[[Estimator], None]) -> None:
    contract(ESTIMATORS[name])


BIASED = {
    "EGGROLL": "measures losses in units of their own spread",
    "Guided halfway": "trusts its surrogate",
    "RandomCoordinates cyclic": "is right over a cycle",
}


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in BIASED])
def test_the_mean_is_the_gradient(name: str) -> None:
    of_estimators.right_mean(ESTIMATORS[name], bias=2e-3)


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("law", ["sign", "normal", "uniform", "sphere"])
def test_the_second_moment_is_that_of_theory(law: str, samples: int) -> None:
    d, n = 6, samples
    m = estimate.RandomLaw(law).second_moment(d)
    exact = {"sign": d, "normal": d + 2, "uniform": d - 1 + 9 / 5, "sphere": d}[law]
    assert m == pytest.approx(exact, rel=0 if law == "sign" else 0.02)  # the normal law has a fourth moment of 2.92
    of_estimators.right_second_moment(dd.RandomDirections(law, samples=n), 1 + (m - 1) / n, draws=1500)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("law", ["sign", "normal", "uniform", "sphere"])
def test_the_second_moment_is_that_of_theory_within_five_percent(law: str, samples: int) -> None:
    factor = 1 + (estimate.RandomLaw(law).second_moment(6) - 1) / samples
    draws = 20_000 if (law, samples) == ("normal", 1) else 8_000
    of_estimators.right_second_moment(dd.RandomDirections(law, samples=samples), factor, draws=draws)
    of_estimators.right_second_moment(dd.ForwardGradient(samples, law), factor, draws=draws)


@pytest.mark.parametrize("samples", [2, 6])
def test_orthogonal_directions_have_less_variance(samples: int) -> None:
    of_estimators.right_second_moment(dd.SPSA(samples=samples, coupling="orthogonal"), 6 / samples, draws=1000)


@pytest.mark.parametrize(
    ("part", "evaluations"),
    [
        (dd.FiniteDifference(), 12),
        (dd.FiniteDifference("forward"), 7),
        (dd.FiniteDifference("central4"), 24),
        (dd.SPSA(), 2),
        (dd.SPSA(samples=5, formula="forward"), 6),
        (dd.SPSA(samples=5, formula="forward", baseline="leave-one-out"), 5),
        (dd.MeZO(), 2),
        (dd.RDSA(samples=3), 6),
        (dd.GaussianSmoothing(), 101),
        (dd.SphereSmoothing(), 2),
        (dd.ForwardGradient(3), 3),
        (dd.ForwardGradient(3, jvp="central"), 6),
        (dd.Guided(lambda x, key: x, 2), 4),
        (dd.RandomCoordinates(2), 4),
        (dd.RandomCoordinates(2, "forward"), 3),
        (dd.Hybrid((((0, 3), dd.SPSA()),)), 3),
        (dd.Hybrid((((0, 3), dd.SPSA(formula="forward")), ((4, 6), dd.FiniteDifference("forward")))), 4),
    ],
    ids=lambda v: str(v) if isinstance(v, int) else type(v).__name__,
)
def test_a_gradient_takes_as_many_evaluations_as_documented(part: Estimator, evaluations: int) -> None:
    of_estimators.right_count(part, evaluations)


def test_second_derivatives_and_jacobians_agree_with_autograd() -> None:
    x, key = torch.linspace(-1, 1.7, 6, dtype=torch.float64), dd.Key(0)
    exact = Differentiable(wavy)
    for below in (exact, exact | dd.FiniteDifference()):
        found = (below | curvatures()["DifferencedHvp"]).hvp(x, x + 1, key)
        torch.testing.assert_close(found, exact.hvp(x, x + 1, key), rtol=1e-3, atol=1e-3)
    fit = Residuals(lambda y: torch.stack([y.prod(), y.sin().sum(), y[0] * y[5]]))
    lifted = fit | curvatures()["DifferencedJacobian"]
    torch.testing.assert_close(lifted.jacobian(x, key), fit.jacobian(x, key), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(lifted.gradient(x, key).gradient, fit.gradient(x, key).gradient, rtol=1e-5, atol=1e-6)


# Transforms and steps


@pytest.mark.parametrize("contract", of_transforms.CONTRACTS, ids=_name)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_keeps(name: str, contract: Callable[[Transform[Any]], None]) -> None:
    contract(TRANSFORMS[name])


@pytest.mark.parametrize("contract", of_steps.CONTRACTS, ids=_name)
@pytest.mark.parametrize("name", STEPS)
def test_every_step_rule_keeps(name: str, contract: Callable[[Step[Any]], None]) -> None:
    contract(STEPS[name])


# Methods

METHODS: dict[str, tuple[Any, Estimator | None]] = {
    "gradient descent": (dd.Descent(lr=1e-3), None),
    "SPSA": (dd.Descent(lr=1e-4), dd.SPSA(1e-3)),
    "SPSA, Adam": (dd.Descent(dd.Adam(), lr=0.05), dd.SPSA(1e-3)),
    "differences, BFGS, Backtracking": (dd.Descent(dd.BFGS(), dd.Backtracking()), dd.FiniteDifference(radius=1e-5)),
    "BFGS, Wolfe": (dd.Descent(dd.BFGS(), StrongWolfe()), None),
    "LBFGS, Wolfe": (dd.Descent(dd.LBFGS(), StrongWolfe()), None),
    "SR1, Backtracking": (dd.Descent(dd.SR1(), dd.Backtracking()), None),
    "ConjugateGradient": (dd.Descent(dd.ConjugateGradient(), StrongWolfe(c2=0.1)), None),
    "Newton-CG": (dd.Descent(dd.NewtonCG(), dd.Backtracking()), None),
    "trust region": (dd.Descent(dd.TrustRegion()), None),
    "forward gradient": (dd.Descent(lr=1e-4), dd.ForwardGradient(2)),
}


@pytest.mark.filterwarnings("ignore:an evaluation failed:RuntimeWarning")
@pytest.mark.parametrize("contract", of_methods.CONTRACTS, ids=_name)
@pytest.mark.parametrize("name", METHODS)
def test_every_kind_of_method_keeps(name: str, contract: Callable[..., None]) -> None:
    contract(*METHODS[name])


@pytest.mark.parametrize(
    ("name", "evaluations"),
    [
        ("differences, BFGS, Backtracking", 300),
        ("BFGS, Wolfe", 40),
        ("LBFGS, Wolfe", 60),
        ("SR1, Backtracking", 100),
        ("ConjugateGradient", 150),
        ("Newton-CG", 120),
        ("trust region", 120),
    ],
)
def test_a_shifted_sphere_and_an_ellipsoid_are_solved_within_a_budget(name: str, evaluations: int) -> None:
    of_methods.solves(*METHODS[name], evaluations)
    x0 = torch.linspace(-2.0, 3.0, 5, dtype=torch.float64)
    of_methods.solves(*METHODS[name], evaluations, f=ellipsoid, x0=x0)


def test_first_order_methods_solve_the_shifted_sphere_too() -> None:
    of_methods.solves(dd.Descent(lr=0.05), None, 200)
    of_methods.solves(dd.Descent(lr=0.05), dd.FiniteDifference(), 2000)
    of_methods.solves(dd.Descent(lr=0.02), dd.SPSA(), 3000, accuracy=1e-4)
    of_methods.solves(dd.Descent(dd.Adam(), lr=dd.Cosine(0.5, 500)), dd.SPSA(samples=2), 2000, accuracy=1e-2)
    of_methods.solves(dd.Descent(dd.HeavyBall(0.8), lr=0.02), None, 400)


# Oracles


def _module() -> Module:
    model = torch.nn.Linear(2, 1).double()
    return Module(model, lambda m, batch: m(batch).square().mean(), torch.ones(4, 2, dtype=torch.float64))


def _closure() -> Closure:
    parameter = torch.linspace(-1, 1, 3, dtype=torch.float64).requires_grad_()
    return Closure(dd.layout.Parameters([parameter]), lambda: wavy(parameter) + 0.0 * torch.rand(()))


ORACLES: dict[str, Callable[[], Oracle]] = {
    "Function": lambda: Function(wavy),
    "Function of arrays": lambda: Function(lambda x: float((x**2).sum()), takes="numpy"),
    "Function, batched": lambda: Function(wavy, batched=True),
    "Function, noisy": lambda: Function(lambda x: wavy(x) + torch.randn(()).double()),
    "Function, keyed": lambda: Function(lambda x, key: wavy(x) + key.normal(1, like=x)[0], keyed=True),
    "Differentiable": lambda: Differentiable(wavy),
    "Differentiable, noisy": lambda: Differentiable(lambda x: wavy(x) * (1 + torch.rand(()))),
    "Residuals": lambda: Residuals(lambda x: torch.cat([x.sin(), x - 1])),
    "Module": _module,
    "Closure": _closure,
    "Negated": lambda: Negated(Differentiable(wavy)),
    "Averaged": lambda: Averaged(Differentiable(lambda x: wavy(x) + torch.randn(()).double()), 3),
    "Clipped": lambda: Clipped(Function(wavy), high=1.0),
    "Penalized": lambda: Penalized(Function(wavy), lambda x: 1 - x, 10.0),
    "Bounded": lambda: Bounded(Differentiable(wavy), torch.full((3,), -9.0).double(), torch.full((3,), 9.0).double()),
    "SPSA": lambda: Function(wavy) | dd.SPSA(),
    "FiniteDifference": lambda: Function(wavy, batched=False) | dd.FiniteDifference(),
    "DifferencedHvp": lambda: Differentiable(wavy) | dd.DifferencedHvp(),
    "DifferencedJacobian": lambda: Residuals(lambda x: torch.cat([x.sin(), x - 1])) | dd.DifferencedJacobian(),
    "Cached": lambda: Cached(Function(wavy)),
}
NOT_FOR = {
    ("SPSA", "derivatives_agree_with_values"): "one estimate is not the gradient",
    ("Cached", "counts_what_it_is_asked"): "it does not ask again",
}


@pytest.mark.parametrize("contract", of_oracles.CONTRACTS, ids=_name)
@pytest.mark.parametrize("name", ORACLES)
def test_every_oracle_keeps(name: str, contract: Callable[[Oracle, torch.Tensor], None]) -> None:
    if (name, _name(contract)) not in NOT_FOR:
        contract(ORACLES[name](), torch.tensor([0.5, -1.25, 2.0], dtype=torch.float64))


def test_the_rest_of_the_kit_is_used() -> None:
    """Every public contract is in a list that the tests above go through, or is called by name."""
    named = {"right_mean", "right_second_moment", "right_count", "solves", "Only", "refusal", "CONTRACTS"}
    for kit in (of_estimators, of_transforms, of_steps, of_methods, of_oracles):
        assert {c.__name__ for c in kit.CONTRACTS} == set(kit.__all__) - named
    assert isinstance(STEPS["Fixed"], Fixed)
