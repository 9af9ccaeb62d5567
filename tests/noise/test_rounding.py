"""Stochastic rounding keeps the mean, takes neighbours, and has the same bits on every back end and under every cut."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from descend.noise import Law, backend, round_stochastically, rounding
from descend.noise.reference import _words

NARROW = (torch.bfloat16, torch.float16)
N = 300_000


@pytest.fixture(params=["fastest", "reference"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every test of this file runs on whatever is installed and again on the reference."""
    if request.param == "reference":
        monkeypatch.setenv("DESCEND_NOISE", "reference")
    backend._compiled.cache_clear()
    rounding._compiled.cache_clear()
    yield request.param
    backend._compiled.cache_clear()
    rounding._compiled.cache_clear()


def everything(n: int) -> Tensor:
    """Numbers of all sizes, with zeros, infinities and NaN."""
    generator = torch.Generator().manual_seed(n)
    s = torch.randn(n, generator=generator) * 2.0 ** torch.randint(-150, 128, (n,), generator=generator)
    s[: min(n, 5)] = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan])[:n]
    return s


def bits(s: Tensor) -> Tensor:
    return torch.where(s.isnan(), 1, s).view(torch.int32)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("start", [0, 5, 255, 2**40 + 7])
def test_the_bits_are_those_of_the_reference_however_it_is_cut(start: int, dtype: torch.dtype) -> None:
    for n in (1, 3, 255, 5000, 70_001):
        s = everything(n)
        expected = s.clone()
        rounding.reference(expected, dtype, 2**63 + 9, start)
        assert torch.equal(bits(round_stochastically(s.clone(), dtype, 2**63 + 9, start=start)), bits(expected))
        for a, b in pairwise(sorted({0, n // 7, n // 2 + 1, n})):
            part = s[a:b].clone()
            assert torch.equal(bits(round_stochastically(part, dtype, 2**63 + 9, start=start + a)), bits(expected[a:b]))


def test_threads_share_a_long_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    from descend.noise import cpu_rounding

    s, before = everything(9000), torch.get_num_threads()
    whole = round_stochastically(s.clone(), torch.bfloat16, 1)
    monkeypatch.setattr(cpu_rounding, "_SHARE", 1000)
    torch.set_num_threads(2)
    shared = round_stochastically(s.clone(), torch.bfloat16, 1)
    torch.set_num_threads(before)
    assert torch.equal(bits(whole), bits(shared))


def test_it_refuses_with_a_sentence() -> None:
    with pytest.raises(TypeError, match="float64"):
        round_stochastically(torch.zeros(3, dtype=torch.float64), torch.bfloat16, 0)
    with pytest.raises(TypeError, match=r"torch\.float32 and torch\.float32"):
        round_stochastically(torch.zeros(3), torch.float32, 0)
    with pytest.raises(ValueError, match="got shape"):
        round_stochastically(torch.zeros(3, 3), torch.bfloat16, 0)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("value", [0.05, -0.0503, 1 - 1e-4, 3.1e-5, -2.2e-7, 300.03, 9.5e-39, 0.0])
def test_the_mean_is_kept_and_neighbours_are_taken(value: float, dtype: torch.dtype) -> None:
    s = torch.full((N,), value)
    exact = s[0].double().item()
    rounded = round_stochastically(s, dtype, 8, start=10**9).double()
    assert torch.equal(rounded.to(dtype).double(), rounded)  # nothing is left to round
    low, high = rounded.min().item(), rounded.max().item()
    if dtype == torch.float16 and abs(value) < 1e-37:
        assert low == high == 0  # its chance of becoming 6e-8 is below 2^-24
        return
    assert low <= exact <= high
    up = torch.nextafter(torch.tensor(low, dtype=dtype), torch.tensor(math.inf, dtype=dtype)).item()
    assert high in (low, up)
    deviation = math.sqrt((exact - low) * (high - exact) / N)
    assert rounded.mean().item() == pytest.approx(exact, abs=4 * deviation + 1e-16 * abs(exact))


@pytest.mark.parametrize("dtype", NARROW)
def test_the_chance_of_rounding_up_is_the_distance_from_below(dtype: torch.dtype) -> None:
    spacing = torch.finfo(dtype).eps
    fractions = torch.arange(64).repeat_interleave(4096) / 64
    up = round_stochastically(1 + fractions * spacing, dtype, 2, start=0).view(64, 4096) > 1
    chance = fractions.view(64, 4096)[:, 0]
    scores = (up.float().mean(1) - chance)[1:] / (chance * (1 - chance) / 4096)[1:].sqrt()
    assert up[0].sum() == 0
    assert scores.abs().max() < 4
    assert 0.6 < scores.square().mean() < 1.6  # neither biased nor more regular than chance


@pytest.mark.parametrize("dtype", NARROW)
def test_what_the_type_holds_stays(dtype: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype).float()
    for t in range(3):
        assert torch.equal(round_stochastically(every.clone(), dtype, t, start=0).nan_to_num(7), every.nan_to_num(7))
    limits = torch.finfo(dtype)
    beyond = torch.tensor([limits.max * (1 + 2**-11), -limits.max * (1 + 2**-11), math.inf, -math.inf, math.nan])
    expected = beyond.to(dtype)
    assert torch.equal(round_stochastically(beyond, dtype, 0, start=0).to(dtype).nan_to_num(1), expected.nan_to_num(1))


def test_the_uniform_numbers_are_the_words_themselves() -> None:
    """u is (w + 2^23 + 1/2) / 2^24, so that s goes up where w + 1/2 < (f - 1/2) * 2^24."""
    words = _words(4, Law.UNIFORM, range(1), range(0, 256), 0, 16, torch.device("cpu"))
    w = (words.view(-1) >> 8).double()
    for f in (1 / 64, 1 / 2, 1 - 1 / 2**13):
        s = torch.full((1024,), 1 + f * 2**-7)
        up = round_stochastically(s, torch.bfloat16, 4) > 1
        assert torch.equal(up, w + 0.5 < (f - 0.5) * 2**24)
