"""A recorded run replayed from the model it started from gives the trained weights, bit for bit."""

import copy
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from descend.direction import BLOCK
from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.estimate import SPSA, Evolution, FiniteDifference, MeZO, SphereSmoothing
from descend.step import Backtracking, Cosine
from descend.torch_optim import retrace
from descend.torch_optim.replay import replay
from descend.torch_optim.rounding import Feedback, Rounding, Stochastic
from descend.torch_optim.trajectory import Damaged, Tag, Trajectory
from descend.transform import Adam, ClipNorm, ClipValue, HeavyBall, IterateAverage, Lion, Rprop, Sign, WeightDecay

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from recorded_runs import INPUTS, LABELS, Recording, equal, loss_of, network, recorded, train

RUNS: dict[str, tuple[Any, ...]] = {
    "signs": (SPSA(1e-2),),
    "own gains": (SPSA(),),
    "normal": (MeZO(),),
    "sphere": (SphereSmoothing(1e-2),),
    "several": (SPSA(1e-2, samples=3),),
    "one-sided": (SPSA(1e-2, samples=4, formula="forward", baseline="leave-one-out"),),
    "antithetic": (SPSA(1e-2, samples=4, coupling="antithetic"),),
    "orthogonal": (SPSA(1e-2, samples=4, coupling="orthogonal"),),
    "quasi": (SPSA(1e-2, samples=4, coupling="quasi"),),
    "schedule": (SPSA(lambda t: 0.1 / (t + 1)),),
    "rank 1": (SPSA(1e-2, rank=1),),
    "rank 2 held": (SPSA(1e-2, samples=2, rank=2, hold=5),),
    "evolution": (Evolution(pairs=4),),
    "dense evolution": (Evolution(pairs=4, rank=None, shaping="ranks", law="normal"),),
    "Adam": (SPSA(1e-2), Adam()),
    "momentum": (SPSA(1e-2, samples=2), HeavyBall(0.9, nesterov=True)),
    "decay": (SPSA(1e-2), WeightDecay(0.1)),
    "long chain": (Evolution(pairs=3), WeightDecay(0.01), ClipValue(0.5), HeavyBall(), Sign()),
    "Lion": (SPSA(1e-2), Lion()),
    "Rprop": (SPSA(1e-2), Rprop()),
    "average": (SPSA(1e-2), Adam(), IterateAverage()),
}


@pytest.mark.parametrize("parts", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_replay_gives_the_weights_of_training(parts: tuple[Any, ...], dtype: torch.dtype, tmp_path: Path) -> None:
    base = network(dtype=dtype)
    trained, optimizer = recorded(base, tmp_path / "run", 12, *parts, lr=0.02 if parts != (SPSA(),) else None)
    assert not equal(base, trained)
    replayed = replay(copy.deepcopy(base), tmp_path / "run")
    assert equal(replayed, trained)
    assert Trajectory(tmp_path / "run").steps == optimizer.t == 12


@pytest.mark.parametrize("parts", [(SPSA(1e-2),), (Evolution(pairs=2), Adam()), (SPSA(1e-2, samples=2), HeavyBall())])
def test_a_large_model_is_replayed_block_by_block(
    parts: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several steps in one sweep over every block, parameters across blocks, and blocks across parameters."""
    base = network(BLOCK // 8)
    assert sum(p.numel() for p in base.parameters()) > 1.5 * BLOCK
    trained, _ = recorded(base, tmp_path / "run", 7, *parts)
    monkeypatch.setattr(retrace, "SWEEP", 3)
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)


def test_the_number_of_threads_of_training_does_not_matter(tmp_path: Path) -> None:
    """A bfloat16 sum of torch has another last bit at the end of a thread's share."""
    base = network(BLOCK // 8 + 5, torch.bfloat16)
    ours = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        trained, _ = recorded(base, tmp_path / "run", 4, SPSA(1e-2, rank=1), WeightDecay())
        torch.set_num_threads(1)
        assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(ours)


@pytest.mark.parametrize("rounding", [Stochastic(), Feedback()], ids=repr)
@pytest.mark.parametrize("parts", [(SPSA(1e-2),), (SPSA(1e-2, samples=2), Adam())], ids=repr)
def test_steps_below_the_spacing_of_bfloat16_are_replayed(
    parts: tuple[Any, ...], rounding: Rounding, tmp_path: Path
) -> None:
    base = network(dtype=torch.bfloat16)

    def go(name: str, *stops: int) -> nn.Module:
        for stop in stops:
            model = copy.deepcopy(base)
            optimizer = Recording(model, *parts, lr=1e-3, key=4, rounding=rounding)
            optimizer.record(tmp_path / name)
            train(optimizer, model, stop)
            optimizer.left()
        return model  # pyright: ignore[reportPossiblyUnboundVariable]

    whole = go("whole", 9)
    assert equal(go("stopped", 5, 9), whole)
    assert equal(replay(copy.deepcopy(base), tmp_path / "whole"), whole)
    with pytest.raises(StateMismatch, match=r"holds a run of .*this optimizer has Nearest\(\)"):
        Recording(copy.deepcopy(base), *parts, lr=1e-3, key=4).record(tmp_path / "whole")


def test_groups_have_learning_rates_radii_and_hyperparameters_of_their_own(tmp_path: Path) -> None:
    base = network()

    def groups(model: nn.Module) -> list[dict[str, Any]]:
        p = list(model.parameters())
        return [
            {"params": p[:2], "lr": 0.1, "radius": 0.05, "betas": (0.5, 0.9)},
            {"params": p[2:], "lr": 0.01, "eps": 1e-3},
        ]

    trained = copy.deepcopy(base)
    optimizer = Recording(groups(trained), SPSA(1e-2), Adam(), lr=1.0, key=1)
    with optimizer.record(tmp_path / "run"):
        train(optimizer, trained, 6)
        optimizer.param_groups[1]["lr"] = 0.003
        optimizer.param_groups[0]["radius"] = 0.01
        optimizer.param_groups[1]["betas"] = (0.8, 0.99)
        train(optimizer, trained, 12)
    for shape in (groups, lambda model: list(model.parameters()), lambda model: model):
        replayed = copy.deepcopy(base)
        replay(shape(replayed), tmp_path / "run")
        assert equal(replayed, trained)


def test_a_schedule_of_the_learning_rate_is_not_needed_to_replay(tmp_path: Path) -> None:
    base = network()
    trained, _ = recorded(base, tmp_path / "run", 9, SPSA(1e-2), Adam(), lr=Cosine(0.1, 9))
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)
    rates = [event.rates[0] for event in Trajectory(tmp_path / "run").events() if event.tag is Tag.STEP]
    assert rates == [Cosine(0.1, 9)(t) for t in range(9)]


def test_frozen_parameters_have_no_part_in_it(tmp_path: Path) -> None:
    base = network()
    base[0].requires_grad_(False)
    trained, _ = recorded(base, tmp_path / "run", 5, SPSA(1e-2))
    assert torch.equal(trained[0].weight, base[0].weight)
    assert Trajectory(tmp_path / "run").header.names == ("1.weight", "1.bias", "3.weight", "3.bias")
    again = copy.deepcopy(base).requires_grad_(True)  # parameters are found by their names
    assert equal(replay(again, tmp_path / "run"), trained)


def test_tied_parameters_stand_once(tmp_path: Path) -> None:
    base = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 3))
    base[2].weight = base[0].weight
    trained, _ = recorded(base, tmp_path / "run", 5, SPSA(1e-2))
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)


