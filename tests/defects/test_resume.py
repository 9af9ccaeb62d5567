"""A saved optimizer goes on in a new process bit for bit, and is saved as torch saves one.

This file is also the program of that process: with the name of a folder it finishes every run that was cut there.
"""

import copy
import io
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.errors import StateMismatch
from descend.step import StrongWolfe
from descend.testing.parts import estimators, transforms
from descend.torch_optim import Optimizer

STEPS, CUTS = 10, 5


def _model() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Dropout(0.2), nn.Linear(3, 2))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(dd.Key(9).fold(i).normal(*p.shape, like=p) / 2)
    return model


def _closure(model: nn.Module) -> Callable[[], Tensor]:
    """The dropout masks come from the optimizer's key, so they too have to be resumed."""
    x = dd.Key(9).fold("x").normal(16, 4, like=torch.zeros(1))
    y = torch.stack([x.prod(1), x.sum(1)], 1)
    return lambda: (model(x) - y).square().mean()


def _groups(model: nn.Sequential, first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"params": model[0].parameters(), **first}, {"params": model[3].parameters(), **second}]


def _muon() -> tuple[Any, ...]:
    return dd.HeavyBall(0.9, nesterov=True), dd.Orthogonalize()


Make = Callable[[nn.Sequential, int], Optimizer]
CONFIGURATIONS: dict[str, Make] = {
    "SPSA": lambda m, key: Optimizer(m, dd.SPSA(1e-3), lr=1e-3, key=key),
    "SPSA, calibrated": lambda m, key: Optimizer(m, dd.SPSA(), key=key),
    "SPSA, schedule": lambda m, key: Optimizer(m, dd.SPSA(lambda t: 1e-2 / (t + 1)), lr=dd.Power(1e-2), key=key),
    "SPSA, Adam": lambda m, key: Optimizer(m, dd.SPSA(), dd.Adam(), lr=1e-2, key=key),
    "RDSA, HeavyBall, norm": lambda m, key: Optimizer(
        m, dd.RDSA(samples=4), dd.HeavyBall(), dd.ClipNorm(1.0), lr=1e-2, key=key
    ),
    "MeZO": lambda m, key: Optimizer(m, dd.MeZO(), lr=1e-4, key=key),
    "smoothing, NAdam": lambda m, key: Optimizer(m, dd.GaussianSmoothing(1e-2, 8), dd.NAdam(), lr=1e-2, key=key),
    "FiniteDifference, BFGS, Backtracking": lambda m, key: Optimizer(
        m, dd.FiniteDifference("forward"), dd.BFGS(), dd.Backtracking(), key=key
    ),
    "FiniteDifference, LBFGS": lambda m, key: Optimizer(m, dd.FiniteDifference(), dd.LBFGS(), lr=0.5, key=key),
    "LBFGS, Wolfe": lambda m, key: Optimizer(m, dd.LBFGS(), StrongWolfe(), key=key),
    "trust region": lambda m, key: Optimizer(m, dd.TrustRegion(), key=key),
    "Adam": lambda m, key: Optimizer(m, dd.Adam(amsgrad=True), lr=1e-2, key=key),
    "AdamW, groups": lambda m, key: Optimizer(
        _groups(m, {"lr": 1e-2, "weight_decay": 0.1}, {"betas": (0.5, 0.9)}), dd.AdamW(), lr=1e-3, key=key
    ),
    "SPSA, groups": lambda m, key: Optimizer(
        _groups(m, {"radius": 1e-2}, {"radius": 1e-3}), dd.SPSA(), lr=1e-3, key=key
    ),
    "hybrid": lambda m, key: Optimizer(_groups(m, {"estimator": dd.SPSA(1e-3)}, {}), dd.Adam(), lr=1e-2, key=key),
    "Muon": lambda m, key: Optimizer(m, *_muon(), lr=1e-2, key=key),
    "SPSA, Muon": lambda m, key: Optimizer(m, dd.SPSA(), *_muon(), lr=1e-2, key=key),
    "Rprop": lambda m, key: Optimizer(m, dd.Rprop(), key=key),
    "averaged": lambda m, key: Optimizer(m, dd.Lion(), dd.IterateAverage(), lr=1e-3, key=key),
}


def _cuts(name: str) -> list[int]:
    return sorted(random.Random(name).sample(range(1, STEPS), CUTS))


def _parameters(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def finish(folder: Path) -> None:
    """What the new process does: every run that was cut, from where it was cut, to its end."""
    torch.set_num_threads(1)
    ends = {}
    for name, make in CONFIGURATIONS.items():
        for cut in _cuts(name):
            saved = torch.load(folder / f"{name} {cut}.pt", weights_only=True)
            model = _model()
            model.load_state_dict(saved["model"])
            optimizer = make(model, 12345)  # another key: the saved one has to be taken over
            optimizer.load_state_dict(saved["optimizer"])
            closure = _closure(model)
            losses = [optimizer.step(closure) for _ in range(cut, STEPS)]
            ends[f"{name} {cut}"] = [*_parameters(model), torch.stack(losses), torch.tensor(optimizer.ledger.total)]  # type: ignore[arg-type]
    torch.save(ends, folder / "ends.pt")


def test_every_configuration_goes_on_in_a_new_process_bit_for_bit(tmp_path: Path) -> None:
    expected: dict[str, list[Tensor]] = {}
    for name, make in CONFIGURATIONS.items():
        model = _model()
        optimizer, closure, losses = make(model, 0), _closure(model), []
        start = _parameters(model)
        for t in range(STEPS):
            if t in _cuts(name):
                saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(saved, tmp_path / f"{name} {t}.pt")
            losses.append(optimizer.step(closure))
        assert not any(torch.equal(a, b) for a, b in zip(start, _parameters(model), strict=True)), (
            f"{name} trained nothing"
        )
        total = torch.tensor(optimizer.ledger.total)
        expected |= {f"{name} {cut}": [*_parameters(model), torch.stack(losses[cut:]), total] for cut in _cuts(name)}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, env=environment, timeout=300)
    ends = torch.load(tmp_path / "ends.pt", weights_only=True)
    assert set(ends) == set(expected)
    other = [
        name for name in expected if not all(torch.equal(a, b) for a, b in zip(ends[name], expected[name], strict=True))
    ]
    assert not other, f"went another way after being resumed: {other}"


