"""A direction held as one tensor per parameter: the same numbers in any pieces."""

import math

import torch

from descend.direction.pieces import Pieces
from descend.key import Key
from descend.layout import Layout

DOUBLE = torch.zeros((), dtype=torch.float64)


def test_any_stretch_is_a_piece_of_the_whole() -> None:
    layout = Layout(("a", "none", "empty", "t"), ((3, 2), (4,), (0,), (2, 5)))
    a, t = Key(1).normal(3, 2, like=DOUBLE), Key(2).normal(5, 2, like=DOUBLE).t()  # not contiguous
    pieces = Pieces((a, None, torch.zeros(0), t), layout)
    whole = torch.cat([a.flatten(), torch.zeros(4, dtype=torch.float64), t.flatten()])
    assert torch.equal(pieces.dense(DOUBLE)[0], whole)
    for start in range(20):
        for stop in range(start, 21):
            assert torch.equal(pieces.tile(0, 1, start, stop, DOUBLE)[0], whole[start:stop])
            out = torch.ones(stop - start, dtype=torch.float64)
            pieces.add_to(out, [-2.0], start)
            assert torch.allclose(out, 1 - 2 * whole[start:stop])


def test_what_is_not_finite_is_found_without_an_overflow() -> None:
    layout = Layout(("a", "b"), ((2,), (2,)))
    large = torch.full((2,), 6e4, dtype=torch.float16)
    assert Pieces((large, None), layout).is_finite()
    assert not Pieces((large, torch.tensor([0.0, math.inf])), layout).is_finite()
    assert not Pieces((torch.tensor([math.nan, 0.0]), None), layout).is_finite()
    assert Pieces((None, None), layout).is_finite()
