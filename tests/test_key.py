"""Keys: immutable, foldable, and the only source of randomness."""

import itertools

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key, as_key


def test_fold_is_deterministic_and_associative_over_tags():
    assert Key(7).fold("a", 3) == Key(7).fold("a").fold(3)
    assert Key(7).fold("a") == Key(7).fold("a")


def test_tags_of_other_kinds_and_values_give_other_keys():
    tags = [0, 1, -1, "0", "1", "", "a", 2**63, 2**64 + 1]
    keys = {Key(7).fold(tag).seed for tag in tags} | {7}
    # 2**64 + 1 wraps to the same word as 1, by the 64-bit arithmetic
    assert len(keys) == len(tags)


def test_neighbouring_keys_are_uncorrelated():
    """Bits of folded seeds flip with probability 1/2 whichever bit of the tag or the seed flips."""
    flips = []
    for seed, tag, bit in itertools.product((0, 1, 12345), (0, 1, 999), range(0, 62, 7)):
        a = Key(seed).fold(tag).seed
        flips.append((a ^ Key(seed).fold(tag ^ (1 << bit)).seed).bit_count())
        flips.append((a ^ Key(seed ^ (1 << bit)).fold(tag).seed).bit_count())
    mean = sum(flips) / len(flips)
    assert abs(mean - 32) < 5 * 4 / len(flips) ** 0.5  # a flip count has standard deviation 4
    assert min(flips) > 10


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", True])
def test_a_wrong_seed_is_refused_and_quoted(seed):
    with pytest.raises(InvalidValue, match="seed"):
        Key(seed)


def test_as_key():
    assert as_key(5) == Key(5)
    assert as_key(Key(5)) == Key(5)
    assert as_key(None) != as_key(None)


def test_draws_repeat_and_leave_the_global_state_alone():
    before = torch.get_rng_state()
    like = torch.zeros((), dtype=torch.float64)
    for draw in (
        lambda k: k.normal(3, 4, like=like),
        lambda k: k.uniform(5, like=like),
        lambda k: k.permutation(9),
        lambda k: k.integers(2, 9, 20),
    ):
        assert torch.equal(draw(Key(3)), draw(Key(3)))
        assert not torch.equal(draw(Key(3)), draw(Key(4)))
    assert torch.equal(before, torch.get_rng_state())
    assert Key(3).integers(2, 9, 200).min() == 2
    assert Key(3).integers(2, 9, 200).max() == 8
