"""Estimates have the right size and go to the right place, whatever the memory, dtype and group of a parameter."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import descend as dd
from descend.direction import as_dense
from descend.estimate.base import Estimator
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Function, Module
from descend.testing.objectives import rosenbrock
from descend.testing.parts import estimators
from descend.torch_optim import Optimizer
from descend.transform import Transform

ESTIMATORS = estimators(8)
CHAINS: dict[str, tuple[Transform, ...]] = {
    "walked": (),
    "walked through memory": (dd.WeightDecay(0.0),),
    "gathered": (dd.ClipNorm(1e9),),
}


def _moved(params: list[nn.Parameter], before: list[Tensor]) -> list[Tensor]:
    return [b - p.detach() for p, b in zip(params, before, strict=True)]


def _image(layout: str) -> tuple[nn.Conv2d, Tensor]:
    """A small convolution with its weight in the given memory format."""
    draw = Key(5)
    conv = nn.Conv2d(3, 4, 3, dtype=torch.float64)
    with torch.no_grad():
        conv.weight.copy_(draw.fold("w").normal(4, 3, 3, 3, like=conv.weight))
        conv.bias.copy_(draw.fold("b").normal(4, like=conv.weight))  # type: ignore[union-attr]
    if layout == "channels_last":
        conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        conv.weight.data = conv.weight.data.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    return conv, draw.fold("x").normal(2, 3, 6, 6, like=conv.weight)


def _train(layout: str, *parts: Estimator | Transform, steps: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """How far parameters moved at lr 1, and autograd's gradient at the start."""
    conv, x = _image(layout)
    params = list(conv.parameters())
    before = [p.detach().clone() for p in params]

    def closure() -> Tensor:
        return conv(x).tanh().square().mean()

    gradients = torch.autograd.grad(closure(), params)
    optimizer = Optimizer(conv, *parts, lr=1.0, key=3)
    for _ in range(steps):
        optimizer.step(closure)
    assert conv.weight.is_contiguous() == (layout == "contiguous")
    return _moved(params, before), list(gradients)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "channels_last"])
