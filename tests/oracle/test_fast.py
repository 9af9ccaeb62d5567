"""The passes over a population's activations equal what they stand for, member by member."""

import pytest
import torch
from torch.nn import functional as F

from descend.direction import Factors
from descend.key import Key
from descend.oracle.intercept import fast


def normal(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return Key(1).fold(name).normal(*shape, like=torch.zeros((), dtype=dtype))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thin_products(shared: bool, shifted: bool, rank: int, dtype: torch.dtype) -> None:
    k, rows, m, n = 6, 5, 37, 23
    # factors and shifts as they come: parts of what was drawn for several parameters
    drawn = normal("drawn", 3, 2 * (m + n) + 11, dtype=dtype)
    left = drawn[:, 4 : 4 + m * rank].view(3, m, rank)
    right = drawn[:, 4 + m * rank : 4 + (m + n) * rank].view(3, n, rank)
    index, gains = torch.tensor([0, 0, 2, 1, 1, 2]), [0.5, -0.5, 2.0, 1.0, 0.0, -3.0]
    x = normal("x", rows, n, dtype=dtype) if shared else normal("x", k, rows, n, dtype=dtype)
    shift = normal("shift", k, m + 9, dtype=dtype)[:, 5 : 5 + m] if shifted else None
    out = normal("out", k, rows, m, dtype=dtype)
    expected = out.double()
    for i in range(k):
        z = gains[i] * left[index[i]].double() @ right[index[i]].double().T
        expected[i] += (x if shared else x[i]).double() @ z.T
        expected[i] += 0 if shift is None else shift[i].double()
    fast.add_thin(out, x, Factors(left, right, index, gains), shift)
    torch.testing.assert_close(out, expected.to(dtype), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_thin_products_and_norms_that_several_threads_share(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = pytest.importorskip("descend.oracle.intercept.compiled")
    monkeypatch.setattr(compiled, "_SMALL", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        test_thin_products(False, True, 1, torch.float32)
        test_layer_norms()
    finally:
        torch.set_num_threads(before)


def test_layer_norms() -> None:
    k, m = 4, 37
    x = normal("x", k, 3, 2, m) * 3 + 1
    weight, bias = normal("weights", k, 2 * m + 3).split([m + 3, m], 1)
    weight = weight[:, 3:]
    found = fast.layer_norm(x, weight, bias, 1e-3)
    assert found is not None or fast._compiled() is None
    if found is not None:
        expected = torch.stack([F.layer_norm(x[i], (m,), weight[i], bias[i], 1e-3) for i in range(k)])
        torch.testing.assert_close(found, expected)
    assert fast.layer_norm(x.double(), weight.double(), bias.double(), 1e-3) is None
    assert fast.layer_norm(x.transpose(1, 2), weight, bias, 1e-3) is None
