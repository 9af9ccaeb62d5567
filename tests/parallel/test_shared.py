"""What several ranks answer together is what one would answer alone, bit for bit, whoever evaluates it."""

import math
import time
import warnings
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed import HashStore

from descend.direction import Dense, Directions
from descend.errors import BudgetExhausted, MissingAnswer, StateMismatch
from descend.estimate import SPSA, ForwardGradient, RandomDirections
from descend.key import Key
from descend.oracle import Asks, Ledger, Oracle
from descend.parallel import LostWorker, Shared, Team
from descend.parallel.shared import parts

X = torch.linspace(-1, 2, 5)
SCALES = torch.tensor([[-0.1, 0.1], [-0.1, 0.1], [-0.2, 0.3]], dtype=torch.float64)
Z = Dense(Key(3).normal(3, 5, like=X))


class Curve(Oracle):
    """A smooth function that also counts, without touching the generators that threads share."""

    answers = Asks.VALUE | Asks.VALUES | Asks.JVP | Asks.GRADIENT

    def __init__(self, shift: float = 0.0, spoil: Callable[[int], float] = lambda count: 0.0) -> None:
        self.shift, self.spoil, self.ledger, self.keys, self.asked = shift, spoil, Ledger(), set[Key](), 0

    def value(self, x: Tensor, key: Key) -> float:
        self.ledger.charge("value")
        self.keys.add(key)
        self.asked += 1
        return float((x.double() - self.shift).cosh().sum()) + self.spoil(self.asked)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        self.ledger.charge("jvp", directions.count)
        return directions.dense(x).double() @ (x.double() - self.shift).sinh()


def mean(*answers: Tensor) -> Tensor:
    return sum(answers[1:], answers[0]) / len(answers)


@pytest.mark.parametrize("ranks", [2, 3, 5, 8])
@pytest.mark.parametrize("formula", ["central", "forward", "central4"])
@pytest.mark.parametrize("samples", [1, 3, 8])
@pytest.mark.filterwarnings("ignore:a question for")
def test_probes_are_shared_out_and_every_rank_gets_the_estimate_of_one(
    together: Any, ranks: int, formula: str, samples: int
) -> None:
    estimator = RandomDirections("sign", formula, samples, 0.1)
    alone = Curve()
    expected = (alone | estimator).gradient(X, Key(7))

    def run(rank: int, team: Team) -> Any:
        curve = Curve()
        slope = (Shared(curve, team) | estimator).gradient(X, Key(7))
        return slope.gradient.dense(X), slope.loss, curve.ledger.total, curve.asked

    ended = together(ranks, run)
    assert all(torch.equal(gradient, expected.gradient.dense(X)) for gradient, *_ in ended)
    assert {loss for _, loss, *_ in ended} == {expected.loss}
    assert {count for _, _, count, _ in ended} == {alone.asked}  # every ledger counts the whole
    owned = [asked for *_, asked in ended]
    assert sum(owned) == alone.asked
    assert max(owned) - min(owned) <= (len(estimator.row.offsets) if samples >= ranks else 1)


def test_a_grid_averages_over_the_batch_and_shares_the_probes(together: Any) -> None:
    shifts = [0.3, -0.4]
    expected = mean(*[Curve(shift).along(X, Z, SCALES, Key(0)) for shift in shifts])

    def run(rank: int, team: Team) -> Any:
        curve = Curve(shifts[team.shard])
        return Shared(curve, team).along(X, Z, SCALES, Key(0)), team.traffic.evaluations, team.shard

    ended = together(4, run, probes=2, batch=2)
    assert all(torch.equal(answer, expected) for answer, *_ in ended)
    assert [shard for *_, shard in ended] == [0, 1, 0, 1]
    assert sorted(evaluated for _, evaluated, _ in ended) == [2, 2, 4, 4]


