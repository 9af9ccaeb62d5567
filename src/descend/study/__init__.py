"""Studies: named logs of trials, who proposes them, and what is learned from them. Each file is imported at the first
use of a name of it, since to look at a table of trials needs no torch, and to propose them does."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descend.study.choosing import Recommended
    from descend.study.record import Record
    from descend.study.study import Study
    from descend.study.table import STATES, Column, Table
    from descend.study.trial import FixedTrial, Pruned, Trial

_FILE_OF = {
    "Recommended": "choosing", "Record": "record", "Study": "study", "STATES": "table", "Column": "table",
    "Table": "table", "FixedTrial": "trial", "Pruned": "trial", "Trial": "trial",
}  # fmt: skip

__all__ = ["STATES", "Column", "FixedTrial", "Pruned", "Recommended", "Record", "Study", "Table", "Trial"]


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"module 'descend.study' has no attribute {name!r}")
    value = getattr(import_module(f"descend.study.{_FILE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
