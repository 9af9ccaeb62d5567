"""On every model of the zoo the intercepted forward is the forward of a model whose parameters really were moved."""

import re
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from descend.direction import Directions, LowRank, Seeded
from descend.errors import InvalidValue
from descend.estimate import SPSA, Evolution
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law
from descend.oracle import Closure
from descend.oracle.check import check_forward
from descend.oracle.leaf import Randomness
from descend.torch_optim import Optimizer
from descend.transform import BFGS, Adam

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from zoo import TORCH, ZOO, moved

ASKED = Key(5)
SCALES = torch.tensor([[0.0, 0.1], [-0.1, 0.0]], dtype=torch.float64)
KINDS = {"sign": None, "rank 1": 1, "rank 4": 4}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """What the libraries of the zoo say about themselves, and which populations are asked member by member."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning, RuntimeWarning):
            warnings.simplefilter("ignore", category)
        yield


def trained(model: nn.Module) -> Parameters:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return Parameters([p for _, p in named], [name for name, _ in named])


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, Tensor]) -> list[str]:
    """Names of the parameters and buffers of which a bit is another."""
    after = model.state_dict()
    return [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]


def directions(kind: str, point: Parameters) -> Directions:
    rank = KINDS[kind]
    if rank is None:
        return Seeded(Key(3), Law.SIGN, 2, point.size)
    return LowRank(Key(3), Law.SIGN, 2, rank, point.layout)


def intercepted(name: str, dtype: torch.dtype, kind: str, together: bool) -> Tensor:
    """What the interception answers; nothing of the model has changed afterwards, not one bit."""
    model, batch = ZOO[name].made(dtype)
    point = trained(model)
    before = copied(model)
    calls: list[int] = []

    def loss() -> Tensor:
        calls.append(1)
        return ZOO[name].loss(model, batch)

    closure = Closure(point, loss, model=model)
    closure.population.together = together
    here = torch.empty(point.size, dtype=point.dtype, device="meta")
    values = closure.along(here, directions(kind, point), SCALES, ASKED)
    assert changed(model, before) == []
    assert all(p.grad is None for p in model.parameters())
    if together:  # one member to learn how large they are, then the two others as one
        # one to learn the size, one for all; two more tell whether parameters that were not seen are used
        assert (len(calls) in (2, 4)) == (not ZOO[name].apart), closure.population.reason
    return values


@cache
def reference(name: str, dtype: torch.dtype, kind: str) -> Tensor:
    """The same losses of models whose parameters were moved."""
    exhibit = ZOO[name]
    model, batch = exhibit.made(dtype)
    z = directions(kind, trained(model)).dense(torch.empty(0, dtype=dtype))
    values = []
    for row, scales in enumerate(SCALES.tolist()):
        for scale in scales:
            twin = moved(exhibit, dtype, scale * z[row])
            with torch.no_grad(), Randomness(ASKED):
                values.append(float(exhibit.loss(twin, batch)))
    return torch.tensor(values, dtype=torch.float64).view(SCALES.shape)


def dtype_of(name: str) -> torch.dtype:
    return torch.float32 if ZOO[name].single else torch.float64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ZOO)
def test_one_probe_at_a_time(name, kind):
    # double precision, so that a small parameter that is missed is not taken for a rounding error; but the models of
    # transformers take their norms and losses in single precision whatever they are made of
    tolerance = 1e-10 if name in TORCH else 3e-6
    dtype = dtype_of(name)
    found = intercepted(name, dtype, kind, together=False)
    torch.testing.assert_close(found, reference(name, dtype, kind), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["rank 1", "rank 4"])
@pytest.mark.parametrize("name", ZOO)
def test_a_population(name, kind):
    tolerance = 1e-10 if name in TORCH else 3e-6
    dtype = dtype_of(name)
    found = intercepted(name, dtype, kind, together=True)
    torch.testing.assert_close(found, reference(name, dtype, kind), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "together"), [("sign", False), ("rank 1", True)])
@pytest.mark.parametrize("name", ZOO)
def test_single_precision(name, kind, together):
    found = intercepted(name, torch.float32, kind, together)
    torch.testing.assert_close(found, reference(name, torch.float32, kind), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_of_the_zoo_matters(name):
    """Or else the tests above would not notice that it was missed."""
    exhibit = ZOO[name]
    dtype = dtype_of(name)
    model, batch = exhibit.made(dtype)
    point = trained(model)

    def loss(shift: Tensor) -> float:
        twin = moved(exhibit, dtype, shift)
        with torch.no_grad(), Randomness(ASKED):
            return float(exhibit.loss(twin, batch))

    still = torch.zeros(point.size, dtype=dtype)
    home = loss(still)
    z = 0.1 * Key(1).normal(point.size, like=still)
    for label, start, size in zip(point.layout.names, point.layout.offsets, point.layout.sizes, strict=True):
        shift = still.clone()
        shift[start : start + size] = z[start : start + size]
        effect = abs(loss(shift) - home)
        assert (effect < 1e-12) if re.search(exhibit.idle, label) else (effect > 2e-6), (label, effect)


@pytest.mark.parametrize("name", ZOO)
def test_check_forward_passes(name):
    model, batch = ZOO[name].made()
    before = copied(model)
    report = check_forward(model, batch, ZOO[name].loss)
    assert report.passed, str(report)
    assert report.escaped == ()
    assert all(re.search(ZOO[name].idle, label) for label in report.unused)
    assert report.together == (not ZOO[name].apart)
    assert changed(model, before) == []


class Reader(nn.Module):
    """y = x w' + v, with w and v reached in one of several ways."""

    def __init__(self, reach: str = "") -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)), nn.Parameter(torch.linspace(1, 2, 3))
        self.reach = reach
        self.array = self.v.detach().numpy()  # its memory
        self.view = self.w.detach()[1:]

    def forward(self, x: Tensor) -> Tensor:
        if self.reach == "an array made before":
            return x @ self.w.T + torch.from_numpy(self.array)
        if self.reach == "a view made before, beside the parameter":
            return x @ torch.cat([self.w[:1], self.view]).T + self.v
        if self.reach == "a compiled function":
            return scripted()(x, self.w) + self.v
        if self.reach == "another thread":
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(lambda: x @ self.w.detach().T).result() + self.v
        if self.reach == "storage":
            return x @ torch.empty(0).set_(self.w.untyped_storage(), 0, (3, 4)).T + self.v
        if self.reach == "vmap over the parameter":
            return torch.vmap(lambda row, shift: x @ row + shift, out_dims=1)(self.w, self.v)
        return x @ self.w.T + self.v


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w.t()


