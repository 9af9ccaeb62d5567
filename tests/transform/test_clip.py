"""Clipping against torch.nn.utils."""

import pytest
import torch

from descend.direction import BLOCK
from descend.key import Key
from descend.oracle import Oracle
from descend.transform import At, ClipNorm, ClipValue, Sign
from descend.transform.chain import apply_chain


def clipped(transform: ClipNorm | ClipValue, gradient: torch.Tensor) -> torch.Tensor:
    return transform(gradient.clone(), None, At(gradient, Oracle(), Key(0), 0.0))[0]


@pytest.mark.parametrize("length", [0.1, 3.0, 1e10])
def test_the_norm_is_clipped_as_torch_does(length: float) -> None:
    gradient = length * Key(0).normal(50, like=torch.zeros((), dtype=torch.float64))
    p = torch.nn.Parameter(torch.zeros(50, dtype=torch.float64))
    p.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([p], 2.0)
    torch.testing.assert_close(clipped(ClipNorm(2.0), gradient), p.grad, rtol=1e-6, atol=0)


def test_a_short_gradient_keeps_its_bits_and_a_long_one_its_direction() -> None:
    gradient = torch.tensor([0.3, -0.4])
    assert torch.equal(clipped(ClipNorm(0.6), gradient), gradient)
    torch.testing.assert_close(clipped(ClipNorm(0.05), gradient), gradient / 10)
    assert torch.equal(clipped(ClipNorm(1.0), torch.zeros(3)), torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_norms_of_half_precision_are_not_summed_in_it(dtype: torch.dtype) -> None:
    gradient = torch.full((10_000,), 1000.0, dtype=dtype)  # of norm 1e5, which float16 cannot say
    torch.testing.assert_close(clipped(ClipNorm(1e4), gradient), torch.full_like(gradient, 100.0), rtol=1e-2, atol=0)


def test_the_norm_is_that_of_all_blocks() -> None:
    d = 2 * BLOCK + 3
    gradient = torch.ones(d, dtype=torch.float64)
    at = At(torch.zeros(d, dtype=torch.float64), Oracle(), Key(0), 0.0)
    direction, _ = apply_chain((ClipValue(2.0), ClipNorm(1.0), ClipValue(1.0)), gradient, (None, None, None), at)
    assert float(direction.norm()) == pytest.approx(1.0)
    assert apply_chain((Sign(),), -direction, (None,), at)[0].sum() == -d


def test_values_are_clipped_as_torch_does() -> None:
    gradient = Key(0).normal(50, like=torch.zeros(()))
    p = torch.nn.Parameter(torch.zeros(50))
    p.grad = gradient.clone()
    torch.nn.utils.clip_grad_value_([p], 0.5)
    assert torch.equal(clipped(ClipValue(0.5), gradient), p.grad)
