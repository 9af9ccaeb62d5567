"""Losses against what they cost: the lines and bands are the numbers that NumPy gives."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot import Trace, colors, compare, panels, trace
from descend.plot.progress import quantile


def seeds(count: int, length: int = 25, worst: float = 5.0) -> list[Trace]:
    """Runs of one method, recorded at the same evaluations."""
    random = np.random.default_rng(0)
    losses = worst * np.exp(-0.3 * np.arange(length) + random.standard_normal((count, length)))
    return [Trace("", row, evaluations=3 * np.arange(length) + 1) for row in losses]


def test_a_line_is_the_losses_against_each_axis() -> None:
    run = Trace("Adam", [4.0, 2.0, 3.0], evaluations=[1, 5, 9], seconds=[0.1, 0.2, 0.4], steps=[0, 10, 20])
    for axis, places in (("evaluations", [1, 5, 9]), ("seconds", [0.1, 0.2, 0.4]), ("steps", [0, 10, 20])):
        ax = trace(run, x=axis).axes[0]
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.c_[places, [4.0, 2.0, 3.0]])
        assert ax.get_xlabel() == axis
    np.testing.assert_array_equal(trace(run, y="best").axes[0].lines[0].get_ydata(), [4.0, 2.0, 2.0])


def test_nan_and_infinities_are_gaps_that_leave_the_scale_alone() -> None:
    run = Trace("a", [100.0, np.nan, 1.0, np.inf, 0.01, -np.inf])
    ax = trace(run, x="steps").axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [100.0, np.nan, 1.0, np.nan, 0.01, np.nan])
    assert ax.get_yscale() == "log"
    np.testing.assert_array_equal(
        trace(run, x="steps", y="best").axes[0].lines[0].get_ydata(), [100, 100, 1, 1, 0.01, 0.01]
    )


@pytest.mark.parametrize(
    ("losses", "log", "target", "scale"),
    [
        ([100.0, 1.0], None, None, "log"),
        ([20.0, 1.0], None, None, "linear"),  # 1.3 powers of ten
        ([40.0, 1.0], None, None, "log"),  # 1.6
        ([100.0, 0.0], None, None, "linear"),
        ([100.0, -1.0], None, None, "linear"),
        ([100.0, 1.0], False, None, "linear"),
        ([2.0, 1.0], True, None, "log"),
        ([2.0, 1.0], None, 0.01, "log"),
        ([200.0, 1.0], None, -1.0, "linear"),
        ([np.nan, np.nan], None, None, "linear"),
    ],
)
def test_the_scale(losses: list[float], log: bool | None, target: float | None, scale: str) -> None:
    figure = trace(Trace("", losses), x="steps", log=log, target=target)
    figure.canvas.draw()
    assert figure.axes[0].get_yscale() == scale


def test_losses_that_are_not_positive_are_gaps_on_a_logarithmic_axis() -> None:
    ax = trace(Trace("", [1.0, 0.0, -2.0, 3.0]), x="steps", log=True).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, np.nan, np.nan, 3.0])


def test_the_target_is_a_dashed_line_that_the_legend_names() -> None:
    ax = trace(Trace("a", [1.0, 0.5]), x="steps", target=0.25).axes[0]
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), [0.25, 0.25])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "target 0.25"]


def test_equal_labels_have_one_colour_and_one_entry() -> None:
    ax = trace([Trace("a", [1.0]), Trace("b", [1.0]), Trace("a", [2.0])], x="steps").axes[0]
    assert [line.get_color() for line in ax.lines] == [colors("ab")[name] for name in "aba"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_many_labels_stay_apart() -> None:
    ax = trace({f"method {i}": Trace("", [1.0, 2.0]) for i in range(20)}, x="steps").axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 20


@pytest.mark.parametrize("count", [4, 7])
@pytest.mark.parametrize("y", ["loss", "best"])
def test_the_line_is_the_median_and_the_band_the_quartiles(count: int, y: str) -> None:
    runs = seeds(count)
    ax = compare({"a": runs}, y=y).axes[0]
    table = np.stack([np.asarray(run.losses) for run in runs])
    table = np.minimum.accumulate(table, axis=1) if y == "best" else table
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(table, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), 3 * np.arange(25) + 1)
    (band,) = (artist for artist in ax.collections if isinstance(artist, PolyCollection))
    corners = {(round(x), round(float(h), 9)) for x, h in band.get_paths()[0].vertices}
    for share in (0.25, 0.75):
        heights = np.quantile(table, share, axis=0)
        assert {(3 * i + 1, round(float(h), 9)) for i, h in enumerate(heights)} <= corners
    assert ax.get_legend().get_texts()[0].get_text() == f"a (n = {count})"


def test_runs_recorded_at_different_places_meet_on_a_common_grid() -> None:
    early = Trace("", [8.0, 4.0], evaluations=[1, 2])  # stops early, and keeps what it reached
    late = Trace("", [6.0, 2.0, 1.0], evaluations=[2, 4, 6])
    ax = compare({"a": [early, late]}).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[2, 5.0], [4, 3.0], [6, 2.5]])


def test_a_long_run_is_thinned_to_a_grid_from_end_to_end() -> None:
    runs = [Trace("", np.geomspace(1e3, 1, 5000), evaluations=np.arange(5000)) for _ in range(3)]
    line = compare({"a": runs}).axes[0].lines[0]
    assert len(line.get_xdata()) <= 400
    assert list(line.get_xydata()[0]) == [0.0, 1000.0]
    assert list(line.get_xydata()[-1]) == [4999.0, pytest.approx(1.0)]


def test_a_failure_counts_as_the_worst_run() -> None:
    runs = [Trace("", [loss], steps=[0]) for loss in (1.0, 2.0, 3.0, np.inf, np.nan)]
    assert float(compare({"a": runs}, x="steps").axes[0].lines[0].get_ydata()[0]) == 3.0
    table = np.random.default_rng(1).standard_normal((6, 4))
    for share in (0.0, 0.25, 0.5, 0.9, 1.0):
        np.testing.assert_allclose(quantile(table, share), np.quantile(table, share, axis=0), rtol=1e-12)


def test_axes_of_the_caller_are_used() -> None:
    figure, (left, right) = panels(2)
    assert trace(Trace("a", [1.0, 2.0]), x="steps", ax=left) is figure
    assert compare({"b": seeds(3)}, ax=right) is figure
    assert (len(left.lines), len(right.lines)) == (1, 1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: trace([]), "no runs to draw"),
        (lambda: trace(Trace("a", [1.0])), "'a' has no evaluations.*x='steps'"),
        (lambda: trace(Trace("a", [1.0]), x="hours"), "x='hours'"),
        (lambda: trace(Trace("a", [1.0]), x="steps", y="worst"), "y='worst'"),
        (lambda: trace([Trace("a", [1.0])], labels=["a", "b"]), "1 runs but 2 labels"),
        (lambda: trace([[1.0, 2.0]], x="steps"), r"list.*Trace\('name', losses"),
        (lambda: trace(Trace("a", [-1.0]), x="steps", log=True), "no loss is positive"),
        (lambda: trace(Trace("a", [1.0]), x="steps", log=True, target=-1.0), "target=-1.0 is not positive"),
        (lambda: trace(Trace("a", [1.0]), x="steps", target=float("nan")), "target=nan"),
        (lambda: compare({}), "no runs to compare"),
        (lambda: compare([Trace("a", [1.0])]), "no runs to compare"),
        (lambda: compare({"a": []}), "'a' has no runs"),
        (lambda: compare({"a": Trace("a", [1.0])}), "'a' has no runs"),
    ],
)
def test_wrong_input_gets_a_sentence(call, sentence: str) -> None:
    with pytest.raises((InvalidValue, ShapeMismatch), match=sentence):
        call()
