"""A population on its way: every panel holds the points of its generation."""

import numpy as np
import pytest
import torch

from descend import problems
from descend.errors import InvalidValue, ShapeMismatch
from descend.plot import generations


def dots(ax: object) -> np.ndarray:
    """The points (n, 2) that are drawn as dots."""
    return next(line.get_xydata() for line in ax.lines if line.get_marker() == "o")  # type: ignore[attr-defined]


CLOUDS = [torch.full((5, 2), float(i)) + torch.arange(10.0).reshape(5, 2) / 10 for i in range(41)]


def test_four_generations_are_shown_the_first_and_the_last_among_them() -> None:
    axes = generations(problems.himmelblau, CLOUDS[:5] + CLOUDS[:36], label="CMA-ES").axes
    assert [ax.get_title() for ax in axes] == ["generation 1", "generation 5", "generation 15", "generation 41"]
    np.testing.assert_allclose(dots(axes[0]), CLOUDS[0])
    np.testing.assert_allclose(dots(axes[-1]), CLOUDS[35])
    assert axes[0].get_legend() is not None


def test_the_chosen_ones_are_shown_and_no_empty_panel_is_left() -> None:
    axes = generations(problems.himmelblau, CLOUDS, shown=[0, 1, 2, 3, 4]).axes
    assert len(axes) == 5
    np.testing.assert_allclose(dots(axes[4]), CLOUDS[4])


def test_a_plain_function_is_drawn_around_the_points() -> None:
    (ax, _) = generations(lambda x: x.square().sum(), CLOUDS[:2]).axes
    assert ax.get_xlim()[0] < 0 < 1.8 < ax.get_xlim()[1]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no generations"):
        generations(problems.himmelblau, [])
    with pytest.raises(InvalidValue, match="0 to 40"):
        generations(problems.himmelblau, CLOUDS, shown=[41])
    with pytest.raises(ShapeMismatch):
        generations(problems.himmelblau, [torch.ones(3, 3)])
