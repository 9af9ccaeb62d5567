"""Studies in a browser: a report in one file, and a live page that a small local server keeps up to date.

`report` writes a page that needs no server; `dashboard` serves one that follows a running study. Both show the same:
the pictures of `descend.plot.study`, a table of trials, failures with their texts, workers, and studies side by side.
Neither lets anybody change anything. ``pip install 'descend[board]'``.
"""

from descend.board.report import report
from descend.board.server import dashboard

__all__ = ["dashboard", "report"]
