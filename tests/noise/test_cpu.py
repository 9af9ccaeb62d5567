"""The compiled kernels give the reference's bits, whatever the size, type, cut and number of threads."""

import multiprocessing
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from descend.noise import Law, add, cpu, fill, reference

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
SPANS = [(0, 1), (0, 2), (63, 1), (62, 4), (64, 64), (1, 64), (2047, 2), (8100, 200), (77, 8192), (2**40 + 19, 20_001)]
SEED = 0xFEDCBA9876543210


def values(length: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(length, dtype=torch.float64, generator=torch.Generator().manual_seed(length)).to(dtype)


def assert_same(answer: Callable[..., None], out: Tensor, arguments: tuple[object, ...]) -> None:
    """`answer` is a function of `cpu`: its bits in `out` are those of the reference."""
    expected = out.clone()
    getattr(reference, answer.__name__)(expected, *arguments)
    answer(out, *arguments)
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[out.element_size()]
    assert torch.equal(out.view(integers), expected.view(integers))


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """So many threads, which share even short vectors."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    if request.param > 1:
        monkeypatch.setattr(cpu, "_SHARE", 1000)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", Law)
def test_every_answer_has_the_bits_of_the_reference(law: Law, dtype: torch.dtype) -> None:
    weights = torch.tensor([0.3, -1.7, 0.0, 1e-3, 5.0], dtype=torch.float64)
    for start, length in SPANS:
        assert_same(cpu.fill, torch.zeros(length, dtype=dtype), (SEED, law, start, 3))
        assert_same(cpu.fill, torch.zeros(3, length, dtype=dtype), (SEED, law, start, 2**32 - 3))
        assert_same(cpu.add, values(length, dtype), (SEED, law, -0.037, start, 3))
        assert_same(cpu.combine, values(length, dtype), (SEED, law, weights, start, 3))
    assert_same(cpu.fill, torch.zeros(700, 2, dtype=dtype), (SEED, law, 5, 3))


def test_a_longer_row_than_the_reference_takes_at_once() -> None:
    for law in Law:
        assert_same(cpu.add, torch.zeros(2**21 + 70), (SEED, law, 1.0, 2**21 - 9, 0))


@pytest.mark.usefixtures("threads")
def test_nothing_outside_the_tensor_is_written() -> None:
    for dtype in DTYPES:
        for start, length in SPANS[:-1]:
            room = torch.full((3, length + 200), 7.0, dtype=dtype)
            fill(room[:, 100 : 100 + length], 1, Law.NORMAL, start=start)
            add(room[1, 100 : 100 + length], 1, Law.SIGN, 0.5, start=start)
            assert (room[:, :100] == 7).all()
            assert (room[:, 100 + length :] == 7).all()
            assert (room[:, 100 : 100 + length] != 7).all()


def test_bfloat16_rounds_once_to_even_and_keeps_what_is_no_number() -> None:
    out = torch.tensor([1.0, 1.0078125, 256.0, float("nan"), float("inf"), 3.3895e38]).bfloat16()
    signs = fill(torch.empty(6), 0, Law.SIGN)
    for scale in (0.00390625, 0.0039, 1.0, 3e38):
        result = add(out.clone(), 0, Law.SIGN, scale)
        assert torch.equal(result.isnan(), out.isnan())
        expected = (out.float() + torch.tensor(scale, dtype=torch.float32) * signs).bfloat16()
        assert torch.equal(result.nan_to_num(-1.0), expected.nan_to_num(-1.0))


def test_autograd_learns_that_a_tensor_has_changed() -> None:
    x = torch.ones(4, requires_grad=True)
    squares = (x**2).sum()
    add(x, 0, Law.SIGN, 0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


def test_a_kernel_compiles_where_no_cache_can_be_written() -> None:
    names: dict[str, Callable[..., int]] = {}
    exec("def successor(x):\n    return x + 1", names)  # a function without a file has no place for a cache
    assert cpu._kernel(names["successor"])(1) == 2


def _child(length: int) -> None:
    cpu._SHARE = 1000
    assert fill(torch.empty(length), 3, Law.SIGN).abs().eq(1).all()


@pytest.mark.parametrize("method", [m for m in multiprocessing.get_all_start_methods() if m == "fork"])
def test_a_forked_child_has_threads_of_its_own(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(cpu, "_SHARE", 1000)
    fill(torch.empty(5000), 3, Law.SIGN)  # the parent's pool now has a thread, which a fork does not copy
    child = multiprocessing.get_context(method).Process(target=_child, args=(5000,))
    child.start()
    child.join(20)
    torch.set_num_threads(before)
    hung = child.is_alive()
    child.kill()
    assert (hung, child.exitcode) == (False, 0)
