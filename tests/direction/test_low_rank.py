"""Low-rank directions are what they promise: a law per element, the same numbers however cut, and exact updates."""

import math

import pytest
import torch

from descend.direction import Combination, LowRank, Scaled, low_rank, mirrored
from descend.direction.low_rank import exact_terms, matrix_shape
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Layout
from descend.noise import Law

LAYOUT = Layout(("table", "bias", "kernel", "head"), ((60, 20), (20,), (8, 4, 3, 3), (1, 5)))
LIKE = torch.zeros((), dtype=torch.float64)


def block(law: Law = Law.SIGN, count: int = 3, rank: int = 1, key: int = 0, layout: Layout = LAYOUT) -> LowRank:
    return LowRank(Key(key), law, count, rank, layout)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_matrix_has_the_rank_and_vectors_are_dense(rank):
    z = block(rank=rank).dense(LIKE)
    table, _, kernel, _ = LAYOUT.unflatten(z[0])
    assert torch.linalg.matrix_rank(table) == rank
    assert torch.linalg.matrix_rank(kernel.reshape(8, 36)) == rank
    vector = z[:, 1200:1220]
    assert bool((vector.abs() == 1).all())
    assert len({tuple(row.tolist()) for row in vector}) == 3


@pytest.mark.parametrize("law", [Law.SIGN, Law.NORMAL])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_elements_have_mean_zero_variance_one_and_no_correlation(law, rank):
    """E z z^T = I is all that an estimator asks of a direction."""
    layout = Layout(("w",), ((9, 11),))
    n = 20_000
    z = block(law, n, rank, layout=layout).dense(LIKE)
    assert float(z.mean(0).abs().max()) < 5 / math.sqrt(n)
    second = z.T @ z / n - torch.eye(99)
    fourth = {Law.SIGN: (3 * rank - 2) / rank, Law.NORMAL: 3 + 6 / rank}[law]
    assert float(second.diagonal().abs().max()) < 5 * math.sqrt(max(fourth - 1, 0.05) / n)
    assert float((second - second.diagonal().diag()).abs().max()) < 6 * math.sqrt(fourth / n)


def test_the_second_moment_of_an_estimate_is_that_of_theory():
    """E |<G,Z> Z|^2 = (m + 2)(n + 2) |G|^2 for rank one and normal factors, and m n |G|^2 for signs."""
    m, n, count = 6, 7, 60_000
    g = torch.randn(m * n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layout = Layout(("w",), ((m, n),))
    for law, expected in ((Law.NORMAL, (m + 2) * (n + 2)), (Law.SIGN, m * n)):
        z = block(law, count, 1, layout=layout).dense(LIKE)
        found = ((z @ g).square() * z.square().sum(1)).mean() / g.square().sum()
        assert float(found) == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("rank", [1, 2])
def test_any_cut_gives_the_same_numbers(rank):
    z = block(rank=rank)
    whole = z.dense(LIKE)
    for start, stop in ((0, 1), (17, 43), (1190, 1230), (1219, 1500), (0, LAYOUT.size)):
        assert torch.equal(z.tile(1, 3, start, stop, LIKE), whole[1:3, start:stop])
    needed = torch.tensor([0, 7, 8, 59])
    assert torch.equal(z.lookup(2, 0, 20, needed, LIKE), whole[2, :1200].view(60, 20)[needed])


@pytest.mark.parametrize("law", [Law.SIGN, Law.NORMAL])
@pytest.mark.parametrize("count", [1, 5])
def test_an_update_is_the_sum_of_the_directions(law, count):
    z = block(law, count, 2)
    weights = [0.3, -1.2, 0.05, 2.0, -0.7][:count]
    out = torch.linspace(-1, 1, LAYOUT.size, dtype=torch.float64)
    expected = out + torch.tensor(weights, dtype=torch.float64) @ z.dense(LIKE)
    z.add_to(out, weights)
    torch.testing.assert_close(out, expected, rtol=1e-7, atol=1e-7)


def test_an_update_with_signs_is_the_same_bits_in_any_order_of_summation():
    """The products are exact, so blocks, permuted members and another rounding of the sum change nothing."""
    z = block(Law.SIGN, 200, 1)
    weights = torch.randn(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64).tolist()
    start = torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(2))
    whole, parts = start.clone(), start.clone()
    z.add_to(whole, weights)
    for low in range(0, LAYOUT.size, 333):
        z.add_to(parts[low : low + 333], weights, low)
    assert torch.equal(whole, parts)
    found = z.factors(0, list(range(200)), start)
    left, right = found.left[..., 0], found.right[..., 0]
    terms = torch.tensor(exact_terms(tuple(weights), 1, torch.float32, Law.SIGN), dtype=torch.float32)
    backwards = torch.zeros(60, 20)
    for i in reversed(range(200)):
        backwards += terms[i] * left[i][:, None] * right[i][None]
    assert torch.equal(whole[:1200], start[:1200] + backwards.view(-1))
    assert torch.allclose(terms.double(), torch.tensor(weights, dtype=torch.float64), atol=2e-5)


