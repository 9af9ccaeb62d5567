"""The page itself: one frame of HTML, with style and scripts inside it or beside it, and what it is allowed to do."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

__all__ = ["LIVE_POLICY", "frame", "live_page", "report_policy", "script", "style"]

_FOLDER = Path(__file__).parent / "static"

LIVE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the live page may do: run the scripts of this server and ask it. Styles within the page are plotly's."""

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
%(head)s<title>descend</title>
%(style)s
</head>
<body>
<header>
<h1 id="title">descend</h1><span id="kind" class="kind"></span><span class="room"></span>
<select id="study" aria-label="study" hidden></select><select id="objective" aria-label="objective" hidden></select>
<span id="status"></span><button id="theme" title="light or dark">◐</button>
</header>
<nav id="nav"></nav>
<main id="main"><noscript>This page needs JavaScript.</noscript></main>
%(scripts)s
</body>
</html>
"""


@cache
def style() -> str:
    """The style sheet."""
    return (_FOLDER / "board.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """The script of the page, in a scope of its own."""
    files = ("source.js", "parts.js", "page.js")
    return "(() => {\n" + "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in files) + "})();\n"


def report_policy() -> str:
    """What a report may do: run its own script and the one beside it, and ask nobody anything."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' file: 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def frame(data: str, plotly: str) -> str:
    """A page that has everything in it but plotly's script.

    Args:
        data: JSON in which ``<`` does not occur.
        plotly: the name of the file with plotly's script, beside the page.
    """
    assert "<" not in data
    parts = (
        f'<script type="application/json" id="data">{data}</script>',
        f'<script id="plotly" src="{plotly}" async></script>',
        f"<script>{script()}</script>",
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{report_policy()}">\n'
    return _FRAME % {"head": head, "style": f"<style>\n{style()}</style>", "scripts": "\n".join(parts)}


def live_page() -> str:
    """The page that asks a server."""
    scripts = '<script id="plotly" src="/plotly.min.js" async></script>\n<script src="/board.js"></script>'
    return _FRAME % {"head": "", "style": '<link rel="stylesheet" href="/board.css">', "scripts": scripts}
