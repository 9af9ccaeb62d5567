"""The one door to matplotlib and to Pillow, which it brings: every name used, or how to install it.

`pyplot` is not among them: it keeps every figure that it makes in a list of its own.
"""

from descend.errors import MissingExtra

try:
    from matplotlib import rc_context
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import Normal, Stroke
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter, NullLocator
    from PIL import Image
except ImportError as missing:
    raise MissingExtra("matplotlib", "plot") from missing

__all__ = [
    "Artist",
    "Axes",
    "Axis",
    "FancyArrowPatch",
    "Figure",
    "FigureCanvasAgg",
    "Image",
    "Legend",
    "Line2D",
    "LineCollection",
    "LinearSegmentedColormap",
    "LogFormatterSciNotation",
    "LogLocator",
    "LogNorm",
    "MaxNLocator",
    "Normal",
    "Normalize",
    "NullFormatter",
    "NullLocator",
    "ScalarMappable",
    "Stroke",
    "rc_context",
]
