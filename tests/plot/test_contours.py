"""Trajectories: what is drawn is what was given, on levels that say most."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from descend import problems
from descend.errors import InvalidValue, ShapeMismatch
from descend.oracle import Function
from descend.plot import colors, panels, trajectory

BOOTH = problems.booth
PATH = [[-8.0, 3.0], [-2.0, 4.0], [1.0, 3.0]]


def levels_of(ax: Axes) -> np.ndarray:
    """The levels of the first contour set."""
    return next(np.asarray(artist.levels) for artist in ax.collections if isinstance(artist, QuadContourSet))


def marks(ax: Axes, marker: str) -> list[tuple[float, float]]:
    """Where the marks of one kind stand that are joined by no line."""
    lines = [line for line in ax.lines if line.get_marker() == marker and line.get_linestyle() == "None"]
    return [(float(x), float(y)) for line in lines for x, y in line.get_xydata()]


def test_levels_are_positive_and_evenly_spaced_in_the_logarithm() -> None:
    levels = levels_of(trajectory(problems.rosenbrock, PATH, levels=30).axes[0])
    assert len(levels) == 30
    assert (levels > 0).all()
    np.testing.assert_allclose(np.diff(np.log(levels)), np.log(levels[-1] / levels[0]) / 29, rtol=1e-9)


def test_levels_count_from_the_minimum_of_the_problem() -> None:
    problem = problems.branin  # its minimum is 0.3979
    highest = levels_of(trajectory(problem, [[0.0, 0.0]]).axes[0])[-1]
    corners = torch.cartesian_prod(
        *(torch.linspace(a, b, 201, dtype=torch.float64) for a, b in zip(problem.low, problem.high, strict=True))
    )
    assert highest == pytest.approx(float(problem(corners).max()) - problem.minimum, rel=1e-9)


def test_levels_without_log_are_evenly_spaced_values_of_f() -> None:
    levels = levels_of(trajectory(lambda x: x[0] + 3, [[0.0, 0.0]], low=-1, high=1, log=False, levels=5).axes[0])
    np.testing.assert_allclose(levels, [2.0, 2.5, 3.0, 3.5, 4.0])


def test_lines_carry_the_paths_and_their_labels() -> None:
    given = {"a": torch.tensor(PATH, requires_grad=True), "b": np.array(PATH)[::-1]}
    ax = trajectory(BOOTH, given).axes[0]
    drawn = {str(line.get_label()): line for line in ax.lines}
    np.testing.assert_array_equal(drawn["a"].get_xydata(), PATH)
    np.testing.assert_array_equal(drawn["b"].get_xydata(), PATH[::-1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "minimum"]
    assert drawn["a"].get_color() != drawn["b"].get_color()


@pytest.mark.parametrize(
    "paths",
    [PATH, np.array(PATH), torch.tensor(PATH), [torch.tensor(point) for point in PATH], [PATH], np.array([PATH])],
    ids=["list", "array", "tensor", "iterates", "one of several", "stack"],
)
def test_one_path_may_be_written_in_many_ways(paths: object) -> None:
    np.testing.assert_array_equal(trajectory(BOOTH, paths).axes[0].lines[0].get_xydata(), PATH)


def test_stars_stand_at_the_minimizers_and_circles_at_the_ends() -> None:
    ax = trajectory(problems.himmelblau, [[0.0, 1.0], [2.0, 2.5], [float("nan"), 0.0]]).axes[0]
    np.testing.assert_allclose(sorted(marks(ax, "*")), sorted(problems.himmelblau.minimizers.tolist()))
    assert marks(ax, "o") == [(0.0, 1.0), (2.0, 2.5)]


def test_stars_outside_the_box_are_left_out() -> None:
    ax = trajectory(problems.himmelblau, [[1.0, 1.0]], low=0, high=5).axes[0]
    assert marks(ax, "*") == [(3.0, 2.0)]


def test_the_box_is_the_problems_or_asked_for_or_around_the_paths() -> None:
    assert trajectory(BOOTH, PATH).axes[0].get_xlim() == (-10, 10)
    ax = trajectory(BOOTH, PATH, low=[-9, 0], high=5).axes[0]
    assert (ax.get_xlim(), ax.get_ylim()) == ((-9, 5), (0, 5))
    ax = trajectory(lambda x: (x**2).sum(), PATH).axes[0]  # 9 wide: a margin of 1.35 on every side
    np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], [-9.35, 2.35, 1.65, 5.35])


def test_a_path_that_blows_up_is_a_gap_and_leaves_the_box_alone() -> None:
    ax = trajectory(BOOTH, [[0.0, 0.0], [float("inf"), 1.0], [1.0, 1.0]]).axes[0]
    assert np.isnan(ax.lines[0].get_xydata()[1, 0])
    assert ax.get_xlim() == (-10, 10)


def test_every_kind_of_function_gives_the_same_landscape() -> None:
    """A NumPy function, one with control flow and a batched oracle, on the same box."""
    ways = [
        lambda x: (x**2).sum(),
        lambda x: float(x[0]) ** 2 + float(x[1]) ** 2,
        Function(lambda x: np.sum(x**2), takes="numpy"),
        Function(lambda x: (x**2).sum(1), batched=True),
    ]
    first, *rest = [levels_of(trajectory(f, [[0.5, 0.5]], low=-1, high=1).axes[0]) for f in ways]
    for other in rest:
        np.testing.assert_allclose(other, first, rtol=1e-12)


def test_a_function_with_holes_and_one_without_heights() -> None:
    trajectory(lambda x: torch.log(x).sum(), [[0.5, 0.5]], low=-1, high=1).canvas.draw()
    trajectory(lambda x: 1.0, [[0.5, 0.5]]).canvas.draw()


def test_axes_of_the_caller_are_used() -> None:
    figure, (left, right) = panels(2)
    assert trajectory(BOOTH, PATH, ax=right) is figure
    assert not left.lines
    assert right.lines
    assert len(figure.axes) == 2


def test_colors_follow_the_labels() -> None:
    chosen = colors(["x", "a", "b"])
    ax = trajectory(BOOTH, {"b": PATH, "a": PATH}, colors=chosen).axes[0]
    assert {str(line.get_label()): line.get_color() for line in ax.lines if str(line.get_label()) in "ab"} == {
        "a": chosen["a"],
        "b": chosen["b"],
    }


@pytest.mark.parametrize("count", [1, 3, 4, 7])
@pytest.mark.parametrize("name", ["run", "a method", "a method with a long name"])
def test_the_legend_covers_no_data_and_no_text_leaves_the_figure(name: str, count: int) -> None:
    figure: Figure = trajectory(lambda x: x.sum(), {f"{name} {i}": PATH for i in range(count)}, levels=3)
    figure.canvas.draw()
    ax = figure.axes[0]
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1
    assert figure.bbox.padded(1).containsx(figure.get_tightbbox().x1 * figure.dpi)


@pytest.mark.parametrize(
    ("objective", "paths", "options", "sentence"),
    [
        (BOOTH, np.zeros((4, 3)), {}, r"\(k, 2\).*\(4, 3\).*path\[:, :2\]"),
        (BOOTH, [], {}, "no paths"),
        (BOOTH, np.zeros((0, 2)), {}, r"k >= 1.*\(0, 2\)"),
        (BOOTH, [[0.0, 1.0], [2.0]], {}, "same length"),
        (BOOTH, {"a": PATH}, {"labels": ["a", "b"]}, "1 paths but 2 labels"),
        (problems.sphere.at(3), PATH, {}, "3 variables"),
        (BOOTH, PATH, {"low": float("nan")}, "make no box"),
        (BOOTH, PATH, {"low": 3, "high": 3}, "make no box"),
        (BOOTH, PATH, {"low": [1, 2, 3]}, "does not fit 2 coordinates"),
        (BOOTH, PATH, {"levels": 1}, "levels=1"),
        (lambda x: x.sum() * float("nan"), PATH, {}, "finite nowhere"),
        (lambda x: x.sum(), [[float("nan"), 0.0]], {}, "no point of the paths is finite"),
    ],
)
def test_wrong_input_gets_a_sentence(objective: object, paths: object, options: dict, sentence: str) -> None:
    with pytest.raises((InvalidValue, ShapeMismatch), match=sentence):
        trajectory(objective, paths, **options)
