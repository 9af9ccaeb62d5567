"""Methods that ask for values only, by whole populations or a few points at a time."""

from descend.population.annealing import Annealing
from descend.population.base import AskTell, Search
from descend.population.cma import CMAES
from descend.population.cr_fm_nes import CRFMNES
from descend.population.cross_entropy import CrossEntropy
from descend.population.differential import DifferentialEvolution
from descend.population.distribution import EstimationOfDistribution
from descend.population.genetic import Genetic
from descend.population.kalman import EnsembleKalman
from descend.population.lagrangian import AugmentedLagrangian
from descend.population.local_search import LocalSearch
from descend.population.one_plus_one import OnePlusOne
from descend.population.openai_es import OpenAIES
from descend.population.pgpe import PGPE
from descend.population.racing import Racing
from descend.population.restarts import Restarts
from descend.population.snes import SNES
from descend.population.swarm import ParticleSwarm
from descend.population.tabu import Tabu
from descend.population.xnes import XNES

__all__ = [
    "CMAES",
    "CRFMNES",
    "PGPE",
    "SNES",
    "XNES",
    "Annealing",
    "AskTell",
    "AugmentedLagrangian",
    "CrossEntropy",
    "DifferentialEvolution",
    "EnsembleKalman",
    "EstimationOfDistribution",
    "Genetic",
    "LocalSearch",
    "OnePlusOne",
    "OpenAIES",
    "ParticleSwarm",
    "Racing",
    "Restarts",
    "Search",
    "Tabu",
]
