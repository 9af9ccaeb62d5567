"""What is not installed is named, with the extra that brings it, and is not imported before it is needed."""

import subprocess
import sys

WITHOUT = """
import sys
from descend.errors import MissingExtra

def refused(work):
    try:
        work()
    except MissingExtra as error:
        return str(error)

sys.modules["starlette"] = sys.modules["sklearn"] = None
import descend.plot.study as pictures
from descend.direct.filling import Uniform
from descend.study import Study

heavy = {"plotly", "uvicorn", "pandas", "optuna"} & set(sys.modules)
study = Study(method=Uniform(), key=0)
study.run(lambda trial: trial.float("x", 0, 1), trials=20)
print(sorted(heavy))
print(refused(study.plot.importance))
print(refused(lambda: __import__("descend.board")))
del sys.modules["descend.plot.study._plotly"]
sys.modules["plotly"] = None
print(refused(lambda: study.plot.history(backend="plotly")))
print(len(study.plot.history().axes))
"""


def test_what_is_missing_is_named() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=120)
    heavy, importance, board, plotly, history = said.stdout.splitlines()
    assert heavy == "[]"
    assert "scikit-learn is not installed" in importance
    assert "starlette is not installed" in board
    assert "descend[board]" in importance
    assert "descend[board]" in board
    assert "plotly is not installed" in plotly
    assert "descend[plotly]" in plotly
    assert history == "1"
