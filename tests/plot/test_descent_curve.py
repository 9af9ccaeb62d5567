"""The curve of a function of one variable, with dots and arrows."""

import math
import warnings

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot import curve, panels


def dots(ax) -> np.ndarray:
    return np.asarray(ax.collections[0].get_offsets())


@pytest.mark.parametrize(
    "steps",
    [[-1.5, 0.5, 0.25], np.array([[-1.5], [0.5], [0.25]]), [torch.tensor([t]) for t in (-1.5, 0.5, 0.25)]],
    ids=["numbers", "column", "tensors"],
)
def test_iterates_stand_on_the_curve_and_an_arrow_joins_two(steps: object) -> None:
    figure = curve(lambda x: x**2, -2, 2, steps)
    figure.canvas.draw()
    ax = figure.axes[0]
    np.testing.assert_allclose(dots(ax), [[-1.5, 2.25], [0.5, 0.25], [0.25, 0.0625]])
    paths = [arrow.get_path() for arrow in ax.patches]
    corners = [path.vertices[path.codes != path.CLOSEPOLY, 0] for path in paths]
    spans = [(across.min(), across.max()) for across in corners]
    np.testing.assert_allclose(spans, [[-1.5, 0.5], [0.25, 0.5]], atol=0.1)
    drawn = ax.lines[0].get_xydata()
    np.testing.assert_allclose(drawn[:, 1], drawn[:, 0] ** 2, atol=1e-12)
    assert ax.get_xlim() == (-2, 2)


def test_a_descent_that_diverges_leaves_the_picture_and_keeps_its_scale() -> None:
    steps = [(-3.0) ** k for k in range(600)] + [math.inf, math.nan]
    figure = curve(lambda x: x**2, -2, 2, steps)
    figure.canvas.draw()
    ax = figure.axes[0]
    assert ax.get_ylim()[1] < 5
    assert len(ax.patches) == 1  # from the one iterate inside


def test_an_arrow_to_far_outside_points_the_right_way() -> None:
    figure = curve(lambda x: x**2, -2, 2, [1.0, -1e150])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    (arrow,) = figure.axes[0].patches
    assert np.isfinite(arrow.get_path().vertices).all()
    assert np.abs(arrow.get_path().vertices).max() < 20


def test_arrows_too_short_to_see_are_left_out() -> None:
    assert len(curve(lambda x: x**2, -2, 2, [1.0, 0.5, 0.5001]).axes[0].patches) == 1


@pytest.mark.parametrize("f", [math.sin, lambda x: np.sin(x.numpy()), torch.sin, lambda x: float(torch.sin(x))])
def test_functions_of_a_number_of_any_library(f) -> None:
    line = curve(f, 0, 3).axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(line[:, 1], np.sin(line[:, 0]), atol=1e-12)


def test_axes_of_the_caller_are_used() -> None:
    figure, (left, _) = panels(2)
    assert curve(torch.cos, 0, 1, ax=left) is figure


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: curve(torch.sin, 1, 0), "low=1 and high=0"),
        (lambda: curve(torch.sin, 0, math.inf), "make no box"),
        (lambda: curve(torch.sin, 0, 1, np.zeros((3, 2))), r"\(k, 1\).*\(3, 2\)"),
        (lambda: curve(torch.sin, 0, 1, []), "k >= 1"),
        (lambda: curve(lambda x: torch.log(x - 9), 0, 1), "finite nowhere"),
    ],
)
def test_wrong_input_gets_a_sentence(call, sentence: str) -> None:
    with pytest.raises((InvalidValue, ShapeMismatch), match=sentence):
        call()
