"""The quick ways between a value and its coordinate, beside those of the parameters, and beyond the sides."""

import math

import numpy as np
import pytest

from descend.space import Float
from descend.study.quick import coordinate_of, value_of

LINES = [Float(-5, 5), Float(0.1, 0.7), Float(1e-5, 10, log=True), Float(3, 3 + 1e-12)]


@pytest.mark.parametrize("leaf", LINES, ids=repr)
def test_floats_go_to_and_fro_as_their_parameter_does(leaf):
    coordinate, value = coordinate_of(leaf), value_of(leaf)
    assert coordinate is not None
    assert value is not None
    us = np.linspace(0, 1, 41)
    values = leaf.values(us[:, None])
    np.testing.assert_allclose([value(u) for u in us.tolist()], values, rtol=1e-13)
    np.testing.assert_allclose([coordinate(x) for x in values], leaf.column(values)[:, 0], atol=1e-13)


@pytest.mark.parametrize("leaf", LINES, ids=repr)
def test_what_lies_beyond_a_side_is_the_side(leaf):
    coordinate, value = coordinate_of(leaf), value_of(leaf)
    assert coordinate is not None
    assert value is not None
    assert leaf.low is not None
    assert leaf.high is not None
    assert (value(0.0), value(1.0), value(-0.25), value(1.25)) == (leaf.low, leaf.high, leaf.low, leaf.high)
    assert (coordinate(leaf.low / 2 if leaf.log else -9.0), coordinate(99.0)) == (0.0, 1.0)
    assert all(leaf.low <= value(u) <= leaf.high for u in np.random.default_rng(0).random(500).tolist())


def test_what_is_no_number_is_within_the_sides():
    coordinate = coordinate_of(Float(-5, 5))
    assert coordinate is not None
    assert coordinate(math.nan) in (0.0, 1.0)