def test_a_transposed_parameter_moves_as_a_contiguous_one(tmp_path: Path) -> None:
    base = network()
    base[0].weight.data = base[0].weight.data.T.contiguous().T
    trained, _ = recorded(base, tmp_path / "run", 5, SPSA(1e-2), Adam())
    assert equal(replay(network(), tmp_path / "run"), trained)


@pytest.mark.parametrize(
    "parts", [(Evolution(pairs=4, shaping="per-example"), Adam()), (SPSA(1e-2, rank=1, samples=3),)]
)
def test_a_population_that_runs_as_one_forward_is_recorded(parts: tuple[Any, ...], tmp_path: Path) -> None:
    base = network()
    trained = copy.deepcopy(base)
    optimizer = Recording(trained, *parts, lr=0.05, key=2)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    with optimizer.record(tmp_path / "run"):
        for _ in range(6):
            optimizer.step(loss, (INPUTS, LABELS))
    assert not equal(base, trained)
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)


def failing_at(steps: set[int], model: nn.Module, optimizer: Recording) -> Callable[[], Any]:
    t = optimizer.t
    return lambda: loss_of(model, t) * (math.nan if t in steps else 1)


@pytest.mark.parametrize("parts", [(SPSA(1e-2),), (SPSA(1e-2), Adam()), (Evolution(pairs=2), HeavyBall())])
def test_rejected_steps_move_nothing_and_are_counted(parts: tuple[Any, ...], tmp_path: Path) -> None:
    base = network()
    trained = copy.deepcopy(base)
    optimizer = Recording(trained, *parts, lr=0.05, key=2)
    with optimizer.record(tmp_path / "run"):
        for _ in range(10):
            optimizer.step(failing_at({0, 4, 5}, trained, optimizer))
    run = Trajectory(tmp_path / "run")
    assert (run.steps, run.rejected, optimizer.rejected) == (10, 3, 3)
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), trained)


