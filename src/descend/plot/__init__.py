"""Pictures of runs, with matplotlib: `pip install 'descend[plot]'`.

`trajectory` draws the way over contours, `curve` the steps on a function of one variable, `trace` the loss of runs
against what they cost, `compare` several methods over seeds, `generations` a population on its way, `animate` a film
of a trajectory. What `minimize` returns can be drawn as it is; a loop of your own makes a `Trace`. Most functions
take axes of yours as `ax`, and each returns the figure. `panels` makes several axes in one style, `colors` gives a
method the same colour in several pictures, `save` writes a file.

No figure comes from pyplot, so none has to be closed and nothing opens a window.
"""

from descend.plot.canvas import colors, panels, save
from descend.plot.contours import trajectory
from descend.plot.descent_curve import curve
from descend.plot.film import animate
from descend.plot.generations import generations
from descend.plot.history import Trace
from descend.plot.progress import compare, trace

__all__ = ["Trace", "animate", "colors", "compare", "curve", "generations", "panels", "save", "trace", "trajectory"]
