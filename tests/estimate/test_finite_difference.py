"""Finite differences: formulas exact on polynomials, counts of evaluations, steps that choose themselves."""

import math

import pytest
import torch
from torch import Tensor, nn

from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate import STENCILS, FiniteDifference, Stencil
from descend.estimate.radius import typical
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Function, Module, Penalize

ROWS = sorted({row.name for row in STENCILS.values()})
POINT = torch.tensor([0.7, -1.3, 2.1], dtype=torch.float64)


def gradient_of(f, x: Tensor) -> Tensor:
    y = x.double().clone().requires_grad_()
    return torch.autograd.grad(f(y), y)[0]


def estimate(f, x: Tensor, estimator: FiniteDifference, batched: bool = False) -> Tensor:
    found = (Function(f, batched=batched) | estimator).gradient(x, Key(0)).gradient
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("formula", ROWS)
def test_a_formula_is_exact_on_polynomials_of_its_order_and_not_beyond(formula: str) -> None:
    order = STENCILS[formula].order

    def polynomial(degree: int):
        return lambda x: (x**degree).sum() + x.prod()

    exact = estimate(polynomial(order), POINT, FiniteDifference(formula, radius=0.25))
    torch.testing.assert_close(exact, gradient_of(polynomial(order), POINT), rtol=1e-12, atol=1e-12)
    beyond = estimate(polynomial(order + 1), POINT, FiniteDifference(formula, radius=0.25))
    assert (beyond - gradient_of(polynomial(order + 1), POINT)).abs().max() > 1e-3


