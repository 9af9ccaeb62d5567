"""Parameters as a point: gathered and written back exactly, whatever their memory looks like."""

import pytest
import torch
from torch import nn

from descend.errors import InvalidValue, ShapeMismatch
from descend.layout import Layout, Parameters


def odd_parameters() -> list[torch.Tensor]:
    transposed = torch.arange(6.0).reshape(2, 3).T.detach()
    channels = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    return [torch.tensor(5.0), transposed, channels, torch.ones(3, dtype=torch.bfloat16), torch.empty(0)]


def test_gather_is_in_logical_order_and_scatter_inverts_it():
    tensors = odd_parameters()
    point = Parameters(tensors)
    x = point.gather()
    assert torch.equal(x, torch.cat([t.reshape(-1).float() for t in tensors]))
    before = [t.clone() for t in tensors]
    point.scatter(torch.zeros_like(x))
    assert all((t == 0).all() for t in tensors)
    point.scatter(x)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


def test_a_single_parameter_is_followed_when_it_gets_other_memory():
    p = nn.Parameter(torch.ones(3))
    point = Parameters([p])
    assert torch.equal(point.gather(), torch.ones(3))
    p.data = torch.full((3,), 2.0)
    assert torch.equal(point.gather(), torch.full((3,), 2.0))
    point.scatter(torch.zeros(3))
    assert torch.equal(p.detach(), torch.zeros(3))


def test_gradients_are_gathered_with_zeros_where_there_are_none():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    a.grad = torch.tensor([1.0, 2.0])
    assert Parameters([a, b]).gather_gradients().tolist() == [1, 2, 0, 0, 0]


def test_layout_unflattens_batches():
    layout = Layout(("a", "b"), ((2, 2), ()))
    pieces = layout.unflatten(torch.arange(10.0).reshape(2, 5))
    assert [tuple(p.shape) for p in pieces] == [(2, 2, 2), (2,)]
    with pytest.raises(ShapeMismatch, match="5 elements"):
        layout.unflatten(torch.zeros(4))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: [], "empty"),
        (lambda: [p := torch.ones(2), p], "same tensor"),
        (lambda: [p := torch.ones(4), p.view(2, 2)], "share their memory"),
        (lambda: [torch.ones(2), torch.ones(2, device="meta")], "several devices"),
        (lambda: [torch.ones(2, dtype=torch.int64)], "int64"),
        (lambda: [1.0], "float, not a tensor"),
    ],
)
def test_parameters_that_make_no_point_get_a_sentence(make, says):
    with pytest.raises(InvalidValue, match=says):
        Parameters(make())
