"""Examples with directions of their own: exact within the forward, unbiased, of the variance that theory says."""

import math
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.direction import Combination
from descend.direction.flipout import Flipout
from descend.errors import CompositionError, InvalidValue, MissingAnswer, ShapeMismatch
from descend.estimate.per_example import PerExample
from descend.key import Key
from descend.layout import Layout, Parameters
from descend.oracle import Closure, Raise
from descend.oracle.examples import Examples, Over
from descend.torch_optim import Optimizer
from descend.torch_optim.replay import replay

DOUBLE = torch.zeros((), dtype=torch.float64)


class Words(nn.Module):
    """A table, a convolution, a norm, linear layers with and without rules, and a product with a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.inner, self.norm = nn.Embedding(20, 8), nn.Linear(8, 16), nn.LayerNorm(16)
        self.filters, self.bare = nn.Conv1d(8, 6, 3), nn.Parameter(torch.empty(16, 4))
        for i, p in enumerate(self.parameters()):
            p.data.copy_(0.3 * Key(i).normal(*p.shape, like=p.data))

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        h = self.table(words)
        extra = self.filters(h.transpose(1, 2)).mean((1, 2))
        h = torch.tanh(self.norm(self.inner(h)))
        if not mask.all():  # a branch on which examples differ
            h = h * mask[..., None]
        return h.sum(1) @ self.bare + extra[:, None]


def words_batch(n: int = 6) -> dict[str, Any]:
    mask = torch.ones(n, 5)
    mask[::2, 3:] = 0
    return {"words": Key(9).integers(0, 20, n, 5), "mask": mask, "label": Key(8).integers(0, 4, n)}


def words_loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    return F.cross_entropy(model(batch["words"], batch["mask"]), batch["label"], reduction="none")


def closure_of(model: nn.Module, loss: Any, batch: Any) -> tuple[Closure, Tensor]:
    names, tensors = zip(*model.named_parameters(), strict=True)
    parameters = Parameters(tensors, names)
    closure = Closure(parameters, Over(loss, model, batch), model=model, on_failure=Raise())
    closure.functional = True
    return closure, torch.empty(parameters.size, dtype=parameters.dtype, device="meta")


def materialised(model: nn.Module, loss: Any, examples: Examples, moves: Tensor) -> Tensor:
    """The loss of every example at its own point, (b,), one model at a time."""
    parameters = Parameters(model.parameters())
    home, answers = parameters.gather(), []
    for i, move in enumerate(moves):
        parameters.scatter(home + move)
        answers.append(float(loss(model, examples.one(i % examples.count)).detach().mean()))
    parameters.scatter(home)
    return torch.tensor(answers, dtype=torch.float64)


@pytest.mark.parametrize("rank", [None, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_example_sees_the_model_moved_along_its_own_direction(rank: int | None, dtype: torch.dtype) -> None:
    model, batch = Words().to(dtype), words_batch()
    closure, here = closure_of(model, words_loss, batch)
    before = [p.detach().clone() for p in model.parameters()]
    z = PerExample(rank=rank).directions(12, here, Key(3), closure.layout)
    scales = torch.tensor([[-0.1, 0.1, 0.0]], dtype=torch.float64).repeat(12, 1)
    values = closure.apart(here, z, scales, Key(0))
    assert closure._apart.together, closure._apart.reason
    assert closure.ledger.counts == {"value": 6}  # two directions for each example, three distances
    assert not closure.population.unseen
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    dense = z.dense(before[0])
    for column in range(3):
        expected = materialised(model, words_loss, Examples(batch), scales[:, column, None].to(dense) * dense)
        assert torch.allclose(values[:, column], expected, atol=1e-5 if dtype == torch.float32 else 1e-12)
    assert float((values[:6] - values[6:]).abs().max()) > 1e-3


def test_what_vmap_cannot_run_is_asked_one_example_at_a_time() -> None:
    def through_numpy(model: nn.Module, batch: Any) -> float:
        return float(words_loss(model, batch).detach().double().numpy().sum())

    answers = []
    for loss in (words_loss, through_numpy):
        closure, here = closure_of(Words(), loss, words_batch())
        z = Flipout(Key(3), 6, closure.layout)  # type: ignore[arg-type]
        scales = torch.full((6, 1), 0.1, dtype=torch.float64)
        if loss is through_numpy:
            with pytest.warns(RuntimeWarning, match="one example at a time"):
                answers.append(closure.apart(here, z, scales, Key(0)))
            assert not closure._apart.together
        else:
            answers.append(closure.apart(here, z, scales, Key(0)))
        assert closure.ledger.counts == {"value": 1}
    assert torch.allclose(answers[0], answers[1], atol=1e-5)


def linear_problem() -> tuple[nn.Module, Any, Any, Tensor]:
    """Losses that are linear in the parameters, with the gradient of every example, (b, d)."""
    model, n = nn.Linear(6, 4).double(), 5
    x, c = Key(1).normal(n, 6, like=DOUBLE), 0.3 + Key(2).normal(n, 4, like=DOUBLE)
    gradients = torch.cat([(c[:, :, None] * x[:, None]).flatten(1), c], 1)
    return model, lambda m, b: (m(b[0]) * b[1]).sum(1), (x, c), gradients


def moments(samples: int, keys: int = 1500) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean of the estimate with its standard errors, and of its square length, from the directions themselves."""
    _, _, _, gradients = linear_problem()
    layout, n = Layout(("w", "b"), ((4, 6), (4,))), len(gradients)
    estimates = []
    for seed in range(keys):
        z = Flipout(Key(seed), n * samples, layout).dense(DOUBLE)
        weights = (z * gradients.repeat(samples, 1)).sum(1) / len(z)
        estimates.append(weights @ z)
    all_ = torch.stack(estimates)
    squares = all_.square().sum(1)
    return all_.mean(0), all_.std(0) / math.sqrt(keys), squares.mean(), squares.std() / math.sqrt(keys)


