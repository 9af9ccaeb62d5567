"""Knees, weights and directions: what they are by construction."""

import math

import pytest
import torch

from descend.errors import InvalidValue
from descend.pareto import compromise, das_dennis, knee, pseudo_weights, riesz
from descend.pareto.directions import spread

F = torch.linspace(0, 1, 101, dtype=torch.float64)
ARC = torch.stack([1 - (math.pi / 2 * F).sin(), 1 - (math.pi / 2 * F).cos()], 1)  # bulges towards the ideal point


def test_the_knee_of_an_arc_is_its_middle_in_any_units() -> None:
    assert knee(ARC) == 50
    assert knee(ARC * torch.tensor([1e6, 1e-3]) - 7) == 50
    assert knee(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.2, 0.2]])) == 3
    assert knee(torch.ones(1, 3)) == 0


def test_weights_choose_what_they_ask_for() -> None:
    assert compromise(ARC, [1.0, 1.0]) == 50
    lighter, heavier = ARC[compromise(ARC, [1.0, 3.0])], ARC[compromise(ARC, [3.0, 1.0])]
    assert lighter[1] < ARC[50, 1] < heavier[1]
    assert heavier[0] < ARC[50, 0] < lighter[0]
    dent = torch.stack([(math.pi / 2 * F).sin(), (math.pi / 2 * F).cos()], 1)
    assert compromise(dent, [1.0, 1.0]) == 50  # a weighted sum would choose an end
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0]):
        with pytest.raises(InvalidValue, match="weights"):
            compromise(ARC, weights)


def test_pseudo_weights_are_shares() -> None:
    shares = pseudo_weights(ARC)
    torch.testing.assert_close(shares.sum(1), torch.ones(101, dtype=torch.float64))
    assert shares[50].tolist() == pytest.approx([0.5, 0.5])
    assert bool((shares[1:, 0] > shares[:-1, 0]).all())
    assert pseudo_weights(torch.ones(2, 4)).tolist() == [[0.25] * 4] * 2


@pytest.mark.parametrize(("m", "parts"), [(1, 3), (2, 9), (3, 12), (5, 4)])
def test_a_grid_has_all_its_points(m: int, parts: int) -> None:
    grid = das_dennis(m, parts)
    assert len(grid) == math.comb(parts + m - 1, m - 1) == len(grid.unique(dim=0))
    torch.testing.assert_close(grid.sum(1), torch.ones(len(grid), dtype=torch.float64))
    assert bool((grid >= 0).all())


def test_points_that_push_each_other_away_are_spread_as_a_grid_is() -> None:
    points, grid = riesz(3, 55), das_dennis(3, 9)
    least = torch.cdist(points, points).fill_diagonal_(9.0).min(1).values
    even = torch.cdist(grid, grid).fill_diagonal_(9.0).min()
    assert len(points) == 55
    assert float(least.min()) > 0.75 * float(even)  # uniform random points come to 0.05
    torch.testing.assert_close(points.sum(1), torch.ones(55, dtype=torch.float64))
    assert bool((points >= 0).all())
    assert torch.equal(points, riesz(3, 55))


def test_there_are_about_as_many_directions_as_asked_for() -> None:
    assert [len(spread(m, 100)) for m in (1, 2, 3)] == [1, 100, 91]
    assert len(spread(5, 40)) == 40
    for wrong in ((0, 3), (3, 0)):
        with pytest.raises(InvalidValue):
            das_dennis(*wrong)
    with pytest.raises(InvalidValue):
        riesz(3, 2)
