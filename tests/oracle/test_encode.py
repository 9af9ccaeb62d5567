"""Functions of typed points as oracles over their coordinates."""

import math
from typing import Any

import cloudpickle
import pytest
import torch
from torch import Tensor

from descend.errors import BudgetExhausted, InvalidValue
from descend.key import Key
from descend.oracle import Penalize, Raise, Retry
from descend.oracle.encode import Encoded
from descend.run.execute import Serial
from descend.space import Array, Choice, Float, Int, Permutation, Space, as_space

KEY = Key(0)
SPACE = Space(a=Float(0.001, 1, log=True), n=Int(0, 9), kind=Choice("plain", "double"))
XS = torch.rand(40, 3, generator=Key(1).generator(), dtype=torch.float64)


def score(point: dict[str, Any]) -> float:
    value = point["a"] + point["n"]
    return 2 * value if point["kind"] == "double" else value


EXACT = [score(point) for point in SPACE.decode(XS)]


def test_it_answers_what_f_says_of_the_decoded_points() -> None:
    oracle = Encoded(score, SPACE)
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert [oracle.value(x, KEY) for x in XS] == EXACT
    assert oracle.ledger.counts == {"value": 80}
    assert repr(oracle) == "Encoded(score)"
    assert torch.equal(oracle.domain.cells, SPACE.domain.cells)


def test_a_batch_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decode = Space.decode

    def counted(self: Space, xs: Tensor) -> list[Any]:
        calls.append(len(xs))
        return decode(self, xs)

    monkeypatch.setattr(Space, "decode", counted)
    assert Encoded(score, SPACE).values(XS, KEY).tolist() == EXACT
    assert calls == [40]


def test_f_may_keep_and_change_its_point_also_where_points_repeat() -> None:
    kept: list[dict[str, Any]] = []

    def careless(point: dict[str, Any]) -> float:
        value = score(point)
        point["a"] = math.nan
        kept.append(point)
        return value

    twice = XS[[0, 0, 1, 0]]
    expected = [EXACT[i] for i in (0, 0, 1, 0)]
    assert Encoded(careless, SPACE).values(twice, KEY).tolist() == expected
    assert len({*map(id, kept)}) == 4


def test_a_space_of_one_parameter_gives_its_value() -> None:
    tour = Encoded(lambda order: order.index(0), Permutation(5))
    assert tour.values(torch.eye(5, dtype=torch.float64), KEY).tolist() == [4, 0, 0, 0, 0]
    assert Encoded(sum, Array(Float(0, 1), 3)).value(torch.tensor([0.25, 0.5, 0.25]), KEY) == 1.0
    assert Encoded(sum, [(0, 2), (0, 4)]).value(torch.tensor([0.5, 0.5]), KEY) == 3.0


def test_f_may_take_all_points_at_once() -> None:
    sizes: list[int] = []

    def scores(points: list[dict[str, Any]]) -> Tensor:
        sizes.append(len(points))
        return torch.tensor([score(point) for point in points], dtype=torch.float64)

    oracle = Encoded(scores, SPACE, batched=True)
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert oracle.value(XS[3], KEY) == EXACT[3]
    assert sizes == [40, 1]


def test_f_may_take_a_key() -> None:
    oracle = Encoded(lambda point, key: float(key.seed % 1000) + point["n"] / 100, SPACE, keyed=True)
    assert oracle.value(XS[0], Key(7)) == oracle.values(XS[:1], Key(7))[0] == 7 + SPACE.decode(XS[:1])[0]["n"] / 100
    assert oracle.varies


def test_torch_random_numbers_come_from_the_key() -> None:
    oracle = Encoded(lambda point: torch.randn(()) + point["a"], SPACE, noisy=True)
    assert oracle.value(XS[0], KEY) == oracle.values(XS[:1], KEY)[0] != oracle.value(XS[0], Key(1))


def test_executors_give_the_same() -> None:
    assert Encoded(score, SPACE, executor=Serial()).values(XS, KEY).tolist() == EXACT


def test_it_can_be_shipped() -> None:
    shipped = cloudpickle.loads(cloudpickle.dumps(Encoded(score, SPACE).f))
    assert [shipped(x) for x in XS] == EXACT


def test_failures_are_failures() -> None:
    def picky(point: dict[str, Any]) -> float:
        if point["n"] == 3:
            raise ValueError("not three")
        return score(point)

    three = torch.tensor([p["n"] == 3 for p in SPACE.decode(XS)])
    assert 0 < int(three.sum()) < 40
    first = int((~three).int().argmax())
    order = torch.cat([torch.tensor([first]), torch.arange(40)])
    with pytest.warns(RuntimeWarning, match="not three"):
        values = Encoded(picky, SPACE).values(XS[order], KEY)
    assert torch.equal(values.isnan(), three[order])
    with pytest.warns(RuntimeWarning, match="not three"):
        penalized = Encoded(picky, SPACE, on_failure=Penalize(99.0)).values(XS, KEY)
    assert torch.equal(penalized == 99, three)
    with pytest.raises(ValueError, match="not three"):
        Encoded(picky, SPACE, on_failure=Raise()).values(XS, KEY)


def test_a_point_is_asked_again_as_it_was() -> None:
    asked: list[float] = []

    def flaky(point: dict[str, Any]) -> float:
        asked.append(point["a"])
        return math.nan if len(asked) == 1 else point.pop("a")

    oracle = Encoded(flaky, SPACE, on_failure=Retry(2))
    exact = [point["a"] for point in SPACE.decode(XS[:2])]
    assert oracle.values(XS[:2], KEY).tolist() == exact
    assert asked == [exact[0], *exact]
    assert oracle.ledger.failures == 1


def test_points_that_break_a_condition_are_not_evaluated_and_cost_nothing() -> None:
    seen: list[dict[str, Any]] = []

    def watched(point: dict[str, Any]) -> float:
        seen.append(point)
        return score(point)

    space = SPACE.where(lambda p: p["n"] <= 4)
    oracle = Encoded(watched, space)
    few = torch.tensor([p["n"] <= 4 for p in SPACE.decode(XS)])
    values = oracle.values(XS, KEY)
    assert torch.equal(values.isnan(), ~few)
    assert values[few].tolist() == [value for value, fine in zip(EXACT, few.tolist(), strict=True) if fine]
    assert oracle.ledger.total == len(seen) == int(few.sum())
    assert oracle.ledger.failures == 0
    assert math.isnan(oracle.value(XS[int((~few).int().argmax())], KEY))
    assert oracle.ledger.total == int(few.sum())


def test_the_budget_holds() -> None:
    oracle = Encoded(score, SPACE)
    oracle.ledger.limit = 10
    assert oracle.values(XS[:10], KEY).tolist() == EXACT[:10]
    with pytest.raises(BudgetExhausted):
        oracle.value(XS[0], KEY)
    assert oracle.ledger.total == 10


def test_wrong_arguments_get_a_sentence() -> None:
    with pytest.raises(InvalidValue, match="Encoded needs a callable, got int"):
        Encoded(3, SPACE)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="a space is a Space"):
        Encoded(score, "abc")
    assert Encoded(score, as_space(SPACE)).space is SPACE