def _train(optimizer: Optimizer, model: nn.Module, steps: int) -> list[Tensor]:
    closure = _closure(model)
    for _ in range(steps):
        optimizer.step(closure)
    return _parameters(model)


def _same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def _pickled(things: Any) -> Any:
    return pickle.loads(pickle.dumps(things))


PICKLABLE = {name: make for name, make in CONFIGURATIONS.items() if "schedule" not in name}


@pytest.mark.parametrize("after", [0, 4])
@pytest.mark.parametrize("way", [copy.deepcopy, _pickled], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", PICKLABLE)
def test_a_copy_trains_its_own_parameters_as_the_original_does(
    name: str, way: Callable[[Any], Any], after: int
) -> None:
    model = _model()
    optimizer = PICKLABLE[name](model, 0)
    _train(optimizer, model, after)
    other, copied = way((model, optimizer))
    before = _parameters(other)
    ends = _train(optimizer, model, 4)
    assert _same(_parameters(other), before), "the copy shares memory with the original"
    assert _same(_train(copied, other, 4), ends)
    assert not _same(before, ends)


def test_the_state_has_torchs_layout() -> None:
    model = _model()
    optimizer = CONFIGURATIONS["AdamW, groups"](model, 0)
    _train(optimizer, model, 2)
    ours = optimizer.state_dict()
    theirs = torch.optim.AdamW(_groups(model, {}, {}))
    assert set(ours) == set(theirs.state_dict()) == {"state", "param_groups"}
    assert set(ours["state"]) == set(range(4))
    assert [group["params"] for group in ours["param_groups"]] == [[0, 1], [2, 3]]
    for i, p in enumerate(model.parameters()):
        memories = [m for m in ours["state"][i].values() if isinstance(m, Tensor)]
        assert [m.shape for m in memories] == [p.shape] * 2
        assert all(m.data_ptr() != p.data_ptr() for m in memories)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_is_saved_and_loaded_without_running_code(name: str) -> None:
    model = _model()
    optimizer = CONFIGURATIONS[name](model, 0)
    for steps in (0, 2):
        _train(optimizer, model, steps)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        other = CONFIGURATIONS[name](_model(), 1)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert other.key == optimizer.key
        assert other.t == optimizer.t


@pytest.mark.parametrize("parts", [(dd.SPSA(1e-3),), (dd.MeZO(),)], ids=["SPSA", "MeZO"])
def test_a_method_without_memory_saves_none(parts: tuple[Any, ...]) -> None:
    model = nn.Linear(300, 300)
    optimizer = Optimizer(model, *parts, lr=1e-4, key=0)
    for _ in range(3):
        optimizer.step(lambda: model.weight.square().mean() + model.bias.square().mean())
    state = optimizer.state_dict()
    assert not [m for memory in state["state"].values() for m in memory.values() if isinstance(m, Tensor)]
    assert len(repr(state)) <= 1024
    assert not any(p.grad is not None for p in model.parameters())


def test_every_part_alone_resumes() -> None:
    """All transforms and all estimators, without a new process."""
    d = 4 * 3 + 3 + 3 * 2 + 2
    asks = {"Newton", "NewtonCG", "GaussNewton"}
    rows: list[tuple[Any, ...]] = [(e,) for e in estimators(d).values()]
    rows += [(t,) for name, t in transforms(d).items() if name not in asks]
    for parts in rows:
        model = _model()
        optimizer = Optimizer(model, *parts, lr=1e-3, key=0)
        _train(optimizer, model, 3)
        other = copy.deepcopy(model)
        resumed = Optimizer(other, *parts, lr=0.5, key=1)
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        assert _same(_train(optimizer, model, 3), _train(resumed, other, 3)), parts


def test_a_state_of_another_composition_is_refused_in_words() -> None:
    saved = CONFIGURATIONS["SPSA, Adam"](_model(), 0).state_dict()
    with pytest.raises(StateMismatch, match=r"parts \['RandomDirections', 'Adam'\].*\['Adam'\]"):
        CONFIGURATIONS["Adam"](_model(), 0).load_state_dict(saved)
    with pytest.raises(StateMismatch, match=r"groups of \[4\] parameters.*\[2, 2\]"):
        CONFIGURATIONS["AdamW, groups"](_model(), 0).load_state_dict(saved)
    with pytest.raises(StateMismatch, match="descend"):
        CONFIGURATIONS["Adam"](_model(), 0).load_state_dict(torch.optim.Adam(_model().parameters()).state_dict())
    trained = _model()
    optimizer = CONFIGURATIONS["Adam"](trained, 0)
    _train(optimizer, trained, 1)
    other = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Dropout(0.2), nn.Linear(3, 2))
    with pytest.raises(StateMismatch, match=r"shapes.*\(3, 4\).*\(3, 5\)"):
        CONFIGURATIONS["Adam"](other, 0).load_state_dict(optimizer.state_dict())


if __name__ == "__main__":
    finish(Path(sys.argv[1]))