def test_replay_stops_where_it_is_told(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 10, SPSA(1e-2), Adam(), every=4)
    for until in (0, 1, 4, 5, 9):
        shorter, _ = recorded(base, tmp_path / f"run{until}", until, SPSA(1e-2), Adam())
        assert equal(replay(copy.deepcopy(base), tmp_path / "run", until=until), shorter)
    with pytest.raises(InvalidValue, match="has 10 steps, got until=11"):
        replay(base, tmp_path / "run", until=11)
    with pytest.raises(InvalidValue, match="until must be a number of steps, got -1"):
        replay(base, tmp_path / "run", until=-1)


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 5, SPSA(1e-2))
    told: list[tuple[int, int]] = []
    replay(base, tmp_path / "run", progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (5, 5)


def test_a_step_takes_12_bytes(tmp_path: Path) -> None:
    sizes = []
    for steps in (10, 110):
        recorded(network(), tmp_path / f"{steps}", steps, SPSA(1e-2))
        sizes.append(Trajectory(tmp_path / f"{steps}").size)
    assert sizes[1] - sizes[0] == 100 * 12


def test_several_probes_take_less_than_12_bytes_each(tmp_path: Path) -> None:
    recorded(network(), tmp_path / "run", 50, Evolution(pairs=16))
    run = Trajectory(tmp_path / "run")
    assert run.probes == 50 * 16
    assert run.size - len(run.header.names) * 200 <= 12 * run.probes


# What is refused


def test_a_model_that_the_run_did_not_start_from_is_refused_by_name(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 3, SPSA(1e-2))
    other = copy.deepcopy(base)
    with torch.no_grad():
        other[3].bias[1] += 1e-6
    before = copy.deepcopy(other)
    with pytest.raises(StateMismatch, match=r"not the model the run .* started from: the values of 3.bias differ"):
        replay(other, tmp_path / "run")
    assert equal(other, before)


def test_other_shapes_dtypes_and_numbers_of_parameters_are_refused(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 3, SPSA(1e-2))
    with pytest.raises(StateMismatch, match=r"0.weight has shape \(17, 8\), in the run .* \(16, 8\)"):
        replay(network(17), tmp_path / "run")
    with pytest.raises(StateMismatch, match=r"0.weight has dtype bfloat16, .* float32"):
        replay(network(dtype=torch.bfloat16), tmp_path / "run")
    with pytest.raises(StateMismatch, match=r"run of 6 parameters, such as 0\.weight, here are 0 of them"):
        replay(nn.ParameterList([torch.ones(3)]), tmp_path / "run")
    with pytest.raises(StateMismatch, match="of 6 parameters, here are 2 of them"):
        replay(list(base.parameters())[:2], tmp_path / "run")


def test_a_torn_end_is_reported_and_the_rest_replayed(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 8, SPSA(1e-2))
    data = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(data[: -12 - 5])  # within the last step, before the digest that `close` wrote
    seven, _ = recorded(base, tmp_path / "seven", 7, SPSA(1e-2))
    with pytest.warns(
        RuntimeWarning, match=r"last 7 bytes, from byte \d+ on, are dropped; the run stands after step 7"
    ):
        assert equal(replay(copy.deepcopy(base), tmp_path / "run"), seven)


def test_damage_is_found_before_the_model_is_touched(tmp_path: Path) -> None:
    base = network()
    recorded(base, tmp_path / "run", 8, SPSA(1e-2))
    data = bytearray((tmp_path / "run").read_bytes())
    data[-40] ^= 1
    (tmp_path / "run").write_bytes(data)
    before = copy.deepcopy(base)
    with pytest.raises(Damaged, match="after 5 whole steps"):
        replay(base, tmp_path / "run")
    assert equal(base, before)
    five, _ = recorded(base, tmp_path / "five", 5, SPSA(1e-2))
    assert equal(replay(base, tmp_path / "run", until=5), five)


def test_weights_that_come_out_otherwise_are_noticed(tmp_path: Path) -> None:
    base = network()
    trained = copy.deepcopy(base)
    optimizer = Recording(trained, SPSA(1e-2), lr=0.05, key=2)
    with optimizer.record(tmp_path / "run"):
        train(optimizer, trained, 5)
        with torch.no_grad():
            trained[0].bias[0] += 1  # nobody recorded that
    with pytest.raises(StateMismatch, match="after step 5 the replayed weights are not those of the run"):
        replay(base, tmp_path / "run")


REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((), {"lr": 0.1}, "directions that a key decides"),
    ((FiniteDifference(),), {"lr": 0.1}, "directions that a key decides"),
    ((SPSA(1e-2), ClipNorm(1.0)), {"lr": 0.1}, "each coordinate alone"),
    ((SPSA(1e-2), Backtracking()), {}, "each coordinate alone"),
]


@pytest.mark.parametrize(("parts", "settings", "sentence"), REFUSED)
def test_what_a_key_and_weights_do_not_decide_is_refused_at_once(
    parts: tuple[Any, ...], settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    optimizer = Recording(network(), *parts, **settings)
    with pytest.raises(CompositionError, match=sentence):
        optimizer.record(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_steps_after_close_are_not_recorded(tmp_path: Path) -> None:
    base = network()
    trained, optimizer = recorded(base, tmp_path / "run", 3, SPSA(1e-2))
    three = copy.deepcopy(trained)
    train(optimizer, trained, 5)
    optimizer.step(lambda: math.nan)
    assert Trajectory(tmp_path / "run").steps == 3
    assert equal(replay(base, tmp_path / "run"), three)
