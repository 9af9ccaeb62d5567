"""What each picture of a study shows: made of small tables by hand, before anybody draws it."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot.study import history, objectives, parameters, progress
from descend.plot.study.figure import Axis, Band, Bundle, Dots, Heat, Line, Rug, Spans, clipped
from descend.plot.study.plots import FIGURES, figure_of, figures_of
from descend.plot.study.view import few, relevance, to_unit, value_axis

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from views import NAN, choice, named, of_kind, real, view_of

# history


def test_history_shows_every_state_and_the_best_so_far() -> None:
    view = view_of(
        [3.0, 1.0, NAN, 2.0, 0.5, NAN, 0.8],
        states=["done", "done", "failed", "done", "done", "pruned", "done"],
        violation=[0, 0, 0, 0, 2.0, 0, 0],
    )
    figure = history.history(view)
    assert named(figure, "trial").numbers.tolist() == [0, 1, 3, 6]
    assert named(figure, "violates a constraint").y.tolist() == [0.5]
    assert named(figure, "failed").x.tolist() == [2]
    assert named(figure, "pruned").x.tolist() == [5]
    best = named(figure, "best so far")  # the 0.5 is not allowed
    assert best.x.tolist() == [0, 1, 6, 6]
    assert best.y.tolist() == [3.0, 1.0, 0.8, 0.8]


def test_history_of_a_study_that_is_maximized_rises() -> None:
    best = named(history.history(view_of([0.1, 0.3, 0.2, 0.4], directions=("maximize",))), "best so far")
    assert best.y.tolist() == [0.1, 0.3, 0.4, 0.4]


def test_one_diverged_trial_does_not_press_all_others_into_a_line() -> None:
    view = view_of([*np.linspace(-1, 1, 30), 1e9])
    axis = history.history(view).panels[0].y
    assert axis.range is not None
    assert -1.2 < axis.range[0] < -1
    assert 1 < axis.range[1] < 10
    assert "1 worse ones are outside" in history.history(view).note
    low, high = value_axis(np.array([*np.linspace(-1, 1, 30), -1e9]), -1.0, "")[0].range or (0, 0)
    assert -10 < low < -1 < 1 < high < 1.2  # the good side is the other one


def test_an_axis_is_logarithmic_where_values_span_decades_but_not_for_one_outlier() -> None:
    assert value_axis(10.0 ** np.linspace(-4, 0, 40), 1.0, "")[0].log
    assert not value_axis(np.array([*np.linspace(1, 2, 30), 1e6]), 1.0, "")[0].log
    assert not value_axis(np.array([*np.linspace(0.5, 0.9, 30), 1e-6]), -1.0, "")[0].log
    assert not value_axis(np.linspace(-1, 1, 30), 1.0, "")[0].log


def test_of_many_trials_a_part_is_drawn_and_the_best_are_in_it() -> None:
    values = np.random.default_rng(0).random(30_000)
    figure = history.history(view_of(values))
    dots = named(figure, "trial")
    assert len(dots.x) == 2000
    assert values[np.argsort(values)[:500]].tolist() == sorted(dots.y.tolist())[:500]
    assert "2000 of 30000" in figure.note
    assert few(np.array([3, 5]), np.zeros(2), 2).tolist() == [3, 5]


def test_studies_are_compared_by_their_names_even_if_they_are_the_same() -> None:
    a, b = view_of([3.0, 2.0]), view_of([5.0, 1.0])
    lines = of_kind(history.compare([a, b]), Line)
    assert [line.name for line in lines] == ["tune (2)", "tune (1)"]
    assert lines[0].color != lines[1].color
    with pytest.raises(InvalidValue, match="one direction"):
        history.compare([a, view_of([1.0], directions=("maximize",))])
    with pytest.raises(InvalidValue, match="at least one"):
        history.compare([])


def test_the_distribution_counts_what_failed_as_worse_than_everything() -> None:
    view = view_of([4.0, 1.0, 2.0, NAN, NAN], states=["done", "done", "done", "failed", "running"])
    (line,) = of_kind(history.distribution(view), Line)
    assert line.x.tolist() == [1.0, 2.0, 4.0]
    assert line.y.tolist() == [0.25, 0.5, 0.75]
    (line,) = of_kind(history.distribution(view_of([4.0, 1.0], directions=("maximize",))), Line)
    assert line.x.tolist() == [4.0, 1.0]
    assert line.y.tolist() == [0.5, 1.0]


# parameters


def test_the_most_relevant_parameters_come_first() -> None:
    rng = np.random.default_rng(1)
    a, b, kind = rng.random(200), rng.random(200), rng.integers(0, 3, 200)
    view = view_of(3.0 * kind + (a - 0.5) ** 2, columns={"b": real(b), "a": real(a), "kind": choice(kind, *"xyz")})
    assert relevance(view) == ["kind", "a", "b"]


def test_a_slice_has_only_trials_that_have_the_parameter() -> None:
    view = view_of(
        [1.0, 2.0, 3.0, NAN],
        states=["done", "done", "done", "failed"],
        columns={"c": real([0.1, NAN, 10.0, 1.0], log=True), "kind": choice([0, 1, 0, 1], "svc", "forest")},
    )
    figure = parameters.slices(view, names=["c", "kind"])
    assert figure.panels[0].x.log
    assert figure.panels[1].x.labels == ("svc", "forest")
    (dots,) = of_kind(figure, Dots)
    assert dots.x.tolist() == [0.1, 10.0]
    assert dots.y.tolist() == [1.0, 3.0]
    assert of_kind(figure, Rug)[0].x.tolist() == [1.0]
    (codes,) = of_kind(figure, Dots, 1)  # beside each other, each within its own category
    assert np.round(codes.x).tolist() == [0, 1, 0]
    assert figure.panels[0].y.range == figure.panels[1].y.range


def test_a_slice_of_many_trials_has_the_middle_half_as_a_band() -> None:
    x = np.linspace(0, 1, 400)
    noise = np.random.default_rng(2).normal(size=400)
    figure = parameters.slices(view_of(x + 0.1 * noise, columns={"x": real(x)}))
    (band,) = of_kind(figure, Band)
    np.testing.assert_allclose((band.low + band.high) / 2, band.x, atol=0.05)
    np.testing.assert_allclose(band.high - band.low, 2 * 0.6745 * 0.1, atol=0.05)


def test_a_map_smooths_nothing_across_categories() -> None:
    rng = np.random.default_rng(3)
    x, kind = rng.random(300), rng.integers(0, 2, 300)
    view = view_of(np.where(kind == 0, x, 1 - x), columns={"x": real(x), "kind": choice(kind, "rising", "falling")})
    (heat,) = of_kind(parameters.contour(view, names=["x", "kind"]), Heat)
    assert heat.z.shape == (2, 32)  # a row of cells for each category
    assert heat.y.tolist() == [-0.5, 0.5, 1.5]
    assert heat.z[0, 2] > 0.8 > 0.2 > heat.z[0, -3]  # dark is good: small x
    assert heat.z[1, -3] > 0.8 > 0.2 > heat.z[1, 2]


def test_a_map_is_blank_where_nobody_looked_and_marks_the_best() -> None:
    x, y = np.r_[np.full(30, 0.1), 1.0], np.r_[np.linspace(0, 0.2, 30), 1.0]
    view = view_of(np.arange(31.0)[::-1], columns={"x": real(x), "y": real(y)})
    figure = parameters.contour(view)
    (heat,) = of_kind(figure, Heat)
    columns = {name: at for at, name in enumerate(relevance(view))}
    z = heat.z if columns["x"] < columns["y"] else heat.z.T
    assert np.isnan(z[-1, 0])
    assert np.isfinite(z[0, 0])
    star = named(figure, "best")
    assert (star.x.tolist(), star.y.tolist()) == ([1.0], [1.0])


def test_ranks_are_dark_where_values_are_good_also_if_they_are_maximized() -> None:
    columns = {"x": real([0.0, 1.0, 2.0]), "y": real([0.0, 1.0, 2.0])}
    (dots,) = of_kind(parameters.rank(view_of([5.0, 7.0, 1.0], columns=columns), names=["x", "y"]), Dots)
    assert dict(zip(dots.x.tolist(), dots.shade.tolist(), strict=True)) == {0.0: 0.5, 1.0: 0.0, 2.0: 1.0}
    view = view_of([5.0, 7.0, 1.0], columns=columns, directions=("maximize",))
    figure = parameters.rank(view, names=["x", "y"])
    (dots,) = of_kind(figure, Dots)
    assert dict(zip(dots.x.tolist(), dots.shade.tolist(), strict=True)) == {0.0: 0.5, 1.0: 1.0, 2.0: 0.0}
    assert figure.shade is not None
    assert (figure.shade.ticks[0][1], figure.shade.ticks[-1][1]) == ("1", "7")


def test_parallel_coordinates_lead_below_an_axis_where_a_parameter_is_absent() -> None:
    view = view_of(
        [1.0, 2.0, 3.0],
        columns={"c": real([0.01, NAN, 1.0], log=True), "kind": choice([0, 1, 0], "svc", "forest")},
    )
    figure = parameters.parallel(view, names=["c", "kind"])
    (bundle,) = of_kind(figure, Bundle)
    by_number = dict(zip(bundle.numbers.tolist(), bundle.ys.tolist(), strict=True))
    assert by_number[0][1:] == [0.0, 0.25]
    assert by_number[2][1:] == [1.0, 0.25]
    assert by_number[1][1] < 0
    assert bundle.numbers.tolist() == [2, 1, 0]  # the best is drawn last
    assert figure.panels[0].x.labels == ("value", "c", "kind")


def test_units_are_logarithmic_where_the_parameter_is() -> None:
    np.testing.assert_allclose(to_unit(real([0.01, 0.1, 1.0, NAN], log=True)), [0.0, 0.5, 1.0, NAN])
    np.testing.assert_allclose(to_unit(choice([0, 1], "a", "b")), [0.25, 0.75])
    np.testing.assert_allclose(to_unit(real([2.0, 2.0])), [0.5, 0.5])


# several objectives


def brute_front(losses):
    return [
        i
        for i, one in enumerate(losses)
        if not any((other <= one).all() and (other < one).any() for other in losses)
    ]  # fmt: skip


@pytest.mark.parametrize("m", [2, 3])
def test_the_front_is_what_nobody_beats(m) -> None:
    values = np.random.default_rng(m).integers(0, 7, (80, m)).astype(np.float64)
    view = view_of(values, directions=("minimize", "maximize", "minimize")[:m])
    losses = values * np.array([1, -1, 1])[:m]
    assert objectives.front_rows(view).tolist() == brute_front(losses)


def test_what_violates_a_constraint_is_on_no_front() -> None:
    view = view_of([[0, 0], [1, 1], [2, 0.5]], directions=("minimize", "minimize"), violation=[1, 0, 0])
    figure = objectives.pareto(view)
    assert named(figure, "front").numbers.tolist() == [1, 2]
    assert named(figure, "violates a constraint").numbers.tolist() == [0]


def test_the_hypervolume_grows_as_worked_out_by_hand() -> None:
    view = view_of([[0.5, 0.5], [0.9, 0.9], [0.0, 0.8]], directions=("minimize", "minimize"))
    (line,) = of_kind(objectives.hypervolume(view, reference=[1.0, 1.0]), Line)
    np.testing.assert_allclose(line.y, [0.25, 0.25, 0.25 + 0.5 * 0.2])
    turned = view_of([[-0.5, 0.5], [-0.9, 0.9], [0.0, 0.8]], directions=("maximize", "minimize"))
    (line,) = of_kind(objectives.hypervolume(turned, reference=[-1.0, 1.0]), Line)
    np.testing.assert_allclose(line.y, [0.25, 0.25, 0.35])


def test_one_objective_has_no_front() -> None:
    for draw in (objectives.pareto, objectives.hypervolume):
        with pytest.raises(ShapeMismatch, match="one objective"):
            draw(view_of([1.0]))
    two = view_of([[1.0, 2.0]], directions=("minimize", "minimize"))
    with pytest.raises(InvalidValue, match="no pair"):
        objectives.pareto(two, objectives=[1, 1])
    with pytest.raises(ShapeMismatch, match="2 objectives"):
        objectives.hypervolume(two, reference=[1.0])


# on the way


def test_intermediate_values_show_what_became_of_each_trial() -> None:
    steps = np.arange(3.0)
    view = view_of(
        [1.0, NAN, 2.0, NAN],
        states=["done", "pruned", "done", "running"],
        reports={number: (steps, steps + number) for number in range(4)},
    )
    figure = progress.intermediate(view)
    lines = of_kind(figure, Line)
    assert len(lines) == 4
    assert [line.shade for line in lines if line.shade is not None] == [0.0, 1.0]
    assert sum(line.dash for line in lines) == 1
    assert sum(line.role == "running" for line in lines) == 1
    (cross,) = of_kind(figure, Dots)
    assert (cross.name, cross.x.tolist(), cross.y.tolist()) == ("pruned", [2.0], [3.0])
    assert not any(line.name for line in lines)  # no legend of all trials
    with pytest.raises(InvalidValue, match=r"trial\.report"):
        progress.intermediate(view_of([1.0]))


def test_of_many_curves_sixty_are_drawn_the_best_among_them() -> None:
    values = np.random.default_rng(4).random(300)
    view = view_of(values, reports={number: (np.arange(5.0), np.full((5, 1), values[number])) for number in range(300)})
    figure = progress.intermediate(view)
    lines = of_kind(figure, Line)
    assert len(lines) == 60
    assert min(line.y[0] for line in lines) == values.min()
    assert "60 of 300" in figure.note


def test_the_timeline_has_a_lane_for_each_worker() -> None:
    view = view_of([1.0, NAN, 2.0], states=["done", "failed", "done"], owner=[1, 0, 1])
    figure = progress.timeline(view)
    assert figure.panels[0].y.labels == ("w0", "w1")
    spans = {mark.name: mark for mark in of_kind(figure, Spans)}
    assert spans["done"].y.tolist() == [1, 1]
    assert spans["failed"].begin.tolist() == [10.0]
    assert spans["failed"].end.tolist() == [18.0]


def test_trials_of_nobody_fill_as_many_lanes_as_there_were_at_once() -> None:
    view = view_of([1.0, 2.0, 3.0])
    late = replace(view.table, began=np.array([0.0, 1.0, 5.0]), ended=np.array([4.0, 9.0, 9.0]))
    (spans,) = of_kind(progress.timeline(replace(view, table=late)), Spans)
    assert spans.y.tolist() == [0, 1, 0]


def test_a_trial_that_runs_ends_now() -> None:
    view = view_of([1.0, NAN], states=["done", "running"])
    table = replace(view.table, ended=np.array([1e9 + 60.0, NAN]))
    (running,) = [
        mark for mark in of_kind(progress.timeline(replace(view, table=table)), Spans) if mark.role == "running"
    ]
    assert running.end.tolist() == [60.0]


# all of them


@pytest.mark.parametrize("states", [[], ["running"], ["failed"] * 3, ["done"], ["done"] * 2], ids=repr)
@pytest.mark.parametrize("m", [1, 2])
def test_of_little_a_figure_is_drawn_or_a_sentence_says_why_not(states, m) -> None:
    n = len(states)
    values = np.where(np.array([state == "done" for state in states], dtype=bool)[:, None], np.ones((n, m)), NAN)
    columns = {"x": real(np.full(n, 0.5)), "kind": choice(np.zeros(n), "only")}
    view = view_of(values.reshape(n, m), states=states, directions=("minimize",) * m, columns=columns)
    for name in figures_of(view):
        with contextlib.suppress(InvalidValue):  # a sentence
            assert figure_of(view, name).panels


def test_what_is_not_there_is_refused_by_name() -> None:
    view = view_of([1.0, 2.0], columns={"x": real([0.0, 1.0])})
    with pytest.raises(InvalidValue, match="there are x"):
        parameters.slices(view, names=["y"])
    with pytest.raises(InvalidValue, match="one text"):
        parameters.slices(view, names="x")
    with pytest.raises(InvalidValue, match="objective=3"):
        history.history(view, objective=3)
    with pytest.raises(InvalidValue, match="two parameters"):
        parameters.contour(view)
    with pytest.raises(InvalidValue, match="history"):
        figure_of(view, "histogram")
    assert "pareto" not in figures_of(view)
    assert set(figures_of(view)) < set(FIGURES)


def test_labels_are_short_and_in_one_line() -> None:
    assert clipped("a\nb\tc") == "a b c"
    assert clipped("") == "·"
    assert len(clipped("x" * 500)) == 24
    assert Axis(labels=("a", "b")).ends == (-0.5, 1.5)
