"""The one door to matplotlib: every name of it that the pictures use, or a sentence saying how to install it.

`pyplot` is not among them: it keeps every figure that it makes in a list of its own.
"""

from descend.errors import MissingExtra

try:
    from matplotlib.animation import PillowWriter
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import Normal, Stroke
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter, NullLocator
except ImportError as missing:
    raise MissingExtra("matplotlib", "plot") from missing

__all__ = [
    "Artist",
    "Axes",
    "Colormap",
    "FancyArrowPatch",
    "Figure",
    "FigureCanvasAgg",
    "Line2D",
    "LinearSegmentedColormap",
    "LogFormatterSciNotation",
    "LogLocator",
    "LogNorm",
    "MaxNLocator",
    "Normal",
    "Normalize",
    "NullFormatter",
    "NullLocator",
    "PillowWriter",
    "QuadContourSet",
    "ScalarMappable",
    "Stroke",
]
