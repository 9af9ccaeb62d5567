"""scikit-learn's face: a search over the parameters of an estimator, by any of descend's methods."""

from descend.sklearn.search import SearchCV

__all__ = ["SearchCV"]
