"""Pruners: rules that give up a trial on the strength of what it, and others, have reported.

Each is a frozen dataclass that is called with the trial's number, all `Reports` and the study's key. A rule for one
objective becomes one for several by fronts in the place of values, see `descend.study.pruners.ranking`.
"""

from descend.study.pruners.base import Pruner
from descend.study.pruners.halving import HyperbandPruner, SuccessiveHalvingPruner
from descend.study.pruners.patient import PatientPruner
from descend.study.pruners.percentile import MedianPruner, PercentilePruner
from descend.study.pruners.threshold import ThresholdPruner
from descend.study.pruners.wilcoxon import WilcoxonPruner

__all__ = [
    "HyperbandPruner",
    "MedianPruner",
    "PatientPruner",
    "PercentilePruner",
    "Pruner",
    "SuccessiveHalvingPruner",
    "ThresholdPruner",
    "WilcoxonPruner",
]
