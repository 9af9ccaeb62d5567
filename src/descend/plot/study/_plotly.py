"""The only file that imports plotly: a figure as one of plotly's, and where its script for browsers is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descend.errors import MissingExtra
from descend.plot.study.figure import Figure
from descend.plot.study.spec import spec

try:
    import plotly
    import plotly.graph_objects
except ImportError as missing:
    raise MissingExtra("plotly", "plotly") from missing

__all__ = ["SCRIPT", "draw", "version"]

SCRIPT = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def version() -> str:
    """Of plotly, which is that of its script too."""
    return plotly.__version__


def draw(figure: Figure) -> Any:
    """The figure as a `plotly.graph_objects.Figure`."""
    made = spec(figure)
    made["layout"]["title"] = {"text": figure.title.replace("&", "&amp;").replace("<", "&lt;"), "x": 0.01}
    made["layout"]["margin"]["t"] += 30
    made["layout"] |= {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    made["layout"]["font"]["color"] = "#333333"
    return plotly.graph_objects.Figure(made)
