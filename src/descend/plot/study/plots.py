"""`study.plot`: one method for each picture of a study, drawn by matplotlib or by plotly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from descend.errors import InvalidValue
from descend.plot.study import history as going
from descend.plot.study import importance as mattering
from descend.plot.study import objectives as several
from descend.plot.study import parameters as tried
from descend.plot.study import progress as between
from descend.plot.study.figure import Figure
from descend.plot.study.view import View

__all__ = ["FIGURES", "Plots", "check_figure", "drawn", "figure_of", "figures_of"]

FIGURES: Mapping[str, Callable[[View, int], Figure]] = {
    "history": lambda view, objective: going.history(view, objective=objective),
    "importance": lambda view, objective: mattering.importance(view, objective=objective),
    "parallel": lambda view, objective: tried.parallel(view, objective=objective),
    "slice": lambda view, objective: tried.slices(view, objective=objective),
    "contour": lambda view, objective: tried.contour(view, objective=objective),
    "rank": lambda view, objective: tried.rank(view, objective=objective),
    "pareto": lambda view, objective: several.pareto(view),
    "hypervolume": lambda view, objective: several.hypervolume(view),
    "intermediate": lambda view, objective: between.intermediate(view, objective=objective),
    "timeline": lambda view, objective: between.timeline(view),
    "distribution": lambda view, objective: going.distribution(view, objective=objective),
}
"""Every picture by its name, of a view and the number of an objective, as it is without further arguments."""


def check_figure(name: str) -> None:
    """Raises InvalidValue unless there is a picture of this name."""
    if name not in FIGURES:
        raise InvalidValue(f"there is no picture {name!r}; write one of {', '.join(FIGURES)}")


def figure_of(view: View, name: str, objective: int = 0) -> Figure:
    """The picture of this name.

    Raises:
        InvalidValue: there is none of this name, or nothing to be drawn in it yet.
    """
    check_figure(name)
    return FIGURES[name](view, objective)


def figures_of(view: View) -> list[str]:
    """The names of the pictures that this study has something for."""
    several_ones = len(view.directions) > 1
    hidden = set() if several_ones else {"pareto", "hypervolume"}
    hidden |= set() if len(view.reports) else {"intermediate"}
    hidden |= set() if len(view.table.columns) > 1 else {"contour", "rank"}
    return [name for name in FIGURES if name not in hidden]


def drawn(figure: Figure, backend: str) -> Any:
    """A figure of matplotlib or of plotly.

    Raises:
        InvalidValue: another backend.
        MissingExtra: it is not installed.
    """
    if backend == "matplotlib":
        from descend.plot.study._draw import draw
    elif backend == "plotly":
        from descend.plot.study._plotly import draw
    else:
        raise InvalidValue(f"backend={backend!r} draws nothing; write 'matplotlib' or 'plotly'")
    return draw(figure)


class Plots:
    """The pictures of a study, each made of its present state.

    Each method returns a figure of matplotlib, which a notebook shows and `descend.plot.save` writes, or with
    ``backend="plotly"`` one of plotly, which can be zoomed into. `objective` is the number of the objective, from 0.
    Without `names` the most relevant parameters are drawn. Of very many trials a part is drawn, the best ones always.

    Args:
        study: a `descend.study.Study`, or a `View` of one.

    Raises:
        InvalidValue: by a method: there is no such objective or parameter, or nothing to be drawn yet.
        MissingExtra: by a method: what draws is not installed.

    >>> from descend.study import Study
    >>> study = Study(key=0)
    >>> reason = study.run(lambda trial: trial.float("x", 0, 1) ** 2, trials=20)
    >>> figure = study.plot.history()
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('trial', 'value')
    """

    def __init__(self, study: Any) -> None:
        self._study = study

    @property
    def view(self) -> View:
        """What is drawn."""
        return self._study if isinstance(self._study, View) else View.of(self._study)

    def history(self, *, objective: int = 0, backend: str = "matplotlib") -> Any:
        """The value of every trial, and the best so far; pruned and failed ones as strokes at the lower edge."""
        return drawn(going.history(self.view, objective=objective), backend)

    def importance(self, *, kind: str = "fanova", objective: int = 0, backend: str = "matplotlib") -> Any:
        """How much each parameter matters: ``kind="fanova"``, shares of the variance, or ``"shapley"``, shares of the
        contributions to single trials. See `descend.plot.study.importance`."""
        return drawn(mattering.importance(self.view, kind=kind, objective=objective), backend)

    def parallel(self, *, names: Sequence[str] | None = None, objective: int = 0, backend: str = "matplotlib") -> Any:
        """Every trial as a line over its value and its parameters."""
        return drawn(tried.parallel(self.view, names=names, objective=objective), backend)

    def slice(self, *, names: Sequence[str] | None = None, objective: int = 0, backend: str = "matplotlib") -> Any:
        """The value against each parameter."""
        return drawn(tried.slices(self.view, names=names, objective=objective), backend)

    def contour(self, *, names: Sequence[str] | None = None, objective: int = 0, backend: str = "matplotlib") -> Any:
        """Maps of pairs of parameters: how good trials nearby are."""
        return drawn(tried.contour(self.view, names=names, objective=objective), backend)

    def rank(self, *, names: Sequence[str] | None = None, objective: int = 0, backend: str = "matplotlib") -> Any:
        """Pairs of parameters, the trials shaded by the rank of their values."""
        return drawn(tried.rank(self.view, names=names, objective=objective), backend)

    def pareto(self, *, objectives: Sequence[int] | None = None, backend: str = "matplotlib") -> Any:
        """The trials in the space of their objectives, and the front among them."""
        return drawn(several.pareto(self.view, objectives=objectives), backend)

    def hypervolume(self, *, reference: Sequence[float] | None = None, backend: str = "matplotlib") -> Any:
        """The volume that the front dominates, after every trial."""
        return drawn(several.hypervolume(self.view, reference=reference), backend)

    def intermediate(self, *, objective: int = 0, backend: str = "matplotlib") -> Any:
        """What trials reported on their way."""
        return drawn(between.intermediate(self.view, objective=objective), backend)

    def timeline(self, *, backend: str = "matplotlib") -> Any:
        """When each trial was under way, and which worker had it."""
        return drawn(between.timeline(self.view), backend)

    def distribution(self, *, objective: int = 0, backend: str = "matplotlib") -> Any:
        """The share of the trials that are at least as good as each value."""
        return drawn(going.distribution(self.view, objective=objective), backend)

    def compare(self, *others: Any, objective: int = 0, backend: str = "matplotlib") -> Any:
        """The best so far of this study and of others, which are studies too."""
        views = [self.view, *(other if isinstance(other, View) else View.of(other) for other in others)]
        return drawn(going.compare(views, objective=objective), backend)
