"""Pictures of studies at their limits: too many trials or workers, what is absent, and the frames around values."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from descend.direct.filling import Uniform
from descend.plot.study import history, importance, objectives, parameters, progress
from descend.plot.study._draw import draw
from descend.plot.study.figure import Axis, Bars, Bundle, Figure, Line, Panel, Shade, Spans, Texts
from descend.plot.study.spec import spec
from descend.plot.study.view import View, evenly, relevance
from descend.study import Study

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from views import NAN, choice, of_kind, real, view_of


def test_places_are_different_and_have_both_ends() -> None:
    for count, most in ((2001, 2000), (7, 6), (1000, 3), (3, 5), (0, 5), (1, 1)):
        places = evenly(count, most)
        assert len(np.unique(places)) == len(places) == min(count, most)
        assert not count or (places[0], places[-1]) == (0, count - 1)


def test_of_many_trials_the_timeline_has_the_last() -> None:
    figure = progress.timeline(view_of(np.zeros(1600)))
    (spans,) = of_kind(figure, Spans)
    assert spans.numbers.tolist() == list(range(100, 1600))
    assert "last 1500 of 1600" in figure.note


def test_of_many_workers_the_timeline_has_those_that_were_last_at_work() -> None:
    figure = progress.timeline(view_of(np.zeros(45), owner=np.arange(45)))
    (spans,) = of_kind(figure, Spans)
    assert spans.numbers.tolist() == list(range(5, 45))
    assert spans.y.tolist() == list(range(40))
    assert figure.panels[0].y.labels == tuple(f"w{code}" for code in range(5, 45))


def test_one_trial_after_the_other_is_one_lane() -> None:
    view = view_of([1.0, 2.0])
    table = replace(view.table, began=np.array([0.0, 4.0]), ended=np.array([4.0, 9.0]))
    (spans,) = of_kind(progress.timeline(replace(view, table=table)), Spans)
    assert spans.y.tolist() == [0, 0]


def test_reports_of_each_objective_are_its_own() -> None:
    reports = {number: (np.arange(2.0), np.array([[1.0, 10.0], [2.0, 20.0]]) + number) for number in range(3)}
    view = view_of(np.zeros((3, 2)), directions=("minimize", "minimize"), reports=reports)
    lines = of_kind(progress.intermediate(view, objective=1), Line)
    assert sorted(line.y.tolist() for line in lines) == [[10.0, 20.0], [11.0, 21.0], [12.0, 22.0]]


def test_reports_are_in_the_sign_of_the_user() -> None:
    study = Study(method=Uniform(), key=0, directions="maximize")
    trial = study.ask()
    trial.report(3, 0.25)
    steps, values = View.of(study).reports[0]
    assert (steps.tolist(), values.tolist()) == ([3.0], [[0.25]])


def test_one_diverged_trial_does_not_fill_the_volume() -> None:
    values = np.stack([np.linspace(0, 1, 21), np.linspace(1, 0, 21)], 1)
    values[20, 0] = 1e9
    figure = objectives.hypervolume(view_of(values, directions=("minimize", "minimize")))
    found = re.search(r"\((\S+), (\S+)\)", figure.note)
    assert found is not None
    assert 1 < float(found[1]) < 5
    assert 1 < float(found[2]) < 1.2


def test_a_staircase_joins_the_front_of_two_objectives_only() -> None:
    values = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [2.0, 0.0, 2.0]])
    (line,) = of_kind(objectives.pareto(view_of(values[:, :2], directions=("minimize",) * 2)), Line)
    assert (line.x.tolist(), line.y.tolist()) == ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    assert not of_kind(objectives.pareto(view_of(values, directions=("minimize",) * 3)), Line)


def test_a_category_has_its_median_in_its_middle() -> None:
    view = view_of([1.0, 2.0, 9.0, 5.0, 7.0], columns={"kind": choice([0, 0, 0, 2, 2], "a", "b", "c")})
    lines = of_kind(parameters.slices(view), Line)
    assert [(line.x.mean(), line.y.tolist()) for line in lines] == [(0.0, [2.0, 2.0]), (2.0, [6.0, 6.0])]


def test_only_the_first_panel_of_a_row_names_the_value() -> None:
    view = view_of(np.arange(9.0), columns={f"x{j}": real(np.arange(9.0)) for j in range(5)})
    assert [panel.y.label for panel in parameters.slices(view).panels] == ["value", "", "", "", "value"]


def test_the_best_trial_is_no_star_where_it_has_no_such_parameter() -> None:
    view = view_of([3.0, 2.0, 1.0], columns={"x": real([0.0, 1.0, NAN]), "y": real([0.0, 1.0, 2.0])})
    assert not [mark for mark in parameters.contour(view).panels[0].marks if getattr(mark, "name", "") == "best"]


def test_the_middle_of_a_logarithmic_axis_is_the_geometric_one() -> None:
    view = view_of([0.0, 5.0, 10.0], columns={"rate": real([0.01, 0.5, 1.0], log=True), "n": real([1.0, 2.0, 9.0])})
    figure = parameters.parallel(view, names=["rate", "n"])
    assert [texts.words for texts in of_kind(figure, Texts)][1:] == [("0.01", "0.1", "1"), ("1", "5", "9")]
    assert len(of_kind(figure, Bundle)) == 1


def test_the_first_value_of_a_study_does_not_set_the_frame_of_a_comparison() -> None:
    axis = history.compare([view_of([1e6, 3.0, 2.0, 1.0])]).panels[0].y
    assert axis.range is not None
    assert axis.range[1] < 10


def test_many_values_are_no_relevance_by_themselves() -> None:
    rng = np.random.default_rng(0)
    kinds = tuple(map(str, range(40)))
    columns = {"noise": choice(rng.integers(0, 40, 60), *kinds), "x": real(np.linspace(0, 1, 60))}
    assert relevance(view_of(0.5 * np.linspace(0, 1, 60) + rng.random(60), columns=columns)) == ["x", "noise"]


def test_a_diverged_trial_is_not_all_that_importance_sees() -> None:
    ys = np.append(np.linspace(0, 1, 40), 1e9)
    prepared = importance.prepare(view_of(ys, columns={"x": real(np.arange(41.0))}))
    assert prepared.ys.max() < 4
    assert prepared.ys[:40].tolist() == ys[:40].tolist()


def test_what_parameters_explain_only_together_has_a_bar() -> None:
    x, y = np.random.default_rng(0).random((2, 300))
    figure = importance.importance(view_of((x - 0.5) * (y - 0.5), columns={"x": real(x), "y": real(y)}))
    (bars,) = of_kind(figure, Bars)
    assert figure.panels[0].y.labels == ("together", *figure.panels[0].y.labels[1:])
    assert bars.length[-1] > 0.5
    np.testing.assert_allclose(bars.length.sum(), 1)


def test_numbers_reach_plotly_as_it_reads_them() -> None:
    one, two, three = np.array([1.0]), np.array([2.0]), np.array([3.0])
    marks = [Spans(np.zeros(1), two, three), Bars(np.zeros(1), two, one, three)]
    made = spec(Figure("", [Panel(Axis(log=True, range=(0.01, 100.0)), Axis(range=(1.0, 2.0)), marks)]))
    spans, bars = made["data"]
    assert (spans["base"].tolist(), spans["x"].tolist()) == ([2.0], [1.0])
    assert (bars["error_x"]["array"].tolist(), bars["error_x"]["arrayminus"].tolist()) == ([1.0], [1.0])
    assert (made["layout"]["xaxis"]["range"], made["layout"]["yaxis"]["range"]) == ([-2.0, 2.0], [1.0, 2.0])


def test_an_axis_that_is_hidden_is_not_drawn_and_shades_stand_at_their_heights() -> None:
    shade = Shade("rank", ((0.25, "low"), (1.0, "high")))
    axes, bar = draw(Figure("", [Panel(Axis(), Axis(hidden=True), [])], shade=shade)).axes
    assert not axes.spines["left"].get_visible()
    assert not len(axes.get_yticks())
    assert bar.get_yticks().tolist() == [0.25, 1.0]
