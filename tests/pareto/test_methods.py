"""What every method for several objectives promises, and how near it comes to known fronts."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.pareto import MOEAD, NSGA2, NSGA3, SMSEMOA, Crowd, Many, Mating, front_of, hypervolume
from descend.problems.multi import MultiProblem, bnh, c1_dtlz1, dtlz2, zdt1
from descend.space.domain import Domain
from descend.tree import from_plain, same, to_plain

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from fronts import box_of, run, tell

KINDS = (NSGA2, NSGA3, MOEAD, SMSEMOA)
D = 4


def small(kind: type[Many], archive: int = 0) -> Many:
    return kind(popsize=12, archive=archive)


def problem(m: int) -> MultiProblem:
    """m bowls in the shifted box [10, 20]^4: the front lies between their bottoms."""
    bottoms = 12 + 5 * torch.eye(m, D, dtype=torch.float64)

    def function(xs: Tensor) -> Tensor:
        return (xs.double().cpu()[:, None] - bottoms).square().sum(2)

    return MultiProblem("bowls", D, m, (10.0,) * D, (20.0,) * D, function)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Many]:
    pytest.importorskip("moocore")
    return request.param


# 100 points and 100 generations of ZDT1, 60 of DTLZ2: random search comes to 0.0 and 0.0
LEAST = {NSGA2: (0.848, 0.725), NSGA3: (0.838, 0.725), MOEAD: (0.7, 0.722), SMSEMOA: (0.85, 0.752)}


def test_it_comes_near_the_fronts_of_zdt1_and_dtlz2(kind: type[Many]) -> None:
    convex, sphere = LEAST[kind]
    _, values = front_of(run(kind(), zdt1(), 100))
    assert hypervolume(values, [1.1, 1.1]) > convex
    _, values = front_of(run(kind(), dtlz2(), 60))
    assert hypervolume(values, [1.1] * 3) > sphere


def test_thinning_one_at_a_time_is_worth_something() -> None:
    def median(thinning: bool) -> float:
        found = [front_of(run(NSGA2(thinning=thinning), zdt1(), 200, key))[1] for key in range(3)]
        return sorted(hypervolume(values, [1.1, 1.1]) for values in found)[1]

    assert median(True) > median(False) + 5e-4  # 0.8705 and 0.8693


def test_it_ends_inside_of_constraints_and_near_the_front(kind: type[Many]) -> None:
    for constrained, turns, reference, share in ((bnh(), 40, [140.0, 50.0], 0.97), (c1_dtlz1(), 120, [1.0] * 3, 0.8)):
        state = run(kind(popsize=40), constrained, turns)
        xs, values = front_of(state)
        assert len(xs) > 20
        assert float(constrained(xs)[:, constrained.m :].max()) <= 0
        assert hypervolume(values, reference) > share * hypervolume(constrained.front(400), reference)


@pytest.mark.parametrize("m", [2, 3])
def test_it_asks_inside_a_shifted_box_and_keeps_the_dtype(kind: type[Many], m: int) -> None:
    bowls = problem(m)
    for dtype in (torch.float32, torch.float64):
        method, domain = small(kind), box_of(bowls, dtype)
        state = method.init(torch.full((D,), 11.0, dtype=dtype), Key(0), domain)
        for _ in range(15):
            state, xs = method.ask(state)
            assert xs.dtype == dtype
            assert bool(domain.contains(xs).all())
            state = method.tell(state, xs, bowls(xs))
        assert state.xs.dtype == dtype
        assert state.values.dtype == torch.float64


@pytest.mark.parametrize("archive", [0, 30])
def test_it_resumes_bit_for_bit_and_repeats_under_a_key(kind: type[Many], archive: int) -> None:
    bowls, method = problem(3), small(kind, archive)
    straight = stopped = method.init(bowls.start, Key(5), box_of(bowls))
    for _ in range(8):
        straight, xs = method.ask(straight)
        stopped, others = method.ask(from_plain(to_plain(stopped)))
        assert torch.equal(xs, others)
        straight = method.tell(straight, xs, bowls(xs))
        stopped = method.tell(from_plain(to_plain(stopped)), others, bowls(others))
    assert same(straight, stopped)
    assert not same(straight, run(method, bowls, 8, key=6))


def test_answers_come_in_any_order_and_number(kind: type[Many]) -> None:
    bowls, method = problem(2), small(kind)
    state = method.init(bowls.start, Key(0), box_of(bowls))
    waiting: list[Tensor] = []
    for turn in range(200):
        state, xs = method.ask(state, 3)
        waiting += list(xs)
        some = [waiting.pop(int(Key(turn).integers(0, len(waiting), 1))) for _ in range(3)]
        state = method.tell(state, torch.stack(some), bowls(torch.stack(some)))
    single = problem(2)(front_of(state)[0])
    assert len(single) >= 8
    assert hypervolume(single, [60.0, 60.0]) > 0.97 * hypervolume(front_of(run(method, bowls, 50))[1], [60.0, 60.0])


def test_points_that_were_never_asked_for_are_welcome(kind: type[Many]) -> None:
    bowls, method = problem(2), small(kind)
    state = run(method, bowls, 3)
    best = 12 + 5 * torch.eye(2, D, dtype=torch.float64)  # the bottoms of both bowls
    state = method.tell(state, best, bowls(best))
    found, _ = front_of(state)
    assert all(bool((found == point).all(1).any()) for point in best)


def test_failures_rank_last_and_a_search_gets_over_them(kind: type[Many]) -> None:
    bowls, method = problem(2), small(kind)

    def fails(xs: Tensor) -> Tensor:
        values = bowls(xs)
        values[xs[:, 0] > 15] = math.nan
        values[xs[:, 0] > 18, 1] = math.inf
        return values

    state = run(method, bowls, 30, f=fails)
    assert bool(state.values.isfinite().all())
    assert float(front_of(state)[0][:, 0].max()) <= 15

    def nothing(xs: Tensor) -> Tensor:
        return torch.full((len(xs), 1), math.nan)  # not even how many objectives there are

    state = run(method, bowls, 3, f=nothing)
    assert state.rejected == 3
    assert len(front_of(state)[0]) == 0
    for _ in range(3):
        state, xs = method.ask(state)
        state = method.tell(state, xs, bowls(xs))
    assert state.rejected == 3
    assert bool(state.values.isfinite().all())
    state = run(method, bowls, 5, f=lambda xs: torch.ones(len(xs), 2))  # constant
    assert state.values.shape[1] == 2


def test_constraints_come_before_objectives(kind: type[Many]) -> None:
    method, box = small(kind), box_of(problem(2))

    def far(xs: Tensor) -> Tensor:  # feasible in a corner of 1/256 of the box, elsewhere not even evaluated
        broken = (xs - 12.5).clamp(min=0).sum(1)
        return torch.cat([problem(2)(xs).where(broken[:, None] <= 0, math.nan), broken[:, None]], 1)

    state = method.init(torch.full((D,), 19.0, dtype=torch.float64), Key(1), box)
    for _ in range(40):
        state, xs = method.ask(state)
        state = tell(method, state, xs, far, 2)
    assert float(front_of(state)[0].max()) <= 12.5
    assert float(state.violations.max()) == 0


def test_coordinates_with_cells_stay_in_their_middles(kind: type[Many]) -> None:
    low = torch.zeros(3, dtype=torch.float64)
    cells, unordered = torch.tensor([0, 4, 5]), torch.tensor([False, False, True])
    domain = Domain.box(low, low + 1, cells=cells, unordered=unordered)
    method, state = small(kind), small(kind).init(low + 0.5, Key(0), domain)
    seen: set[tuple[int, ...]] = set()
    for _ in range(40):
        state, xs = method.ask(state)
        torch.testing.assert_close(xs, domain.centre(xs))
        seen |= {tuple(row) for row in domain.index(xs)[:, 1:].tolist()}
        worse = xs[:, 1] + (domain.index(xs)[:, 2] != 3)  # the first cell of four and the fourth of five are best
        values = torch.stack([xs[:, 0] + worse, 1 - xs[:, 0] + worse], 1)
        state = method.tell(state, xs, values)
    found = domain.index(front_of(state)[0])
    assert found[:, 1].unique().tolist() == [0]
    assert found[:, 2].unique().tolist() == [3]
    assert len(seen) > 12


def test_an_archive_keeps_what_a_population_has_no_room_for() -> None:
    state = run(NSGA2(popsize=8, archive=50), problem(2), 60)
    xs, values = front_of(state)
    assert len(state.xs) == 8
    assert len(xs) > 40
    alone = hypervolume(state.values, [60.0, 60.0])
    assert hypervolume(values, [60.0, 60.0]) > alone + 0.005 * abs(alone)


def test_one_objective_and_five(kind: type[Many]) -> None:
    for m in (1, 4):
        state = run(small(kind), problem(m), 6)
        assert bool(state.values.isfinite().all())
    assert len(front_of(run(small(kind), problem(1), 30))[0]) == 1


def test_what_cannot_mean_anything_is_refused(kind: type[Many]) -> None:
    for wrong in ({"popsize": 3}, {"popsize": 10.0}, {"archive": -1}, {"mating": 3}):
        with pytest.raises(InvalidValue, match=next(iter(wrong))):
            kind(**wrong)
    method = small(kind)
    state = run(method, problem(2), 2)
    with pytest.raises(ShapeMismatch, match="2 objectives"):
        method.tell(state, state.xs[:2], torch.ones(2, 3))
    with pytest.raises(ShapeMismatch, match="a row of m numbers"):
        method.tell(state, state.xs[:2], torch.ones(2))
    with pytest.raises(InvalidValue, match="domain"):
        method.init(torch.zeros(D), Key(0), box_of(problem(2), torch.float32))


def test_settings_of_mating_are_checked() -> None:
    for wrong in ({"crossover": 0}, {"mutation": math.inf}, {"chance": 1.5}, {"each": 0.0}, {"each": True}):
        with pytest.raises(InvalidValue, match=next(iter(wrong))):
            Mating(**wrong)
    for wrong in ({"neighbours": 1}, {"theta": -1.0}):
        with pytest.raises(InvalidValue, match=next(iter(wrong))):
            MOEAD(**wrong)


def test_what_it_is_told_is_not_written_to(kind: type[Many]) -> None:
    bowls, method = problem(3), small(kind)
    state: Crowd = method.init(bowls.start, Key(0), box_of(bowls))
    for _ in range(4):
        state, xs = method.ask(state)
        values, broken = bowls(xs), torch.zeros(len(xs), dtype=torch.float64)
        before = xs.clone(), values.clone(), broken.clone(), replace(state, xs=state.xs.clone())
        after = method.tell(state, xs, values, broken)
        assert torch.equal(xs, before[0])
        assert torch.equal(values, before[1])
        assert torch.equal(broken, before[2])
        assert same(state, before[3])
        state = after
