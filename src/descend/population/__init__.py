"""Methods that ask for values only, by whole populations or a few points at a time."""

from descend.population.base import AskTell, Search

__all__ = ["AskTell", "Search"]
