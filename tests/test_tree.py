"""States: walked, saved as plain data, and restored to the bit."""

import io

import pytest
import torch

from descend.errors import StateMismatch
from descend.key import Key
from descend.tree import from_plain, map_tensors, same, state, tensors, to_plain


@state
class Inner:
    m: torch.Tensor
    t: int


@state
class Outer:
    inner: Inner
    pair: tuple
    key: Key
    name: str
    nothing: None


def example() -> Outer:
    numbers = torch.tensor([1.0, float("nan"), -0.0])
    return Outer(Inner(numbers, 3), (torch.ones(2, dtype=torch.bfloat16), 1.5), Key(9), "n", None)


def test_round_trip_through_a_file_that_runs_no_code():
    buffer = io.BytesIO()
    torch.save(to_plain(example()), buffer)
    buffer.seek(0)
    loaded = from_plain(torch.load(buffer, weights_only=True))
    assert same(loaded, example())
    assert (loaded.key, loaded.name, loaded.pair[1], loaded.inner.t) == (Key(9), "n", 1.5, 3)


def test_a_loaded_state_owns_its_memory():
    before = example()
    loaded = from_plain(to_plain(before))
    loaded.inner.m[0] = 100
    assert before.inner.m[0] == 1


def test_map_and_list_visit_every_tensor():
    assert [t.numel() for t in tensors(example())] == [3, 2]
    assert map_tensors(lambda t: t[:1], example()).inner.m.tolist() == [1.0]


def test_same_sees_one_bit_and_takes_nan_for_equal():
    other = example()
    assert same(example(), other)
    other.inner.m[2] = 0.0  # -0.0 before
    assert not same(example(), other)


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"state": "no.Such", "fields": {}}, "no.Such"),
        ({"state": Inner._kind, "fields": {"m": 1}}, "fields"),
    ],
)
def test_foreign_data_get_a_sentence(plain, says):
    with pytest.raises(StateMismatch, match=says):
        from_plain(plain)


def test_what_cannot_be_saved_is_named():
    with pytest.raises(StateMismatch, match="function"):
        to_plain((lambda: None,))