def test_factors_are_the_matrix_also_mirrored_and_scaled():
    z = block(count=2, rank=2)
    pairs = Scaled(mirrored(z), ((0, 1200, 2.0), (1200, LAYOUT.size, 3.0)))
    whole = pairs.dense(LIKE)
    found = pairs.factors(2, [0, 3, 1], LIKE)
    left, right = found.spread()
    for k, row in enumerate((0, 3, 1)):
        matrix = found.gains[k] * left[k] @ right[k].T
        torch.testing.assert_close(matrix.double().reshape(-1), whole[row, 1220:1508], rtol=1e-6, atol=1e-6)
    assert pairs.factors(1, [0], LIKE) is None  # a vector has none
    assert pairs.acts


def test_a_held_right_factor_stays_and_the_left_one_changes():
    held = Key(9)
    one, other = (LowRank(Key(k), Law.SIGN, 1, 2, LAYOUT, held) for k in (1, 2))
    a, b = (z.factors(0, [0], LIKE) for z in (one, other))
    assert torch.equal(a.right, b.right)
    assert not torch.equal(a.left, b.left)


def test_a_scaled_update_is_that_of_its_dense_form():
    z = Scaled(block(Law.SIGN, 2), ((0, 700, 0.5), (700, LAYOUT.size, 4.0)))
    out = torch.zeros(LAYOUT.size, dtype=torch.float64)
    Combination((([1.5, -0.25], z),), LAYOUT.size).add_to(out)
    expected = torch.tensor([1.5, -0.25], dtype=torch.float64) @ z.dense(LIKE)
    torch.testing.assert_close(out, expected, rtol=1e-7, atol=1e-7)


def test_what_has_no_fewer_factors_than_elements_is_dense():
    assert matrix_shape((3, 3), 1) == (3, 3)
    assert matrix_shape((3, 3), 2) is None
    assert matrix_shape((), 1) is None
    with pytest.raises(InvalidValue, match="rank must be at least 1, got 0"):
        block(rank=0)


@pytest.mark.parametrize("law", [Law.SIGN, Law.NORMAL])
@pytest.mark.parametrize("count", [1, 3])
def test_an_update_in_pieces_that_cut_rows_is_that_of_the_whole(law, count):
    layout = Layout(("a", "b", "c"), ((7, 13), (5,), (9, 11)))
    z = LowRank(Key(3), law, count, 1, layout)
    weights = [0.3, -0.7, 1.1][:count]
    start = torch.arange(layout.size, dtype=torch.float32)
    expected = start.clone()
    z.add_to(expected, weights)
    torch.testing.assert_close(expected, start + torch.tensor(weights) @ z.dense(start))
    for step in (1, 4, 13, 29, 100):
        found = start.clone()
        for low in range(0, layout.size, step):
            z.add_to(found[low : low + step], weights, low)
        if law is Law.SIGN:
            assert torch.equal(found, expected)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("drawn", [1, 200, 2**20])
def test_the_numbers_do_not_hang_on_what_is_drawn_together(monkeypatch, drawn):
    layout = Layout(("a", "b", "c", "d"), ((7, 13), (5,), (9, 11), (6, 6)))
    like = torch.zeros(())
    expected = LowRank(Key(3), Law.SIGN, 4, 2, layout).dense(like)
    monkeypatch.setattr(low_rank, "_DRAWN", drawn)
    z = LowRank(Key(3), Law.SIGN, 4, 2, layout)
    for place in (3, 0, 2, 0):
        found = z.factors(place, [1, 3], like)
        begin, shape = layout.offsets[place], layout.shapes[place]
        whole = expected[:, begin : begin + layout.sizes[place]].view(4, *shape)
        assert torch.equal(found.left[found.index] @ found.right[found.index].mT * found.gains[0], whole[[1, 3]])
    assert z.factors(1, [0], like) is None
    spans = [(91, 96), (93, 96), (10, 20), (90, 93)]  # the vector, part of it, part of a matrix, some of both
    assert torch.equal(z.tiles(1, 3, spans, like), torch.cat([expected[1:3, a:b] for a, b in spans], 1))
