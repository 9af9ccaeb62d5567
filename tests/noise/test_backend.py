"""What the questions mean, whoever answers: cuts, arithmetic, refusals, and the choice of the back end."""

import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import descend.noise
from descend.noise import Law, add, backend, combine, dot, fill, reference

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.fixture(params=["fastest", "reference"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every test of this file runs on whatever is installed and again on the reference."""
    if request.param == "reference":
        monkeypatch.setenv("DESCEND_NOISE", "reference")
    backend._compiled.cache_clear()
    yield request.param
    backend._compiled.cache_clear()


def values(length: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(length, dtype=torch.float64, generator=torch.Generator().manual_seed(length)).to(dtype)


@pytest.mark.parametrize("law", Law)
def test_any_cut_gives_the_numbers_of_the_whole(law: Law) -> None:
    start, length = 8000, 17_000
    whole = fill(torch.empty(4, length), 9, law, start=start, member=2)
    for cuts in ([0, 1, 3, 190, 192, 8384, 8385, length], range(0, length + 1, 1000)):
        for a, b in pairwise(cuts):
            assert torch.equal(fill(torch.empty(4, b - a), 9, law, start=start + a, member=2), whole[:, a:b])
    for r in range(4):
        assert torch.equal(fill(torch.empty(length), 9, law, start=start, member=2 + r), whole[r])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", Law)
def test_fill_rounds_the_float32_number(law: Law, dtype: torch.dtype) -> None:
    expected = fill(torch.empty(2, 300), 9, law).to(dtype)
    assert torch.equal(fill(torch.empty(2, 300, dtype=dtype), 9, law), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", Law)
def test_add_and_combine_round_where_they_say(law: Law, dtype: torch.dtype) -> None:
    length, weights = 9001, [0.1, -0.7, 3.0]
    work = torch.float64 if dtype == torch.float64 else torch.float32
    x, z = values(length, dtype), fill(torch.empty(3, length), 9, law, start=50).to(work)
    scale = torch.tensor(0.1, dtype=work)
    expected = x.to(work) + (scale * z[0])
    assert torch.equal(add(x.clone(), 9, law, 0.1, start=50), expected.to(dtype))
    total = torch.zeros(length, dtype=work)
    for weight, row in zip(weights, z, strict=True):
        total = total + torch.tensor(weight, dtype=work) * row
    expected = (x.to(work) + total).to(dtype)
    assert torch.equal(combine(x.clone(), 9, law, weights, start=50), expected)
    assert torch.equal(combine(x.clone(), 9, law, torch.tensor(weights, dtype=torch.float64), start=50), expected)
    assert torch.equal(combine(x.clone(), 9, law, []), x)


@pytest.mark.parametrize("law", Law)
def test_dot_is_the_matrix_product(law: Law) -> None:
    for length, n in ((3, 5), (100, 3000), (300_000, 2)):
        x = values(length, torch.float32).requires_grad_()
        z = fill(torch.empty(n, length, dtype=torch.float64), 9, law, start=7, member=1)
        answer = dot(x, 9, law, n=n, start=7, member=1)
        torch.testing.assert_close(answer, z @ x.detach().double(), rtol=1e-12, atol=1e-9)
        assert not answer.requires_grad
    assert dot(torch.ones(3), 0, law, n=0).shape == (0,)
    assert dot(torch.ones(0), 0, law, n=2).tolist() == [0.0, 0.0]


def test_the_tensor_itself_is_returned_and_nothing_is_recorded() -> None:
    x = torch.zeros(3, requires_grad=True)
    assert fill(x, 0, Law.SIGN) is x
    assert add(x, 0, Law.SIGN, 1.0) is x
    assert combine(x, 0, Law.SIGN, [1.0]) is x
    assert x.is_leaf
    state = torch.random.get_rng_state()
    fill(x, 0, Law.NORMAL)
    assert torch.equal(state, torch.random.get_rng_state())
    assert fill(torch.empty(0), 0, Law.SIGN).numel() == fill(torch.empty(0, 3), 0, Law.SIGN).numel() == 0


def test_rows_may_stand_apart() -> None:
    room = torch.zeros(4, 500)
    assert torch.equal(fill(room[:, 100:400], 3, Law.NORMAL), fill(torch.empty(4, 300), 3, Law.NORMAL))
    assert torch.equal(room[:, 100:400], fill(torch.empty(4, 300), 3, Law.NORMAL))


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"out": torch.zeros(3, dtype=torch.int64)}, TypeError, "int64"),
        ({"out": torch.zeros(())}, ValueError, r"got shape \(\)"),
        ({"out": torch.zeros(2, 2, 2)}, ValueError, r"got shape \(2, 2, 2\)"),
        ({"out": torch.zeros(4, 4).T}, ValueError, "scattered"),
        ({"out": torch.zeros(4)[::2]}, ValueError, "scattered"),
        ({"out": torch.zeros(3).expand(2, 3)}, ValueError, "overlap"),
        ({"seed": -1}, ValueError, "seed must be 64 bits.*got -1"),
        ({"seed": 2**64}, ValueError, "seed must be 64 bits"),
        ({"seed": 1.0}, TypeError, "seed must be an integer, got 1.0"),
        ({"law": "sign"}, TypeError, "got 'sign'"),
        ({"start": -5}, ValueError, "start must be an index.*got -5"),
        ({"start": 2**63 - 3}, ValueError, "start must be an index"),
        ({"member": -1}, ValueError, "member must .*got -1"),
        ({"member": 2**32}, ValueError, "member must"),
    ],
)
def test_fill_refuses_with_a_sentence(arguments: dict, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        fill(**{"out": torch.zeros(3), "seed": 0, "law": Law.SIGN, **arguments})


def test_the_others_refuse_too() -> None:
    with pytest.raises(ValueError, match=r"expected a tensor of shape \(len,\), got"):
        add(torch.zeros(2, 2), 0, Law.SIGN, 1.0)
    with pytest.raises(ValueError, match=r"weights must be \(n,\)"):
        combine(torch.zeros(2), 0, Law.SIGN, torch.ones(2, 2))
    with pytest.raises(ValueError, match="member must"):
        combine(torch.zeros(2), 0, Law.SIGN, [1.0, 2.0], member=2**32 - 1)
    with pytest.raises(ValueError, match="n must be the number of members"):
        dot(torch.zeros(2), 0, Law.SIGN, n=-1)


def test_integers_of_other_kinds_are_integers() -> None:
    x = torch.tensor(3)
    assert torch.equal(fill(torch.empty(5), x, Law.SIGN, start=x), fill(torch.empty(5), 3, Law.SIGN, start=3))  # type: ignore[arg-type]


def test_without_numba_the_reference_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fill(torch.empty(100), 4, Law.NORMAL)
    monkeypatch.delenv("DESCEND_NOISE", raising=False)
    monkeypatch.delattr(descend.noise, "cpu", raising=False)
    monkeypatch.delitem(sys.modules, "descend.noise.cpu", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    backend._compiled.cache_clear()
    assert backend._engine(torch.empty(1)) is reference
    assert torch.equal(fill(torch.empty(100), 4, Law.NORMAL), expected)


def test_without_triton_the_reference_answers_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpu(Tensor):
        is_cpu, is_cuda = False, True

    out = torch.empty(3).as_subclass(OnGpu)
    monkeypatch.delattr(descend.noise, "cuda", raising=False)
    monkeypatch.delitem(sys.modules, "descend.noise.cuda", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    backend._triton.cache_clear()
    assert backend._engine(out) is reference
    backend._triton.cache_clear()


def test_the_fastest_that_can_answer_is_asked(engine: str) -> None:
    from descend.noise import cpu

    chosen = [backend._engine(torch.empty(1, dtype=dtype)) for dtype in DTYPES]
    assert chosen == ([reference] * 4 if engine == "reference" else [cpu, cpu, cpu, reference])
    assert backend._engine(torch.empty(1, device="meta")) is reference
