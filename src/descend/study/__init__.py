"""Studies: named logs of trials, who proposes them, and what is learned from them."""

from descend.study.choosing import Recommended
from descend.study.record import Record
from descend.study.study import Study
from descend.study.table import STATES, Column, Table
from descend.study.trial import FixedTrial, Pruned, Trial

__all__ = ["STATES", "Column", "FixedTrial", "Pruned", "Recommended", "Record", "Study", "Table", "Trial"]
