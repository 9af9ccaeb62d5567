"""Domains: what lies inside, what is reflected, and what a cell means."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.space import Bool, Choice, Float, Int, Space, When
from descend.space.domain import Domain

INF = math.inf


def line(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


BOX = Domain.box(line(0, -1, -INF, 5, -INF), line(1, 3, 2, INF, INF))


def test_the_scale_is_the_width_where_there_is_one() -> None:
    assert torch.equal(BOX.scale, line(1, 4, 1, 1, 1))
    assert BOX.bounded
    assert not Domain.free(line(0, 0)).bounded


def test_points_inside_are_returned_bit_for_bit_and_others_are_reflected() -> None:
    inside = line(0.1, 2.9, -7.3, 5.0, 1e300)
    assert torch.equal(BOX.mirror(inside[None])[0], inside)
    assert torch.equal(BOX.clip(inside), inside)
    outside = torch.stack([line(-0.25, 3.5, 2.5, 4.0, 0), line(2.25, -1.5 - 8, 3.0, -5.0, 0)])
    expected = torch.stack([line(0.25, 2.5, 1.5, 6.0, 0), line(0.25, -0.5, 1.0, 15.0, 0)])
    assert torch.allclose(BOX.mirror(outside), expected, rtol=0, atol=1e-12)


def test_a_mirror_keeps_a_uniform_density_and_always_ends_inside() -> None:
    far = 30 * Key(0).normal(20_000, 5, like=line(0))
    folded = BOX.mirror(far)
    assert bool(BOX.contains(folded).all())
    # so wide a normal, folded into [0, 1] and [-1, 3], is uniform there: a clamp would pile it up at the sides
    counts = torch.histc(folded[:, 0], 10, 0, 1)
    assert float(((counts - 2000).square() / 2000).sum()) < 30  # chi-square with 9 degrees of freedom
    assert float(BOX.mirror(line(1e300, 0, 0, 6, 0)[None])[0, 0]) <= 1


def test_float32_points_stay_inside() -> None:
    low, high = torch.full((3,), 0.1), torch.full((3,), 0.7)
    box = Domain.box(low, high)
    assert bool(box.contains(box.mirror(torch.linspace(-9, 9, 3000).reshape(-1, 3))).all())


def test_a_cell_is_its_middle() -> None:
    box = Domain.box(line(0, 0), line(1, 1), cells=torch.tensor([4, 0]))
    xs = torch.stack([line(0.0, 0.3), line(0.25, 0.3), line(0.9999, 0.3), line(1.0, 0.3)])
    assert box.index(xs)[:, 0].tolist() == [0, 1, 3, 3]
    assert box.centre(xs)[:, 0].tolist() == [0.125, 0.375, 0.875, 0.875]
    assert torch.equal(box.centre(xs)[:, 1], xs[:, 1])
    assert torch.equal(box.centre(box.centre(xs)), box.centre(xs))
    assert BOX.centre(xs) is xs


def test_uniform_points_fill_the_box_and_follow_the_point_where_there_is_none() -> None:
    about = line(0, 0, -3, 8, 100)
    xs = BOX.uniform(20_000, Key(1), about)
    assert bool(BOX.contains(xs).all())
    middle, spread = xs.mean(0), xs.std(0)
    assert abs(float(middle[1]) - 1) < 0.05
    assert abs(float(spread[1]) - 4 / math.sqrt(12)) < 0.03
    assert abs(float(middle[4]) - 100) < 0.05
    assert abs(float(spread[4]) - 1) < 0.03
    assert torch.equal(xs, BOX.uniform(20_000, Key(1), about))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Domain.box(line(0, 1), line(1, 1)), InvalidValue, "lower < upper, got 1 and 1 for x[1]"),
        (lambda: Domain.box(line(math.nan), line(1)), InvalidValue, "lower < upper, got nan"),
        (lambda: Domain.box(line(0), line(1, 2)), ShapeMismatch, "one shape"),
        (lambda: Domain.box(line(0), line(1), scale=line(0)), InvalidValue, "> 0, got 0"),
        (lambda: Domain.box(line(0), line(1), cells=torch.tensor([1])), InvalidValue, "got 1 cells"),
        (lambda: Domain.box(line(0), line(INF), cells=torch.tensor([3])), InvalidValue, "finite sides"),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(make: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        make()  # type: ignore[operator]
    assert words in str(error.value)


def test_a_domain_says_which_coordinates_are_there_as_the_points_of_its_space_do() -> None:
    space = Space(
        c=Choice("a", "b", "c"),
        n=Int(1, 64, log=True),
        d=When("c", ("a", "b"), Int(2, 5)),
        e=When("d", (2, 3), Float(0, 1)),
        f=When("n", (3, 64), Space(u=Bool(), v=When("u", True, Float(0, 1)))),
        one=When("c", "c", Choice("only")),
    )
    xs = space.domain.uniform(4000, Key(0), space.middle)
    expected = [[_is_there(point, name) for name in space.names] for point in space.decode(xs)]
    there = space.domain.active(xs)
    assert there.tolist() == expected
    assert bool((there.any(0) & (there.all(0) == torch.tensor([n in "cn" for n in space.names]))).all())
    assert bool(Domain.free(xs[0]).active(xs).all())


def test_what_is_there_depends_on_the_coordinates_of_the_domain_in_any_dtype() -> None:
    space = Space(kind=Bool(), rate=When("kind", True, Float(1, 10)))
    xs = torch.tensor([[0.25, 0.5], [0.75, 0.5], [1.0, 0.5], [0.0, 0.5]])
    assert space.domain.like(xs).active(xs)[:, 1].tolist() == [False, True, True, False]


def _is_there(point: Any, name: str) -> bool:
    for part in name.split("."):
        if part not in point:
            return False
        point = point[part]
    return True
