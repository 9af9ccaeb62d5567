"""Pictures of fronts: every point is drawn where it is, and a marked one is marked."""

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.pareto import NSGA2
from descend.plot import panels, save
from descend.plot.pareto import front, parallel
from descend.run.minimize_many import minimize_many
from descend.run.until import Steps

CURVE = torch.stack([torch.linspace(0, 1, 9), 1 - torch.linspace(0, 1, 9).sqrt()], 1)
SPHERE = np.abs(np.random.default_rng(0).normal(size=(20, 3)))


def test_two_objectives_are_points_in_the_plane(tmp_path) -> None:
    figure = front({"ours": CURVE, "theirs": CURVE + 0.1}, truth=CURVE, mark={"knee": 2}, names=["cost", "error"])
    (ax,) = figure.axes
    clouds = [np.asarray(part.get_offsets()) for part in ax.collections]
    assert [len(cloud) for cloud in clouds] == [9, 9, 9, 1]
    np.testing.assert_allclose(clouds[1], CURVE)
    np.testing.assert_allclose(clouds[3], CURVE[2:3])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cost", "error")
    assert ax.texts[0].get_text() == "knee"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["true front", "ours", "theirs"]
    assert save(figure, tmp_path / "front.png").stat().st_size > 5000


def test_three_objectives_are_points_in_space(tmp_path) -> None:
    figure = front(SPHERE, mark={"mine": 3})
    (ax,) = figure.axes
    assert ax.name == "3d"
    assert ax.get_zlabel() == "f3"  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.stack(ax.collections[0]._offsets3d, 1), SPHERE)  # type: ignore[attr-defined]
    assert save(figure, tmp_path / "front.png").stat().st_size > 5000


def test_every_point_is_a_line_over_its_scaled_objectives() -> None:
    figure = parallel(SPHERE, mark={"mine": 3})
    (ax,) = figure.axes
    assert len(ax.lines) == 20
    scaled = (SPHERE - SPHERE.min(0)) / (SPHERE.max(0) - SPHERE.min(0))
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), scaled[3])
    assert [text.get_text().split("\n")[0] for text in ax.get_xticklabels()] == ["f1", "f2", "f3"]


def test_what_a_run_found_is_drawn_as_it_is_on_axes_of_the_caller() -> None:
    found = minimize_many(
        lambda x: (x[0] ** 2, (x[0] - 2) ** 2), [0.0], bounds=(-5, 5), method=NSGA2(popsize=8), until=Steps(5), key=0
    )
    figure, (left, right) = panels(2)
    assert front(found, ax=left) is figure
    assert parallel(found, ax=right) is figure
    assert len(right.lines) == len(left.collections[0].get_offsets()) == len(found)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="parallel"):
        front(np.ones((3, 4)))
    with pytest.raises(ShapeMismatch, match="m >= 2"):
        parallel(np.ones((3, 1)))
    with pytest.raises(ShapeMismatch, match="one m"):
        front({"a": CURVE, "b": SPHERE})
    with pytest.raises(ShapeMismatch, match="true front has 3"):
        front(CURVE, truth=SPHERE)
    with pytest.raises(ShapeMismatch, match="names"):
        front(CURVE, names=["one"])
    with pytest.raises(InvalidValue, match="no points"):
        front(np.ones((0, 2)))
    with pytest.raises(InvalidValue, match="no front"):
        front({})
    with pytest.raises(InvalidValue, match="front of 9"):
        front(CURVE, mark={"knee": 9})