def test_parts_of_the_batch_have_randomness_of_their_own_and_parts_of_the_probes_share_it(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        curve = Curve()
        Shared(curve, team).along(X, Z, SCALES, Key(0))
        return curve.keys

    keys = together(4, run, probes=2, batch=2)
    assert all(len(some) == 1 for some in keys)
    assert keys[0] == keys[2] != keys[1] == keys[3]
    assert together(2, run)[0] == {Key(0)}


def test_weights_count_and_travel_when_they_change(together: Any) -> None:
    sizes = [[1.0, 1.0, 5.0, 5.0], [3.0, 3.0, 3.0, 2.0]]
    values = [Curve(0.0).value(X, Key(0)), Curve(1.0).value(X, Key(0))]

    def settings(rank: int, team: Team) -> Any:
        step = iter(sizes[rank])
        team.weight = lambda: next(step)
        shared = Shared(Curve(float(rank)), team)
        return [shared.value(X, Key(t)) for t in range(4)], team.traffic.sent

    ended = together(2, settings, batch=2)
    expected = [(a * values[0] + b * values[1]) / (a + b) for a, b in zip(*sizes, strict=True)]
    assert ended[0][0] == ended[1][0] == pytest.approx(expected, rel=1e-15)
    assert [sent for _, sent in ended] == [(4 + 1) * 8, (4 + 2) * 8]


@pytest.mark.parametrize("settings", [{}, {"batch": 2}])
def test_nan_of_one_rank_is_seen_by_all_alike(together: Any, settings: dict[str, Any]) -> None:
    def run(rank: int, team: Team) -> Tensor:
        spoil = (lambda count: math.nan if count == 2 else 0.0) if rank == 1 else (lambda count: 0.0)
        return Shared(Curve(spoil=spoil), team).along(X, Z, SCALES, Key(0))

    first, second = together(2, run, **settings)
    assert int(first.isnan().sum()) == 1
    assert torch.equal(first.nan_to_num(9.0), second.nan_to_num(9.0))


def test_directional_derivatives_are_shared_and_gradients_refused(together: Any) -> None:
    expected = (Curve() | ForwardGradient()).gradient(X, Key(1)).gradient.dense(X)

    def run(rank: int, team: Team) -> Any:
        shared = Shared(Curve(), team)
        with pytest.raises(MissingAnswer, match="SPSA"):
            shared.gradient(X, Key(0))
        return (shared | ForwardGradient()).gradient(X, Key(1)).gradient.dense(X), shared.jvp(X, Z, Key(0))

    ended = together(2, run)
    assert all(torch.equal(gradient, expected) for gradient, _ in ended)
    assert all(torch.equal(jvp, Curve().jvp(X, Z, Key(0))) for _, jvp in ended)


def test_idle_ranks_are_told_once(together: Any) -> None:
    def run(rank: int, team: Team) -> list[str]:
        shared = Shared(Curve(), team) | SPSA(0.1)
        shared.gradient(X, Key(0))
        shared.gradient(X, Key(1))
        return []

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        together(4, run)
    assert len(seen) == 4  # once on each
    assert "2 of them wait idly" in str(seen[0].message)
    assert "Parallel(probes=2, batch=2)" in str(seen[0].message)


def test_a_budget_ends_on_all_ranks_at_the_same_question(together: Any) -> None:
    def run(rank: int, team: Team) -> int:
        curve = Curve()
        curve.ledger.limit = 15
        shared = Shared(curve, team) | SPSA(0.1, 3)
        for t in range(10):
            try:
                shared.gradient(X, Key(t))
            except BudgetExhausted:
                return t
        return -1

    assert together(2, run) == [2, 2]


def test_ranks_that_ask_different_questions_are_told(together: Any) -> None:
    def run(rank: int, team: Team) -> None:
        (Shared(Curve(), team) | SPSA(0.1, 2 + 2 * rank)).gradient(X, Key(0))

    ended = together(2, run)
    assert all(isinstance(error, StateMismatch) for error in ended)
    assert "rank 1 sent 4 values where 2 were expected" in str(ended[0])


# Ranks that are lost


def test_what_a_lost_rank_owed_is_evaluated_by_the_others(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        def spoil(count: int) -> float:
            if rank == 1 and count == 4:
                raise MemoryError("no room")
            return 0.0

        shared = Shared(Curve(spoil=spoil), team)
        return [shared.along(X, Z, SCALES, Key(t)) for t in range(4)], team.roll

    first, lost, third = together(3, run, on_lost="continue")
    expected = Curve().along(X, Z, SCALES, Key(0))
    assert isinstance(lost, MemoryError)
    assert first[1] == third[1] == (0, 2)
    assert all(torch.equal(answer, expected) for answer in [*first[0], *third[0]])


def test_examples_that_are_lost_leave_the_mean(together: Any) -> None:
    shifts = [0.0, 0.5, 1.0]

    def run(rank: int, team: Team) -> Any:
        shared = Shared(Curve(shifts[rank]), team)
        if rank == 1:
            shared.along(X, Z, SCALES, Key(0))
            raise KeyboardInterrupt
        return [shared.along(X, Z, SCALES, Key(t)) for t in range(3)]

    first, lost, third = together(3, run, batch=3, on_lost="continue", patience=0.3)
    answers = [Curve(shift).along(X, Z, SCALES, Key(0)) for shift in shifts]
    assert isinstance(lost, KeyboardInterrupt)
    for ended in (first, third):
        assert torch.equal(ended[0], mean(*answers))
        assert all(torch.equal(answer, mean(answers[0], answers[2])) for answer in ended[1:])


def test_in_a_grid_the_other_half_of_the_probes_is_kept(together: Any) -> None:
    shifts = [0.0, 0.5]

    def run(rank: int, team: Team) -> Any:
        if rank == 3:
            team.leave("it was called away")
            return None
        return Shared(Curve(shifts[team.shard]), team).along(X, Z, SCALES, Key(0))

    *ended, _ = together(4, run, probes=2, batch=2, on_lost="continue")
    expected = mean(*[Curve(shift).along(X, Z, SCALES, Key(0)) for shift in shifts])
    assert all(torch.equal(answer, expected) for answer in ended)


def test_a_rank_that_was_given_up_learns_it_and_the_others_agree(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        def spoil(count: int) -> float:
            if rank == 2 and count == 6:
                time.sleep(1.5)
            return 0.0

        shared = Shared(Curve(spoil=spoil), team)
        answers = [shared.along(X, Z, SCALES, Key(t)) for t in range(4)]
        time.sleep(1.5)  # the store outlives the late one's question
        return answers, team.roll

    first, second, late = together(3, run, on_lost="continue", patience=0.4)
    assert isinstance(late, LostWorker)
    assert "the others had waited 0.4 s for rank 2" in str(late)
    assert first[1] == second[1] == (0, 1)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))


def test_a_slow_rank_stops_the_others_if_it_must_not_be_lost(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        def spoil(count: int) -> float:
            if rank == 1:
                time.sleep(0.5)
            return 0.0

        for t in range(2):
            Shared(Curve(spoil=spoil), team).along(X, Z, SCALES, Key(t))

    first, second = together(2, run, patience=0.2)
    assert isinstance(first, LostWorker)
    assert all(
        words in str(first) for words in ("rank 1 did not answer within 0.2 s", "patience", "on_lost='continue'")
    )
    assert isinstance(second, LostWorker)
    assert "rank 0 left (it lost rank 1)" in str(second)


def test_an_error_of_one_rank_reaches_the_others_at_once(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        def spoil(count: int) -> float:
            if rank == 1:
                raise ValueError("the images are not there")
            return 0.0

        Shared(Curve(spoil=spoil), team).along(X, Z, SCALES, Key(0))

    first, second = together(2, run)  # far quicker than its patience
    assert isinstance(second, ValueError)
    assert isinstance(first, LostWorker)
    assert "rank 1 left (ValueError: the images are not there)" in str(first)


@pytest.mark.parametrize("on_lost", ["stop", "continue"])
def test_the_store_does_not_fill_up(together: Any, on_lost: str) -> None:
    store = HashStore()
    sizes = []

    def run(rank: int, team: Team) -> None:
        shared = Shared(Curve(), team)
        for t in range(60):
            shared.along(X, Z, SCALES, Key(t))
            if rank == 0:
                sizes.append(store.num_keys())

    together(2, run, on_lost=on_lost, store=store)
    assert max(sizes) < 12


def test_parts_are_contiguous_whole_and_even() -> None:
    for count in range(1, 9):
        for n in range(20):
            for unit in (1, 2, 3):
                cut = parts(list(range(n * unit)), count, unit)
                assert list(chain(*cut)) == list(range(n * unit))
                sizes = [len(part) for part in cut]
                assert max(sizes) - min(sizes) <= (unit if n >= count else 1)
                assert all(size % unit == 0 for size in sizes) or n < count
