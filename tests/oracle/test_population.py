"""A population as one forward: every member is the model moved, nothing is written; what cannot run so runs singly."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import descend as dd
from descend.direction import LowRank, Seeded
from descend.errors import MissingAnswer
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law
from descend.oracle import Closure
from descend.oracle.population import Population

WIDTH = 12


class Net(nn.Module):
    """Linear layers, an embedding, norms, attention, a convolution, positions, tied weights, a frozen layer."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(20, WIDTH)
        self.places = nn.Parameter(torch.randn(1, 6, WIDTH) * 0.1)
        self.attention = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True)
        self.mix = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=2)
        self.frozen = nn.Linear(WIDTH, WIDTH).requires_grad_(False)
        self.norm = nn.LayerNorm(WIDTH)
        self.gate = nn.Parameter(torch.ones(WIDTH))
        self.to(dtype)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.attention(self.words(words) + self.places)
        x = self.frozen(self.mix(x.transpose(1, 2)).transpose(1, 2)) * self.gate
        return self.norm(x) @ self.words.weight.t()  # the output shares the embedding's table


def each(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(batch).flatten(0, 1), batch.flatten(), reduction="none").view(batch.shape).mean(1)


def setting(dtype: torch.dtype = torch.float64) -> tuple[Net, torch.Tensor, Parameters]:
    model = Net(dtype).eval()
    batch = torch.randint(0, 20, (5, 6), generator=torch.Generator().manual_seed(1))
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return model, batch, Parameters([p for _, p in named], [n for n, _ in named])


def losses(model: nn.Module, batch: torch.Tensor, point: Parameters, at: torch.Tensor) -> torch.Tensor:
    """The losses with the parameters really moved."""
    home = point.gather()
    try:
        point.scatter(at)
        with torch.no_grad():
            return each(model, batch)
    finally:
        point.scatter(home)


@pytest.mark.parametrize("rank", [None, 1, 3])
@pytest.mark.parametrize("activations", [2**23, 1], ids=["together", "in turn"])
def test_every_member_is_the_model_moved(rank, activations):
    model, batch, point = setting()
    x = point.gather()
    z = Seeded(Key(3), Law.SIGN, 4, point.size) if rank is None else LowRank(Key(3), Law.NORMAL, 4, rank, point.layout)
    closure = Closure(point, lambda: each(model, batch), model=model)
    closure.functional, closure.population.activations = True, activations
    scales = torch.tensor([[-0.02, 0.02]] * 4, dtype=torch.float64)
    here = torch.empty(point.size, device="meta")
    found, singly = closure.along(here, z, scales, Key(0)), closure.examples(here, z, scales, Key(0))
    assert closure.population.together
    assert not closure.population.unseen
    dense = z.dense(x)
    for i in range(4):
        for k in range(2):
            expected = losses(model, batch, point, x + scales[i, k] * dense[i])
            torch.testing.assert_close(singly[i, k], expected, rtol=1e-9, atol=1e-9)
            assert float(found[i, k]) == pytest.approx(float(expected.mean()), rel=1e-9)
    assert torch.equal(point.gather(), x)
    assert closure.ledger.counts["value"] == 16


def test_the_frozen_layer_is_not_moved_and_the_tied_one_once():
    _, _, point = setting()
    assert sum(name.startswith("frozen") for name in point.layout.names) == 0
    assert point.layout.names.count("words.weight") == 1


@pytest.mark.parametrize("where", range(8))
@pytest.mark.parametrize("how", [ValueError("bad"), KeyboardInterrupt(), SystemExit()], ids=lambda e: type(e).__name__)
def test_nothing_is_left_behind_when_the_loss_stops(where, how):
    """Wherever it stops, parameters and buffers are as they were, and so is torch's own state."""
    model, batch, _ = setting()
    calls = 0

    def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls - 1 == where:
            raise how
        return each(model, batch)

    optimizer = dd.Optimizer(model, dd.SPSA(1e-3, samples=3, rank=1), lr=1e-9, key=0)
    optimizer.population.activations = 1  # one member at a time: six forwards a step
    before = {name: t.clone() for name, t in model.state_dict().items()}
    random = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            optimizer.step(loss, batch)
        except (KeyboardInterrupt, SystemExit):
            assert isinstance(how, type(how))
            assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.func.vmap(lambda x: x + 1)(torch.ones(2)).tolist() == [2, 2]
    calls = 10**9
    assert torch.isfinite(optimizer.step(loss, batch))


def test_a_member_that_fails_takes_its_pair_out():
    model, batch, _ = setting(torch.float32)

    def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        found = each(model, batch)
        return torch.where(found.mean() > limit, torch.full_like(found, torch.nan), found)

    limit = torch.inf
    plain = dd.Optimizer(model, dd.Evolution(8, 0.05), lr=1e-9, key=0)
    plain.step(loss, batch)
    oracle, here = plain._lifted, torch.empty(plain.parameters.size, device="meta")
    with torch.no_grad():
        values = plain._closure.along(here, oracle.estimator.directions(here, Key(1), oracle.layout), SCALES, Key(1))
    limit = float(values.max(1).values.sort().values[-2]) - 1e-6
    slope = oracle.gradient(here, Key(1))
    weights = slope.gradient.terms[0][0]
    assert sum(w == 0 for w in weights) == 2
    assert slope.is_finite()
    assert plain.ledger.failures >= 2
    limit = -torch.inf
    assert not oracle.gradient(here, Key(1)).is_finite()


