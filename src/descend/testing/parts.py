"""An example of every part that descend has, so that a new part can be tried with all the others.

The first word of a name is the name of the part in `descend.estimate`, `descend.transform` or `descend.step`; what
follows it says in which way it is used.
"""

from typing import Any

from torch import Tensor

from descend.estimate import (
    EGGROLL,
    RDSA,
    SPSA,
    DifferencedHvp,
    DifferencedJacobian,
    Evolution,
    FiniteDifference,
    ForwardGradient,
    GaussianSmoothing,
    Guided,
    Hybrid,
    MeZO,
    RandomCoordinates,
    RandomDirections,
    SphereSmoothing,
)
from descend.estimate.base import Estimator
from descend.key import Key
from descend.layout import Layout
from descend.step import (
    Backtracking,
    Cosine,
    Exponential,
    Fixed,
    LevenbergMarquardt,
    PiecewiseConstant,
    Polynomial,
    Power,
    Step,
    StrongWolfe,
    TrustRegion,
    WarmUp,
)
from descend.transform import (
    BFGS,
    LBFGS,
    SR1,
    SVRG,
    AdaGrad,
    Adam,
    AdamW,
    Beta,
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
    Transform,
    WeightDecay,
    polar,
)

__all__ = ["curvatures", "estimators", "steps", "transforms"]


def _along_the_point(x: Tensor, key: Key) -> Tensor:
    """The gradient of |x|^2 / 2, as good a surrogate as any."""
    return x


def estimators(d: int) -> dict[str, Estimator]:
    """Estimators of gradients at points of d >= 4 coordinates.

    >>> estimators(4)["MeZO"].samples
    1
    """
    return {
        "FiniteDifference": FiniteDifference(),
        "FiniteDifference forward": FiniteDifference("forward"),
        "FiniteDifference tuned": FiniteDifference("forward3", look=1),
        "SPSA": SPSA(),
        "SPSA one-sided": SPSA(1e-3, 3, formula="forward"),
        "SPSA low rank": SPSA(1e-3, 3, rank=1, hold=2),
        "SPSA leave-one-out": SPSA(1e-3, 3, formula="forward", baseline="leave-one-out"),
        "RDSA": RDSA(),
        "GaussianSmoothing": GaussianSmoothing(samples=5),
        "SphereSmoothing": SphereSmoothing(),
        "MeZO": MeZO(),
        "Evolution": Evolution(4, 1e-2, shaping="none"),
        "Evolution dense": Evolution(4, 1e-2, None, shaping="none"),
        "EGGROLL": EGGROLL(4),
        "ForwardGradient": ForwardGradient(),
        "ForwardGradient central": ForwardGradient(2, jvp="central"),
        "ForwardGradient orthonormal": ForwardGradient(3, orthonormal=True),
        "Guided": Guided(_along_the_point, 2, alpha=1.0, beta=float(d)),
        "Guided halfway": Guided(_along_the_point),
        "Hybrid": Hybrid((((0, 2), SPSA()), ((3, d), FiniteDifference()))),
        "RandomCoordinates": RandomCoordinates(2),
        "RandomCoordinates cyclic": RandomCoordinates(1, "forward", cyclic=True, unbiased=False),
        "RandomDirections uniform": RandomDirections("uniform", "backward3", 2),
        "RandomDirections antithetic": RandomDirections("normal", "central4", 2, coupling="antithetic"),
        "RandomDirections orthogonal": RandomDirections("sign", samples=3, coupling="orthogonal"),
        "RandomDirections quasi": RandomDirections("sphere", samples=4, coupling="quasi"),
    }


def curvatures() -> dict[str, Estimator]:
    """Estimators of second derivatives and Jacobians, which stand behind one of gradients or alone.

    >>> curvatures()["DifferencedHvp"].gives.words()
    'HVP'
    """
    return {"DifferencedHvp": DifferencedHvp(), "DifferencedJacobian": DifferencedJacobian()}


def transforms(d: int) -> dict[str, Transform[Any]]:
    """Transforms of points of d >= 4 coordinates; for `Orthogonalize` the first four are a matrix.

    >>> [name for name in transforms(4) if name.startswith("Adam")]
    ['Adam', 'Adam amsgrad', 'AdamW']
    """
    layout = Layout(("matrix", "rest"), ((2, 2), (d - 4,)))
    return {
        "AdaGrad": AdaGrad(),
        "Adam": Adam(),
        "Adam amsgrad": Adam(amsgrad=True),
        "AdamW": AdamW(),
        "BFGS": BFGS(),
        "ClipNorm": ClipNorm(1.0),
        "ClipValue": ClipValue(1.0),
        "ConjugateGradient": ConjugateGradient(),
        "ConjugateGradient Dai-Yuan": ConjugateGradient(Beta.DAI_YUAN),
        "GaussNewton": GaussNewton(),
        "HeavyBall": HeavyBall(),
        "HeavyBall Nesterov": HeavyBall(0.8, nesterov=True),
        "IterateAverage": IterateAverage(),
        "LBFGS": LBFGS(history=3),
        "LeakyAverage": LeakyAverage(debias=True),
        "Lion": Lion(),
        "NAdam": NAdam(),
        "Newton": Newton(),
        "NewtonCG": NewtonCG(),
        "Orthogonalize": Orthogonalize(layout),
        "Orthogonalize exact": Orthogonalize(layout, factor=polar),
        "RMSProp": RMSProp(),
        "RMSProp centered": RMSProp(centered=True),
        "Rprop": Rprop(),
        "SR1": SR1(),
        "SVRG": SVRG(every=3, samples=2),
        "Sign": Sign(),
        "WeightDecay": WeightDecay(),
    }


def steps() -> dict[str, Step[Any]]:
    """Step rules, the schedules in a fixed one.

    >>> steps()["Exponential"]
    Fixed(lr=Exponential(initial=0.01, gamma=0.9, every=1))
    """
    return {
        "Backtracking": Backtracking(),
        "Cosine": Fixed(Cosine(1e-2, steps=10)),
        "Exponential": Fixed(Exponential(1e-2, gamma=0.9)),
        "Fixed": Fixed(1e-2),
        "LevenbergMarquardt": LevenbergMarquardt(),
        "PiecewiseConstant": Fixed(PiecewiseConstant((1e-2, 1e-3), boundaries=(3,))),
        "Polynomial": Fixed(Polynomial(1e-2, steps=10)),
        "Power": Fixed(Power(1e-2)),
        "TrustRegion": TrustRegion(),
        "WarmUp": Fixed(WarmUp(Cosine(1e-2, steps=10), steps=3)),
        "StrongWolfe": StrongWolfe(),
    }
