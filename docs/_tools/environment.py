"""The surroundings in which the blocks of the documentation run: the same on every machine.

Blocks import the other files of this folder by name (`from figures import show`), draw without a screen, and
compute on one thread, so that what they print does not depend on how many cores there are.
"""

import os
import sys
from pathlib import Path
from typing import Any


def on_startup(**_: Any) -> None:
    """Called by mkdocs once, before the configuration is used."""
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["OMP_NUM_THREADS"] = "1"
