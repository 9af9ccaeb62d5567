"""Masks of one bit per element, and directions that are zero outside of them."""

import pytest
import torch

from descend.direction import BLOCK, Seeded
from descend.direction.masked import Mask, Masked
from descend.errors import ShapeMismatch
from descend.key import Key
from descend.noise import Law

DOUBLE = torch.zeros((), dtype=torch.float64)


def pieces() -> list[torch.Tensor]:
    return [Key(i).uniform(*shape, like=DOUBLE) < 0.4 for i, shape in enumerate([(3, 5), (2,), (0,), (4, 8), (7,)])]


def test_bits_are_packed_and_found_again_at_any_place() -> None:
    parts = pieces()
    mask, whole = Mask.of(parts), torch.cat([p.reshape(-1) for p in parts])
    assert mask.bits.shape == (7,)
    assert mask.bits.dtype == torch.uint8
    assert mask.count == int(whole.sum())
    for start in range(57):
        for stop in range(start, 57):
            assert torch.equal(mask.tile(start, stop, DOUBLE), whole[start:stop].double())


def test_directions_are_zero_outside() -> None:
    mask = Mask.of(pieces())
    z = Masked(Seeded(Key(1), Law.SIGN, 3, 56), mask)
    dense, inside = z.dense(DOUBLE), mask.tile(0, 56, DOUBLE)
    assert torch.equal(dense, Seeded(Key(1), Law.SIGN, 3, 56).dense(DOUBLE) * inside)
    out, weights = torch.zeros(56, dtype=torch.float64), [1.0, -2.0, 0.5]
    z.add_to(out, weights)
    assert torch.allclose(out, torch.tensor(weights, dtype=torch.float64) @ dense)
    points = torch.ones(2, 10, dtype=torch.float64)
    z.perturb(points, [2, 0], torch.tensor([0.5, 2.0], dtype=torch.float64), 5)
    assert torch.equal(points, 1 + torch.stack([0.5 * dense[2, 5:15], 2 * dense[0, 5:15]]))
    assert torch.equal(z.lookup(1, 8, 4, torch.tensor([1, 5]), DOUBLE), dense[1, 8:48].view(10, 4)[[1, 5]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_update_of_many_blocks_is_the_same_in_any_pieces(dtype: torch.dtype) -> None:
    d = 2 * BLOCK + 100
    mask = Mask.of([torch.arange(d) % 3 == 0])
    z = Masked(Seeded(Key(1), Law.SIGN, 1, d), mask)
    whole, parts = torch.ones(d, dtype=dtype), torch.ones(d, dtype=dtype)
    z.add_to(whole, [0.5])
    for start in range(0, d, 100_003):
        z.add_to(parts[start : start + 100_003], [0.5], start)
    assert torch.equal(whole, parts)
    assert bool((whole[mask.tile(0, d, DOUBLE) == 0] == 1).all())
    assert bool((whole[::3] != 1).all())


def test_bytes_that_do_not_fit() -> None:
    with pytest.raises(ShapeMismatch, match="a mask of 17 elements has 3 bytes"):
        Mask(torch.zeros(2, dtype=torch.uint8), 17)
