"""torch's own tools work on the optimizer: schedulers, hooks, groups that are added, and devices that do not match."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

import descend as dd
from descend.errors import CompositionError, DescendError, InvalidValue
from descend.testing.parts import transforms
from descend.torch_optim import Optimizer

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (t + 1)),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 10),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 4), lr_scheduler.ExponentialLR(o, 0.9)], [4]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(o, 0.5, 1.0, 4), lr_scheduler.ExponentialLR(o, 0.9)], o
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=10.0),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.02, total_steps=12, cycle_momentum="betas" in o.defaults),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-4, 1e-2, 3, cycle_momentum="momentum" in o.defaults),
}
SCHEDULED: dict[str, tuple[Any, ...]] = {
    "SPSA": (dd.SPSA(1e-3),),
    "SPSA, Adam": (dd.SPSA(), dd.Adam()),
    "HeavyBall": (dd.HeavyBall(),),
    "FiniteDifference, LBFGS": (dd.FiniteDifference(), dd.LBFGS()),
}


@pytest.mark.parametrize("parts", SCHEDULED)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_of_torch_sets_the_length_of_the_next_step(name: str, parts: str) -> None:
    x = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    optimizer = Optimizer([x], *SCHEDULED[parts], lr=1e-2, key=0)
    scheduler = SCHEDULERS[name](optimizer)
    assert not isinstance(scheduler, LRScheduler) or scheduler.optimizer is optimizer
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns where a scheduler sees no step of its optimizer
        warnings.filterwarnings("ignore", message=".*EPOCH_DEPRECATION|.*epoch parameter")
        for _ in range(10):
            rates.append(optimizer.param_groups[0]["lr"])
            loss = optimizer.step(lambda: x.square().sum())
            scheduler.step(*([loss] if name == "ReduceLROnPlateau" else []))
    assert len(set(rates)) > 1
    assert all(math.isfinite(rate) for rate in rates)
    assert x.detach().norm() < 2.3


def test_the_rate_that_a_scheduler_set_is_the_one_that_is_used() -> None:
    x = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = Optimizer([x], dd.FiniteDifference(), lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    lengths = []
    for _ in range(4):
        before = x.detach().clone()
        optimizer.step(lambda: x.sum())
        lengths.append(float((before - x.detach())[0]))
        scheduler.step()
    assert lengths == pytest.approx([1.0, 0.5, 0.25, 0.125])


def test_cycled_betas_reach_the_transform() -> None:
    ends = []
    for cycled in (True, False):
        x = nn.Parameter(torch.ones(3))
        optimizer = Optimizer([x], dd.Adam(), lr=1e-2)
        scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10, cycle_momentum=cycled)
        for _ in range(8):
            optimizer.step(lambda x=x: (x * torch.tensor([1.0, 2.0, 3.0])).sin().sum())
            scheduler.step()
        assert (optimizer.param_groups[0]["betas"] == (0.9, 0.999)) == (not cycled)
        ends.append(x.detach())
    assert not torch.equal(*ends)


def test_hooks_run_around_a_step() -> None:
    x = nn.Parameter(torch.ones(2))
    optimizer, seen = Optimizer([x], dd.SPSA(), lr=0.1, key=0), []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    optimizer.step(lambda: seen.append("asked") or x.square().sum())
    assert seen == ["before", "asked", "asked", "after"]


SEPARABLE = {name: t for name, t in transforms(6).items() if t.separable}
COUPLED = {"BFGS": dd.BFGS(), "LBFGS": dd.LBFGS(), "SR1": dd.SR1(), "ConjugateGradient": dd.ConjugateGradient()}


def _two(
    name: str, parts: dict[str, Any], *estimator: Any
) -> tuple[Optimizer, nn.Parameter, nn.Parameter, Callable[[], Tensor]]:
    a, b = nn.Parameter(torch.tensor([1.0, -2.0, 3.0])), nn.Parameter(torch.tensor([[2.0], [-1.0]]))
    optimizer = Optimizer([a], *estimator, parts[name], lr=1e-2, key=0)
    return optimizer, a, b, lambda: a.square().sum() + (b * torch.tensor([[1.0], [2.0]])).square().sum()


@pytest.mark.parametrize("estimator", [(), (dd.FiniteDifference(),)], ids=["autograd", "estimated"])
@pytest.mark.parametrize("name", SEPARABLE)
def test_a_group_added_later_trains_and_the_first_one_keeps_its_memory(name: str, estimator: tuple[Any, ...]) -> None:
    optimizer, a, b, closure = _two(name, SEPARABLE, *estimator)
    alone, lonely, _, _ = _two(name, SEPARABLE, *estimator)
    for _ in range(5):
        optimizer.step(closure)
        alone.step(lambda: lonely.square().sum())
    optimizer.add_param_group({"params": [b], "lr": 2e-2})
    start = b.detach().clone()
    for _ in range(5):
        optimizer.step(closure)
        alone.step(lambda: lonely.square().sum())
    # the coordinates of a are transformed alone, so b makes no difference to them
    torch.testing.assert_close(a, lonely, rtol=1e-3, atol=1e-4)
    assert not (b.detach() == start).any()


@pytest.mark.parametrize("name", COUPLED)
def test_a_method_that_couples_coordinates_starts_anew_with_the_group(name: str) -> None:
    optimizer, a, b, closure = _two(name, COUPLED, dd.FiniteDifference())
    for _ in range(5):
        optimizer.step(closure)
    optimizer.add_param_group({"params": [b]})
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    before = closure().item()
    for _ in range(15):
        optimizer.step(closure)
    assert closure().item() < 0.1 * before
    assert a.grad is None


def _linear() -> nn.Parameter:
    return nn.Parameter(torch.ones(3))


SENTENCES: dict[str, tuple[Callable[[], Any], str]] = {
    "empty list": (lambda: Optimizer([], lr=0.1), r"list is empty; write model.parameters\(\)"),
    "empty model": (lambda: Optimizer(nn.Tanh(), lr=0.1), "no parameters"),
    "a tensor": (lambda: Optimizer(_linear(), lr=0.1), r"pass a list of tensors, \[x\]"),
    "no lr": (lambda: Optimizer([_linear()]), "lr is missing.*write lr=1e-3"),
    "negative lr": (lambda: Optimizer([_linear()], lr=-0.1), "lr=-0.1"),
    "NaN lr": (lambda: Optimizer([_linear()], lr=math.nan), "lr=nan"),
    "lr and step rule": (lambda: Optimizer([_linear()], dd.Backtracking(), lr=0.1), "lr=0.1 would be ignored"),
    "negative radius": (lambda: Optimizer([_linear()], dd.SPSA(-1e-3), lr=0.1), "radius.*-0.001"),
    "zero radius": (lambda: Optimizer([_linear()], dd.FiniteDifference(radius=0.0), lr=0.1), "radius.*0.0"),
    "negative radius in a group": (
        lambda: Optimizer([{"params": [_linear()], "radius": -2.0}], dd.SPSA(1e-3), lr=0.1), "radius.*-2.0",
    ),
    "negative lr in a group": (lambda: Optimizer([{"params": [_linear()], "lr": -3.0}], lr=0.1), "lr=-3.0"),
    "bad betas in a group": (
        lambda: Optimizer([{"params": [_linear()], "betas": (0.9, 1.5)}], dd.Adam(), lr=0.1), "1.5",
    ),
    "unknown formula": (
        lambda: Optimizer([_linear()], dd.SPSA(formula="centrl"), lr=0.1), "'centrl'; did you mean 'central",
    ),
    "unknown difference": (lambda: dd.FiniteDifference("fd_central"), "'fd_central'; did you mean 'central'"),
    "unknown law": (lambda: dd.RandomDirections("rademacher"), "law 'rademacher'; write one of 'sign'"),
    "unknown coupling": (lambda: dd.SPSA(coupling="sobol"), "coupling 'sobol'; write one of"),
    "no samples": (lambda: dd.SPSA(samples=0), "samples.*0"),
    "typo in a group": (
        lambda: Optimizer([{"params": [_linear()], "rdius": 0.1}], dd.SPSA(1e-3), lr=0.1),
        "'rdius'.*did you mean 'radius'",
    ),
    "foreign key in a group": (lambda: Optimizer([{"params": [_linear()], "hh": 1}], lr=0.1), "'hh'.*Known are.*'lr'"),
    "two devices": (
        lambda: Optimizer([_linear(), nn.Parameter(torch.ones(2, device="meta"))], lr=0.1),
        "several devices, cpu, meta",
    ),
    "integers": (lambda: Optimizer([torch.ones(3, dtype=torch.long)], lr=0.1), "int64"),
    "not a part": (lambda: Optimizer([_linear()], "adam", lr=0.1), "'adam' is neither"),  # type: ignore[arg-type]
    "a bad schedule": (lambda: Optimizer([_linear()], lr=lambda t: -1.0), "-1.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_what_means_nothing_is_refused_at_construction_in_a_sentence(name: str) -> None:
    make, sentence = SENTENCES[name]
    with pytest.raises(DescendError, match=sentence):
        make()


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate:UserWarning")
def test_the_same_parameter_twice_is_refused() -> None:
    p = _linear()
    with pytest.raises(InvalidValue, match="same tensor; list it once"):
        Optimizer([p, p], lr=0.1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        Optimizer([{"params": [p]}, {"params": [p]}], lr=0.1)
    with pytest.raises(InvalidValue, match="share their memory"):
        Optimizer([p, nn.Parameter(p.data)], lr=0.1)


def test_a_group_may_not_change_what_couples_it_to_the_others() -> None:
    groups = [{"params": [_linear()], "betas": (0.5, 0.9)}, {"params": [_linear()]}]
    with pytest.raises(CompositionError, match="coordinate alone"):
        Optimizer(groups, dd.Adam(), dd.ClipNorm(1.0), lr=0.1)


SETTINGS = (
    dd.Adam(),
    dd.AdamW(),
    dd.HeavyBall(),
    dd.RMSProp(),
    dd.Lion(),
    dd.NAdam(),
    dd.AdaGrad(),
    dd.Rprop(),
    dd.ClipValue(1.0),
)
MEMORY = {"amsgrad", "centered", "initial", "initial_accumulator_value"}


def _other(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_other(v) for v in value)
    return not value if isinstance(value, bool) else 0.6 * value + 0.05


@pytest.mark.parametrize(
    ("part", "name"),
    [(p, n) for p in SETTINGS for n in vars(p)],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_a_setting_in_a_group_is_used_or_refused(part: Any, name: str) -> None:
    changed, ends = (0.3, 1.5) if name == "etas" else _other(getattr(part, name)), []
    for group in ({}, {name: changed}):
        p = nn.Parameter(torch.tensor([1.0, -0.7, 0.3]))
        if group and name in MEMORY:
            with pytest.raises(CompositionError, match=f"{name}.*decides on what {type(part).__name__}"):
                Optimizer([{"params": [p], **group}], part, lr=0.1)
            return
        optimizer = Optimizer([{"params": [p], **group}], part, lr=0.1)
        for k in range(4):
            optimizer.step(lambda p=p, k=k: ((3 * k % 4 + 1) * p).sin().sum())
        ends.append(p.detach().clone())
    assert not torch.equal(*ends), f"{name} of {part} in a group is ignored"


def test_a_bad_value_that_a_user_writes_into_a_group_is_noticed_at_the_next_step() -> None:
    x = _linear()
    optimizer = Optimizer([x], dd.SPSA(1e-3), dd.Adam(), lr=0.1)
    optimizer.param_groups[0]["betas"] = (0.9, 2.0)
    with pytest.raises(InvalidValue, match=r"2\.0"):
        optimizer.step(lambda: x.sum())
    optimizer = Optimizer([x], lr=0.1)
    optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(InvalidValue, match="lr=nan"):
        optimizer.step(lambda: x.sum())
    assert torch.equal(x.detach(), torch.ones(3))


def test_a_schedule_does_not_silently_overrule_a_groups_own_rate() -> None:
    with pytest.raises(CompositionError, match=r"lr=0\.5"):
        Optimizer([{"params": [_linear()], "lr": 0.5}], lr=dd.Cosine(0.1, steps=10))