def test_the_estimate_is_what_its_formula_says() -> None:
    model, loss, batch, gradients = linear_problem()
    closure, here = closure_of(model, loss, batch)
    slope = (closure | PerExample(radius=0.25, samples=2)).gradient(here, Key(7))
    z = PerExample().directions(10, here, Key(7), closure.layout).dense(DOUBLE)
    expected = (z * gradients.repeat(2, 1)).sum(1) / 10
    assert isinstance(slope.gradient, Combination)
    assert torch.allclose(torch.tensor(slope.gradient.terms[0][0], dtype=torch.float64), expected, atol=1e-12)
    assert slope.loss == pytest.approx(float(loss(model, batch).detach().mean()))  # linear: the mean of the pair
    remade = PerExample().combination(slope.gradient.terms[0][0], here, Key(7), closure.layout)
    assert torch.equal(remade.dense(DOUBLE), slope.gradient.dense(DOUBLE))
    relative = (closure | PerExample(radius=0.25, samples=2, relative=True)).gradient(here, Key(7)).gradient
    assert isinstance(relative, Combination)
    size = (10 * expected).square().mean().sqrt()
    assert torch.allclose(torch.tensor(relative.terms[0][0], dtype=torch.float64), expected / size)


@pytest.mark.parametrize("samples", [1, 2])
def test_mean_and_second_moment(samples: int) -> None:
    _, _, _, gradients = linear_problem()
    mean, error, square, square_error = moments(samples)
    g, (n, d) = gradients.mean(0), gradients.shape
    assert float(((mean - g) / error).abs().max()) < 3.5  # the largest of 28
    own = float(gradients.square().sum(1).mean())
    # every example's own direction: n * samples of them; two directions of one example meet only in its own gradient
    theory = float(g @ g) + (d - 1) * own / (n * samples)
    assert abs(float(square) - theory) < 3 * float(square_error)
    shared = d * float(g @ g)  # what one direction for all would have
    assert abs(float(square) - shared) > 10 * float(square_error)


def test_an_example_that_fails_is_left_out() -> None:
    model, _, (x, c), gradients = linear_problem()

    def loss(m: nn.Module, b: Any) -> Tensor:
        value = (m(b[0]) * b[1]).sum(1)
        return torch.where(b[0][:, 0] == x[2, 0], torch.full_like(value, math.nan), value)

    names, tensors = zip(*model.named_parameters(), strict=True)
    closure = Closure(Parameters(tensors, names), Over(loss, model, (x, c)), model=model)
    here = torch.empty(28, dtype=torch.float64, device="meta")
    gradient = (closure | PerExample(radius=0.25)).gradient(here, Key(7)).gradient
    assert isinstance(gradient, Combination)
    weights = torch.tensor(gradient.terms[0][0], dtype=torch.float64)
    z = PerExample().directions(5, here, Key(7), closure.layout).dense(DOUBLE)
    expected = (z * gradients).sum(1) / 4
    expected[2] = 0
    assert torch.allclose(weights, expected)
    assert closure.ledger.failures == 2


