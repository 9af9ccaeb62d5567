"""scikit-learn, which is not always there: the only file of this room that imports it."""

from descend.errors import MissingExtra

try:
    import joblib
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection._search import BaseSearchCV
except ImportError:
    raise MissingExtra("scikit-learn", "sklearn") from None

__all__ = ["BaseSearchCV", "FitFailedWarning", "joblib"]
