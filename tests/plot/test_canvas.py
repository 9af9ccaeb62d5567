"""Figures that belong to nobody, and the one door to matplotlib."""

import importlib
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import descend.plot
from descend import problems
from descend.errors import InvalidValue, MissingExtra
from descend.plot import Trace, animate, colors, compare, curve, panels, save, trace, trajectory


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """No figure of pyplot, no setting of matplotlib, no file but the one that was asked for."""
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    path = [[0.0, 0.0], [1.0, 1.0]]
    run = Trace("a", [100.0, 1.0], evaluations=[1, 2])
    trajectory(problems.booth, path).canvas.draw()
    trace(run).canvas.draw()
    compare({"a": [run]}).canvas.draw()
    curve(lambda x: x**2, -1, 1, [0.5, 0.2]).canvas.draw()
    animate(problems.booth, path, tmp_path / "a.gif")
    save(trace(run), tmp_path / "b.png")
    assert plt.get_fignums() == figures
    assert dict(mpl.rcParams) == settings
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "b.png"]


def test_drawing_imports_no_pyplot() -> None:
    code = "import sys, descend.plot as p; p.panels()[0].canvas.draw(); sys.exit('matplotlib.pyplot' in sys.modules)"
    source = str(Path(descend.plot.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.figure", "PIL"])
def test_without_matplotlib_a_sentence_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("descend.plot")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [missing, *(name for name in sys.modules if name.startswith(f"{missing}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"matplotlib is not installed.*pip install 'descend\[plot\]'"):
        importlib.import_module("descend.plot")


def test_a_user_may_draw_on_axes_of_pyplot() -> None:
    figure, axes = plt.subplots(1, 2)
    try:
        assert trace(Trace("a", [1.0, 2.0]), x="steps", ax=axes[0]) is figure
        assert trajectory(problems.booth, [[0.0, 0.0]], labels=["a"], ax=axes[1]) is figure
        figure.canvas.draw()
    finally:
        plt.close(figure)


def test_panels_lie_row_by_row() -> None:
    figure, axes = panels(3, 2)
    figure.canvas.draw()
    corners = [(-round(ax.get_position().y0, 3), round(ax.get_position().x0, 3)) for ax in axes]
    assert len(axes) == 6
    assert corners == sorted(corners)
    assert tuple(panels(size=(3, 2))[0].get_size_inches()) == (3, 2)


def test_eight_labels_share_seven_colours() -> None:
    found = list(colors(map(str, range(8))).values())
    assert len(set(found[:7])) == 7
    assert found[7] == found[0]


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.PDF"])
def test_the_same_figure_is_saved_as_the_same_bytes(name: str, tmp_path: Path) -> None:
    def written(file: Path) -> bytes:
        return save(curve(lambda x: x**2, -1, 1, [0.5, -0.2]), file).read_bytes()

    (tmp_path / "again").mkdir()
    assert written(tmp_path / name) == written(tmp_path / "again" / name)


def test_a_notebook_shows_a_figure() -> None:
    figure, _ = panels()
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: panels(0), "columns=0"),
        (lambda: panels(size=(0, 1)), r"size=\(0, 1\)"),
        (lambda: save(panels()[0], "picture.xyz"), r"'picture.xyz'.*\.png"),
        (lambda: save(panels()[0], "picture"), "end the name"),
        (lambda: save(panels()[0], "picture.png", dpi=0), "dpi=0"),
    ],
)
def test_wrong_input_gets_a_sentence(call, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        call()
