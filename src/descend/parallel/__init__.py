"""Several processes share the evaluations of one optimization; what travels between them are scalars."""

from descend.parallel.description import Parallel
from descend.parallel.errors import LostWorker, ReplicasDiffer
from descend.parallel.fingerprint import fingerprint
from descend.parallel.shared import Shared
from descend.parallel.team import Team
from descend.parallel.wire import Traffic

__all__ = ["LostWorker", "Parallel", "ReplicasDiffer", "Shared", "Team", "Traffic", "fingerprint"]
