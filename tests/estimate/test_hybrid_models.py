"""The head of a model by autograd and the rest forward-only; some examples by autograd and the rest forward-only."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from descend.direction import Combination
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate import SPSA, Evolution, Hybrid
from descend.estimate.base import Estimator
from descend.estimate.by_example import ByExample
from descend.estimate.hybrid import span
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Raise
from descend.oracle.examples import Over
from descend.torch_optim import Optimizer

BATCH = (Key(1).integers(0, 30, 16, 4), Key(2).integers(0, 3, 16))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Embedding(30, 12), nn.Linear(12, 20), nn.Tanh(), nn.LayerNorm(20))
        self.head = nn.Linear(20, 3)
        for i, p in enumerate(self.parameters()):
            p.data.copy_(0.3 * Key(i).normal(*p.shape, like=p.data))

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.body(words).mean(1))


def loss(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def closure_of(model: nn.Module, batch: Any = BATCH) -> Closure:
    names, tensors = zip(*model.named_parameters(), strict=True)
    closure = Closure(Parameters(tensors, names), Over(loss, model, batch), model=model, on_failure=Raise())
    closure.functional = True
    return closure


def exact(model: nn.Module, batch: Any) -> Tensor:
    grads = torch.autograd.grad(loss(model, batch).mean(), list(model.parameters()))
    return torch.cat([g.reshape(-1) for g in grads])


def terms_of(gradient: Any) -> Any:
    assert isinstance(gradient, Combination)
    return gradient.terms


@pytest.mark.parametrize(
    "part",
    [SPSA(1e-2, 3), SPSA(1e-2, 3, rank=1), Evolution(3, 1e-2, 1), SPSA(1e-2, 3, rank=2, formula="forward")],
    ids=str,
)
def test_the_live_model_and_a_copy_of_its_point_give_the_same_gradient(part: Estimator) -> None:
    model = Net()
    start, stop = span(model, model.body)
    assert (start, stop) == (0, 660)
    hybrid = Hybrid((((start, stop), part),))
    closure = closure_of(model)
    home = closure.parameters.gather()
    before = [p.detach().clone() for p in model.parameters()]
    streamed = (closure | hybrid).gradient(torch.empty_like(home, device="meta"), Key(3))
    evaluations = dict(closure.ledger.counts)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert not closure.population.unseen
    lively = streamed.gradient.dense(home)  # type: ignore[union-attr]
    copied = (closure_of(model) | hybrid).gradient(home, Key(3))
    closure.parameters.scatter(home)  # probes of a copied point are written into the parameters
    assert torch.allclose(lively, copied.gradient, atol=1e-3, rtol=1e-3)  # type: ignore[arg-type]
    assert torch.allclose(lively[stop:], exact(model, BATCH)[stop:], atol=1e-6)
    probes = 3 if "forward" in repr(part) else 6
    assert evaluations == {"gradient": 1, "value": probes}  # f(x) comes with the gradient
    assert streamed.loss == pytest.approx(float(loss(model, BATCH).detach().mean()), rel=1e-5)
    # the directions are those that the part alone would have
    remade = part.combination([1.0, 2.0, 3.0], home[:stop], Key(3).fold("hybrid", 0), _layout(closure, 5))  # type: ignore[attr-defined]
    _, directions = terms_of(streamed.gradient)[-1]
    assert torch.equal(directions.dense(home)[:, :stop], remade.terms[0][1].dense(home))
    assert not directions.dense(home)[:, stop:].any()


def _layout(closure: Closure, count: int) -> Any:
    layout = closure.layout
    return type(layout)(layout.names[:count], layout.shapes[:count])  # type: ignore[union-attr]


def test_a_layer_in_the_middle() -> None:
    """Parameters on both sides of the stretch stay where they are in a probe."""
    model = Net()
    stretch = span(model, model.body[1])  # type: ignore[index]
    hybrid = Hybrid(((stretch, SPSA(1e-2, 2, rank=1)),))
    closure = closure_of(model)
    home = closure.parameters.gather()
    gradient = (closure | hybrid).gradient(torch.empty_like(home, device="meta"), Key(3)).gradient
    weights, directions = terms_of(gradient)[-1]
    for weight, z in zip(weights, directions.dense(home), strict=True):
        values = []
        for sign in (1, -1):
            closure.parameters.scatter(home + sign * 1e-2 * z)
            values.append(float(loss(model, BATCH).detach().double().mean()))
        closure.parameters.scatter(home)
        assert weight == pytest.approx((values[0] - values[1]) / 0.04, abs=1e-4)


def test_stretches_within_parameters_are_vectors() -> None:
    model = Net()
    parts = (((5, 100), SPSA(1e-2, 2, rank=1)), ((100, 361), SPSA(1e-2)), ((360 + 240, 723), SPSA(1e-2, rank=1)))
    closure = closure_of(model)
    home = closure.parameters.gather()
    gradient = (closure | Hybrid(parts)).gradient(torch.empty_like(home, device="meta"), Key(3)).gradient
    whole = gradient.dense(home)  # type: ignore[union-attr]
    exactly = exact(model, BATCH)
    assert torch.allclose(whole[:5], exactly[:5], atol=1e-6)
    assert torch.allclose(whole[361:600], exactly[361:600], atol=1e-6)
    terms = [z.dense(home) for _, z in terms_of(gradient)[1:]]
    for ((start, stop), _), z in zip(parts, terms, strict=True):
        assert bool((z[:, start:stop].abs() == 1).all())
        assert not z[:, :start].any()
        assert not z[:, stop:].any()


def test_no_graph_is_built_for_what_is_forward_only() -> None:
    model, saved = Net(), []
    closure = closure_of(model)
    here = torch.empty(closure.parameters.size, device="meta")
    lifted = closure | Hybrid(((span(model, model.body), SPSA(1e-2, rank=1)),))

    def keep(t: Tensor) -> Tensor:
        saved.append(t.numel())
        return t

    with saved_tensors_hooks(keep, lambda t: t):
        lifted.gradient(here, Key(0))
    head_only = sum(saved)
    saved.clear()
    with saved_tensors_hooks(keep, lambda t: t):
        closure.gradient(here, Key(0))
    assert head_only < sum(saved) / 4
    lifted.gradient(here, Key(0))
    assert all(p.grad is None for p in model.body.parameters())
    assert all(p.grad is not None for p in model.head.parameters())
    assert all(p.requires_grad for p in model.parameters())


def test_what_requires_a_gradient_does_so_again_after_an_exception() -> None:
    model = Net()
    closure = closure_of(model)

    def interrupted(m: nn.Module, b: Any) -> Tensor:
        raise KeyboardInterrupt

    closure.closure = Over(interrupted, model, BATCH)
    lifted = closure | Hybrid(((span(model, model.body), SPSA(1e-2, rank=1)),))
    with pytest.raises(KeyboardInterrupt):
        lifted.gradient(torch.empty(closure.parameters.size, device="meta"), Key(0))
    assert all(p.requires_grad for p in model.parameters())


def test_a_gradient_that_is_not_finite_is_known_as_such() -> None:
    model = Net()
    closure = closure_of(model)
    closure.closure = Over(
        lambda m, b: (m(b[0]) * 0).abs().sqrt().sum(1), model, BATCH
    )  # infinite slope of a root at zero
    lifted = closure | Hybrid(((span(model, model.body), SPSA(1e-2, rank=1)),))
    slope = lifted.gradient(torch.empty(closure.parameters.size, device="meta"), Key(0))
    assert slope.value == 0
    assert not slope.is_finite()


def test_where_everything_is_estimated_autograd_is_not_asked() -> None:
    model = Net()
    closure = closure_of(model)
    d = closure.parameters.size
    lifted = closure | Hybrid((((0, 660), SPSA(1e-2, rank=1)), ((660, d), SPSA(1e-2, rank=1))))
    slope = lifted.gradient(torch.empty(d, device="meta"), Key(0))
    assert closure.ledger.counts == {"value": 4}
    assert slope.is_finite()
    assert math.isfinite(slope.loss)


def test_spans() -> None:
    model = Net()
    assert span(model, model) == (0, 723)
    assert span(model, model.head) == (660, 723)
    with pytest.raises(InvalidValue, match="no parameter that Net trains"):
        span(model, nn.Linear(2, 2))
    model.both = nn.ModuleList([model.body[0], model.head])  # type: ignore[index]
    with pytest.raises(InvalidValue, match="not one stretch"):
        span(model, model.both)


def test_layers_train_by_both() -> None:
    model = Net()
    optimizer = Optimizer(model, Hybrid(((span(model, model.body), SPSA(1e-2, 8, rank=1)),)), lr=0.2, key=0)
    for _ in range(60):
        value = optimizer.step(loss, BATCH)
    assert optimizer._streams
    assert float(value) < 0.5  # type: ignore[arg-type]
    still = Net()
    for p in still.body.parameters():
        p.requires_grad_(False)
    alone = torch.optim.SGD(still.head.parameters(), lr=0.2)
    for _ in range(60):
        alone.zero_grad()
        loss(still, BATCH).mean().backward()
        alone.step()
    assert float(value) < float(loss(still, BATCH).detach().mean()) - 0.1  # type: ignore[arg-type]


LONG, SHORT = (BATCH[0][:6], BATCH[1][:6]), (BATCH[0][6:, :2], BATCH[1][6:])


@pytest.mark.parametrize("live", [True, False])
def test_long_examples_by_values_and_short_ones_by_autograd(live: bool) -> None:
    model = Net()
    closure = closure_of(model, (LONG, SHORT))
    home = closure.parameters.gather()
    estimator = ByExample(SPSA(1e-2, 2, rank=1), share=0.25)
    slope = (closure | estimator).gradient(torch.empty_like(home, device="meta") if live else home, Key(4))
    assert closure.ledger.counts == {"value": 4, "gradient": 1}
    assert closure.batch == (LONG, SHORT)
    of_long = closure_of(model, LONG)
    alone = (of_long | SPSA(1e-2, 2, rank=1)).gradient(torch.empty_like(home, device="meta"), Key(4)).gradient
    found = slope.gradient if isinstance(slope.gradient, Tensor) else slope.gradient.dense(home)
    expected = 0.25 * alone.dense(home) + 0.75 * exact(model, SHORT)  # type: ignore[union-attr]
    assert torch.allclose(found, expected, atol=2e-3)
    assert slope.loss == pytest.approx(
        0.25 * float(loss(model, LONG).detach().mean()) + 0.75 * float(loss(model, SHORT).detach().mean()), abs=1e-3
    )


def test_a_function_may_part_the_batch_and_leave_a_part_out() -> None:
    def by_length(batch: Any) -> Any:
        long = batch[0][:, 2:].any(1)
        pick = [(batch[0][chosen], batch[1][chosen]) for chosen in (long, ~long)]
        return tuple(part if len(part[0]) else None for part in pick)

    model = Net()
    here = torch.empty(723, device="meta")
    home = Parameters(model.parameters()).gather()
    words = BATCH[0].clone()
    words[:, 2:] = 0
    estimator = ByExample(SPSA(1e-2), 0.5, by_length)
    short_only = (closure_of(model, (words, BATCH[1])) | estimator).gradient(here, Key(0)).gradient
    assert torch.allclose(short_only.dense(home), exact(model, (words, BATCH[1])), atol=1e-6)  # type: ignore[union-attr]
    words[:5, 2] = 1
    both = closure_of(model, (words, BATCH[1]))
    (both | estimator).gradient(here, Key(0))
    assert both.ledger.counts == {"value": 2, "gradient": 1}


def test_what_cannot_be_parted_says_so() -> None:
    with pytest.raises(InvalidValue, match="share"):
        ByExample(SPSA(), 1.5)
    with pytest.raises(InvalidValue, match="estimator of gradients from values"):
        ByExample(Hybrid((((0, 1), SPSA()),)))
    here = torch.empty(723, device="meta")
    with pytest.raises(InvalidValue, match=r"\(forward-only, autograd\), got Tensor"):
        (closure_of(Net(), torch.ones(3)) | ByExample(SPSA(1e-2))).gradient(here, Key(0))
    without = Closure(Parameters([torch.zeros(3)]), lambda: 0.0)
    with pytest.raises(MissingAnswer, match="knows none"):
        (without | ByExample(SPSA(1e-2))).gradient(torch.zeros(3), Key(0))


def test_examples_train_by_both() -> None:
    model = Net()
    optimizer = Optimizer(model, ByExample(SPSA(1e-2, 8, rank=1), share=0.3), lr=0.3, key=0)
    before = float(loss(model, BATCH).detach().mean())
    for _ in range(60):
        optimizer.step(loss, (LONG, SHORT))
    after = [float(loss(model, part).detach().mean()) for part in (LONG, SHORT)]
    assert before > 1
    assert after[0] < 0.6
    assert after[1] < 0.2