SCALES = torch.tensor([[-0.05, 0.05]] * 8, dtype=torch.float64)


def test_what_leaves_torch_runs_one_by_one_with_one_warning():
    model, batch, _ = setting()

    def score(model: nn.Module, batch: torch.Tensor) -> float:
        return float((model(batch).argmax(-1) != batch).double().mean())

    optimizer = dd.Optimizer(model, dd.Evolution(4, 0.05, shaping="ranks"), lr=1e-3, key=0)
    optimizer.population.activations = 10**9
    optimizer.step(score, batch)  # the first forward goes alone, to learn how large a member is
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer.step(score, batch)
        optimizer.step(score, batch)
    reason = optimizer.population.reason
    assert reason
    assert sum("member by member" in str(w.message) for w in caught) <= 1
    assert optimizer.ledger.counts["value"] >= 24


def test_buffers_of_a_model_in_training_are_left_alone_and_no_probe_sees_another():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1)).train()
    model.register_buffer("count", torch.zeros(()))

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))
            self.register_buffer("mean", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen += 1
            self.mean = 0.5 * self.mean + x.mean(0)  # assigned, not written
            return x * (1 + 0 * self.seen)

    model = nn.Sequential(Counting(), model)
    batch = torch.randn(16, 4)

    def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return model(batch).square().mean(1)

    before = {name: t.clone() for name, t in model.state_dict().items()}
    parameters = {name for name, _ in model.named_parameters()}
    for estimator in (dd.SPSA(1e-3), dd.SPSA(1e-3, samples=2, rank=1), dd.Evolution(4, 1e-2, rank=None)):
        optimizer = dd.Optimizer(model, estimator, lr=0.0, key=0)
        for _ in range(3):
            optimizer.step(loss, batch)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), (name, estimator)
    assert parameters < set(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_thousand_estimates_change_no_bit(dtype):
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)
    batch = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = [p.detach().clone() for p in model.parameters()]
    for estimator in (dd.SPSA(1e-3), dd.SPSA(1e-3, rank=1), dd.Evolution(2, 1e-3)):
        optimizer = dd.Optimizer(model, estimator, lr=0.0, key=0)
        for _ in range(334):
            optimizer.step(lambda m, b: m(b).float().square().mean(1), batch)
        assert optimizer.rejected == 0
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("rank", [None, 1])
def test_a_move_smaller_than_the_grid_of_bfloat16_is_not_lost(rank):
    """In the weights' own grid such a move at a weight of 1 is lost in part; added in float32 it is not."""
    torch.manual_seed(0)
    narrow = nn.Linear(64, 64).to(torch.bfloat16)
    with torch.no_grad():
        narrow.weight.copy_(1 + torch.rand(64, 64))
    wide = nn.Linear(64, 64)
    wide.load_state_dict({name: t.float() for name, t in narrow.state_dict().items()})
    x = torch.randn(8, 64).bfloat16()
    found = {}
    for model, inputs in ((narrow, x), (wide, x.float())):
        point = Parameters(list(model.parameters()))
        z = Seeded(Key(2), Law.SIGN, 1, point.size) if rank is None else LowRank(Key(2), Law.SIGN, 1, 1, point.layout)
        population = Population(point)
        outputs = []
        with torch.no_grad():
            for scale in (-1e-2, 1e-2):
                with population.probe(z, 0, scale):
                    outputs.append(model(inputs).float())
        found[model] = outputs[1] - outputs[0]
    error = (found[narrow] - found[wide]).norm() / found[wide].norm()
    assert float(error) < 0.4
    moved = narrow.weight.detach() + torch.full_like(narrow.weight, 1e-3)  # what a copy in bfloat16 would be
    assert float((moved != narrow.weight).float().mean()) < 0.5


def test_autocast_does_not_round_the_move_away():
    torch.manual_seed(0)
    model = nn.Linear(32, 32)
    x = torch.randn(4, 32)
    point = Parameters(list(model.parameters()))
    population = Population(point)
    z = LowRank(Key(2), Law.SIGN, 1, 1, point.layout)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        with population.probe(z, 0, 1e-4):
            moved = model(x)
        assert moved.dtype == torch.bfloat16


def test_a_loss_that_answers_one_number_has_no_baseline_per_example():
    model, batch, _ = setting()
    optimizer = dd.Optimizer(model, dd.Evolution(2, shaping="per-example"), lr=1e-3, key=0)
    with pytest.raises(MissingAnswer, match="one number per example"):
        optimizer.step(lambda m, b: each(m, b).mean(), batch)


def test_a_model_may_use_vmap_itself():
    """Then the members are one level further out."""
    weight = nn.Parameter(torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.func.vmap(lambda row: F.linear(row, self.weight))(x)

    report = dd.check_forward(Inner(), torch.randn(4, 3, dtype=torch.float64))
    assert report.passed
    assert report.together