def test_finite_differences_are_exact_in_every_memory_format(layout: str, chain: str) -> None:
    moved, gradients = _train(layout, dd.FiniteDifference(), *CHAINS[chain])
    for step, gradient in zip(moved, gradients, strict=True):
        torch.testing.assert_close(step, gradient, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("layout", ["transposed", "channels_last"])
def test_random_directions_are_the_same_in_every_memory_format(layout: str, chain: str) -> None:
    """A direction is indexed by the logical offset of an element, so how it is stored does not matter."""
    usual, _ = _train("contiguous", dd.SPSA(1e-3), *CHAINS[chain], steps=3)
    other, _ = _train(layout, dd.SPSA(1e-3), *CHAINS[chain], steps=3)
    for a, b in zip(usual, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)  # sums may be taken in another order


@pytest.mark.parametrize("chain", CHAINS)
def test_autograd_is_exact_in_every_memory_format(chain: str) -> None:
    moved, gradients = _train("channels_last", *CHAINS[chain])
    for step, gradient in zip(moved, gradients, strict=True):
        torch.testing.assert_close(step, gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("width", [3, 600], ids=["small", "large"])
@pytest.mark.parametrize("estimator", [dd.SPSA(0.125), dd.MeZO(0.125, samples=2)], ids=["signs", "normal"])
def test_tied_parameters_are_moved_once(estimator: Estimator, width: int) -> None:
    """The large one is probed inside of its own calls, the small one where it lies."""
    first, second = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    x = torch.eye(width)
    outputs = []

    def closure() -> Tensor:
        outputs.append((first(x).detach(), second(x).detach()))
        return model(x).square().mean()

    optimizer = Optimizer(model, estimator, lr=1e-3, key=0)
    assert optimizer.parameters.size == width * width
    start = first.weight.detach().clone()
    optimizer.step(closure)
    for one, other in outputs:
        assert torch.equal(one, other)
        moved = (one.T - start).abs()
        size = float(moved.square().mean().sqrt())
        assert 0.5 * 0.125 < size < 1.5 * 0.125 if width == 3 else abs(size / 0.125 - 1) < 0.02


def test_a_group_keeps_its_own_radius() -> None:
    a, b = nn.Parameter(torch.zeros(3, dtype=torch.float64)), nn.Parameter(torch.zeros(2, dtype=torch.float64))
    groups = [{"params": [a], "radius": 0.5}, {"params": [b], "radius": 2.0**-10}]
    optimizer = Optimizer(groups, dd.SPSA(1e-3, samples=4), lr=0.0, key=0)
    moves = []

    def closure() -> Tensor:
        moves.append((a.detach().abs().unique().tolist(), b.detach().abs().unique().tolist()))
        return a.sum() + b.sum()

    optimizer.step(closure)
    assert moves == [([0.5], [2.0**-10])] * 8


@pytest.mark.parametrize("samples", [1, 2, 5])
@pytest.mark.parametrize("law", ["sign", "normal", "uniform", "sphere"])
def test_the_mean_is_right_for_every_law_and_number_of_samples_and_radius_per_group(law: str, samples: int) -> None:
    truth = torch.tensor([1.0, 1.0, 1.0, -2.0, 1.0], dtype=torch.float64)
    a, b = nn.Parameter(torch.zeros(3, dtype=torch.float64)), nn.Parameter(torch.zeros(2, dtype=torch.float64))
    groups = [{"params": [a], "radius": 1e-1}, {"params": [b], "radius": 1e-4}]
    optimizer = Optimizer(groups, dd.RandomDirections(law, samples=samples), lr=1.0, key=0)
    estimates = []
    for _ in range(500):
        with torch.no_grad():
            a.zero_(), b.zero_()
        optimizer.step(lambda: truth[:3] @ a + truth[3:] @ b)
        estimates.append(-torch.cat([a.detach(), b.detach()]))
    drawn = torch.stack(estimates)
    error = (drawn.mean(0) - truth) / (drawn.std(0) / len(drawn) ** 0.5)
    assert error.abs().max() < 4.0, error  # of 60 numbers


@pytest.mark.parametrize("name", [name for name, e in ESTIMATORS.items() if isinstance(e, dd.RandomDirections)])
def test_an_estimate_does_not_scale_with_the_radius(name: str) -> None:
    slope = torch.arange(1.0, 9.0, dtype=torch.float64)
    oracle = Function(lambda x: slope @ x, batched=False)
    x = torch.ones(8, dtype=torch.float64)
    found = [
        as_dense((oracle | replace(ESTIMATORS[name], radius=h)).gradient(x, Key(0)).gradient, x)
        for h in (1e-3, 1e-2, 1e-1)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[0], found[2], rtol=1e-9, atol=1e-9)
    assert found[0].norm() > 1


def test_bfloat16_differences_have_no_zero_entries() -> None:
    start = Key(1).normal(64, like=torch.zeros(1)).bfloat16()
    x = nn.Parameter(start.clone())
    oracle = Closure(Parameters([x]), lambda: x.float().square().sum()) | dd.FiniteDifference()
    found = as_dense(oracle.gradient(start, Key(0)).gradient, start).float()
    truth = 2 * start.float()
    assert not (found == 0).any()
    assert abs(float(found.norm() / truth.norm()) - 1) < 0.05
    assert float((found - truth).norm() / truth.norm()) < 0.05


def test_what_step_returns() -> None:
    """f(x) before the step; under a two-sided estimator, which never asks there, the mean of its probes."""
    start = torch.tensor([-1.1, 2.5], dtype=torch.float64)
    f0 = float(rosenbrock(start))

    def returned(*parts: object) -> tuple[float, list[float]]:
        x, values = nn.Parameter(start.clone()), []

        def closure() -> Tensor:
            loss = rosenbrock(x)
            values.append(loss.item())
            return loss

        loss = Optimizer([x], *parts, lr=1e-6, key=0).step(closure)  # type: ignore[arg-type]
        return float(loss), values  # type: ignore[arg-type]

    assert returned() == (f0, [f0])
    assert returned(dd.Adam()) == (f0, [f0])
    assert returned(dd.BFGS())[0] == f0
    for one_sided in (
        dd.FiniteDifference("forward", 0.1),
        dd.GaussianSmoothing(0.1, 10),
        dd.SPSA(0.1, formula="forward"),
    ):
        assert returned(one_sided)[0] == f0
        assert returned(one_sided, dd.Adam())[0] == f0
    for two_sided in (dd.SPSA(0.1), dd.FiniteDifference("central", 0.1), dd.SPSA(0.1, 3)):
        for chain in ((), (dd.Adam(),), (dd.BFGS(),)):
            loss, values = returned(two_sided, *chain)
            assert f0 not in values
            assert loss == pytest.approx(sum(values) / len(values), rel=1e-14)


@pytest.mark.parametrize(
    ("estimator", "evaluations"),
    [
        (dd.SPSA(), 2),
        (dd.SPSA(samples=3), 6),
        (dd.SPSA(formula="forward"), 2),
        (dd.MeZO(), 2),
        (dd.RDSA(), 2),
        (dd.SphereSmoothing(), 2),
        (dd.GaussianSmoothing(samples=10), 11),
        (dd.FiniteDifference(), 2 * 6),
        (dd.FiniteDifference("forward"), 6 + 1),
        (dd.FiniteDifference("central4"), 4 * 6),
    ],
    ids=repr,
)
@pytest.mark.parametrize("chain", CHAINS)
def test_no_evaluation_is_made_only_to_report_a_loss(estimator: Estimator, evaluations: int, chain: str) -> None:
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    made = []

    def closure() -> Tensor:
        made.append(torch.is_grad_enabled())
        return a.square().sum() + b.square().sum()

    optimizer = Optimizer([a, b], estimator, *CHAINS[chain], lr=1e-3, key=0)
    optimizer.step(closure)
    made.clear()
    optimizer.ledger.counts.clear()
    optimizer.step(closure)
    assert len(made) == evaluations
    assert not any(made), "a probe builds a graph"
    assert optimizer.ledger.total == evaluations


def test_a_newton_step_sees_every_parameter() -> None:
    """The Hessian couples two tensors; a product with the first one's block alone does not solve it."""
    a, b = (
        nn.Parameter(torch.tensor([3.0, 1.0], dtype=torch.float64)),
        nn.Parameter(torch.tensor([[-2.0]], dtype=torch.float64)),
    )

    def closure() -> Tensor:
        return (a[0] - 1).square() + (a[0] + 3 * b[0, 0]).square() + (a[1] - b[0, 0]).square()

    for parts in ((dd.NewtonCG(),), (dd.FiniteDifference(), dd.DifferencedHvp(), dd.NewtonCG())):
        optimizer = Optimizer([a, b], *parts, lr=1.0, key=0)
        for _ in range(6):
            optimizer.step(closure)
        assert float(closure()) < 1e-6
        with torch.no_grad():
            a.copy_(torch.tensor([3.0, 1.0])), b.fill_(-2.0)


@pytest.mark.parametrize("bounds", [(0.5, None), (None, -0.5), (-0.2, 0.3)], ids=str)
def test_one_sided_bounds_hold_and_the_solution_is_found(bounds: tuple[float | None, float | None]) -> None:
    low, high = bounds
    result = dd.minimize(lambda x: ((x - 0.1) ** 2).sum(), [2.0, -2.0, 0.0], bounds=bounds, key=0)
    best = min(max(0.1, -9.0 if low is None else low), 9.0 if high is None else high)
    assert result.x == pytest.approx([best] * 3, abs=1e-6)


def test_a_batch_is_asked_in_one_call_and_gives_the_same_numbers() -> None:
    """No loop in Python over the 2,000 probes of a gradient in 1,000 dimensions."""
    shapes = []

    def together(xs: Tensor) -> Tensor:
        shapes.append(tuple(xs.shape))
        return rosenbrock(xs)

    x = torch.linspace(-1, 1, 1000, dtype=torch.float64)
    for estimator in (dd.FiniteDifference(radius=1e-6), dd.GaussianSmoothing(1e-3, 100)):
        batched, alone = Function(together, batched=True), Function(rosenbrock, batched=False)
        one = as_dense((batched | estimator).gradient(x, Key(0)).gradient, x)
        other = as_dense((alone | estimator).gradient(x, Key(0)).gradient, x)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        assert batched.ledger.counts == alone.ledger.counts
    assert len(shapes) < 60  # 4200 values, in chunks of half a megabyte


def test_the_module_oracle_never_writes_to_the_module() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    before = [p.detach().clone() for p in model.parameters()]
    x = torch.linspace(-1, 1, 12).view(3, 4)
    oracle = Module(model, lambda m, batch: F.softplus(m(batch)).mean(), x) | dd.SPSA(1e-2, 16)
    oracle.gradient(oracle.base.point(), Key(0))  # type: ignore[attr-defined]
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
