"""The same figure drawn by matplotlib and by plotly: both have everything that is in it, whatever things are called."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from descend.direct.filling import Uniform
from descend.errors import InvalidValue
from descend.plot import save
from descend.plot.study import FIGURES, Plots, View
from descend.plot.study._draw import draw
from descend.plot.study._plotly import draw as draw_plotly
from descend.plot.study.figure import (
    Axis,
    Band,
    Bars,
    Bundle,
    Dots,
    Figure,
    Heat,
    Line,
    Panel,
    Rug,
    Shade,
    Spans,
    Texts,
)
from descend.plot.study.plots import figure_of, figures_of
from descend.plot.study.spec import spec
from descend.study.study import Study
from descend.study.table import STATES, Column, Table

HOSTILE = ("<script>alert(1)</script>", "$x_{\\frac", "</b>&amp;\n\x1b[31m", "a" * 300, "")


def hostile_view() -> View:
    rng = np.random.default_rng(0)
    n = 60
    states = np.full(n, STATES.index("done"), dtype=np.int8)
    states[::9], states[4::11] = STATES.index("failed"), STATES.index("pruned")
    values = np.where(states[:, None] == STATES.index("done"), rng.normal(size=(n, 2)), np.nan)
    columns = {
        HOSTILE[0]: Column(10 ** rng.uniform(-3, 0, n), None, True),
        HOSTILE[1]: Column(rng.integers(0, 5, n).astype(np.float64), HOSTILE, False),
        HOSTILE[2]: Column(rng.random(n), None, False),
    }
    reports = {number: (np.arange(4.0), rng.random((4, 2))) for number in range(n)}
    table = Table(
        ("minimize", "maximize"), np.arange(n), states, values, np.zeros(n), np.arange(n) * 2.0,
        np.arange(n) * 2.0 + 1.5, HOSTILE[:2], rng.integers(0, 2, n), columns, 1,
    )  # fmt: skip
    return View(table, HOSTILE[0], reports)


EVERY_MARK = Figure(
    "all", [Panel(Axis("x"), Axis("y"), [
        Dots(np.arange(3.0), np.arange(3.0), "dots", numbers=np.arange(3.0)),
        Line(np.arange(3.0), np.arange(3.0), "line"),
        Band(np.arange(3.0), np.zeros(3), np.ones(3)), Bars(np.arange(3.0), np.ones(3), np.zeros(3), np.full(3, 2.0)),
        Spans(np.arange(3.0), np.zeros(3), np.ones(3), "spans"), Rug(np.arange(3.0), "rug"),
        Bundle(np.arange(2.0), np.ones((3, 2)), np.array([0.0, 0.5, 1.0]), np.arange(3.0)),
        Heat(np.arange(3.0), np.arange(4.0), np.zeros((3, 2))), Texts(np.zeros(1), np.zeros(1), ("word",)),
    ])], shade=Shade("shade", ((0.0, "low"), (1.0, "high"))), note="a note",
)  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_picture_is_drawn_whatever_things_are_called(name, tmp_path) -> None:
    view = hostile_view()
    assert name in figures_of(view)
    figure = figure_of(view, name)
    picture = draw(figure)
    save(picture, tmp_path / "picture.svg")
    ET.parse(tmp_path / "picture.svg")  # our own
    data = json.loads(draw_plotly(figure).to_json())
    words = json.dumps([data["layout"], [trace.get("name") for trace in data["data"]]])
    assert "<script" not in words
    assert "<img" not in words


def test_both_draw_every_kind_of_mark() -> None:
    (axes, bar) = draw(EVERY_MARK).axes
    assert len(axes.collections) == 5  # dots, band, whiskers, bundle, heat
    assert len(axes.lines) == 2  # line, rug
    assert len(axes.patches) == 6  # bars, spans
    assert axes.texts[0].get_text() == "word"
    assert [text.get_text() for text in bar.get_yticklabels()] == ["low", "high"]
    traces = spec(EVERY_MARK)["data"]
    kinds = [(trace["type"], trace.get("mode")) for trace in traces]
    assert kinds.count(("bar", None)) == 2
    assert kinds.count(("heatmap", None)) == 1
    assert kinds.count(("scatter", "markers")) == 3  # dots, rug, and the one that carries the bar of shades
    assert kinds.count(("scatter", "lines")) == 5  # line, band, and the bundle in three groups of shades
    assert kinds.count(("scatter", "text")) == 1


def test_only_what_browsers_draw_without_compiling_text_is_used() -> None:
    view = hostile_view()
    kinds = {trace["type"] for name in FIGURES for trace in spec(figure_of(view, name))["data"]}
    assert kinds <= {"scatter", "bar", "heatmap"}  # not scattergl, not parcoords


def test_panels_stand_in_rows_and_do_not_overlap() -> None:
    figure = Figure("", [Panel(Axis(), Axis(), [])] * 5, columns=2)
    layout = spec(figure)["layout"]
    boxes = [
        (*layout[f"xaxis{suffix}"]["domain"], *layout[f"yaxis{suffix}"]["domain"])
        for suffix in ("", "2", "3", "4", "5")
    ]
    for i, (left, right, low, high) in enumerate(boxes):
        assert 0 <= left < right <= 1
        assert 0 <= low < high <= 1
        for other in boxes[:i]:
            assert left >= other[1] or right <= other[0] or low >= other[3] or high <= other[2]
    narrow = layout["meta"]["narrow"]
    assert narrow["height"] > layout["height"]
    assert all(x == [0.0, 1.0] for x, _ in narrow["domains"])


def test_lines_of_a_bundle_are_parted_by_gaps() -> None:
    bundle = Bundle(np.arange(2.0), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, 0.5]), np.arange(2.0))
    (trace,) = spec(Figure("", [Panel(Axis(), Axis(), [bundle])]))["data"]
    np.testing.assert_array_equal(trace["y"], [1, 2, np.nan, 3, 4, np.nan])


def test_a_study_draws_itself_with_either(tmp_path) -> None:
    study = Study(method=Uniform(), key=0)
    study.run(lambda trial: trial.float("x", 0, 1) ** 2 + trial.int("n", 1, 3), trials=20)
    plots = study.plot
    assert isinstance(plots, Plots)
    assert len(plots.history().axes[0].collections[0].get_offsets()) == 20
    assert plots.slice(names=["n"], backend="plotly").data[0].x.max() <= 3
    for name in figures_of(plots.view):
        assert getattr(plots, name)(backend="plotly").layout.height > 0
    assert save(plots.importance(kind="shapley"), tmp_path / "shapley.png").stat().st_size > 3000
    assert len(plots.compare(study).axes[0].lines) == 2
    with pytest.raises(InvalidValue, match="'matplotlib' or 'plotly'"):
        plots.history(backend="bokeh")