def test_batch_norms_are_refused_while_they_train() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    closure, here = closure_of(model, lambda m, b: m(b).sum(1), torch.ones(5, 3))
    with pytest.raises(CompositionError, match=r"1 is a batch norm.*model.eval\(\)"):
        (closure | PerExample()).gradient(here, Key(0))
    model.eval()
    assert (closure | PerExample()).gradient(here, Key(0)).is_finite()


@pytest.mark.parametrize("wrong", [{"radius": 0.0}, {"samples": 0}, {"rank": 0}, {"radius": math.nan}])
def test_wrong_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        PerExample(**wrong)


def test_without_a_batch_there_are_no_examples() -> None:
    closure = Closure(Parameters([torch.zeros(3)]), lambda: 0.0)
    with pytest.raises(MissingAnswer, match="knows no batch"):
        (closure | PerExample()).gradient(torch.empty(3, device="meta"), Key(0))


Pair = namedtuple("Pair", "x y")


@dataclass
class Named:
    x: Tensor
    rest: Any


def test_batches_of_any_form_are_taken_apart_and_put_together() -> None:
    x, y = torch.arange(6).view(3, 2), torch.arange(3)
    batch = Named(x, [Pair(y, {"deep": (y + 1, None)}), 2.5, torch.tensor(4), "text"])
    examples = Examples(batch)
    one = examples.one(2)
    assert type(one) is Named
    assert type(one.rest[0]) is Pair
    assert one.x.tolist() == [[4, 5]]
    assert one.rest[0].y["deep"][0].tolist() == [3]
    assert one.rest[1:] == [2.5, torch.tensor(4), "text"]
    assert examples.count == 3


def test_batches_that_cannot_be_taken_apart_say_why() -> None:
    with pytest.raises(ShapeMismatch, match=r"batch\['x'\] has 3 examples and batch\['w'\]\[0\] has 4"):
        Examples({"x": torch.ones(3, 2), "w": [torch.ones(4)]})
    with pytest.raises(ShapeMismatch, match="no tensor with an axis of examples"):
        Examples({"scale": 2.0, "none": torch.tensor(1.0)})
    with pytest.raises(InvalidValue, match=r"batch\[1\] is a set"):
        Examples((torch.ones(3), {1, 2}))


def test_random_numbers_of_the_loss_differ_between_examples_and_not_between_questions() -> None:
    model = nn.Sequential(nn.Linear(50, 1), nn.Dropout(0.5))
    closure, here = closure_of(model, lambda m, b: m[0](m[1](b)).sum(1), torch.ones(4, 50))
    z = Flipout(Key(1), 4, closure.layout)  # type: ignore[arg-type]
    still = torch.zeros(4, 2, dtype=torch.float64)
    values = closure.apart(here, z, still, Key(0))
    assert torch.equal(values[:, 0], values[:, 1])
    assert len(set(values[:, 0].tolist())) == 4
    assert not torch.equal(values, closure.apart(here, z, still, Key(1)))


@pytest.mark.parametrize("rank", [None, 1])
def test_it_trains_a_classifier(rank: int | None) -> None:
    centres = Key(1).normal(3, 10, like=torch.zeros(()))
    label = torch.arange(60) % 3
    x = centres[label] + 0.5 * Key(2).normal(60, 10, like=torch.zeros(()))
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))
    for i, p in enumerate(model.parameters()):
        p.data.copy_(0.3 * Key(i).normal(*p.shape, like=p.data))

    def loss(m: nn.Module, b: Any) -> Tensor:
        return F.cross_entropy(m(b[0]), b[1], reduction="none")

    optimizer = Optimizer(model, PerExample(radius=1e-2, rank=rank), lr=0.05, key=0)
    before = float(loss(model, (x, label)).detach().mean())
    for t in range(150):
        some = Key(5).fold(t).integers(0, 60, 32)
        optimizer.step(loss, (x[some], label[some]))
    assert before > 1.0
    assert float(loss(model, (x, label)).detach().mean()) < 0.35
    assert float((model(x).argmax(1) == label).float().mean()) > 0.9


@pytest.mark.parametrize("rank", [None, 1])
def test_a_recorded_run_over_batches_of_several_sizes_is_made_again(rank: int | None, tmp_path: Any) -> None:
    def made() -> nn.Module:
        model = Words()
        return model.eval()

    model = made()
    optimizer = Optimizer(model, PerExample(1e-2, rank=rank), lr=0.05, key=4)
    with optimizer.record(tmp_path / "run.descend"):
        for t in range(12):
            optimizer.step(words_loss, words_batch(3 + t % 4))
    again = replay(made(), tmp_path / "run.descend")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))
    assert not torch.equal(model.bare, made().bare)  # type: ignore[arg-type]
