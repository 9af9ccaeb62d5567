"""Pictures of studies: `study.plot.history()` and ten more, with matplotlib or plotly.

Each picture is made once, as a `Figure` of plain data (`history.py`, `parameters.py`, `objectives.py`, `progress.py`,
`importance.py`), and then drawn by matplotlib, by plotly or by a browser: what they show is the same.
"""

from descend.plot.study.plots import FIGURES, Plots
from descend.plot.study.view import View

__all__ = ["FIGURES", "Plots", "View"]
