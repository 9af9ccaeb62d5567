"""The exceptions of descend, each of whose docstring is its help page.

::

    DescendError
    ├── InvalidValue (ValueError)        a hyperparameter or argument that cannot mean anything
    ├── ShapeMismatch (ValueError)       a tensor of another shape, dtype or device than the question needs
    ├── CompositionError (TypeError)     parts that do not fit together, found when they are put together
    │   └── MissingAnswer                somebody asks an oracle what it cannot answer
    ├── EvaluationFailed (RuntimeError)  the objective failed and the policy says to raise
    ├── BudgetExhausted (RuntimeError)   one more evaluation would overrun the budget
    ├── StateMismatch (ValueError)       a saved state that belongs to another composition
    ├── StoreFailed (RuntimeError)       a log cannot be written or read now
    └── MissingExtra (ImportError)       an optional package is not installed
"""

__all__ = [
    "BudgetExhausted",
    "CompositionError",
    "DescendError",
    "EvaluationFailed",
    "InvalidValue",
    "MissingAnswer",
    "MissingExtra",
    "ShapeMismatch",
    "StateMismatch",
    "StoreFailed",
]


class DescendError(Exception):
    """Root of every exception that descend raises itself."""


class InvalidValue(DescendError, ValueError):
    """A hyperparameter or argument has a value that cannot mean anything.

    The message quotes the value and says what to write instead.
    """


class ShapeMismatch(DescendError, ValueError):
    """A tensor has another shape, dtype or device than the question needs."""


class CompositionError(DescendError, TypeError):
    """Parts were put together in a way that cannot work, for example an estimator after a transform."""


class MissingAnswer(CompositionError):
    """A method, transform, step or estimator asks an oracle for something it cannot answer.

    What to do: lift the oracle first. Values become gradients with an estimator
    (``oracle | SPSA()``), gradients become Hessian-vector products with
    ``oracle | DifferencedHvp()``; a torch function that autograd can
    differentiate answers everything as ``Differentiable(f)``.
    """


class EvaluationFailed(DescendError, RuntimeError):
    """The objective raised, or returned NaN or an infinity, and the policy is ``Raise()``.

    An objective may raise it itself to say that a point cannot be evaluated.
    """


class BudgetExhausted(DescendError, RuntimeError):
    """One more evaluation would overrun the budget; it was not made.

    `minimize` catches it and returns what it has, with the reason.
    """


class StateMismatch(DescendError, ValueError):
    """A saved state belongs to another composition, shape or version than the one that loads it."""


class StoreFailed(DescendError, RuntimeError):
    """A log of trials cannot be written or read now: the disk is full, somebody keeps it locked, the file is damaged.

    What was being written is not in it, and may be written again once the reason is gone.
    """


class MissingExtra(DescendError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; it comes with an extra: pip install 'descend[{extra}]'")
