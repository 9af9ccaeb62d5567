"""Docstrings become Markdown: doctests are fenced, and `::` opens a code block.

In the source an example stands bare, as doctest finds it:

    >>> Key(3).seed
    3

Markdown would take its `>>>` for a quotation. A griffe extension, named in mkdocs.yml.
"""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*\n?(?:^.*\S.*\n?)*", re.MULTILINE)  # up to the next empty line
LITERAL = re.compile(r"[ ]*::$", re.MULTILINE)


def markdown(docstring: str) -> str:
    """The docstring with every bare doctest in a fence of its own and without the marks of literal blocks."""
    opened = LITERAL.sub(lambda match: ":" if match.start() and docstring[match.start() - 1] != "\n" else "", docstring)
    return EXAMPLE.sub(lambda match: f"```pycon\n{match[0].rstrip()}\n```\n", opened)


class Docstrings(griffe.Extension):
    """Applies `markdown` to every docstring that griffe reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
