"""Hypervolume and distances beside closed forms, counted boxes, and moocore."""

import math

import pytest
import torch

from descend.errors import MissingExtra, ShapeMismatch
from descend.key import Key
from descend.pareto import hypervolume, igd, igd_plus, indicators

LIKE = torch.zeros((), dtype=torch.float64)


def test_rectangles_by_hand() -> None:
    values = torch.tensor([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [3.0, 3.0], [9.0, 0.0], [math.nan, 0.0]])
    assert hypervolume(values, [4.0, 4.0]) == 6.0
    assert hypervolume(values[:1], [1.0, 4.0]) == 0.0
    assert hypervolume(torch.tensor([[2.0], [3.0]]), [5.0]) == 3.0


def test_the_front_of_zdt1_dominates_two_thirds() -> None:
    f = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    assert hypervolume(torch.stack([f, 1 - f.sqrt()], 1), [1.0, 1.0]) == pytest.approx(2 / 3, abs=1e-4)


def test_two_objectives_agree_with_moocore() -> None:
    moocore = pytest.importorskip("moocore")
    for key in range(5):
        values = Key(key).uniform(80, 2, like=LIKE)
        assert hypervolume(values, [0.8, 0.9]) == pytest.approx(
            moocore.hypervolume(values.numpy(), ref=[0.8, 0.9]), rel=1e-12
        )


def test_three_objectives_agree_with_a_count() -> None:
    pytest.importorskip("moocore")
    values = Key(1).uniform(10, 3, like=LIKE)
    tries = Key(2).uniform(200_000, 3, like=LIKE)
    share = float((values[:, None] <= tries[None]).all(2).any(0).double().mean())
    assert hypervolume(values, [1.0, 1.0, 1.0]) == pytest.approx(share, abs=5e-3)


def test_contributions_are_what_is_lost() -> None:
    pytest.importorskip("moocore")
    values = Key(3).uniform(12, 3, like=LIKE)
    values = values / values.norm(dim=1, keepdim=True)  # of points that are dominated others would count more
    whole = hypervolume(values, [1.0] * 3)
    lost = [whole - hypervolume(values[torch.arange(12) != i], [1.0] * 3) for i in range(12)]
    torch.testing.assert_close(
        indicators.contributions(values, [1.0] * 3), torch.tensor(lost, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_distances_by_hand() -> None:
    pytest.importorskip("moocore")
    truth = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = torch.tensor([[0.0, 1.0], [1.0, -0.5]])
    assert igd(found, truth) == pytest.approx(0.25)
    assert igd_plus(found, truth) == pytest.approx(0.0)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShapeMismatch, match="a number for each objective"):
        hypervolume(torch.ones(3, 2), [1.0])
    with pytest.raises(ShapeMismatch, match="both fronts"):
        igd(torch.ones(3, 2), torch.ones(3, 3))
    monkeypatch.setitem(__import__("sys").modules, "moocore", None)
    with pytest.raises(MissingExtra, match=r"descend\[pareto\]"):
        hypervolume(torch.ones(3, 3), [2.0] * 3)
    assert hypervolume(torch.ones(3, 2), [2.0] * 2) == 1.0
