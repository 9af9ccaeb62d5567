"""Formulas written in LaTeX, `$...$` and `$$...$$`, become MathML while the site is built.

Every current browser shows MathML by itself, so no script and no font is loaded, and a page can be read
offline. `pymdownx.arithmatex` finds the formulas and leaves `<span class="arithmatex">\\(...\\)</span>` (or a
`<div>` with `\\[...\\]`) in the page; this hook replaces what it left.
"""

import html
import logging
import re
from typing import Any

from latex2mathml.converter import convert

# A child of "mkdocs", so that a warning counts in strict mode.
log = logging.getLogger("mkdocs.hooks.maths")

FOUND = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
TILDE, SIMILAR = "<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>"  # the converter takes \sim for a tilde


def mathml(latex: str, *, block: bool) -> str:
    """The formula as a `<math>` element that keeps its LaTeX as `alttext`.

    Raises:
        ValueError: the converter does not know a command of the formula, and would leave it as it is.
    """
    element = convert(latex, display="block" if block else "inline").replace(TILDE, SIMILAR)
    if unknown := re.search(r"\\[A-Za-z]+", html.unescape(element)):
        raise ValueError(f"unknown command {unknown[0]}")
    return element.replace("<math ", f'<math alttext="{html.escape(latex.strip())}" ', 1)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with the HTML of each page."""

    def replaced(match: re.Match[str]) -> str:
        latex = html.unescape(match[3])
        try:
            return mathml(latex, block=match[2] == "[")
        except Exception as problem:  # whatever the converter raises, the page and the formula must be named
            log.warning("%s: cannot show the formula %r: %r", page.file.src_uri, latex, problem)
            return match[0]

    return FOUND.sub(replaced, content)
