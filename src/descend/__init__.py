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
        board,
        direct,
        direction,
        errors,
        estimate,
        faces,
        hf,
        log,
        model,
        noise,
        optuna,
        oracle,
        parallel,
        pareto,
        plot,
        population,
        problems,
        run,
        sklearn,
        space,
        step,
        study,
        testing,
        transform,
    )
    from descend.descent import Descent
    from descend.direct import (
        CoordinateSearch,
        Grid,
        Halton,
        LatinHypercube,
        NelderMead,
        PatternSearch,
        Powell,
        RotatingCoordinates,
        Sobol,
        SuccessiveHalving,
        Uniform,
    )
    from descend.direction import Combination, Dense, Directions, LowRank, Seeded
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
    from descend.key import Key
    from descend.layout import Layout
    from descend.model import TPE, Automatic, AxisSearch, Bayes, Forest, QuasiNewton, Relay, SurrogateCMAES
    from descend.oracle import (
        Asks,
        Averaged,
        Bounded,
        Cached,
        Clipped,
        Closure,
        Command,
        Differentiable,
        Encoded,
        ExitCode,
        FeasibleFirst,
        ForwardReport,
        Function,
        Json,
        LastLine,
        Module,
        Negated,
        Oracle,
        Penalize,
        Penalized,
        Raise,
        Regex,
        Reject,
        Residuals,
        Retry,
        check_forward,
    )
    from descend.parallel import Parallel
    from descend.pareto import MOEAD, NSGA2, NSGA3, SMSEMOA
    from descend.population import (
        CMAES,
        CRFMNES,
        PGPE,
        SNES,
        XNES,
        Annealing,
        AugmentedLagrangian,
        CrossEntropy,
        DifferentialEvolution,
        EnsembleKalman,
        EstimationOfDistribution,
        Genetic,
        LocalSearch,
        OnePlusOne,
        OpenAIES,
        ParticleSwarm,
        Racing,
        Restarts,
        Tabu,
    )
    from descend.portfolio import Portfolio
    from descend.quantize import quantize_int8
    from descend.run import (
        AskTell,
        Batched,
        Evaluations,
        Front,
        NoImprovement,
        Plateau,
        Processes,
        Progress,
        Rejections,
        Result,
        Seconds,
        Serial,
        StepNorm,
        Steps,
        Target,
        Threads,
        minimize,
        minimize_many,
    )
    from descend.space import (
        Array,
        Bool,
        Choice,
        Constraint,
        Domain,
        Float,
        Int,
        Linear,
        Ordinal,
        Permutation,
        Row,
        Simplex,
        Space,
        Subset,
        When,
        as_space,
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
    from descend.study import FixedTrial, Pruned, Study, Trial
    from descend.study.pruners import (
        HyperbandPruner,
        MedianPruner,
        PatientPruner,
        PercentilePruner,
        SuccessiveHalvingPruner,
        ThresholdPruner,
        WilcoxonPruner,
    )
    from descend.study.regret import Regret
    from descend.torch_optim import Feedback, Nearest, Optimizer, Stochastic, Trajectory, replay
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
    "direct": [
        "CoordinateSearch", "Grid", "Halton", "LatinHypercube", "NelderMead", "PatternSearch", "Powell",
        "RotatingCoordinates", "Sobol", "SuccessiveHalving", "Uniform",
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
    "model": [
        "Automatic", "AxisSearch", "Bayes", "Forest", "QuasiNewton", "Relay", "SurrogateCMAES", "TPE",
    ],
    "oracle": [
        "Asks", "Averaged", "Bounded", "Cached", "Clipped", "Closure", "Command", "Differentiable", "Encoded",
        "ExitCode", "FeasibleFirst", "ForwardReport", "Function", "Json", "LastLine", "Module", "Negated",
        "Oracle", "Penalize", "Penalized", "Raise", "Regex", "Reject", "Residuals", "Retry", "check_forward",
    ],
    "parallel": [
        "Parallel",
    ],
    "pareto": [
        "MOEAD", "NSGA2", "NSGA3", "SMSEMOA",
    ],
    "population": [
        "Annealing", "AugmentedLagrangian", "CMAES", "CRFMNES", "CrossEntropy", "DifferentialEvolution",
        "EnsembleKalman", "EstimationOfDistribution", "Genetic", "LocalSearch", "OnePlusOne", "OpenAIES",
        "PGPE", "ParticleSwarm", "Racing", "Restarts", "SNES", "Tabu", "XNES",
    ],
    "portfolio": [
        "Portfolio",
    ],
    "quantize": [
        "quantize_int8",
    ],
    "run": [
        "AskTell", "Batched", "Evaluations", "Front", "NoImprovement", "Plateau", "Processes", "Progress",
        "Rejections", "Result", "Seconds", "Serial", "StepNorm", "Steps", "Target", "Threads", "minimize",
        "minimize_many",
    ],
    "space": [
        "Array", "Bool", "Choice", "Constraint", "Domain", "Float", "Int", "Linear", "Ordinal", "Permutation",
        "Row", "Simplex", "Space", "Subset", "When", "as_space",
    ],
    "step": [
        "Backtracking", "Cosine", "Exponential", "Fixed", "LevenbergMarquardt", "PiecewiseConstant",
        "Polynomial", "Power", "StrongWolfe", "TrustRegion", "WarmUp",
    ],
    "study": [
        "FixedTrial", "Pruned", "Study", "Trial",
    ],
    "study.pruners": [
        "HyperbandPruner", "MedianPruner", "PatientPruner", "PercentilePruner", "SuccessiveHalvingPruner",
        "ThresholdPruner", "WilcoxonPruner",
    ],
    "study.regret": [
        "Regret",
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
    "board", "direct", "direction", "errors", "estimate", "faces", "hf", "log", "model", "noise", "optuna",
    "oracle", "parallel", "pareto", "plot", "population", "problems", "run", "sklearn", "space", "step",
    "study", "testing", "transform",
]  # fmt: skip
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "BFGS", "CMAES", "CRFMNES", "EGGROLL", "LBFGS", "MOEAD", "NSGA2", "NSGA3", "PGPE", "RDSA", "SMSEMOA",
    "SNES", "SPSA", "SR1", "SVRG", "TPE", "XNES", "AdaGrad", "Adam", "AdamW", "Annealing", "Array", "AskTell",
    "Asks", "AugmentedLagrangian", "Automatic", "Averaged", "AxisSearch", "Backtracking", "Batched", "Bayes",
    "Bool", "Bounded", "ByExample", "Cached", "Choice", "ClipNorm", "ClipValue", "Clipped", "Closure",
    "Combination", "Command", "ConjugateGradient", "Constraint", "CoordinateSearch", "Cosine", "CrossEntropy",
    "Dense", "Descent", "DifferencedHvp", "DifferencedJacobian", "Differentiable", "DifferentialEvolution",
    "Directions", "Domain", "Encoded", "EnsembleKalman", "EstimationOfDistribution", "Evaluations", "Evolution",
    "ExitCode", "Exponential", "FeasibleFirst", "Feedback", "FiniteDifference", "Fixed", "FixedTrial", "Float",
    "Forest", "ForwardGradient", "ForwardReport", "Front", "Function", "GaussNewton", "GaussianSmoothing",
    "Genetic", "Grid", "Guided", "Halton", "HeavyBall", "Hybrid", "HyperbandPruner", "Int", "IterateAverage",
    "Json", "Key", "LastLine", "LatinHypercube", "Layout", "LeakyAverage", "LevenbergMarquardt", "Linear",
    "Lion", "LocalSearch", "LowRank", "Magnitude", "MeZO", "MedianPruner", "Module", "NAdam", "Nearest",
    "Negated", "NelderMead", "Newton", "NewtonCG", "NoImprovement", "OnePlusOne", "OpenAIES", "Optimizer",
    "Oracle", "Ordinal", "Orthogonalize", "Parallel", "ParticleSwarm", "PatientPruner", "PatternSearch",
    "Penalize", "Penalized", "PerExample", "PercentilePruner", "Permutation", "PiecewiseConstant", "Plateau",
    "Polynomial", "Portfolio", "Powell", "Power", "Processes", "Progress", "Pruned", "QuasiNewton", "RMSProp",
    "Racing", "Raise", "RandomCoordinates", "RandomDirections", "Regex", "Regret", "Reject", "Rejections",
    "Relay", "Residuals", "Restarts", "Result", "Retry", "RotatingCoordinates", "Row", "Rprop", "Seconds",
    "Seeded", "Serial", "Sign", "Simplex", "Sobol", "Space", "SphereSmoothing", "StepNorm", "Steps",
    "Stochastic", "StrongWolfe", "Study", "Subset", "SuccessiveHalving", "SuccessiveHalvingPruner",
    "SurrogateCMAES", "Tabu", "Target", "Threads", "ThresholdPruner", "Trajectory", "Trial", "TrustRegion",
    "Uniform", "WarmUp", "WeightDecay", "When", "WilcoxonPruner", "WindowAdam", "as_space", "averaged", "board",
    "check_forward", "direct", "direction", "errors", "estimate", "faces", "hf", "hutchinson_diagonal", "log",
    "minimize", "minimize_many", "model", "noise", "optuna", "oracle", "parallel", "pareto", "plot",
    "population", "problems", "quantize_int8", "replay", "run", "sklearn", "space", "span", "step", "study",
    "testing", "transform",
]  # fmt: skip


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
