"""Every kind of direction block answers like the matrix it stands for."""

import pytest
import torch

from descend.direction import (
    Combination,
    Coordinate,
    Dense,
    Directions,
    Rows,
    Scaled,
    Seeded,
    as_dense,
    as_directions,
    mirrored,
)
from descend.errors import ShapeMismatch
from descend.estimate.hybrid import Embedded
from descend.key import Key
from descend.noise import Law

D = 37
LIKE = torch.zeros((), dtype=torch.float64)


def blocks() -> dict[str, Directions]:
    dense = Dense(Key(1).normal(5, D, like=LIKE))
    return {
        "dense": dense,
        "sign": Seeded(Key(2), Law.SIGN, 5, D),
        "normal": Seeded(Key(2), Law.NORMAL, 5, D),
        "one seeded": Seeded(Key(2), Law.NORMAL, 1, D),
        "coordinate": Coordinate(torch.tensor([0, 36, 4, 4]), D),
        "scaled": Scaled(dense, ((0, 10, 2.0), (10, D, 0.5))),
        "rows": Rows(dense, (4, 0, 0), (1.0, -1.0, 2.5)),
        "mirrored": mirrored(Seeded(Key(3), Law.UNIFORM, 2, D)),
        "embedded": Embedded(Seeded(Key(3), Law.NORMAL, 3, 20), 9, D),
    }


@pytest.fixture(params=list(blocks()))
def block(request) -> Directions:
    return blocks()[request.param]


def test_tiles_are_pieces_of_the_dense_block(block):
    whole = block.dense(LIKE)
    assert whole.shape == (block.count, D)
    for first, last, start, stop in ((0, block.count, 3, 30), (block.count - 1, block.count, 0, D), (0, 1, 12, 13)):
        assert torch.equal(block.tile(first, last, start, stop, LIKE), whole[first:last, start:stop])


@pytest.mark.parametrize("window", [(0, D), (5, 31)])
def test_perturb_moves_each_point_along_its_row(block, window):
    start, stop = window
    rows = [block.count - 1, 0, block.count - 1]
    scales = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
    points = Key(5).normal(3, stop - start, like=LIKE)
    expected = points + scales[:, None] * block.dense(LIKE)[rows, start:stop]
    block.perturb(points, rows, scales, start)
    torch.testing.assert_close(points, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("window", [(0, D), (5, 31)])
def test_add_to_is_the_weighted_sum(block, window):
    start, stop = window
    weights = [0.3 * (i + 1) for i in range(block.count)]
    out = torch.ones(stop - start, dtype=torch.float64)
    block.add_to(out, weights, start)
    expected = 1 + torch.tensor(weights, dtype=torch.float64) @ block.dense(LIKE)[:, start:stop]
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


def test_dot_and_point(block):
    x = Key(6).normal(D, like=LIKE)
    torch.testing.assert_close(block.dot(x), block.dense(LIKE) @ x, rtol=1e-6, atol=1e-6)
    out = torch.empty_like(x)
    block.point(x, block.count - 1, 0.25, out)
    torch.testing.assert_close(out, x + 0.25 * block.dense(LIKE)[-1], rtol=1e-6, atol=1e-6)


def test_combination_is_linear():
    named = blocks()
    a = Combination((([1.0, -2.0, 0.5, 3.0, 0.1], named["dense"]),), D)
    b = Combination((([2.0] * 5, named["sign"]),), D)
    whole = (a + b.scaled(3.0)).dense(LIKE)
    torch.testing.assert_close(whole, a.dense(LIKE) + 3 * b.dense(LIKE))
    torch.testing.assert_close((a + b).tile(4, 9, LIKE), (a + b).dense(LIKE)[4:9])
    assert a.is_finite()
    assert not a.scaled(float("nan")).is_finite()


def test_length_is_exact_for_one_sign_direction():
    one = Combination((([-0.5], Seeded(Key(1), Law.SIGN, 1, D)),), D)
    assert one.length() == pytest.approx(float(one.dense(LIKE).norm()))


def test_a_dense_direction_must_be_a_matrix():
    with pytest.raises(ShapeMismatch, match=r"\(37,\)"):
        Dense(torch.ones(D))


def test_conversions():
    x = torch.ones(D)
    assert as_dense(x, x) is x
    assert as_directions(x, x).count == 1
    assert as_directions(torch.ones(3, D), x).count == 3
