"""descend minimizes anything: with gradients, without them, or with estimates of them.

An optimizer is a conversation with an oracle. The *oracle* answers questions about an objective: a value, many
values, a gradient, a curvature. A *method* asks. Estimators lift an oracle that answers values to one that answers
gradients; transforms turn gradients into directions; a step rule says how far to go.

>>> import descend as dd
>>> result = dd.minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 1.0])
>>> result.x.round(3)
array([3., 3.])

This file names what users learn first; the rest is in the submodules `oracle`, `estimate`, `transform`, `step`,
`direction`, `noise`, `run`, `problems`, `plot` and `testing`. They are imported at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descend import (
        direction,
        errors,
        estimate,
        hf,
        noise,
        oracle,
        parallel,
        plot,
        problems,
        run,
        step,
        testing,
        transform,
    )
    from descend.descent import (
        Descent,
    )
    from descend.direction import (
        Combination,
        Dense,
        Directions,
        LowRank,
        Seeded,
    )
    from descend.estimate import (
        EGGROLL,
        RDSA,
        SPSA,
        ByExample,
        DifferencedHvp,
        DifferencedJacobian,
        Evolution,
        FiniteDifference,
        ForwardGradient,
        GaussianSmoothing,
        Guided,
        Hybrid,
        Magnitude,
        MeZO,
        PerExample,
        RandomCoordinates,
        RandomDirections,
        SphereSmoothing,
        hutchinson_diagonal,
        span,
    )
    from descend.key import (
        Key,
    )
    from descend.layout import (
        Layout,
    )
    from descend.oracle import (
        Asks,
        Averaged,
        Bounded,
        Cached,
        Clipped,
        Closure,
        Differentiable,
        ForwardReport,
        Function,
        Module,
        Negated,
        Oracle,
        Penalize,
        Penalized,
        Raise,
        Reject,
        Residuals,
        Retry,
        check_forward,
    )
    from descend.parallel import (
        Parallel,
    )
    from descend.quantize import (
        quantize_int8,
    )
    from descend.run import (
        Batched,
        Evaluations,
        NoImprovement,
        Processes,
        Progress,
        Rejections,
        Result,
        Seconds,
        Serial,
        StepNorm,
        Steps,
        Target,
        minimize,
    )
    from descend.step import (
        Backtracking,
        Cosine,
        Exponential,
        Fixed,
        LevenbergMarquardt,
        PiecewiseConstant,
        Polynomial,
        Power,
        StrongWolfe,
        TrustRegion,
        WarmUp,
    )
    from descend.torch_optim import (
        Feedback,
        Nearest,
        Optimizer,
        Stochastic,
        Trajectory,
        replay,
    )
    from descend.transform import (
        BFGS,
        LBFGS,
        SR1,
        SVRG,
        AdaGrad,
        Adam,
        AdamW,
        ClipNorm,
        ClipValue,
        ConjugateGradient,
        GaussNewton,
        HeavyBall,
        IterateAverage,
        LeakyAverage,
        Lion,
        NAdam,
        Newton,
        NewtonCG,
        Orthogonalize,
        RMSProp,
        Rprop,
        Sign,
        WeightDecay,
        WindowAdam,
        averaged,
    )

__version__ = "0.1.0"

_ROOMS = {
    "descent": [
        "Descent",
    ],
    "direction": [
        "Combination", "Dense", "Directions", "LowRank", "Seeded",
    ],
    "estimate": [
        "ByExample", "DifferencedHvp", "DifferencedJacobian", "EGGROLL", "Evolution", "FiniteDifference",
        "ForwardGradient", "GaussianSmoothing", "Guided", "Hybrid", "Magnitude", "MeZO", "PerExample", "RDSA",
        "RandomCoordinates", "RandomDirections", "SPSA", "SphereSmoothing", "hutchinson_diagonal", "span",
    ],
    "key": [
        "Key",
    ],
    "layout": [
        "Layout",
    ],
    "oracle": [
        "Asks", "Averaged", "Bounded", "Cached", "Clipped", "Closure", "Differentiable", "ForwardReport",
        "Function", "Module", "Negated", "Oracle", "Penalize", "Penalized", "Raise", "Reject", "Residuals", "Retry",
        "check_forward",
    ],
    "parallel": [
        "Parallel",
    ],
    "quantize": [
        "quantize_int8",
    ],
    "run": [
        "Batched", "Evaluations", "NoImprovement", "Processes", "Progress", "Rejections", "Result", "Seconds",
        "Serial", "StepNorm", "Steps", "Target", "minimize",
    ],
    "step": [
        "Backtracking", "Cosine", "Exponential", "Fixed", "LevenbergMarquardt", "PiecewiseConstant",
        "Polynomial", "Power", "StrongWolfe", "TrustRegion", "WarmUp",
    ],
    "torch_optim": [
        "Feedback", "Nearest", "Optimizer", "Stochastic", "Trajectory", "replay",
    ],
    "transform": [
        "AdaGrad", "Adam", "AdamW", "BFGS", "ClipNorm", "ClipValue", "ConjugateGradient", "GaussNewton",
        "HeavyBall", "IterateAverage", "LBFGS", "LeakyAverage", "Lion", "NAdam", "Newton", "NewtonCG",
        "Orthogonalize", "RMSProp", "Rprop", "SR1", "SVRG", "Sign", "WeightDecay", "WindowAdam", "averaged",
    ],
}  # fmt: skip
_SUBMODULES = [
    "direction", "errors", "estimate", "hf", "noise", "oracle", "parallel", "plot", "problems", "run", "step",
    "testing", "transform",
]  # fmt: skip
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "BFGS",
    "EGGROLL",
    "LBFGS",
    "RDSA",
    "SPSA",
    "SR1",
    "SVRG",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Asks",
    "Averaged",
    "Backtracking",
    "Batched",
    "Bounded",
    "ByExample",
    "Cached",
    "ClipNorm",
    "ClipValue",
    "Clipped",
    "Closure",
    "Combination",
    "ConjugateGradient",
    "Cosine",
    "Dense",
    "Descent",
    "DifferencedHvp",
    "DifferencedJacobian",
    "Differentiable",
    "Directions",
    "Evaluations",
    "Evolution",
    "Exponential",
    "Feedback",
    "FiniteDifference",
    "Fixed",
    "ForwardGradient",
    "ForwardReport",
    "Function",
    "GaussNewton",
    "GaussianSmoothing",
    "Guided",
    "HeavyBall",
    "Hybrid",
    "IterateAverage",
    "Key",
    "Layout",
    "LeakyAverage",
    "LevenbergMarquardt",
    "Lion",
    "LowRank",
    "Magnitude",
    "MeZO",
    "Module",
    "NAdam",
    "Nearest",
    "Negated",
    "Newton",
    "NewtonCG",
    "NoImprovement",
    "Optimizer",
    "Oracle",
    "Orthogonalize",
    "Parallel",
    "Penalize",
    "Penalized",
    "PerExample",
    "PiecewiseConstant",
    "Polynomial",
    "Power",
    "Processes",
    "Progress",
    "RMSProp",
    "Raise",
    "RandomCoordinates",
    "RandomDirections",
    "Reject",
    "Rejections",
    "Residuals",
    "Result",
    "Retry",
    "Rprop",
    "Seconds",
    "Seeded",
    "Serial",
    "Sign",
    "SphereSmoothing",
    "StepNorm",
    "Steps",
    "Stochastic",
    "StrongWolfe",
    "Target",
    "Trajectory",
    "TrustRegion",
    "WarmUp",
    "WeightDecay",
    "WindowAdam",
    "averaged",
    "check_forward",
    "direction",
    "errors",
    "estimate",
    "hf",
    "hutchinson_diagonal",
    "minimize",
    "noise",
    "oracle",
    "parallel",
    "plot",
    "problems",
    "quantize_int8",
    "replay",
    "run",
    "span",
    "step",
    "testing",
    "transform",
]


def __getattr__(name: str) -> Any:
    """Import a name's room at first use, so that `import descend` costs next to nothing beside torch."""
    if name in _SUBMODULES:
        return import_module(f"descend.{name}")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'descend' has no attribute {name!r}; see descend.__all__")
    value = getattr(import_module(f"descend.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
