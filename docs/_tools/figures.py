"""Show a matplotlib figure inside a page.

In a tutorial, a block that draws is marked ``html="1"``, and its last line prints the figure:

    ```python exec="1" html="1" source="above" session="descent"
    figure, axes = plt.subplots()
    axes.plot(losses)
    print(shown(figure, "The loss falls until the 40th step and then stays."))  # markdown-exec: hide
    ```

The picture is part of the page: no file is written, and nothing is loaded when the page is opened. The
comment at the end keeps the line that shows it out of the page. Printing belongs to the block, because only a
block's own `print` goes into the page.
"""

import base64
import html
import io

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

DOTS_PER_INCH = 160  # of the PNG; it is shown at 80, so that it is sharp on fine screens
SHOWN_PER_INCH = 80


def image(figure: Figure, alt: str, *, vector: bool = False) -> str:
    """The figure as an ``<img>`` that carries its own data; the figure is closed.

    PNG by default, because a contour plot is large as SVG; `vector=True` for a figure of few lines.
    `alt` says in words what is to be seen.
    """
    kind, options = ("svg+xml", {"format": "svg"}) if vector else ("png", {"format": "png", "dpi": DOTS_PER_INCH})
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "descend"}):  # the same figure gives the same bytes
        figure.savefig(buffer, bbox_inches="tight", metadata={"Date": None} if vector else None, **options)
    width = round(figure.get_size_inches()[0] * SHOWN_PER_INCH)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(alt)}" width="{width}">'


def shown(figure: Figure, caption: str, *, vector: bool = False) -> str:
    """The figure with its caption, which is its `alt` too, to be printed by a block marked ``html="1"``."""
    picture = image(figure, caption, vector=vector)
    return f'<figure class="drawn">{picture}<figcaption>{html.escape(caption)}</figcaption></figure>'
