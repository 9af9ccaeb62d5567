"""What can go wrong among several processes, in words."""

from descend.errors import DescendError

__all__ = ["LostWorker", "ReplicasDiffer"]


class LostWorker(DescendError, RuntimeError):
    """A worker of a parallel run died, hangs or left, or this one was given up by the others.

    What to do: start all ranks again from the last saved state or trajectory; raise ``patience=`` if a forward may take
    longer on one rank than on another; or let the others go on alone with ``Parallel(..., on_lost="continue")``.
    """


class ReplicasDiffer(DescendError, RuntimeError):
    """Ranks that have to be copies of each other are not: other settings, or other bits in the parameters.

    The message names the ranks, the step, and what differs. What to do: give all ranks the same model, parts and key;
    if the bits went apart on the way, something but the optimizer wrote to the parameters of one rank, or its hardware
    or version of torch computes the update differently.
    """