@pytest.mark.parametrize("formula", ROWS)
def test_the_error_falls_with_the_order_of_the_formula(formula: str) -> None:
    def f(x: Tensor) -> Tensor:
        return torch.exp(x).sum()

    errors = [
        float((estimate(f, POINT, FiniteDifference(formula, radius=h)) - gradient_of(f, POINT)).norm())
        for h in (0.02, 0.01)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(STENCILS[formula].order, abs=0.1)


@pytest.mark.parametrize(
    ("formula", "count"), [("forward2", 4), ("backward2", 4), ("central2", 6), ("forward5", 13), ("central4", 12)]
)
@pytest.mark.parametrize("radius", [1e-3, None])
def test_evaluations_are_counted_exactly(formula: str, count: int, radius: float | None) -> None:
    calls = []
    oracle = Function(lambda x: calls.append(1) or float(x.sum()), batched=False)
    (oracle | FiniteDifference(formula, radius=radius)).gradient(POINT, Key(0))
    assert oracle.ledger.counts == {"value": count}
    assert len(calls) == count


def test_tuning_costs_what_it_says() -> None:
    x = torch.ones(130, dtype=torch.float64)
    for estimator, count in (
        (FiniteDifference("central"), 2 * 130 + 8 * 4 * 2),
        (FiniteDifference("forward"), 131 + 8 * 4 + 1),
        (FiniteDifference("central", look=0), 2 * 130),
        (FiniteDifference("central", radius=1e-3), 2 * 130),
        (FiniteDifference("central", noise=1e-3), 2 * 130 + 8 * 4 * 2 + 1),
        (FiniteDifference("central", noise=1e-3, look=0), 2 * 130 + 1),
    ):
        oracle = Function(lambda xs: xs.square().sum(1), batched=True)
        (oracle | estimator).gradient(x, Key(0))
        assert oracle.ledger.total == count, estimator


@pytest.mark.parametrize("formula", ROWS)
def test_the_value_is_f_where_the_formula_asks_the_centre(formula: str) -> None:
    def f(x: Tensor) -> Tensor:
        return (x**3).sum()

    slope = (Function(f) | FiniteDifference(formula, radius=1e-3)).gradient(POINT, Key(0))
    if STENCILS[formula].one_sided:
        assert slope.value == float(f(POINT))
    else:
        assert math.isnan(slope.value)
        assert slope.loss == pytest.approx(float(f(POINT)), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("radius", [1e-3, 3e-6, 1e-12])
def test_a_step_that_the_dtype_cannot_make_is_made_longer_and_divided_by_what_it_became(dtype, radius: float) -> None:
    x = torch.tensor([3.0, -100.0, 0.01, 7e4], dtype=dtype)
    slopes = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    for formula in ("forward", "central", "backward"):
        # in float64 from the point on, so that only the steps are rounded
        found = estimate(lambda y: float(y.double() @ slopes), x, FiniteDifference(formula, radius=radius))
        torch.testing.assert_close(found.double(), slopes, rtol=4e-3 if dtype is torch.bfloat16 else 1e-6, atol=0)


def test_probes_in_float64_are_where_they_should_be() -> None:
    seen: list[Tensor] = []
    oracle = Function(lambda xs: (seen.append(xs), xs.sum(1))[1], batched=True)
    (oracle | FiniteDifference(radius=0.1)).gradient(torch.tensor([1 / 3], dtype=torch.float64), Key(0))
    assert seen[0][:, 0].tolist() == [1 / 3 - 0.1, 1 / 3 + 0.1]


@pytest.mark.parametrize("batched", [True, False])
def test_chunks_change_nothing(batched: bool) -> None:
    x = torch.randn(150, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = [
        (Function(rosenbrock, batched=batched, memory=memory) | FiniteDifference("forward3"))
        .gradient(x, Key(0))
        .gradient
        for memory in (1, 40 * 8 * 150, 2**30)
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_one_step_per_coordinate() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = estimate(lambda y: (y**2).sum(), x, FiniteDifference("forward", radius=torch.tensor([0.5, 0.25])))
    assert found.tolist() == [2.5, 4.25]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("formula", ["forward", "central"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_one_bad_value_makes_the_slope_not_finite(bad: float, formula: str, at: int) -> None:
    values = iter([bad if i == at else 1.0 for i in range(100)])
    oracle = Function(lambda x: next(values), batched=False)
    if at == 0:
        oracle.ledger.charge("value")
    slope = (oracle | FiniteDifference(formula, radius=1e-3)).gradient(torch.ones(3), Key(0))
    assert not slope.is_finite()
    assert oracle.ledger.failures == 1


def test_a_planted_wrong_gradient_is_never_seen() -> None:
    class Planted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x**2).sum()

        @staticmethod
        def backward(ctx, *grads):
            return torch.full((3,), 777.0, dtype=torch.float64)

    found = estimate(Planted.apply, POINT.clone().requires_grad_(), FiniteDifference())
    torch.testing.assert_close(found, 2 * POINT, rtol=1e-7, atol=1e-7)


class Strange(nn.Module):
    """A transposed parameter, and a convolution's weight in channels-last order."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(3)
        self.transposed = nn.Parameter(torch.randn(4, 3, generator=g, dtype=torch.float64).t())
        kernel = torch.randn(2, 3, 2, 2, generator=g, dtype=torch.float64).to(memory_format=torch.channels_last)
        self.kernel = nn.Parameter(kernel)

    def forward(self, image: Tensor) -> Tensor:
        maps = torch.nn.functional.conv2d(image, self.kernel)
        return maps.pow(2).mean() + torch.sin(self.transposed @ torch.arange(4.0, dtype=torch.float64)).sum()


@pytest.mark.parametrize("face", ["closure", "module"])
def test_it_equals_autograd_on_transposed_and_channels_last_parameters(face: str) -> None:
    model = Strange()
    image = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert not model.transposed.is_contiguous()
    assert not model.kernel.is_contiguous()
    parameters = Parameters(model.parameters())
    if face == "closure":
        oracle = Closure(parameters, lambda: model(image))
    else:
        oracle = Module(model, lambda m, batch: m(batch), image)
    x = parameters.gather()
    exact = oracle.gradient(x, Key(0)).gradient
    found = (oracle | FiniteDifference()).gradient(x, Key(0)).gradient
    assert float(exact.norm()) > 1
    torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-8)


# Steps that choose themselves


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def logistic(x: Tensor) -> Tensor:
    data = torch.randn(64, x.shape[-1], generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return nn.functional.softplus(x @ (data / math.sqrt(x.shape[-1])).to(x.dtype).T).mean(-1)


FUNCTIONS = {
    "rosenbrock": rosenbrock,
    "exponentials": lambda x: torch.exp(x).sum(-1),
    "log-sum-exp": lambda x: torch.logsumexp(x, -1),
    "logistic": logistic,
}


def rms_error(f, xs: list[Tensor], estimator: FiniteDifference) -> float:
    oracle = Function(f, batched=True) | estimator
    total = 0.0
    for i, x in enumerate(xs):
        truth = gradient_of(f, x)
        error = float((oracle.gradient(x, Key(i)).gradient.double() - truth).norm() / truth.norm())
        total += error**2 / len(xs)
    return math.sqrt(total) if math.isfinite(total) else math.inf


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("formula", ["forward2", "central2"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_tuned_steps_are_within_twice_the_error_of_the_best_fixed_step(name: str, formula: str, dtype) -> None:
    """At sizes of x from 1e-6 to 1e6; in bfloat16, where the best is bad enough, within 3 times."""
    d, order = 128, STENCILS[formula].order
    for size in (1e-6, 1e6):

        def f(x: Tensor, size: float = size) -> Tensor:
            return FUNCTIONS[name](x / size)

        xs = [size * torch.randn(d, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(3)]
        xs = [x.to(dtype) for x in xs]
        unit = size * (d * torch.finfo(dtype).eps) ** (1 / (order + 1))
        best = min(rms_error(f, xs, FiniteDifference(formula, 2 ** (k / 2) * unit)) for k in range(-6, 13))
        limit = 3 if dtype is torch.bfloat16 else 2
        assert rms_error(f, xs, FiniteDifference(formula)) <= limit * best
        if dtype is not torch.bfloat16:
            assert rms_error(f, xs, FiniteDifference(formula, 1e-3)) > 3 * best  # one step for all sizes will not do


def test_on_request_few_coordinates_are_tuned_as_well() -> None:
    xs = [torch.randn(5, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(6)]
    plain, tuned = (rms_error(logistic, xs, FiniteDifference(look=look)) for look in (None, 4))
    best = min(rms_error(logistic, xs, FiniteDifference(radius=2.0**-k)) for k in range(5, 20))
    assert tuned < 2 * best
    assert plain > 3 * best  # what the documentation admits


def test_a_point_of_several_scales_gets_steps_of_several_scales() -> None:
    scales = torch.tensor([1e-6] * 32 + [1e6] * 32, dtype=torch.float64)
    z = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        return torch.exp(x / scales).sum(-1)

    truth = gradient_of(f, z * scales)
    found = estimate(f, z * scales, FiniteDifference(), batched=True)
    assert float(((found - truth) / truth).abs().max()) < 1e-6


def test_typical_sizes() -> None:
    everywhere = torch.arange(6)
    assert typical(torch.zeros(6), everywhere).tolist() == [1.0] * 6
    near = typical(torch.tensor([0.0, 1e-9, 1.0, -2.0, 1.0, 0.5], dtype=torch.float64), everywhere)
    assert bool((near > 0).all())
    normal = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    sizes = typical(normal, torch.arange(1000))
    assert bool(((sizes > 0.3) & (sizes < 1.5)).all())  # no coordinate near zero is taken for a tiny one
    smaller = typical(1e-6 * normal, torch.tensor([3, 500]))
    torch.testing.assert_close(smaller, 1e-6 * sizes[[3, 500]], rtol=1e-3, atol=0)
    layers = torch.cat([normal[:500], torch.zeros(500)])
    assert bool((typical(layers, torch.arange(500, 1000)) > 0.3).all())  # zero biases: as large as the weights
    outlier = torch.cat([torch.ones(63), torch.tensor([1e6])])
    assert float(typical(outlier, torch.tensor([63]))) > 1e5


@pytest.mark.parametrize("noise", [0.1, "auto"])
def test_steps_grow_with_the_noise(noise) -> None:
    """f = |x|^2 with noise 0.1 in 10 dimensions, where steps for exact values give nothing but noise."""
    errors = {}
    for stated in (None, noise):
        draws = torch.Generator().manual_seed(1)
        errors[stated] = rms_error(
            lambda xs, draws=draws: (
                xs.square().sum(-1)
                if xs.dim() == 1
                else xs.square().sum(-1) + 0.1 * torch.randn(len(xs), generator=draws, dtype=xs.dtype)
            ),
            [2 * torch.randn(10, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(8)],
            FiniteDifference(noise=stated),
        )
    assert errors[None] > 100
    assert errors[noise] < 0.3


# Wrong input gets a sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"formula": "centrl"}, "did you mean 'central'"),
        ({"radius": 0.0}, "radius must be finite and > 0, got 0.0"),
        ({"radius": -1e-3}, "got -0.001"),
        ({"radius": math.nan}, "got nan"),
        ({"radius": torch.tensor([1.0, 0.0])}, "radius must be finite and > 0"),
        ({"noise": -1.0}, "noise is a standard deviation"),
        ({"noise": "loud"}, "noise='loud' is unknown"),
        ({"look": -1}, "got -1"),
    ],
)
def test_wrong_arguments(arguments: dict, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence.replace("(", r"\(")):
        FiniteDifference(**arguments)


def test_a_radius_of_another_shape() -> None:
    with pytest.raises(ShapeMismatch, match=r"radius has shape \(2,\) and the point \(3,\)"):
        estimate(lambda x: x.sum(), POINT, FiniteDifference(radius=torch.ones(2)))


def test_a_formula_of_your_own() -> None:
    wide = Stencil("wide", (-3.0, 3.0), (-1 / 6, 1 / 6), 2)
    found = estimate(lambda x: (x**2).sum(), POINT, FiniteDifference(wide, radius=0.1))
    torch.testing.assert_close(found, 2 * POINT)


def test_a_penalty_counts_as_a_value() -> None:
    oracle = Function(lambda x: math.inf if x[0] > 1 else 0.0, batched=False, on_failure=Penalize(10.0))
    slope = (oracle | FiniteDifference("forward", radius=0.5)).gradient(torch.tensor([1.0, 0.0]), Key(0))
    assert slope.gradient.tolist() == [20.0, 0.0]
