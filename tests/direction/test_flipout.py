"""Flipout directions: the same numbers however they are asked for, and the moments of independent signs."""

import pytest
import torch
from torch.nn import functional as F

from descend.direction.flipout import Flipout
from descend.key import Key
from descend.layout import Layout

LAYOUT = Layout(("w", "b", "empty", "conv", "tiny"), ((5, 7), (5,), (0,), (4, 3, 2), (2, 2)))
DOUBLE = torch.zeros((), dtype=torch.float64)


def made(count: int = 6, seed: int = 1) -> Flipout:
    return Flipout(Key(seed), count, LAYOUT)


def test_every_element_is_a_sign_and_members_share_one_pattern() -> None:
    z = made().dense(DOUBLE)
    assert bool((z.abs() == 1).all())
    ratio = (z[2] * z[4])[:35].view(5, 7)
    assert int(torch.linalg.matrix_rank(ratio)) == 1
    assert int(torch.linalg.matrix_rank(z[2][:35].view(5, 7))) > 1
    assert len({tuple(row.tolist()) for row in z}) == 6


@pytest.mark.parametrize("width", [1, 3, 8, 20])
def test_tiles_are_pieces_of_the_whole(width: int) -> None:
    z, whole = made(), made().dense(DOUBLE)
    for start in range(0, z.size, width):
        stop = min(z.size, start + width)
        assert torch.equal(z.tile(1, 5, start, stop, DOUBLE), whole[1:5, start:stop])
    points = torch.zeros(2, z.size, dtype=torch.float64)
    z.perturb(points, [4, 0], torch.tensor([0.5, 2.0], dtype=torch.float64))
    assert torch.equal(points, torch.stack([0.5 * whole[4], 2 * whole[0]]))


def test_rows_of_a_table_are_looked_up() -> None:
    z, whole = made(), made().dense(DOUBLE)
    needed = torch.tensor([0, 3, 4])
    for row in (5, 2, 5):
        assert torch.equal(z.lookup(row, 0, 7, needed, DOUBLE), whole[row, :35].view(5, 7)[needed])
    other = torch.tensor([1, 2])
    assert torch.equal(z.lookup(2, 0, 7, other, DOUBLE), whole[2, :35].view(5, 7)[other])


@pytest.mark.parametrize("tile", [None, 1, 14])
@pytest.mark.parametrize("shared", [False, True])
def test_products_are_those_of_the_dense_matrix(tile: int | None, shared: bool) -> None:
    z, whole = made(), made().dense(DOUBLE)
    rows, scales = [3, 0, 3], [0.5, -1.0, 2.0]
    assert z.multiplies(0)
    assert not z.multiplies(1)
    for transposed, (n, m) in ((False, (7, 5)), (True, (5, 7))):
        x = Key(2).normal(4, n, like=DOUBLE) if shared else Key(2).normal(3, 4, n, like=DOUBLE)
        start = Key(3).normal(3, 4, m, like=DOUBLE)
        out = start.clone()
        z.add_product(0, rows, scales, x, out, transposed, tile)
        for i, (row, scale) in enumerate(zip(rows, scales, strict=True)):
            matrix = whole[row, :35].view(5, 7)
            own = x if shared else x[i]
            product = own @ matrix if transposed else F.linear(own, matrix)
            assert torch.allclose(out[i], start[i] + scale * product, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_is_one_product_and_the_same_bits_in_any_pieces(dtype: torch.dtype) -> None:
    z, like = made(40), torch.zeros((), dtype=dtype)
    weights = Key(4).normal(40, like=DOUBLE).tolist()
    begin = Key(5).normal(z.size, like=like)
    whole = begin.clone()
    z.add_to(whole, weights)
    exact = begin + (torch.tensor(weights, dtype=torch.float64) @ z.dense(DOUBLE)).to(dtype)
    # 40 weights, each rounded to a multiple of 2^-23 of the sum of their sizes, so that no sum of them is rounded
    assert torch.allclose(whole, exact, atol=40 * 32 * 2.0**-23 if dtype == torch.float32 else 1e-12)
    for width in (1, 11, 37):
        pieces = begin.clone()
        for start in range(0, z.size, width):
            z.add_to(pieces[start : start + width], weights, start)
        assert torch.equal(pieces, whole)


def test_pairs_behave_like_independent_signs() -> None:
    """E z_a z_a^T z_b z_b^T = I, from which the variance of every average follows; for one shared z it is d I."""
    layout, keys = Layout(("w",), ((4, 6),)), 6000
    total, squares = torch.zeros(24, 24, dtype=torch.float64), torch.zeros(24, 24, dtype=torch.float64)
    for seed in range(keys):
        a, b = Flipout(Key(seed), 2, layout).dense(DOUBLE)
        product = (a @ b) * torch.outer(a, b)
        total += product
        squares += product.square()
    mean = total / keys
    error = (squares / keys - mean.square()).div(keys).sqrt()
    assert float((mean - torch.eye(24)).abs().div(error).max()) < 4.5  # the largest of 576
    assert float(error.max()) < 0.15
