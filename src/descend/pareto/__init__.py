"""Several objectives at once: methods that find a front, what it is worth, and which point of it to take.

`minimize_many` runs them; each is also a pair of functions, `ask` and `tell`, over a state of plain data.
"""

from descend.pareto.base import Crowd, Many, front_of
from descend.pareto.choice import compromise, knee, pseudo_weights
from descend.pareto.directions import das_dennis, riesz
from descend.pareto.indicators import hypervolume, igd, igd_plus
from descend.pareto.mating import Mating
from descend.pareto.moead import MOEAD
from descend.pareto.nsga2 import NSGA2
from descend.pareto.nsga3 import NSGA3
from descend.pareto.sms_emoa import SMSEMOA
from descend.pareto.sorting import crowding, dominates, front, ranks

__all__ = [
    "MOEAD",
    "NSGA2",
    "NSGA3",
    "SMSEMOA",
    "Crowd",
    "Many",
    "Mating",
    "compromise",
    "crowding",
    "das_dennis",
    "dominates",
    "front",
    "front_of",
    "hypervolume",
    "igd",
    "igd_plus",
    "knee",
    "pseudo_weights",
    "ranks",
    "riesz",
]
