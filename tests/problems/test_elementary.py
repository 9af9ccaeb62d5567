"""Elementary functions: right values, and right derivatives where the obvious formula has none."""

import math

import pytest
import torch

from descend.problems._elementary import cosine_of_root, index, norm, root, sinc


def derivatives(function, at: float) -> list[float]:
    """Value and first three derivatives."""
    result = []
    for _ in range(4):
        result.append(float(function(torch.tensor(at, dtype=torch.float64))))
        function = torch.func.grad(function)
    return result


def test_cosine_of_root_is_smooth_at_zero() -> None:
    # cos(sqrt(z)) = 1 - z / 2! + z^2 / 4! - z^3 / 6! + ...
    expected = [1.0, -1 / 2, 2 / math.factorial(4), -6 / math.factorial(6)]
    assert derivatives(cosine_of_root, 0.0) == pytest.approx(expected, rel=1e-14)


def test_sinc_is_smooth_at_zero() -> None:
    # sin(u) / u = 1 - u^2 / 3! + ... with u = pi t
    assert derivatives(sinc, 0.0) == pytest.approx([1.0, 0.0, -(math.pi**2) / 3, 0.0], rel=1e-14)


@pytest.mark.parametrize("z", [1e-12, 1e-4, 0.00999999, 0.01, 0.01000001, 1.0, 30.0])
def test_series_and_formula_agree(z: float) -> None:
    assert float(cosine_of_root(torch.tensor(z, dtype=torch.float64))) == pytest.approx(
        math.cos(math.sqrt(z)), rel=1e-15
    )
    t = math.sqrt(z) / math.pi
    assert float(sinc(torch.tensor(t, dtype=torch.float64))) == pytest.approx(
        math.sin(math.sqrt(z)) / math.sqrt(z), rel=1e-15
    )


def test_derivatives_do_not_jump_where_the_series_ends() -> None:
    below, above = derivatives(cosine_of_root, 0.01 - 1e-9), derivatives(cosine_of_root, 0.01 + 1e-9)
    assert below[:3] == pytest.approx(above[:3], rel=1e-7)
    below, above = derivatives(sinc, 0.1 / math.pi - 1e-9), derivatives(sinc, 0.1 / math.pi + 1e-9)
    assert below[:3] == pytest.approx(above[:3], rel=1e-6)


def test_root_and_norm_have_slope_zero_at_zero() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    assert float(torch.func.grad(root)(zero)) == 0.0
    assert float(root(zero)) < 1e-150
    assert float(torch.func.grad(norm, argnums=0)(zero, zero)) == 0.0
    assert float(norm(torch.tensor(-3.0), torch.tensor(4.0))) == 5.0
    assert root(torch.tensor([-9.0, 16.0])).tolist() == [3.0, 4.0]


def test_index_counts_from_one() -> None:
    assert index(torch.zeros(7, 3, dtype=torch.bfloat16)).tolist() == [1.0, 2.0, 3.0]
    assert index(torch.zeros(7, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
