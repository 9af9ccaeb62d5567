"""A figure as plotly.js reads it: plain dicts and lists, with the arrays left as they are. Nothing here imports plotly.

Only traces that plotly draws with SVG are used: those that need WebGL compile text into code, which a page that allows
no such thing refuses. Words are escaped, since plotly reads a few tags in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descend.plot.study.figure import (
    SCALE,
    Array,
    Axis,
    Band,
    Bars,
    Bundle,
    Dots,
    Figure,
    Heat,
    Line,
    Mark,
    Panel,
    Rug,
    Shade,
    Spans,
    Texts,
)  # fmt: skip
from descend.plot.study.look import COLORS, color_of, translucent

__all__ = ["spec"]

Plain = dict[str, Any]

_GREY = "#8A94A0"
_GRID = "rgba(138,148,160,0.22)"
_SYMBOLS = {"dot": "circle", "cross": "x-thin", "ring": "circle-open", "star": "star"}
_COLORS = [[place / (len(SCALE) - 1), color] for place, color in enumerate(SCALE)]
_GROUPS = 16  # of lines of similar shade that are one trace
_EDGED = 150  # spans up to which each has an edge
_TOP, _BOTTOM = 34, 52  # pixels above and below the panels
_GAP = 74  # pixels between two rows
_BESIDE = 0.075  # of the width, between two columns


def spec(figure: Figure) -> Plain:
    """Data and layout of a figure, to be passed to ``Plotly.newPlot`` or ``plotly.graph_objects.Figure``.

    Under ``layout.meta.narrow`` stands where the panels are if they stand below each other.

    >>> spec(Figure("", [Panel(Axis("trial"), Axis("value"), [])]))["layout"]["xaxis"]["title"]["text"]
    'trial'
    """
    bare = _bare(figure)
    height = _height(figure, figure.columns)
    inner = max(height - _TOP - _BOTTOM, 1)
    layout: Plain = {
        "title": {"text": "", "font": {"size": 14}},
        "height": height, "autosize": True, "hovermode": "closest", "dragmode": "zoom",
        "margin": {"l": 58, "r": 16, "t": _TOP, "b": _BOTTOM},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12, "color": _GREY, "family": "system-ui, sans-serif"},
        "showlegend": figure.legend and not bare,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}},
        "bargap": 0.35, "annotations": [],
    }  # fmt: skip
    data: list[Plain] = []
    for place, (panel, (x, y)) in enumerate(zip(figure.panels, _domains(figure, figure.columns), strict=True)):
        suffix = "" if place == 0 else str(place + 1)
        named = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        layout[f"xaxis{suffix}"] = _axis(panel.x, x, f"y{suffix}")
        layout[f"yaxis{suffix}"] = _axis(panel.y, y, f"x{suffix}")
        for mark in panel.marks:
            data += [{**trace, **named} for trace in _traces(mark)]
        if any(isinstance(mark, Rug) for mark in panel.marks):
            _floor(layout, data, panel, 100 + place, suffix)
    if figure.shade is not None:
        _bar(layout, data, figure.shade)
    if figure.note:
        layout["annotations"].append(_words(figure.note, 0, -(_BOTTOM - 6) / inner, 10, "left"))
        layout["margin"]["b"] += 18
    layout["meta"] = {"narrow": {"height": _height(figure, 1), "domains": _domains(figure, 1)}}
    return {"data": data, "layout": layout}


def _height(figure: Figure, columns: int) -> int:
    rows = -(-len(figure.panels) // columns)
    return figure.height * rows + _GAP * (rows - 1) + (18 if figure.note else 0)


def _domains(figure: Figure, columns: int) -> list[tuple[list[float], list[float]]]:
    """Where each panel is: its two ends from left to right, and from the bottom to the top, as parts of the whole."""
    rows = -(-len(figure.panels) // columns)
    gap = _GAP / max(_height(figure, columns) - _TOP - _BOTTOM, 1)
    each = (1.0 - (columns - 1) * _BESIDE) / columns
    tall = (1.0 - (rows - 1) * gap) / rows
    made = []
    for place in range(len(figure.panels)):
        row, column = divmod(place, columns)
        left, top = column * (each + _BESIDE), 1.0 - row * (tall + gap)
        made.append(([left, min(left + each, 1.0)], [max(top - tall, 0.0), top]))
    return made


def _bare(figure: Figure) -> bool:
    return not any(getattr(mark, "name", "") for panel in figure.panels for mark in panel.marks)


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _words(text: str, x: float, y: float, size: int, anchor: str) -> Plain:
    where = {"xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": anchor, "yanchor": "top"}
    return {"text": _safe(text), "showarrow": False, "font": {"size": size}, **where}


def _axis(axis: Axis, domain: list[float], anchor: str) -> Plain:
    made: Plain = {
        "domain": domain, "anchor": anchor, "title": {"text": _safe(axis.label), "standoff": 6, "font": {"size": 12}},
        "gridcolor": _GRID, "zeroline": False, "linecolor": _GREY, "ticks": "outside", "ticklen": 3,
        "tickcolor": _GREY, "automargin": True, "exponentformat": "power",
    }  # fmt: skip
    if axis.log:
        made |= {"type": "log", "nticks": 4}
    if axis.whole:
        made["tickformat"] = "d"
    named = axis.named
    if named is not None:
        made |= {"tickvals": [at for at, _ in named], "ticktext": [_safe(text) for _, text in named], "type": "linear"}
    if axis.ends is not None:
        ends = np.log10(axis.ends) if axis.log else np.asarray(axis.ends)
        made["range"] = ends.tolist()
    if axis.hidden:
        made |= {"showticklabels": False, "ticks": "", "showgrid": False, "showline": False}
    return made


def _hover(numbers: Array | None) -> Plain:
    if numbers is None:
        return {"hovertemplate": "%{x:.5g}, %{y:.5g}<extra></extra>"}
    return {"customdata": numbers, "hovertemplate": "trial %{customdata}<br>%{x:.5g}, %{y:.5g}<extra></extra>"}


def _traces(mark: Mark) -> list[Plain]:
    """What plotly draws for a mark; a rug is drawn by `_floor`."""
    match mark:
        case Dots():
            return [_dots(mark)]
        case Line():
            return [_line(mark)]
        case Band():
            ring = {"x": np.concatenate([mark.x, mark.x[::-1]]), "y": np.concatenate([mark.high, mark.low[::-1]])}
            fill = {"fill": "toself", "fillcolor": translucent(COLORS[mark.role], 0.18), "line": {"width": 0}}
            return [{"type": "scatter", **ring, **fill, "mode": "lines", "hoverinfo": "skip", "showlegend": False}]
        case Bars():
            whisker = {"array": mark.high - mark.length, "arrayminus": mark.length - mark.low}
            error = {"type": "data", "symmetric": False, **whisker, "color": _GREY, "thickness": 1.2, "width": 4}
            bars = {"type": "bar", "orientation": "h", "y": mark.y, "x": mark.length, "error_x": error}
            look = {"marker": {"color": COLORS[mark.role]}, "showlegend": False}
            return [{**bars, **look, "hovertemplate": "%{x:.3f}<extra></extra>"}]
        case Spans():
            edge = 0.5 if len(mark.y) < _EDGED else 0
            bars = {"type": "bar", "orientation": "h", "y": mark.y, "base": mark.begin, "x": mark.end - mark.begin}
            look = {"marker": {"color": COLORS[mark.role], "line": {"width": edge, "color": "rgba(255,255,255,0.6)"}}}
            hover = {"customdata": mark.numbers, "hovertemplate": "trial %{customdata}<extra></extra>"}
            return [{**bars, **look, **hover, "name": _safe(mark.name), "offset": -0.35, "width": 0.7}]
        case Rug():
            return []
        case Bundle():
            return _bundle(mark)
        case Heat():
            heat = {"type": "heatmap", "x": mark.x, "y": mark.y, "z": mark.z, "zmin": 0, "zmax": 1}
            return [{**heat, "colorscale": _COLORS, "showscale": False, "hoverinfo": "skip", "zsmooth": False}]
        case Texts():
            font = {"size": 10, "color": _GREY}
            words = {"text": [_safe(word) for word in mark.words], "textfont": font, "textposition": "middle right"}
            trace = {"type": "scatter", "mode": "text", "x": mark.x, "y": mark.y, **words, "cliponaxis": False}
            return [{**trace, "hoverinfo": "skip", "showlegend": False}]


def _dots(mark: Dots) -> Plain:
    look: Plain = {"symbol": _SYMBOLS[mark.symbol], "size": mark.size, "opacity": 0.8}
    if mark.shade is not None:
        look |= {"color": mark.shade, "cmin": 0, "cmax": 1, "colorscale": _COLORS}
    else:
        look["color"] = COLORS[mark.role]
    if mark.symbol == "cross":
        look["line"] = {"width": 1.5, "color": COLORS[mark.role]}
    trace = {"type": "scatter", "mode": "markers", "x": mark.x, "y": mark.y, "marker": look, **_hover(mark.numbers)}
    return {**trace, "name": _safe(mark.name), "showlegend": bool(mark.name)}


def _line(mark: Line) -> Plain:
    color = mark.color or (COLORS[mark.role] if mark.shade is None else color_of(mark.shade))
    look = {"color": color, "width": mark.width, "shape": "hv" if mark.step else "linear"}
    look |= {"dash": "dot"} if mark.dash else {}
    trace = {"type": "scatter", "mode": "lines", "x": mark.x, "y": mark.y, "line": look, "connectgaps": False}
    return {**trace, "name": _safe(mark.name), "showlegend": bool(mark.name), "hoverinfo": "skip"}


def _bundle(mark: Bundle) -> list[Plain]:
    """Lines in groups of similar shade, each group a trace with gaps between its lines."""
    if not len(mark.ys):
        return []
    made = []
    group = np.minimum((mark.shade * _GROUPS).astype(int), _GROUPS - 1)
    for one in np.unique(group):  # rising, so that the best is on top
        ys = mark.ys[group == one]
        gaps = np.full((len(ys), 1), np.nan)
        x = np.concatenate([np.tile(mark.x, (len(ys), 1)), gaps], 1).ravel()
        y = np.concatenate([ys, gaps], 1).ravel()
        color = translucent(color_of((one + 0.5) / _GROUPS), 0.35 + 0.6 * one / _GROUPS)
        made.append({
            "type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"color": color, "width": 1.1 + one / _GROUPS},
            "hoverinfo": "skip", "showlegend": False, "connectgaps": False,
        })  # fmt: skip
    return made


def _floor(layout: Plain, data: list[Plain], panel: Panel, number: int, suffix: str) -> None:
    """Strokes at the lower edge: traces on a vertical axis of their own that shows nothing else."""
    layout[f"yaxis{number}"] = {
        "overlaying": f"y{suffix}", "anchor": f"x{suffix}", "range": [0, 1], "visible": False, "fixedrange": True,
    }  # fmt: skip
    for mark in panel.marks:
        if isinstance(mark, Rug) and len(mark.x):
            look = {"symbol": "line-ns-open", "size": 7, "color": COLORS[mark.role], "line": {"width": 1.2}}
            data.append({
                "type": "scatter", "mode": "markers", "x": mark.x, "y": np.full(len(mark.x), 0.018), "marker": look,
                "name": _safe(mark.name), "showlegend": bool(mark.name), "xaxis": f"x{suffix}", "yaxis": f"y{number}",
                "customdata": mark.numbers, "hovertemplate": "trial %{customdata}<extra></extra>",
            })  # fmt: skip


def _bar(layout: Plain, data: list[Plain], shade: Shade) -> None:
    """The bar that says what shades mean, carried by a dot that nobody sees."""
    bar = {
        "title": {"text": _safe(shade.label), "side": "right"}, "thickness": 10, "outlinewidth": 0, "len": 1,
        "tickvals": [at for at, _ in shade.ticks], "ticktext": [_safe(text) for _, text in shade.ticks],
    }  # fmt: skip
    marker = {
        "color": [0, 1], "cmin": 0, "cmax": 1, "colorscale": _COLORS, "showscale": True, "colorbar": bar, "opacity": 0,
    }  # fmt: skip
    dot = {"type": "scatter", "mode": "markers", "x": [None, None], "y": [None, None], "marker": marker}
    data.append({**dot, "showlegend": False, "hoverinfo": "skip", "xaxis": "x", "yaxis": "y"})
    layout["margin"]["r"] = 86
