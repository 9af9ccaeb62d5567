"""The colours of a study's pictures, the same with every way of drawing: by role, and by shade."""

from __future__ import annotations

import numpy as np

from descend.plot.study.figure import SCALE, Role

__all__ = ["COLORS", "PALETTE", "color_of", "translucent"]

COLORS: dict[Role, str] = {
    "done": "#3B82C4",
    "best": "#D55E00",
    "pruned": "#E69F00",
    "failed": "#C22F3A",
    "running": "#1A9E77",
    "queued": "#9AA3AD",
    "infeasible": "#B07AA1",
    "faint": "#8A94A0",
}
"""After Okabe and Ito (2008), all of a middle lightness, so that they can be seen on white and on black."""

PALETTE = ("#3B82C4", "#D55E00", "#1A9E77", "#B07AA1", "#C29500", "#6C5FC7", "#8A94A0")
"""The colours of several studies in one picture."""


def _channels(color: str) -> list[int]:
    """Red, green and blue in 0, ..., 255."""
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


_STOPS = np.array([_channels(color) for color in SCALE], dtype=np.float64)


def color_of(shade: float) -> str:
    """The colour of a shade in [0, 1].

    >>> color_of(0.0), color_of(1.0)
    ('#A9C4DD', '#C2185B')
    """
    place = np.linspace(0, 1, len(_STOPS))
    red, green, blue = (round(float(np.interp(shade, place, _STOPS[:, j]))) for j in range(3))
    return f"#{red:02X}{green:02X}{blue:02X}"


def translucent(color: str, alpha: float) -> str:
    """A colour as CSS with an opacity.

    >>> translucent("#3B82C4", 0.2)
    'rgba(59,130,196,0.2)'
    """
    red, green, blue = _channels(color)
    return f"rgba({red},{green},{blue},{alpha:g})"