@cache
def scripted() -> Callable[[Tensor, Tensor], Tensor]:
    return torch.jit.script(product)


ESCAPES = {
    "an array made before": {"v"},
    "a view made before, beside the parameter": {"w"},
    "a compiled function": {"w"},
    "another thread": {"w"},
    "storage": {"w"},
    "vmap over the parameter": {"w", "v"},
}


def reader_loss(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).square().mean()


@pytest.mark.parametrize("reach", ESCAPES)
def test_check_forward_names_what_escapes(reach):
    model, x = Reader(reach), torch.linspace(-1, 1, 20).view(5, 4)
    before = copied(model)
    report = check_forward(model, x, reader_loss)
    assert not report.passed
    assert set(report.escaped) == ESCAPES[reach]
    assert all(name in str(report) for name in ESCAPES[reach])
    assert changed(model, before) == []
    assert check_forward(Reader(), x, reader_loss).passed


@pytest.mark.parametrize("reach", [reach for reach in ESCAPES if "beside" not in reach])
@pytest.mark.parametrize("rank", [None, 1])
def test_a_step_notices_what_escapes(reach, rank):
    """And moves the parameters themselves then: it goes where the same model without detours goes."""
    x = torch.linspace(-1, 1, 20).view(5, 4)
    ends = []
    for way in (reach, ""):
        model = Reader(way)
        optimizer = Optimizer(model, SPSA(radius=1e-2, samples=3, rank=rank), lr=0.1, key=0)
        for _ in range(3):
            optimizer.step(lambda model=model: reader_loss(model, x))
        ends.append(optimizer.parameters.gather())
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ends[0], Parameters(Reader().parameters()).gather(), atol=0.05)


@pytest.mark.parametrize("estimator", [SPSA(radius=1e-2), SPSA(radius=1e-2, rank=2), Evolution(pairs=2)], ids=str)
@pytest.mark.parametrize("name", ["frozen", "quantized-scales", "lora", "dora", "ia3", "prefix-tuning"])
def test_what_is_frozen_stays_where_it_is(name, estimator):
    model, batch = ZOO[name].made()
    before = copied(model)
    optimizer = Optimizer(model, estimator, lr=1e-2, key=0)
    optimizer.step(ZOO[name].loss, batch)
    free = {label for label, p in model.named_parameters() if p.requires_grad}
    assert set(changed(model, before)) == free
    assert 0 < len(free) < len(before)


PARTS = {
    "pair": [SPSA()],
    "adam": [SPSA(samples=2), Adam()],
    "rank 1": [SPSA(rank=1)],
    "evolution": [Evolution(pairs=2)],
    "whole point": [SPSA(samples=2), BFGS()],
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", ["volumes", "resnet", "parametrized", "assigned-buffer"])
def test_a_step_leaves_buffers_as_they_were(name, parts):
    model, batch = ZOO[name].made()
    before = copied(model)
    optimizer = Optimizer(model, *PARTS[parts], lr=1e-3, key=0)
    optimizer.step(ZOO[name].loss, batch)
    assert set(changed(model, before)) == {label for label, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("model", "radius", "words"),
    [
        (torch.relu, 1e-2, "checks a module, got builtin"),
        (torch.nn.Linear(2, 2), 0.0, "radius must be a finite number > 0"),
    ],
)
def test_a_check_of_nothing_is_refused(model, radius, words):
    with pytest.raises(InvalidValue, match=words):
        check_forward(model, torch.ones(1, 2), radius=radius)
