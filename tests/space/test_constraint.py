"""Constraints say by how much they are exceeded."""

import math

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.space import Constraint, Linear, linear

POINT = {"a": 3.0, "b": 4, "opt": {"beta": 0.5}}


def test_excess() -> None:
    product = Constraint(lambda p: p["a"] * p["b"], upper=10, name="product")
    assert product.excess(POINT) == 2
    assert not product.holds(POINT)
    assert Constraint(lambda p: -1.0).holds(POINT)
    assert Constraint(lambda p: 0.0).holds(POINT)
    assert not Constraint(lambda p: math.nan).holds(POINT)


def test_linear() -> None:
    low, high = linear({"a": 1, "b": 2, "opt.beta": -4, "absent": 7}, 0, 8)[::-1]
    assert high.excess(POINT) == 1
    assert low.excess(POINT) == -9
    assert low.holds(POINT)
    assert (high.name, high.upper) == ("1 a + 2 b + -4 opt.beta + 7 absent", 8)
    assert len(linear({"a": 1}, upper=3)) == len(linear({"a": 1}, lower=3)) == 1
    assert hash(Linear({"a": 1})) == hash(Linear({"a": 1}))


@pytest.mark.parametrize("point", [torch.ones(2), np.ones(2), [1.0, 1.0]])
def test_linear_refuses_points_without_names(point: object) -> None:
    # in a list or an array no name is found, so that the constraint would silently hold everywhere
    with pytest.raises(InvalidValue, match=r"by name, and got the point .* give the space"):
        Constraint(Linear({"x[0]": 1.0}), 0.5).excess(point)


@pytest.mark.parametrize("value", [[1.0, 2.0], "v"])
def test_linear_refuses_what_is_no_number(value: object) -> None:
    with pytest.raises(InvalidValue, match="weighs numbers, and b is"):
        Linear({"b": 1.0})({"b": value})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Constraint(3), "a function of a point, got 3"),
        (lambda: Constraint(len, math.inf), "finite number for upper, got upper=inf"),
        (lambda: Constraint(len, "1"), "finite number for upper, got upper='1'"),
        (lambda: Linear({}), "weights by name"),
        (lambda: Linear({"a": math.nan}), "finite weights, got nan for 'a'"),
        (lambda: linear({"a": 1}), "one of them finite"),
        (lambda: linear({"a": 1}, 2, 1), "lower=2, upper=1"),
    ],
)
def test_wrong_constraints_get_a_sentence(make, sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        make()
    assert sentence in str(caught.value)


@pytest.mark.parametrize("returned", ["much", None, [1.0, 2.0], torch.zeros(2)], ids=repr)
def test_a_constraint_that_returns_no_number_is_named(returned: object) -> None:
    with pytest.raises(ShapeMismatch, match=r"the constraint size returned .* where one number was expected"):
        Constraint(lambda point: returned, name="size").excess({})  # type: ignore[arg-type,return-value]
