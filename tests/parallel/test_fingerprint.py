"""The hash sees every change of a bit, and nothing else."""

import pytest
import torch

from descend.key import Key
from descend.parallel import fingerprint
from descend.parallel.fingerprint import _CHUNK

N = 3 * _CHUNK + 17


def reference(tensors: list[torch.Tensor]) -> int:
    """The formula in Python's integers."""
    drawn = [2 * w + 1 for w in Key(0).fold("fingerprint").integers(0, 2**63 - 1, _CHUNK).tolist()]
    total, started = 0, False
    for tensor in tensors:
        word = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
        bits = tensor.reshape(-1).view(word).tolist()
        for start in range(0, len(bits), _CHUNK):
            part = sum(b * w for b, w in zip(bits[start : start + _CHUNK], drawn, strict=False))
            total = total * 0x9E3779B97F4A7C15 + part if started else part
            started = True
    return total % 2**64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_it_is_the_formula_over_the_bits(dtype: torch.dtype) -> None:
    tensors = [Key(1).normal(N, like=torch.zeros(())).to(dtype), Key(2).normal(3, 5, like=torch.zeros(())).to(dtype)]
    assert fingerprint(tensors) == reference(tensors)


@pytest.mark.parametrize("place", [0, 1, _CHUNK - 1, _CHUNK, N - 1])
@pytest.mark.parametrize("bit", [0, 13, 31])
def test_one_bit_anywhere_changes_it(place: int, bit: int) -> None:
    x = Key(0).normal(N, like=torch.zeros(()))
    before = fingerprint([x])
    x.view(torch.int32)[place] ^= (1 << bit) if bit < 31 else -(1 << 31)
    assert fingerprint([x]) != before


def test_order_and_place_matter_and_storage_does_not() -> None:
    a, b = Key(0).normal(40, 30, like=torch.zeros(())), Key(1).normal(40, 30, like=torch.zeros(()))
    assert fingerprint([a, b]) != fingerprint([b, a])
    assert fingerprint([a]) != fingerprint([a.t()])
    stored_otherwise = a.t().contiguous().t()
    assert fingerprint([a]) == fingerprint([stored_otherwise])
    swapped = a.clone()
    swapped[[3, 7]] = swapped[[7, 3]]
    assert fingerprint([a]) != fingerprint([swapped])
    assert fingerprint([torch.zeros(2)]) != fingerprint([-torch.zeros(2)])
    assert fingerprint([torch.tensor(1.5, requires_grad=True)]) == fingerprint([torch.tensor(1.5)])


def test_many_small_differences_do_not_cancel() -> None:
    x = torch.zeros(1000)
    seen = {fingerprint([x + (Key(0).fold(t).normal(1000, like=x) > 1) * 1e-7]) for t in range(300)}
    assert len(seen) == 300
